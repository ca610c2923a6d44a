//! A queue, for which its callers wait.
//!
//! Each item has a *ticket*, the number of its put. Items leave in the order of their tickets, so that one that is given back, by
//! somebody who did not wait for it any more, is where it was: in front of all that were put after it.
//!
//! Whenever something has changed, [`Queue::serve`] makes these true again: nobody waits for an item while there is one, nor for room while there
//! is some, nor for the last item to be done when it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::manager::objects::turns::Turns;
use crate::manager::protocol::{Fault, Packed};
use crate::manager::store::{Caller, Context, Item, Object, SessionId};

/// How much longer the answer to a get may be than what it brings: its tag, its ticket, and lengths.
const OVERHEAD: u64 = 64;
/// How much of an answer a reference may take: it is named in the item, and among the grants.
const REFERENCE: u64 = 20;

/// What a queue is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum QueueOp {
    /// Answered with a [`Put`]; with `wait`, when there is room, and never with [`Put::Full`].
    Put { value: Packed, wait: bool },
    /// Answered with a [`Got`]; with `wait`, when there is an item, and never with [`Got::Empty`].
    Get { wait: bool },
    /// Undoes a put, if the item is still there. Answered with whether it was.
    TakeBack { ticket: u64 },
    /// Undoes a get.
    GiveBack { ticket: u64, value: Packed },
    /// Answered with a [`QueueState`].
    State,
    /// Nothing is put any more.
    Close,
    /// Answered with whether there was an item that is not done.
    TaskDone,
    /// Answered when every item is done.
    Join,
}

/// What came of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Put {
    Done { ticket: u64 },
    Full,
    Closed,
}

/// What came of a get: with an [`Item`] in it in the server, and a [`Packed`] in clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Got<V> {
    Item { ticket: u64, value: V },
    Empty,
    Closed,
}

/// How a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueueState {
    pub(crate) len: u64,
    pub(crate) capacity: Option<u64>,
    pub(crate) is_closed: bool,
    /// How many have been put that are not done.
    pub(crate) unfinished: u64,
}

pub(super) struct Queue {
    /// By their tickets.
    items: BTreeMap<u64, Item>,
    next_ticket: u64,
    capacity: Option<u64>,
    is_closed: bool,
    unfinished: u64,
    getters: Turns<()>,
    putters: Turns<Item>,
    joiners: Turns<()>,
}

impl Queue {
    /// An empty one of so many items at most.
    pub(super) fn new(capacity: Option<u64>) -> Result<Self, Fault> {
        if capacity == Some(0) {
            let what = "a queue has room for one item at least";
            return Err(Fault::Invalid(what.to_owned()));
        }
        Ok(Self {
            items: BTreeMap::new(),
            next_ticket: 0,
            capacity,
            is_closed: false,
            unfinished: 0,
            getters: Turns::default(),
            putters: Turns::default(),
            joiners: Turns::default(),
        })
    }

