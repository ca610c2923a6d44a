use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
#[cfg(not(loom))]
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
pub(crate) use crate::primitives::watched;
use crate::sys::Deadline;
use crate::wire::{decode, encode, handles};

const SHORT: Duration = Duration::from_millis(20);

/// Another handle, by way of a payload: its memory is mapped a second time, as in another process.
pub(crate) fn twin<T: Serialize + DeserializeOwned + 'static>(value: &T) -> T {
    let mut bytes = Vec::new();
    let (encoded, descriptors) = handles::collect(|| encode(value, &mut bytes));
    encoded.unwrap();
    handles::provide(&descriptors, || decode(&bytes)).unwrap()
}

/// Until it is so, which somebody else sees to.
pub(crate) fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        thread::yield_now();
    }
}

fn in_a_thread<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(f).join().unwrap())
}

#[test]
fn handles_go_from_thread_to_thread_and_guards_stay() {
    fn goes<T: Send + Sync + Clone + 'static>() {}
    goes::<Lock>();
    goes::<RLock>();
    goes::<Semaphore>();
    goes::<BoundedSemaphore>();
    goes::<Event>();
    goes::<Condition>();
    goes::<Barrier>();
    fn is_an_error<E: std::error::Error + Send + Sync + 'static>() {}
    is_an_error::<WaitError>();
    is_an_error::<LockError<()>>();
    is_an_error::<BarrierError>();
}

#[test]
fn a_lock_is_had_by_one() {
    watched(|| {
        let lock = Lock::new().unwrap();
        let same = twin(&lock);
        assert!(lock.is_same(&same) && !lock.is_same(&Lock::new().unwrap()));
        let guard = lock.lock().unwrap();
        assert!(guard.is_of(&same));
        assert!(same.is_locked());
        assert!(matches!(same.try_lock(), Err(LockError::WouldBlock)));
        assert!(matches!(same.lock(), Err(LockError::HeldByThisThread)));
        in_a_thread(|| {
            let begun = Instant::now();
            let refused = same.lock_timeout(SHORT).map_err(LockError::without_guard);
            assert!(matches!(refused, Err(LockError::TimedOut)));
            assert!(begun.elapsed() >= SHORT);
        });
        drop(guard);
        assert!(!same.is_locked());
        drop(same.try_lock().unwrap());
        drop(same.lock_timeout(Duration::MAX).unwrap());
    });
}

#[test]
fn the_text_of_a_lock_says_who_has_it() {
    watched(|| {
        let lock = Lock::new().unwrap();
        assert_eq!(format!("{lock:?}"), "Lock { owner: none }");
        let _guard = lock.lock().unwrap();
        assert_eq!(format!("{lock:?}"), "Lock { owner: this thread }");
        let text = in_a_thread(|| format!("{lock:?}"));
        assert!(text.contains("of this process"), "{text}");
    });
}

#[test]
fn the_next_one_is_told_that_the_owner_has_died_and_may_go_on() {
    watched(|| {
        let lock = Lock::new().unwrap();
        let same = twin(&lock);
        in_a_thread(|| std::mem::forget(lock.lock().unwrap()));
        let error = same.lock().unwrap_err();
        assert!(error.to_string().contains("died"));
        let guard = error.into_guard().unwrap();
        assert!(lock.is_locked());
        drop(guard);
        drop(lock.lock().unwrap());
        in_a_thread(|| std::mem::forget(same.try_lock().unwrap()));
        assert!(matches!(lock.try_lock(), Err(LockError::OwnerDied(_))));
        drop(lock.try_lock().unwrap());
    });
}

#[test]
fn a_guard_keeps_its_lock() {
    watched(|| {
        let lock = Lock::new().unwrap();
        let same = twin(&lock);
        let guard = lock.lock().unwrap();
        drop(lock);
        assert!(same.is_locked());
        drop(guard);
        assert!(!same.is_locked());
    });
}

#[test]
fn an_rlock_whose_guards_have_all_been_forgotten_is_had_once_by_the_next_one() {
    watched(|| {
        let lock = RLock::new().unwrap();
        in_a_thread(|| {
            for _ in 0..3 {
                std::mem::forget(lock.lock().unwrap());
            }
        });
        let same = twin(&lock);
        let guard = same.lock().unwrap_err().into_guard().unwrap();
        let second = lock.lock().unwrap();
        drop(guard);
        assert!(same.is_locked());
        drop(second);
        assert!(!same.is_locked());
    });
}

