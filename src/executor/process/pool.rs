//! The pool's one lock, and the carrying out of what the scheduler decides.
//!
//! Whoever brings an event carries out the actions: [`Pool::act`] under the lock (slots on status
//! pages, frames put in line), and [`Pool::carry_out`] after it (writing, completing futures, waking).
//! Nothing of the user's runs under a lock, nor does a system call that could block.
//!
//! Here is what the reactor does; `said` is what workers bring, `asked` what futures and callers ask.

mod asked;
mod effects;
mod pages;
mod said;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

pub(super) use self::effects::Effects;
use self::pages::Dying;
use super::callbacks::Callbacks;
use super::job::Job;
use super::link::{Link, Payload};
use super::reading;
use crate::error::{BuildError, EndOfWorker, SubmitError, TaskError, TaskId};
use crate::executor::gate::Gate;
use crate::frame::{Header, Kind};
use crate::future::RawFuture;
use crate::primitives::plain::{Mutex, MutexGuard, lock};
use crate::scheduler::{Action, End, Scheduler, WorkerId};
use crate::sys::{self, Poller};
use crate::wire::Setup;
use crate::worker::Launch;

/// How long a worker may take to end after it was told goodbye, before it is killed: for handlers
/// that run at exit.
const GOODBYE_GRACE: Duration = Duration::from_secs(10);

/// How long a worker may live on when its result pipe has come to its end. The process closes it when
/// it ends, a moment before it can be seen to have ended: how it ended is worth waiting for.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// What is decided once, when the pool is built.
pub(super) struct Settings {
    pub(super) workers: usize,
    pub(super) launch: Launch,
    pub(super) setup: Setup,
    pub(super) start_timeout: Duration,
    pub(super) initializer: Option<Initializer>,
}

/// What every worker runs before its first task.
#[derive(Debug)]
pub(super) struct Initializer {
    pub(super) function: &'static str,
    /// The payload of an `Initialize` frame.
    pub(super) payload: Payload,
    /// Says what is wrong with the encoded result.
    pub(super) check: fn(&[u8]) -> Result<(), String>,
}

/// A process pool, as its handles, its futures and its reactor share it.
pub(super) struct Pool {
    pub(super) settings: Settings,
    pub(super) poller: Arc<Poller>,
    state: Mutex<Inner>,
    gate: Arc<Gate>,
    pub(super) callbacks: Callbacks,
    /// Completed when every initial worker is ready, or the pool broke before.
    pub(super) ready: RawFuture,
    ended: RawFuture,
    pub(super) reactor: OnceLock<std::thread::ThreadId>,
    threads: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// How many threads have taken endings out of the lock and not carried them out yet: the pool has
    /// not ended before they have. Raised under the lock.
    carrying: AtomicUsize,
    /// Whether the gate has been, or is about to be, closed: from then on the reactor is told when
    /// there may be nothing left to do.
    is_closing: AtomicBool,
    this: Weak<Pool>,
}

/// What the lock guards.
pub(super) struct Inner {
    scheduler: Scheduler<Job>,
    links: HashMap<WorkerId, Arc<Link>>,
    /// Workers that the reactor is to start.
    to_start: Vec<WorkerId>,
    /// Workers that are told goodbye as soon as they have a pipe.
    unwanted: Vec<(WorkerId, Unwanted)>,
    /// When a worker is killed for not having done something.
    limits: Vec<(Instant, WorkerId, Limit)>,
    /// Why the pool broke.
    broken: Option<Arc<BuildError>>,
    out: Vec<Action<Job>>,
}

/// What becomes of a worker as soon as it has a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unwanted {
    /// It is told goodbye.
    Retired,
    Killed,
}

/// What a worker has to do in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Say hello.
    Hello,
    /// End, after goodbye.
    End,
    /// End, after it has closed its result pipe.
    Close,
}

/// A worker that has gone, and why.
pub(super) struct Gone {
    pub(super) worker: WorkerId,
    pub(super) pid: u32,
    pub(super) end: EndOfWorker,
    /// Why it was of no use, if it never became ready.
    pub(super) failure: BuildError,
}

