//! A manager and its proxies: from process to process by every way, within values that a manager keeps, and when those that
//! have them are killed.

use std::sync::Mutex;

use super::pool;
use super::support::{self, until};
use futures::executor::block_on;
use futures::future::join_all;
use procession::manager::{
    ConnectError, DictProxy, Key, ListProxy, Manager, ManagerError, ValueProxy,
};
use procession::pipe::{self, Sender};
use procession::{Descriptor, Failure, Process, TaskError};
use serde::{Deserialize, Serialize, Serializer};

pub(crate) fn tests() -> Vec<support::Case> {
    support::tests![
        a_manager_ends_when_it_is_dropped,
        a_manager_that_is_shut_down_is_lost_for_everybody,
        a_manager_that_is_killed_is_lost_for_everybody,
        a_process_has_one_connection,
        a_wrong_key_is_refused,
        objects_have_names,
        a_proxy_is_an_argument_and_a_result,
        a_proxy_goes_to_a_process_and_to_its_own_children,
        a_proxy_goes_through_connections,
        a_manager_goes_to_a_task_which_makes_something,
        a_proxy_on_its_way_keeps_its_object,
        an_object_goes_with_its_last_proxy,
        an_object_goes_with_a_process_that_is_killed,
        proxies_are_kept_within_values,
        what_a_manager_cannot_keep_is_refused,
        a_proxy_is_not_written_anywhere_else,
        a_value_that_sends_a_proxy_while_it_is_encoded,
        a_process_that_was_forked_off_has_no_manager,
        many_tasks_await_while_threads_wait,
        a_frame_that_is_too_long_is_refused,
    ]
}

fn manager() -> Manager {
    Manager::start().expect("a manager")
}

fn objects(manager: &Manager) -> u64 {
    manager.status().unwrap().objects
}

fn is_lost<T>(end: Result<T, ManagerError>) -> bool {
    matches!(end, Err(ManagerError::Lost { .. }))
}

fn all(list: &ListProxy<u64>) -> Vec<u64> {
    list.iter().unwrap().collect()
}

#[procession::task]
fn push(list: ListProxy<u64>, value: u64) -> Result<ListProxy<u64>, Failure> {
    list.push(value)?;
    Ok(list)
}

#[procession::task]
fn push_in_a_child(list: ListProxy<u64>, depth: u64) -> Result<(), Failure> {
    list.push(depth)?;
    if depth > 0 {
        Process::spawn(push_in_a_child, (list, depth - 1))?.join()??;
    }
    Ok(())
}

#[procession::task]
fn send(to: Sender<ListProxy<u64>>, list: ListProxy<u64>) -> Result<(), Failure> {
    Ok(to.send(&list)?)
}

#[procession::task]
fn make(manager: Manager, name: String) -> Result<(), Failure> {
    let list = manager.list()?;
    list.push(7_u64)?;
    Ok(manager.publish(&name, &list)?)
}

static KEPT: Mutex<Vec<ListProxy<u64>>> = Mutex::new(Vec::new());

#[procession::task]
fn keep(list: ListProxy<u64>) -> Result<(), Failure> {
    list.push(1)?;
    KEPT.lock().unwrap().push(list);
    Ok(())
}

#[procession::task]
fn die() {
    support::signal(std::process::id(), 9);
}

#[procession::task]
fn is_told_that_it_is_lost(list: ListProxy<u64>) -> bool {
    is_lost(list.push(1)) && is_lost(list.push(1)) && is_lost(block_on(list.push_async(1)))
}

fn a_manager_ends_when_it_is_dropped() {
    let manager = manager();
    let (list, pid) = (manager.list::<u64>().unwrap(), manager.pid().unwrap());
    let clone = manager.clone();
    drop(manager);
    assert!(clone.is_alive());
    drop(clone);
    assert!(is_lost(list.push(1)));
    assert_eq!(support::state_of(pid), None);
}

fn a_manager_that_is_shut_down_is_lost_for_everybody() {
    let (manager, pool) = (manager(), pool(1));
    let list = manager.list::<u64>().unwrap();
    let there = pool.submit(push, (list.clone(), 1)).unwrap().wait();
    there.unwrap().unwrap();
    manager.shutdown().unwrap();
    assert!(is_lost(list.push(2)));
    assert!(!manager.is_alive());
    let told = pool.submit(is_told_that_it_is_lost, list).unwrap();
    assert!(told.wait().unwrap());
}

