//! The monotonic clock, as a number that two processes can compare.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`: the same clock in every process of this machine, which
/// `std::time::Instant` does not let one read as a number.
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(now.tv_nsec as u64)
}

/// The instant at which `timeout` from now is over; `None` when that is beyond the clock's range,
/// which no caller lives to see.
pub(crate) fn deadline_after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// The instant at which [`monotonic_ns`] says this; `None` when that is beyond the clock's range.
pub(crate) fn instant_at(ns: u64) -> Option<Instant> {
    deadline_after(Duration::from_nanos(ns.saturating_sub(monotonic_ns())))
}
