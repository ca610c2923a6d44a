//! `map`: a lazy window over the inputs.

mod batch;
mod draft;
mod engine;

use std::convert::Infallible;
use std::fmt;
use std::iter::FusedIterator;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::de::DeserializeOwned;

use self::batch::Given;
use self::engine::{Chunks, Ended, Engine, Pulled};
use super::erased::Handle;
use super::retry::Options;
use super::typed::check_decodes;
use crate::error::{SubmitError, TaskError};
use crate::future::streamed::sealed::Sealed;
use crate::future::{Streamable, Streamed};
use crate::registry::{TaskFunction, find};
use crate::wire::{self, Handles, handles};

/// The results of calling a function for every item of an input: an iterator that blocks; [`stream`](Self::stream) makes it
/// a stream.
///
/// Made by [`ExecutorExt::map`](crate::ExecutorExt::map).
///
/// * It is lazy: nothing is submitted until the first result is asked for; then
///   [`buffersize`](Self::buffersize) tasks are kept submitted ahead of the results taken, so that
///   an endless input is fine.
/// * Many items of a short function are one task in a process pool: see [`chunktime`](Self::chunktime).
/// * One `Result` for each item, in the order of the items (or as they end: [`unordered`](Self::unordered)).
///   It goes on after an error.
/// * Dropping it cancels what has not begun.
/// * A panic of the input iterator surfaces in its place: after the results of the items before it.
///
/// Several maps may run on one executor at a time; they take turns as their tasks do.
///
/// # As a stream
///
/// ```
/// use futures::StreamExt;
///
/// #[procession::task]
/// fn double(n: u64) -> u64 {
///     2 * n
/// }
///
/// # fn main() -> Result<(), procession::TaskError> {
/// # let executor = procession::InlineExecutor::new();
/// # futures::executor::block_on(async {
/// let mut doubles = executor.map(double, 1..=3).stream();
/// while let Some(double) = doubles.next().await {
///     println!("{}", double?);
/// }
/// # Ok(())
/// # })
/// # }
/// ```
///
/// # As an iterator
///
/// ```standalone_crate
/// use procession::ProcessPoolExecutor;
///
/// #[procession::task]
/// fn square(n: u64) -> u64 {
///     n * n
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;
///     let squares = pool.map(square, 1..).chunksize(10);
///     let first: Result<Vec<u64>, _> = squares.take(3).collect();
///     assert_eq!(first?, [1, 4, 9]);
///     Ok(())
/// }
/// ```
#[must_use = "nothing is submitted until results are asked for"]
pub struct Map<I: Iterator, R> {
    engine: Engine<I, Infallible>,
    result: std::marker::PhantomData<fn() -> R>,
}

/// As [`Map`], over inputs that may be errors. Made by [`ExecutorExt::try_map`](crate::ExecutorExt::try_map).
///
/// An input's error takes the place of its result, as [`TryMapError::Input`], and the map goes on.
///
/// ```
/// use procession::{InlineExecutor, TryMapError};
///
/// #[procession::task]
/// fn square(n: u64) -> u64 {
///     n * n
/// }
///
/// # fn main() {
/// let executor = InlineExecutor::new();
/// let numbers = ["3", "four", "5"].into_iter().map(str::parse);
/// for (text, result) in ["3", "four", "5"].iter().zip(executor.try_map(square, numbers)) {
///     match result {
///         Ok(square) => println!("{text}² = {square}"),
///         Err(TryMapError::Input(error)) => assert_eq!((*text, error.to_string().len()), ("four", 29)),
///         Err(TryMapError::Task(error)) => panic!("{error}"),
///     }
/// }
/// # }
/// ```
#[must_use = "nothing is submitted until results are asked for"]
pub struct TryMap<I: Iterator<Item: TryInput>, R> {
    engine: Engine<I, <I::Item as TryInput>::Error>,
    result: std::marker::PhantomData<fn() -> R>,
}

/// Why an item of a [`TryMap`] has no value.
///
/// ```
/// use procession::{TaskError, TryMapError};
///
/// let error: TryMapError<TaskError, std::num::ParseIntError> =
///     TryMapError::Input("four".parse::<u64>().unwrap_err());
/// assert_eq!(error.to_string(), "the input failed: invalid digit found in string");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryMapError<T, E> {
    /// The task failed.
    Task(T),
    /// The input was this error.
    Input(E),
}

