//! A task as the pool keeps it from submission to its end.

mod chunk;
mod ends;

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use self::chunk::Chunk;
pub(super) use self::ends::{Death, end_of_worker, run_time};
use self::ends::{after_attempts, again};
use super::link::Payload;
use super::message::{Failure, Part, Run};
use crate::error::{TaskError, TaskId, TimeLimitKind};
use crate::executor::core::{Promises, Work};
use crate::executor::gate::Permit;
use crate::executor::retry::{Fault, Retry};
use crate::frame::{FLAG_PROMPT, Header, Kind};
use crate::future::{Answer, Answers, Outcome, RawFuture, Stage};
use crate::registry::Function;
use crate::scheduler::{Again, Cause, Divided, Verdict};
use crate::wire::{Encoded, Handles, TaskFailure, is_err};

/// What is to be told, once no lock is held.
pub(super) type Endings = SmallVec<[Ending; 2]>;

/// The end of a task, or of some items of a chunk.
#[derive(Debug)]
pub(super) enum Ending {
    Task(RawFuture, Outcome),
    Items(Stage, Box<Answers>),
}

impl Ending {
    /// Whether it is the work of a caller alone.
    pub(super) fn is_cancelled(&self) -> bool {
        let is_cancelled = |error: &TaskError| matches!(error, TaskError::Cancelled { .. });
        match self {
            Self::Task(_, outcome) => outcome.as_ref().is_err_and(is_cancelled),
            Self::Items(_, answers) => {
                let mut items = answers.items.iter();
                items.all(|answer| match answer {
                    Answer::Values { .. } => false,
                    Answer::One { outcome, .. } => outcome.as_ref().is_err_and(is_cancelled),
                })
            }
        }
    }

    /// Tells everyone who waits.
    pub(super) fn tell(self) {
        match self {
            Self::Task(future, outcome) => {
                future.complete(outcome);
            }
            Self::Items(stage, answers) => stage.complete(*answers),
        }
    }
}

/// A pending task, or a pending chunk. There may be a million of them: what few have is elsewhere.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) function: &'static Function,
    pub(super) payload: Payload,
    kind: Kind,
    /// Who waits for the task. Set right after submission, before anything else can happen to it; a chunk has none, nor has what
    /// everybody has been answered about.
    future: Option<RawFuture>,
    /// No further item is to begin, and nothing is to be tried again.
    is_cancelled: bool,
    /// How often it has begun and failed; of a chunk, see [`Chunk`].
    tried: u32,
    extras: Option<Box<Extras>>,
    /// That of a chunk that has been divided is with its [`Extras`].
    permit: Option<Permit>,
}

/// Who waits for it, taken out of a job.
#[derive(Debug)]
enum Promised {
    One(RawFuture),
    Many(Box<Chunk>),
    /// Everybody has been answered.
    Nobody,
}

/// What a queued task may take, beside its future and a few words of the scheduler's.
const _: () = assert!(size_of::<Job>() <= 64);

/// What few tasks have.
#[derive(Debug, Default)]
struct Extras {
    /// The items of a chunk, and who waits for them.
    chunk: Option<Box<Chunk>>,
    /// Together with the other parts of the chunk.
    permit: Option<Arc<Permit>>,
    timeout: Option<Duration>,
    deadline: Option<Duration>,
    retry: Option<Arc<Retry>>,
}

/// What is to happen after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It has ended (or goes on, if it is a chunk).
    Nothing,
    /// What is left of it is to be tried again.
    Again(Again),
}

impl Job {
    /// `timeout` and `deadline` are what holds for it, the executor's defaults included.
    pub(super) fn new(
        work: Work,
        timeout: Option<Duration>,
        deadline: Option<Duration>,
        permit: Permit,
    ) -> Self {
        let retry = work.options.retry;
        let kind = work.shape.kind();
        let is_limited = timeout.is_some() || deadline.is_some() || retry.is_some();
        let has_extras = is_limited || kind == Kind::Chunk;
        Self {
            function: work.function,
            payload: Payload::new(work.payload, work.handles),
            kind,
            future: None,
            is_cancelled: false,
            tried: 0,
            extras: has_extras.then(|| {
                Box::new(Extras {
                    chunk: None,
                    permit: None,
                    timeout,
                    deadline,
                    retry,
                })
            }),
            permit: Some(permit),
        }
    }

