//! Which task goes to which worker, and when: events in, actions out.
//!
//! [`Scheduler`] is a pure state machine. It has no clock (every event brings its time), no thread
//! and no file; it decides, and the executor, under whose lock it is called, carries out. It owns a
//! task's job from [`Scheduler::submit`] until it hands it out in [`Action::Complete`], so a task
//! ends exactly once because a job can be moved out only once.
//!
//! # A task
//!
//! ```text
//!             ┌──── recalled, or its worker went before it began ────┐
//!             ▼                                                      │
//! submit ─► queued ── Action::Send ─► sent (prefetched, or the head) ┴─► Action::Complete
//!             ▲                                                      │
//!             └──── a pause ◄──── failed, and is to be tried again ──┘
//! ```
//!
//! What was sent to a worker is begun in the order of its sequence numbers. The oldest that has
//! neither ended nor been recalled is the worker's *head*; those behind it are *prefetched*.
//! Whether a sent task has begun is known to the status page alone, so the scheduler asks it
//! ([`Pages`]) whenever it wants a task back, and a lost answer means that it runs.
//!
//! A chunk is a task of many items. What of it has not begun can be taken back when it has (`dividing.rs`): it is then a
//! task of its own, or several.
//!
//! # A worker
//!
//! ```text
//! Action::Spawn ─► starting ─► ready ─► retiring (Action::Retire) ─► gone
//!                      └─────────┴─────► killed (Action::Kill) ────► gone
//! ```
//!
//! A worker that goes while it was wanted is replaced, under a new number: at once, or after a pause when workers
//! keep going without having achieved anything.
//!
//! A ready worker is *active*, or *on hold*: a successor that was started before its predecessor is used up, and waits
//! for its place, so that never more than `max_workers` run tasks. One that is *leaving* gets nothing more, and
//! is retired when what it has has ended.
//!
//! # The end of a task that runs
//!
//! A task is ended against its will because its time is up, or because its caller said so. The steps are told in `limits.rs`:
//!
//! ```text
//! asked (a flag that it can look at) ─► condemned, and Action::Terminate ─► Action::Kill ─► gone
//! ```
//!
//! Each has its grace, which may be zero. Condemning is a compare-and-swap on the page that the task's own end may win;
//! once it is won, nothing else begins in that worker, so nobody but that task is hit.
//!
//! # What may never happen
//!
//! * An active worker is idle while a task is queued.
//! * An active worker is idle while a task that can still be recalled waits behind another's head.
//! * An active worker is idle for long while items wait in another's chunk: as long as some wait, it is looked again, after [`STUCK_NS`] at first.
//! * A worker has more than [`WINDOW`] frames whose slot on the status page is not free again.
//! * More than `max_workers` workers have been given tasks that they have not ended.
//! * A pool that is broken, or shut down with [`Shutdown::Kill`], has a task left.
//!
//! The world in `world/` plays workers against the machine and checks all of it after each event.

mod dividing;
mod ending;
mod estimate;
mod limits;
mod machine;
mod permits;
mod placing;
mod policy;
mod queue;
mod runs;
mod staff;
mod steps;
mod task;
mod timers;
mod worker;

#[cfg(test)]
mod tests;
#[cfg(any(test, fuzzing))]
mod world;

use crate::error::TaskId;
use crate::page::Progress;

pub(crate) use dividing::{Divided, Division};
pub(crate) use machine::Scheduler;
pub(crate) use permits::{Asked, Permits, Waiter};
pub(crate) use policy::{Grace, Policy, Recycling, Terms};
#[cfg(any(test, fuzzing))]
pub(crate) use world::fuzz;

/// How many frames one worker may have whose slots on its status page are still in use.
pub(crate) const WINDOW: u32 = 64;

/// How much work, by estimate, may be sent to one worker at a time. A task longer than this is
/// never prefetched. More would hide no more of the pipe's latency, and would make a task wait
/// longer when the one ahead of it turns out to be long.
pub(crate) const PREFETCH_NS: u64 = 100_000;

/// A worker that has been on its head for longer than this gets nothing more, and what waits
/// behind the head goes to others that have room.
pub(crate) const STUCK_NS: u64 = 1_000_000;

