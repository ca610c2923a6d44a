//! The pool's one lock, and the carrying out of what the scheduler decides.
//!
//! Whoever brings an event carries out the actions: [`Pool::act`] under the lock (slots on status
//! pages, frames put in line), and [`Pool::carry_out`] after it (writing, completing futures, waking).
//! Nothing of the user's runs under a lock, nor does a system call that could block.
//!
//! `workers` is what the reactor tells, `said` what workers bring, `asked` what futures and callers ask; `carrying` is what becomes of
//! it.

mod asked;
mod carrying;
mod effects;
mod oom;
mod pages;
mod said;
mod workers;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

pub(super) use self::effects::Effects;
use self::oom::Oom;
use self::pages::Living;
use super::callbacks::Callbacks;
use super::job::{Death, Job};
use super::link::{Link, Payload};
use super::output::{Handler, Output};
use crate::error::{BuildError, TaskId};
use crate::executor::gate::Gate;
use crate::executor::initializer::Initializer;
use crate::frame::{Header, Kind};
use crate::future::{HostRef, RawFuture};
use crate::primitives::plain::{Mutex, lock};
use crate::scheduler::{Action, Policy, Scheduler, Turn, WorkerId};
use crate::sys::{self, Poller};
use crate::wire::Setup;
use crate::worker::Launch;

/// What is decided once, when the pool is built.
pub(super) struct Settings {
    pub(super) policy: Policy,
    pub(super) launch: Launch,
    pub(super) setup: Setup,
    pub(super) start_timeout: Duration,
    /// What every worker runs before its first task.
    pub(super) initializer: Option<Initializer<Payload>>,
    pub(super) initializer_timeout: Option<Duration>,
    /// What holds for tasks that say nothing else.
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Duration>,
    /// How long a worker may take to end after it was told goodbye, or asked to go, before it is killed.
    pub(super) exit_grace: Duration,
    /// The signal by which a worker is asked to go.
    pub(super) terminate_signal: i32,
    /// Which of stdout and stderr are captured.
    pub(super) captured: [bool; 2],
    /// Whether what workers say through `log` and `tracing` is said again in this process.
    pub(super) forwards: bool,
}

/// A process pool, as its handles, its futures and its reactor share it.
pub(super) struct Pool {
    pub(super) settings: Settings,
    pub(super) poller: Arc<Poller>,
    state: Mutex<Inner>,
    gate: Arc<Gate>,
    pub(super) callbacks: Callbacks,
    pub(super) output: Arc<Output>,
    /// Completed when every initial worker is ready, or the pool broke before.
    pub(super) ready: RawFuture,
    ended: RawFuture,
    pub(super) reactor: OnceLock<std::thread::ThreadId>,
    threads: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// How many workers may run tasks at a time.
    max_workers: AtomicUsize,
    oom: Oom,
    /// How many threads have taken endings out of the lock and not carried them out yet: the pool has
    /// not ended before they have. Raised under the lock.
    carrying: AtomicUsize,
    /// Whether the gate has been, or is about to be, closed: from then on the reactor is told when
    /// there may be nothing left to do.
    is_closing: AtomicBool,
    /// Whose workers they are.
    home: sys::Home,
    this: Weak<Pool>,
    /// The same, as futures have it.
    host: HostRef,
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
    /// The next moment at which the reactor will look at the scheduler's timers by itself.
    looks_at_ns: u64,
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
    /// Be done with the initializer.
    Initializer,
    /// End, after goodbye.
    End,
    /// End, after it has closed its result pipe.
    Close,
}

/// A worker that has gone, and why.
pub(super) struct Gone {
    pub(super) worker: WorkerId,
    pub(super) death: Death,
    /// Why it was of no use, if it never became ready.
    pub(super) failure: BuildError,
}

impl Pool {
    pub(super) fn new(
        settings: Settings,
        max_pending: usize,
        handler: Option<Handler>,
    ) -> std::io::Result<Arc<Self>> {
        let poller = Arc::new(Poller::new()?);
        let policy = settings.policy.clone();
        let max_workers = AtomicUsize::new(policy.max_workers);
        let output = Output::new(handler, settings.forwards);
        Ok(Arc::new_cyclic(|this| Self {
            settings,
            poller,
            state: Mutex::new(Inner {
                scheduler: Scheduler::new(policy),
                links: HashMap::new(),
                to_start: Vec::new(),
                unwanted: Vec::new(),
                limits: Vec::new(),
                broken: None,
                looks_at_ns: u64::MAX,
                out: Vec::new(),
            }),
            gate: Gate::new(max_pending),
            callbacks: Callbacks::new("procession-callbacks"),
            output,
            ready: RawFuture::pending(TaskId(0), None),
            ended: RawFuture::pending(TaskId(0), None),
            reactor: OnceLock::new(),
            threads: Mutex::new(None),
            max_workers,
            oom: Oom::new(),
            carrying: AtomicUsize::new(0),
            is_closing: AtomicBool::new(false),
            home: sys::Home::here(),
            this: this.clone(),
            host: HostRef::new(this.clone()),
        }))
    }

    pub(super) fn set_reactor(&self, thread: std::thread::JoinHandle<()>) {
        *lock(&self.threads) = Some(thread);
    }

    /// Asks for the initial workers.
    pub(super) fn start(&self) {
        let mut state = lock(&self.state);
        let is_starting = state.turn(|scheduler, turn| {
            scheduler.start(turn);
            scheduler.is_starting()
        });
        let effects = Effects {
            is_ready: !is_starting,
            ..Effects::default()
        };
        self.finish(state, effects);
    }

    /// Why the pool broke, if it did.
    pub(super) fn broken(&self) -> Option<Arc<BuildError>> {
        lock(&self.state).broken.clone()
    }
}

impl Inner {
    /// An event for the scheduler, with the pages of the workers that live.
    fn turn<R>(&mut self, event: impl FnOnce(&mut Scheduler<Job>, &mut Turn<'_, Job>) -> R) -> R {
        self.turn_at(sys::monotonic_ns(), event)
    }

    /// The same, at a time that is known.
    fn turn_at<R>(
        &mut self,
        now: u64,
        event: impl FnOnce(&mut Scheduler<Job>, &mut Turn<'_, Job>) -> R,
    ) -> R {
        let Self {
            scheduler,
            links,
            out,
            ..
        } = self;
        let pages = &mut Living(links);
        event(scheduler, &mut Turn { now, pages, out })
    }

    /// Has a worker killed, unless it does something within this time.
    fn limit(&mut self, worker: WorkerId, limit: Limit, within: Duration) {
        let deadline = sys::deadline_after(within);
        self.limits
            .extend(deadline.map(|deadline| (deadline, worker, limit)));
    }

    /// A worker has done in time what it had to.
    fn lift(&mut self, worker: WorkerId, limit: Limit) {
        self.limits
            .retain(|(_, of, other)| (*of, *other) != (worker, limit));
    }

    fn say_goodbye(&mut self, link: &Arc<Link>, grace: Duration, effects: &mut Effects) {
        link.push(Header::new(Kind::Goodbye, 0, 0), &Payload::default(), None);
        effects.flush(link);
        self.limit(link.worker, Limit::End, grace);
    }
}
