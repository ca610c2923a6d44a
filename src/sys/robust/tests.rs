use std::sync::atomic::AtomicU32;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::sys::{futex_wait, futex_wake_all};

const SHORT: Duration = Duration::from_millis(20);

fn two() -> (Arc<LockedMapping>, Arc<LockedMapping>) {
    let (one, memory) = LockedMapping::create("procession-test", 64).unwrap();
    let other = LockedMapping::attach(&memory, 64).unwrap();
    (Arc::new(one), Arc::new(other))
}

fn word_of(mapping: &LockedMapping) -> &AtomicU32 {
    // SAFETY: as in `owner`.
    unsafe { mapping.mutex.byte_add(OWNER).cast().as_ref() }
}

/// Takes the lock, in a thread that ends with it.
fn die_with(mapping: &Arc<LockedMapping>) {
    let mapping = mapping.clone();
    let thread = thread::spawn(move || {
        std::mem::forget(mapping.lock(Deadline::NEVER).unwrap());
        this_thread()
    });
    let number = thread.join().unwrap();
    // It can be joined a moment before.
    while !is_gone(number) {
        thread::yield_now();
    }
}

fn is_mapped(memory: &OwnedFd) -> bool {
    let inode = rustix::fs::fstat(memory).unwrap().st_ino.to_string();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines()
        .any(|line| line.split_whitespace().nth(4) == Some(&*inode))
}

#[test]
fn one_holds_it_at_a_time_by_whatever_mapping() {
    let (one, other) = two();
    let counter = |mapping: &LockedMapping| mapping.u64_at(0).unwrap() as *const _ as usize;
    assert_ne!(counter(&one), counter(&other));
    thread::scope(|scope| {
        for mapping in [&one, &other, &one, &other] {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    let held = mapping.lock(Deadline::NEVER).unwrap();
                    assert!(!held.owner_died());
                    let count = held.mapping().u64_at(0).unwrap();
                    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(one.u64_at(0).unwrap().load(Ordering::Relaxed), 20_000);
    assert_eq!(one.owner(), None);
}

#[test]
fn who_holds_it_is_told() {
    let (one, other) = two();
    let held = one.try_lock().unwrap();
    let owner = other.owner().unwrap();
    assert!(owner.is_this_thread());
    assert_eq!(owner.process(), Some(std::process::id()));
    assert_ne!(owner.thread(), 0);
    drop(held);
    assert_eq!(other.owner(), None);
}

#[test]
fn a_second_lock_by_the_same_thread_is_an_error() {
    let (one, other) = two();
    let held = one.lock_owned(Deadline::NEVER).unwrap();
    for mapping in [&one, &other] {
        let again = mapping.lock(Deadline::NEVER).err();
        assert_eq!(again, Some(MutexError::HeldByThisThread));
        assert!(mapping.try_lock().is_err());
    }
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(one.try_lock().err(), Some(MutexError::TimedOut)));
        scope.spawn(|| assert_eq!(other.try_lock().err(), Some(MutexError::TimedOut)));
    });
    drop(held);
    drop(other.try_lock_owned().unwrap());
}

#[test]
fn a_deadline_ends_the_wait_and_not_before() {
    let (one, other) = two();
    let _held = one.lock(Deadline::NEVER).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            let refused = other.lock(Deadline::after(SHORT)).err();
            assert_eq!(refused, Some(MutexError::TimedOut));
            assert!(begun.elapsed() >= SHORT);
        });
    });
}

#[test]
fn the_death_of_an_owner_is_told_once() {
    for by_the_same_mapping in [true, false] {
        let (one, other) = two();
        die_with(&one);
        let next = if by_the_same_mapping { &one } else { &other };
        assert!(next.lock(Deadline::NEVER).unwrap().owner_died());
        for mapping in [&one, &other, &one] {
            assert!(!mapping.lock(Deadline::NEVER).unwrap().owner_died());
        }
    }
}

