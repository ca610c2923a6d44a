//! What is done with locks and what is like them.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use procession::sync::{Condition, Event, Lock, LockError, Semaphore};

use crate::step::{End, killed_at};
use crate::support::{awaiting, threads};

fn asleep() -> usize {
    threads()
        .iter()
        .filter(|task| task.sleeps_in("futex"))
        .count()
}

/// Something is done beside one that waits, who is asleep by then.
fn beside(waits: impl FnOnce() + Send, does: impl FnOnce() -> End) -> End {
    let before = asleep();
    thread::scope(|scope| {
        scope.spawn(waits);
        awaiting("the other one to sleep");
        while asleep() == before {
            thread::yield_now();
        }
        let end = does();
        awaiting("the one that waits");
        end
    })
}

pub(crate) fn lock_and_unlock(at: u64) -> End {
    let lock = Lock::new().unwrap();
    let end = killed_at(at, || drop(lock.lock().unwrap()), None);
    awaiting("the lock");
    match lock.lock_timeout(Duration::from_secs(30)) {
        Ok(guard) => drop(guard),
        Err(LockError::OwnerDied(guard)) => {
            assert!(matches!(end, End::Killed(_)));
            drop(guard);
        }
        Err(other) => panic!("{other:?}"),
    }
    drop(lock.lock().unwrap());
    end
}

pub(crate) fn set_an_event(at: u64) -> End {
    let event = Event::new().unwrap();
    beside(
        || event.wait().unwrap(),
        || {
            let end = killed_at(at, || event.set().unwrap(), None);
            if !event.is_set() {
                assert!(matches!(end, End::Killed(_)));
                event.set().unwrap();
            }
            end
        },
    )
}

pub(crate) fn release_a_semaphore(at: u64) -> End {
    let semaphore = Semaphore::new(0).unwrap();
    let end = beside(
        || semaphore.acquire().unwrap().forget(),
        || {
            let end = killed_at(at, || semaphore.release().unwrap(), None);
            // If there was one, the one that waits gets it without more ado. If not, nobody does, and this one is for it.
            if matches!(end, End::Killed(_)) {
                semaphore.release().unwrap();
            }
            end
        },
    );
    assert!(semaphore.value() <= 1);
    end
}

pub(crate) fn notify(at: u64) -> End {
    let lock = Lock::new().unwrap();
    let condition = Condition::new(&lock).unwrap();
    let locked = || {
        lock.lock()
            .or_else(|error| error.into_guard().ok_or("broken"))
            .unwrap()
    };
    let has_the_lock = AtomicBool::new(false);
    beside(
        || {
            let guard = locked();
            has_the_lock.store(true, Relaxed);
            let waited = condition.wait(guard);
            drop(waited.or_else(|error| error.into_guard().ok_or("broken")));
        },
        || {
            // Once the lock can be had again, that one waits, and a notification is for it. (That a thread sleeps more than before may be
            // another one, the watchdog's.)
            while !has_the_lock.load(Relaxed) {
                thread::yield_now();
            }
            drop(locked());
            let notify = || condition.notify_one(&lock.lock().unwrap()).unwrap();
            let end = killed_at(at, notify, None);
            if matches!(end, End::Killed(_)) {
                condition.notify_one(&locked()).unwrap();
            }
            end
        },
    )
}