impl<E> TryMapError<TaskError, E> {
    /// Whether the function may have been called: [`TaskError::may_have_run`]; for an input that was an error, never.
    ///
    /// ```
    /// use procession::{TaskError, TryMapError};
    ///
    /// let error: TryMapError<TaskError, &str> = TryMapError::Input("no number");
    /// assert!(!error.may_have_run());
    /// ```
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::Task(error) => error.may_have_run(),
            Self::Input(_) => false,
        }
    }
}

impl<T: fmt::Display, E: fmt::Display> fmt::Display for TryMapError<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(error) => error.fmt(f),
            Self::Input(error) => write!(f, "the input failed: {error}"),
        }
    }
}

impl<T: std::error::Error + 'static, E: std::error::Error + 'static> std::error::Error
    for TryMapError<T, E>
{
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Task(error) => error.source(),
            Self::Input(error) => Some(error),
        }
    }
}

/// A `Result`, as an input of [`TryMap`].
#[doc(hidden)]
pub trait TryInput {
    /// Its error.
    type Error;
}

impl<A, E> TryInput for Result<A, E> {
    type Error = E;
}

macro_rules! options {
    () => {
        /// How many items one task takes: they go to a worker together and run one after another. Default: as many as take about a
        /// millisecond, see [`chunktime`](Self::chunktime). More save pipe round trips for short functions; what has ended comes back
        /// after a millisecond or so all the same, whatever the item after it does.
        ///
        /// If a task takes longer than a millisecond, and another worker has nothing to do, that gets a share of the items that have not
        /// begun; or all of them, if the one that runs takes so long by itself. So an item that takes long, or for ever,
        /// holds up none of those behind it while a worker is idle. With 1, each item is a task from the beginning.
        ///
        /// When the worker dies, the item that ran fails with [`TaskError::WorkerLost`], and no other: what had ended before it
        /// is kept where it outlives the worker, and those after it run elsewhere.
        ///
        /// Zero is refused: the only item of the map is then [`TaskError::Refused`].
        ///
        /// ```
        /// #[procession::task]
        /// fn add(a: u64, b: u64) -> u64 {
        ///     a + b
        /// }
        ///
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let executor = procession::InlineExecutor::new();
        /// let inputs = (1..=1000).map(|n| Ok::<_, String>((n, n)));
        /// let sums = executor.try_map(add, inputs).chunksize(100);
        /// assert_eq!(sums.map(Result::unwrap).sum::<u64>(), 1_001_000);
        /// # Ok(())
        /// # }
        /// ```
        pub fn chunksize(mut self, chunksize: usize) -> Self {
            self.engine.chunks = Chunks::Of(chunksize);
            self
        }

        /// How long the items of one task are to take together: there are as many as that, by how long the function has taken
        /// so far, unless a [`chunksize`](Self::chunksize) is chosen. Default: a millisecond. Zero is refused.
        ///
        /// It begins with single items, and has up to four times as many each time; fewer near the end of an input whose length is
        /// known, and no more than the input gives within that time; and always one where single tasks are counted or limited: in a
        /// pool that captures output or has [`max_tasks_per_child`](crate::ProcessPoolExecutorBuilder::max_tasks_per_child),
        /// with time limits or retries, with a chosen [`buffersize`](Self::buffersize), and in executors without processes.
        /// Items pulled for a chunk wait while the input blocks. One that has been slow (10 µs for an item), and any at its beginning, has each
        /// item sent before the next is pulled. For one that may block until an item before has run, choose a `chunksize` of 1.
        ///
        /// ```standalone_crate
        /// use std::time::Duration;
        ///
        /// use procession::ProcessPoolExecutor;
        ///
        /// #[procession::task]
        /// fn double(n: u64) -> u64 {
        ///     2 * n
        /// }
        ///
        /// fn main() -> Result<(), Box<dyn std::error::Error>> {
        ///     procession::init();
        ///     let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;
        ///     let doubled = pool.map(double, 0..100_000).chunktime(Duration::from_millis(10));
        ///     assert_eq!(doubled.sum::<Result<u64, _>>()?, 99_999 * 100_000);
        ///     Ok(())
        /// }
        /// ```
        pub fn chunktime(mut self, time: Duration) -> Self {
            self.engine.chunks = Chunks::Taking(time);
            self
        }

        /// How many tasks (chunks) are submitted ahead of the results taken: the inputs pulled, and the results kept, are bounded. Without a
        /// [`chunksize`](Self::chunksize) each item is a task then. Default: with a `chunksize` 64 tasks for each worker; otherwise 64 items for each worker, to
        /// which the last chunk may be added, or 4 chunks if that is more, or up to 16 if they are so short that they take the time of 4 together. Zero is refused.
        ///
        /// ```
        /// #[procession::task]
        /// fn add(a: u64, b: u64) -> u64 {
        ///     a + b
        /// }
        ///
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let executor = procession::InlineExecutor::new();
        /// // An endless input: no more than two are computed ahead.
        /// let mut sums = executor.map(add, (1..).map(|n| (n, n))).buffersize(2);
        /// assert_eq!(sums.next().unwrap()?, 2);
        /// # Ok(())
        /// # }
        /// ```
        pub fn buffersize(mut self, buffersize: usize) -> Self {
            self.engine.buffersize = Some(buffersize);
            self
        }

        /// Gives results as they end, not in the order of the inputs.
        ///
        /// Which result belongs to which input is then for the function to say, as part of its result.
        ///
        /// ```
        /// #[procession::task]
        /// fn add(a: u64, b: u64) -> u64 {
        ///     a + b
        /// }
        ///
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let executor = procession::ThreadPoolExecutor::with_max_workers(2)?;
        /// let sums = executor.map(add, [(1, 1), (2, 2)]).unordered();
        /// assert_eq!(sums.map(Result::unwrap).sum::<u64>(), 6);
        /// # Ok(())
        /// # }
        /// ```
        pub fn unordered(mut self) -> Self {
            self.engine.make_unordered();
            self
        }

        /// The same results, awaited instead of waited for.
        pub fn stream(self) -> Streamed<Self> {
            Streamed(self)
        }

        /// Ends the map when this much time has passed since it was made: the next item is then
        /// [`TaskError::TimedOut`], the last one, and the rest is cancelled. What had ended in time is
        /// still given, as far as it comes before the first that had not.
        ///
        /// It ends the waiting, and no task: what runs goes on, and keeps its worker. A limit that ends tasks is that of
        /// [`call(f).timeout(t).map(…)`](crate::Call::timeout), for each item, or [`deadline`](crate::Call::deadline).
        ///
        /// For a stream, the limit is kept by a thread, `procession-timer`, that is there while one waits.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// use procession::{TaskError, ThreadPoolExecutor};
        ///
        /// #[procession::task]
        /// fn nap(milliseconds: u64) {
        ///     std::thread::sleep(Duration::from_millis(milliseconds));
        /// }
        ///
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// let executor = ThreadPoolExecutor::with_max_workers(1)?;
        /// let mut naps = executor.map(nap, [50, 50]).timeout(Duration::from_millis(1));
        /// assert!(matches!(naps.next(), Some(Err(TaskError::TimedOut { .. }))));
        /// assert!(naps.next().is_none());
        /// # Ok(())
        /// # }
        /// ```
        pub fn timeout(mut self, timeout: Duration) -> Self {
            self.engine.deadline = self.engine.made_at.checked_add(timeout);
            self
        }
    };
}

