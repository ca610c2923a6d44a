//! The pool as its user holds it.

use std::sync::Arc;

use super::builder::ProcessPoolExecutorBuilder;
use super::pool::Pool;
use crate::error::BuildError;
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
/// [`on_done`](crate::Future::on_done) callback is due, two descriptors (and one for the program, that is
/// kept until it ends), and six for every worker; none for a queued task.
/// Nothing wakes up while nothing is to be done. Signal handlers, SIGCHLD and the environment are
/// left alone.
#[derive(Debug)]
#[must_use = "dropping the pool waits for its tasks and ends its workers"]
pub struct ProcessPoolExecutor {
    handle: Handle,
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
            handle: Handle(pool),
        }
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