/// For how long nobody looks again for chunks to divide, at most, when there was nothing to be taken from them.
pub(crate) const LONGEST_LOOK_NS: u64 = 128_000_000;

/// How long a task may take to begin that is a worker's next, and the result of one that has ended to come, or to come on,
/// while the task has a time limit: a worker that takes longer is held to be stopped.
pub(crate) const RESULT_GRACE_NS: u64 = 1_000_000_000;

/// How many workers in a row may go while a task was the next that they would have begun, until that task
/// is given up: it may be what ends them. Fewer than end a pool, unless its
/// `max_restarts` is lower.
pub(crate) const MAX_SUSPICION: u8 = 3;

/// The first pause before a worker is started, after workers went without having achieved anything. Doubled each
/// time.
pub(crate) const FIRST_PAUSE_NS: u64 = 20_000_000;

/// The longest such pause.
pub(crate) const LONGEST_PAUSE_NS: u64 = 1_000_000_000;

/// The number of a worker: never used again within its executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u32);

/// What the executor is to do. It carries out an event's actions, in their order, before it brings
/// the next event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action<J> {
    /// Start a process for this worker. A failure to do so is a [`Scheduler::start_failed`].
    Spawn { worker: WorkerId },
    /// Mark the slot of `seq` as sent and send the task's frame; its job is
    /// [`Scheduler::job_mut`].
    Send {
        worker: WorkerId,
        seq: u32,
        task: TaskId,
    },
    /// The task has ended; here is its job.
    Complete { task: TaskId, job: J, end: End },
    /// Say goodbye: the worker has nothing left to do, gets nothing more and ends by itself. It may
    /// still be starting.
    Retire { worker: WorkerId },
    /// Ask the worker's process, and its group, to end.
    Terminate { worker: WorkerId },
    /// Kill the worker; [`Scheduler::worker_gone`] follows.
    Kill { worker: WorkerId },
    /// One of the initial workers went before it was ready. The pool is broken by this: what was
    /// pending ends, the other workers are killed.
    StartFailed { worker: WorkerId },
    /// `deaths` workers in a row achieved nothing; `worker` was the last. What was pending ends,
    /// the other workers are killed.
    Broken { worker: WorkerId, deaths: u32 },
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its worker sent a result, or a failure.
    Finished,
    /// Its worker went while it ran.
    Lost,
    /// It was cancelled before it began.
    Cancelled,
    /// Its deadline passed before it began, or before it began anew.
    Overdue,
    /// Worker after worker went when it was about to begin.
    GivenUp,
    /// The executor was shut down first.
    ShutDown { may_have_run: bool },
    /// The pool broke first.
    Broken { may_have_run: bool },
}

/// How [`Scheduler::shutdown`] deals with what is pending; each is stronger than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shutdown {
    /// Everything submitted still runs.
    Drain,
    /// What has begun still runs, the rest is cancelled.
    CancelPending,
    /// Everything ends now; workers are asked to go before they are killed.
    Terminate,
    /// Everything ends now.
    Kill,
}

/// Why a task is ended that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It has run for too long.
    Timeout,
    /// It was submitted too long ago.
    Deadline,
    /// Its caller wants it to end.
    Killed,
}

/// What may be submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Tasks are welcome.
    Open,
    /// [`Scheduler::shutdown`] was called.
    ShutDown(Shutdown),
    /// The pool broke, before or after a shutdown.
    Broken,
}

/// What [`Scheduler::cancel`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancel {
    /// The task had not begun, and now will not: its [`Action::Complete`] was given out.
    Cancelled,
    /// Too late: this worker has begun it.
    Running { worker: WorkerId, seq: u32 },
    /// Too late: it has ended (or never was).
    Unknown,
}

/// What [`Scheduler::kill`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    /// As [`Cancel::Cancelled`].
    Cancelled,
    /// It runs in this worker, and is being ended; or its result comes first.
    Ending { worker: WorkerId, seq: u32 },
    /// Too late: it has ended (or never was).
    TooLate,
}