    pub(super) fn promise(&mut self, promises: Promises) {
        match promises {
            Promises::One(future) => self.future = Some(future),
            Promises::Many(stage, count) => self.put_back(Box::new(Chunk::new(stage, count))),
        }
    }

    /// How many items it has, if it is a chunk.
    pub(super) fn items(&self) -> u32 {
        self.chunk().map_or(0, Chunk::len)
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The header of the frame that is sent for it.
    pub(super) fn header(&self, task: TaskId, seq: u32) -> Header {
        // What ends one item, or is to be tried again, takes no result of others with it.
        let is_prompt = self.kind == Kind::Chunk && self.is_limited();
        Header {
            flags: if is_prompt { FLAG_PROMPT } else { 0 },
            ..Header::new(self.kind, task.0, seq)
        }
    }

    /// The function whose index stands behind the payload: a chunk has its own in front.
    pub(super) fn function_behind(&self) -> Option<&'static Function> {
        (self.kind == Kind::Task).then_some(self.function)
    }

    /// What has not begun is not to begin any more, as far as that depends on the job.
    pub(super) fn cancel(&mut self) {
        self.is_cancelled = true;
    }

    /// Which item of a chunk runs next, or runs.
    pub(super) fn next_item(&self) -> u32 {
        self.chunk().map_or(0, Chunk::ended)
    }

    /// The items of a chunk from this one on have been taken from the worker that has begun it: they are chunks of their own now, so many at
    /// most. None of them has begun, and there is one at least.
    pub(super) fn divide(&mut self, cut: u32, pieces: u32) -> Divided<Self> {
        let left = cut;
        let Promised::Many(mut chunk) = self.take_promised() else {
            let pieces = Vec::new();
            return Divided { left, pieces };
        };
        let (payload, parts) = chunk.divide(cut, pieces, self.function, self.payload.bytes());
        self.put_back(chunk);
        // Whatever its worker's page will say: it is never sent with those that have been taken.
        self.payload = Payload::new(payload, Handles::default());
        let permit = self.permit.take().map(Arc::new);
        let extras = self.extras.get_or_insert_default();
        extras.permit = permit.or(extras.permit.take());
        let parts = parts.into_iter().map(|(payload, chunk)| {
            let items = chunk.len();
            let part = Self {
                function: self.function,
                payload: Payload::new(payload, Handles::default()),
                kind: self.kind,
                future: None,
                is_cancelled: self.is_cancelled,
                tried: 0,
                extras: Some(Box::new(Extras {
                    chunk: Some(Box::new(chunk)),
                    permit: extras.permit.clone(),
                    timeout: extras.timeout,
                    deadline: extras.deadline,
                    retry: extras.retry.clone(),
                })),
                permit: None,
            };
            (part, items)
        });
        let pieces = parts.collect();
        Divided { left, pieces }
    }

    /// The answer of a worker that lives on.
    pub(super) fn answer(
        &mut self,
        outcome: Result<Encoded, Failure>,
        pid: u32,
        max_frame: u64,
        endings: &mut Endings,
    ) -> Next {
        self.tried += 1;
        let fault = self.fault(&outcome);
        if let Some(pause) = fault.and_then(|fault| self.pause_after(self.tried, fault)) {
            return Next::Again(again(pause, 1));
        }
        let outcome =
            outcome.map_err(|failure| failure.into_error(self.function.name, pid, max_frame));
        if let Promised::One(future) = self.take_promised() {
            endings.push(Ending::Task(future, outcome));
        }
        Next::Nothing
    }

