//! The monotonic clock, as a number that two processes can compare.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

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

/// The moment at which an operation gives up, however many waits it consists of: on `CLOCK_MONOTONIC`, which all
/// processes of this machine share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(u64);

impl Deadline {
    /// Later than any clock goes.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// So long from now. What is beyond the clock's range (584 years after the start of the machine) is never.
    pub(crate) fn after(timeout: Duration) -> Self {
        let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        Self(monotonic_ns().saturating_add(timeout))
    }

    /// Whether it is over. Costs no system call.
    pub(crate) fn has_passed(self) -> bool {
        self != Self::NEVER && monotonic_ns() >= self.0
    }

    /// As the system calls want it; `None` is never.
    pub(super) fn timespec(self) -> Option<Timespec> {
        (self != Self::NEVER).then(|| Timespec {
            tv_sec: i64::try_from(self.0 / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: (self.0 % 1_000_000_000) as _,
        })
    }

    /// As the C library wants it: seconds and nanoseconds.
    pub(super) fn seconds(self) -> (libc::time_t, libc::c_long) {
        split(self.0)
    }

    /// The same, on `CLOCK_REALTIME`: as far from its now as this is from ours.
    pub(super) fn on_clock_of_the_day(self) -> (libc::time_t, libc::c_long) {
        let left = self.0.saturating_sub(monotonic_ns());
        let now = clock_gettime(ClockId::Realtime);
        let now = (now.tv_sec as u64)
            .saturating_mul(1_000_000_000)
            .saturating_add(now.tv_nsec as u64);
        split(now.saturating_add(left))
    }
}

fn split(ns: u64) -> (libc::time_t, libc::c_long) {
    let seconds = libc::time_t::try_from(ns / 1_000_000_000).unwrap_or(libc::time_t::MAX);
    (seconds, (ns % 1_000_000_000) as libc::c_long)
}
