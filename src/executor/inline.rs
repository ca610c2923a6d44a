//! The executor without concurrency.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::core::{Core, Promises, Shutdown, Work};
use super::defaults::{DEFAULT_MAX_FRAME, DEFAULT_MAX_PENDING};
use super::erased::{Executor, Handle};
use super::gate::{Gate, Permit};
use super::local::{LocalJob, Runner, left_until};
use super::methods::executor_methods;
use crate::error::{SubmitError, TaskId};
use crate::future::{Host, HostRef, Kill, RawFuture};
use crate::primitives::plain::{Condvar, Mutex, lock};
use crate::wire::Encoded;

/// Runs every task in the thread that submits it, before `submit` returns: for debugging.
///
/// A debugger, a profiler or a panic's backtrace then shows the caller. Arguments and results go
/// through the same encoding as in a process pool, and a panic is caught the same way. Nothing is a
/// wall around the task: one that crashes takes the program with it.
///
/// ```standalone_crate
/// use procession::InlineExecutor;
///
/// #[procession::task]
/// fn double(n: u64) -> u64 {
///     2 * n
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let executor = InlineExecutor::new();
///     assert_eq!(executor.submit(double, 21)?.wait()?, 42);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct InlineExecutor {
    handle: Handle,
}

struct Inline {
    gate: Arc<Gate>,
    next: AtomicU64,
    is_shut_down: AtomicBool,
    ended: RawFuture,
    /// This, as futures have it.
    host: HostRef,
}

impl InlineExecutor {
    /// An executor that costs nothing: no thread, no process.
    ///
    /// ```
    /// let executor = procession::InlineExecutor::new();
    /// assert_eq!(executor.max_workers(), 1);
    /// ```
    pub fn new() -> Self {
        let inline = Arc::new_cyclic(|this: &Weak<Inline>| Inline {
            gate: Gate::new(DEFAULT_MAX_PENDING),
            next: AtomicU64::new(0),
            is_shut_down: AtomicBool::new(false),
            ended: RawFuture::pending(TaskId(0), None),
            host: HostRef::new(this.clone()),
        });
        Self {
            handle: Handle(inline),
        }
    }
}

impl Default for InlineExecutor {
    fn default() -> Self {
        Self::new()
    }
}

impl Executor for InlineExecutor {
    fn handle(&self) -> &Handle {
        &self.handle
    }
}

executor_methods!(InlineExecutor);

impl Host for Inline {
    fn cancel(&self, _: TaskId) -> bool {
        false
    }

    fn kill(&self, _: TaskId) -> Kill {
        Kill::Asked
    }

    fn is_running(&self, _: TaskId) -> bool {
        // Only a task that submits further ones could ask while one runs.
        true
    }

    fn drain(&self, _: TaskId, _: &dyn Fn() -> bool, _: Option<Instant>) {}

    fn run_callback(&self, callback: Box<dyn FnOnce() + Send>) {
        callback();
    }
}

impl Runner for Inline {
    fn max_frame(&self) -> u64 {
        DEFAULT_MAX_FRAME
    }

    fn is_cancelled(&self, _: TaskId) -> bool {
        false
    }

    fn pause(&self, _: TaskId, until: Option<Instant>) {
        // Not parked: whoever unparks this thread means something else.
        let (nobody, never) = (Mutex::new(()), Condvar::new());
        let mut guard = lock(&nobody);
        while let Some(left) = left_until(until) {
            let woken = never.wait_timeout(guard, left);
            guard = woken.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}

impl Core for Inline {
    fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    fn max_frame(&self) -> u64 {
        DEFAULT_MAX_FRAME
    }

    fn max_workers(&self) -> usize {
        1
    }

    fn begin(self: Arc<Self>, permit: Permit, work: Work) -> Result<Promises, SubmitError> {
        work.check_size(Core::max_frame(&*self))?;
        work.options.check(work.function)?;
        if self.is_shut_down.load(Ordering::SeqCst) {
            return Err(SubmitError::ShutDown);
        }
        let id = TaskId(self.next.fetch_add(1, Ordering::Relaxed));
        let promises = Promises::new(work.shape, id, &self.host);
        LocalJob {
            id,
            work,
            promises: promises.clone(),
            permit,
            submitted: Instant::now(),
        }
        .run(&self);
        Ok(promises)
    }

    fn begin_shutdown(&self, _: Shutdown) {
        self.is_shut_down.store(true, Ordering::SeqCst);
        self.gate.close(SubmitError::ShutDown);
        self.ended.complete(Ok(Encoded::default()));
    }

    fn ended(&self) -> &RawFuture {
        &self.ended
    }

    fn can_kill(&self) -> bool {
        false
    }

    fn is_own_thread(&self) -> bool {
        false
    }

    fn pending(&self) -> usize {
        self.gate.held()
    }

    fn join_callbacks(&self) {}

    fn join(&self) {}
}
