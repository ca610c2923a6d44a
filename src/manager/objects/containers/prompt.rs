//! Objects that answer at once.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::manager::protocol::{Fault, Packed};
use crate::manager::store::{Caller, Context, Item, Object, SessionId};

/// An object none of whose calls waits.
pub(super) trait Prompt: Send + 'static {
    /// What it can be asked.
    type Op: DeserializeOwned + 'static;

    /// Does what is asked, and [says](Asked::say) what came of it; or fails, and is as it was.
    fn perform(&mut self, op: Self::Op, asked: &mut Asked<'_, '_>) -> Result<(), Fault>;
}

/// A call that is to be answered.
pub(super) struct Asked<'a, 'b> {
    caller: Caller,
    context: &'a mut Context<'b>,
}

impl Asked<'_, '_> {
    /// Answers. Where that fails, the answer is too long, and what it was about has to be as before.
    pub(super) fn say<T: Serialize + 'static>(&mut self, answer: &T) -> Result<(), Fault> {
        self.context.offer(self.caller, answer)
    }

    pub(super) fn keep(&self, value: Packed) -> Result<Item, Fault> {
        self.context.keep(value)
    }

    pub(super) fn keep_all(&self, values: Vec<Packed>) -> Result<Vec<Item>, Fault> {
        values.into_iter().map(|value| self.keep(value)).collect()
    }

    /// How long an answer may be, in bytes.
    pub(super) fn max_frame(&self) -> u64 {
        self.context.max_frame()
    }
}

pub(super) fn object<P: Prompt>(prompt: P) -> Box<dyn Object> {
    Box::new(AtOnce(prompt))
}

struct AtOnce<P>(P);

impl<P: Prompt> Object for AtOnce<P> {
    fn ask(&mut self, caller: Caller, op: &[u8], context: &mut Context<'_>) {
        let Some(op) = context.understand(caller, op) else {
            return;
        };
        let mut asked = Asked { caller, context };
        if let Err(fault) = self.0.perform(op, &mut asked) {
            context.fail(caller, fault);
        }
    }

    fn cancel(&mut self, _: Caller, _: &mut Context<'_>) {}

    fn leave(&mut self, _: SessionId, _: &mut Context<'_>) {}
}
