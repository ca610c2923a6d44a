//! A task as the pool keeps it from submission to its end.

use super::link::Payload;
use super::message::Item;
use crate::error::{EndOfWorker, TaskError, TaskId, WorkerLost};
use crate::executor::core::{Call, Promises, Shape};
use crate::executor::gate::Permit;
use crate::frame::Kind;
use crate::future::{Outcome, RawFuture};
use crate::registry::Function;
use crate::scheduler::Verdict;
use crate::wire::{ChunkReader, TaskFailure};

use std::time::Duration;

use smallvec::SmallVec;

/// Futures to be completed, once no lock is held.
pub(super) type Endings = SmallVec<[(RawFuture, Outcome); 2]>;

/// A pending task, or a pending chunk.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) function: &'static Function,
    pub(super) payload: Payload,
    shape: Shape,
    /// Set right after submission, before anything else can happen to the task.
    promises: Option<Promises>,
    /// Of a chunk: how many items have ended, from the first on.
    ended: usize,
    /// Of a chunk that has begun: no further item is to begin.
    pub(super) is_cancelled: bool,
    _permit: Permit,
}

/// A worker that has gone, as the errors of its tasks name it.
pub(super) struct Death<'a> {
    pub(super) pid: u32,
    pub(super) end: &'a EndOfWorker,
    pub(super) run_time: Option<Duration>,
}

impl Job {
    pub(super) fn new(call: Call, permit: Permit) -> Self {
        Self {
            function: call.function,
            payload: Payload::new(call.payload),
            shape: call.shape,
            promises: None,
            ended: 0,
            is_cancelled: false,
            _permit: permit,
        }
    }

    pub(super) fn promise(&mut self, promises: Promises) {
        self.promises = Some(promises);
    }

    pub(super) fn kind(&self) -> Kind {
        match self.shape {
            Shape::Task => Kind::Task,
            Shape::Chunk(_) => Kind::Chunk,
        }
    }

    /// The answer of a worker that lives on.
    pub(super) fn answer(
        &mut self,
        outcome: Result<Vec<u8>, TaskFailure>,
        pid: u32,
        max_frame: u64,
        endings: &mut Endings,
    ) {
        let outcome =
            outcome.map_err(|failure| failure.into_error(self.function.name, pid, max_frame));
        if let Some(Promises::One(future)) = self.promises.take() {
            endings.push((future, outcome));
        }
    }

    /// Some answers to a chunk; says what is wrong with them, in words that follow "because it sent".
    pub(super) fn answer_part(
        &mut self,
        first: u32,
        items: Vec<Item>,
        last: bool,
        pid: u32,
        max_frame: u64,
        endings: &mut Endings,
    ) -> Result<(), String> {
        let function = self.function.name;
        let Some(Promises::Many(futures)) = &self.promises else {
            return Err("a part of a task that is no chunk".into());
        };
        let end = self.ended + items.len();
        if first as usize != self.ended && !items.is_empty() {
            return Err(format!(
                "item {first} of a chunk when item {} was next",
                self.ended
            ));
        }
        if end > futures.len() || (last && end < futures.len()) {
            return Err(format!("{end} items of a chunk of {}", futures.len()));
        }
        for (future, item) in futures[self.ended..].iter().zip(items) {
            let outcome = match item {
                Item::Ended(outcome) => {
                    outcome.map_err(|failure| failure.into_error(function, pid, max_frame))
                }
                Item::Cancelled => Err(TaskError::Cancelled),
            };
            endings.push((future.clone(), outcome));
        }
        self.ended = end;
        Ok(())
    }

    /// Everything that has no answer ends like this.
    pub(super) fn end(&mut self, error: &TaskError, endings: &mut Endings) {
        match self.promises.take() {
            Some(Promises::One(future)) => endings.push((future, Err(error.clone()))),
            Some(Promises::Many(futures)) => {
                let left = futures.into_iter().skip(self.ended);
                endings.extend(left.map(|future| (future, Err(error.clone()))));
            }
            None => {}
        }
    }

    /// What becomes of it when the worker that had begun it has gone. `item` is where the status
    /// page says that a chunk had come to: a worker's word, believed only where it can be true.
    ///
    /// The item that ran is lost. So are those that had ended but not been sent. Those behind it
    /// have not begun, and go on elsewhere.
    pub(super) fn judge(
        &mut self,
        task: TaskId,
        item: u32,
        death: &Death<'_>,
        endings: &mut Endings,
    ) -> Verdict {
        let lost = TaskError::WorkerLost(WorkerLost {
            function: self.function.name.into(),
            task,
            pid: death.pid,
            end: death.end.clone(),
            run_time: death.run_time,
            may_have_run: true,
        });
        let Some(Promises::Many(futures)) = &mut self.promises else {
            self.end(&lost, endings);
            return Verdict::Begun;
        };
        let next = item as usize + 1;
        // At `ended` it is between two items: what it had begun has been answered.
        if next < self.ended || next >= futures.len() {
            self.end(&lost, endings);
            return Verdict::Begun;
        }
        endings.extend(
            futures
                .drain(..next)
                .skip(self.ended)
                .map(|future| (future, Err(lost.clone()))),
        );
        if self.is_cancelled {
            self.ended = 0;
            self.end(&TaskError::Cancelled, endings);
            return Verdict::Begun;
        }
        self.keep_items_from(next);
        Verdict::Continue
    }

    /// Drops the first items from the payload: what is left is a chunk of its own.
    fn keep_items_from(&mut self, next: usize) {
        let rest = ChunkReader::new(self.payload.bytes())
            .map(|items| Call::chunk(self.function, items.skip(next)));
        // The payload was written by `Call::chunk`.
        debug_assert!(rest.is_ok(), "a chunk of ours can be read");
        if let Ok(rest) = rest {
            self.shape = rest.shape;
            self.payload = Payload::new(rest.payload);
        }
        self.ended = 0;
    }
}

/// The run time that a status page tells, where it can be true.
pub(super) fn run_time(started_ns: u64, now_ns: u64) -> Option<Duration> {
    (started_ns != 0)
        .then(|| now_ns.checked_sub(started_ns).map(Duration::from_nanos))
        .flatten()
}
