//! The pool as its user holds it.

use std::fmt;
use std::sync::Arc;

use super::builder::{ProcessPoolExecutorBuilder, check_workers};
use super::pool::Pool;
use crate::error::BuildError;
use crate::executor::core::{Core, Shutdown};
use crate::executor::erased::{Executor, Handle, drop_executor};
use crate::executor::methods::executor_methods;

/// A pool of worker processes that run registered functions.
///
/// A worker is this same program, started anew: [`init`](crate::init), the first line of `main`, is
/// where it turns into a worker. Workers are started by [`build`](ProcessPoolExecutorBuilder::build)
/// and wait for tasks; each runs one at a time, on its main thread. When one dies, only the task that
/// it was running fails, and another worker takes its place.
///
/// ```standalone_crate
/// use procession::ProcessPoolExecutor;
///
/// #[procession::task]
/// fn is_prime(n: u64) -> bool {
///     n > 1 && (2..).take_while(|d| d * d <= n).all(|d| n % d != 0)
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let pool = ProcessPoolExecutor::new()?;
///     let future = pool.submit(is_prime, 1_000_003)?;
///     assert!(future.wait()?);
///     let small: Result<Vec<bool>, _> = pool.map(is_prime, 1..6).collect();
///     assert_eq!(small?, [false, true, true, false, true]);
///     Ok(())
/// }
/// ```
///
/// # Sharing
///
/// All methods take `&self`; share it by reference, or in an `Arc`.
///
/// # On drop
///
/// Dropping the pool waits until everything submitted has run, as leaving Python's `with` block does.
/// While a panic unwinds it kills its workers instead. When the process ends without dropping it, by
/// whatever way, the workers and their process groups are killed.
///
/// In async code dropping it would block the thread: await
/// [`shutdown_async`](Self::shutdown_async) before.
///
/// # Costs
///
/// One thread (`procession-reactor`), one more (`procession-callbacks`) once an
/// [`on_done`](crate::Future::on_done) callback is due, and `procession-output` where output is read
/// ([`Tee`](crate::Stdio::Tee), [`Capture`](crate::Stdio::Capture)) or records are forwarded. Two descriptors (and one for the
/// program, that is kept until it ends), and six for every worker, one more for each stream that is read; none for a queued task.
/// Nothing wakes up while nothing is to be done. Signal handlers, SIGCHLD and the environment are
/// left alone.
#[must_use = "dropping the pool waits for its tasks and ends its workers"]
pub struct ProcessPoolExecutor {
    handle: Handle,
    pool: Arc<Pool>,
}

impl fmt::Debug for ProcessPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPoolExecutor")
            .field("max_workers", &self.max_workers())
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}

impl ProcessPoolExecutor {
    /// A pool of [`default_workers`](crate::default_workers) workers.
    ///
    /// # Errors
    ///
    /// Those of [`build`](ProcessPoolExecutorBuilder::build).
    ///
    /// ```standalone_crate
    /// fn main() -> Result<(), procession::BuildError> {
    ///     procession::init();
    ///     let pool = procession::ProcessPoolExecutor::new()?;
    ///     assert_eq!(pool.max_workers(), procession::default_workers());
    ///     Ok(())
    /// }
    /// ```
    pub fn new() -> Result<Self, BuildError> {
        Self::builder().build()
    }

    /// Chooses more about the pool; [`build`](ProcessPoolExecutorBuilder::build) then starts it.
    ///
    /// ```no_run
    /// use procession::ProcessPoolExecutor;
    ///
    /// let pool = ProcessPoolExecutor::builder().max_workers(4).max_pending(1000).build()?;
    /// # Ok::<(), procession::BuildError>(())
    /// ```
    pub fn builder() -> ProcessPoolExecutorBuilder {
        ProcessPoolExecutorBuilder::new()
    }

    pub(super) fn from_pool(pool: Arc<Pool>) -> Self {
        Self {
            handle: Handle(pool.clone()),
            pool,
        }
    }

    /// Changes how many workers there are, from now on: exactly so many. Does not block.
    ///
    /// Of surplus workers, those go first that have nothing to do; one that runs a task goes when that has ended. Those that
    /// stay, stay as they are. Missing ones are started.
    ///
    /// # Errors
    ///
    /// [`BuildError::Parameter`], for anything but 1 to 4096.
    ///
    /// ```standalone_crate
    /// use procession::ProcessPoolExecutor;
    ///
    /// fn main() -> Result<(), procession::BuildError> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     pool.resize(2)?;
    ///     assert_eq!(pool.max_workers(), 2);
    ///     assert!(pool.resize(0).is_err());
    ///     Ok(())
    /// }
    /// ```
    pub fn resize(&self, workers: usize) -> Result<(), BuildError> {
        self.resize_between(workers, workers)
    }

    /// Changes both bounds of the number of workers: see [`resize`](Self::resize), and
    /// [`min_workers`](ProcessPoolExecutorBuilder::min_workers).
    ///
    /// # Errors
    ///
    /// [`BuildError::Parameter`], if that cannot be.
    ///
    /// ```standalone_crate
    /// use procession::ProcessPoolExecutor;
    ///
    /// fn main() -> Result<(), procession::BuildError> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     pool.resize_between(0, 4)?;
    ///     assert!(pool.resize_between(3, 2).is_err());
    ///     Ok(())
    /// }
    /// ```
    pub fn resize_between(&self, min_workers: usize, max_workers: usize) -> Result<(), BuildError> {
        check_workers(min_workers, max_workers)?;
        self.pool.resize(min_workers, max_workers);
        Ok(())
    }

    /// Ends the pool by ending its workers: they and their process groups are sent
    /// [`terminate_signal`](ProcessPoolExecutorBuilder::terminate_signal) (SIGTERM), and are killed if they are still there after
    /// [`exit_grace`](ProcessPoolExecutorBuilder::exit_grace). Everything that is pending ends with [`TaskError::ShutDown`](crate::TaskError::ShutDown) at once, and
    /// submitting is refused. Does not block: [`shutdown`](Self::shutdown) with [`Shutdown::Terminate`] does the same and waits.
    ///
    /// ```standalone_crate
    /// use procession::{ProcessPoolExecutor, TaskError};
    ///
    /// #[procession::task]
    /// fn ponder() {
    ///     loop {
    ///         std::thread::park();
    ///     }
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     let future = pool.submit(ponder, ())?;
    ///     pool.terminate_workers();
    ///     assert!(matches!(future.wait(), Err(TaskError::ShutDown { .. })));
    ///     assert!(pool.submit(ponder, ()).is_err());
    ///     Ok(())
    /// }
    /// ```
    pub fn terminate_workers(&self) {
        self.pool.begin_shutdown(Shutdown::Terminate);
    }

    /// Ends the pool by ending its workers at once: they and their process groups are sent SIGKILL. Otherwise as
    /// [`terminate_workers`](Self::terminate_workers).
    ///
    /// ```standalone_crate
    /// use procession::ProcessPoolExecutor;
    ///
    /// fn main() -> Result<(), procession::BuildError> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     pool.kill_workers();
    ///     Ok(())
    /// }
    /// ```
    pub fn kill_workers(&self) {
        self.pool.begin_shutdown(Shutdown::Kill);
    }
}

impl Executor for ProcessPoolExecutor {
    fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for ProcessPoolExecutor {
    fn drop(&mut self) {
        drop_executor(&self.handle);
    }
}

executor_methods!(ProcessPoolExecutor);
