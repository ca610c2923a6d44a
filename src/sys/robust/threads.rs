//! The threads of this process, by numbers that are never used again, as the system's are.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::primitives::plain;

/// The threads that have used a lock and have not ended, by [`this_thread`].
static ALIVE: plain::Mutex<BTreeSet<u64>> = plain::Mutex::new(BTreeSet::new());

/// Takes the thread off that list when it ends.
struct AtEnd(u64);

impl Drop for AtEnd {
    fn drop(&mut self) {
        plain::lock(&ALIVE).remove(&self.0);
    }
}

/// A number for the calling thread, never 0.
#[inline]
pub(super) fn this_thread() -> u64 {
    // Without a destructor, so that it is there up to the very end of the thread.
    thread_local!(static NUMBER: Cell<u64> = const { Cell::new(0) });
    match NUMBER.get() {
        0 => {
            let number = begin_thread();
            NUMBER.set(number);
            number
        }
        number => number,
    }
}

#[cold]
fn begin_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    plain::lock(&ALIVE).insert(number);
    thread_local!(static AT_END: OnceCell<AtEnd> = const { OnceCell::new() });
    // A thread that begins with locks in its last destructors stays on the list.
    let _ = AT_END.try_with(|at_end| at_end.set(AtEnd(number)));
    number
}

#[cold]
pub(super) fn is_alive(thread: u64) -> bool {
    plain::lock(&ALIVE).contains(&thread)
}
