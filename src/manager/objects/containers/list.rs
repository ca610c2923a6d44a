//! A list.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::Change;
use super::prompt::{Asked, Prompt};
use super::slice;
use crate::manager::protocol::{Fault, Packed};
use crate::manager::store::Item;

/// What a list is asked. A value that is only looked for is given by its bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ListOp {
    /// All after the last.
    Extend {
        values: Vec<Packed>,
    },
    /// Before what is at this index, or after the last.
    Insert {
        index: u64,
        value: Packed,
    },
    /// Answered with the last, if there is one.
    Pop,
    /// Answered with what was there.
    Remove {
        index: u64,
    },
    /// The same, and the last one takes its place.
    SwapRemove {
        index: u64,
    },
    /// Answered with what is there, if anything is.
    Get {
        index: u64,
    },
    /// Answered with what is there, which something has to be.
    At {
        index: u64,
    },
    /// Answered with the last, if there is one.
    Last,
    Set {
        index: u64,
        value: Packed,
    },
    /// Answered with what was there.
    Replace {
        index: u64,
        value: Packed,
    },
    Len,
    Truncate {
        len: u64,
    },
    Reverse,
    Swap {
        one: u64,
        other: u64,
    },
    Range {
        start: u64,
        end: Option<u64>,
    },
    /// Others in the place of a range, which is the answer.
    Splice {
        start: u64,
        end: Option<u64>,
        values: Vec<Packed>,
    },
    /// Everything, which then is not there any more.
    Drain,
    /// Answered with the first index of a value, if there is one.
    Find {
        value: ByteBuf,
    },
    /// How many there are of a value.
    Count {
        value: ByteBuf,
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
    /// Everything, and which version of it that is.
    Snapshot,
    /// Others in the place of all, if this is still the version. Answered with whether it was.
    Restore {
        version: u64,
        values: Vec<Packed>,
    },
    /// Those at these indices in their order, and no others, if this is still the version. Answered with whether it was.
    Arrange {
        version: u64,
        order: Vec<u64>,
    },
}

pub(super) struct List {
    items: Vec<Item>,
    /// Another one after each change.
    version: u64,
}

impl List {
    pub(super) fn new(items: Vec<Item>) -> Self {
        Self { items, version: 0 }
    }

    fn change(&mut self) -> &mut Vec<Item> {
        self.version = self.version.wrapping_add(1);
        &mut self.items
    }

    fn arrange(&mut self, order: &[u64]) -> Result<(), Fault> {
        let mut taken = vec![false; self.items.len()];
        for index in order {
            let place = slice::place(&self.items, *index)?;
            if let Some(taken) = taken.get_mut(place) {
                if *taken {
                    return Err(Fault::Invalid(format!("index {index} is there twice")));
                }
                *taken = true;
            }
        }
        let mut items: Vec<Option<Item>> = self.change().drain(..).map(Some).collect();
        let taken = order.iter().filter_map(|index| {
            let place = usize::try_from(*index).ok()?;
            items.get_mut(place)?.take()
        });
        self.items = taken.collect();
        Ok(())
    }
}

impl Prompt for List {
    type Op = ListOp;