#[test]
fn an_rlock_is_had_by_one_thread_as_often_as_it_likes() {
    watched(|| {
        let lock = RLock::new().unwrap();
        let same = twin(&lock);
        let guards = [
            lock.lock().unwrap(),
            same.lock().unwrap(),
            lock.try_lock().unwrap(),
            same.lock_timeout(SHORT).unwrap(),
        ];
        for guard in guards {
            assert!(same.is_locked());
            in_a_thread(|| {
                let refused = lock.try_lock().map_err(LockError::without_guard);
                assert!(matches!(refused, Err(LockError::WouldBlock)));
                let refused = same.lock_timeout(SHORT).map_err(LockError::without_guard);
                assert!(matches!(refused, Err(LockError::TimedOut)));
            });
            drop(guard);
        }
        assert!(!lock.is_locked());
        in_a_thread(|| drop(lock.lock().unwrap()));
        let other = RLock::new().unwrap();
        let (one, two) = (lock.lock().unwrap(), other.lock().unwrap());
        drop(one);
        assert!(!lock.is_locked() && other.is_locked());
        drop(two);
        assert_eq!(format!("{other:?}"), "RLock { owner: none }");
    });
}

#[test]
fn an_rlock_says_that_its_owner_has_died() {
    watched(|| {
        let lock = RLock::new().unwrap();
        in_a_thread(|| {
            std::mem::forget(lock.lock().unwrap());
            drop(lock.lock().unwrap());
        });
        let first = lock.lock().unwrap_err().into_guard().unwrap();
        drop(lock.lock().unwrap());
        assert!(lock.is_locked());
        drop(first);
        assert!(!lock.is_locked());
    });
}

#[test]
fn increments_under_each_lock_are_all_there() {
    watched(|| {
        let (lock, rlock, semaphore) = (
            Lock::new().unwrap(),
            RLock::new().unwrap(),
            Semaphore::new(1).unwrap(),
        );
        let counts = [const { AtomicU64::new(0) }; 3];
        let increment = |count: &AtomicU64| count.store(count.load(Relaxed) + 1, Relaxed);
        thread::scope(|scope| {
            for _ in 0..4 {
                let (lock, rlock, semaphore) = (twin(&lock), twin(&rlock), twin(&semaphore));
                let counts = &counts;
                scope.spawn(move || {
                    for _ in 0..2_000 {
                        let guard = lock.lock().unwrap();
                        increment(&counts[0]);
                        drop(guard);
                        let guard = rlock.lock().unwrap();
                        increment(&counts[1]);
                        drop(guard);
                        let permit = semaphore.acquire().unwrap();
                        increment(&counts[2]);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(counts.map(AtomicU64::into_inner), [8_000; 3]);
    });
}

#[test]
fn a_semaphore_counts() {
    watched(|| {
        let semaphore = Semaphore::new(2).unwrap();
        let same = twin(&semaphore);
        assert!(same.is_same(&semaphore));
        let one = semaphore.acquire().unwrap();
        assert_eq!(same.value(), 1);
        same.try_acquire().unwrap().forget();
        assert_eq!(semaphore.try_acquire().unwrap_err(), WaitError::WouldBlock);
        let begun = Instant::now();
        let refused = semaphore.acquire_timeout(SHORT).unwrap_err();
        assert_eq!(refused, WaitError::TimedOut);
        assert!(begun.elapsed() >= SHORT);
        drop(one);
        for value in 2..=4 {
            semaphore.release().unwrap();
            assert_eq!(same.value(), value);
        }
        assert_eq!(
            semaphore.release_many(u64::MAX),
            Err(ReleaseError::TooOften)
        );
        assert_eq!(format!("{same:?}"), "Semaphore { value: 4 }");
    });
}

#[test]
fn a_bounded_semaphore_is_not_released_more_often_than_acquired() {
    watched(|| {
        let semaphore = BoundedSemaphore::new(2).unwrap();
        let same = twin(&semaphore);
        assert_eq!(same.release(), Err(ReleaseError::TooOften));
        same.acquire().unwrap().forget();
        assert_eq!(semaphore.release_many(2), Err(ReleaseError::TooOften));
        semaphore.release().unwrap();
        assert_eq!(same.value(), 2);
        let permit = semaphore.acquire().unwrap();
        in_a_thread(|| same.release().unwrap());
        drop(permit);
        assert_eq!(same.value(), 2);
    });
}

#[test]
fn each_permit_that_is_released_lets_one_go_on() {
    watched(|| {
        let semaphore = Semaphore::new(0).unwrap();
        let passed = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    twin(&semaphore).acquire().unwrap().forget();
                    passed.fetch_add(1, Relaxed);
                });
            }
            for count in 1..=4 {
                semaphore.release().unwrap();
                until(|| passed.load(Relaxed) == count);
                assert_eq!(semaphore.value(), 0);
            }
        });
    });
}

#[test]
fn an_event_lets_all_go_on() {
    watched(|| {
        let event = Event::new().unwrap();
        let same = twin(&event);
        assert!(!same.is_set());
        assert_eq!(same.wait_timeout(Duration::ZERO), Err(WaitError::TimedOut));
        let begun = Instant::now();
        assert_eq!(same.wait_timeout(SHORT), Err(WaitError::TimedOut));
        assert!(begun.elapsed() >= SHORT);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| twin(&event).wait().unwrap());
            }
            until(|| event_sleepers(&event) == 3);
            same.set().unwrap();
        });
        assert!(event.is_set());
        event.wait().unwrap();
        assert_eq!(format!("{same:?}"), "Event { is_set: true }");
        event.set().unwrap();
        event.clear().unwrap();
        assert!(!same.is_set());
        assert_eq!(same.wait_timeout(Duration::ZERO), Err(WaitError::TimedOut));
    });
}

