//! One of them is killed.

use std::time::Duration;

use procession::sync::{BarrierError, LockError};

use crate::support::{Case, tests, until};
use crate::tasks::{All, Wait, die_with_lock, die_within, notify, wait_for};
use crate::{expect_killed, pool};

pub(crate) fn tests() -> Vec<Case> {
    tests![
        a_lock_whose_owner_was_killed_goes_to_the_next_one_with_the_news,
        the_news_wakes_one_that_waits,
        a_value_and_an_array_whose_changer_was_killed_are_there,
        who_is_killed_while_it_waits_is_in_nobody_s_way,
        a_party_that_was_killed_while_it_waited_has_come,
        all_of_it_goes_on_while_processes_are_killed_at_random,
    ]
}

fn a_lock_whose_owner_was_killed_goes_to_the_next_one_with_the_news() {
    let (pool, all) = (pool(1), All::new());
    all.events[1].set().unwrap();
    expect_killed(pool.submit(die_with_lock, all.clone()).unwrap());
    match all.lock.lock() {
        Err(LockError::OwnerDied(_guard)) => assert_eq!(all.count.get().unwrap(), 13),
        other => panic!("{other:?}"),
    }
    drop(all.lock.lock().unwrap());
}

fn the_news_wakes_one_that_waits() {
    let (pool, all) = (pool(2), All::new());
    let dies = pool.submit(die_with_lock, all.clone()).unwrap();
    all.events[0].wait().unwrap();
    let waits = pool.submit(wait_for, (all.clone(), Wait::Lock)).unwrap();
    until("the other one to wait", || all.count.get_unlocked() == 14);
    all.events[1].set().unwrap();
    expect_killed(dies);
    let told = waits.wait().unwrap().unwrap_err();
    assert!(told.contains("died"), "{told}");
    drop(all.lock.lock().unwrap());
}

fn a_value_and_an_array_whose_changer_was_killed_are_there() {
    let (pool, all) = (pool(1), All::new());
    expect_killed(pool.submit(die_within, all.clone()).unwrap());
    let guard = all.count.get().unwrap_err().into_guard().unwrap();
    assert_eq!(guard.get(), 0);
    drop(guard);
    all.count.update(|n| *n += 1).unwrap();
    assert!(matches!(all.array.lock(), Err(LockError::OwnerDied(_))));
    drop(all.array.lock().unwrap());
    let rlock = all.rlock.unwrap();
    assert!(matches!(rlock.lock(), Err(LockError::OwnerDied(_))));
    drop(rlock.lock().unwrap());
}

fn who_is_killed_while_it_waits_is_in_nobody_s_way() {
    for what in [Wait::Lock, Wait::Semaphore, Wait::Event, Wait::Condition] {
        let (pool, all) = (pool(2), All::new());
        all.semaphore.acquire().unwrap().forget();
        let guard = matches!(what, Wait::Lock).then(|| all.lock.lock().unwrap());
        let call = || pool.submit(wait_for, (all.clone(), what)).unwrap();
        let (killed, waits) = (call(), call());
        until("both to be there", || all.count.get_unlocked() == 2);
        killed.kill();
        assert!(killed.wait().is_err());
        match what {
            Wait::Semaphore => all.semaphore.release().unwrap(),
            Wait::Event => all.events[2].set().unwrap(),
            Wait::Condition => notify(&all).unwrap(),
            Wait::Lock | Wait::Barrier => {}
        }
        drop(guard);
        assert_eq!(waits.wait().unwrap(), Ok(()), "{what:?}");
    }
}

fn a_party_that_was_killed_while_it_waited_has_come() {
    let (pool, all) = (pool(3), All::new());
    let call = || pool.submit(wait_for, (all.clone(), Wait::Barrier)).unwrap();
    let (killed, one, two) = (call(), call(), call());
    until("three to wait", || all.barrier.waiting() == 3);
    killed.kill();
    assert!(killed.wait().is_err());
    assert!(all.barrier.wait().is_ok());
    for future in [one, two] {
        assert_eq!(future.wait().unwrap(), Ok(()));
    }
    // One that does not come any more is waited for as long as one likes.
    let late = all.barrier.wait_timeout(Duration::from_millis(10));
    assert_eq!(late, Err(BarrierError::TimedOut));
    all.barrier.reset().unwrap();
}

/// A worker that uses everything, until it is killed.
#[procession::task]
fn use_all(all: All) {
    loop {
        drop(all.lock.lock());
        drop(all.count.update(|n| *n += 1));
        if let Ok(permit) = all.bounded.try_acquire() {
            drop(permit);
        }
        // What is lost with a permit is given back by the test.
        let _ = all.events[0].set();
        let _ = all.events[0].clear();
        if let Ok(guard) = all.lock.lock().or_else(|e| e.into_guard().ok_or(())) {
            let _ = all.condition.notify_one(&guard);
            let _ = all.condition.wait_timeout(guard, Duration::from_micros(50));
        }
        let _ = all.barrier.wait_timeout(Duration::ZERO);
        let _ = all.barrier.reset();
    }
}

fn all_of_it_goes_on_while_processes_are_killed_at_random() {
    let (pool, all) = (pool(3), All::new());
    let mut futures: Vec<_> = (0..3)
        .map(|_| pool.submit(use_all, all.clone()).unwrap())
        .collect();
    let mut seen = 0;
    for round in 0..60 {
        until("some use of it", || {
            all.count.get_unlocked() >= seen + 20 + round % 7
        });
        let killed = futures.remove(0);
        killed.kill();
        assert!(killed.wait().is_err());
        futures.push(pool.submit(use_all, all.clone()).unwrap());
        seen = all.count.get_unlocked();
    }
    for future in futures {
        future.kill();
        assert!(future.wait().is_err());
    }
    // Everything is there, once it has been said that owners have died.
    drop(all.lock.lock());
    drop(all.lock.lock().unwrap());
    drop(all.count.get());
    all.count.update(|n| *n += 1).unwrap();
    all.events[0].set().unwrap();
    all.events[0].wait().unwrap();
    if all.bounded.value() == 0 {
        all.bounded.release().unwrap();
    }
    drop(all.bounded.acquire().unwrap());
    all.barrier.reset().unwrap();
    assert!(!all.barrier.is_broken());
    notify(&all).unwrap();
}
