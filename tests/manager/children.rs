//! Each object is made here, changed in another process, and seen here.

use std::time::Duration;

use procession::manager::{
    ArrayProxy, BarrierProxy, BoundedSemaphoreProxy, ConditionProxy, DictProxy, EventProxy,
    ListProxy, LockError, LockProxy, NamespaceProxy, PoolProxy, QueueProxy, RLockProxy,
    SemaphoreProxy, SetProxy, ValueProxy,
};
use procession::{Failure, Process};
use serde::{Deserialize, Serialize};

use super::{On, Place, Test, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![On::Every;
        a_list,
        a_list_that_is_in_itself,
        a_dictionary,
        a_dictionary_that_is_cleared_while_it_is_gone_through,
        a_set,
        a_namespace,
        a_value,
        an_array,
        a_queue,
        an_event,
        a_lock,
        an_rlock,
        a_semaphore,
        a_bounded_semaphore,
        a_condition,
        a_barrier,
        a_pool,
    ]
}

/// Waited for in full by no test that passes.
const LONG: Duration = Duration::from_secs(50);

type Done = Result<(), Failure>;

/// Calls a function in another process, and waits until that has ended.
macro_rules! child {
    ($function:ident, $args:expr) => {
        Process::spawn($function, $args)
            .expect("a process")
            .join()
            .expect("its end")
            .expect("what it does")
    };
}

#[procession::task]
fn change_list(list: ListProxy<String>) -> Done {
    list.push("d".to_owned())?;
    list.set(0, "ä".to_owned())?;
    assert_eq!(list.remove(1)?, "b");
    list.extend(list.range(1..)?)?;
    Ok(list.reverse()?)
}