fn event_sleepers(event: &Event) -> u32 {
    event.room().header().sleepers.load(Relaxed)
}

#[test]
fn an_event_that_is_set_for_a_moment_lets_go_all_who_waited() {
    watched(|| {
        let event = Event::new().unwrap();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| event.wait().unwrap());
            }
            until(|| event_sleepers(&event) == 3);
            event.set().unwrap();
            event.clear().unwrap();
        });
        assert_eq!(event_sleepers(&event), 0);
    });
}

/// What a killed process leaves: the lock taken, after a change has been announced.
#[test]
fn whoever_dies_in_the_middle_of_a_change_leaves_it_to_the_others() {
    watched(|| {
        let event = Event::new().unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| twin(&event).wait());
            until(|| event_sleepers(&event) == 1);
            scope
                .spawn(|| {
                    let inside = event.room().enter(Deadline::NEVER).unwrap();
                    event.room().header().announce();
                    std::mem::forget(inside);
                })
                .join()
                .unwrap();
            until(|| event_sleepers(&event) == 1);
            assert!(!event.is_set());
            event.set().unwrap();
            waiter.join().unwrap().unwrap();
        });
    });
}

/// Waits for that many, as they are counted under the lock.
fn until_waiting(condition: &Condition, count: u64) {
    until(|| format!("{condition:?}").ends_with(&format!("waiting: {count} }}")));
}

#[test]
fn a_notification_lets_one_go_on() {
    watched(|| {
        let lock = Lock::new().unwrap();
        let condition = Condition::new(&lock).unwrap();
        let woken = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // All of it arrives together.
                    let (lock, condition): (Lock, Condition) =
                        twin(&(lock.clone(), condition.clone()));
                    assert!(condition.lock().is_same(&lock));
                    let guard = condition.wait(lock.lock().unwrap()).unwrap();
                    woken.fetch_add(1, Relaxed);
                    drop(guard);
                });
            }
            until_waiting(&condition, 4);
            for count in 1..=2 {
                condition.notify_one(&lock.lock().unwrap()).unwrap();
                until(|| woken.load(Relaxed) == count);
                until_waiting(&condition, 4 - count);
            }
            condition.notify_all(&lock.lock().unwrap()).unwrap();
        });
        assert_eq!(woken.load(Relaxed), 4);
        let header = condition.mapping().header();
        let words: Vec<u64> = header.words.iter().map(|word| word.load(Relaxed)).collect();
        assert_eq!(words[..4], [4, 0, 0, 4]);
        assert_eq!(header.sleepers.load(Relaxed), 0);
    });
}

