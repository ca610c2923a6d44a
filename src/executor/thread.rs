//! The executor of threads.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::core::{Core, Promises, Shutdown, Work};
use super::defaults::{DEFAULT_MAX_FRAME, DEFAULT_MAX_PENDING, default_workers};
use super::erased::{Executor, Handle, drop_executor};
use super::gate::{Gate, Permit};
use super::local::{LocalJob, Runner, left_until};
use super::methods::executor_methods;
use super::process::callbacks::Callbacks;
use crate::error::{BuildError, SubmitError, TaskError, TaskId};
use crate::future::{Host, HostRef, Kill, RawFuture};
use crate::primitives::plain::{Condvar, Mutex, lock};
use crate::wire::Encoded;

/// Runs tasks on threads of this process.
///
/// The same functions and the same calls as with a [`ProcessPoolExecutor`](crate::ProcessPoolExecutor),
/// through the same encoding, but without a wall: a task that crashes takes the program with it, one
/// that hangs cannot be ended, and the panic hook of the program is left alone, so that a
/// [`Panic`](crate::Panic) has a message but no location.
///
/// ```standalone_crate
/// use procession::ThreadPoolExecutor;
///
/// #[procession::task]
/// fn double(n: u64) -> u64 {
///     2 * n
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let executor = ThreadPoolExecutor::new()?;
///     assert_eq!(executor.submit(double, 21)?.wait()?, 42);
///     Ok(())
/// }
/// ```
///
/// # On drop
///
/// Dropping it waits until everything submitted has run; while a panic unwinds, for what has begun.
///
/// # Costs
///
/// As many threads as it has workers, named `procession-0` and so on; arguments and results are copied
/// through their encoding.
#[derive(Debug)]
#[must_use = "dropping the executor waits for its tasks"]
pub struct ThreadPoolExecutor {
    handle: Handle,
}

/// The executor, as its threads share it.
struct Threads {
    state: Mutex<State>,
    /// Notified when there is a job, or none will come any more.
    changed: Condvar,
    /// Notified when a task that runs is to go no further: it may be pausing before another attempt.
    pausing: Condvar,
    gate: Arc<Gate>,
    callbacks: Callbacks,
    ended: RawFuture,
    /// This, as futures have it.
    host: HostRef,
    max_workers: usize,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    /// What waits.
    queue: BTreeMap<TaskId, LocalJob>,
    /// The order in which it is to begin: by priority, then by submission.
    order: BTreeSet<(Reverse<i32>, TaskId)>,
    running: BTreeSet<TaskId>,
    /// Chunks that are to go no further.
    cancelled: BTreeSet<TaskId>,
    next: u64,
    is_shut_down: bool,
    /// Threads that have not ended.
    threads: usize,
}

impl ThreadPoolExecutor {
    /// An executor of [`default_workers`] threads.
    ///
    /// # Errors
    ///
    /// The system refused a thread.
    ///
    /// ```
    /// let executor = procession::ThreadPoolExecutor::new()?;
    /// assert_eq!(executor.max_workers(), procession::default_workers());
    /// # Ok::<(), procession::BuildError>(())
    /// ```
    pub fn new() -> Result<Self, BuildError> {
        Self::with_max_workers(default_workers())
    }

    /// An executor of that many threads.
    ///
    /// # Errors
    ///
    /// `max_workers` is zero, or the system refused a thread.
    ///
    /// ```
    /// let executor = procession::ThreadPoolExecutor::with_max_workers(3)?;
    /// assert_eq!(executor.max_workers(), 3);
    /// # Ok::<(), procession::BuildError>(())
    /// ```
    pub fn with_max_workers(max_workers: usize) -> Result<Self, BuildError> {
        Self::with_limits(max_workers, DEFAULT_MAX_PENDING)
    }

    /// An executor of that many threads, with room for `max_pending` tasks, queued and running
    /// together.
    ///
    /// # Errors
    ///
    /// A parameter is zero, or the system refused a thread.
    ///
    /// ```
    /// use procession::{BuildError, ThreadPoolExecutor};
    ///
    /// let executor = ThreadPoolExecutor::with_limits(3, 1000)?;
    /// assert_eq!(executor.max_workers(), 3);
    /// assert!(matches!(ThreadPoolExecutor::with_limits(3, 0), Err(BuildError::Parameter { .. })));
    /// # Ok::<(), procession::BuildError>(())
    /// ```
    pub fn with_limits(max_workers: usize, max_pending: usize) -> Result<Self, BuildError> {
        for (parameter, value) in [("max_workers", max_workers), ("max_pending", max_pending)] {
            BuildError::refuse_zero(parameter, Some(value))?;
        }
        let threads = Arc::new_cyclic(|this: &Weak<Threads>| Threads {
            state: Mutex::new(State {
                threads: max_workers,
                ..State::default()
            }),
            changed: Condvar::new(),
            pausing: Condvar::new(),
            gate: Gate::new(max_pending),
            callbacks: Callbacks::new("procession-callbacks"),
            ended: RawFuture::pending(TaskId(0), None),
            host: HostRef::new(this.clone()),
            max_workers,
            handles: Mutex::new(Vec::new()),
        });
        for number in 0..max_workers {
            if let Err(source) = start(&threads, number) {
                // Those that were started end, and take the executor with them.
                lock(&threads.state).threads -= max_workers - number;
                threads.begin_shutdown(Shutdown::Kill);
                threads.join();
                return Err(BuildError::System {
                    what: "a thread",
                    source: Arc::new(source),
                });
            }
        }
        Ok(Self {
            handle: Handle(threads),
        })
    }
}