    /// Some answers to a chunk; the error says what is wrong with them, in words that follow "because it sent".
    pub(super) fn answer_part(
        &mut self,
        task: TaskId,
        part: Part,
        pid: u32,
        max_frame: u64,
        endings: &mut Endings,
    ) -> Result<Next, String> {
        let Promised::Many(mut chunk) = self.take_promised() else {
            return Err("a part of a task that is no chunk".into());
        };
        let Part {
            first,
            payload,
            count,
            handles,
            runs,
            is_last,
        } = part;
        let checked = chunk.check_part(first, count, is_last);
        if checked.is_ok() {
            chunk.begin_part(payload, handles);
            // Whether a result may be a reason to try its item again.
            let is_fault = self.retry().is_some() && self.function.returns_result;
            for run in runs {
                match run {
                    // It was asked to stop.
                    Run::Cancelled => chunk.fail_next(if self.is_cancelled {
                        TaskError::Cancelled {
                            may_have_run: false,
                        }
                    } else {
                        self.overdue(task)
                    }),
                    Run::Values { count, start } if !is_fault && chunk.is_first_round() => {
                        chunk.end_run(count, start);
                    }
                    Run::Values { count, start } => {
                        let mut at = start;
                        for _ in 0..count {
                            let (place, end, is_error) = chunk.value_at(at);
                            at = end;
                            if is_fault && is_error && self.is_retried(&mut chunk, Fault::Error) {
                                continue;
                            }
                            chunk.end_next(place);
                        }
                    }
                    Run::Failed(failure) => {
                        let fault = fault_of(&failure);
                        if fault.is_some_and(|fault| self.is_retried(&mut chunk, fault)) {
                            continue;
                        }
                        let function = self.function.name;
                        chunk.fail_next(failure.into_error(function, pid, max_frame));
                    }
                }
            }
            endings.extend(chunk.part_ending());
        }
        self.put_back(chunk);
        checked?;
        Ok(if is_last {
            self.next_round(endings)
        } else {
            Next::Nothing
        })
    }

    /// Everything that has no answer ends like this.
    pub(super) fn end(&mut self, error: &TaskError, endings: &mut Endings) {
        match self.take_promised() {
            Promised::One(future) => {
                let error = after_attempts(error, self.tried);
                if let TaskError::Cancelled { may_have_run } = error {
                    future.announce_cancelled(may_have_run);
                }
                endings.push(Ending::Task(future, Err(error)));
            }
            Promised::Many(chunk) => {
                endings.extend(chunk.fail_all(|tried| after_attempts(error, tried)));
            }
            Promised::Nobody => {}
        }
    }

    /// What becomes of it when the worker that had begun it has gone. `item` is where the status
    /// page says that a chunk had come to: a worker's word, believed only where it can be true.
    ///
    /// The item that ran is lost, or tried again. (Those that had ended but not been sent have been recovered.) Those behind it
    /// have not begun, and go on elsewhere; unless all of it was to end.
    pub(super) fn judge(
        &mut self,
        task: TaskId,
        item: u32,
        death: &Death,
        cause: Option<Cause>,
        endings: &mut Endings,
    ) -> Verdict {
        let fault = match cause {
            None => Some(Fault::Lost),
            Some(Cause::Timeout) => Some(Fault::Timeout),
            Some(Cause::Deadline | Cause::Killed) => None,
        };
        match self.take_promised() {
            Promised::Nobody => Verdict::Begun,
            Promised::One(future) => {
                self.tried += 1;
                if let Some(pause) = fault.and_then(|fault| self.pause_after(self.tried, fault)) {
                    self.future = Some(future);
                    return Verdict::Continue(again(pause, 1));
                }
                let error = self.end_of(task, self.tried, death, cause);
                endings.push(Ending::Task(future, Err(error)));
                Verdict::Begun
            }
            Promised::Many(mut chunk) => {
                for _ in 0..chunk.begun_before(item) {
                    if fault.is_some_and(|fault| self.is_retried(&mut chunk, fault)) {
                        continue;
                    }
                    let error = self.end_of(task, chunk.tries_of_next(), death, cause);
                    chunk.fail_next(error);
                }
                endings.extend(chunk.part_ending());
                self.put_back(chunk);
                if cause == Some(Cause::Deadline) {
                    self.end(&self.overdue(task), endings);
                    return Verdict::Begun;
                }
                match self.next_round(endings) {
                    Next::Nothing => Verdict::Begun,
                    Next::Again(again) => Verdict::Continue(again),
                }
            }
        }
    }

