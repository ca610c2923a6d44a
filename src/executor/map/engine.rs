//! A map without the type of its results: the window, and the waiting.

mod filling;
mod pace;

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use self::pace::Pace;
use super::batch::{Batch, Given, Next, Order};
use super::draft::Draft;
use crate::error::{SubmitError, TaskError};
use crate::executor::erased::Handle;
use crate::executor::gate::Entering;
use crate::executor::retry::Options;
use crate::future::{Place, RawFuture, Seat, Timer, Watch};
use crate::registry::Function;
use crate::wire::Handles;

/// What came from the input.
pub(super) enum Pulled<E> {
    /// An item, whose encoded arguments have been appended, and the descriptors beside them.
    Item(Handles),
    /// An item that cannot be sent.
    Refused(SubmitError),
    /// An input that was an error itself.
    Error(E),
    End,
}

/// How long the items of a task are to take together, unless that is said: it hides what sending it costs.
const CHUNK_TIME: Duration = Duration::from_millis(1);

/// How many items a task has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// So many.
    Of(usize),
    /// As many as take about so long.
    Taking(Duration),
}

/// What is given out for one item.
pub(super) enum Ended<E> {
    /// A result, or why there is none.
    Item(Given),
    /// The input was this error.
    Input(E),
}

/// A place in the window.
enum Entry<E> {
    /// A task, and the items of it that have not been given.
    Batch(Batch),
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
    /// The next result comes with this future (ordered), or with any (unordered).
    AwaitResult(Option<RawFuture>),
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
    pub(super) chunks: Chunks,
    /// `None` is what keeps the workers busy.
    pub(super) buffersize: Option<usize>,
    /// How many items the last task was given.
    last_chunk: usize,
    /// How long an item takes, as far as it is known.
    item_ns: u64,
    pace: Pace,
    pub(super) made_at: Instant,
    pub(super) deadline: Option<Instant>,
    /// Encoded items that have no task yet, and what follows them.
    draft: Draft,
    after_draft: Option<Ended<E>>,
    /// What is to be given, in the order of the inputs; in an unordered map, what has ended without
    /// a task.
    window: VecDeque<Entry<E>>,
    unordered: Option<Unordered>,
    /// How many tasks have results to be given.
    tasks: usize,
    /// Nothing is to be submitted before one of those has been given.
    is_full: bool,
    /// What has been given last is in here.
    giving: Option<Batch>,
    pulled: usize,
    given: usize,
    /// How many bytes the results have that have been given.
    given_bytes: u64,
    seat: Seat,
    entering: Option<Entering>,
    timer: Option<Timer>,
    is_over: bool,
}

/// The tasks in flight of an unordered map.
struct Unordered {
    watch: Watch,
    batches: BTreeMap<usize, Batch>,
    next: usize,
    /// The one that may have results.
    ready: Option<usize>,
}

impl<I: Iterator, E> Engine<I, E> {
    pub(super) fn new(
        executor: Handle,
        options: Options,
        function: Result<&'static Function, SubmitError>,
        inputs: I,
        pull: fn(&mut I, &mut Vec<u8>) -> Pulled<E>,
    ) -> Self {
        Self {
            executor,
            options,
            function,
            inputs: Some(inputs),
            pull,
            panic: None,
            chunks: Chunks::Taking(CHUNK_TIME),
            buffersize: None,
            last_chunk: 1,
            item_ns: u64::MAX,
            pace: Pace::default(),
            made_at: Instant::now(),
            deadline: None,
            draft: Draft::default(),
            after_draft: None,
            window: VecDeque::new(),
            unordered: None,
            tasks: 0,
            is_full: false,
            giving: None,
            pulled: 0,
            given: 0,
            given_bytes: 0,
            seat: Seat::default(),
            entering: None,
            timer: None,
            is_over: false,
        }
    }

    pub(super) fn make_unordered(&mut self) {
        self.unordered = Some(Unordered {
            watch: Watch::empty(),
            batches: BTreeMap::new(),
            next: 0,
            ready: None,
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
                Step::AwaitResult(Some(future)) => {
                    if future.wait(self.deadline).is_none() {
                        return Some(self.time_out());
                    }
                }
                Step::AwaitResult(None) => {
                    let deadline = self.deadline;
                    let arrived = self.unordered.as_mut().and_then(|unordered| {
                        let first = unordered.batches.values().next();
                        let first = first.and_then(Batch::future).cloned();
                        unordered.watch.next_before(deadline, || first)
                    });
                    if !self.note_arrived(arrived) {
                        return Some(self.time_out());
                    }
                }
            }
        }
    }

