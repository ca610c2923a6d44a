//! What was chosen, checked, in the terms of those who go by it.

use std::time::Duration;

use super::super::output::Stdio;
use super::ProcessPoolExecutorBuilder;
use crate::error::BuildError;
use crate::executor::defaults::default_workers;
use crate::scheduler::{Grace, Policy, Recycling};
use crate::sys;
use crate::worker;

/// The most workers that one pool may have.
pub(super) const MAX_WORKERS: usize = 4096;

/// `max_frame` may not be so small that an error message does not fit.
const MIN_FRAME: u64 = 4096;

/// Refuses bounds for the number of workers that cannot be.
pub(in crate::executor::process) fn check_workers(
    min_workers: usize,
    max_workers: usize,
) -> Result<(), BuildError> {
    if max_workers == 0 || max_workers > MAX_WORKERS {
        return BuildError::refuse("max_workers", "from 1 to 4096", max_workers);
    }
    if min_workers > max_workers {
        return BuildError::refuse(
            "min_workers",
            "no more than `max_workers`",
            format!("{min_workers} with {max_workers}"),
        );
    }
    Ok(())
}

impl ProcessPoolExecutorBuilder {
    /// What the scheduler goes by.
    pub(super) fn policy(&self) -> Result<Policy, BuildError> {
        let max_workers = self
            .max_workers
            .unwrap_or_else(|| default_workers().max(self.min_workers.unwrap_or(0)));
        let min_workers = self.min_workers.unwrap_or(match self.idle_timeout {
            Some(_) => 1,
            None => max_workers,
        });
        check_workers(min_workers, max_workers)?;
        Ok(Policy {
            min_workers,
            max_workers,
            idle_timeout_ns: limit("idle_timeout", self.idle_timeout)?,
            recycling: Recycling {
                max_tasks: BuildError::refuse_zero(
                    "max_tasks_per_child",
                    self.max_tasks_per_child,
                )?,
                max_resident_kib: kib("max_memory_per_child", self.max_memory_per_child)?,
                max_growth_kib: kib("max_growth_per_child", self.max_growth_per_child)?,
                max_age_ns: limit("max_age_per_child", self.max_age_per_child)?,
            },
            prefetch: !self.is_captured(),
            grace: Grace {
                cancel_ns: nanoseconds(self.cancel_grace),
                terminate_ns: nanoseconds(self.terminate_grace),
            },
            max_restarts: self.max_restarts,
        })
    }

    /// Whether lines are cut out of a stream, and counted to the task that runs.
    pub(super) fn is_captured(&self) -> bool {
        [self.stdout, self.stderr].contains(&Stdio::Capture)
    }

    /// Everything else.
    pub(super) fn check(&self) -> Result<(), BuildError> {
        if self.max_pending == 0 {
            return BuildError::refuse("max_pending", "at least 1", 0);
        }
        if self.max_frame < MIN_FRAME || self.max_frame > isize::MAX as u64 {
            return BuildError::refuse(
                "max_frame",
                "from 4096 to isize::MAX bytes",
                self.max_frame,
            );
        }
        limit("timeout", self.timeout)?;
        limit("deadline", self.deadline)?;
        limit("start_timeout", Some(self.start_timeout))?;
        limit("initializer_timeout", self.initializer_timeout)?;
        limit("exit_grace", Some(self.exit_grace))?;
        if !sys::can_be_handled(self.terminate_signal) {
            let must_be = "from 1 to 31, and neither SIGKILL (9) nor SIGSTOP (19)";
            return BuildError::refuse("terminate_signal", must_be, self.terminate_signal);
        }
        worker::check_environment(&self.environment)?;
        match (&self.on_output, self.is_captured()) {
            (None, true) => {
                BuildError::refuse("on_output", "set where a stream is captured", "nothing")
            }
            (Some(_), false) => {
                let must_be = "left alone where neither `stdout` nor `stderr` is captured";
                BuildError::refuse("on_output", must_be, "set")
            }
            _ => Ok(()),
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A limit of time: zero is refused.
fn limit(parameter: &'static str, time: Option<Duration>) -> Result<Option<u64>, BuildError> {
    match time {
        Some(Duration::ZERO) => BuildError::refuse(parameter, "longer than zero", "0 s"),
        _ => Ok(time.map(nanoseconds)),
    }
}

/// A limit of memory, in bytes: what is less than a KiB, or no whole number of them, is rounded up.
fn kib(parameter: &'static str, bytes: Option<u64>) -> Result<Option<u64>, BuildError> {
    Ok(BuildError::refuse_zero(parameter, bytes)?.map(|bytes| bytes.div_ceil(1024)))
}
