//! Locks that live in a manager, and its process pool: between processes, and when one of those is killed.

use std::pin::pin;
use std::sync::mpsc;

use std::thread;
use std::time::Duration;

use super::support::until;
use super::{On, Place, Test, begin, kill_this_process, pool, tests};
use futures::executor::block_on;
use futures::future::join_all;
use procession::manager::{
    BarrierError, BarrierProxy, BoundedSemaphoreProxy, ConditionProxy, EventProxy, GetError,
    LockError, LockProxy, ManagerError, PoolProxy, RLockProxy, SemaphoreProxy,
};
use procession::shared::Value;
use procession::{EndOfWorker, Failure, Kill, Shutdown, SubmitError, TaskError};

pub(crate) fn tests() -> Vec<Test> {
    tests![On::Every;
        one_process_has_a_lock_at_a_time,
        a_lock_whose_owner_was_killed_goes_to_the_next_one_with_the_news,
        a_process_that_is_killed_while_it_waits_is_in_nobody_s_way,
        a_lock_that_is_not_waited_for_any_more_is_for_the_others,
        what_is_held_comes_back_although_as_many_calls_wait_as_may,
        no_time_is_enough_for_what_is_there,
        an_rlock_belongs_to_a_thread,
        permits_of_a_process_that_was_killed_are_there_again,
        a_bounded_semaphore_refuses_what_it_never_had,
        an_event_wakes_thousands_in_one_thread,
        processes_meet_at_a_barrier,
        a_party_that_is_killed_or_gives_up_breaks_the_barrier,
        the_last_party_passes_however_short_its_time_is,
        a_condition_hands_on_what_has_changed,
        a_wait_that_is_over_has_the_lock_again,
        the_guard_of_another_condition_is_refused,
        a_pool_in_the_manager_runs_what_anybody_submits,
        what_becomes_of_a_task_arrives,
        a_task_in_the_manager_is_cancelled_and_killed,
        a_process_that_ends_cancels_its_tasks,
        a_pool_in_the_manager_is_shut_down,
        a_pool_that_is_being_made_goes_with_the_manager,
        everything_says_so_when_the_manager_is_gone,
    ]
}

fn expect_killed<T: serde::de::DeserializeOwned + 'static>(future: procession::Future<T>) {
    match future.wait() {
        Err(TaskError::WorkerLost(lost)) => assert_eq!(lost.end, EndOfWorker::Signalled(9)),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was to be killed"),
    }
}

#[procession::task]
fn count(lock: LockProxy, value: Value<u64>, times: u64) -> Result<(), Failure> {
    for _ in 0..times {
        let guard = lock.lock().map_err(LockError::without_guard)?;
        let before = value.get_unlocked();
        thread::yield_now();
        value.set_unlocked(before + 1);
        drop(guard);
    }
    Ok(())
}

fn one_process_has_a_lock_at_a_time(place: Place) {
    let (manager, pool) = (place.manager(), pool(4));
    let lock = manager.lock().unwrap();
    let value = Value::new(0_u64).unwrap();
    let counting: Vec<_> = (0..4)
        .map(|_| {
            pool.submit(count, (lock.clone(), value.clone(), 250))
                .unwrap()
        })
        .collect();
    for future in counting {
        future.wait().unwrap().unwrap();
    }
    assert_eq!(value.get_unlocked(), 1000);
    assert!(!lock.is_locked().unwrap());
}

#[procession::task]
fn die_with_lock(lock: LockProxy, has_it: EventProxy, may_die: EventProxy) {
    let _guard = lock.lock().unwrap();
    has_it.set().unwrap();
    may_die.wait().unwrap();
    kill_this_process();
}

fn a_lock_whose_owner_was_killed_goes_to_the_next_one_with_the_news(place: Place) {
    let (manager, pool) = (place.manager(), pool(1));
    let lock = manager.lock().unwrap();
    let [has_it, may_die] = [(); 2].map(|()| manager.event().unwrap());
    let dies = pool.submit(
        die_with_lock,
        (lock.clone(), has_it.clone(), may_die.clone()),
    );
    has_it.wait().unwrap();
    assert!(matches!(lock.try_lock(), Err(LockError::WouldBlock)));
    let waits = lock.lock_async();

    may_die.set().unwrap();

    expect_killed(dies.unwrap());
    match block_on(waits) {
        Err(LockError::OwnerDied(guard)) => assert!(guard.is_of(&lock)),
        other => panic!("{other:?}"),
    }
    drop(lock.lock().unwrap());
}