    /// It is given up before it has begun, because it may be what ended this worker and others.
    pub(super) fn give_up(&mut self, task: TaskId, death: &Death, endings: &mut Endings) {
        let lost = TaskError::WorkerLost(Box::new(self.lost(task, 0, death)));
        self.end(&lost, endings);
    }

    /// The error of a task that had not begun at its deadline.
    pub(super) fn overdue(&self, task: TaskId) -> TaskError {
        self.time_limit(task, TimeLimitKind::Deadline, None)
    }

    /// What is left of a chunk when it has come to its end: nothing; or those that are to be tried again, and those that
    /// never began, which are a chunk of their own. If it was cancelled, they have ended.
    fn next_round(&mut self, endings: &mut Endings) -> Next {
        if self.is_cancelled {
            let cancelled = TaskError::Cancelled {
                may_have_run: false,
            };
            self.end(&cancelled, endings);
            return Next::Nothing;
        }
        let Promised::Many(mut chunk) = self.take_promised() else {
            return Next::Nothing;
        };
        let Some((payload, tried)) = chunk.next_round(self.function, self.payload.bytes()) else {
            return Next::Nothing;
        };
        let items = chunk.count();
        self.put_back(chunk);
        self.payload = Payload::new(payload, Handles::default());
        // Those that have not been tried yet need not wait for the others' pause.
        let pause = if tried == 0 {
            Some(Duration::ZERO)
        } else {
            self.retry()
                .and_then(|retry| retry.pause_after(tried, Fault::Lost))
        };
        Next::Again(again(pause.unwrap_or_default(), items))
    }

    fn take_promised(&mut self) -> Promised {
        if let Some(future) = self.future.take() {
            return Promised::One(future);
        }
        let extras = self.extras.as_mut();
        match extras.and_then(|extras| extras.chunk.take()) {
            Some(chunk) => Promised::Many(chunk),
            None => Promised::Nobody,
        }
    }

    /// A chunk goes on.
    fn put_back(&mut self, chunk: Box<Chunk>) {
        self.extras.get_or_insert_default().chunk = Some(chunk);
    }

    fn chunk(&self) -> Option<&Chunk> {
        self.extras.as_ref()?.chunk.as_deref()
    }

    /// Whether something may end it, or have it tried again.
    fn is_limited(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| {
            extras.timeout.is_some() || extras.deadline.is_some() || extras.retry.is_some()
        })
    }

    fn retry(&self) -> Option<&Retry> {
        self.extras.as_ref()?.retry.as_deref()
    }

    fn pause_after(&self, tried: u32, fault: Fault) -> Option<Duration> {
        if self.is_cancelled {
            return None;
        }
        self.retry()?.pause_after(tried, fault)
    }

    /// Whether the next item of a chunk is to be tried again, after this. It is set aside then.
    fn is_retried(&self, chunk: &mut Chunk, fault: Fault) -> bool {
        let is_retried = self.pause_after(chunk.tries_of_next(), fault).is_some();
        if is_retried {
            chunk.set_next_aside();
        }
        is_retried
    }

    /// What is wrong with an outcome, as far as trying again is concerned.
    fn fault(&self, outcome: &Result<Encoded, Failure>) -> Option<Fault> {
        match outcome {
            Err(failure) => fault_of(failure),
            Ok(result) if self.function.returns_result && is_err(&result.bytes) => {
                Some(Fault::Error)
            }
            Ok(_) => None,
        }
    }
}

fn fault_of(failure: &Failure) -> Option<Fault> {
    match failure {
        Failure::Told(TaskFailure::Panicked { .. }) => Some(Fault::Panic),
        _ => None,
    }
}