fn a_manager_that_is_killed_is_lost_for_everybody() {
    let (manager, pool) = (manager(), pool(1));
    let list = manager.list::<u64>().unwrap();
    let queue = manager.queue::<u64>().unwrap();
    pool.submit(keep, list.clone())
        .unwrap()
        .wait()
        .unwrap()
        .unwrap();
    std::thread::scope(|scope| {
        let waits: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| queue.get().is_err()))
            .collect();
        let awaited = queue.get_async();
        support::signal(manager.pid().unwrap(), 9);
        assert!(block_on(awaited).is_err());
        for waits in waits {
            assert!(waits.join().unwrap());
        }
    });
    assert!(is_lost(list.push(1)));
    let told = pool.submit(is_told_that_it_is_lost, list).unwrap();
    assert!(told.wait().unwrap());
}

fn a_process_has_one_connection() {
    let manager = manager();
    let again = Manager::connect(manager.address(), &manager.key()).unwrap();
    assert!(again.is_same(&manager));
    until("one connection", || {
        manager.status().unwrap().connections == 1
    });
    // Only who has started it keeps it.
    drop(again);
    assert!(manager.is_alive());
}

fn a_wrong_key_is_refused() {
    let manager = manager();
    let end = Manager::connect(manager.address(), &Key::generate().unwrap());
    assert!(
        matches!(
            end,
            Err(ManagerError::Connect(ConnectError::Refused { .. }))
        ),
        "{end:?}"
    );
    let (address, key) = (manager.address().clone(), manager.key());
    drop(manager);
    assert!(is_lost(Manager::connect(&address, &key)));
}

fn objects_have_names() {
    let manager = manager();
    let list = manager.list::<u64>().unwrap();
    manager.publish("list", &list).unwrap();
    manager.publish("list", &list).unwrap();
    assert!(
        manager
            .get::<ListProxy<u64>>("list")
            .unwrap()
            .is_same(&list)
    );
    assert_eq!(manager.names().unwrap(), ["list"]);
    let other = manager.list::<u64>().unwrap();
    let taken = manager.publish("list", &other);
    assert!(
        matches!(&taken, Err(ManagerError::NameTaken { name }) if name == "list"),
        "{taken:?}"
    );
    let wrong = manager
        .get::<ListProxy<String>>("list")
        .unwrap_err()
        .to_string();
    assert_eq!(
        wrong,
        "the object in the manager is a List<u64>, not a List<alloc::string::String>"
    );
    assert!(matches!(
        manager.get::<ValueProxy<u64>>("list"),
        Err(ManagerError::WrongType { .. })
    ));
    assert!(matches!(
        manager.get::<ListProxy<u64>>("a"),
        Err(ManagerError::NoName { .. })
    ));
    assert!(matches!(
        manager.publish("", &list),
        Err(ManagerError::Refused(_))
    ));
    drop((list, other));
    until("only what has a name", || objects(&manager) == 1);
    assert!(manager.unpublish("list").unwrap());
    assert!(!manager.unpublish("list").unwrap());
    assert_eq!(objects(&manager), 0);
    let elsewhere = self::manager();
    let list = elsewhere.list::<u64>().unwrap();
    assert!(matches!(
        manager.publish("a", &list),
        Err(ManagerError::OtherManager { .. })
    ));
}

fn a_proxy_is_an_argument_and_a_result() {
    let (manager, pool) = (manager(), pool(2));
    let list = manager.list().unwrap();
    let pushed: Vec<_> = (0..20)
        .map(|value| pool.submit(push, (list.clone(), value)).unwrap())
        .collect();
    for pushed in pushed {
        assert!(pushed.wait().unwrap().unwrap().is_same(&list));
    }
    let mut values = all(&list);
    values.sort_unstable();
    assert_eq!(values, (0..20).collect::<Vec<_>>());
}

fn a_proxy_goes_to_a_process_and_to_its_own_children() {
    let manager = manager();
    let list = manager.list().unwrap();
    let process = Process::spawn(push_in_a_child, (list.clone(), 2)).unwrap();
    process.join().unwrap().unwrap();
    assert_eq!(all(&list), [2, 1, 0]);
}

fn a_proxy_goes_through_connections() {
    let (manager, pool) = (manager(), pool(1));
    let list = manager.list::<u64>().unwrap();
    let (sender, receiver) = pipe::one_way().unwrap();
    let sent = pool.submit(send, (sender, list.clone())).unwrap();
    let came: ListProxy<u64> = receiver.recv().unwrap();
    sent.wait().unwrap().unwrap();
    assert!(came.is_same(&list));
    came.push(3).unwrap();
    assert_eq!(all(&list), [3]);
}

