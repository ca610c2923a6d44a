//! What futures and callers ask of a pool.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Effects, Inner, Pool};
use crate::error::{SubmitError, TaskId};
use crate::executor::core::{Core, Promises, Shutdown, Work};
use crate::executor::gate::{Gate, Permit};
use crate::executor::process::job::Job;
use crate::executor::process::link::Link;
use crate::executor::process::reading;
use crate::frame::Kind;
use crate::future::{Host, Kill, RawFuture};
use crate::primitives::plain::lock;
use crate::scheduler::{self, Cancel, Place, State, Terms};

impl Pool {
    /// Where a thread that waits for `task` should read: the worker that has it at its head, if
    /// nobody else reads there. Also says with which sequence number it was sent.
    ///
    /// Not for the items of a chunk: one may be done, its part read by another thread, while the
    /// chunk goes on. Parts come at most once in a millisecond; the reactor reads them.
    pub(in crate::executor::process) fn place_to_wait(
        &self,
        task: TaskId,
    ) -> Option<(Arc<Link>, u32)> {
        let state = lock(&self.state);
        match state.scheduler.place_of(task)? {
            Place::Sent {
                worker,
                seq,
                is_head: true,
            } if state.scheduler.job(task)?.kind() == Kind::Task => {
                let link = state.links.get(&worker)?.clone();
                Some((link, seq))
            }
            _ => None,
        }
    }

    /// Notes that the token's holder waits for `task`, if that still is where it was.
    pub(in crate::executor::process) fn wait_here(
        &self,
        link: &Link,
        task: TaskId,
        seq: u32,
    ) -> bool {
        let state = lock(&self.state);
        let is_here = state.scheduler.head_of(link.worker) == Some((task, seq));
        if is_here {
            link.set_waited_for(seq);
        }
        is_here
    }
}

impl Pool {
    /// Ends a task that has not begun: true; or asks it to end.
    fn cancel_one(&self, inner: &mut Inner, task: TaskId, effects: &mut Effects) -> bool {
        let found = inner.turn(|scheduler, turn| scheduler.cancel(task, turn));
        if let Cancel::Running { worker, seq } = found {
            // The task can ask for this; a chunk looks at it between its items.
            if let Some(link) = inner.links.get(&worker) {
                link.page.ask_cancel(seq);
            }
            if let Some(job) = inner.scheduler.job_mut(task) {
                job.cancel();
            }
        }
        self.act(inner, effects);
        found == Cancel::Cancelled
    }

    /// Other bounds for the number of workers.
    pub(in crate::executor::process) fn resize(&self, min_workers: usize, max_workers: usize) {
        if self.home.is_elsewhere() {
            return;
        }
        let mut state = lock(&self.state);
        self.max_workers.store(max_workers, Ordering::Relaxed);
        state.turn(|scheduler, turn| scheduler.resize(min_workers, max_workers, turn));
        self.finish(state, Effects::default());
    }
}

impl Host for Pool {
    fn cancel(&self, task: TaskId) -> bool {
        if self.home.is_elsewhere() {
            return false;
        }
        let mut state = lock(&self.state);
        let mut effects = Effects::default();
        // What has been divided from it is later in line.
        let parts = state.scheduler.parts_of(task);
        for part in parts.into_iter().rev() {
            self.cancel_one(&mut state, part, &mut effects);
        }
        let is_cancelled = self.cancel_one(&mut state, task, &mut effects);
        self.finish(state, effects);
        is_cancelled
    }

    fn kill(&self, task: TaskId) -> Kill {
        if self.home.is_elsewhere() {
            return Kill::TooLate;
        }
        let mut state = lock(&self.state);
        if let Some(job) = state.scheduler.job_mut(task) {
            // Whichever way it ends, it is not tried again.
            job.cancel();
        }
        let found = state.turn(|scheduler, turn| scheduler.kill(task, turn));
        self.finish(state, Effects::default());
        match found {
            scheduler::Kill::Cancelled => Kill::Cancelled,
            scheduler::Kill::Ending { .. } => Kill::Killing,
            scheduler::Kill::TooLate => Kill::TooLate,
        }
    }

    fn is_running(&self, task: TaskId) -> bool {
        let state = lock(&self.state);
        match state.scheduler.place_of(task) {
            Some(Place::Sent { worker, seq, .. }) => state
                .links
                .get(&worker)
                .is_some_and(|link| link.page.is_begun(seq)),
            _ => false,
        }
    }