fn a_list(place: Place) {
    let manager = place.manager();
    let list = manager.list_of(["a", "b", "c"].map(str::to_owned)).unwrap();
    let before = list.iter().unwrap();
    child!(change_list, list.clone());
    assert_eq!(list.to_vec().unwrap(), ["d", "c", "d", "c", "ä"]);
    // Each time it is gone through as it is then.
    assert_eq!(before.collect::<Vec<_>>(), ["a", "b", "c"]);
    for _ in 0..2 {
        assert_eq!(list.iter().unwrap().count(), 5);
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Nested(ListProxy<Nested>);

#[procession::task]
fn put_into_itself(list: Nested) -> Done {
    Ok(list.0.push(list.clone())?)
}

fn a_list_that_is_in_itself(place: Place) {
    let manager = place.manager();
    let list = Nested(manager.list().unwrap());
    child!(put_into_itself, list.clone());
    let Nested(inner) = list.0.get(0).unwrap().expect("itself");
    assert!(inner.is_same(&list.0));
    let Nested(innermost) = inner.get(0).unwrap().expect("itself again");
    assert_eq!(innermost.len().unwrap(), 1);
    // Nobody else would.
    list.0.clear().unwrap();
}

#[procession::task]
fn change_dict(dict: DictProxy<String, i64>) -> Done {
    assert_eq!(dict.remove(&"b".to_owned())?, Some(2));
    dict.extend([("ö".to_owned(), -1), ("a".to_owned(), 10)])?;
    Ok(dict.update(&"c".to_owned(), |value| value.or(Some(3)))?)
}

fn a_dictionary(place: Place) {
    let manager = place.manager();
    let dict = manager
        .dict_of([("a".to_owned(), 1), ("b".to_owned(), 2)])
        .unwrap();
    child!(change_dict, dict.clone());
    let expected = [("a", 10), ("ö", -1), ("c", 3)].map(|(key, value)| (key.to_owned(), value));
    assert_eq!(dict.items().unwrap(), expected);
}

#[procession::task]
fn clear_dict(dict: DictProxy<u32, u32>) -> Done {
    Ok(dict.clear()?)
}

fn a_dictionary_that_is_cleared_while_it_is_gone_through(place: Place) {
    let manager = place.manager();
    let dict = manager.dict_of((0..100).map(|n| (n, n))).unwrap();
    let mut items = dict.iter().unwrap();
    assert_eq!(items.next(), Some((0, 0)));
    child!(clear_dict, dict.clone());
    assert_eq!(items.count(), 99, "it is as it was");
    assert!(dict.is_empty().unwrap());
}

#[procession::task]
fn change_set(set: SetProxy<u32>) -> Done {
    assert!(set.remove(&1)?);
    assert!(!set.insert(2)?);
    set.extend(set.union([7, 8])?)?;
    Ok(())
}

fn a_set(place: Place) {
    let manager = place.manager();
    let set = manager.set_of([1, 2, 3]).unwrap();
    child!(change_set, set.clone());
    assert_eq!(set.iter().unwrap().collect::<Vec<_>>(), [2, 3, 7, 8]);
}

#[procession::task]
fn change_namespace(space: NamespaceProxy) -> Done {
    let count: u32 = space.get("count")?.ok_or("no count")?;
    space.set("count", &(count + 1))?;
    space.set("text", &"ü".to_owned())?;
    space.remove("nothing much")?;
    Ok(())
}

fn a_namespace(place: Place) {
    let manager = place.manager();
    let space = manager.namespace().unwrap();
    space.set("count", &1_u32).unwrap();
    space.set("nothing much", &()).unwrap();
    child!(change_namespace, space.clone());
    assert_eq!(space.names().unwrap(), ["count", "text"]);
    assert_eq!(space.get::<u32>("count").unwrap(), Some(2));
    assert_eq!(space.get::<String>("text").unwrap().as_deref(), Some("ü"));
}

#[procession::task]
fn change_value(value: ValueProxy<(f64, Option<char>)>) -> Done {
    assert_eq!(value.get()?, (0.5, None));
    Ok(value.set((1.5, Some('ß')))?)
}

fn a_value(place: Place) {
    let manager = place.manager();
    let value = manager.value((0.5, None::<char>)).unwrap();
    child!(change_value, value.clone());
    assert_eq!(value.get().unwrap(), (1.5, Some('ß')));
}

#[procession::task]
fn change_array(array: ArrayProxy<i32>) -> Done {
    for place in 1..array.len()? {
        array.fetch_add(place, array.get(place - 1)?)?;
    }
    Ok(())
}

fn an_array(place: Place) {
    let manager = place.manager();
    let array = manager.array([1, 2, 3, 4]).unwrap();
    child!(change_array, array.clone());
    assert_eq!(array.to_vec().unwrap(), [1, 3, 6, 10]);
}

#[procession::task]
fn do_tasks(tasks: QueueProxy<Option<u32>>, results: QueueProxy<u32>) -> Done {
    while let Some(n) = tasks.get()? {
        results.put(n * n)?;
        tasks.task_done()?;
    }
    Ok(tasks.task_done()?)
}

fn a_queue(place: Place) {
    let manager = place.manager();
    let (tasks, results) = (manager.queue().unwrap(), manager.queue().unwrap());
    let child = Process::spawn(do_tasks, (tasks.clone(), results.clone())).unwrap();
    (0..5).for_each(|n| tasks.put(Some(n)).unwrap());
    tasks.join_timeout(LONG).unwrap();
    assert_eq!(results.len().unwrap(), 5);
    tasks.put(None).unwrap();
    tasks.join_timeout(LONG).unwrap();
    child.join().unwrap().unwrap();
    results.close().unwrap();
    let results: Result<Vec<u32>, _> = results.iter().collect();
    assert_eq!(results.unwrap(), [0, 1, 4, 9, 16]);
}

#[procession::task]
fn answer(asked: EventProxy, answered: EventProxy) -> Done {
    asked.wait()?;
    asked.clear()?;
    Ok(answered.set()?)
}

fn an_event(place: Place) {
    let manager = place.manager();
    let (asked, answered) = (manager.event().unwrap(), manager.event().unwrap());
    let child = Process::spawn(answer, (asked.clone(), answered.clone())).unwrap();
    asked.set().unwrap();
    answered.wait_timeout(LONG).unwrap();
    assert!(!asked.is_set().unwrap());
    child.join().unwrap().unwrap();
}

#[procession::task]
fn hold_lock(lock: LockProxy, held: EventProxy, enough: EventProxy) -> Done {
    let _guard = lock.lock().map_err(LockError::without_guard)?;
    held.set()?;
    Ok(enough.wait()?)
}

fn a_lock(place: Place) {
    let manager = place.manager();
    let lock = manager.lock().unwrap();
    let [held, enough] = [(); 2].map(|()| manager.event().unwrap());
    let child = Process::spawn(hold_lock, (lock.clone(), held.clone(), enough.clone())).unwrap();
    held.wait_timeout(LONG).unwrap();
    assert!(lock.is_locked().unwrap());
    assert!(matches!(lock.try_lock(), Err(LockError::WouldBlock)));
    enough.set().unwrap();
    // It has given it back, and did not die with it.
    drop(lock.lock_timeout(LONG).unwrap());
    child.join().unwrap().unwrap();
}

#[procession::task]
fn hold_rlock(lock: RLockProxy, held: EventProxy, enough: EventProxy) -> Done {
    let _one = lock.lock().map_err(LockError::without_guard)?;
    drop(lock.lock().map_err(LockError::without_guard)?);
    held.set()?;
    Ok(enough.wait()?)
}

fn an_rlock(place: Place) {
    let manager = place.manager();
    let lock = manager.rlock().unwrap();
    let [held, enough] = [(); 2].map(|()| manager.event().unwrap());
    let child = Process::spawn(hold_rlock, (lock.clone(), held.clone(), enough.clone())).unwrap();
    held.wait_timeout(LONG).unwrap();
    assert!(matches!(lock.try_lock(), Err(LockError::WouldBlock)));
    enough.set().unwrap();
    drop(lock.lock_timeout(LONG).unwrap());
    child.join().unwrap().unwrap();
}

#[procession::task]
fn take_permits(semaphore: SemaphoreProxy) -> Done {
    semaphore.acquire()?.forget();
    let permit = semaphore.acquire()?;
    assert!(semaphore.try_acquire()?.is_none());
    drop(permit);
    Ok(semaphore.release_many(3)?)
}

fn a_semaphore(place: Place) {
    let manager = place.manager();
    let semaphore = manager.semaphore(2).unwrap();
    child!(take_permits, semaphore.clone());
    assert_eq!(semaphore.value().unwrap(), 4);
}

#[procession::task]
fn take_bounded(semaphore: BoundedSemaphoreProxy) -> Done {
    assert!(semaphore.release().is_err());
    semaphore.acquire()?.forget();
    Ok(())
}

fn a_bounded_semaphore(place: Place) {
    let manager = place.manager();
    let semaphore = manager.bounded_semaphore(2).unwrap();
    child!(take_bounded, semaphore.clone());
    assert_eq!(semaphore.value().unwrap(), 1);
    semaphore.release().unwrap();
    assert!(semaphore.release().is_err());
}

#[procession::task]
fn change_and_notify(condition: ConditionProxy, value: ValueProxy<u8>) -> Done {
    let guard = condition.lock().map_err(LockError::without_guard)?;
    value.set(1)?;
    Ok(condition.notify_all(&guard)?)
}

fn a_condition(place: Place) {
    let manager = place.manager();
    let condition = manager.condition().unwrap();
    let value = manager.value(0_u8).unwrap();
    let guard = condition.lock().unwrap();
    let child = Process::spawn(change_and_notify, (condition.clone(), value.clone())).unwrap();
    assert_eq!(value.get().unwrap(), 0, "nobody else has the lock");
    let guard = condition.wait_while(guard, || value.get().unwrap() == 0);
    assert!(guard.unwrap().is_of(&condition));
    child.join().unwrap().unwrap();
}

#[procession::task]
fn come_to(barrier: BarrierProxy) -> Result<u32, Failure> {
    Ok(barrier.wait()?.index())
}

fn a_barrier(place: Place) {
    let manager = place.manager();
    let barrier = manager.barrier(2).unwrap();
    let child = Process::spawn(come_to, barrier.clone()).unwrap();
    let here = barrier.wait_timeout(LONG).unwrap().index();
    let there = child.join().unwrap().unwrap();
    assert_eq!(here + there, 1);
    assert_eq!(
        (barrier.parties().unwrap(), barrier.waiting().unwrap()),
        (2, 0)
    );
}

#[procession::task]
fn process_number() -> u32 {
    std::process::id()
}

#[procession::task]
fn use_pool(pool: PoolProxy) -> Result<u32, Failure> {
    Ok(pool.submit(process_number, ())?.wait()?)
}

fn a_pool(place: Place) {
    let manager = place.manager();
    let pool = manager.pool(1).unwrap();
    let child = Process::spawn(use_pool, pool.clone()).unwrap();
    let there = child.join().unwrap().unwrap();
    let here = pool.submit(process_number, ()).unwrap().wait().unwrap();
    assert_eq!(here, there, "the same worker of the same pool");
}