#[procession::task]
fn die_waiting(lock: LockProxy, semaphore: SemaphoreProxy, begun: EventProxy) {
    let mut waits = pin!(lock.lock_async());
    begin(waits.as_mut());
    let mut acquires = pin!(semaphore.acquire_async());
    begin(acquires.as_mut());
    // It is answered after those have come to the manager.
    begun.set().unwrap();
    kill_this_process();
}

fn a_process_that_is_killed_while_it_waits_is_in_nobody_s_way(place: Place) {
    let (manager, pool) = (place.manager(), pool(1));
    let lock = manager.lock().unwrap();
    let semaphore = manager.semaphore(0).unwrap();
    let begun = manager.event().unwrap();
    let guard = lock.lock().unwrap();
    let dies = pool.submit(
        die_waiting,
        (lock.clone(), semaphore.clone(), begun.clone()),
    );
    begun.wait().unwrap();
    expect_killed(dies.unwrap());

    drop(guard);
    semaphore.release().unwrap();

    drop(lock.lock().unwrap());
    drop(semaphore.acquire().unwrap());
}

fn what_is_held_comes_back_although_as_many_calls_wait_as_may(place: Place) {
    let manager = place.manager();
    let (lock, event) = (manager.lock().unwrap(), manager.event().unwrap());
    let semaphore = manager.semaphore(1).unwrap();
    let guard = lock.lock().unwrap();
    let permit = semaphore.acquire().unwrap();
    let next = lock.lock_async();
    let permitted = semaphore.acquire_async();
    // Those are two of them.
    let waiting: Vec<_> = (2..65_536).map(|_| event.wait_async()).collect();
    assert!(matches!(event.set(), Err(ManagerError::TooMany { .. })));

    drop((guard, permit));

    drop(block_on(next).unwrap());
    drop(block_on(permitted).unwrap());
    event.set().unwrap();
    block_on(join_all(waiting))
        .into_iter()
        .for_each(|waited| waited.unwrap());
}

fn no_time_is_enough_for_what_is_there(place: Place) {
    let manager = place.manager();
    let none = Duration::ZERO;
    let (lock, rlock) = (manager.lock().unwrap(), manager.rlock().unwrap());
    let (condition, event) = (manager.condition().unwrap(), manager.event().unwrap());
    let (semaphore, queue) = (manager.semaphore(2).unwrap(), manager.queue().unwrap());
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    event.set().unwrap();

    drop(lock.lock_timeout(none).unwrap());
    let guard = block_on(lock.lock_timeout_async(none)).unwrap();
    drop(rlock.lock_timeout(none).unwrap());
    drop(block_on(rlock.lock_timeout_async(none)).unwrap());
    drop(condition.lock_timeout(none).unwrap());
    let condition_guard = block_on(condition.lock_timeout_async(none)).unwrap();
    let permit = semaphore.acquire_timeout(none).unwrap();
    let other = block_on(semaphore.acquire_timeout_async(none)).unwrap();
    event.wait_timeout(none).unwrap();
    block_on(event.wait_timeout_async(none)).unwrap();
    assert_eq!(queue.get_timeout(none).unwrap(), 1);
    assert_eq!(block_on(queue.get_timeout_async(none)).unwrap(), 2);
    assert!(matches!(
        queue.join_timeout(none),
        Err(ManagerError::TimedOut)
    ));
    queue.task_done().unwrap();
    queue.task_done().unwrap();
    queue.join_timeout(none).unwrap();
    block_on(queue.join_timeout_async(none)).unwrap();

    // And what is not there is not waited for.
    event.clear().unwrap();
    let late = block_on(lock.lock_timeout_async(none));
    assert!(matches!(late, Err(LockError::TimedOut)));
    let late = block_on(condition.lock_timeout_async(none));
    assert!(matches!(late, Err(LockError::TimedOut)));
    let late = block_on(semaphore.acquire_timeout_async(none));
    assert!(matches!(late, Err(ManagerError::TimedOut)));
    let late = block_on(event.wait_timeout_async(none));
    assert!(matches!(late, Err(ManagerError::TimedOut)));
    let late = block_on(queue.get_timeout_async(none));
    assert!(matches!(late, Err(GetError::Empty)));
    drop((guard, condition_guard, permit, other));
}

