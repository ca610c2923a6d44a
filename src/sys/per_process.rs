//! What a process has one of, behind a lock.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::host::Home;
use crate::primitives::plain::{Mutex, MutexGuard, lock};

/// A value behind a lock, one for each process: one that is forked off begins with another one. So it is no matter whether a thread of its parent's held the
/// lock at that moment, which nobody would ever open there. What the parent had in it is left alone, and not even dropped.
pub(crate) struct PerProcess<T: 'static> {
    new: fn() -> T,
    /// Of this process, or of one that it was forked off from, or null. What it points to was leaked, and is there for good.
    current: AtomicPtr<Own<T>>,
}

struct Own<T> {
    home: Home,
    value: Mutex<T>,
}

impl<T: Send + 'static> PerProcess<T> {
    pub(crate) const fn new(new: fn() -> T) -> Self {
        Self {
            new,
            current: AtomicPtr::new(ptr::null_mut()),
        }
    }

    pub(crate) fn lock(&'static self) -> MutexGuard<'static, T> {
        loop {
            let current = self.current.load(Ordering::Acquire);
            // SAFETY: it is null, or was made by `Box::leak` in `begin`, whose release store this has acquired: it is whole, never freed, and only ever shared.
            let own: Option<&'static Own<T>> = unsafe { current.as_ref() };
            match own {
                Some(own) if !own.home.is_elsewhere() => return lock(&own.value),
                _ => self.begin(current),
            }
        }
    }

    /// The first time in this process.
    #[cold]
    fn begin(&'static self, before: *mut Own<T>) {
        let own = Box::leak(Box::new(Own {
            home: Home::here(),
            value: Mutex::new((self.new)()),
        }));
        // Of two threads that come at once, the second one's is never used. It is as large as an empty value, and lost.
        let _ = self
            .current
            .compare_exchange(before, own, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// How a process ends that is forked off and does this: 0 is that it was true.
#[cfg(all(test, not(loom)))]
pub(crate) fn in_a_fork(run: impl FnOnce() -> bool) -> i32 {
    Forked::new(|| super::end_now(i32::from(!run()))).end()
}

/// A process that is forked off and does something. Dropping it kills it.
#[cfg(all(test, not(loom)))]
pub(crate) struct Forked(libc::pid_t);

#[cfg(all(test, not(loom)))]
impl Forked {
    /// When it has done this, it is there and does nothing.
    pub(crate) fn new(run: impl FnOnce()) -> Self {
        // SAFETY: the child allocates, which the C library makes safe after a fork, takes no lock that another thread may hold, and never returns.
        // https://man7.org/linux/man-pages/man2/fork.2.html
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "no process");
        if child == 0 {
            // Should it hang, this ends it: no handler of ours is set.
            // SAFETY: it has no arguments that could be wrong.
            unsafe { libc::alarm(20) };
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err() {
                super::end_now(101);
            }
            loop {
                // SAFETY: as above.
                unsafe { libc::pause() };
            }
        }
        Self(child)
    }

    /// How it ended; waits for that.
    fn end(self) -> i32 {
        let status = self.wait();
        std::mem::forget(self);
        status
    }

    fn wait(&self) -> i32 {
        let mut status = 0;
        // SAFETY: `status` is valid for the write.
        let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        assert_eq!(waited, self.0);
        status
    }
}

#[cfg(all(test, not(loom)))]
impl Drop for Forked {
    fn drop(&mut self) {
        // SAFETY: it has not been waited for, so this is still its number.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        self.wait();
    }
}

/// From now on no more descriptors can be had, until what this returns is dropped. Only where the process has nobody else who needs some: in a fork.
#[cfg(all(test, not(loom)))]
pub(crate) fn use_up_descriptors() -> Vec<std::fs::File> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let few = Rlimit {
        current: Some(256),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, few).expect("a lower limit");
    std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_during_a_fork_is_open_in_the_new_process() {
        static VALUE: PerProcess<Vec<u32>> = PerProcess::new(Vec::new);
        VALUE.lock().push(1);
        let held = VALUE.lock();
        let status = in_a_fork(|| {
            let is_new = VALUE.lock().is_empty();
            VALUE.lock().push(2);
            let is_kept = *VALUE.lock() == [2];
            is_new && is_kept && in_a_fork(|| VALUE.lock().is_empty()) == 0
        });
        assert_eq!(status, 0);
        drop(held);
        assert_eq!(*VALUE.lock(), [1]);
    }
}