impl Pool {
    pub(super) fn new(settings: Settings, max_pending: usize) -> std::io::Result<Arc<Self>> {
        let poller = Arc::new(Poller::new()?);
        Ok(Arc::new_cyclic(|this| Self {
            settings,
            poller,
            state: Mutex::new(Inner {
                scheduler: Scheduler::new(),
                links: HashMap::new(),
                to_start: Vec::new(),
                unwanted: Vec::new(),
                limits: Vec::new(),
                broken: None,
                out: Vec::new(),
            }),
            gate: Gate::new(max_pending),
            callbacks: Callbacks::new(),
            ready: RawFuture::pending(TaskId(0), None),
            ended: RawFuture::pending(TaskId(0), None),
            reactor: OnceLock::new(),
            threads: Mutex::new(None),
            carrying: AtomicUsize::new(0),
            is_closing: AtomicBool::new(false),
            this: this.clone(),
        }))
    }

    pub(super) fn set_reactor(&self, thread: std::thread::JoinHandle<()>) {
        *lock(&self.threads) = Some(thread);
    }

    /// Asks for the initial workers.
    pub(super) fn start(&self) {
        let mut state = lock(&self.state);
        let inner = &mut *state;
        inner.scheduler.start(self.settings.workers, &mut inner.out);
        self.finish(state, Effects::default());
    }

    /// Why the pool broke, if it did.
    pub(super) fn broken(&self) -> Option<Arc<BuildError>> {
        lock(&self.state).broken.clone()
    }

    // ---- what the reactor asks ----

    pub(super) fn link(&self, worker: WorkerId) -> Option<Arc<Link>> {
        lock(&self.state).links.get(&worker).cloned()
    }

    /// The workers to be started now; each is answered by [`Pool::started`] or [`Pool::gone`].
    pub(super) fn take_to_start(&self) -> Vec<WorkerId> {
        std::mem::take(&mut lock(&self.state).to_start)
    }

    /// Puts back what was taken by [`Pool::take_to_start`].
    pub(super) fn start_later(&self, worker: WorkerId) {
        lock(&self.state).to_start.push(worker);
    }

    /// Whether there are workers to go on with while another one cannot be started.
    pub(super) fn can_wait_for_workers(&self) -> bool {
        let state = lock(&self.state);
        !state.scheduler.is_starting() && !state.links.is_empty()
    }

    /// Whether a worker that has yet to be started is wanted no more.
    pub(super) fn is_unwanted(&self, worker: WorkerId) -> bool {
        lock(&self.state)
            .unwanted
            .iter()
            .any(|(of, _)| *of == worker)
    }

    /// A worker's process is there.
    pub(super) fn started(&self, link: Arc<Link>) {
        let mut effects = Effects::default();
        if let Some(initializer) = &self.settings.initializer {
            link.push(Header::new(Kind::Initialize, 0, 0), &initializer.payload);
        }
        effects.flush.push(link.clone());
        let mut state = lock(&self.state);
        let deadline = sys::deadline_after(self.settings.start_timeout);
        state
            .limits
            .extend(deadline.map(|deadline| (deadline, link.worker, Limit::Hello)));
        let meant = state
            .unwanted
            .iter()
            .filter(|(of, _)| *of == link.worker)
            .map(|(_, how)| *how)
            .max();
        match meant {
            Some(Unwanted::Killed) => link.child.kill_group(),
            Some(Unwanted::Retired) => state.say_goodbye(&link, &mut effects),
            None => {}
        }
        state.links.insert(link.worker, link.clone());
        self.finish(state, effects);
        link.watch();
    }

    /// The next moment at which the reactor has to look at [`Pool::overdue`].
    pub(super) fn next_limit(&self) -> Option<Instant> {
        let state = lock(&self.state);
        state.limits.iter().map(|(deadline, ..)| *deadline).min()
    }

