//! An executor without its types: what code that is written for all of them holds, and what is behind
//! it.

use std::sync::Arc;
use std::time::Duration;

use super::core::{Core, Shutdown};
use crate::error::ShutdownError;
use crate::future::{Future, ReturnWhen, wait_async};
use crate::sys;

/// Something that runs tasks: a pool of processes, of threads, or the calling thread.
///
/// Code that is written for `&dyn Executor` runs on all of them; the typed calls are those of
/// [`ExecutorExt`](crate::ExecutorExt).
///
/// ```standalone_crate
/// use procession::{Executor, ExecutorExt, InlineExecutor, ThreadPoolExecutor};
///
/// #[procession::task]
/// fn double(n: u64) -> u64 {
///     2 * n
/// }
///
/// fn sum_of_doubles(executor: &dyn Executor) -> Result<u64, Box<dyn std::error::Error>> {
///     let mut sum = 0;
///     for doubled in executor.map(double, 1..=3) {
///         sum += doubled?;
///     }
///     Ok(sum)
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     assert_eq!(sum_of_doubles(&InlineExecutor::new())?, 12);
///     assert_eq!(sum_of_doubles(&ThreadPoolExecutor::new()?)?, 12);
///     Ok(())
/// }
/// ```
///
/// The trait is sealed: what an executor must do to keep the contract is more than its methods say,
/// and may still grow.
#[async_trait::async_trait]
pub trait Executor: Send + Sync + sealed::Sealed {
    /// The executor without its types.
    #[doc(hidden)]
    fn handle(&self) -> &Handle;

    /// How many tasks can run at a time.
    ///
    /// ```
    /// use procession::{Executor, InlineExecutor};
    ///
    /// let executor: &dyn Executor = &InlineExecutor::new();
    /// assert_eq!(executor.max_workers(), 1);
    /// ```
    fn max_workers(&self) -> usize {
        self.handle().0.max_workers()
    }

    /// How many tasks are pending: queued or running. A chunk of `map` counts as one.
    ///
    /// ```
    /// use procession::{Executor, InlineExecutor};
    ///
    /// let executor: &dyn Executor = &InlineExecutor::new();
    /// assert_eq!(executor.pending(), 0);
    /// ```
    fn pending(&self) -> usize {
        self.handle().0.pending()
    }

    /// Takes no more tasks, deals with the pending ones as told, and waits until everything has ended;
    /// without a deadline, for the callbacks of [`on_done`](crate::Future::on_done) too.
    ///
    /// Shutting down again is allowed, also with a stronger mode, and from several threads. On a
    /// thread that the end itself waits for (in a task of an executor of threads, or in a waker that
    /// the executor calls) it does not wait, and answers as if the deadline had passed already, but
    /// kills nothing.
    ///
    /// # Errors
    ///
    /// When `deadline` passes first: then what is left is ended as with [`Shutdown::Kill`]. (Threads
    /// cannot be killed: an executor of threads leaves them to end by themselves.)
    ///
    /// ```
    /// use procession::{Executor, InlineExecutor, Shutdown};
    ///
    /// let executor: &dyn Executor = &InlineExecutor::new();
    /// executor.shutdown(Shutdown::Wait, None)?;
    /// # Ok::<(), procession::ShutdownError>(())
    /// ```
    fn shutdown(&self, how: Shutdown, deadline: Option<Duration>) -> Result<(), ShutdownError> {
        let core = &*self.handle().0;
        core.begin_shutdown(how);
        if core.is_own_thread() || core.is_elsewhere() {
            return if core.ended().is_done() {
                Ok(())
            } else {
                Err(unfinished(core))
            };
        }
        let until = deadline.and_then(crate::sys::deadline_after);
        if core.ended().wait(until).is_some() {
            core.join();
            if deadline.is_none() {
                core.join_callbacks();
            }
            return Ok(());
        }
        let error = unfinished(core);
        core.begin_shutdown(Shutdown::Kill);
        // Processes are gone soon after they are killed; threads may never be.
        if core.can_kill() {
            core.ended().wait(None);
            core.join();
        }
        Err(error)
    }

    /// As [`shutdown`](Self::shutdown), without blocking, and without waiting for callbacks. It begins
    /// when the future is first polled; dropping the future then stops the waiting, not the shutdown.
    ///
    /// ```
    /// use procession::{Executor, InlineExecutor, Shutdown};
    ///
    /// # futures::executor::block_on(async {
    /// let executor: &dyn Executor = &InlineExecutor::new();
    /// executor.shutdown_async(Shutdown::Wait, None).await?;
    /// # Ok::<(), procession::ShutdownError>(())
    /// # }).unwrap();
    /// ```
    async fn shutdown_async(
        &self,
        how: Shutdown,
        deadline: Option<Duration>,
    ) -> Result<(), ShutdownError> {
        let core = &*self.handle().0;
        core.begin_shutdown(how);
        let ended: Future<()> = core.ended().clone().typed();
        let waited = wait_async([&ended], ReturnWhen::AllCompleted, deadline).await;
        if waited.not_done.is_empty() {
            return Ok(());
        }
        let error = unfinished(core);
        core.begin_shutdown(Shutdown::Kill);
        if core.can_kill() {
            wait_async([&ended], ReturnWhen::AllCompleted, None).await;
        }
        Err(error)
    }
}

fn unfinished(core: &dyn Core) -> ShutdownError {
    ShutdownError {
        unfinished: core.pending(),
    }
}

/// An executor without its types.
#[doc(hidden)]
#[derive(Clone)]
pub struct Handle(pub(crate) Arc<dyn Core>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("pending", &self.0.pending())
            .finish_non_exhaustive()
    }
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// The end of an executor that was not shut down: it drains, as Python's `with` block does; while a
/// panic unwinds, nobody is there to wait for the rest, and it is killed.
pub(crate) fn drop_executor(handle: &Handle) {
    let core = handle.0.clone();
    if core.is_elsewhere() {
        return;
    }
    core.begin_shutdown(if std::thread::panicking() {
        Shutdown::Kill
    } else {
        Shutdown::Wait
    });
    let wait = move || {
        core.ended().wait(None);
        core.join();
        core.join_callbacks();
    };
    if handle.0.is_own_thread() {
        // The last handle went with a callback or a waker, on a thread that the end needs: another
        // one waits, so that the process table is clean in the end. Without one it ends unwatched.
        let thread = std::thread::Builder::new().name("procession-drop".into());
        let _ = sys::with_signals_blocked(|| thread.spawn(wait));
    } else {
        wait();
    }
}
