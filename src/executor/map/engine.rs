//! A map without the type of its results: the window, and the waiting.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::{SubmitError, TaskError};
use crate::executor::core::Work;
use crate::executor::erased::Handle;
use crate::executor::gate::{Entering, Permit};
use crate::executor::retry::Options;
use crate::future::{RawFuture, Seat, Timer, Watch};
use crate::registry::Function;

/// How many tasks per worker are submitted ahead, unless [`Map::buffersize`](super::Map::buffersize) says otherwise: enough to
/// keep every pipe full of short tasks.
const WINDOW_PER_WORKER: usize = 64;

/// What came from the input.
pub(super) enum Pulled<E> {
    /// An item, whose encoded arguments have been appended.
    Item,
    /// An item that cannot be sent.
    Refused(SubmitError),
    /// An input that was an error itself.
    Error(E),
    End,
}

/// What is given out for one item.
pub(super) enum Ended<E> {
    /// A task that is done.
    Done(RawFuture),
    /// There is no task, for this reason.
    Failed(TaskError),
    /// The input was this error.
    Input(E),
}

/// A place in the window.
enum Entry<E> {
    /// An item of this task.
    Item { future: RawFuture, task: u64 },
    /// An item that has ended without one.
    Ended(Ended<E>),
}

/// What to do next.
enum Step<E> {
    Give(Ended<E>),
    /// All results have been given.
    Over,
    /// Nothing is in flight, and the executor has no room for the next task.
    AwaitPermit,
    /// The next result is that of this task's item (ordered), or of any (unordered).
    AwaitResult(Option<(RawFuture, u64)>),
}

/// A map without the type of its results.
pub(super) struct Engine<I: Iterator, E> {
    executor: Handle,
    options: Options,
    function: Result<&'static Function, SubmitError>,
    /// `None` when nothing more is to come from it.
    inputs: Option<I>,
    pull: fn(&mut I, &mut Vec<u8>) -> Pulled<E>,
    /// What the input panicked with; raised when everything before it has been given.
    panic: Option<Box<dyn Any + Send>>,
    pub(super) chunksize: usize,
    pub(super) buffersize: usize,
    pub(super) made_at: Instant,
    pub(super) deadline: Option<Instant>,
    /// Encoded items that have no task yet, and what follows them.
    draft: Vec<Vec<u8>>,
    after_draft: Option<Ended<E>>,
    /// What is to be given, in the order of the inputs; in an unordered map, what has ended without
    /// a task.
    window: VecDeque<Entry<E>>,
    unordered: Option<Unordered>,
    /// The tasks that have results to be given: the last future of each (which
    /// ends when the task does), and how many of its items.
    tasks: BTreeMap<u64, (RawFuture, usize)>,
    next_task: u64,
    pulled: usize,
    given: usize,
    seat: Seat,
    entering: Option<Entering>,
    timer: Option<Timer>,
    is_over: bool,
}

/// The items in flight of an unordered map.
struct Unordered {
    watch: Watch,
    items: HashMap<usize, (RawFuture, u64)>,
    next: usize,
}

impl<I: Iterator, E> Engine<I, E> {
    pub(super) fn new(
        executor: Handle,
        options: Options,
        function: Result<&'static Function, SubmitError>,
        inputs: I,
        pull: fn(&mut I, &mut Vec<u8>) -> Pulled<E>,
    ) -> Self {
        let buffersize = executor.0.max_workers().saturating_mul(WINDOW_PER_WORKER);
        Self {
            executor,
            options,
            function,
            inputs: Some(inputs),
            pull,
            panic: None,
            chunksize: 1,
            buffersize,
            made_at: Instant::now(),
            deadline: None,
            draft: Vec::new(),
            after_draft: None,
            window: VecDeque::new(),
            unordered: None,
            tasks: BTreeMap::new(),
            next_task: 0,
            pulled: 0,
            given: 0,
            seat: Seat::default(),
            entering: None,
            timer: None,
            is_over: false,
        }
    }

    pub(super) fn make_unordered(&mut self) {
        self.unordered = Some(Unordered {
            watch: Watch::empty(),
            items: HashMap::new(),
            next: 0,
        });
    }