    /// The workers that have run out of time.
    pub(super) fn overdue(&self, now: Instant) -> Vec<(Arc<Link>, Limit)> {
        let mut state = lock(&self.state);
        let inner = &mut *state;
        let mut overdue = Vec::new();
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
    pub(super) fn closed(&self, worker: WorkerId, effects: &mut Effects) {
        let deadline = sys::deadline_after(CLOSE_GRACE);
        let limit = deadline.map(|deadline| (deadline, worker, Limit::Close));
        lock(&self.state).limits.extend(limit);
        effects.wake_reactor = true;
    }

    /// Whether nothing is left to do for the reactor.
    pub(super) fn is_finished(&self) -> bool {
        lock(&self.state).scheduler.is_finished() && self.carrying.load(Ordering::SeqCst) == 0
    }

    /// The reactor's last word.
    pub(super) fn end(&self) {
        self.callbacks.finish();
        // Done before, unless the reactor ended before the workers were ready.
        self.ready.complete(Ok(Vec::new()));
        self.ready.complete(Ok(Vec::new()));
        self.ended.complete(Ok(Vec::new()));
    }

    /// A worker is no more; what it sent has been brought.
    pub(super) fn gone(&self, gone: Gone) {
        let Gone {
            worker,
            pid,
            end,
            failure,
        } = gone;
        let now = sys::monotonic_ns();
        let mut effects = Effects::default();
        let mut state = lock(&self.state);
        let inner = &mut *state;
        let Inner {
            scheduler,
            links,
            out,
            ..
        } = inner;
        let pages = &mut Dying {
            links,
            pid,
            end: &end,
            now,
            endings: &mut effects.endings,
        };
        scheduler.worker_gone(worker, now, pages, out);
        inner.links.remove(&worker);
        inner.limits.retain(|(_, of, _)| *of != worker);
        inner.unwanted.retain(|(of, _)| *of != worker);
        // Whoever buried it: there may be nothing left to do, which is for the reactor to see.
        effects.wake_reactor |= inner.scheduler.is_finished();
        let broke = inner.out.iter().find_map(|action| match action {
            Action::StartFailed { .. } => Some(None),
            Action::Broken { deaths, .. } => Some(Some(*deaths)),
            _ => None,
        });
        if let Some(deaths) = broke {
            let reason = match (deaths, failure) {
                (Some(deaths), BuildError::WorkerEnded { .. }) => {
                    BuildError::WorkersKeepDying { deaths, pid, end }
                }
                (_, failure) => failure,
            };
            inner.broken.get_or_insert_with(|| Arc::new(reason));
        }
        // The last one is not always buried by the reactor, which has to hear that it is to end.
        effects.wake_reactor |= inner.scheduler.is_finished();
        self.finish(state, effects);
    }

    /// What the scheduler calls broken, and nobody has named a reason for.
    fn reason(inner: &Inner) -> Arc<BuildError> {
        inner.broken.clone().unwrap_or_else(|| {
            Arc::new(BuildError::WorkersKeepDying {
                deaths: 0,
                pid: 0,
                end: EndOfWorker::Unknown,
            })
        })
    }

    // ---- carrying out ----

    /// Carries out the actions, as far as that belongs under the lock.
    fn act(&self, inner: &mut Inner, effects: &mut Effects) {
        if inner.out.is_empty() {
            return;
        }
        let mut out = std::mem::take(&mut inner.out);
        for action in out.drain(..) {
            match action {
                Action::Spawn { worker } => {
                    inner.to_start.push(worker);
                    effects.wake_reactor = true;
                }
                Action::Send { worker, seq, task } => {
                    let (Some(link), Some(job)) =
                        (inner.links.get(&worker), inner.scheduler.job(task))
                    else {
                        debug_assert!(false, "a task is sent to a worker that is there");
                        continue;
                    };
                    link.page.send(seq);
                    if link.note_sent(seq) {
                        effects.fresh.push((link.clone(), seq));
                    }
                    link.push(Header::new(job.kind(), task.0, seq), &job.payload);
                    effects.flush(link);
                }
                Action::Complete {
                    task: _,
                    mut job,
                    end,
                } => {
                    let error = match end {
                        End::Finished => TaskError::Abandoned,
                        End::Lost => TaskError::Abandoned,
                        End::Cancelled => TaskError::Cancelled,
                        End::ShutDown { may_have_run } => TaskError::ShutDown { may_have_run },
                        End::Broken { may_have_run } => TaskError::Broken {
                            reason: Self::reason(inner),
                            may_have_run,
                        },
                    };
                    // Those that finished or were lost have had their answers.
                    job.end(&error, &mut effects.endings);
                    effects.jobs.push(job);
                }
                Action::Retire { worker } => match inner.links.get(&worker).cloned() {
                    Some(link) => {
                        inner.say_goodbye(&link, effects);
                        // There is a limit to look at.
                        effects.wake_reactor = true;
                    }
                    None => inner.unwanted.push((worker, Unwanted::Retired)),
                },
                Action::Kill { worker } => match inner.links.get(&worker) {
                    Some(link) => {
                        link.discard_outbound();
                        link.child.kill_group();
                    }
                    None => inner.unwanted.push((worker, Unwanted::Killed)),
                },
                Action::StartFailed { .. } | Action::Broken { .. } => {
                    effects.close_gate = Some(SubmitError::Broken(Self::reason(inner).to_string()));
                    effects.is_ready = true;
                }
            }
        }
        inner.out = out;
    }

    /// Carries out everything, and lets the lock go in between.
    fn finish(&self, mut state: MutexGuard<'_, Inner>, mut effects: Effects) {
        self.act(&mut state, &mut effects);
        self.note_endings(&mut effects);
        drop(state);
        self.carry_out(effects);
    }

    /// Under the lock: this thread has something to carry out before the pool may end.
    fn note_endings(&self, effects: &mut Effects) {
        let has_endings = !effects.endings.is_empty() || !effects.jobs.is_empty();
        if has_endings && !effects.is_noted {
            effects.is_noted = true;
            self.carrying.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// What is left to do when no lock is held.
    pub(super) fn carry_out(&self, effects: Effects) {
        let Effects {
            endings,
            jobs,
            flush,
            wake_reactor,
            is_ready,
            close_gate,
            is_noted,
            fresh,
            may_read,
        } = effects;
        for link in flush {
            link.flush();
        }
        for (link, seq) in fresh {
            // On a busy machine the worker may have run, and answered, before the write returned: then
            // nobody needs to be woken for it.
            let is_answered = may_read && link.page.elapsed_ns(seq) != 0;
            if !(is_answered && reading::results(self, &link)) {
                link.expect_results();
            }
        }
        // First the permits: whoever sees the end of a task may count on its room.
        drop(jobs);
        for (future, outcome) in endings {
            future.complete(outcome);
        }
        let mut wake_reactor = wake_reactor;
        if let Some(error) = close_gate {
            self.is_closing.store(true, Ordering::SeqCst);
            self.gate.close(error);
            wake_reactor = true;
        }
        if is_ready && !self.ready.is_done() {
            self.ready.complete(Ok(Vec::new()));
        }
        if is_noted && self.carrying.fetch_sub(1, Ordering::SeqCst) == 1 {
            // The reactor may have found everything done but this.
            wake_reactor |= self.is_closing.load(Ordering::SeqCst);
        }
        if wake_reactor && self.reactor.get() != Some(&std::thread::current().id()) {
            self.poller.notify();
        }
    }
}

impl Inner {
    fn say_goodbye(&mut self, link: &Arc<Link>, effects: &mut Effects) {
        link.push(Header::new(Kind::Goodbye, 0, 0), &Payload::new(Vec::new()));
        effects.flush(link);
        let deadline = sys::deadline_after(GOODBYE_GRACE);
        self.limits
            .extend(deadline.map(|deadline| (deadline, link.worker, Limit::End)));
    }
}
