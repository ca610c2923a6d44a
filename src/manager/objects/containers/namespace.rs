//! Attributes: a value of any type for each name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::prompt::{Asked, Prompt};
use crate::manager::protocol::{Fault, Packed};
use crate::manager::store::Item;

/// The longest name of an attribute, in bytes.
const MAX_NAME: usize = 255;

/// What a namespace is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum NamespaceOp {
    Set {
        name: String,
        type_name: String,
        value: Packed,
    },
    /// Answered with the value, if there is one; it has to be of that type.
    Get {
        name: String,
        type_name: String,
    },
    /// Answered with whether there was one.
    Remove {
        name: String,
    },
    Contains {
        name: String,
    },
    /// All names, sorted.
    Names,
}

#[derive(Default)]
pub(super) struct Namespace {
    attributes: BTreeMap<String, Attribute>,
}

struct Attribute {
    type_name: String,
    item: Item,
}

impl Prompt for Namespace {
    type Op = NamespaceOp;

    fn perform(&mut self, op: NamespaceOp, asked: &mut Asked<'_, '_>) -> Result<(), Fault> {
        match op {
            NamespaceOp::Set {
                name,
                type_name,
                value,
            } => {
                check(&name)?;
                let item = asked.keep(value)?;
                self.attributes.insert(name, Attribute { type_name, item });
                asked.say(&())
            }
            NamespaceOp::Get { name, type_name } => {
                check(&name)?;
                let Some(attribute) = self.attributes.get(&name) else {
                    return asked.say(&None::<Item>);
                };
                if attribute.type_name != type_name {
                    return Err(Fault::WrongType {
                        expected: type_name,
                        found: attribute.type_name.clone(),
                    });
                }
                asked.say(&Some(attribute.item.clone()))
            }
            NamespaceOp::Remove { name } => {
                check(&name)?;
                asked.say(&self.attributes.remove(&name).is_some())
            }
            NamespaceOp::Contains { name } => {
                check(&name)?;
                asked.say(&self.attributes.contains_key(&name))
            }
            NamespaceOp::Names => {
                let names: Vec<String> = self.attributes.keys().cloned().collect();
                asked.say(&names)
            }
        }
    }
}

fn check(name: &str) -> Result<(), Fault> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(Fault::Invalid(format!(
            "the name of an attribute has 1 to {MAX_NAME} bytes, not {}",
            name.len()
        )));
    }
    if name.starts_with('_') {
        return Err(Fault::Invalid(format!("the attribute `{name}` is private")));
    }
    Ok(())
}
