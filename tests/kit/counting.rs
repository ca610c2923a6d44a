//! Many processes, one number.

use procession::shared::Value;
use procession::sync::{Barrier, Condition, Lock, RLock, Semaphore};
use procession::{Future, ProcessPoolExecutor};

use super::pool;
use super::support::{Case, awaiting, tests};
use super::tasks::*;

pub(crate) fn tests() -> Vec<Case> {
    tests![
        increments_under_a_lock,
        increments_under_an_rlock_taken_twice,
        increments_under_a_semaphore_of_one,
        increments_by_update,
        two_take_turns_by_a_condition,
    ]
}

const WORKERS: u32 = 10;
const TIMES: u32 = 10_000;

/// All of them at once.
fn count(submit: impl Fn(&ProcessPoolExecutor, Value<u64>, Barrier) -> Future<()>) {
    let pool = pool(WORKERS as usize);
    let (count, start) = (Value::new(0).unwrap(), Barrier::new(WORKERS).unwrap());
    let counting: Vec<_> = (0..WORKERS)
        .map(|_| submit(&pool, count.clone(), start.clone()))
        .collect();
    awaiting("increments");
    for counted in counting {
        counted.wait().unwrap();
    }
    assert_eq!(count.get().unwrap(), u64::from(WORKERS * TIMES));
}

fn increments_under_a_lock() {
    let lock = Lock::new().unwrap();
    count(|pool, count, start| {
        pool.submit(count_under_lock, (count, lock.clone(), start, TIMES))
            .unwrap()
    });
}

fn increments_under_an_rlock_taken_twice() {
    let lock = RLock::new().unwrap();
    count(|pool, count, start| {
        pool.submit(count_under_rlock, (count, lock.clone(), start, TIMES))
            .unwrap()
    });
}

fn increments_under_a_semaphore_of_one() {
    let semaphore = Semaphore::new(1).unwrap();
    count(|pool, count, start| {
        let arguments = (count, semaphore.clone(), start, TIMES);
        pool.submit(count_under_semaphore, arguments).unwrap()
    });
    assert_eq!(semaphore.value(), 1);
}

fn increments_by_update() {
    count(|pool, count, start| pool.submit(count_by_update, (count, start, TIMES)).unwrap());
}

fn two_take_turns_by_a_condition() {
    let pool = pool(2);
    let count = Value::new(0).unwrap();
    let turn = Condition::new(&Lock::new().unwrap()).unwrap();
    let turns = [0, 1].map(|parity| {
        let arguments = (count.clone(), turn.clone(), parity, 1000);
        pool.submit(take_turns, arguments).unwrap()
    });
    for taken in turns {
        taken.wait().unwrap();
    }
    assert_eq!(count.get().unwrap(), 2000);
}
