//! What is done with locks and what is like them.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use procession::sync::{Barrier, Condition, Event, Lock, LockError, LockGuard, RLock, Semaphore};

use crate::queue::{Waiter, until};
use crate::step::{End, killed_at};
use crate::support::awaiting;

/// Something is done beside one that waits, who is asleep by then.
fn beside(waits: impl FnOnce() + Send, does: impl FnOnce() -> End) -> End {
    let who = Waiter::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            who.begins();
            waits();
        });
        until("the other one to sleep", || who.is_asleep());
        let end = does();
        awaiting("the one that waits");
        end
    })
}

/// Somebody may have had it and died; then that is told.
fn is_free<G>(locked: Result<G, LockError<G>>, end: End) {
    match locked {
        Ok(guard) => drop(guard),
        Err(LockError::OwnerDied(guard)) => {
            assert!(matches!(end, End::Killed(_)));
            drop(guard);
        }
        Err(other) => panic!("{:?}", other.without_guard()),
    }
}

pub(crate) fn lock_and_unlock(at: u64) -> End {
    let lock = Lock::new().unwrap();
    let end = killed_at(at, || drop(lock.lock().unwrap()), None);
    awaiting("the lock");
    is_free(lock.lock_timeout(Duration::from_secs(30)), end);
    drop(lock.lock().unwrap());
    end
}

pub(crate) fn lock_twice(at: u64) -> End {
    let lock = RLock::new().unwrap();
    let twice = || {
        let first = lock.lock().unwrap();
        drop(lock.lock().unwrap());
        drop(first);
    };
    let end = killed_at(at, twice, None);
    awaiting("the lock");
    is_free(lock.lock_timeout(Duration::from_secs(30)), end);
    twice();
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

pub(crate) fn wait_for_an_event(at: u64) -> End {
    let event = Event::new().unwrap();
    let set = || event.set().unwrap();
    let end = killed_at(at, || event.wait().unwrap(), Some(&set));
    event.clear().unwrap();
    is_noticed(&event);
    end
}

pub(crate) fn clear_an_event(at: u64) -> End {
    let event = Event::new().unwrap();
    event.set().unwrap();
    let end = killed_at(at, || event.clear().unwrap(), None);
    if event.is_set() {
        assert!(matches!(end, End::Killed(_)));
        event.clear().unwrap();
    }
    is_noticed(&event);
    end
}

/// The next one that waits is told.
fn is_noticed(event: &Event) {
    let set = || {
        event.set().unwrap();
        End::Finished(0)
    };
    beside(|| event.wait().unwrap(), set);
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

pub(crate) fn acquire_a_semaphore(at: u64) -> End {
    let semaphore = Semaphore::new(0).unwrap();
    let release = || semaphore.release().unwrap();
    let acquire = || semaphore.acquire().unwrap().forget();
    let end = killed_at(at, acquire, Some(&release));
    if let Ok(permit) = semaphore.try_acquire() {
        assert!(matches!(end, End::Killed(_)));
        permit.forget();
    }
    assert_eq!(semaphore.value(), 0);
    let release = || {
        release();
        end
    };
    beside(acquire, release)
}

pub(crate) fn notify(at: u64) -> End {
    let lock = Lock::new().unwrap();
    let condition = Condition::new(&lock).unwrap();
    notified(&lock, &condition, || {
        let notify = || condition.notify_one(&lock.lock().unwrap()).unwrap();
        let end = killed_at(at, notify, None);
        if matches!(end, End::Killed(_)) {
            condition.notify_one(&locked(&lock)).unwrap();
        }
        end
    })
}

pub(crate) fn wait_for_a_notification(at: u64) -> End {
    let lock = Lock::new().unwrap();
    let condition = Condition::new(&lock).unwrap();
    let notify = || condition.notify_one(&locked(&lock)).unwrap();
    let wait = || drop(condition.wait(lock.lock().unwrap()).unwrap());
    let end = killed_at(at, wait, Some(&notify));
    notified(&lock, &condition, || {
        notify();
        end
    })
}

/// The lock, whoever has died with it.
fn locked(lock: &Lock) -> LockGuard {
    lock.lock()
        .or_else(|error| error.into_guard().ok_or("broken"))
        .unwrap()
}

/// Somebody waits, and something is done that notifies him.
fn notified(lock: &Lock, condition: &Condition, does: impl FnOnce() -> End) -> End {
    let has_the_lock = AtomicBool::new(false);
    beside(
        || {
            let guard = locked(lock);
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
            drop(locked(lock));
            does()
        },
    )
}

pub(crate) fn come_to_a_barrier_first(at: u64) -> End {
    let barrier = Barrier::new(2).unwrap();
    let come = || {
        barrier.wait().unwrap();
    };
    // It sleeps when it has come, and is let go by who comes last.
    let end = killed_at(at, come, Some(&come));
    if barrier.waiting() > 0 {
        // One that has come has come, even if it is gone.
        assert!(matches!(end, End::Killed(_)));
        barrier.reset().unwrap();
    }
    beside(come, || {
        come();
        end
    })
}

pub(crate) fn come_to_a_barrier_last(at: u64) -> End {
    let barrier = Barrier::new(2).unwrap();
    let come = || {
        barrier.wait().unwrap();
    };
    beside(come, || {
        awaiting("the first one to come");
        while barrier.waiting() == 0 {
            thread::yield_now();
        }
        let end = killed_at(at, come, None);
        // If it had come, the first one goes without more ado. If not, this one is the last.
        if barrier.waiting() > 0 {
            assert!(matches!(end, End::Killed(_)));
            come();
        }
        end
    })
}
