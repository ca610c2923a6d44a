//! What users call: typed calls on top of any executor.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::Call;
use super::core::{Core, Promises, Work};
use super::erased::Executor;
use super::gate::Permit;
use super::map::{Map, TryMap};
use super::retry::Options;
use crate::error::{SubmitError, TrySubmitError};
use crate::future::Future;
use crate::registry::{Function, TaskFunction, assert_zero_sized, find, find_by_name};
use crate::wire::{self, Handles, handles};

/// The typed calls, on every [`Executor`].
///
/// [`ProcessPoolExecutor`](crate::ProcessPoolExecutor) and the others have these methods themselves;
/// the trait is for code that is generic, or holds a `&dyn Executor`.
///
/// ```
/// use procession::{Executor, ExecutorExt, Future, InlineExecutor, SubmitError};
///
/// #[procession::task]
/// fn double(n: u64) -> u64 {
///     2 * n
/// }
///
/// fn doubled(executor: &(impl Executor + ?Sized), n: u64) -> Result<Future<u64>, SubmitError> {
///     executor.submit(double, n)
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// assert_eq!(doubled(&InlineExecutor::new(), 21)?.wait()?, 42);
/// # Ok(())
/// # }
/// ```
pub trait ExecutorExt: Executor {
    /// Says more about a call than its arguments, before it is submitted: time limits, retries, a priority. See
    /// [`Call`].
    ///
    /// ```
    /// use procession::ExecutorExt;
    ///
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let executor: &dyn procession::Executor = &procession::InlineExecutor::new();
    /// let future = executor.call(add).retries(2).priority(1).submit((1, 2))?;
    /// assert_eq!(future.wait()?, 3);
    /// # Ok(())
    /// # }
    /// ```
    fn call<F: Copy>(&self, function: F) -> Call<'_, F> {
        const { assert_zero_sized::<F>() };
        let _ = function;
        Call::new(self.handle())
    }

    /// Submits one call, and returns its future. Waits while `max_pending` tasks are pending.
    ///
    /// `args` is `()` for a function of no arguments, the argument itself for one, and a tuple for
    /// several. They are encoded in the calling thread.
    ///
    /// # Errors
    ///
    /// The function is not registered; the arguments do not encode, or (in debug builds) do not
    /// decode again, or are larger than `max_frame`; the executor has been shut down or is broken.
    /// Nothing was run then.
    ///
    /// ```
    /// use procession::ExecutorExt;
    ///
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let executor: &dyn procession::Executor = &procession::InlineExecutor::new();
    /// let future = executor.submit(add, (1, 2))?;
    /// assert_eq!(future.wait()?, 3);
    /// # Ok(())
    /// # }
    /// ```
    fn submit<F, A, K>(&self, function: F, args: A) -> Result<Future<F::Output>, SubmitError>
    where
        F: TaskFunction<A, K>,
    {
        self.call(function).submit(args)
    }

    /// As [`submit`](Self::submit), but instead of waiting gives the arguments back.
    ///
    /// # Errors
    ///
    /// [`SubmitError::Full`] while `max_pending` tasks are pending; else as `submit`.
    ///
    /// ```
    /// use procession::ExecutorExt;
    ///
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let executor: &dyn procession::Executor = &procession::InlineExecutor::new();
    /// match executor.try_submit(add, (1, 2)) {
    ///     Ok(future) => assert_eq!(future.wait()?, 3),
    ///     Err(refused) => println!("{:?} must wait: {}", refused.args, refused.reason),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    fn try_submit<F, A, K>(
        &self,
        function: F,
        args: A,
    ) -> Result<Future<F::Output>, TrySubmitError<A>>
    where
        F: TaskFunction<A, K>,
    {
        self.call(function).try_submit(args)
    }

    /// As [`submit`](Self::submit), but awaits room instead of blocking the thread. The arguments are
    /// encoded at once; dropping the future before it is ready submits nothing.
    ///
    /// ```
    /// use procession::ExecutorExt;
    ///
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let executor: &dyn procession::Executor = &procession::InlineExecutor::new();
    /// # futures::executor::block_on(async {
    /// let future = executor.submit_async(add, (1, 2)).await?;
    /// assert_eq!(future.await?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
    fn submit_async<F, A, K>(
        &self,
        function: F,
        args: A,
    ) -> impl std::future::Future<Output = Result<Future<F::Output>, SubmitError>>
    + Send
    + use<Self, F, A, K>
    where
        F: TaskFunction<A, K>,
    {
        self.call(function).submit_async(args)
    }

    /// Submits a call to the function of this name, chosen when the program runs.
    ///
    /// # Errors
    ///
    /// No function has this name, or it was registered with other types; else as `submit`.
    ///
    /// ```
    /// use procession::ExecutorExt;
    ///
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let executor: &dyn procession::Executor = &procession::InlineExecutor::new();
    /// let name = concat!(module_path!(), "::add");
    /// let future = executor.submit_by_name::<u64>(name, &(1_u64, 2_u64))?;
    /// assert_eq!(future.wait()?, 3);
    /// assert!(executor.submit_by_name::<u64>("nobody", &()).is_err());
    /// # Ok(())
    /// # }
    /// ```
    fn submit_by_name<R>(
        &self,
        name: &str,
        args: &(impl Serialize + 'static),
    ) -> Result<Future<R>, SubmitError>
    where
        R: DeserializeOwned + 'static,
    {
        submit_by_name(&self.handle().0, name, args)
    }

    /// Calls `function` for every item of `inputs`, and gives the results in the order of the items:
    /// one `Result` for each. Lazy: see [`Map`].
    ///
    /// ```
    /// use procession::ExecutorExt;
    ///
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let executor: &dyn procession::Executor = &procession::InlineExecutor::new();
    /// let sums: Result<Vec<u64>, _> = executor.map(add, [(1, 2), (3, 4)]).collect();
    /// assert_eq!(sums?, [3, 7]);
    /// # Ok(())
    /// # }
    /// ```
    fn map<F, A, K, I>(&self, function: F, inputs: I) -> Map<I::IntoIter, F::Output>
    where
        F: TaskFunction<A, K>,
        I: IntoIterator<Item = A>,
    {
        self.call(function).map(inputs)
    }

    /// As [`map`](Self::map), over inputs that may fail themselves: an input's error surfaces in its
    /// place.
    ///
    /// ```
    /// use procession::ExecutorExt;
    ///
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let executor: &dyn procession::Executor = &procession::InlineExecutor::new();
    /// let lines = ["1", "two", "3"];
    /// let inputs = lines.iter().map(|line| line.parse().map(|n| (n, 10)));
    /// let sums: Vec<_> = executor.try_map(add, inputs).collect();
    /// assert_eq!(sums[2].as_ref().unwrap(), &13);
    /// assert!(matches!(sums[1], Err(procession::TryMapError::Input(_))));
    /// # Ok(())
    /// # }
    /// ```
    fn try_map<F, A, K, I, E>(&self, function: F, inputs: I) -> TryMap<I::IntoIter, F::Output>
    where
        F: TaskFunction<A, K>,
        I: IntoIterator<Item = Result<A, E>>,
    {
        self.call(function).try_map(inputs)
    }
}

