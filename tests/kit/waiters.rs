//! Who waits is killed.

use std::time::Duration;

use procession::shared::{Array, Value};
use procession::sync::{
    Barrier, BarrierError, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore, WaitError,
};

use super::support::{Case, GateKeeper, awaiting, signal, tests, until};
use super::tasks::*;
use super::{asleep, kill, pool};

pub(crate) fn tests() -> Vec<Case> {
    tests![
        a_lock_is_had_by_the_others,
        a_semaphore_keeps_its_permits,
        an_event_wakes_the_others,
        a_condition_wakes_the_others,
        a_barrier_has_counted_one_who_came,
        a_barrier_waits_for_one_who_has_not_come,
    ]
}

/// Two wait, one of them is killed, `release` lets the others go on: the other one does.
fn one_of_two_is_killed(waits_for: &Primitive, release: impl FnOnce()) {
    let (pool, keeper) = (pool(2), GateKeeper::new());
    let wait = || {
        let arguments = (waits_for.clone(), keeper.gate());
        let waiting = pool.submit(come_and_wait, arguments).unwrap();
        let worker = keeper.arrival().pid;
        asleep(worker);
        (worker, waiting)
    };
    let ((first, killed), (_, survivor)) = (wait(), wait());
    kill(first, killed);
    assert!(!survivor.is_done());
    release();
    awaiting("the one who has not been killed");
    survivor.wait().unwrap();
}

fn a_lock_is_had_by_the_others() {
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    one_of_two_is_killed(&Primitive::Lock(lock.clone()), || drop(guard));
    assert!(lock.lock().is_ok());

    let rlock = RLock::new().unwrap();
    let guards = (rlock.lock().unwrap(), rlock.lock().unwrap());
    one_of_two_is_killed(&Primitive::RLock(rlock.clone()), || drop(guards));
    assert!(rlock.lock().is_ok());

    let value = Value::new(0).unwrap();
    let guard = value.lock().unwrap();
    one_of_two_is_killed(&Primitive::Value(value.clone()), || drop(guard));
    assert!(value.lock().is_ok());

    let array = Array::new(1).unwrap();
    let guard = array.lock().unwrap();
    one_of_two_is_killed(&Primitive::Array(array.clone()), || drop(guard));
    assert!(array.lock().is_ok());
}

fn a_semaphore_keeps_its_permits() {
    let semaphore = Semaphore::new(0).unwrap();
    one_of_two_is_killed(&Primitive::Semaphore(semaphore.clone()), || {
        semaphore.release().unwrap();
    });
    assert_eq!(semaphore.value(), 0, "the survivor has kept the only one");

    let bounded = BoundedSemaphore::new(1).unwrap();
    let permit = bounded.acquire().unwrap();
    one_of_two_is_killed(&Primitive::Bounded(bounded.clone()), || drop(permit));
    assert_eq!(bounded.value(), 1);
}

fn an_event_wakes_the_others() {
    let event = Event::new().unwrap();
    one_of_two_is_killed(&Primitive::Event(event.clone()), || event.set().unwrap());
    event.clear().unwrap();
    let early = event.wait_timeout(Duration::ZERO);
    assert!(matches!(early, Err(WaitError::TimedOut)));
}

fn a_condition_wakes_the_others() {
    let condition = Condition::new(&Lock::new().unwrap()).unwrap();
    for how_many in [1, 2] {
        one_of_two_is_killed(&Primitive::Condition(condition.clone()), || {
            let guard = condition.lock().lock().unwrap();
            condition.notify_many(&guard, how_many).unwrap();
        });
    }
    assert!(condition.lock().lock().is_ok());
}

fn a_barrier_has_counted_one_who_came() {
    let (pool, keeper) = (pool(2), GateKeeper::new());
    let barrier = Barrier::new(3).unwrap();
    let come = || {
        let arguments = (Primitive::Barrier(barrier.clone()), keeper.gate());
        (
            pool.submit(come_and_wait, arguments).unwrap(),
            keeper.arrival().pid,
        )
    };
    let (killed, worker) = come();
    until("a party to wait", || barrier.waiting() == 1);
    kill(worker, killed);
    let (survivor, _) = come();
    awaiting("the others of a barrier");
    barrier.wait().unwrap();
    survivor.wait().unwrap();
    assert!(!barrier.is_broken());
}

fn a_barrier_waits_for_one_who_has_not_come() {
    let (pool, keeper) = (pool(2), GateKeeper::new());
    let barrier = Barrier::new(3).unwrap();
    let come = || {
        let arguments = (Primitive::Barrier(barrier.clone()), keeper.gate());
        pool.submit(come_and_wait, arguments).unwrap()
    };
    let waiting = come();
    let party = keeper.arrival().pid;
    until("a party to wait", || barrier.waiting() == 1);
    let timed_out = barrier.wait_timeout(Duration::from_millis(1));
    assert!(matches!(timed_out, Err(BarrierError::TimedOut)));
    awaiting("the party that is told that the barrier is broken");
    let told = waiting.wait().unwrap_err().to_string();
    assert!(told.contains("Broken") || told.contains("broken"), "{told}");
    assert!(matches!(barrier.wait(), Err(BarrierError::Broken)));

    barrier.reset().unwrap();
    signal(party, 9);
    let others = [come(), come()];
    awaiting("all parties of a barrier that was reset");
    barrier.wait().unwrap();
    for other in others {
        other.wait().unwrap();
    }
}
