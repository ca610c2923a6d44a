//! So many at a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::finish;
use crate::manager::objects::turns::Turns;
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Context, Object, SessionId};

/// What is asked of a semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SemaphoreOp {
    /// Takes a permit, which is the session's until it is given back or forgotten. Answered with `true`, or with `false` if there is none and it is not
    /// to be waited for.
    Acquire { wait: bool },
    /// A permit that the session has is there again. Answered with nothing.
    GiveBack,
    /// A permit that the session has is not given back when it ends. Answered with nothing.
    Forget,
    /// Adds permits, all or none of them. Answered with whether there may be so many.
    Release { permits: u64 },
    /// How many there are: answered with a `u64`.
    Value,
}

/// There is none while somebody waits.
#[derive(Debug)]
pub(super) struct Semaphore {
    permits: u64,
    /// How many there may be.
    limit: u64,
    waiting: Turns<()>,
    /// How many each session has.
    held: BTreeMap<SessionId, u64>,
}

impl Semaphore {
    pub(super) fn new(permits: u64, limit: u64) -> Self {
        Self {
            permits,
            limit,
            waiting: Turns::default(),
            held: BTreeMap::new(),
        }
    }

    fn acquire(&mut self, caller: Caller, wait: bool, context: &mut Context<'_>) {
        if self.permits > 0 {
            self.permits -= 1;
            self.grant(caller, context);
        } else if wait {
            self.waiting.push(caller, ());
        } else {
            context.answer(caller, &false);
        }
    }

    fn grant(&mut self, caller: Caller, context: &mut Context<'_>) {
        *self.held.entry(caller.session).or_default() += 1;
        context.answer(caller, &true);
    }

    /// Takes a permit from a session that has one.
    fn disown(&mut self, session: SessionId) -> Result<(), Fault> {
        let held = self.held.get_mut(&session).ok_or(Fault::NotHeld)?;
        *held -= 1;
        if *held == 0 {
            self.held.remove(&session);
        }
        Ok(())
    }

    /// Adds as many as there may be.
    fn add(&mut self, permits: u64, context: &mut Context<'_>) {
        self.permits = self.permits.saturating_add(permits).min(self.limit);
        while self.permits > 0
            && let Some((caller, ())) = self.waiting.pop()
        {
            self.permits -= 1;
            self.grant(caller, context);
        }
    }

    fn release(&mut self, permits: u64, context: &mut Context<'_>) -> bool {
        let count = self.permits.checked_add(permits);
        let fits = count.is_some_and(|count| count <= self.limit);
        if fits {
            self.add(permits, context);
        }
        fits
    }
}

impl Object for Semaphore {
    fn ask(&mut self, caller: Caller, op: &[u8], context: &mut Context<'_>) {
        let Some(op) = context.understand(caller, op) else {
            return;
        };
        match op {
            SemaphoreOp::Acquire { wait } => self.acquire(caller, wait, context),
            SemaphoreOp::GiveBack => {
                let disowned = self.disown(caller.session);
                if disowned.is_ok() {
                    // Where somebody else has released it, too, it is not this one's any more.
                    self.add(1, context);
                }
                finish(caller, disowned, context);
            }
            SemaphoreOp::Forget => {
                let disowned = self.disown(caller.session);
                finish(caller, disowned, context);
            }
            SemaphoreOp::Release { permits } => {
                let fits = self.release(permits, context);
                context.answer(caller, &fits);
            }
            SemaphoreOp::Value => context.answer(caller, &self.permits),
        }
    }

    fn cancel(&mut self, caller: Caller, context: &mut Context<'_>) {
        if self.waiting.remove(caller).is_some() {
            context.fail(caller, Fault::Cancelled);
        }
    }

    fn leave(&mut self, session: SessionId, context: &mut Context<'_>) {
        self.waiting.remove_session(session);
        let held = self.held.remove(&session).unwrap_or(0);
        self.add(held, context);
    }
}
