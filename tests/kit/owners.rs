//! Who had a lock is killed.

use std::sync::atomic::Ordering;

use procession::pipe;
use procession::shared::{Array, Value};
use procession::sync::{Condition, Lock, LockError, RLock, Semaphore};

use super::support::{Case, GateKeeper, awaiting, tests};
use super::tasks::*;
use super::{asleep, kill, kill_at, pool};

pub(crate) fn tests() -> Vec<Case> {
    tests![
        the_next_one_is_told_once,
        one_who_waits_already_is_told,
        what_was_half_done_is_seen,
        an_atomic_does_not_care,
        a_semaphore_misses_the_permit_and_can_be_given_it,
        a_retry_has_the_same_lock,
    ]
}

fn locks() -> [Primitive; 5] {
    [
        Primitive::Lock(Lock::new().unwrap()),
        Primitive::RLock(RLock::new().unwrap()),
        Primitive::Value(Value::new(0).unwrap()),
        Primitive::Array(Array::new(10).unwrap()),
        Primitive::Condition(Condition::new(&Lock::new().unwrap()).unwrap()),
    ]
}

fn the_next_one_is_told_once() {
    let (pool, keeper) = (pool(1), GateKeeper::new());
    for lock in locks() {
        let arguments = (lock.clone(), keeper.gate());
        kill_at(&keeper, pool.submit(take_and_stop, arguments).unwrap());
        // Here, and in another worker.
        assert_eq!(with_lock(&lock, || {}), Found::OwnerDied, "{lock:?}");
        assert_eq!(with_lock(&lock, || {}), Found::Free, "{lock:?}");
        let taken = pool.submit(take, lock.clone()).unwrap().wait();
        assert_eq!(taken.unwrap(), Found::Free, "{lock:?}");

        let arguments = (lock.clone(), keeper.gate());
        kill_at(&keeper, pool.submit(take_and_stop, arguments).unwrap());
        let taken = pool.submit(take, lock.clone()).unwrap().wait();
        assert_eq!(taken.unwrap(), Found::OwnerDied, "{lock:?}");
        assert_eq!(with_lock(&lock, || {}), Found::Free, "{lock:?}");
    }
}

fn one_who_waits_already_is_told() {
    let pool = pool(3);
    for lock in locks() {
        let (owners, waiters) = (GateKeeper::new(), GateKeeper::new());
        let owner = pool.submit(take_and_stop, (lock.clone(), owners.gate()));
        let owner_pid = owners.arrival().pid;
        let waiting = [0, 1].map(|_| {
            let arguments = (lock.clone(), waiters.gate());
            pool.submit(come_and_take, arguments).unwrap()
        });
        for waiter in waiters.arrivals(2) {
            asleep(waiter.pid);
        }
        kill(owner_pid, owner.unwrap());
        awaiting("those who wait for the lock of one who was killed");
        let mut found = waiting.map(|waiting| waiting.wait().unwrap());
        found.sort_by_key(|found| *found == Found::OwnerDied);
        assert_eq!(found, [Found::Free, Found::OwnerDied], "{lock:?}");
    }
}

fn what_was_half_done_is_seen() {
    let pool = pool(1);
    let value = Value::new([0, 0]).unwrap();
    assert!(
        pool.submit(die_in_update, value.clone())
            .unwrap()
            .wait()
            .is_err()
    );
    match value.get() {
        Err(LockError::OwnerDied(guard)) => {
            assert_eq!(guard.get(), [1, 0]);
            guard.set([1, 1]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(value.get().unwrap(), [1, 1]);
}

fn an_atomic_does_not_care() {
    let (pool, keeper) = (pool(1), GateKeeper::new());
    let value = Value::new(1_u64).unwrap();
    let arguments = (Primitive::Value(value.clone()), keeper.gate());
    kill_at(&keeper, pool.submit(take_and_stop, arguments).unwrap());
    assert_eq!(value.as_atomic().fetch_add(1, Ordering::Relaxed), 1);
    assert_eq!(value.get_unlocked(), 2);
}

fn a_semaphore_misses_the_permit_and_can_be_given_it() {
    let (pool, keeper) = (pool(1), GateKeeper::new());
    let semaphore = Semaphore::new(2).unwrap();
    let arguments = (semaphore.clone(), keeper.gate());
    kill_at(&keeper, pool.submit(acquire_and_stop, arguments).unwrap());
    assert_eq!(semaphore.value(), 1, "it has no owner who could have died");
    semaphore.release().unwrap();
    let _both = [semaphore.acquire().unwrap(), semaphore.acquire().unwrap()];
}

fn a_retry_has_the_same_lock() {
    let pool = pool(1);
    let (count, lock) = (Value::new(0).unwrap(), Lock::new().unwrap());
    let (sender, receiver) = pipe::one_way().unwrap();
    let arguments = (3, count.clone(), lock.clone(), sender);
    let future = pool.call(die_with_lock_until).retries(5).submit(arguments);
    let (attempts, back) = future.unwrap().wait().unwrap().unwrap();
    assert_eq!((attempts, count.get_unlocked()), (3, 3));
    assert!(back.is_same(&lock));
    let found: Result<Vec<_>, _> = (0..3).map(|_| receiver.recv()).collect();
    let died = Found::OwnerDied;
    assert_eq!(found.unwrap(), [Found::Free, died, died]);
    awaiting("the end of all copies of a sender");
    assert!(matches!(receiver.recv(), Err(pipe::RecvError::Closed)));
    assert!(lock.lock().is_ok(), "the last one has released it");
}
