//! All wait until all are there.

use serde::{Deserialize, Serialize};

use crate::manager::objects::turns::Turns;
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Context, Object, SessionId};

/// What is asked of a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BarrierOp {
    /// Answered, once all are there, with `Some` of this one's place in the order of coming, a `u32`; with `None` if it is, or gets, broken.
    Wait,
    /// Answered with nothing.
    Abort,
    /// Answered with nothing.
    Reset,
    /// Answered with [`BarrierState`].
    State,
}

/// How a barrier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BarrierState {
    pub(crate) parties: u32,
    pub(crate) waiting: u32,
    pub(crate) is_broken: bool,
}

/// Nobody waits while it is broken, and fewer than it is for at any time.
#[derive(Debug)]
pub(super) struct Barrier {
    parties: u32,
    is_broken: bool,
    /// Nobody leaves this line alone, so that the place in it is the order of coming.
    waiting: Turns<()>,
}

impl Barrier {
    pub(super) fn new(parties: u32) -> Result<Self, Fault> {
        if parties == 0 {
            return Err(Fault::Invalid(
                "a barrier is for 1 party at least".to_owned(),
            ));
        }
        Ok(Self {
            parties,
            is_broken: false,
            waiting: Turns::default(),
        })
    }

    fn wait(&mut self, caller: Caller, context: &mut Context<'_>) {
        if self.is_broken {
            return context.answer(caller, &None::<u32>);
        }
        self.waiting.push(caller, ());
        if self.arrived() < self.parties {
            return;
        }
        for index in 0..self.parties {
            if let Some((caller, ())) = self.waiting.pop() {
                context.answer(caller, &Some(index));
            }
        }
    }

    fn arrived(&self) -> u32 {
        u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)
    }

    /// Tells those who wait that they do not pass.
    fn dismiss(&mut self, context: &mut Context<'_>) {
        while let Some((caller, ())) = self.waiting.pop() {
            context.answer(caller, &None::<u32>);
        }
    }

    fn abort(&mut self, context: &mut Context<'_>) {
        self.is_broken = true;
        self.dismiss(context);
    }
}

impl Object for Barrier {
    fn ask(&mut self, caller: Caller, op: &[u8], context: &mut Context<'_>) {
        let Some(op) = context.understand(caller, op) else {
            return;
        };
        match op {
            BarrierOp::Wait => self.wait(caller, context),
            BarrierOp::Abort => {
                self.abort(context);
                context.answer(caller, &());
            }
            BarrierOp::Reset => {
                self.dismiss(context);
                self.is_broken = false;
                context.answer(caller, &());
            }
            BarrierOp::State => {
                let state = BarrierState {
                    parties: self.parties,
                    waiting: self.arrived(),
                    is_broken: self.is_broken,
                };
                context.answer(caller, &state);
            }
        }
    }

    fn cancel(&mut self, caller: Caller, context: &mut Context<'_>) {
        if self.waiting.remove(caller).is_some() {
            context.fail(caller, Fault::Cancelled);
            self.abort(context);
        }
    }

    fn leave(&mut self, session: SessionId, context: &mut Context<'_>) {
        if !self.waiting.remove_session(session).is_empty() {
            self.abort(context);
        }
    }
}