fn a_manager_goes_to_a_task_which_makes_something() {
    let (manager, pool) = (manager(), pool(1));
    let made = pool
        .submit(make, (manager.clone(), "made".to_owned()))
        .unwrap();
    made.wait().unwrap().unwrap();
    let list = manager.get::<ListProxy<u64>>("made").unwrap();
    assert_eq!(all(&list), [7]);
    drop(pool);
    // What has come from here does not end it.
    assert!(manager.is_alive());
}

fn a_proxy_on_its_way_keeps_its_object() {
    let (manager, pool) = (manager(), pool(1));
    let (sender, receiver) = pipe::one_way().unwrap();
    let list = manager.list::<u64>().unwrap();
    list.push(1).unwrap();
    sender.send(&list).unwrap();
    drop(list);
    assert_eq!(objects(&manager), 1);
    let list: ListProxy<u64> = receiver.recv().unwrap();
    assert_eq!(all(&list), [1]);
    let pushed = pool.submit(push, (list, 2)).unwrap();
    let list = pushed.wait().unwrap().unwrap();
    drop(pushed);
    assert_eq!(all(&list), [1, 2]);
    sender.send(&list).unwrap();
    drop((list, pool));
    assert_eq!(objects(&manager), 1);
    drop((sender, receiver));
    until("nothing is left of the message", || objects(&manager) == 0);
}

fn an_object_goes_with_its_last_proxy() {
    let manager = manager();
    let list = manager.list::<u64>().unwrap();
    let other = list.clone();
    drop(list);
    assert_eq!(objects(&manager), 1);
    drop(other);
    assert_eq!(objects(&manager), 0);
    // One that was never looked at.
    drop(manager.list_async::<u64>());
    until("nothing is left", || objects(&manager) == 0);
}

fn an_object_goes_with_a_process_that_is_killed() {
    let (manager, pool) = (manager(), pool(1));
    let list = manager.list::<u64>().unwrap();
    let kept = pool.submit(keep, list).unwrap();
    kept.wait().unwrap().unwrap();
    drop(kept);
    assert_eq!(objects(&manager), 1);
    let died = pool.submit(die, ()).unwrap().wait();
    assert!(matches!(died, Err(TaskError::WorkerLost(_))));
    until("nobody has it", || objects(&manager) == 0);
    until("one connection", || {
        manager.status().unwrap().connections == 1
    });
}

fn proxies_are_kept_within_values() {
    let manager = manager();
    let lists = manager.list::<(String, ListProxy<u64>)>().unwrap();
    let by_name = manager.dict::<String, ListProxy<u64>>().unwrap();
    let list = manager.list().unwrap();
    lists.push(("a".to_owned(), list.clone())).unwrap();
    by_name.insert("a".to_owned(), list.clone()).unwrap();
    list.push(5).unwrap();
    drop(list);
    assert_eq!(objects(&manager), 3);
    let (name, inner) = lists.get(0).unwrap().unwrap();
    assert_eq!((&*name, all(&inner)), ("a", vec![5]));
    assert!(inner.is_same(&by_name.get(&name).unwrap().unwrap()));
    // From one object to the other, and out of both.
    drop(inner);
    drop(lists);
    assert_eq!(objects(&manager), 2);
    let inner = by_name.remove(&name).unwrap().unwrap();
    inner.push(6).unwrap();
    assert_eq!(all(&inner), [5, 6]);
    drop(inner);
    assert_eq!(objects(&manager), 1);
    // A proxy within a value goes to other processes, too.
    let (pool, list) = (pool(1), manager.list().unwrap());
    by_name.insert("b".to_owned(), list).unwrap();
    pool.submit(push_to, (by_name.clone(), "b".to_owned()))
        .unwrap()
        .wait()
        .unwrap()
        .unwrap();
    assert_eq!(all(&by_name.get(&"b".to_owned()).unwrap().unwrap()), [9]);
}

#[procession::task]
fn push_to(lists: DictProxy<String, ListProxy<u64>>, name: String) -> Result<(), Failure> {
    let list = lists.get(&name)?.ok_or("it is not there")?;
    Ok(list.push(9)?)
}

