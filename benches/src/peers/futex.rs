//! A bare futex in shared memory: what a lock between processes cannot be faster than. It does not notice that its owner has died.

use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::futex;

const FREE: u32 = 0;
const TAKEN: u32 = 1;
/// Taken, and somebody waits.
const AWAITED: u32 = 2;

/// Takes the lock, runs this, and releases it.
#[inline]
pub fn with_lock(word: &AtomicU32, run: impl FnOnce()) {
    let flags = futex::Flags::empty();
    let free = word.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed);
    if free.is_err() {
        while word.swap(AWAITED, Ordering::Acquire) != FREE {
            // It may have been released by now, or a signal came: it is looked at again.
            let _ = futex::wait(word, flags, AWAITED, None);
        }
    }
    run();
    if word.swap(FREE, Ordering::Release) == AWAITED {
        let _ = futex::wake(word, flags, 1);
    }
}
