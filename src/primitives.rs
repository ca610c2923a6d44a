//! Locks and atomics: the standard library's, or loom's when a model is checked.
//!
//! Only the modules whose races are given to loom (`future`, `page`, the reading token, the turn of `pipe`) take theirs
//! from here. `RUSTFLAGS="--cfg loom" cargo test --lib --release loom` runs the models.

use std::sync::PoisonError;
use std::time::Instant;

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, OnceLock, TryLockError, Weak,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence},
};
// `Arc` stays the standard library's: loom's has no `Weak`, and no race of ours is about the count.
#[cfg(loom)]
pub(crate) use std::sync::{Arc, TryLockError, Weak};

#[cfg(loom)]
pub(crate) use self::once::OnceLock;

/// Locks, also after a panic of another holder: what our locks guard is valid between any two
/// statements that can panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks if nobody holds it.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Parks on `condvar` until it is notified or `deadline` has passed (`None` is never), or for no
/// reason at all: look at the condition again in either case. `None` is returned, and the lock
/// given up, if `deadline` had passed already.
pub(crate) fn park<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    deadline: Option<Instant>,
) -> Option<MutexGuard<'a, T>> {
    let Some(deadline) = deadline else {
        return Some(condvar.wait(guard).unwrap_or_else(PoisonError::into_inner));
    };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return None;
    }
    let (guard, _) = condvar
        .wait_timeout(guard, left)
        .unwrap_or_else(PoisonError::into_inner);
    Some(guard)
}

/// The standard library's `OnceLock` with what loom must see of it: who sets first, and what a
/// reader that finds a value may rely on.
#[cfg(loom)]
mod once {
    use super::{AtomicU32, Mutex, Ordering, lock};

    #[derive(Debug)]
    pub(crate) struct OnceLock<T> {
        setting: Mutex<()>,
        is_set: AtomicU32,
        value: std::sync::OnceLock<T>,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            Self {
                setting: Mutex::new(()),
                is_set: AtomicU32::new(0),
                value: std::sync::OnceLock::new(),
            }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            if self.is_set.load(Ordering::Acquire) == 0 {
                None
            } else {
                self.value.get()
            }
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            let _setting = lock(&self.setting);
            self.value.set(value)?;
            self.is_set.store(1, Ordering::Release);
            Ok(())
        }
    }
}

/// Locks that no model is about: the standard library's, also under loom.
pub(crate) mod plain {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

    /// As [`super::lock`].
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Runs a test that may not take for ever.
#[cfg(test)]
pub(crate) fn watched(test: impl FnOnce() + Send + 'static) {
    use std::sync::mpsc;
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

    // For tools that make all of it slow.
    let patience = std::env::var("PROCESSION_TEST_PATIENCE").ok();
    let limit = LIMIT * patience.map_or(1, |times| times.parse().expect("a whole number"));
    let (done, is_done) = mpsc::channel();
    let test = std::thread::spawn(move || {
        let _done = done; // Dropped also by a panic.
        test();
    });
    if is_done.recv_timeout(limit) == Err::<(), _>(mpsc::RecvTimeoutError::Timeout) {
        eprintln!("a test has taken longer than {limit:?}");
        std::process::abort();
    }
    if let Err(panic) = test.join() {
        std::panic::resume_unwind(panic);
    }
}
