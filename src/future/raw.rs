//! The state that a promise and its futures share: an outcome that is set once, and who waits for it.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::{TaskError, TaskId};
use crate::primitives::{Arc, AtomicU32, Condvar, Mutex, OnceLock, Ordering, Weak, lock, park};
use crate::wire::{Encoded, EncodedRef};

use super::contain::{contain, contain_callback};
use super::typed::Future;
use super::waiting::{Callback, Seat, Waiter, Waiting};
use super::watcher::Watcher;

/// How a task ended: its encoded result, decoded by its consumer, as often as asked.
pub(crate) type Outcome = Result<Encoded, TaskError>;

/// The same, as a future shows it.
pub(crate) type Ended<'a> = Result<EncodedRef<'a>, &'a TaskError>;

/// What a future asks of the executor that runs its task.
///
/// Called with no lock of ours held. A future holds its host weakly; a host completes its promises
/// before it goes.
pub(crate) trait Host: Send + Sync {
    /// Ends the task as cancelled, if it still can be. The host completes the future itself.
    fn cancel(&self, task: TaskId) -> bool;

    /// Ends the task, whatever that takes, and says how far that is.
    fn kill(&self, task: TaskId) -> Kill;

    /// Whether the task has begun and not ended.
    fn is_running(&self, task: TaskId) -> bool;

    /// A thread is about to block until the task ends or the deadline passes. May carry the work
    /// forward itself; returns when the task is done, when time is up, or when it can do nothing
    /// (the caller then parks).
    fn drain(&self, task: TaskId, is_done: &dyn Fn() -> bool, deadline: Option<Instant>);

    /// Runs a callback on the thread for callbacks, after those handed over before. It does not
    /// panic: what the user's part of it panics with has been caught.
    fn run_callback(&self, callback: Box<dyn FnOnce() + Send>);
}

/// What [`Future::kill`] found, and did.
///
/// ```
/// use procession::{Kill, Promise};
///
/// let (promise, future) = Promise::<u8>::new();
/// assert_eq!(future.kill(), Kill::Cancelled);
/// assert_eq!(future.kill(), Kill::TooLate);
/// # drop(promise);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kill {
    /// The task had not begun, and has ended as cancelled: it never will.
    Cancelled,
    /// The task runs, and its worker is being ended. The future will say so
    /// ([`TaskError::Killed`]); or it has the task's own result, if that comes first.
    Killing,
    /// The task runs where nothing can be ended, on a thread of this process: it was asked to stop.
    Asked,
    /// The task has ended.
    TooLate,
}

/// Both ends of a future, without the type of its result. One allocation; cloning it counts.
// `pub` because the sealed half of `Completes` names it; nothing outside can.
#[derive(Clone)]
pub struct RawFuture {
    shared: Arc<Shared>,
}

/// How futures reach their host. They hold it weakly, and one of a million futures takes one word for it.
#[derive(Clone)]
pub(crate) struct HostRef(Arc<Weak<dyn Host>>);

/// It was cancelled and has never begun.
const NOT_BEGUN: u32 = 1;

/// It was cancelled before it began anew.
const BEGUN_BEFORE: u32 = 2;

/// There may be a million of them, most of which wait for most of their time: what is rare, or comes at the end, is elsewhere.
struct Shared {
    id: TaskId,
    host: Option<HostRef>,
    outcome: OnceLock<Kept>,
    /// Whether the host has cancelled the task, and some thread is about to say so: [`NOT_BEGUN`], [`BEGUN_BEFORE`], or 0.
    cancelled: AtomicU32,
    waiting: Mutex<Waiting>,
    /// Notified after the outcome is set, if a thread is parked.
    ended: Condvar,
}

/// What a pending future may take, beside its two counts.
#[cfg(not(loom))]
const _: () = assert!(size_of::<Shared>() <= 88);

/// An outcome, as it is kept.
enum Kept {
    /// The result of many a task: an allocation would be the larger part of it.
    Tiny {
        len: u8,
        bytes: [u8; TINY],
    },
    Result(Box<Encoded>),
    Error(Box<TaskError>),
}

/// An encoded result of at most this many bytes has no memory of its own.
const TINY: usize = 14;

impl HostRef {
    pub(crate) fn new(host: Weak<dyn Host>) -> Self {
        Self(Arc::new(host))
    }
}

impl Kept {
    fn new(outcome: Outcome) -> Self {
        match outcome {
            Ok(result) if result.bytes.len() <= TINY && result.handles.is_empty() => {
                let mut bytes = [0; TINY];
                bytes[..result.bytes.len()].copy_from_slice(&result.bytes);
                let len = result.bytes.len() as u8;
                Self::Tiny { len, bytes }
            }
            Ok(result) => Self::Result(Box::new(result)),
            Err(error) => Self::Error(Box::new(error)),
        }
    }