/// What the scheduler is to know of the end of a worker's head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Finish {
    /// How long it ran, where that says something about the next run of its function.
    pub(crate) run_ns: Option<u64>,
    /// How much memory the worker had then, if it says.
    pub(crate) resident_kib: Option<u64>,
    /// It failed, and what the job still holds is to be tried again.
    pub(crate) again: Option<Again>,
}

/// What is left of a task that is to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Again {
    /// Not before so much time has passed.
    pub(crate) pause_ns: u64,
    /// How many items it has now; a task that is no chunk has one.
    pub(crate) items: u32,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It waits for a worker.
    Queued,
    /// It was sent to a worker; `is_head` says that nothing unfinished is ahead of it there.
    Sent {
        worker: WorkerId,
        seq: u32,
        is_head: bool,
    },
}

/// What became of a task whose worker went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It had not begun: it runs elsewhere, in its original order.
    NotBegun,
    /// It had begun: it is lost.
    Begun,
    /// A part of it had begun, and has been failed within the job or is to be tried again; what the job still
    /// holds runs elsewhere, in its original order, after a pause.
    Continue(Again),
}

/// A worker said what cannot be. Nothing has changed; the worker is to be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// A message of a worker that does not exist (any more).
    #[error("a message after its end")]
    UnknownWorker,
    /// It was ready before.
    #[error("that it is ready twice")]
    ReadyTwice,
    /// Something about a task, before it was ready for one.
    #[error("a result before it was ready")]
    NotReady,
    /// The result of a task other than its head.
    #[error("a result with sequence number {seq}, which is not the oldest task it has")]
    NotTheHead { seq: u32 },
    /// It claims to have skipped a task that was not recalled, or not sent.
    #[error("that it skipped the task with sequence number {seq}, which was not taken back")]
    NotRecalled { seq: u32 },
}

/// One event: when it is, whom the scheduler may ask meanwhile, and what is to be done.
pub(crate) struct Turn<'a, J> {
    /// Nanoseconds of any monotonic clock.
    pub(crate) now: u64,
    pub(crate) pages: &'a mut dyn Pages<J>,
    /// What is to be done is appended.
    pub(crate) out: &'a mut Vec<Action<J>>,
}

/// The status pages, as far as the scheduler asks them. Calls come from within an event and are
/// answered at once.
pub(crate) trait Pages<J> {
    /// Takes a sent task back if it has not begun; says whether it did.
    fn recall(&mut self, worker: WorkerId, seq: u32) -> bool;

    /// Says how far a sent task has come.
    fn progress(&mut self, worker: WorkerId, seq: u32) -> Progress;

    /// Says whether anything has come from the worker, or gone to it, since this was last asked.
    fn has_moved(&mut self, worker: WorkerId) -> bool;

    /// Lets a task know that it should end: one item of it, or all.
    fn ask_stop(&mut self, worker: WorkerId, seq: u32, item: Option<u32>);

    /// Sees to it that the worker begins nothing after this task (after this item of it). False says that
    /// the task (that item) has ended.
    fn condemn(&mut self, worker: WorkerId, seq: u32, item: Option<u32>) -> bool;

    /// Takes back what has not begun of a chunk that has, and makes chunks of it: see [`Division`]. `None` says that nothing was to be
    /// taken.
    fn divide(
        &mut self,
        worker: WorkerId,
        seq: u32,
        job: &mut J,
        division: Division,
    ) -> Option<Divided<J>>;

    /// Says how far a task had come whose worker has gone. Asked once for each that was sent and
    /// neither ended nor recalled, oldest first, within [`Scheduler::worker_gone`] only. The cause
    /// is that for which the worker was ended, if it was on account of this task.
    fn judge(
        &mut self,
        worker: WorkerId,
        seq: u32,
        task: TaskId,
        job: &mut J,
        cause: Option<Cause>,
    ) -> Verdict;

    /// Fails a task that had not begun, but may be what ended the worker: [`End::GivenUp`] follows. Within
    /// [`Scheduler::worker_gone`] only.
    fn give_up(&mut self, worker: WorkerId, task: TaskId, job: &mut J);
}