#[test]
fn a_notification_is_not_for_those_who_come_later() {
    watched(|| {
        let lock = Lock::new().unwrap();
        let condition = Condition::new(&lock).unwrap();
        let guard = lock.lock().unwrap();
        condition.notify_all(&guard).unwrap();
        let (guard, was_notified) = condition.wait_timeout(guard, SHORT).unwrap();
        assert!(!was_notified);
        drop(guard);
        // One that has died while it waited: what is left of it lets nobody go on who came later.
        condition.mapping().header().words[1].fetch_add(1, Relaxed);
        let guard = lock.lock().unwrap();
        condition.notify_one(&guard).unwrap();
        let (_guard, was_notified) = condition.wait_timeout(guard, Duration::ZERO).unwrap();
        assert!(!was_notified);
    });
}

/// Of two that wait, each gets its own, whatever others have left before.
#[test]
fn what_is_left_over_of_a_notification_costs_nobody_another_one() {
    watched(|| {
        let lock = Lock::new().unwrap();
        let condition = Condition::new(&lock).unwrap();
        // One that is notified, and gives up since somebody else has the lock when its time is over.
        thread::scope(|scope| {
            let late = scope.spawn(|| {
                let guard = lock.lock().unwrap();
                let waited = condition.wait_timeout(guard, SHORT);
                matches!(waited, Err(LockError::TimedOut))
            });
            until_waiting(&condition, 1);
            let guard = lock.lock().unwrap();
            condition.notify_one(&guard).unwrap();
            assert!(late.join().unwrap());
            drop(guard);
        });
        // It lets nobody go on who came later.
        let guard = lock.lock().unwrap();
        let (guard, was_notified) = condition.wait_timeout(guard, SHORT).unwrap();
        assert!(!was_notified);
        drop(guard);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| condition.wait(lock.lock().unwrap()).map(drop).unwrap());
            }
            until_waiting(&condition, 2);
            for _ in 0..2 {
                condition.notify_one(&lock.lock().unwrap()).unwrap();
            }
        });
    });
}

#[test]
fn a_condition_is_waited_for_until_it_is_so() {
    watched(|| {
        let lock = Lock::new().unwrap();
        let condition = Condition::new(&lock).unwrap();
        let value = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for next in 1..=3 {
                    let guard = lock.lock().unwrap();
                    value.store(next, Relaxed);
                    condition.notify_all(&guard).unwrap();
                }
            });
            let condition = twin(&condition);
            let guard = condition.lock().lock().unwrap();
            let is_so = || value.load(Relaxed) < 3;
            drop(condition.wait_while(guard, is_so).unwrap());
        });
        let begun = Instant::now();
        let guard = lock.lock().unwrap();
        let (guard, is_otherwise) = condition.wait_timeout_while(guard, SHORT, || true).unwrap();
        assert!(!is_otherwise && begun.elapsed() >= SHORT);
        let waited = condition.wait_timeout_while(guard, SHORT, || false);
        assert!(waited.unwrap().1);
    });
}

#[test]
fn a_time_limit_of_a_condition_is_one_of_taking_the_lock_again() {
    watched(|| {
        let lock = Lock::new().unwrap();
        let condition = Condition::new(&lock).unwrap();
        let guard = lock.lock().unwrap();
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                until_waiting(&condition, 1);
                let guard = lock.lock().unwrap();
                condition.notify_one(&guard).unwrap();
                std::mem::forget(guard);
                // Has it until the other one has given up; then it dies with it.
                until_waiting(&condition, 0);
            });
            let waited = condition.wait_timeout(guard, SHORT);
            assert!(matches!(waited, Err(LockError::TimedOut)));
            other.join().unwrap();
        });
        assert!(matches!(lock.lock(), Err(LockError::OwnerDied(_))));
    });
}

#[test]
fn who_waits_is_told_that_the_owner_has_died() {
    watched(|| {
        let lock = Lock::new().unwrap();
        let condition = Condition::new(&lock).unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let waited = condition.wait(lock.lock().unwrap());
                matches!(waited, Err(LockError::OwnerDied(_)))
            });
            until_waiting(&condition, 1);
            scope.spawn(|| {
                let guard = lock.lock().unwrap();
                condition.notify_one(&guard).unwrap();
                std::mem::forget(guard);
            });
            assert!(waiter.join().unwrap());
        });
        drop(lock.lock().unwrap());
    });
}