    fn shown(&self) -> Ended<'_> {
        match self {
            Self::Tiny { len, bytes } => {
                Ok(EncodedRef::plain(&bytes[..usize::from(*len).min(TINY)]))
            }
            Self::Result(result) => Ok((&**result).into()),
            Self::Error(error) => Err(error),
        }
    }
}

/// What can be said about a future, from the outside.
#[derive(Clone, Copy)]
pub(crate) enum State<'a> {
    Pending,
    Running,
    Cancelled,
    Finished,
    Failed(&'a TaskError),
}

impl RawFuture {
    /// A future that somebody promises to complete. Without a host, cancelling completes it at once.
    pub(crate) fn pending(id: TaskId, host: Option<HostRef>) -> Self {
        let shared = Shared {
            id,
            host,
            outcome: OnceLock::new(),
            cancelled: AtomicU32::new(0),
            waiting: Mutex::new(Waiting::default()),
            ended: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Another one of the same task.
    pub(super) fn twin(&self) -> Self {
        Self::pending(self.shared.id, self.shared.host.clone())
    }

    /// A future that has ended.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn ready(id: TaskId, outcome: Outcome) -> Self {
        let future = Self::pending(id, None);
        future.complete(outcome);
        future
    }

    /// The same future, with the type of its result.
    pub(crate) fn typed<T>(self) -> Future<T> {
        Future::new(self)
    }

    pub(crate) fn id(&self) -> TaskId {
        self.shared.id
    }

    /// Sets the outcome and wakes everyone who waits. Returns false if there was an outcome already:
    /// the first one is kept.
    ///
    /// Call it with no lock held: wakers run here, and callbacks too when there is no host.
    pub(crate) fn complete(&self, outcome: Outcome) -> bool {
        if self.shared.outcome.set(Kept::new(outcome)).is_err() {
            return false;
        }
        let (parked, waiters) = {
            let mut waiting = lock(&self.shared.waiting);
            (waiting.parked, waiting.take_all())
        };
        if parked > 0 {
            self.shared.ended.notify_all();
        }
        let mut callbacks = Vec::new();
        for waiter in waiters {
            match waiter {
                Waiter::Seated { waker, .. } => {
                    // A waker that panics has nobody to tell; the others are still to be woken.
                    let _ = contain(|| waker.wake());
                }
                Waiter::Watcher { watcher, index } => watcher.notify(index),
                Waiter::Callback(callback) => callbacks.push(callback),
            }
        }
        for callback in callbacks {
            self.hand_over(callback);
        }
        true
    }

    /// The outcome, once there is one.
    pub(crate) fn outcome(&self) -> Option<Ended<'_>> {
        self.shared.outcome.get().map(Kept::shown)
    }

    /// One atomic load.
    pub(crate) fn is_done(&self) -> bool {
        self.shared.outcome.get().is_some()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.outcome().is_some_and(is_cancellation)
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.is_done() && self.host().is_some_and(|host| host.is_running(self.id()))
    }

