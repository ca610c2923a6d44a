//! How a job ends that has no result, in the caller's terms.

use std::sync::Arc;
use std::time::Duration;

use super::{Endings, Job};
use crate::error::{EndOfWorker, TaskError, TaskId, TimeLimit, TimeLimitKind, WorkerLost};
use crate::executor::process::message::Failure;
use crate::scheduler::{Again, Cause};
use crate::sys;

/// A worker that has gone, as the errors of its tasks name it.
#[derive(Clone, Debug)]
pub(in crate::executor::process) struct Death {
    pub(in crate::executor::process) pid: u32,
    pub(in crate::executor::process) end: EndOfWorker,
    pub(in crate::executor::process) run_time: Option<Duration>,
    pub(in crate::executor::process) peak_memory: Option<u64>,
    pub(in crate::executor::process) last_words: Option<Arc<str>>,
}

impl Death {
    /// Of a worker that had no process.
    pub(in crate::executor::process) fn of_nobody() -> Self {
        Self {
            pid: 0,
            end: EndOfWorker::Unknown,
            run_time: None,
            peak_memory: None,
            last_words: None,
        }
    }
}

impl Job {
    /// One answer to all items of a chunk, of which none has begun.
    pub(in crate::executor::process) fn refuse(
        &mut self,
        failure: Failure,
        pid: u32,
        max_frame: u64,
        endings: &mut Endings,
    ) {
        let error = failure.into_error(self.function.name, pid, max_frame);
        self.end(&error, endings);
    }

    /// The error of a task that ran when its worker went.
    pub(super) fn end_of(
        &self,
        task: TaskId,
        tried: u32,
        death: &Death,
        cause: Option<Cause>,
    ) -> TaskError {
        let kind = match cause {
            None => return TaskError::WorkerLost(Box::new(self.lost(task, tried, death))),
            Some(Cause::Killed) => {
                return TaskError::Killed(Box::new(self.lost(task, tried, death)));
            }
            Some(Cause::Timeout) => TimeLimitKind::Timeout,
            Some(Cause::Deadline) => TimeLimitKind::Deadline,
        };
        self.time_limit(task, kind, Some((tried, death)))
    }

    pub(super) fn lost(&self, task: TaskId, tried: u32, death: &Death) -> WorkerLost {
        WorkerLost {
            function: self.function.name.into(),
            task,
            pid: death.pid,
            end: death.end.clone(),
            run_time: death.run_time,
            attempts: tried,
            peak_memory: death.peak_memory,
            last_words: death.last_words.clone(),
            may_have_run: tried > 0,
        }
    }

    /// `begun` is how often, and the worker that was ended for it.
    pub(super) fn time_limit(
        &self,
        task: TaskId,
        kind: TimeLimitKind,
        begun: Option<(u32, &Death)>,
    ) -> TaskError {
        let extras = self.extras.as_ref();
        let limit = extras.and_then(|extras| match kind {
            TimeLimitKind::Timeout => extras.timeout,
            TimeLimitKind::Deadline => extras.deadline,
        });
        TaskError::TimeLimit(Box::new(TimeLimit {
            function: self.function.name.into(),
            task,
            kind,
            limit: limit.unwrap_or_default(),
            pid: begun.map(|(_, death)| death.pid),
            run_time: begun.and_then(|(_, death)| death.run_time),
            attempts: begun.map_or(0, |(tried, _)| tried),
            last_words: begun.and_then(|(_, death)| death.last_words.clone()),
            may_have_run: begun.is_some(),
        }))
    }
}

/// The error of a task that had not begun, but had been tried so often before.
pub(super) fn after_attempts(error: &TaskError, tried: u32) -> TaskError {
    let mut error = error.clone();
    if tried > 0 {
        match &mut error {
            TaskError::Cancelled { may_have_run }
            | TaskError::ShutDown { may_have_run }
            | TaskError::Broken { may_have_run, .. } => *may_have_run = true,
            TaskError::TimeLimit(limit) => {
                limit.attempts = limit.attempts.max(tried);
                limit.may_have_run = true;
            }
            _ => {}
        }
    }
    error
}

pub(super) fn again(pause: Duration, items: u32) -> Again {
    Again {
        pause_ns: u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX),
        items,
    }
}

/// The run time that a status page tells, where it can be true.
pub(in crate::executor::process) fn run_time(started_ns: u64, now_ns: u64) -> Option<Duration> {
    (started_ns != 0)
        .then(|| now_ns.checked_sub(started_ns).map(Duration::from_nanos))
        .flatten()
}

/// How a process ended, in the caller's words.
pub(in crate::executor::process) fn end_of_worker(
    end: sys::End,
    malformed: Option<&Arc<str>>,
) -> EndOfWorker {
    match (malformed, end) {
        (Some(what), _) => EndOfWorker::Malformed(what.clone()),
        (None, sys::End::Exited(code)) => EndOfWorker::Exited(code),
        (None, sys::End::Signalled(signal)) => EndOfWorker::Signalled(signal),
        (None, sys::End::Unknown) => EndOfWorker::Unknown,
    }
}
