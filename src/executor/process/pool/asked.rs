//! What futures and callers ask of a pool.

use std::sync::{Arc, Weak};
use std::time::Instant;

use super::pages::Living;
use super::{Effects, Inner, Pool};
use crate::error::{SubmitError, TaskId};
use crate::executor::core::{Call, Core, Promises, Shutdown};
use crate::executor::gate::{Gate, Permit};
use crate::executor::process::job::Job;
use crate::executor::process::link::Link;
use crate::executor::process::reading;
use crate::frame::Kind;
use crate::future::{Host, RawFuture};
use crate::primitives::plain::lock;
use crate::scheduler::{self, Cancel, Place, State};
use crate::sys;

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

impl Host for Pool {
    fn cancel(&self, task: TaskId) -> bool {
        let mut state = lock(&self.state);
        let inner = &mut *state;
        let Inner {
            scheduler,
            links,
            out,
            ..
        } = inner;
        let found = scheduler.cancel(task, sys::monotonic_ns(), &mut Living(links), out);
        if let Cancel::Running { worker, seq } = found
            && let Some(link) = links.get(&worker)
        {
            // A chunk looks at this between its items.
            link.page.ask_cancel(seq);
            if let Some(job) = scheduler.job_mut(task) {
                job.is_cancelled = true;
            }
        }
        self.finish(state, Effects::default());
        found == Cancel::Cancelled
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
        reading::wait_for(self, task, is_done, deadline);
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
        self.settings.workers
    }

    fn begin(self: Arc<Self>, permit: Permit, call: Call) -> Result<Promises, SubmitError> {
        call.check_size(self.max_frame())?;
        let now = sys::monotonic_ns();
        let mut state = lock(&self.state);
        let inner = &mut *state;
        match inner.scheduler.state() {
            State::Open => {}
            State::ShutDown(_) => return Err(SubmitError::ShutDown),
            State::Broken => return Err(SubmitError::Broken(Self::reason(inner).to_string())),
        }
        let (function, shape) = (call.function, call.shape);
        let job = Job::new(call, permit);
        let Ok(task) = inner
            .scheduler
            .submit(function.index, job, now, &mut inner.out)
        else {
            return Err(SubmitError::ShutDown);
        };
        let host: Weak<dyn Host> = self.this.clone();
        let promises = Promises::new(shape, task, &host);
        if let Some(job) = inner.scheduler.job_mut(task) {
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
        let mode = match how {
            Shutdown::Wait => scheduler::Shutdown::Drain,
            Shutdown::CancelPending => scheduler::Shutdown::CancelPending,
            Shutdown::Kill => scheduler::Shutdown::Kill,
        };
        let mut state = lock(&self.state);
        let inner = &mut *state;
        let Inner {
            scheduler,
            links,
            out,
            ..
        } = inner;
        scheduler.shutdown(mode, &mut Living(links), out);
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

    fn can_kill(&self) -> bool {
        true
    }

    fn is_own_thread(&self) -> bool {
        self.reactor.get() == Some(&std::thread::current().id())
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
        self.callbacks.join();
    }
}
