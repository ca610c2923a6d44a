//! A lock within an object: who has it, and who is next.

use serde::{Deserialize, Serialize};

use crate::manager::objects::turns::Turns;
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Context, SessionId};

/// What is told to whoever takes a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// By this number it is given back. Numbers of one object are not used again.
    pub(crate) hold: u64,
    /// Whether the one before has ended with it.
    pub(crate) owner_died: bool,
}

/// A lock: one has it, the others come in turn.
///
/// Whoever has it is a session and a number, which the answer tells. It is never free while somebody waits.
#[derive(Debug, Default)]
pub(super) struct Holding {
    holder: Option<Holder>,
    waiting: Turns<Via>,
    last_hold: u64,
    /// To be told to the next one.
    owner_died: bool,
}

#[derive(Debug)]
struct Holder {
    session: SessionId,
    hold: u64,
    via: Via,
    /// What it has been told.
    owner_died: bool,
}

/// How somebody comes to wait for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// It asked.
    Asking,
    /// It waited for a condition, and has been notified.
    Notified,
}

impl Holding {
    /// Answers at once if nobody has it, with a [`Taken`]; else when its turn comes, or, if it is not to wait, with `None`.
    pub(super) fn acquire(
        &mut self,
        caller: Caller,
        via: Via,
        wait: bool,
        context: &mut Context<'_>,
    ) {
        if self.holder.is_none() && self.waiting.is_empty() {
            self.grant(caller, via, context);
        } else if wait {
            self.waiting.push(caller, via);
        } else {
            context.answer(caller, &None::<Taken>);
        }
    }

    /// Gives it back.
    pub(super) fn release(
        &mut self,
        session: SessionId,
        hold: u64,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        self.check(session, hold)?;
        self.holder = None;
        self.next(context);
        Ok(())
    }

    /// Gives back what nobody has taken notice of: the next one is told what this one was told. Says how it had been taken; whoever asks
    /// deals with that, and then calls [`next`](Self::next).
    pub(super) fn undo(&mut self, session: SessionId, hold: u64) -> Result<Via, Fault> {
        self.check(session, hold)?;
        let holder = self.holder.take().ok_or(Fault::NotHeld)?;
        self.owner_died |= holder.owner_died;
        Ok(holder.via)
    }

    /// Whether this is what the session has.
    pub(super) fn check(&self, session: SessionId, hold: u64) -> Result<(), Fault> {
        match &self.holder {
            Some(holder) if holder.session == session && holder.hold == hold => Ok(()),
            _ => Err(Fault::NotHeld),
        }
    }

    /// Takes one out that waits.
    pub(super) fn cancel(&mut self, caller: Caller) -> Option<Via> {
        self.waiting.remove(caller).map(|(_, via)| via)
    }

    /// Takes out what a session waits for, and what it has: the next one is told. Says how all of that came; whoever asks
    /// deals with it, and then calls [`next`](Self::next).
    pub(super) fn leave(&mut self, session: SessionId) -> Vec<Via> {
        let waited = self.waiting.remove_session(session);
        let mut left: Vec<Via> = waited.into_iter().map(|(_, via)| via).collect();
        if let Some(holder) = self.holder.take_if(|holder| holder.session == session) {
            self.owner_died = true;
            left.push(holder.via);
        }
        left
    }

    /// If nobody has it, the next one does.
    pub(super) fn next(&mut self, context: &mut Context<'_>) {
        if self.holder.is_none()
            && let Some((caller, via)) = self.waiting.pop()
        {
            self.grant(caller, via, context);
        }
    }

    pub(super) fn is_held(&self) -> bool {
        self.holder.is_some()
    }

    fn grant(&mut self, caller: Caller, via: Via, context: &mut Context<'_>) {
        self.last_hold += 1;
        let taken = Taken {
            hold: self.last_hold,
            owner_died: std::mem::take(&mut self.owner_died),
        };
        self.holder = Some(Holder {
            session: caller.session,
            hold: taken.hold,
            via,
            owner_died: taken.owner_died,
        });
        context.answer(caller, &Some(taken));
    }
}