fn a_lock_that_is_not_waited_for_any_more_is_for_the_others(place: Place) {
    let manager = place.manager();
    let lock = manager.lock().unwrap();
    let guard = lock.lock().unwrap();
    let dropped = lock.lock_async();
    let timed = lock.lock_timeout(Duration::from_millis(10));
    assert!(matches!(timed, Err(LockError::TimedOut)));
    let timed = block_on(lock.lock_timeout_async(Duration::from_millis(10)));
    assert!(matches!(timed, Err(LockError::TimedOut)));
    let at_once = lock.lock_timeout(Duration::ZERO);
    assert!(matches!(at_once, Err(LockError::TimedOut)));
    let next = lock.lock_async();

    drop(dropped);
    drop(guard);

    let guard = block_on(next).unwrap();
    // Those are given to it, and given back, whether they come in time or not.
    let late: Vec<_> = (0..100).map(|_| lock.lock_async()).collect();
    drop(guard);
    drop(late);
    drop(lock.lock_timeout(Duration::from_secs(50)).unwrap());
    until("nobody to have it", || !lock.is_locked().unwrap());
}

fn an_rlock_belongs_to_a_thread(place: Place) {
    let manager = place.manager();
    let lock: RLockProxy = manager.rlock().unwrap();
    let first = lock.lock().unwrap();
    let second = block_on(lock.lock_async()).unwrap();
    assert!(first.is_of(&lock));
    let tries = |lock: &RLockProxy| {
        thread::scope(|scope| {
            let tried = scope.spawn(|| lock.try_lock().map(drop).map_err(LockError::without_guard));
            tried.join().unwrap()
        })
    };

    drop(first);
    assert!(matches!(tries(&lock), Err(LockError::WouldBlock)));
    drop(second);
    assert!(tries(&lock).is_ok());
}

#[procession::task]
fn die_with_permits(semaphore: SemaphoreProxy) {
    let _one = semaphore.acquire().unwrap();
    let _two = semaphore.acquire().unwrap();
    semaphore.acquire().unwrap().forget();
    assert_eq!(semaphore.value().unwrap(), 1);
    kill_this_process();
}

fn permits_of_a_process_that_was_killed_are_there_again(place: Place) {
    let (manager, pool) = (place.manager(), pool(1));
    let semaphore = manager.semaphore(4).unwrap();

    expect_killed(pool.submit(die_with_permits, semaphore.clone()).unwrap());

    until("two of the permits to come back", || {
        semaphore.value().unwrap() == 3
    });
    semaphore.release().unwrap();
    assert_eq!(semaphore.value().unwrap(), 4);
}

fn a_bounded_semaphore_refuses_what_it_never_had(place: Place) {
    let manager = place.manager();
    let semaphore: BoundedSemaphoreProxy = manager.bounded_semaphore(1).unwrap();
    assert!(semaphore.release().is_err());
    let permit = semaphore.acquire().unwrap();
    assert!(semaphore.try_acquire().unwrap().is_none());
    let timed = semaphore.acquire_timeout(Duration::from_millis(1));
    assert!(matches!(timed, Err(ManagerError::TimedOut)));
    thread::spawn(move || drop(permit)).join().unwrap();
    assert!(block_on(semaphore.acquire_async()).is_ok());
}

#[procession::task]
fn set(event: EventProxy) -> Result<(), Failure> {
    Ok(event.set()?)
}

