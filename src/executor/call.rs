//! A call about which more is said than its arguments.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::erased::Handle;
use super::map::{Map, TryMap};
use super::retry::{Options, Retry};
use super::typed;
use crate::error::{SubmitError, TrySubmitError};
use crate::future::Future;
use crate::registry::TaskFunction;

/// A function about to be called, and what is asked for beside its arguments. Made by
/// [`ExecutorExt::call`](crate::ExecutorExt::call) and the method of the same name of each executor.
///
/// It reads as a sentence, and ends with [`submit`](Self::submit), [`try_submit`](Self::try_submit),
/// [`submit_async`](Self::submit_async), [`map`](Self::map) or [`try_map`](Self::try_map), any number of times.
///
/// ```standalone_crate
/// use std::time::Duration;
///
/// use procession::ProcessPoolExecutor;
///
/// #[procession::task]
/// fn decode(path: String) -> usize {
///     path.len()
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
///     let decode = pool.call(decode).timeout(Duration::from_secs(5)).retries(2);
///     let future = decode.clone().priority(1).submit("a.png".to_owned())?;
///     let lengths: Result<Vec<usize>, _> = decode.map(["b", "cc"].map(String::from)).collect();
///     assert_eq!((future.wait()?, lengths?), (5, vec![1, 2]));
///     Ok(())
/// }
/// ```
///
/// # In executors without processes
///
/// Threads cannot be ended. There, a time limit raises [`is_cancelled`](crate::is_cancelled), a task that has not begun at its
/// deadline is not begun any more (it is told when a thread comes to it), and that is all.
#[must_use = "nothing happens before it is submitted"]
pub struct Call<'a, F> {
    executor: &'a Handle,
    options: Options,
    function: PhantomData<fn() -> F>,
}

impl<'a, F> Call<'a, F> {
    pub(super) fn new(executor: &'a Handle) -> Self {
        Self {
            executor,
            options: Options::default(),
            function: PhantomData,
        }
    }