    /// Whether the last item has been given.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Blocks until there is something to give.
    pub(super) fn next(&mut self) -> Option<Ended<E>> {
        loop {
            match self.step() {
                Step::Give(ended) => return Some(ended),
                Step::Over => return None,
                Step::AwaitPermit => match self.executor.0.gate().enter_before(self.deadline) {
                    None => return Some(self.time_out()),
                    Some(entered) => self.submit_draft(entered),
                },
                Step::AwaitResult(Some((future, task))) => {
                    if future.wait(self.deadline).is_none() {
                        return Some(self.time_out());
                    }
                    self.window.pop_front();
                    return Some(self.give(future, task));
                }
                Step::AwaitResult(None) => {
                    let deadline = self.deadline;
                    let arrived = self.unordered.as_mut().and_then(|unordered| {
                        let last = unordered
                            .items
                            .values()
                            .next()
                            .map(|(future, _)| future.clone());
                        unordered.watch.next_before(deadline, || last)
                    });
                    return Some(self.give_arrived(arrived));
                }
            }
        }
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Ended<E>>> {
        loop {
            match self.step() {
                Step::Give(ended) => return Poll::Ready(Some(ended)),
                Step::Over => return Poll::Ready(None),
                Step::AwaitPermit => {
                    let gate = self.executor.0.gate();
                    let entering = self.entering.get_or_insert_with(|| gate.entering());
                    match Pin::new(entering).poll(context) {
                        Poll::Ready(entered) => {
                            self.entering = None;
                            self.submit_draft(entered);
                        }
                        Poll::Pending => return self.poll_deadline(context),
                    }
                }
                Step::AwaitResult(Some((future, task))) => {
                    if future.poll(&mut self.seat, context).is_pending() {
                        return self.poll_deadline(context);
                    }
                    self.seat = Seat::default();
                    self.window.pop_front();
                    return Poll::Ready(Some(self.give(future, task)));
                }
                Step::AwaitResult(None) => {
                    let watch = self
                        .unordered
                        .as_mut()
                        .map(|unordered| unordered.watch.poll_next(context));
                    match watch {
                        Some(Poll::Ready(arrived)) => {
                            return Poll::Ready(Some(self.give_arrived(arrived)));
                        }
                        _ => return self.poll_deadline(context),
                    }
                }
            }
        }
    }

    /// Nothing has come yet: is it too late?
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<Option<Ended<E>>> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Timer::at(deadline));
        timer.poll(context).map(|()| Some(self.time_out()))
    }

    /// Fills the window, and says what comes next.
    fn step(&mut self) -> Step<E> {
        if self.is_over {
            return Step::Over;
        }
        if let Some(refused) = self.refused_parameter() {
            return Step::Give(refused);
        }
        let must_wait = self.fill();
        match self.window.front() {
            Some(Entry::Item { future, task }) => {
                return Step::AwaitResult(Some((future.clone(), *task)));
            }
            Some(Entry::Ended(_)) => {
                if let Some(Entry::Ended(ended)) = self.window.pop_front() {
                    self.given += 1;
                    return Step::Give(ended);
                }
            }
            None => {}
        }
        if self
            .unordered
            .as_ref()
            .is_some_and(|unordered| !unordered.items.is_empty())
        {
            return Step::AwaitResult(None);
        }
        if must_wait {
            return Step::AwaitPermit;
        }
        if self.is_late() && self.has_more() {
            return Step::Give(self.time_out());
        }
        self.is_over = true;
        self.entering = None;
        if let Some(panic) = self.panic.take() {
            panic::resume_unwind(panic);
        }
        Step::Over
    }

    /// The only item of a map that cannot be.
    fn refused_parameter(&mut self) -> Option<Ended<E>> {
        let zero = |parameter| SubmitError::Parameter {
            parameter,
            must_be: "at least 1",
            value: "0".into(),
        };
        let error = match &self.function {
            Err(error) => error.clone(),
            Ok(_) if self.chunksize == 0 => zero("chunksize"),
            Ok(_) if self.buffersize == 0 => zero("buffersize"),
            Ok(function) => match self.options.check(function) {
                Ok(()) => return None,
                Err(error) => error,
            },
        };
        self.is_over = true;
        Some(Ended::Failed(TaskError::Refused(error)))
    }

    /// Whether the time of the map is over.
    fn is_late(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Submits until the window is full. Says whether that takes a permit that is not to be had.
    fn fill(&mut self) -> bool {
        if self.is_late() {
            return false;
        }
        while self.tasks.len() < self.buffersize {
            // What was refused has no task, and an input may be without an end.
            let is_refused = matches!(self.window.back(), Some(Entry::Ended(_)));
            if is_refused && self.window.len() >= self.buffersize {
                return false;
            }
            if self.draft.is_empty() {
                self.pull_draft();
            }
            if self.draft.is_empty() {
                let Some(ended) = self.after_draft.take() else {
                    return false;
                };
                self.window.push_back(Entry::Ended(ended));
                continue;
            }
            match self.executor.0.gate().try_enter() {
                Err(SubmitError::Full { .. }) => return true,
                entered => self.submit_draft(entered),
            }
        }
        false
    }

    /// Whether there is something that has not been submitted.
    fn has_more(&mut self) -> bool {
        if self.draft.is_empty() && self.after_draft.is_none() {
            self.pull_draft();
        }
        !self.draft.is_empty() || self.after_draft.is_some()
    }

    /// Pulls a chunk from the input.
    fn pull_draft(&mut self) {
        let Some(inputs) = &mut self.inputs else {
            return;
        };
        let mut is_at_end = false;
        while self.draft.len() < self.chunksize && self.after_draft.is_none() && !is_at_end {
            let mut item = Vec::new();
            match panic::catch_unwind(AssertUnwindSafe(|| (self.pull)(inputs, &mut item))) {
                Ok(Pulled::Item) => self.draft.push(item),
                Ok(Pulled::Refused(error)) => {
                    self.after_draft = Some(Ended::Failed(TaskError::Refused(error)))
                }
                Ok(Pulled::Error(error)) => self.after_draft = Some(Ended::Input(error)),
                Ok(Pulled::End) => is_at_end = true,
                Err(panic) => {
                    self.panic = Some(panic);
                    is_at_end = true;
                }
            }
        }
        self.pulled += self.draft.len() + usize::from(self.after_draft.is_some());
        if is_at_end {
            // Its end is asked for once only, and what it holds is let go.
            self.inputs = None;
        }
    }

    /// Makes a task of the draft; or, where the executor takes none, gives its items that answer.
    fn submit_draft(&mut self, entered: Result<Permit, SubmitError>) {
        // Who waited for a permit may have been given another one meanwhile.
        self.entering = None;
        let count = self.draft.len();
        let begun = entered.and_then(|permit| {
            let function = self.function.clone()?;
            let work = match &self.draft[..] {
                [item] => {
                    let copy = |out: &mut Vec<u8>| {
                        out.extend_from_slice(item);
                        Ok(())
                    };
                    Work::task(function, copy)?
                }
                items => Work::chunk(function, items.iter().map(Vec::as_slice)),
            };
            let work = work.with(self.options.clone());
            self.executor.0.clone().begin(permit, work)
        });
        self.draft.clear();
        match begun {
            Ok(promises) => {
                let futures = promises.into_many();
                let task = self.next_task;
                self.next_task += 1;
                if let Some(last) = futures.last() {
                    self.tasks.insert(task, (last.clone(), futures.len()));
                }
                for future in futures {
                    self.enter(future, task);
                }
            }
            Err(error) => {
                let is_last = matches!(error, SubmitError::ShutDown | SubmitError::Broken(_));
                let refused = || Entry::Ended(Ended::Failed(TaskError::Refused(error.clone())));
                self.window.extend((0..count).map(|_| refused()));
                if is_last {
                    // The executor takes nothing any more.
                    self.inputs = None;
                }
            }
        }
        self.window
            .extend(self.after_draft.take().map(Entry::Ended));
    }

    /// Gives an item its place.
    fn enter(&mut self, future: RawFuture, task: u64) {
        let Some(unordered) = &mut self.unordered else {
            self.window.push_back(Entry::Item { future, task });
            return;
        };
        let index = unordered.next;
        unordered.next += 1;
        unordered.watch.add(&future, index);
        unordered.items.insert(index, (future, task));
    }

    /// Gives out an item of this task.
    fn give(&mut self, future: RawFuture, task: u64) -> Ended<E> {
        if let Some((_, left)) = self.tasks.get_mut(&task) {
            *left -= 1;
            if *left == 0 {
                self.tasks.remove(&task);
            }
        }
        self.given += 1;
        Ended::Done(future)
    }

    fn give_arrived(&mut self, arrived: Option<usize>) -> Ended<E> {
        let item = arrived
            .zip(self.unordered.as_mut())
            .and_then(|(index, unordered)| unordered.items.remove(&index));
        match item {
            Some((future, task)) => self.give(future, task),
            None => self.time_out(),
        }
    }

    /// The deadline has passed: the last item, and the end of the rest.
    fn time_out(&mut self) -> Ended<E> {
        let is_done = |entry: &Entry<E>| match entry {
            Entry::Item { future, .. } => future.is_done(),
            Entry::Ended(_) => true,
        };
        let mut done = self.window.iter().filter(|entry| is_done(entry)).count();
        if let Some(unordered) = &self.unordered {
            let items = unordered.items.values();
            done += items.filter(|(future, _)| future.is_done()).count();
        }
        let error = TaskError::TimedOut {
            unfinished: (self.pulled - self.given).saturating_sub(done),
            total: self.pulled,
        };
        self.is_over = true;
        self.cancel();
        Ended::Failed(error)
    }

    /// Cancels what has not begun, and lets everything go.
    fn cancel(&mut self) {
        if let Some(Entry::Item { future, .. }) = self.window.front() {
            future.leave(&mut self.seat);
        }
        self.entering = None;
        self.timer = None;
        self.window.clear();
        self.unordered = None;
        // The youngest first, so that none of them begins because another has just been cancelled.
        for (future, _) in std::mem::take(&mut self.tasks).into_values().rev() {
            future.cancel();
        }
    }

    pub(super) fn describe(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("chunksize", &self.chunksize)
            .field("buffersize", &self.buffersize)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl<I: Iterator, E> Drop for Engine<I, E> {
    fn drop(&mut self) {
        self.cancel();
    }
}
