//! A lock of a server's that this process has.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::attempt::Attempt;
use super::error::LockError;
use crate::manager::client::Remote;
use crate::manager::objects::locks::{ConditionOp, LockOp, RLockOp, Taken};
use crate::wire;

/// The words that the kinds of locks have in common.
pub(super) trait Words: Serialize + Send + 'static {
    fn release(hold: u64) -> Self;

    /// As if it had never been taken.
    fn undo(taken: Taken) -> Self;
}

impl Words for LockOp {
    fn release(hold: u64) -> Self {
        Self::Release { hold }
    }

    fn undo(Taken { hold, .. }: Taken) -> Self {
        Self::Return { hold }
    }
}

impl Words for RLockOp {
    fn release(hold: u64) -> Self {
        Self::Release { hold }
    }

    fn undo(Taken { hold, owner_died }: Taken) -> Self {
        Self::Return { hold, owner_died }
    }
}

impl Words for ConditionOp {
    fn release(hold: u64) -> Self {
        Self::Release { hold }
    }

    fn undo(Taken { hold, .. }: Taken) -> Self {
        Self::Return { hold }
    }
}

/// A lock that this process has; given back on drop, which does not wait for the server.
pub(super) struct Hold {
    remote: Remote,
    /// `None` when it has been given away.
    hold: Option<u64>,
    release: fn(&Remote, u64),
}

impl Hold {
    fn new<W: Words>(remote: Remote, hold: u64) -> Self {
        Self {
            remote,
            hold: Some(hold),
            release: |remote, hold| remote.tell(&W::release(hold)),
        }
    }

    /// Its number, if it is one of this object; else one that no lock has.
    pub(super) fn number_of(&self, remote: &Remote) -> u64 {
        match self.hold {
            Some(hold) if self.is_of(remote) => hold,
            _ => 0,
        }
    }

    pub(super) fn is_of(&self, remote: &Remote) -> bool {
        self.remote.is_same(remote)
    }

    /// The server has taken it back.
    fn give_away(mut self) {
        self.hold = None;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(hold) = self.hold {
            (self.release)(&self.remote, hold);
        }
    }
}

/// Sends a request whose answer is a lock. What is `given` along with it is this process's again, and so released, if there is no answer.
pub(super) fn take<W: Words>(
    remote: &Remote,
    words: &W,
    given: Option<Hold>,
) -> Attempt<Hold, LockError<Hold>> {
    let own = remote.clone();
    let read = move |taken: Option<Taken>| {
        if let Some(given) = given {
            given.give_away();
        }
        Ok(match taken {
            None => Err(LockError::WouldBlock),
            Some(Taken { hold, owner_died }) => {
                let hold = Hold::new::<W>(own, hold);
                match owner_died {
                    true => Err(LockError::OwnerDied(hold)),
                    false => Ok(hold),
                }
            }
        })
    };
    Attempt::new(remote.call(words, read).undone_by(undo::<W>))
}

/// The request that undoes what this answer has brought.
pub(super) fn undo<W: Words>(answer: &[u8]) -> Option<Vec<u8>> {
    let taken: Option<Taken> = wire::decode(answer).ok()?;
    let mut words = Vec::new();
    wire::encode(&W::undo(taken?), &mut words).ok()?;
    Some(words)
}

/// A lock that is on its way: `lock_async` and the like. It has been asked for when this is there; awaiting it gives the guard, or a [`LockError`].
///
/// Dropping it before gives up its place in the line; a lock that was on its way is given back.
///
/// # Panics
///
/// When it is polled after it has given its answer.
#[must_use = "dropping it gives up the place in the line"]
pub struct Locking<G> {
    state: State<G>,
    guard: fn(Hold) -> G,
    /// There is no time: it is tried, and then its time is over.
    is_timed_try: bool,
    /// It is no more `Send` than the guard is.
    made: PhantomData<G>,
}

enum State<G> {
    Asked(Attempt<Hold, LockError<Hold>>),
    /// It was not asked for.
    Refused(Option<LockError<G>>),
}

impl<G> Locking<G> {
    pub(super) fn new(attempt: Attempt<Hold, LockError<Hold>>, guard: fn(Hold) -> G) -> Self {
        Self {
            state: State::Asked(attempt),
            guard,
            is_timed_try: false,
            made: PhantomData,
        }
    }

    pub(super) fn refused(error: LockError<G>, guard: fn(Hold) -> G) -> Self {
        Self {
            state: State::Refused(Some(error)),
            guard,
            is_timed_try: false,
            made: PhantomData,
        }
    }

    pub(super) fn within(mut self, timeout: Duration) -> Self {
        if let State::Asked(attempt) = self.state {
            self.state = State::Asked(attempt.within(timeout));
        }
        self
    }

    /// The same, which was to be tried only: if somebody has the lock, its time is over.
    pub(super) fn in_no_time(mut self) -> Self {
        self.is_timed_try = true;
        self
    }

    fn error(is_timed_try: bool, guard: fn(Hold) -> G, error: LockError<Hold>) -> LockError<G> {
        let error = error.map(guard);
        match is_timed_try {
            true => error.timed_out(),
            false => error,
        }
    }

    /// Blocks until it is answered.
    pub(super) fn wait(self) -> Result<G, LockError<G>> {
        self.finish(|attempt| attempt.wait())
    }

    /// Blocks until it is answered, or the deadline has passed.
    pub(super) fn wait_until(self, deadline: Option<Instant>) -> Result<G, LockError<G>> {
        self.finish(|attempt| attempt.wait_until(deadline))
    }

    fn finish(
        self,
        wait: impl FnOnce(Attempt<Hold, LockError<Hold>>) -> Result<Hold, LockError<Hold>>,
    ) -> Result<G, LockError<G>> {
        let (is_timed_try, guard) = (self.is_timed_try, self.guard);
        match self.state {
            State::Asked(attempt) => match wait(attempt) {
                Ok(hold) => Ok(guard(hold)),
                Err(error) => Err(Self::error(is_timed_try, guard, error)),
            },
            State::Refused(error) => Err(error.unwrap_or(LockError::TimedOut)),
        }
    }
}

// Nothing in it is pinned.
impl<G> Unpin for Locking<G> {}

impl<G> Future for Locking<G> {
    type Output = Result<G, LockError<G>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (is_timed_try, guard) = (self.is_timed_try, self.guard);
        match &mut self.state {
            State::Asked(attempt) => Pin::new(attempt).poll(context).map(|answer| match answer {
                Ok(hold) => Ok(guard(hold)),
                Err(error) => Err(Self::error(is_timed_try, guard, error)),
            }),
            State::Refused(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => panic!("it has given its answer"),
            },
        }
    }
}

impl<G> fmt::Debug for Locking<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locking").finish_non_exhaustive()
    }
}
