//! Defaults that executors share.

/// How many tasks may be pending unless something else is asked for: far more than keeps any machine
/// busy, and few enough that a million small tasks do not pile up in memory.
pub(crate) const DEFAULT_MAX_PENDING: usize = 65_536;

/// The longest payload unless something else is asked for: a sanity limit, since memory is only taken
/// for bytes that have come.
pub(crate) const DEFAULT_MAX_FRAME: u64 = 4 << 30;

/// How many workers an executor has unless something else is asked for: the physical cores that this
/// process may use, less one for the driver, and at least one.
///
/// "May use" is bounded by the CPU affinity mask and by the cgroup's CPU quota (version 1 and 2,
/// rounded up), as the `num_cpus` crate reads them.
///
/// ```
/// assert!(procession::default_workers() >= 1);
/// ```
pub fn default_workers() -> usize {
    workers_for(num_cpus::get_physical(), num_cpus::get())
}

/// `usable` counts logical CPUs within affinity mask and quota.
fn workers_for(physical: usize, usable: usize) -> usize {
    physical.saturating_sub(1).min(usable).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_core_is_left_to_the_driver_and_one_worker_is_the_least() {
        assert_eq!(workers_for(8, 16), 7);
        assert_eq!(workers_for(8, 2), 2);
        assert_eq!(workers_for(1, 1), 1);
        assert_eq!(workers_for(0, 0), 1);
    }
}