    fn drain(&self, task: TaskId, is_done: &dyn Fn() -> bool, deadline: Option<Instant>) {
        if !self.home.is_elsewhere() {
            reading::wait_for(self, task, is_done, deadline);
        }
    }

    fn run_callback(&self, callback: Box<dyn FnOnce() + Send>) {
        self.callbacks.run(callback);
    }
}

impl Core for Pool {
    fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    fn max_frame(&self) -> u64 {
        self.settings.setup.max_frame
    }

    fn max_workers(&self) -> usize {
        self.max_workers.load(Ordering::Relaxed)
    }

    fn begin(self: Arc<Self>, permit: Permit, work: Work) -> Result<Promises, SubmitError> {
        if self.home.is_elsewhere() {
            return Err(SubmitError::Forked);
        }
        work.check_size(self.max_frame())?;
        work.options.check(work.function)?;
        let timeout = work.options.timeout.unwrap_or(self.settings.timeout);
        let deadline = work.options.deadline.unwrap_or(self.settings.deadline);
        let (function, shape) = (work.function.index, work.shape);
        let priority = work.options.priority;
        let is_alone = !work.handles.is_empty();
        let job = Job::new(work, timeout, deadline, permit);
        let mut state = lock(&self.state);
        match state.scheduler.state() {
            State::Open => {}
            State::ShutDown(_) => return Err(SubmitError::ShutDown),
            State::Broken => return Err(SubmitError::Broken(Self::reason(&state).to_string())),
        }
        let submitted = state.turn(|scheduler, turn| {
            let terms = Terms {
                function,
                more_items: shape.items() - 1,
                priority,
                is_alone,
                timeout_ns: timeout.and_then(nanoseconds),
                deadline_ns: deadline
                    .and_then(nanoseconds)
                    .map(|deadline| deadline.saturating_add(turn.now)),
            };
            scheduler.submit(terms, job, turn)
        });
        let Ok(task) = submitted else {
            return Err(SubmitError::ShutDown);
        };
        let promises = Promises::new(shape, task, &self.host);
        if let Some(job) = state.scheduler.job_mut(task) {
            job.promise(promises.clone());
        }
        let effects = Effects {
            may_read: true,
            ..Effects::default()
        };
        self.finish(state, effects);
        Ok(promises)
    }

    fn begin_shutdown(&self, how: Shutdown) {
        if self.home.is_elsewhere() {
            return;
        }
        let mode = match how {
            Shutdown::Wait => scheduler::Shutdown::Drain,
            Shutdown::CancelPending => scheduler::Shutdown::CancelPending,
            Shutdown::Terminate => scheduler::Shutdown::Terminate,
            Shutdown::Kill => scheduler::Shutdown::Kill,
        };
        let mut state = lock(&self.state);
        state.turn(|scheduler, turn| scheduler.shutdown(mode, turn));
        let effects = Effects {
            wake_reactor: true,
            close_gate: Some(SubmitError::ShutDown),
            ..Effects::default()
        };
        self.finish(state, effects);
    }

    fn ended(&self) -> &RawFuture {
        &self.ended
    }

    fn item_ns(&self, function: u32) -> Option<u64> {
        let settings = &self.settings;
        // What is counted, or limited, by tasks is for whoever makes the chunks to say.
        let is_counted = self.output.is_captured()
            || settings.policy.recycling.max_tasks.is_some()
            || settings.timeout.is_some()
            || settings.deadline.is_some()
            || settings.setup.limits.cpu_time_ms.is_some();
        if is_counted {
            return None;
        }
        lock(&self.state).scheduler.item_ns(function)
    }

    fn is_elsewhere(&self) -> bool {
        self.home.is_elsewhere()
    }

    fn can_kill(&self) -> bool {
        true
    }

    fn is_own_thread(&self) -> bool {
        // The end of a pool waits for those who complete its futures: any thread that waits, cancels or submits, and the
        // one for output.
        self.reactor.get() == Some(&std::thread::current().id())
            || self.output.thread.is_current()
            || self.is_completing_here()
    }

    fn pending(&self) -> usize {
        self.gate.held()
    }

    fn join(&self) {
        let thread = lock(&self.threads).take();
        if let Some(thread) = thread {
            // If it has panicked, its last word has told everybody all the same.
            let _ = thread.join();
        }
    }

    fn join_callbacks(&self) {
        self.output.thread.join();
        self.callbacks.join();
    }
}

/// A limit, for the scheduler; one that is beyond its clock is none.
fn nanoseconds(limit: Duration) -> Option<NonZeroU64> {
    NonZeroU64::new(u64::try_from(limit.as_nanos()).ok()?)
}