fn an_event_wakes_thousands_in_one_thread(place: Place) {
    let (manager, pool) = (place.manager(), pool(1));
    let event = manager.event().unwrap();
    let timed = event.wait_timeout(Duration::from_millis(1));
    assert!(matches!(timed, Err(ManagerError::TimedOut)));
    let waiting: Vec<_> = (0..5_000).map(|_| event.wait_async()).collect();

    let setting = pool.submit(set, event.clone()).unwrap();

    for waited in block_on(join_all(waiting)) {
        waited.unwrap();
    }
    setting.wait().unwrap().unwrap();
    event.clear().unwrap();
    assert!(!event.is_set().unwrap());
}

#[procession::task]
fn meet(barrier: BarrierProxy, times: u32) -> Result<Vec<u32>, Failure> {
    let mut places = Vec::new();
    for _ in 0..times {
        places.push(barrier.wait()?.index());
    }
    Ok(places)
}

fn processes_meet_at_a_barrier(place: Place) {
    let (manager, pool) = (place.manager(), pool(3));
    let barrier = manager.barrier(3).unwrap();
    let parties = [(); 3].map(|()| pool.submit(meet, (barrier.clone(), 20)).unwrap());
    let places = parties.map(|party| party.wait().unwrap().unwrap());
    for round in 0..20 {
        let mut places = [0, 1, 2].map(|party| places[party][round]);
        places.sort_unstable();
        assert_eq!(places, [0, 1, 2]);
    }
    assert!(matches!(manager.barrier(0), Err(ManagerError::Refused(_))));
}

#[procession::task]
fn die_at_barrier(barrier: BarrierProxy) {
    // It is connected: what is polled is sent at once.
    assert_eq!(barrier.waiting().unwrap(), 1);
    let mut waits = pin!(barrier.wait_async());
    begin(waits.as_mut());
    assert_eq!(barrier.waiting().unwrap(), 2);
    kill_this_process();
}

fn a_party_that_is_killed_or_gives_up_breaks_the_barrier(place: Place) {
    let (manager, pool) = (place.manager(), pool(1));
    let barrier = manager.barrier(3).unwrap();
    let waits = barrier.wait_async();
    expect_killed(pool.submit(die_at_barrier, barrier.clone()).unwrap());
    assert!(matches!(block_on(waits), Err(BarrierError::Broken)));
    assert!(barrier.is_broken().unwrap());

    barrier.reset().unwrap();
    let waits = barrier.wait_async();
    let timed = barrier.wait_timeout(Duration::from_millis(10));
    assert!(matches!(timed, Err(BarrierError::TimedOut)));
    assert!(matches!(block_on(waits), Err(BarrierError::Broken)));

    barrier.reset().unwrap();
    drop(barrier.wait_async());
    until("it to be broken", || barrier.is_broken().unwrap());
}

fn the_last_party_passes_however_short_its_time_is(place: Place) {
    let manager = place.manager();
    let barrier = manager.barrier(2).unwrap();
    for round in 0..50 {
        let first = barrier.wait_async();
        let last = match round % 2 {
            0 => barrier.wait_timeout(Duration::ZERO),
            _ => block_on(barrier.wait_timeout_async(Duration::ZERO)),
        };
        assert_eq!(last.unwrap().index(), 1);
        assert_eq!(block_on(first).unwrap().index(), 0);
    }
    let alone = barrier.wait_timeout(Duration::ZERO);
    assert!(matches!(alone, Err(BarrierError::TimedOut)));
    assert!(barrier.is_broken().unwrap());
}

#[procession::task]
fn take(condition: ConditionProxy, value: Value<u64>, times: u64) -> Result<u64, Failure> {
    let mut taken = 0;
    for _ in 0..times {
        let guard = condition.lock().map_err(LockError::without_guard)?;
        let guard = condition.wait_while(guard, || value.get_unlocked() == 0);
        let _guard = guard.map_err(LockError::without_guard)?;
        value.set_unlocked(value.get_unlocked() - 1);
        taken += 1;
    }
    Ok(taken)
}

