//! Workers that come and go, as the reactor tells the pool.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::pages::{Dying, Living};
use super::{Effects, Gone, Inner, Limit, Pool, Unwanted};
use crate::error::{BuildError, EndOfWorker};
use crate::executor::process::job::Death;
use crate::executor::process::link::Link;
use crate::frame::{Header, Kind};
use crate::primitives::plain::lock;
use crate::scheduler::{Action, Scheduler, Turn, WorkerId};
use crate::sys;
use crate::wire::Encoded;

/// How long a worker may live on when its result pipe has come to its end. The process closes it when
/// it ends, a moment before it can be seen to have ended: how it ended is worth waiting for.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// What ends a process that has used more CPU time than it may.
const SIGXCPU: i32 = 24;

impl Pool {
    pub(in crate::executor::process) fn link(&self, worker: WorkerId) -> Option<Arc<Link>> {
        lock(&self.state).links.get(&worker).cloned()
    }

    /// The workers to be started now; each is answered by [`Pool::started`], [`Pool::not_started`] or [`Pool::gone`].
    pub(in crate::executor::process) fn take_to_start(&self) -> Vec<WorkerId> {
        std::mem::take(&mut lock(&self.state).to_start)
    }

    /// Whether a worker that has yet to be started is wanted no more.
    pub(in crate::executor::process) fn is_unwanted(&self, worker: WorkerId) -> bool {
        lock(&self.state)
            .unwanted
            .iter()
            .any(|(of, _)| *of == worker)
    }

    /// A worker's process is there.
    pub(in crate::executor::process) fn started(&self, link: Arc<Link>) {
        let mut effects = Effects::default();
        if let Some(initializer) = &self.settings.initializer {
            let header = Header::new(Kind::Initialize, 0, 0);
            link.push(header, &initializer.arguments, Some(initializer.function));
        }
        effects.flush.push(link.clone());
        let mut state = lock(&self.state);
        state.limit(link.worker, Limit::Hello, self.settings.start_timeout);
        let meant = state
            .unwanted
            .iter()
            .filter(|(of, _)| *of == link.worker)
            .map(|(_, how)| *how)
            .max();
        match meant {
            Some(Unwanted::Killed) => link.child.kill_group(),
            Some(Unwanted::Retired) => {
                state.say_goodbye(&link, self.settings.exit_grace, &mut effects);
            }
            None => {}
        }
        state.links.insert(link.worker, link.clone());
        self.finish(state, effects);
        link.watch();
    }

    /// The next moment at which the reactor has to look at the clock: it promises to.
    pub(in crate::executor::process) fn next_look(&self) -> Option<Instant> {
        let mut state = lock(&self.state);
        let tick_ns = state.scheduler.next_tick_ns();
        state.looks_at_ns = tick_ns.unwrap_or(u64::MAX);
        let limits = state.limits.iter().map(|(deadline, ..)| *deadline);
        limits.chain(tick_ns.and_then(sys::instant_at)).min()
    }

    /// The reactor looks at the clock, if a timer is set.
    pub(in crate::executor::process) fn tick(&self) {
        let mut effects = Effects::default();
        let mut state = lock(&self.state);
        while let Some(tick_ns) = state.scheduler.next_tick_ns()
            && tick_ns <= sys::monotonic_ns()
        {
            state.turn(Scheduler::tick);
            self.act(&mut state, &mut effects);
        }
        self.finish(state, effects);
    }

    /// The workers that have run out of time.
    pub(in crate::executor::process) fn overdue(&self) -> Vec<(Arc<Link>, Limit)> {
        let mut state = lock(&self.state);
        let inner = &mut *state;
        let mut overdue = Vec::new();
        if inner.limits.is_empty() {
            // An idle pool does not even read the clock.
            return overdue;
        }
        let now = Instant::now();
        inner.limits.retain(|(deadline, worker, limit)| {
            let is_over = *deadline <= now;
            if is_over && let Some(link) = inner.links.get(worker) {
                overdue.push((link.clone(), *limit));
            }
            !is_over
        });
        overdue
    }