    /// The next result, where it has come together with the one before, and nothing is to be done between the two.
    #[inline]
    pub(super) fn next_of_run(&mut self) -> Option<&[u8]> {
        let has_all = self.inputs.is_none() && self.draft.is_empty() && self.after_draft.is_none();
        if self.is_over || !(self.is_full || has_all) {
            return None;
        }
        let bytes = match (self.window.front_mut(), &mut self.unordered) {
            (Some(Entry::Batch(batch)), _) => batch.next_of_run(Order::OfItems),
            (None, Some(unordered)) => unordered
                .batches
                .get_mut(&unordered.ready?)?
                .next_of_run(Order::AsTheyEnd),
            _ => None,
        }?;
        self.given += 1;
        self.given_bytes += bytes.len() as u64;
        Some(bytes)
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
                Step::AwaitResult(Some(future)) => {
                    if future.poll(&mut self.seat, context).is_pending() {
                        return self.poll_deadline(context);
                    }
                    self.seat = Seat::default();
                }
                Step::AwaitResult(None) => {
                    let watch = self
                        .unordered
                        .as_mut()
                        .map(|unordered| unordered.watch.poll_next(context));
                    match watch {
                        Some(Poll::Ready(arrived)) => {
                            if !self.note_arrived(arrived) {
                                return Poll::Ready(Some(self.time_out()));
                            }
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
        self.giving = None;
        if self.is_over {
            return Step::Over;
        }
        let mut must_wait = false;
        if !self.is_full {
            if let Some(refused) = self.refused_parameter() {
                return Step::Give(refused);
            }
            must_wait = self.fill();
            self.is_full = self.tasks > 0 && !self.has_room();
        }
        match self.window.front_mut() {
            Some(Entry::Batch(batch)) => match batch.next(Order::OfItems) {
                Next::Await(future) => return Step::AwaitResult(Some(future)),
                Next::Given(given) => {
                    if batch.is_given()
                        && let Some(Entry::Batch(batch)) = self.window.pop_front()
                    {
                        self.end_batch(batch);
                    }
                    return Step::Give(self.give(given));
                }
            },
            Some(Entry::Ended(_)) => {
                if let Some(Entry::Ended(ended)) = self.window.pop_front() {
                    self.given += 1;
                    return Step::Give(ended);
                }
            }
            None => {}
        }
        if let Some(given) = self.next_unordered() {
            return Step::Give(self.give(given));
        }
        if self
            .unordered
            .as_ref()
            .is_some_and(|unordered| !unordered.batches.is_empty())
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
            Ok(_) if self.chunks == Chunks::Of(0) => zero("chunksize"),
            Ok(_) if self.chunks == Chunks::Taking(Duration::ZERO) => SubmitError::Parameter {
                parameter: "chunktime",
                must_be: "longer than zero",
                value: "0 s".into(),
            },
            Ok(_) if self.buffersize == Some(0) => zero("buffersize"),
            Ok(function) => match self.options.check(function) {
                Ok(()) => return None,
                Err(error) => error,
            },
        };
        self.is_over = true;
        Some(Ended::Item(Given::Failed(TaskError::Refused(error))))
    }

    /// Whether the time of the map is over.
    fn is_late(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| deadline <= Instant::now())
    }

    /// A result that has come, of any task.
    fn next_unordered(&mut self) -> Option<Given> {
        let unordered = self.unordered.as_mut()?;
        let index = unordered.ready?;
        let batch = unordered.batches.get_mut(&index)?;
        match batch.next(Order::AsTheyEnd) {
            Next::Given(given) => {
                if batch.is_given()
                    && let Some(batch) = unordered.batches.remove(&index)
                {
                    unordered.ready = None;
                    self.end_batch(batch);
                }
                Some(given)
            }
            Next::Await(future) => {
                unordered.watch.add(&future, index);
                unordered.ready = None;
                None
            }
        }
    }

    /// Results of a task have come; says whether they have, and it is not too late.
    fn note_arrived(&mut self, arrived: Option<usize>) -> bool {
        if let (Some(unordered), Some(index)) = (&mut self.unordered, arrived) {
            unordered.ready = Some(index);
        }
        arrived.is_some()
    }

    /// All of its items have been given; the last one is looked at still.
    fn end_batch(&mut self, batch: Batch) {
        self.tasks -= 1;
        self.is_full = false;
        self.giving = Some(batch);
    }

    fn give(&mut self, given: Given) -> Ended<E> {
        self.given += 1;
        self.given_bytes += given.len() as u64;
        Ended::Item(given)
    }

    /// The result at a place that was given last, and the descriptors beside it.
    pub(super) fn at(&self, place: Place) -> (&[u8], Handles) {
        let front = || match self.window.front() {
            Some(Entry::Batch(batch)) => Some(batch),
            _ => None,
        };
        let ready = || {
            let unordered = self.unordered.as_ref()?;
            unordered.batches.get(&unordered.ready?)
        };
        let batch = self.giving.as_ref().or_else(ready).or_else(front);
        let there = batch.and_then(|batch| batch.at(place));
        there.map_or_else(Default::default, |(bytes, handles)| {
            (bytes, handles.clone())
        })
    }

    /// The deadline has passed: the last item, and the end of the rest.
    fn time_out(&mut self) -> Ended<E> {
        let unfinished = |entry: &Entry<E>| match entry {
            Entry::Batch(batch) => batch.unfinished(),
            Entry::Ended(_) => 0,
        };
        let in_order: usize = self.window.iter().map(unfinished).sum();
        let unordered = self.unordered.iter();
        let out_of_order = unordered.flat_map(|unordered| unordered.batches.values());
        let error = TaskError::TimedOut {
            unfinished: self.draft.len()
                + in_order
                + out_of_order.map(Batch::unfinished).sum::<usize>(),
            total: self.pulled,
        };
        self.is_over = true;
        self.cancel();
        Ended::Item(Given::Failed(error))
    }

    /// Cancels what has not begun, and lets everything go.
    fn cancel(&mut self) {
        if let Some(Entry::Batch(batch)) = self.window.front()
            && let Some(future) = batch.future()
        {
            future.leave(&mut self.seat);
        }
        self.entering = None;
        self.timer = None;
        let window = std::mem::take(&mut self.window).into_iter();
        let in_order = window.filter_map(|entry| match entry {
            Entry::Batch(batch) => Some(batch),
            Entry::Ended(_) => None,
        });
        let unordered = self.unordered.take().into_iter();
        let out_of_order = unordered.flat_map(|unordered| unordered.batches.into_values());
        let batches: Vec<Batch> = in_order.chain(out_of_order).collect();
        // The youngest first, so that none of them begins because another has just been cancelled.
        batches.iter().rev().for_each(Batch::cancel);
    }

    pub(super) fn describe(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("chunks", &self.chunks)
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
