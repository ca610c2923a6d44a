//! A dictionary.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::Change;
use super::ordered::Ordered;
use super::prompt::{Asked, Prompt};
use super::slice;
use crate::manager::protocol::{Fault, Packed};
use crate::manager::store::Item;

/// What a dictionary is asked. A key that is only looked for is given by its bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum DictOp {
    /// Answered with the value that was there, if there was one.
    Insert {
        key: Packed,
        value: Packed,
    },
    Extend {
        entries: Vec<(Packed, Packed)>,
    },
    /// Answered with the value that is there by now.
    GetOrInsert {
        key: Packed,
        value: Packed,
    },
    Get {
        key: ByteBuf,
    },
    Contains {
        key: ByteBuf,
    },
    /// Answered with the value that was there, if there was one.
    Remove {
        key: ByteBuf,
    },
    /// Answered with the entry that was inserted first, if there is one.
    PopFirst,
    /// The same of the one that was inserted last.
    PopLast,
    Len,
    Clear,
    Keys,
    Values,
    Items,
    /// Everything, which then is not there any more.
    Drain,
    /// `None` is no value. Answered with whether the expected one was there.
    CompareAndSwap {
        key: Packed,
        expected: Option<ByteBuf>,
        value: Option<Packed>,
    },
    /// Answered with the number that was there, encoded; 0 if there was none.
    Change {
        key: Packed,
        change: Change,
    },
    /// Undoes that they were taken out: those whose keys are not there by now. Answered with nothing.
    GiveBack {
        entries: Vec<(Packed, Packed)>,
    },
}

pub(super) struct Dict {
    entries: Ordered<Item>,
}

impl Dict {
    pub(super) fn new(entries: Vec<(Item, Item)>) -> Self {
        let mut dict = Self {
            entries: Ordered::default(),
        };
        dict.extend(entries);
        dict
    }

    fn extend(&mut self, entries: Vec<(Item, Item)>) {
        for (key, value) in entries {
            self.entries.insert(key, value);
        }
    }

    fn items(&self) -> Vec<(Item, Item)> {
        let entries = self.entries.iter();
        entries
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    fn pop(&mut self, entry: Option<(Item, Item)>, asked: &mut Asked<'_, '_>) -> Result<(), Fault> {
        asked.say(&entry)?;
        if let Some((key, _)) = entry {
            self.entries.remove(&key.bytes);
        }
        Ok(())
    }
}

impl Prompt for Dict {
    type Op = DictOp;

    fn perform(&mut self, op: DictOp, asked: &mut Asked<'_, '_>) -> Result<(), Fault> {
        match op {
            DictOp::Insert { key, value } => {
                let (key, value) = (asked.keep(key)?, asked.keep(value)?);
                asked.say(&self.entries.get(&key.bytes).cloned())?;
                self.entries.insert(key, value);
                Ok(())
            }
            DictOp::Extend { entries } => {
                let entries = entries.into_iter();
                let entries =
                    entries.map(|(key, value)| Ok((asked.keep(key)?, asked.keep(value)?)));
                let entries: Result<_, Fault> = entries.collect();
                self.extend(entries?);
                asked.say(&())
            }
            DictOp::GiveBack { entries } => {
                for (key, value) in entries {
                    if !self.entries.contains(&key.bytes) {
                        let (key, value) = (asked.keep(key)?, asked.keep(value)?);
                        self.entries.insert(key, value);
                    }
                }
                asked.say(&())
            }
            DictOp::GetOrInsert { key, value } => {
                if let Some(known) = self.entries.get(&key.bytes) {
                    return asked.say(known);
                }
                let (key, value) = (asked.keep(key)?, asked.keep(value)?);
                asked.say(&value)?;
                self.entries.insert(key, value);
                Ok(())
            }
            DictOp::Get { key } => asked.say(&self.entries.get(&key).cloned()),
            DictOp::Contains { key } => asked.say(&self.entries.contains(&key)),
            DictOp::Remove { key } => {
                asked.say(&self.entries.get(&key).cloned())?;
                self.entries.remove(&key);
                Ok(())
            }
            DictOp::PopFirst => {
                let first = self.entries.first();
                let first = first.map(|(key, value)| (key.clone(), value.clone()));
                self.pop(first, asked)
            }
            DictOp::PopLast => {
                let last = self.entries.last();
                let last = last.map(|(key, value)| (key.clone(), value.clone()));
                self.pop(last, asked)
            }
            DictOp::Len => asked.say(&(self.entries.len() as u64)),
            DictOp::Clear => {
                self.entries = Ordered::default();
                asked.say(&())
            }
            DictOp::Keys => {
                let keys = self.entries.iter().map(|(key, _)| key.clone());
                asked.say(&keys.collect::<Vec<_>>())
            }
            DictOp::Values => {
                let values = self.entries.iter().map(|(_, value)| value.clone());
                asked.say(&values.collect::<Vec<_>>())
            }
            DictOp::Items => asked.say(&self.items()),
            DictOp::Drain => {
                asked.say(&self.items())?;
                self.entries = Ordered::default();
                Ok(())
            }
            DictOp::CompareAndSwap {
                key,
                expected,
                value,
            } => {
                let held = self.entries.get(&key.bytes).map(|held| &*held.bytes);
                let is_expected = held == expected.as_ref().map(|expected| &***expected);
                if is_expected {
                    match value {
                        Some(value) => {
                            let (key, value) = (asked.keep(key)?, asked.keep(value)?);
                            self.entries.insert(key, value);
                        }
                        None => drop(self.entries.remove(&key.bytes)),
                    }
                }
                asked.say(&is_expected)
            }
            DictOp::Change { key, change } => {
                let was = match self.entries.get_mut(&key.bytes) {
                    Some(held) => slice::change(held, &change)?,
                    None => {
                        let zero = change.zero()?;
                        let bytes = change.of(&zero)?;
                        let refs = Vec::new();
                        let value = asked.keep(Packed { bytes, refs })?;
                        self.entries.insert(asked.keep(key)?, value);
                        zero
                    }
                };
                asked.say(&ByteBuf::from(was))
            }
        }
    }
}
