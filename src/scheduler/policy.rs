//! What a pool was told when it was built, and a task when it was submitted, as far as the scheduler decides by it.

use std::num::NonZeroU64;

/// How many workers there are, how long they last, and how patient one is with them.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// How many workers there are at least, and from the start.
    pub(crate) min_workers: usize,
    /// How many workers may run tasks at a time.
    pub(crate) max_workers: usize,
    /// How long a worker beyond the least number may be idle.
    pub(crate) idle_timeout_ns: Option<u64>,
    pub(crate) recycling: Recycling,
    /// Whether tasks may be sent to a worker that has one.
    pub(crate) prefetch: bool,
    pub(crate) grace: Grace,
    /// How many workers in a row may go before anything was finished, or begun, until the pool counts
    /// as broken; one more for every worker beyond the first, so that an idle pool survives when all of
    /// its workers are killed at once.
    pub(crate) max_restarts: u32,
}

/// When a worker is replaced though nothing is wrong with it: between two tasks, whatever comes first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recycling {
    /// After so many tasks.
    pub(crate) max_tasks: Option<u32>,
    /// When it has so much memory.
    pub(crate) max_resident_kib: Option<u64>,
    /// When it has so much more memory than after its first task.
    pub(crate) max_growth_kib: Option<u64>,
    /// So long after its start.
    pub(crate) max_age_ns: Option<u64>,
}

/// How long each step of an end lasts before the next: see `limits.rs`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Grace {
    /// From the flag to the first signal.
    pub(crate) cancel_ns: u64,
    /// From the first signal to the last.
    pub(crate) terminate_ns: u64,
}

/// What is known of a task beside its job.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// Names the estimate that the task's run time is counted to: a small number.
    pub(crate) function: u32,
    /// How many items it has beside the first, if it is a chunk; each is a run of the function.
    pub(crate) more_items: u32,
    /// Those of a higher priority are begun first.
    pub(crate) priority: i32,
    /// It is not to wait behind another in a worker, nor another behind it: what its descriptors are the ends of would be kept open there.
    pub(crate) is_alone: bool,
    /// How long it may run; of a chunk, each item.
    pub(crate) timeout_ns: Option<NonZeroU64>,
    /// When it must have ended.
    pub(crate) deadline_ns: Option<NonZeroU64>,
}

impl Policy {
    /// A fixed number of workers, and nothing else.
    #[cfg(test)]
    pub(crate) fn of(workers: usize) -> Self {
        Self {
            min_workers: workers,
            max_workers: workers,
            idle_timeout_ns: None,
            recycling: Recycling::default(),
            prefetch: true,
            grace: Grace::default(),
            max_restarts: 5,
        }
    }
}