impl<I: Iterator, R> Map<I, R> {
    pub(super) fn new<F, A, K>(executor: Handle, options: Options, inputs: I) -> Self
    where
        F: TaskFunction<A, K>,
        I: Iterator<Item = A>,
    {
        let pull = |inputs: &mut I, out: &mut Vec<u8>| match inputs.next() {
            None => Pulled::End,
            Some(args) => encode_item::<F, A, K, Infallible>(&args, out),
        };
        Self {
            engine: Engine::new(executor, options, find::<F, A, K>(), inputs, pull),
            result: std::marker::PhantomData,
        }
    }

    options!();
}

impl<I: Iterator<Item: TryInput>, R> TryMap<I, R> {
    pub(super) fn new<F, A, K, E>(executor: Handle, options: Options, inputs: I) -> Self
    where
        F: TaskFunction<A, K>,
        I: Iterator<Item = Result<A, E>>,
        I::Item: TryInput<Error = E>,
    {
        let pull = |inputs: &mut I, out: &mut Vec<u8>| match inputs.next() {
            None => Pulled::End,
            Some(Ok(args)) => encode_item::<F, A, K, E>(&args, out),
            Some(Err(error)) => Pulled::Error(error),
        };
        Self {
            engine: Engine::new(executor, options, find::<F, A, K>(), inputs, pull),
            result: std::marker::PhantomData,
        }
    }