    /// How long the function may run, counted from its start in a worker; of a `map`, for each item.
    /// `None` is for ever, also where the executor has
    /// [another default](crate::ProcessPoolExecutorBuilder::timeout).
    ///
    /// Then the worker, and its process group with it, is ended in the steps described at
    /// [`cancel_grace`](crate::ProcessPoolExecutorBuilder::cancel_grace), which is at once by default, and the future says
    /// [`TaskError::TimeLimit`](crate::TaskError::TimeLimit). A result that comes before that counts. No other task is hit.
    ///
    /// A worker that has been stopped (with SIGSTOP, say) holds no such task up either: where it has not begun in about a second, another
    /// worker gets it; where it has ended, and its result does not come in a second, that counts as its time being up.
    ///
    /// Zero is refused when it is submitted.
    ///
    /// ```standalone_crate
    /// use std::time::Duration;
    ///
    /// use procession::{ProcessPoolExecutor, TaskError};
    ///
    /// #[procession::task]
    /// fn nap(milliseconds: u64) -> u64 {
    ///     std::thread::sleep(Duration::from_millis(milliseconds));
    ///     milliseconds
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;
    ///     let naps = pool.call(nap).timeout(Duration::from_millis(500)).map([1, 3_600_000, 2]);
    ///     let naps: Vec<_> = naps.collect();
    ///     assert!(matches!(naps[1], Err(TaskError::TimeLimit(_))));
    ///     assert!(naps[0].is_ok() && naps[2].is_ok());
    ///     Ok(())
    /// }
    /// ```
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.timeout = Some(timeout.into());
        self
    }

    /// By when the task must have ended, counted from its submission (from when it is accepted, if `submit` has to
    /// wait for room). A task that has not begun by then never does; one that runs is ended as at its
    /// [timeout](Self::timeout).
    ///
    /// Zero is refused when it is submitted.
    ///
    /// ```standalone_crate
    /// use std::time::Duration;
    ///
    /// use procession::{ProcessPoolExecutor, TaskError};
    ///
    /// #[procession::task]
    /// fn nap(milliseconds: u64) {
    ///     std::thread::sleep(Duration::from_millis(milliseconds));
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     let first = pool.submit(nap, 100)?;
    ///     let second = pool.call(nap).deadline(Duration::from_millis(10)).submit(0)?;
    ///     match second.wait() {
    ///         Err(TaskError::TimeLimit(limit)) => assert!(!limit.may_have_run),
    ///         other => panic!("{other:?}"),
    ///     }
    ///     first.wait()?;
    ///     Ok(())
    /// }
    /// ```
    pub fn deadline(mut self, deadline: impl Into<Option<Duration>>) -> Self {
        self.options.deadline = Some(deadline.into());
        self
    }

    /// Tasks of a higher priority are begun first; within one priority, in the order of submission. Default: 0. Negative is
    /// fine. A task that has begun, or was sent ahead to a worker's pipe (some 100 µs of work at most), is not overtaken.
    ///
    /// ```
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let executor = procession::InlineExecutor::new();
    /// assert_eq!(executor.call(add).priority(10).submit((1, 2))?.wait()?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn priority(mut self, priority: i32) -> Self {
        self.options.priority = priority;
        self
    }

    /// Up to so many more attempts when the worker is lost or the timeout passes: [`retry`](Self::retry) with [`Retry::times`].
    ///
    /// For functions that may be called more than once for the same arguments. One that is registered with `repeatable = false` is
    /// refused when it is submitted.
    ///
    /// ```
    /// use procession::{InlineExecutor, SubmitError};
    ///
    /// #[procession::task(repeatable = false)]
    /// fn send_money(amount: u64) {}
    ///
    /// let refused = InlineExecutor::new().call(send_money).retries(1).submit(100).unwrap_err();
    /// assert!(matches!(refused, SubmitError::NotRepeatable { retries: 1, .. }));
    /// ```
    pub fn retries(self, times: u32) -> Self {
        self.retry(Retry::times(times))
    }

    /// When and how often it is tried again.
    ///
    /// ```
    /// use procession::Retry;
    ///
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let executor = procession::InlineExecutor::new();
    /// let future = executor.call(add).retry(Retry::times(2).after_panics()).submit((1, 2))?;
    /// assert_eq!(future.wait()?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options.retry = Some(Arc::new(retry));
        self
    }

    /// As [`ExecutorExt::submit`](crate::ExecutorExt::submit).
    ///
    /// # Errors
    ///
    /// Those of `submit`; and what is wrong with what was asked for.
    ///
    /// ```
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let executor = procession::InlineExecutor::new();
    /// let add = executor.call(add);
    /// assert_eq!(add.submit((1, 2))?.wait()? + add.submit((3, 4))?.wait()?, 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit<A, K>(&self, args: A) -> Result<Future<F::Output>, SubmitError>
    where
        F: TaskFunction<A, K>,
    {
        typed::submit::<F, A, K>(&self.executor.0, args, self.options.clone())
    }

    /// As [`ExecutorExt::try_submit`](crate::ExecutorExt::try_submit).
    ///
    /// # Errors
    ///
    /// Those of `try_submit`; and what is wrong with what was asked for.
    ///
    /// ```
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let executor = procession::InlineExecutor::new();
    /// let future = executor.call(add).retries(1).try_submit((1, 2)).map_err(|refused| refused.reason)?;
    /// assert_eq!(future.wait()?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_submit<A, K>(&self, args: A) -> Result<Future<F::Output>, TrySubmitError<A>>
    where
        F: TaskFunction<A, K>,
    {
        let core = &self.executor.0;
        let submitted = core.gate().try_enter().and_then(|permit| {
            let work = typed::encode::<F, A, K>(&args)?;
            typed::begin(core, permit, work.with(self.options.clone()))
        });
        submitted.map_err(|reason| TrySubmitError { args, reason })
    }

    /// As [`ExecutorExt::submit_async`](crate::ExecutorExt::submit_async).
    ///
    /// ```
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let executor = procession::InlineExecutor::new();
    /// # futures::executor::block_on(async {
    /// let future = executor.call(add).retries(1).submit_async((1, 2)).await?;
    /// assert_eq!(future.await?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit_async<A, K>(
        &self,
        args: A,
    ) -> impl std::future::Future<Output = Result<Future<F::Output>, SubmitError>> + Send + use<F, A, K>
    where
        F: TaskFunction<A, K>,
    {
        let core = self.executor.0.clone();
        let work = typed::encode_owned::<F, A, K>(args);
        let options = self.options.clone();
        async move {
            let work = work?.with(options);
            let permit = core.gate().entering().await?;
            typed::begin(&core, permit, work)
        }
    }

    /// As [`ExecutorExt::map`](crate::ExecutorExt::map). What was asked for holds for each item: the timeout counts from the
    /// item's own start, also within a chunk; a deadline, from the submission of the chunk. With a time limit or retries, each
    /// result of a chunk is sent by itself, so that an end takes no other item with it: chunks then save less.
    ///
    /// ```
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let executor = procession::InlineExecutor::new();
    /// let sums: Result<Vec<u64>, _> = executor.call(add).retries(1).map([(1, 2), (3, 4)]).collect();
    /// assert_eq!(sums?, [3, 7]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<A, K, I>(&self, inputs: I) -> Map<I::IntoIter, F::Output>
    where
        F: TaskFunction<A, K>,
        I: IntoIterator<Item = A>,
    {
        let executor = self.executor.clone();
        Map::new::<F, A, K>(executor, self.options.clone(), inputs.into_iter())
    }

    /// As [`ExecutorExt::try_map`](crate::ExecutorExt::try_map), with what was asked for as in [`map`](Self::map).
    ///
    /// ```
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let executor = procession::InlineExecutor::new();
    /// let inputs = [Ok((1, 2)), Err("no numbers")];
    /// let sums: Vec<_> = executor.call(add).retries(1).try_map(inputs).collect();
    /// assert!(sums[0].is_ok() && sums[1].is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_map<A, K, I, E>(&self, inputs: I) -> TryMap<I::IntoIter, F::Output>
    where
        F: TaskFunction<A, K>,
        I: IntoIterator<Item = Result<A, E>>,
    {
        let executor = self.executor.clone();
        TryMap::new::<F, A, K, E>(executor, self.options.clone(), inputs.into_iter())
    }
}

// Not derived: `F` need not be anything for it.
impl<F> Clone for Call<'_, F> {
    fn clone(&self) -> Self {
        Self {
            executor: self.executor,
            options: self.options.clone(),
            function: PhantomData,
        }
    }
}

impl<F> fmt::Debug for Call<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("function", &std::any::type_name::<F>())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