fn a_condition_hands_on_what_has_changed(place: Place) {
    let (manager, pool) = (place.manager(), pool(2));
    let condition = manager.condition().unwrap();
    let value = Value::new(0_u64).unwrap();
    let takes = [(); 2].map(|()| {
        let all = (condition.clone(), value.clone(), 100);
        pool.submit(take, all).unwrap()
    });
    for _ in 0..200 {
        let guard = condition.lock().unwrap();
        value.set_unlocked(value.get_unlocked() + 1);
        condition.notify_one(&guard).unwrap();
    }
    for taken in takes {
        assert_eq!(taken.wait().unwrap().unwrap(), 100);
    }
    assert_eq!(value.get_unlocked(), 0);
}

fn a_wait_that_is_over_has_the_lock_again(place: Place) {
    let manager = place.manager();
    let condition = manager.condition().unwrap();
    let short = Duration::from_millis(10);

    let guard = condition.lock().unwrap();
    let (guard, was_notified) = condition.wait_timeout(guard, short).unwrap();
    assert!(!was_notified && condition.is_locked().unwrap());
    let (guard, was_notified) = block_on(condition.wait_timeout_async(guard, short)).unwrap();
    assert!(!was_notified && condition.is_locked().unwrap());

    // Of two that wait, the one that gives up when it has been notified leaves that to the other.
    let gives_up = condition.wait_async(guard);
    let guard = condition.lock().unwrap();
    let waits = condition.wait_async(guard);
    let guard = condition.lock().unwrap();
    condition.notify_one(&guard).unwrap();
    drop(gives_up);
    drop(guard);
    let guard = block_on(waits).unwrap();
    drop(guard);
    until("nobody to have the lock", || {
        !condition.is_locked().unwrap()
    });
}

fn the_guard_of_another_condition_is_refused(place: Place) {
    let manager = place.manager();
    let [one, other] = [(); 2].map(|()| manager.condition().unwrap());
    let guard = other.lock().unwrap();
    let _has_the_same_number = one.lock().unwrap();

    let refused = one.notify_one(&guard);
    assert!(
        matches!(refused, Err(ManagerError::Refused(_))),
        "{refused:?}"
    );
    let Err(LockError::WrongLock(guard)) = one.wait(guard) else {
        panic!("it is the guard of another one");
    };
    assert!(guard.is_of(&other) && other.is_locked().unwrap());
}

#[procession::task]
fn double(n: u64) -> u64 {
    2 * n
}

#[procession::task]
fn fail_as(how: String) -> u64 {
    match how.as_str() {
        "die" => kill_this_process(),
        how => panic!("no {how}"),
    }
}

/// Submits to a pool in a manager from a worker of another one.
#[procession::task]
fn submit_there(pool: PoolProxy, n: u64) -> Result<u64, Failure> {
    Ok(pool.submit(double, n)?.wait()?)
}

fn a_pool_in_the_manager_runs_what_anybody_submits(place: Place) {
    let (manager, own) = (place.manager(), pool(1));
    let pool = manager.pool(2).unwrap();
    let futures: Vec<_> = (0..50).map(|n| pool.submit(double, n).unwrap()).collect();
    for (n, future) in (0..).zip(&futures) {
        assert_eq!(future.wait().unwrap(), 2 * n);
    }
    assert_eq!(block_on(pool.submit(double, 4).unwrap()).unwrap(), 8);
    let doubles: Result<Vec<u64>, _> = pool.map(double, 0..1000).collect();
    assert_eq!(
        doubles.unwrap(),
        (0..1000).map(|n| 2 * n).collect::<Vec<_>>()
    );

    let there = own.submit(submit_there, (pool.clone(), 21)).unwrap();
    assert_eq!(there.wait().unwrap().unwrap(), 42);

    let (sender, called) = mpsc::channel();
    let future = pool.submit(double, 5).unwrap();
    future.on_done(move |result| sender.send(result.unwrap()).unwrap());
    assert_eq!(called.recv().unwrap(), 10);
    assert_eq!(pool.pending().unwrap(), 0);
    assert!(matches!(manager.pool(0), Err(ManagerError::Refused(_))));
}

fn unregistered(n: u64) -> u64 {
    n
}