    /// A worker's result pipe has come to its end; the process should too.
    pub(in crate::executor::process) fn closed(&self, worker: WorkerId, effects: &mut Effects) {
        lock(&self.state).limit(worker, Limit::Close, CLOSE_GRACE);
        effects.wake_reactor = true;
    }

    /// Whether nothing is left to do for the reactor.
    pub(in crate::executor::process) fn is_finished(&self) -> bool {
        lock(&self.state).scheduler.is_finished() && self.carrying.load(Ordering::SeqCst) == 0
    }

    /// The reactor's last word.
    pub(in crate::executor::process) fn end(&self) {
        self.callbacks.finish();
        self.output.thread.finish();
        // Done before, unless the reactor ended before the workers were ready.
        self.ready.complete(Ok(Encoded::default()));
        self.ended.complete(Ok(Encoded::default()));
    }

    /// A worker is no more; what it sent has been brought.
    pub(in crate::executor::process) fn gone(&self, gone: Gone) {
        let Gone {
            worker,
            death,
            failure,
        } = gone;
        let now = sys::monotonic_ns();
        let mut effects = Effects::default();
        let mut state = lock(&self.state);
        let inner = &mut *state;
        let pages = &mut Dying {
            living: Living(&inner.links),
            address_space: self.settings.setup.limits.address_space,
            death: &death,
            now,
            endings: &mut effects.endings,
        };
        let out = &mut inner.out;
        inner
            .scheduler
            .worker_gone(worker, &mut Turn { now, pages, out });
        self.forget(inner, worker, failure, &death);
        // The last one is not always buried by the reactor, which has to hear that it is to end.
        effects.wake_reactor |= inner.scheduler.is_finished();
        self.finish(state, effects);
    }

    /// Says more precisely how a worker ended that was not killed from here.
    pub(in crate::executor::process) fn explain(&self, end: EndOfWorker) -> EndOfWorker {
        match (end, self.settings.setup.limits.cpu_time_ms) {
            (EndOfWorker::Signalled(SIGXCPU), Some(allowed)) => EndOfWorker::CpuLimit {
                limit: Duration::from_millis(allowed),
            },
            (end, _) => self.oom.explain(end),
        }
    }

    /// A worker that has been asked for could not be started, or is not wanted any more.
    pub(in crate::executor::process) fn not_started(&self, worker: WorkerId, failure: BuildError) {
        let mut state = lock(&self.state);
        state.turn(|scheduler, turn| scheduler.start_failed(worker, turn));
        let death = Death::of_nobody();
        self.forget(&mut state, worker, failure, &death);
        self.finish(state, Effects::default());
    }

    /// Takes a worker off every list, and names the reason if the pool is broken by its end.
    fn forget(&self, inner: &mut Inner, worker: WorkerId, failure: BuildError, death: &Death) {
        inner.links.remove(&worker);
        inner.limits.retain(|(_, of, _)| *of != worker);
        inner.unwanted.retain(|(of, _)| *of != worker);
        let broke = inner.out.iter().find_map(|action| match action {
            Action::StartFailed { .. } => Some(None),
            Action::Broken { deaths, .. } => Some(Some(*deaths)),
            _ => None,
        });
        if let Some(deaths) = broke {
            let reason = match (deaths, failure) {
                (Some(deaths), BuildError::WorkerEnded { initializer, .. }) => {
                    BuildError::WorkersKeepDying {
                        initializer,
                        deaths,
                        pid: death.pid,
                        end: death.end.clone(),
                        last_words: death.last_words.clone(),
                    }
                }
                (_, failure) => failure,
            };
            inner.broken.get_or_insert_with(|| Arc::new(reason));
        }
    }

    /// Why the pool broke.
    pub(super) fn reason(inner: &Inner) -> Arc<BuildError> {
        inner.broken.clone().unwrap_or_else(|| {
            let Death {
                pid,
                end,
                last_words,
                ..
            } = Death::of_nobody();
            Arc::new(BuildError::WorkersKeepDying {
                deaths: 0,
                initializer: None,
                pid,
                end,
                last_words,
            })
        })
    }
}