    fn perform(&mut self, op: ListOp, asked: &mut Asked<'_, '_>) -> Result<(), Fault> {
        match op {
            ListOp::Extend { values } => {
                let values = asked.keep_all(values)?;
                self.change().extend(values);
                asked.say(&())
            }
            ListOp::Insert { index, value } => {
                let place = slice::range(self.items.len(), index, None)?.start;
                let value = asked.keep(value)?;
                self.change().insert(place, value);
                asked.say(&())
            }
            ListOp::Pop => {
                let last = self.change().pop();
                let said = asked.say(&last);
                if said.is_err() {
                    self.items.extend(last);
                }
                said
            }
            ListOp::Remove { index } => {
                let place = slice::place(&self.items, index)?;
                let removed = self.change().remove(place);
                let said = asked.say(&removed);
                if said.is_err() {
                    self.items.insert(place, removed);
                }
                said
            }
            ListOp::SwapRemove { index } => {
                let place = slice::place(&self.items, index)?;
                asked.say(slice::at(&mut self.items, index)?)?;
                self.change().swap_remove(place);
                Ok(())
            }
            ListOp::Get { index } => match slice::at(&mut self.items, index) {
                Ok(item) => asked.say(&Some(item.clone())),
                Err(_) => asked.say(&None::<Item>),
            },
            ListOp::At { index } => asked.say(slice::at(&mut self.items, index)?),
            ListOp::Last => asked.say(&self.items.last().cloned()),
            ListOp::Set { index, value } => {
                slice::place(&self.items, index)?;
                let value = asked.keep(value)?;
                *slice::at(self.change(), index)? = value;
                asked.say(&())
            }
            ListOp::Replace { index, value } => {
                let value = asked.keep(value)?;
                asked.say(slice::at(&mut self.items, index)?)?;
                *slice::at(self.change(), index)? = value;
                Ok(())
            }
            ListOp::Len => asked.say(&(self.items.len() as u64)),
            ListOp::Truncate { len } => {
                // A length beyond what can be is longer than what is there.
                self.change()
                    .truncate(usize::try_from(len).unwrap_or(usize::MAX));
                asked.say(&())
            }
            ListOp::Reverse => {
                self.change().reverse();
                asked.say(&())
            }
            ListOp::Swap { one, other } => {
                let one = slice::place(&self.items, one)?;
                let other = slice::place(&self.items, other)?;
                self.change().swap(one, other);
                asked.say(&())
            }
            ListOp::Range { start, end } => {
                let range = slice::range(self.items.len(), start, end)?;
                let range = self.items.get(range).unwrap_or_default();
                asked.say(&range.to_vec())
            }
            ListOp::Splice { start, end, values } => {
                let range = slice::range(self.items.len(), start, end)?;
                let values = asked.keep_all(values)?;
                let put = range.start..range.start + values.len();
                let removed: Vec<Item> = self.change().splice(range, values).collect();
                let said = asked.say(&removed);
                if said.is_err() {
                    drop(self.items.splice(put, removed));
                }
                said
            }
            ListOp::Drain => {
                asked.say(&self.items)?;
                self.change().clear();
                Ok(())
            }
            ListOp::Find { value } => {
                let found = self.items.iter().position(|item| item.bytes == *value);
                asked.say(&found.map(|place| place as u64))
            }
            ListOp::Count { value } => {
                let equal = self.items.iter().filter(|item| item.bytes == *value);
                asked.say(&(equal.count() as u64))
            }
            ListOp::CompareAndSwap {
                index,
                expected,
                value,
            } => {
                slice::place(&self.items, index)?;
                let value = asked.keep(value)?;
                let item = slice::at(self.change(), index)?;
                let swapped = slice::compare_and_swap(item, &expected, value);
                asked.say(&swapped)
            }
            ListOp::Change { index, change } => {
                slice::place(&self.items, index)?;
                let was = slice::change(slice::at(self.change(), index)?, &change)?;
                asked.say(&ByteBuf::from(was))
            }
            ListOp::Snapshot => asked.say(&Snapshot {
                version: self.version,
                items: self.items.clone(),
            }),
            ListOp::Restore { version, values } => {
                let is_same = version == self.version;
                if is_same {
                    *self.change() = asked.keep_all(values)?;
                }
                asked.say(&is_same)
            }
            ListOp::Arrange { version, order } => {
                let is_same = version == self.version;
                if is_same {
                    self.arrange(&order)?;
                }
                asked.say(&is_same)
            }
        }
    }
}

/// A pair of a version and values, as clients read it.
#[derive(Serialize)]
struct Snapshot {
    version: u64,
    items: Vec<Item>,
}