fn what_a_manager_cannot_keep_is_refused() {
    let (manager, other) = (manager(), manager());
    let refused = |end: Result<(), ManagerError>, why: &str| {
        let end = end.unwrap_err().to_string();
        assert!(end.contains(why), "{end}");
    };
    let lists = manager.list::<ListProxy<u64>>().unwrap();
    refused(lists.push(other.list().unwrap()), "another manager");
    let managers = manager.list::<Manager>().unwrap();
    refused(managers.push(manager.clone()), "`Manager`");
    let files = manager.list::<Descriptor>().unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    refused(files.push(Descriptor::new(null)), "descriptor");
    assert_eq!((lists.len().unwrap(), files.len().unwrap()), (0, 0));
}

fn a_proxy_is_not_written_anywhere_else() {
    let manager = manager();
    let list = manager.list::<u64>().unwrap();
    let refused = serde_json::to_string(&list).unwrap_err().to_string();
    assert!(refused.contains("travels only"), "{refused}");
    assert!(serde_json::to_string(&manager).is_err());
    let shown = format!("{manager:?} {list:?}");
    assert!(!shown.contains(&manager.key().to_hex()), "{shown}");
}

/// Sends the list on while it is encoded itself.
struct Sent {
    list: ListProxy<u64>,
    to: Sender<ListProxy<u64>>,
}

impl Serialize for Sent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to
            .send(&self.list)
            .map_err(serde::ser::Error::custom)?;
        self.list.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = ListProxy::deserialize(deserializer)?;
        list.push(8).map_err(serde::de::Error::custom)?;
        let (to, _) = pipe::one_way().map_err(serde::de::Error::custom)?;
        Ok(Self { list, to })
    }
}

fn a_value_that_sends_a_proxy_while_it_is_encoded() {
    let manager = manager();
    let kept = manager.list::<Sent>().unwrap();
    let (to, receiver) = pipe::one_way().unwrap();
    let list = manager.list().unwrap();
    kept.push(Sent {
        list: list.clone(),
        to,
    })
    .unwrap();
    assert!(receiver.recv().unwrap().is_same(&list));
    // It calls the manager while it is decoded.
    assert!(kept.get(0).unwrap().unwrap().list.is_same(&list));
    assert_eq!(all(&list), [8]);
}

fn a_process_that_was_forked_off_has_no_manager() {
    let manager = manager();
    let list = manager.list::<u64>().unwrap();
    block_on(list.push_async(1)).unwrap();
    let pending = manager.queue::<u64>().unwrap();
    let pending = pending.get_async();
    let mut mine = Some((manager, list, pending));
    let status = support::in_a_fork(|| {
        let (manager, list, pending) = mine.take().expect("they are here");
        let forked = matches!(list.push(2), Err(ManagerError::Forked))
            && matches!(manager.status(), Err(ManagerError::Forked));
        drop((list, pending));
        drop(manager);
        support::exit_at_once(if forked { 0 } else { 1 });
    });
    assert_eq!(status, 0);
    let (manager, list, _pending) = mine.take().expect("and here");
    block_on(list.push_async(3)).unwrap();
    assert_eq!(all(&list), [1, 3]);
    assert!(manager.is_alive());
}

fn many_tasks_await_while_threads_wait() {
    let manager = manager();
    let dict = manager.dict::<u64, u64>().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let dict = &dict;
            scope.spawn(move || {
                for turn in 0..100 {
                    let key = thread * 1000 + turn;
                    dict.insert(key, turn).unwrap();
                    assert_eq!(dict.get(&key).unwrap(), Some(turn));
                }
            });
        }
        let calls = (0..400_u64).map(|key| {
            let dict = &dict;
            async move {
                dict.insert_async(10_000 + key, key).await.unwrap();
                assert_eq!(dict.get_async(&(10_000 + key)).await.unwrap(), Some(key));
            }
        });
        block_on(join_all(calls));
    });
    assert_eq!(dict.len().unwrap(), 800);
}

fn a_frame_that_is_too_long_is_refused() {
    let manager = Manager::builder().max_frame(1 << 20).start().unwrap();
    let texts = manager.list::<String>().unwrap();
    let long = texts.push("a".repeat(1 << 20));
    assert!(
        matches!(
            long,
            Err(ManagerError::TooLong {
                max_frame: 1_048_576,
                ..
            })
        ),
        "{long:?}"
    );
    for _ in 0..3 {
        texts.push("a".repeat(1 << 19)).unwrap();
    }
    let end = texts.iter().map(|_| ());
    assert!(matches!(end, Err(ManagerError::TooLong { .. })), "{end:?}");
    assert_eq!(texts.len().unwrap(), 3);
}