#[test]
fn the_death_of_an_owner_wakes_one_that_waits() {
    let (one, other) = two();
    let asks = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            std::mem::forget(one.lock(Deadline::NEVER).unwrap());
            while asks.load(Ordering::Acquire) == 0 {
                futex_wait(&asks, 0, Deadline::NEVER);
            }
        });
        while other.owner().is_none() {
            thread::yield_now();
        }
        let waiter = scope.spawn(|| other.lock(Deadline::NEVER).unwrap().owner_died());
        asks.store(1, Ordering::Release);
        futex_wake_all(&asks);
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn a_mapping_is_not_unmapped_while_a_thread_that_lives_has_its_lock() {
    let (mapping, memory) = LockedMapping::create("procession-test", 64).unwrap();
    std::mem::forget(mapping.lock(Deadline::NEVER).unwrap());
    drop(mapping);
    assert!(is_mapped(&memory));

    let (mapping, memory) = LockedMapping::create("procession-test", 64).unwrap();
    let mapping = Arc::new(mapping);
    die_with(&mapping);
    drop(mapping);
    assert!(!is_mapped(&memory));
}

#[test]
fn a_mapping_is_not_unmapped_while_the_last_destructors_of_its_thread_run() {
    /// Uses another lock, in a destructor that comes after all that this crate has.
    struct Late {
        forgotten: Option<LockedMapping>,
        memory: OwnedFd,
        other: LockedMapping,
    }
    impl Drop for Late {
        fn drop(&mut self) {
            drop(self.forgotten.take());
            assert!(is_mapped(&self.memory));
            // Its links, and those of the one before, are written to.
            drop(self.other.lock(Deadline::NEVER).unwrap());
            std::mem::forget(self.other.lock(Deadline::NEVER).unwrap());
        }
    }
    thread_local!(static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) });
    let thread = thread::spawn(|| {
        // Registered before this thread's first lock, and so run after what that registers.
        LATE.with(|late| assert!(late.borrow().is_none()));
        let (forgotten, memory) = LockedMapping::create("procession-test", 64).unwrap();
        std::mem::forget(forgotten.lock(Deadline::NEVER).unwrap());
        let (other, _) = LockedMapping::create("procession-test", 64).unwrap();
        let late = Late {
            forgotten: Some(forgotten),
            memory,
            other,
        };
        LATE.set(Some(late));
    });
    thread.join().unwrap();
}

#[test]
fn a_scribbled_word_is_an_error_and_no_worse() {
    let (one, other) = two();
    // Nobody holds it, but it says that somebody does.
    word_of(&one).store(0x3fff_fff0, Ordering::Relaxed);
    let refused = one.lock(Deadline::after(SHORT)).err();
    assert_eq!(refused, Some(MutexError::TimedOut));
    word_of(&one).store(0, Ordering::Relaxed);

    // Somebody holds it, but it says that nobody does: the second one is refused, and so are all from then on.
    let held = one.lock(Deadline::NEVER).unwrap();
    word_of(&one).store(0, Ordering::Relaxed);
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(one.try_lock().err(), Some(MutexError::Broken)));
    });
    drop(held);
    assert_eq!(one.try_lock().err(), Some(MutexError::Broken));

    // Another one's while it is held: it cannot be unlocked, and stays mapped.
    word_of(&one).store(0, Ordering::Relaxed);
    let held = other.lock(Deadline::NEVER).unwrap();
    word_of(&one).store(1, Ordering::Relaxed);
    drop(held);
    assert_eq!(other.try_lock().err(), Some(MutexError::Broken));

    // The lists of these threads are as good as ever.
    let (more, _) = two();
    for _ in 0..10 {
        drop(more.lock(Deadline::NEVER).unwrap());
    }
}

#[test]
fn a_file_for_another_length_is_refused() {
    let (_, memory) = LockedMapping::create("procession-test", 4090).unwrap();
    assert!(LockedMapping::attach(&memory, 4090).is_ok());
    assert!(LockedMapping::attach(&memory, 4000).is_ok());
    assert!(LockedMapping::attach(&memory, 4096).is_ok());
    assert!(LockedMapping::attach(&memory, 9000).is_err());
    assert!(LockedMapping::attach(&memory, usize::MAX).is_err());
    assert!(LockedMapping::create("procession-test", usize::MAX - 7).is_err());
}

#[test]
fn the_lock_is_beyond_what_callers_reach() {
    let len = 4096 - TRAILER;
    let (mapping, _) = LockedMapping::create("procession-test", len).unwrap();
    assert_eq!(mapping.file_len(), 4096);
    mapping.header().words[6].store(u64::MAX, Ordering::Relaxed);
    mapping.copy_in(0, &vec![0xff; len]).unwrap();
    assert!(mapping.copy_in(len, &[0xff]).is_err());
    assert_eq!(mapping.header().sequence.load(Ordering::Relaxed), 0);
    assert!(!mapping.lock(Deadline::NEVER).unwrap().owner_died());
}