fn what_becomes_of_a_task_arrives(place: Place) {
    let manager = place.manager();
    let pool = manager.pool(1).unwrap();
    match pool.submit(fail_as, "luck".to_owned()).unwrap().wait() {
        Err(TaskError::Panicked(panic)) => assert_eq!(&*panic.message, "no luck"),
        other => panic!("{other:?}"),
    }
    expect_killed(pool.submit(fail_as, "die".to_owned()).unwrap());
    let refused = pool.submit(unregistered, 1).unwrap_err();
    assert!(matches!(refused, ManagerError::Refused(_)), "{refused:?}");
    assert_eq!(pool.submit(double, 1).unwrap().wait().unwrap(), 2);
}

#[procession::task]
fn spin() -> bool {
    while !procession::is_cancelled() {
        thread::yield_now();
    }
    true
}

fn a_task_in_the_manager_is_cancelled_and_killed(place: Place) {
    let manager = place.manager();
    let pool = manager.pool(1).unwrap();
    let runs = pool.submit(spin, ()).unwrap();
    until("it to run", || runs.is_running());
    let waits = pool.submit(double, 1).unwrap();
    assert!(!waits.is_running() && waits.cancel() && waits.is_cancelled());
    assert!(matches!(waits.wait(), Err(TaskError::Cancelled { .. })));
    let map = pool.map(double, 0..);
    drop(map);

    assert_eq!(runs.kill(), Kill::Killing);

    match runs.wait() {
        Ok(true) | Err(TaskError::Killed(_)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(runs.kill(), Kill::TooLate);
    assert!(!runs.is_running());
}

#[procession::task]
fn die_with_tasks(pool: PoolProxy) {
    let runs = pool.submit(spin, ()).unwrap();
    while !runs.is_running() {
        thread::yield_now();
    }
    let _waits = pool.submit(spin, ()).unwrap();
    assert_eq!(pool.pending().unwrap(), 2);
    kill_this_process();
}

fn a_process_that_ends_cancels_its_tasks(place: Place) {
    let (manager, own) = (place.manager(), pool(1));
    let pool = manager.pool(1).unwrap();

    expect_killed(own.submit(die_with_tasks, pool.clone()).unwrap());

    assert_eq!(pool.submit(double, 1).unwrap().wait().unwrap(), 2);
    until("nothing to be pending", || pool.pending().unwrap() == 0);
}

fn a_pool_in_the_manager_is_shut_down(place: Place) {
    let manager = place.manager();
    let pool = manager.pool(1).unwrap();
    let before = pool.submit(double, 1).unwrap();
    pool.shutdown(Shutdown::Wait).unwrap();
    assert_eq!(before.wait().unwrap(), 2);
    let after = pool.submit(double, 1).unwrap().wait();
    assert!(
        matches!(after, Err(TaskError::Refused(SubmitError::ShutDown))),
        "{after:?}"
    );
    block_on(pool.shutdown_async(Shutdown::Kill)).unwrap();
    drop(pool);
    until("the pool to be gone", || {
        manager.status().unwrap().objects == 0
    });
}

fn a_pool_that_is_being_made_goes_with_the_manager(place: Place) {
    for _ in 0..5 {
        let manager = place.manager();
        let _pool = manager.pool(2).unwrap();
        manager.shutdown().unwrap();
    }
}

fn everything_says_so_when_the_manager_is_gone(place: Place) {
    let manager = place.manager();
    let (lock, event) = (manager.lock().unwrap(), manager.event().unwrap());
    let pool = manager.pool(1).unwrap();
    let runs = pool.submit(spin, ()).unwrap();
    let guard = lock.lock().unwrap();
    let waits = lock.lock_async();
    let event_waits = event.wait_async();

    manager.shutdown().unwrap();

    assert!(matches!(
        block_on(waits),
        Err(LockError::Manager(ManagerError::Lost { .. }))
    ));
    assert!(matches!(
        block_on(event_waits),
        Err(ManagerError::Lost { .. })
    ));
    let lost = runs.wait();
    assert!(matches!(lost, Err(TaskError::Manager { .. })), "{lost:?}");
    drop(guard);
    assert!(matches!(lock.try_lock(), Err(LockError::Manager(_))));
}
