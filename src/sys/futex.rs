//! Sleeping on a word of shared memory, and waking those who do.
//!
//! <https://man7.org/linux/man-pages/man2/futex.2.html>

use std::num::NonZeroU32;
use std::sync::atomic::AtomicU32;

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags};

use super::clock::Deadline;

/// Those of all processes that map the word, not of this one alone.
const SHARED: Flags = Flags::empty();

const ANY: NonZeroU32 = NonZeroU32::MAX;

/// Sleeps while `word` is `expected`, until it is woken; says `false` if `deadline` passes before that.
/// May also return for no reason: look at the state again.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, deadline: Deadline) -> bool {
    let until = deadline.timespec();
    // With a bit set the time is absolute, and on `CLOCK_MONOTONIC`.
    let woken = futex::wait_bitset(word, SHARED, expected, until.as_ref(), ANY);
    // Whatever else it says (the word had another value, a signal came) is a reason to look again.
    woken != Err(Errno::TIMEDOUT)
}

/// Wakes all who sleep on `word`, in every process.
pub(crate) fn futex_wake_all(word: &AtomicU32) {
    // It fails only for addresses that are none.
    let _ = futex::wake(word, SHARED, i32::MAX as u32);
}
