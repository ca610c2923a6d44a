//! What the executors without processes share: running a call here, through the same bytes that
//! would have gone to a worker, so that what works here works there.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::{Promises, Work};
use super::gate::Permit;
use super::retry::Fault;
use crate::context;
use crate::error::{TaskError, TaskId, TimeLimit, TimeLimitKind};
use crate::future::Answers;
use crate::run;
use crate::wire::{ChunkReader, Encoded, TaskFailure, is_err};

/// A call, its futures and its permit.
#[derive(Debug)]
pub(super) struct LocalJob {
    pub(super) id: TaskId,
    pub(super) work: Work,
    pub(super) promises: Promises,
    pub(super) permit: Permit,
    pub(super) submitted: Instant,
}

/// What runs a job, as far as the job has to know.
pub(super) trait Runner: Send + Sync {
    fn max_frame(&self) -> u64;

    /// Whether the task is to go no further.
    fn is_cancelled(&self, task: TaskId) -> bool;

    /// Waits until this moment, `None` being never, unless the task is to go no further.
    fn pause(&self, task: TaskId, until: Option<Instant>);
}

impl LocalJob {
    /// Runs it and completes its futures.
    pub(super) fn run(self, runner: &Arc<impl Runner + 'static>) {
        let Self {
            id,
            work,
            promises,
            permit,
            submitted,
        } = self;
        let item = Item {
            id,
            work: &work,
            deadline: limit(work.options.deadline, submitted),
            runner,
        };
        match promises {
            Promises::One(future) => {
                let outcome = item.run(&work.payload);
                // First the permit, and the arguments' descriptors: whoever sees the end of the task may count on their room.
                drop((permit, work));
                future.complete(outcome);
            }
            Promises::Many(mut stage, _) => {
                let items = ChunkReader::new(&work.payload).into_iter().flatten();
                let mut items = (0..).zip(items).peekable();
                let mut permit = Some(permit);
                while let Some((number, arguments)) = items.next() {
                    let outcome = if runner.is_cancelled(id) {
                        Err(TaskError::Cancelled {
                            may_have_run: false,
                        })
                    } else {
                        item.run(arguments)
                    };
                    let next = items.peek().map(|_| stage.successor());
                    let mut answers = Answers {
                        next: next.clone(),
                        ..Answers::default()
                    };
                    match outcome {
                        Ok(result) => answers.push_result(number, result),
                        Err(error) => answers.push_error(number, error),
                    }
                    let Some(next) = next else {
                        drop(permit.take());
                        return stage.complete(answers);
                    };
                    std::mem::replace(&mut stage, next).complete(answers);
                }
            }
        }
    }

    /// Its place among those that wait: by priority, then by submission.
    pub(super) fn place(&self) -> (Reverse<i32>, TaskId) {
        (Reverse(self.work.options.priority), self.id)
    }

    /// It is about to be ended as cancelled, without having run.
    pub(super) fn announce_cancelled(&self) {
        if let Promises::One(future) = &self.promises {
            future.announce_cancelled(false);
        }
    }

    /// Ends it without running it.
    pub(super) fn end(self, error: &TaskError) {
        drop(self.permit);
        match self.promises {
            Promises::One(future) => {
                future.complete(Err(error.clone()));
            }
            Promises::Many(stage, count) => {
                let mut answers = Answers::default();
                (0..count).for_each(|item| answers.push_error(item, error.clone()));
                stage.complete(answers);
            }
        }
    }
}

/// The moment at which a limit passes that counts from `since`.
fn limit(limit: Option<Option<Duration>>, since: Instant) -> Option<Instant> {
    since.checked_add(limit.flatten()?)
}

/// How much time is left until this moment, `None` being never; `None` if none is.
pub(super) fn left_until(until: Option<Instant>) -> Option<Duration> {
    let Some(until) = until else {
        return Some(Duration::MAX);
    };
    let left = until.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(left)
}

/// One call of a job.
struct Item<'a, R> {
    id: TaskId,
    work: &'a Work,
    deadline: Option<Instant>,
    runner: &'a Arc<R>,
}

impl<R: Runner + 'static> Item<'_, R> {
    /// Runs it, as often as was asked for.
    fn run(&self, arguments: &[u8]) -> Result<Encoded, TaskError> {
        let mut tried = 0;
        loop {
            if self
                .deadline
                .is_some_and(|deadline| deadline <= Instant::now())
            {
                return Err(self.overdue(tried));
            }
            tried += 1;
            let outcome = self.attempt(arguments);
            let retry = self.work.options.retry.as_ref();
            let fault = self.fault(&outcome);
            // Whichever way it ends, what was to stop is not tried again.
            let fault = fault.filter(|_| !self.runner.is_cancelled(self.id));
            let pause = retry.zip(fault);
            let Some(pause) = pause.and_then(|(retry, fault)| retry.pause_after(tried, fault))
            else {
                let pid = std::process::id();
                return outcome.map_err(|failure| {
                    failure.into_error(self.work.function.name, pid, self.runner.max_frame())
                });
            };
            let until = [Instant::now().checked_add(pause), self.deadline];
            self.runner
                .pause(self.id, until.into_iter().flatten().min());
            if self.runner.is_cancelled(self.id) {
                return Err(TaskError::Cancelled { may_have_run: true });
            }
        }
    }

    fn attempt(&self, arguments: &[u8]) -> Result<Encoded, TaskFailure> {
        let (runner, id) = (self.runner.clone(), self.id);
        let limits = [
            self.deadline,
            limit(self.work.options.timeout, Instant::now()),
        ];
        let asked = move || {
            let is_over = |limit: Instant| limit <= Instant::now();
            runner.is_cancelled(id) || limits.into_iter().flatten().any(is_over)
        };
        let mut bytes = Vec::new();
        let handles = self.work.handles.clone();
        let handles = context::run_asking(Arc::new(asked), || {
            run::run(self.work.function, arguments.into(), handles, &mut bytes)
        })?;
        let size = bytes.len() as u64;
        if size <= self.runner.max_frame() {
            Ok(Encoded { bytes, handles })
        } else {
            Err(TaskFailure::ResultTooLarge { size })
        }
    }

    fn fault(&self, outcome: &Result<Encoded, TaskFailure>) -> Option<Fault> {
        match outcome {
            Err(TaskFailure::Panicked { .. }) => Some(Fault::Panic),
            Ok(result) if self.work.function.returns_result && is_err(&result.bytes) => {
                Some(Fault::Error)
            }
            _ => None,
        }
    }

    fn overdue(&self, tried: u32) -> TaskError {
        TaskError::TimeLimit(Box::new(TimeLimit {
            function: self.work.function.name.into(),
            task: self.id,
            kind: TimeLimitKind::Deadline,
            limit: self.work.options.deadline.flatten().unwrap_or_default(),
            pid: None,
            run_time: None,
            attempts: tried,
            last_words: None,
            may_have_run: tried > 0,
        }))
    }
}
