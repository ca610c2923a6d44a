//! What a worker tells of its memory, for the driver to replace it in time.

use crate::sys::MemoryGauge;

/// How often memory is measured at most, in nanoseconds: it costs a system call.
const MEASURE_INTERVAL_NS: u64 = 1_000_000;

/// How much memory this process has, if the driver wants to know.
pub(super) struct Memory {
    /// `None` if it does not.
    gauge: Option<MemoryGauge>,
    measured_ns: u64,
    kib: u64,
}

impl Memory {
    pub(super) fn of_this_process(is_told: bool) -> Self {
        Self {
            gauge: is_told.then(|| MemoryGauge::open().ok()).flatten(),
            measured_ns: 0,
            kib: 0,
        }
    }

    pub(super) fn kib(&mut self, now: u64) -> Option<u64> {
        let gauge = self.gauge.as_ref()?;
        if now.saturating_sub(self.measured_ns) >= MEASURE_INTERVAL_NS {
            self.kib = gauge.resident_kib().unwrap_or(0);
            self.measured_ns = now;
        }
        (self.kib > 0).then_some(self.kib)
    }
}