    pub(crate) fn state(&self) -> State<'_> {
        // Asked before the outcome is looked at: what ends in between is finished, not pending.
        let is_running = self.is_running();
        match self.outcome() {
            None if is_running => State::Running,
            None => State::Pending,
            Some(Ok(_)) => State::Finished,
            Some(outcome) if is_cancellation(outcome) => State::Cancelled,
            Some(Err(error)) => State::Failed(error),
        }
    }

    /// For a host, under its lock: the outcome will be that it was cancelled, so that whoever cancels it meanwhile is not told that
    /// it is too late.
    pub(crate) fn announce_cancelled(&self, may_have_run: bool) {
        let cancelled = if may_have_run {
            BEGUN_BEFORE
        } else {
            NOT_BEGUN
        };
        self.shared.cancelled.store(cancelled, Ordering::Release);
    }

    /// Returns whether the future is cancelled afterwards.
    pub(crate) fn cancel(&self) -> bool {
        if !self.is_done() {
            match self.host() {
                Some(host) => {
                    if host.cancel(self.id()) {
                        return true;
                    }
                    // Perhaps because another thread has just done it.
                    let cancelled = self.shared.cancelled.load(Ordering::Acquire);
                    if cancelled != 0 {
                        let may_have_run = cancelled == BEGUN_BEFORE;
                        self.complete(Err(TaskError::Cancelled { may_have_run }));
                    }
                }
                // Nobody runs it (a host that has gone has completed its promises).
                None => {
                    self.complete(Err(TaskError::Cancelled {
                        may_have_run: false,
                    }));
                }
            }
        }
        self.is_cancelled()
    }

    pub(crate) fn kill(&self) -> Kill {
        if self.is_done() {
            return Kill::TooLate;
        }
        match self.host() {
            Some(host) => host.kill(self.id()),
            None if self.cancel() => Kill::Cancelled,
            None => Kill::TooLate,
        }
    }

    /// Blocks until there is an outcome or the deadline has passed.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Option<Ended<'_>> {
        if self.is_done() {
            return self.outcome();
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return None;
        }
        self.drain(deadline);
        let mut waiting = lock(&self.shared.waiting);
        while !self.is_done() {
            waiting.parked += 1;
            let Some(guard) = park(&self.shared.ended, waiting, deadline) else {
                lock(&self.shared.waiting).parked -= 1;
                break;
            };
            waiting = guard;
            waiting.parked -= 1;
        }
        self.outcome()
    }

    /// Offers this thread, which is about to block until the future is done, to the host.
    pub(super) fn drain(&self, deadline: Option<Instant>) {
        if let Some(host) = self.host() {
            host.drain(self.id(), &|| self.is_done(), deadline);
        }
    }

    /// Returns the outcome, or takes a seat for the task's waker.
    pub(crate) fn poll(&self, seat: &mut Seat, context: &mut Context<'_>) -> Poll<Ended<'_>> {
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        if seat.is_taken() {
            let mut waiting = lock(&self.shared.waiting);
            if !self.is_done() && waiting.will_wake(seat, context.waker()) {
                return Poll::Pending;
            }
        }
        // Cloning and dropping a waker is the runtime's code: without the lock.
        let waker = context.waker().clone();
        let mut waiting = lock(&self.shared.waiting);
        if let Some(outcome) = self.outcome() {
            drop(waiting);
            return Poll::Ready(outcome);
        }
        let replaced = waiting.sit(seat, waker);
        drop(waiting);
        drop(replaced);
        Poll::Pending
    }

    /// Gives up a seat, so that the waker is not kept.
    pub(crate) fn leave(&self, seat: &mut Seat) {
        let seat = seat.take();
        if seat.is_taken() && !self.is_done() {
            let waiter = lock(&self.shared.waiting).stand_up(&seat);
            drop(waiter);
        }
    }

    /// Calls `callback` once there is an outcome: on the host's thread for callbacks, or here and now
    /// if there is one.
    pub(crate) fn on_done(&self, callback: Callback) {
        let mut waiting = lock(&self.shared.waiting);
        match self.outcome() {
            None => waiting.push(Waiter::Callback(callback)),
            Some(outcome) => {
                drop(waiting);
                contain_callback(self, || callback(outcome));
            }
        }
    }

    /// Enters `watcher` in the list. Returns false if there is an outcome already.
    pub(super) fn watch(&self, watcher: &Arc<Watcher>, index: usize) -> bool {
        if self.is_done() {
            return false;
        }
        let mut waiting = lock(&self.shared.waiting);
        let is_pending = !self.is_done();
        if is_pending {
            waiting.push(Waiter::Watcher {
                watcher: Arc::clone(watcher),
                index,
            });
        }
        is_pending
    }

    /// Tells futures apart: equal for two handles of the same one, as long as either lives.
    pub(super) fn identity(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    #[cfg(test)]
    pub(super) fn waiters(&self) -> usize {
        lock(&self.shared.waiting).len()
    }

    #[cfg(test)]
    pub(super) fn handles(&self) -> usize {
        Arc::strong_count(&self.shared)
    }

    fn host(&self) -> Option<Arc<dyn Host>> {
        self.shared.host.as_ref()?.0.upgrade()
    }

    fn hand_over(&self, callback: Callback) {
        let future = self.clone();
        let run = move || {
            if let Some(outcome) = future.outcome() {
                contain_callback(&future, || callback(outcome));
            }
        };
        match self.host() {
            Some(host) => host.run_callback(Box::new(run)),
            None => run(),
        }
    }
}

/// Whether a task ended because its caller wanted it to.
pub(super) fn is_cancellation(outcome: Ended<'_>) -> bool {
    matches!(
        outcome,
        Err(TaskError::Cancelled { .. } | TaskError::Killed(_))
    )
}

impl fmt::Display for RawFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.id())
    }
}

impl fmt::Debug for RawFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawFuture")
            .field("task", &self.id().0)
            .field("state", &self.state())
            .finish()
    }
}

impl fmt::Debug for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("pending"),
            Self::Running => f.write_str("running"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Finished => f.write_str("finished"),
            Self::Failed(error) => write!(f, "failed: {error}"),
        }
    }
}
