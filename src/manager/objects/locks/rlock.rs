//! One thread at a time, which may come again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::finish;
use super::holding::Taken;
use crate::manager::objects::turns::Turns;
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Context, Object, SessionId};

/// What is asked of a lock that can be taken again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RLockOp {
    /// Answered with `Some` of a [`Taken`], or with `None` if another thread has it and it is not to be waited for. The number that is told is the same
    /// until it is free again.
    Acquire { thread: u64, wait: bool },
    /// Once less. Answered with nothing.
    Release { hold: u64 },
    /// Undoes an `Acquire` that nobody has taken notice of, of what it was told. Answered with nothing.
    Return { hold: u64, owner_died: bool },
    /// Answered with a bool.
    IsLocked,
}

/// A thread of a client, which gives its threads numbers.
type Owner = (SessionId, u64);

/// It is never free while somebody waits, and nobody waits who has it.
#[derive(Debug, Default)]
pub(super) struct RLock {
    holder: Option<Holder>,
    waiting: Turns<Owner>,
    /// The places of those that wait, by owner: a thread may wait in several tasks at a time, and gets it for all of them.
    places: BTreeMap<Owner, BTreeSet<u64>>,
    last_hold: u64,
    /// To be told to the next one, be it the same thread.
    owner_died: bool,
}

#[derive(Debug)]
struct Holder {
    owner: Owner,
    hold: u64,
    /// How often it has it.
    count: u64,
    /// Whether it has been told that the one before has died.
    owner_died: bool,
}

impl RLock {
    fn acquire(&mut self, caller: Caller, thread: u64, wait: bool, context: &mut Context<'_>) {
        let owner = (caller.session, thread);
        match &mut self.holder {
            None => self.grant(caller, owner, context),
            Some(holder) if holder.owner == owner => {
                holder.enter(caller, &mut self.owner_died, context);
            }
            Some(_) if wait => {
                let place = self.waiting.push(caller, owner);
                self.places.entry(owner).or_default().insert(place);
            }
            Some(_) => context.answer(caller, &None::<Taken>),
        }
    }

    /// Once less; with the news that were told then, if nobody took notice of them.
    fn release(
        &mut self,
        session: SessionId,
        hold: u64,
        was_unheard: bool,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let holder = self.holder.as_mut();
        let holder = holder.filter(|holder| holder.owner.0 == session && holder.hold == hold);
        let holder = holder.ok_or(Fault::NotHeld)?;
        if was_unheard {
            self.owner_died |= std::mem::take(&mut holder.owner_died);
        }
        holder.count -= 1;
        if holder.count == 0 {
            self.holder = None;
            self.next(context);
        }
        Ok(())
    }

    fn next(&mut self, context: &mut Context<'_>) {
        if self.holder.is_some() {
            return;
        }
        let Some((caller, owner)) = self.waiting.pop() else {
            return;
        };
        let others = self.places.remove(&owner).unwrap_or_default();
        self.grant(caller, owner, context);
        let Some(holder) = &mut self.holder else {
            return;
        };
        // The place of the first one is among them, and empty by now.
        for place in others {
            if let Some((caller, _)) = self.waiting.take(place) {
                holder.enter(caller, &mut self.owner_died, context);
            }
        }
    }

    fn grant(&mut self, caller: Caller, owner: Owner, context: &mut Context<'_>) {
        self.last_hold += 1;
        let owner_died = std::mem::take(&mut self.owner_died);
        let holder = self.holder.insert(Holder {
            owner,
            hold: self.last_hold,
            count: 1,
            owner_died,
        });
        let taken = Taken {
            hold: holder.hold,
            owner_died,
        };
        context.answer(caller, &Some(taken));
    }

    fn forget(&mut self, place: u64, owner: Owner) {
        if let Some(places) = self.places.get_mut(&owner) {
            places.remove(&place);
            if places.is_empty() {
                self.places.remove(&owner);
            }
        }
    }
}

impl Holder {
    fn enter(&mut self, caller: Caller, owner_died: &mut bool, context: &mut Context<'_>) {
        // Every one costs a request: it would take centuries to count too far.
        self.count += 1;
        let taken = Taken {
            hold: self.hold,
            owner_died: std::mem::take(owner_died),
        };
        self.owner_died |= taken.owner_died;
        context.answer(caller, &Some(taken));
    }
}

impl Object for RLock {
    fn ask(&mut self, caller: Caller, op: &[u8], context: &mut Context<'_>) {
        let Some(op) = context.understand(caller, op) else {
            return;
        };
        match op {
            RLockOp::Acquire { thread, wait } => self.acquire(caller, thread, wait, context),
            RLockOp::Release { hold } => {
                let released = self.release(caller.session, hold, false, context);
                finish(caller, released, context);
            }
            RLockOp::Return { hold, owner_died } => {
                let undone = self.release(caller.session, hold, owner_died, context);
                finish(caller, undone, context);
            }
            RLockOp::IsLocked => context.answer(caller, &self.holder.is_some()),
        }
    }

    fn cancel(&mut self, caller: Caller, context: &mut Context<'_>) {
        if let Some((place, owner)) = self.waiting.remove(caller) {
            self.forget(place, owner);
            context.fail(caller, Fault::Cancelled);
        }
    }

    fn leave(&mut self, session: SessionId, context: &mut Context<'_>) {
        for (place, owner) in self.waiting.remove_session(session) {
            self.forget(place, owner);
        }
        if self
            .holder
            .take_if(|holder| holder.owner.0 == session)
            .is_some()
        {
            self.owner_died = true;
        }
        self.next(context);
    }
}