impl Executor for ThreadPoolExecutor {
    fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        drop_executor(&self.handle);
    }
}

executor_methods!(ThreadPoolExecutor);

fn start(threads: &Arc<Threads>, number: usize) -> io::Result<()> {
    let shared = threads.clone();
    let name = format!("procession-{number}");
    let thread = thread::Builder::new()
        .name(name)
        .spawn(move || shared.serve())?;
    lock(&threads.handles).push(thread);
    Ok(())
}

impl Threads {
    /// The life of one thread.
    fn serve(self: &Arc<Self>) {
        while let Some((id, job)) = self.next_job() {
            job.run(self);
            let mut state = lock(&self.state);
            state.running.remove(&id);
            state.cancelled.remove(&id);
        }
        let is_last = {
            let mut state = lock(&self.state);
            state.threads -= 1;
            state.threads == 0
        };
        if is_last {
            self.callbacks.finish();
            self.ended.complete(Ok(Encoded::default()));
        }
    }

    fn next_job(&self) -> Option<(TaskId, LocalJob)> {
        let mut state = lock(&self.state);
        loop {
            if let Some((_, id)) = state.order.pop_first()
                && let Some(job) = state.queue.remove(&id)
            {
                state.running.insert(id);
                return Some((id, job));
            }
            if state.is_shut_down {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

impl Host for Threads {
    fn cancel(&self, task: TaskId) -> bool {
        self.kill(task) == Kill::Cancelled
    }

    fn kill(&self, task: TaskId) -> Kill {
        let job = {
            let mut state = lock(&self.state);
            let Some(job) = state.queue.remove(&task) else {
                // Under the same lock: what is asked may end at once.
                if !state.running.contains(&task) {
                    return Kill::TooLate;
                }
                state.cancelled.insert(task);
                self.pausing.notify_all();
                return Kill::Asked;
            };
            job.announce_cancelled();
            state.order.remove(&job.place());
            job
        };
        job.end(&TaskError::Cancelled {
            may_have_run: false,
        });
        Kill::Cancelled
    }

    fn is_running(&self, task: TaskId) -> bool {
        lock(&self.state).running.contains(&task)
    }

    fn drain(&self, _: TaskId, _: &dyn Fn() -> bool, _: Option<Instant>) {}

    fn run_callback(&self, callback: Box<dyn FnOnce() + Send>) {
        self.callbacks.run(callback);
    }
}

impl Runner for Threads {
    fn max_frame(&self) -> u64 {
        DEFAULT_MAX_FRAME
    }

    fn is_cancelled(&self, task: TaskId) -> bool {
        lock(&self.state).cancelled.contains(&task)
    }

    fn pause(&self, task: TaskId, until: Option<Instant>) {
        let mut state = lock(&self.state);
        while !state.cancelled.contains(&task) {
            let Some(left) = left_until(until) else {
                return;
            };
            let woken = self.pausing.wait_timeout(state, left);
            state = woken.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}

impl Core for Threads {
    fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    fn max_frame(&self) -> u64 {
        DEFAULT_MAX_FRAME
    }

    fn max_workers(&self) -> usize {
        self.max_workers
    }

    fn begin(self: Arc<Self>, permit: Permit, work: Work) -> Result<Promises, SubmitError> {
        work.check_size(Core::max_frame(&*self))?;
        work.options.check(work.function)?;
        let mut state = lock(&self.state);
        if state.is_shut_down {
            return Err(SubmitError::ShutDown);
        }
        let id = TaskId(state.next);
        state.next += 1;
        let promises = Promises::new(work.shape, id, &self.host);
        let job = LocalJob {
            id,
            work,
            promises: promises.clone(),
            permit,
            submitted: Instant::now(),
        };
        state.order.insert(job.place());
        state.queue.insert(id, job);
        drop(state);
        self.changed.notify_one();
        Ok(promises)
    }

    fn begin_shutdown(&self, how: Shutdown) {
        let dropped = {
            let mut state = lock(&self.state);
            state.is_shut_down = true;
            if how == Shutdown::Wait {
                BTreeMap::new()
            } else {
                let State {
                    running,
                    cancelled,
                    queue,
                    order,
                    ..
                } = &mut *state;
                cancelled.extend(running.iter().copied());
                order.clear();
                std::mem::take(queue)
            }
        };
        self.changed.notify_all();
        self.pausing.notify_all();
        self.gate.close(SubmitError::ShutDown);
        let error = match how {
            Shutdown::Terminate | Shutdown::Kill => TaskError::ShutDown {
                may_have_run: false,
            },
            _ => TaskError::Cancelled {
                may_have_run: false,
            },
        };
        for job in dropped.into_values() {
            job.end(&error);
        }
    }

    fn ended(&self) -> &RawFuture {
        &self.ended
    }

    fn can_kill(&self) -> bool {
        false
    }

    fn is_own_thread(&self) -> bool {
        let current = thread::current().id();
        lock(&self.handles)
            .iter()
            .any(|handle| handle.thread().id() == current)
    }

    fn pending(&self) -> usize {
        self.gate.held()
    }

    fn join(&self) {
        let handles = std::mem::take(&mut *lock(&self.handles));
        for handle in handles {
            if handle.thread().id() != thread::current().id() {
                // Tasks have their panics caught.
                let _ = handle.join();
            }
        }
    }

    fn join_callbacks(&self) {
        self.callbacks.join();
    }
}
