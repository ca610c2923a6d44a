//! A row of values whose length does not change.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::Change;
use super::prompt::{Asked, Prompt};
use super::slice;
use crate::manager::protocol::{Fault, Packed};
use crate::manager::store::Item;

/// What an array is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ArrayOp {
    Len,
    Get {
        index: u64,
    },
    Set {
        index: u64,
        value: Packed,
    },
    /// Answered with what was there.
    Replace {
        index: u64,
        value: Packed,
    },
    Range {
        start: u64,
        end: Option<u64>,
    },
    /// In the place of as many others, from an index on.
    Write {
        start: u64,
        values: Vec<Packed>,
    },
    /// In the place of each.
    Fill {
        value: Packed,
    },
    Swap {
        one: u64,
        other: u64,
    },
    /// Answered with whether the expected value was there.
    CompareAndSwap {
        index: u64,
        expected: ByteBuf,
        value: Packed,
    },
    /// Answered with the number that was there, encoded.
    Change {
        index: u64,
        change: Change,
    },
}

pub(super) struct Array {
    items: Vec<Item>,
}

impl Array {
    pub(super) fn new(items: Vec<Item>) -> Self {
        Self { items }
    }
}

impl Prompt for Array {
    type Op = ArrayOp;

    fn perform(&mut self, op: ArrayOp, asked: &mut Asked<'_, '_>) -> Result<(), Fault> {
        match op {
            ArrayOp::Len => asked.say(&(self.items.len() as u64)),
            ArrayOp::Get { index } => asked.say(slice::at(&mut self.items, index)?),
            ArrayOp::Set { index, value } => {
                let item = slice::at(&mut self.items, index)?;
                *item = asked.keep(value)?;
                asked.say(&())
            }
            ArrayOp::Replace { index, value } => {
                let item = slice::at(&mut self.items, index)?;
                let value = asked.keep(value)?;
                asked.say(item)?;
                *item = value;
                Ok(())
            }
            ArrayOp::Range { start, end } => {
                let range = slice::range(self.items.len(), start, end)?;
                let range = self.items.get(range).unwrap_or_default();
                asked.say(&range.to_vec())
            }
            ArrayOp::Write { start, values } => {
                let end = start.saturating_add(values.len() as u64);
                let range = slice::range(self.items.len(), start, Some(end))?;
                let values = asked.keep_all(values)?;
                let places = self.items.get_mut(range).unwrap_or_default();
                for (item, value) in places.iter_mut().zip(values) {
                    *item = value;
                }
                asked.say(&())
            }
            ArrayOp::Fill { value } => {
                // A short request must not take more memory than a long answer could show.
                let each = value.bytes.len() + size_of_val(&*value.refs);
                let bytes = (each as u64).saturating_mul(self.items.len() as u64);
                let limit = asked.max_frame();
                if bytes > limit {
                    let what = "bytes of one array to be filled".to_owned();
                    return Err(Fault::TooMany { what, limit });
                }
                self.items.fill(asked.keep(value)?);
                asked.say(&())
            }
            ArrayOp::Swap { one, other } => {
                let one = slice::place(&self.items, one)?;
                let other = slice::place(&self.items, other)?;
                self.items.swap(one, other);
                asked.say(&())
            }
            ArrayOp::CompareAndSwap {
                index,
                expected,
                value,
            } => {
                let item = slice::at(&mut self.items, index)?;
                let value = asked.keep(value)?;
                asked.say(&slice::compare_and_swap(item, &expected, value))
            }
            ArrayOp::Change { index, change } => {
                let was = slice::change(slice::at(&mut self.items, index)?, &change)?;
                asked.say(&ByteBuf::from(was))
            }
        }
    }
}
