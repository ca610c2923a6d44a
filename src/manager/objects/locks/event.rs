//! Something that has happened, or has not.

use serde::{Deserialize, Serialize};

use crate::manager::objects::turns::Turns;
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Context, Object, SessionId};

/// What is asked of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EventOp {
    /// Answered with nothing.
    Set,
    /// Answered with nothing.
    Clear,
    /// Answered with a bool.
    IsSet,
    /// Answered with nothing, once it is set.
    Wait,
}

/// Nobody waits while it is set.
#[derive(Debug, Default)]
pub(super) struct Event {
    is_set: bool,
    waiting: Turns<()>,
}

impl Object for Event {
    fn ask(&mut self, caller: Caller, op: &[u8], context: &mut Context<'_>) {
        let Some(op) = context.understand(caller, op) else {
            return;
        };
        match op {
            EventOp::Set => {
                self.is_set = true;
                while let Some((waiting, ())) = self.waiting.pop() {
                    context.answer(waiting, &());
                }
                context.answer(caller, &());
            }
            EventOp::Clear => {
                self.is_set = false;
                context.answer(caller, &());
            }
            EventOp::IsSet => context.answer(caller, &self.is_set),
            EventOp::Wait if self.is_set => context.answer(caller, &()),
            EventOp::Wait => drop(self.waiting.push(caller, ())),
        }
    }

    fn cancel(&mut self, caller: Caller, context: &mut Context<'_>) {
        if self.waiting.remove(caller).is_some() {
            context.fail(caller, Fault::Cancelled);
        }
    }

    fn leave(&mut self, session: SessionId, _: &mut Context<'_>) {
        self.waiting.remove_session(session);
    }
}
