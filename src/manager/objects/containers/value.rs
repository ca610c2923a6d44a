//! A single value.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::Change;
use super::prompt::{Asked, Prompt};
use super::slice;
use crate::manager::protocol::{Fault, Packed};
use crate::manager::store::Item;

/// What a value is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ValueOp {
    Get,
    Set {
        value: Packed,
    },
    /// Answered with the one that was there.
    Replace {
        value: Packed,
    },
    /// Answered with whether the expected one was there.
    CompareAndSwap {
        expected: ByteBuf,
        value: Packed,
    },
    /// Answered with the number that was there, encoded.
    Change {
        change: Change,
    },
}

pub(super) struct Value {
    item: Item,
}

impl Value {
    pub(super) fn new(item: Item) -> Self {
        Self { item }
    }
}

impl Prompt for Value {
    type Op = ValueOp;

    fn perform(&mut self, op: ValueOp, asked: &mut Asked<'_, '_>) -> Result<(), Fault> {
        match op {
            ValueOp::Get => asked.say(&self.item),
            ValueOp::Set { value } => {
                self.item = asked.keep(value)?;
                asked.say(&())
            }
            ValueOp::Replace { value } => {
                let value = asked.keep(value)?;
                asked.say(&self.item)?;
                self.item = value;
                Ok(())
            }
            ValueOp::CompareAndSwap { expected, value } => {
                let value = asked.keep(value)?;
                let swapped = slice::compare_and_swap(&mut self.item, &expected, value);
                asked.say(&swapped)
            }
            ValueOp::Change { change } => {
                let was = slice::change(&mut self.item, &change)?;
                asked.say(&ByteBuf::from(was))
            }
        }
    }
}