#[test]
fn a_guard_of_another_lock_is_given_back() {
    watched(|| {
        let condition = Condition::new(&Lock::new().unwrap()).unwrap();
        let lock = Lock::new().unwrap();
        let guard = lock.lock().unwrap();
        assert_eq!(condition.notify_all(&guard), Err(WrongLock));
        let error = condition.wait(guard).unwrap_err();
        assert!(matches!(error, LockError::WrongLock(_)));
        assert!(lock.is_locked());
        drop(error);
        assert!(!lock.is_locked());
    });
}

/// So many threads, each with a handle of its own.
fn parties<R: Send>(
    barrier: &Barrier,
    count: u32,
    party: impl Fn(u32, Barrier) -> R + Sync,
) -> Vec<R> {
    thread::scope(|scope| {
        let party = &party;
        let threads: Vec<_> = (0..count)
            .map(|number| scope.spawn(move || party(number, twin(barrier))))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

#[test]
fn parties_of_a_barrier_go_in_lockstep() {
    watched(|| {
        let barrier = Barrier::new(5).unwrap();
        let steps = AtomicU64::new(0);
        let indices = parties(&barrier, 5, |_, barrier| {
            (0..100)
                .map(|round| {
                    steps.fetch_add(1, Relaxed);
                    let index = barrier.wait().unwrap().index();
                    let steps = steps.load(Relaxed);
                    assert!((5 * (round + 1)..5 * (round + 2)).contains(&steps));
                    index
                })
                .collect::<Vec<_>>()
        });
        for round in 0..100 {
            let distinct: BTreeSet<u32> = indices.iter().map(|party| party[round]).collect();
            assert_eq!(distinct, (0..5).collect());
        }
        assert_eq!(barrier.waiting(), 0);
    });
}

#[test]
fn a_barrier_of_one_does_not_wait_and_one_of_none_is_refused() {
    watched(|| {
        let barrier = Barrier::new(1).unwrap();
        for _ in 0..3 {
            assert!(barrier.wait().unwrap().is_leader());
        }
        for count in [0, 1 << 31, u32::MAX] {
            let refused = Barrier::new(count).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
        }
        assert_eq!(twin(&Barrier::new(7).unwrap()).parties(), 7);
    });
}

#[test]
fn a_barrier_that_is_aborted_is_broken_until_it_is_reset() {
    watched(|| {
        let barrier = Barrier::new(4).unwrap();
        let ends = parties(&barrier, 4, |number, barrier| {
            if number > 0 {
                return barrier.wait();
            }
            until(|| barrier.waiting() == 3);
            barrier.abort().unwrap();
            barrier.wait()
        });
        assert_eq!(ends, [Err(BarrierError::Broken); 4]);
        assert!(barrier.is_broken());
        barrier.reset().unwrap();
        assert!(!barrier.is_broken());
        assert!(
            parties(&barrier, 4, |_, barrier| barrier.wait().is_ok())
                .iter()
                .all(|ok| *ok)
        );
    });
}

#[test]
fn a_reset_turns_those_away_who_wait() {
    watched(|| {
        let barrier = Barrier::new(3).unwrap();
        let ends = parties(&barrier, 3, |number, barrier| {
            if number > 0 {
                let first = barrier.wait();
                return first.or_else(|error| {
                    assert_eq!(error, BarrierError::Broken);
                    barrier.wait()
                });
            }
            until(|| barrier.waiting() == 2);
            barrier.reset().unwrap();
            barrier.wait()
        });
        assert!(ends.iter().all(Result::is_ok));
    });
}

#[test]
fn a_party_that_gives_up_breaks_the_barrier_for_all() {
    watched(|| {
        let barrier = Barrier::new(4).unwrap();
        let begun = Instant::now();
        let ends = parties(&barrier, 3, |number, barrier| match number {
            0 => barrier.wait_timeout(SHORT).unwrap_err(),
            _ => barrier.wait().unwrap_err(),
        });
        assert!(begun.elapsed() >= SHORT);
        assert_eq!(ends[0], BarrierError::TimedOut);
        assert_eq!(ends[1..], [BarrierError::Broken; 2]);
        assert!(barrier.is_broken());
        assert_eq!(barrier.wait(), Err(BarrierError::Broken));
    });
}

#[test]
fn a_party_gives_up_also_while_somebody_has_been_stopped_inside() {
    watched(|| {
        let barrier = Barrier::new(2).unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| barrier.wait());
            until(|| barrier.waiting() == 1);
            let inside = barrier.room().enter(Deadline::NEVER).unwrap();
            let late = scope.spawn(|| barrier.wait_timeout(SHORT));
            assert_eq!(late.join().unwrap(), Err(BarrierError::TimedOut));
            assert!(barrier.is_broken());
            drop(inside);
            assert_eq!(waiter.join().unwrap(), Err(BarrierError::Broken));
        });
        barrier.reset().unwrap();
        assert!(!barrier.is_broken());
    });
}

