//! Waiting for what others do under a lock, which is a part of the same object.
//!
//! ```text
//!   Acquire ──▶ in line for the lock ──▶ has it ──▶ Release
//!                     ▲                   │
//!                     │ Notify            │ Wait
//!                     └──── waits ◀───────┘
//! ```
//!
//! A notification is never lost with the one that it woke: if that one is cancelled, or its session ends, before it could act on it, the
//! notification passes on to the next one that waits.

use serde::{Deserialize, Serialize};

use super::finish;
use super::holding::{Holding, Via};
use crate::manager::objects::turns::Turns;
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Context, Object, SessionId};

/// What is asked of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ConditionOp {
    /// Answered with `Some` of a [`Taken`](super::Taken), or with `None` if somebody has the lock and it is not to be waited for.
    Acquire { wait: bool },
    /// Answered with nothing.
    Release { hold: u64 },
    /// Undoes an `Acquire` or a `Wait` that nobody has taken notice of. Answered with nothing.
    Return { hold: u64 },
    /// Releases the lock, waits for a notification and for the lock. Answered with `Some` of a [`Taken`](super::Taken).
    Wait { hold: u64 },
    /// Lets so many go on of those who wait. Answered with nothing.
    Notify { hold: u64, count: u64 },
    /// Answered with a bool.
    IsLocked,
}

const WRONG_LOCK: &str = "waiting and notifying need a guard of this condition's own lock";

#[derive(Debug, Default)]
pub(super) struct Condition {
    holding: Holding,
    /// Those who wait for a notification.
    waiting: Turns<()>,
}

impl Condition {
    /// Those who are notified are in line for the lock, which somebody has.
    fn notify(&mut self, count: u64, context: &mut Context<'_>) {
        for _ in 0..count {
            let Some((caller, ())) = self.waiting.pop() else {
                return;
            };
            self.holding.acquire(caller, Via::Notified, true, context);
        }
    }

    /// Passes on the notifications of those who could not act on them.
    fn pass_on(&mut self, left: impl IntoIterator<Item = Via>, context: &mut Context<'_>) {
        let notified = left.into_iter().filter(|via| *via == Via::Notified);
        self.notify(notified.count() as u64, context);
        self.holding.next(context);
    }

    fn wait(&mut self, caller: Caller, hold: u64, context: &mut Context<'_>) {
        let released = self.check(caller.session, hold);
        let released = released.and_then(|()| self.holding.release(caller.session, hold, context));
        match released {
            Ok(()) => drop(self.waiting.push(caller, ())),
            Err(fault) => context.fail(caller, fault),
        }
    }

    /// Whether the caller has the lock, which it needs for what it asks.
    fn check(&self, session: SessionId, hold: u64) -> Result<(), Fault> {
        let checked = self.holding.check(session, hold);
        checked.map_err(|_| Fault::Invalid(WRONG_LOCK.to_owned()))
    }
}

impl Object for Condition {
    fn ask(&mut self, caller: Caller, op: &[u8], context: &mut Context<'_>) {
        let Some(op) = context.understand(caller, op) else {
            return;
        };
        match op {
            ConditionOp::Acquire { wait } => {
                self.holding.acquire(caller, Via::Asking, wait, context);
            }
            ConditionOp::Release { hold } => {
                let released = self.holding.release(caller.session, hold, context);
                finish(caller, released, context);
            }
            ConditionOp::Return { hold } => {
                let undone = self.holding.undo(caller.session, hold);
                self.pass_on(undone.clone().ok(), context);
                finish(caller, undone.map(|_| ()), context);
            }
            ConditionOp::Wait { hold } => self.wait(caller, hold, context),
            ConditionOp::Notify { hold, count } => {
                let checked = self.check(caller.session, hold);
                if checked.is_ok() {
                    self.notify(count, context);
                }
                finish(caller, checked, context);
            }
            ConditionOp::IsLocked => context.answer(caller, &self.holding.is_held()),
        }
    }

    fn cancel(&mut self, caller: Caller, context: &mut Context<'_>) {
        let left = match self.waiting.remove(caller) {
            Some(_) => None,
            None => match self.holding.cancel(caller) {
                None => return,
                left => left,
            },
        };
        context.fail(caller, Fault::Cancelled);
        self.pass_on(left, context);
    }

    fn leave(&mut self, session: SessionId, context: &mut Context<'_>) {
        self.waiting.remove_session(session);
        let left = self.holding.leave(session);
        self.pass_on(left, context);
    }
}
