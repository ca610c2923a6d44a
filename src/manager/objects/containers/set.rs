//! A set.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::ordered::Ordered;
use super::prompt::{Asked, Prompt};
use crate::manager::protocol::{Fault, Packed};
use crate::manager::store::Item;

/// What a set is asked. A value that is only looked for is given by its bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum SetOp {
    /// Answered with whether it was not there.
    Insert {
        value: Packed,
    },
    /// Answered with how many were not there.
    Extend {
        values: Vec<Packed>,
    },
    /// Answered with whether it was there.
    Remove {
        value: ByteBuf,
    },
    Contains {
        value: ByteBuf,
    },
    /// Answered with whether all of them are there.
    ContainsAll {
        values: Vec<ByteBuf>,
    },
    /// Answered with the one that was inserted first, if there is one.
    Pop,
    Len,
    Clear,
    All,
    /// Everything, which then is not there any more.
    Drain,
}

pub(super) struct Set {
    items: Ordered<()>,
}

impl Set {
    pub(super) fn new(items: Vec<Item>) -> Self {
        let mut set = Self {
            items: Ordered::default(),
        };
        set.extend(items);
        set
    }

    fn extend(&mut self, items: Vec<Item>) -> u64 {
        let before = self.items.len();
        for item in items {
            self.items.insert(item, ());
        }
        (self.items.len() - before) as u64
    }

    fn all(&self) -> Vec<Item> {
        self.items.iter().map(|(item, ())| item.clone()).collect()
    }
}

impl Prompt for Set {
    type Op = SetOp;

    fn perform(&mut self, op: SetOp, asked: &mut Asked<'_, '_>) -> Result<(), Fault> {
        match op {
            SetOp::Insert { value } => {
                let is_new = self.items.insert(asked.keep(value)?, ()).is_none();
                asked.say(&is_new)
            }
            SetOp::Extend { values } => {
                let values = asked.keep_all(values)?;
                asked.say(&self.extend(values))
            }
            SetOp::Remove { value } => asked.say(&self.items.remove(&value).is_some()),
            SetOp::Contains { value } => asked.say(&self.items.contains(&value)),
            SetOp::ContainsAll { values } => {
                asked.say(&values.iter().all(|value| self.items.contains(value)))
            }
            SetOp::Pop => {
                let first = self.items.first().map(|(item, ())| item.clone());
                asked.say(&first)?;
                if let Some(first) = first {
                    self.items.remove(&first.bytes);
                }
                Ok(())
            }
            SetOp::Len => asked.say(&(self.items.len() as u64)),
            SetOp::Clear => {
                self.items = Ordered::default();
                asked.say(&())
            }
            SetOp::All => asked.say(&self.all()),
            SetOp::Drain => {
                asked.say(&self.all())?;
                self.items = Ordered::default();
                Ok(())
            }
        }
    }
}