impl<E: Executor + ?Sized> ExecutorExt for E {}

/// [`Call::submit`].
pub(super) fn submit<F, A, K>(
    core: &Arc<dyn Core>,
    args: A,
    options: Options,
) -> Result<Future<F::Output>, SubmitError>
where
    F: TaskFunction<A, K>,
{
    let permit = core.gate().enter()?;
    let work = encode_owned::<F, A, K>(args)?;
    begin(core, permit, work.with(options))
}

fn submit_by_name<R>(
    core: &Arc<dyn Core>,
    name: &str,
    args: &(impl Serialize + 'static),
) -> Result<Future<R>, SubmitError>
where
    R: DeserializeOwned + 'static,
{
    let function = find_by_name_for::<_, R>(name, args)?;
    let permit = core.gate().enter()?;
    let work = Work::task(function, |out| {
        wire::encode_whole(args, out).map_err(|error| error.to_string())
    })?;
    begin(core, permit, work)
}

fn find_by_name_for<A: 'static, R: 'static>(
    name: &str,
    _: &A,
) -> Result<&'static Function, SubmitError> {
    find_by_name::<A, R>(name)
}

/// Finds the function, and encodes the arguments for it.
pub(super) fn encode<F, A, K>(args: &A) -> Result<Work, SubmitError>
where
    F: TaskFunction<A, K>,
{
    encode_with::<F, A, K>(|out| F::encode_args(args, out))
}

/// The same for arguments that are not needed any more.
pub(super) fn encode_owned<F, A, K>(args: A) -> Result<Work, SubmitError>
where
    F: TaskFunction<A, K>,
{
    encode_with::<F, A, K>(|out| F::encode_owned_args(args, out))
}

fn encode_with<F, A, K>(
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
) -> Result<Work, SubmitError>
where
    F: TaskFunction<A, K>,
{
    let work = Work::task(find::<F, A, K>()?, encode)?;
    check_decodes::<F, A, K>(&work.payload, &work.handles)?;
    Ok(work)
}

/// In debug builds: refuses arguments that encode but do not decode again, since the format does not
/// describe itself. (`serde(untagged)`, `serde(tag)`, `skip_serializing_if` and the like.)
pub(super) fn check_decodes<F, A, K>(arguments: &[u8], handles: &Handles) -> Result<(), SubmitError>
where
    F: TaskFunction<A, K>,
{
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    match handles::provide(handles, || F::decode_args(&mut arguments.into())) {
        Ok(_) => Ok(()),
        Err(message) => Err(SubmitError::NotDecodable {
            function: find::<F, A, K>()?.name,
            message,
        }),
    }
}

pub(super) fn begin<R>(
    core: &Arc<dyn Core>,
    permit: Permit,
    work: Work,
) -> Result<Future<R>, SubmitError> {
    match core.clone().begin(permit, work)? {
        Promises::One(future) => Ok(future.typed()),
        // That is of a chunk.
        Promises::Many(stage, _) => Ok(stage.future().clone().typed()),
    }
}