#[test]
fn what_does_not_fit_is_refused() {
    let array = crate::wire::Handle::from(std::os::fd::OwnedFd::from(
        std::fs::File::open("/dev/null").unwrap(),
    ));
    let mut bytes = Vec::new();
    let (_, descriptors) = handles::collect(|| encode(&array, &mut bytes));
    assert!(handles::provide(&descriptors, || decode::<Lock>(&bytes)).is_err());
    assert!(decode::<Lock>(&bytes).is_err());
    assert!(encode(&Lock::new().unwrap(), &mut bytes).is_err());
}

/// What one may do with a semaphore, without waiting.
#[derive(Clone, Copy, Debug)]
enum Step {
    Acquire,
    Drop,
    Forget,
    Release(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Acquire),
        Just(Step::Drop),
        Just(Step::Forget),
        (0_u64..4).prop_map(Step::Release),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_semaphore_is_a_number(permits in 0_u64..5, steps in steps()) {
        let semaphore = BoundedSemaphore::new(permits).unwrap();
        let other = twin(&semaphore);
        let (mut value, mut held) = (permits, Vec::new());
        for (number, step) in steps.into_iter().enumerate() {
            let semaphore = if number % 2 == 0 { &semaphore } else { &other };
            match step {
                Step::Acquire => match semaphore.try_acquire() {
                    Ok(permit) => {
                        value = value.checked_sub(1).unwrap();
                        held.push(permit);
                    }
                    Err(error) => prop_assert_eq!((error, value), (WaitError::WouldBlock, 0)),
                },
                Step::Drop => value = (value + u64::from(held.pop().is_some())).min(permits),
                Step::Forget => drop(held.pop().map(Permit::forget)),
                Step::Release(count) => {
                    let fits = value + count <= permits;
                    prop_assert_eq!(semaphore.release_many(count).is_ok(), fits);
                    value += if fits { count } else { 0 };
                }
            }
            prop_assert_eq!(semaphore.value(), value);
        }
    }
}

/// Another thread's lock is open to a process that is forked off meanwhile as to any other; the forking thread's own is broken there, and for nobody else.
#[cfg(not(loom))]
#[test]
fn locks_that_are_held_during_a_fork() {
    watched(|| {
        let (of_thread, own) = (Lock::new().unwrap(), Lock::new().unwrap());
        let [released, tried, right] = [(); 3].map(|()| Event::new().unwrap());
        let (is_held, held) = mpsc::channel();
        let (let_go, go) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let of_thread = &of_thread;
            scope.spawn(move || {
                let guard = of_thread.lock().unwrap();
                is_held.send(()).unwrap();
                go.recv().unwrap();
                drop(guard);
                // It lives on.
                go.recv().unwrap();
            });
            held.recv().unwrap();
            let guard = own.lock().unwrap();
            let forked = crate::sys::Forked::new(|| {
                released.wait().unwrap();
                let is_broken = |lock: &Lock| matches!(lock.lock(), Err(LockError::Broken));
                let own = &own;
                // Also in what that forks off, and for another thread that comes first.
                let again = crate::sys::in_a_fork(|| is_broken(own));
                let other = thread::scope(|scope| scope.spawn(|| is_broken(own)).join());
                let is_open = of_thread.lock().is_ok();
                if other.unwrap() && is_open && is_broken(own) && again == 0 {
                    right.set().unwrap();
                }
                tried.set().unwrap();
            });
            drop(guard);
            let_go.send(()).unwrap();
            released.set().unwrap();
            tried.wait().unwrap();
            assert!(right.is_set());
            // They are still there.
            drop(of_thread.lock().unwrap());
            drop(own.lock().unwrap());
            drop(forked);
            let_go.send(()).unwrap();
        });
    });
}