    fn perform(
        &mut self,
        op: QueueOp,
        caller: Caller,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        match op {
            QueueOp::Put { value, wait } => {
                let refs = (value.refs.len() as u64).saturating_mul(REFERENCE);
                let len = (value.bytes.len() as u64)
                    .saturating_add(refs)
                    .saturating_add(OVERHEAD);
                let max_frame = context.max_frame();
                if len > max_frame {
                    // Nobody could get it.
                    return Err(Fault::TooLong { len, max_frame });
                }
                let item = context.keep(value)?;
                if self.is_closed {
                    context.answer(caller, &Put::Closed);
                } else if self.has_room() {
                    self.put(caller, item, context);
                } else if wait {
                    self.putters.push(caller, item);
                } else {
                    context.answer(caller, &Put::Full);
                }
            }
            QueueOp::Get { wait } => {
                if !self.items.is_empty() {
                    self.get(caller, context);
                } else if self.is_closed {
                    context.answer(caller, &Got::<Item>::Closed);
                } else if wait {
                    self.getters.push(caller, ());
                } else {
                    context.answer(caller, &Got::<Item>::Empty);
                }
            }
            QueueOp::TakeBack { ticket } => {
                let was_there = self.items.remove(&ticket).is_some();
                if was_there {
                    self.unfinished = self.unfinished.saturating_sub(1);
                }
                context.answer(caller, &was_there);
            }
            QueueOp::GiveBack { ticket, value } => {
                if ticket >= self.next_ticket || self.items.contains_key(&ticket) {
                    return Err(Fault::NotHeld);
                }
                self.items.insert(ticket, context.keep(value)?);
                context.answer(caller, &());
            }
            QueueOp::State => {
                let state = QueueState {
                    len: self.items.len() as u64,
                    capacity: self.capacity,
                    is_closed: self.is_closed,
                    unfinished: self.unfinished,
                };
                context.answer(caller, &state);
            }
            QueueOp::Close => {
                self.is_closed = true;
                context.answer(caller, &());
            }
            QueueOp::TaskDone => {
                let was_there = self.unfinished > 0;
                self.unfinished = self.unfinished.saturating_sub(1);
                context.answer(caller, &was_there);
            }
            QueueOp::Join => {
                self.joiners.push(caller, ());
            }
        }
        self.serve(context);
        Ok(())
    }

    fn has_room(&self) -> bool {
        let len = self.items.len() as u64;
        self.capacity.is_none_or(|capacity| len < capacity)
    }

    fn put(&mut self, caller: Caller, item: Item, context: &mut Context<'_>) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.items.insert(ticket, item);
        self.unfinished = self.unfinished.saturating_add(1);
        context.answer(caller, &Put::Done { ticket });
    }

    /// Answers with the first item; if that cannot be, it stays.
    fn get(&mut self, caller: Caller, context: &mut Context<'_>) {
        let Some((ticket, value)) = self.items.pop_first() else {
            return context.answer(caller, &Got::<Item>::Empty);
        };
        let got = Got::Item { ticket, value };
        if let Err(fault) = context.offer(caller, &got) {
            if let Got::Item { ticket, value } = got {
                self.items.insert(ticket, value);
            }
            context.fail(caller, fault);
        }
    }

    /// Answers whoever has waited for long enough.
    fn serve(&mut self, context: &mut Context<'_>) {
        loop {
            if !self.items.is_empty()
                && let Some((getter, ())) = self.getters.pop()
            {
                self.get(getter, context);
            } else if !self.is_closed
                && self.has_room()
                && let Some((putter, item)) = self.putters.pop()
            {
                self.put(putter, item, context);
            } else {
                break;
            }
        }
        if self.is_closed {
            while let Some((putter, _)) = self.putters.pop() {
                context.answer(putter, &Put::Closed);
            }
            while let Some((getter, ())) = self.getters.pop() {
                context.answer(getter, &Got::<Item>::Closed);
            }
        }
        while self.unfinished == 0
            && let Some((joiner, ())) = self.joiners.pop()
        {
            context.answer(joiner, &());
        }
    }
}

impl Object for Queue {
    fn ask(&mut self, caller: Caller, op: &[u8], context: &mut Context<'_>) {
        let Some(op) = context.understand(caller, op) else {
            return;
        };
        if let Err(fault) = self.perform(op, caller, context) {
            context.fail(caller, fault);
        }
    }

    fn cancel(&mut self, caller: Caller, context: &mut Context<'_>) {
        let waited = self.getters.remove(caller).is_some()
            || self.putters.remove(caller).is_some()
            || self.joiners.remove(caller).is_some();
        if waited {
            context.fail(caller, Fault::Cancelled);
        }
    }

    fn leave(&mut self, session: SessionId, _: &mut Context<'_>) {
        self.getters.remove_session(session);
        self.putters.remove_session(session);
        self.joiners.remove_session(session);
    }
}