    options!();
}

fn encode_item<F, A, K, E>(args: &A, out: &mut Vec<u8>) -> Pulled<E>
where
    F: TaskFunction<A, K>,
{
    let mut encode = || {
        let start = out.len();
        let (encoded, handles) = handles::collect(|| F::encode_args(args, out));
        encoded.map_err(|message| SubmitError::NotEncoded {
            function: find::<F, A, K>().map_or("", |function| function.name),
            message,
        })?;
        check_decodes::<F, A, K>(&out[start..], &handles)?;
        Ok(handles)
    };
    match encode() {
        Ok(handles) => Pulled::Item(handles),
        Err(error) => Pulled::Refused(error),
    }
}

impl<I: Iterator, R: DeserializeOwned + 'static> Iterator for Map<I, R> {
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(result) = self.engine.next_of_run() {
            return Some(decode(result, &Handles::default()));
        }
        let ended = self.engine.next()?;
        Some(typed(&self.engine, ended))
    }
}

impl<I: Iterator, R> Sealed for Map<I, R> {}

impl<I: Iterator, R: DeserializeOwned + 'static> Streamable for Map<I, R> {
    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.engine.poll_next(context);
        polled.map(|ended| Some(typed(&self.engine, ended?)))
    }

    fn is_over(&self) -> bool {
        self.engine.is_over()
    }
}

impl<I: Iterator<Item: TryInput>, R: DeserializeOwned + 'static> Iterator for TryMap<I, R> {
    type Item = Result<R, TryMapError<TaskError, <I::Item as TryInput>::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(result) = self.engine.next_of_run() {
            return Some(decode(result, &Handles::default()).map_err(TryMapError::Task));
        }
        let ended = self.engine.next()?;
        Some(try_typed(&self.engine, ended))
    }
}

impl<I: Iterator<Item: TryInput>, R> Sealed for TryMap<I, R> {}

impl<I: Iterator<Item: TryInput>, R: DeserializeOwned + 'static> Streamable for TryMap<I, R> {
    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.engine.poll_next(context);
        polled.map(|ended| Some(try_typed(&self.engine, ended?)))
    }

    fn is_over(&self) -> bool {
        self.engine.is_over()
    }
}

impl<I: Iterator, R: DeserializeOwned + 'static> FusedIterator for Map<I, R> {}
impl<I: Iterator<Item: TryInput>, R: DeserializeOwned + 'static> FusedIterator for TryMap<I, R> {}

impl<I: Iterator, R> fmt::Debug for Map<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.engine.describe("Map", f)
    }
}

impl<I: Iterator<Item: TryInput>, R> fmt::Debug for TryMap<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.engine.describe("TryMap", f)
    }
}

fn typed<I: Iterator, R: DeserializeOwned + 'static>(
    engine: &Engine<I, Infallible>,
    ended: Ended<Infallible>,
) -> Result<R, TaskError> {
    match ended {
        Ended::Item(given) => outcome(engine, given),
        Ended::Input(never) => match never {},
    }
}

fn try_typed<I: Iterator, R: DeserializeOwned + 'static, E>(
    engine: &Engine<I, E>,
    ended: Ended<E>,
) -> Result<R, TryMapError<TaskError, E>> {
    match ended {
        Ended::Item(given) => outcome(engine, given).map_err(TryMapError::Task),
        Ended::Input(error) => Err(TryMapError::Input(error)),
    }
}

fn outcome<I: Iterator, R: DeserializeOwned + 'static, E>(
    engine: &Engine<I, E>,
    given: Given,
) -> Result<R, TaskError> {
    match given {
        Given::Here(place) => {
            let (bytes, handles) = engine.at(place);
            decode(bytes, &handles)
        }
        Given::Encoded(encoded) => decode(&encoded.bytes, &encoded.handles),
        Given::Failed(error) => Err(error),
    }
}

fn decode<R: DeserializeOwned + 'static>(bytes: &[u8], handles: &Handles) -> Result<R, TaskError> {
    let decoded = handles::provide(handles, || wire::decode_whole(bytes));
    decoded.map_err(|error| TaskError::ResultNotDecoded {
        type_name: std::any::type_name::<R>(),
        message: error.to_string().into(),
    })
}
