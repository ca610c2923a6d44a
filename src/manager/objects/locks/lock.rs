//! One at a time.

use serde::{Deserialize, Serialize};

use super::finish;
use super::holding::{Holding, Via};
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Context, Object, SessionId};

/// What is asked of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LockOp {
    /// Answered with `Some` of a [`Taken`](super::Taken), or with `None` if somebody has it and it is not to be waited for.
    Acquire { wait: bool },
    /// Answered with nothing.
    Release { hold: u64 },
    /// Undoes an `Acquire` that nobody has taken notice of. Answered with nothing.
    Return { hold: u64 },
    /// Answered with a bool.
    IsLocked,
}

#[derive(Debug, Default)]
pub(super) struct Lock {
    holding: Holding,
}

impl Object for Lock {
    fn ask(&mut self, caller: Caller, op: &[u8], context: &mut Context<'_>) {
        let Some(op) = context.understand(caller, op) else {
            return;
        };
        match op {
            LockOp::Acquire { wait } => self.holding.acquire(caller, Via::Asking, wait, context),
            LockOp::Release { hold } => {
                let released = self.holding.release(caller.session, hold, context);
                finish(caller, released, context);
            }
            LockOp::Return { hold } => {
                let undone = self.holding.undo(caller.session, hold);
                self.holding.next(context);
                finish(caller, undone.map(|_| ()), context);
            }
            LockOp::IsLocked => context.answer(caller, &self.holding.is_held()),
        }
    }

    fn cancel(&mut self, caller: Caller, context: &mut Context<'_>) {
        if self.holding.cancel(caller).is_some() {
            context.fail(caller, Fault::Cancelled);
        }
    }

    fn leave(&mut self, session: SessionId, context: &mut Context<'_>) {
        self.holding.leave(session);
        self.holding.next(context);
    }
}
