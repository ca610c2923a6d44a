//! Objects that keep values: lists, dictionaries, sets, queues, single values, arrays, namespaces.
//!
//! Values are compared by their encoding, and nothing else is known of them, but for numbers, which are [changed](Change) here.
//!
//! | file | one line |
//! |--|--|
//! | `prompt` | what those have in common none of whose calls waits: all but the queue |
//! | `slice` | places in a row of values, and what can be done at one |
//! | `ordered` | keys, found by their bytes, in the order in which they were inserted |
//! | `number` | numbers added to where they lie |

mod array;
mod dict;
mod list;
mod namespace;
mod number;
mod ordered;
mod prompt;
mod queue;
mod set;
mod slice;
mod value;

use serde::de::DeserializeOwned;

pub(crate) use self::array::ArrayOp;
pub(crate) use self::dict::DictOp;
pub(crate) use self::list::ListOp;
pub(crate) use self::namespace::NamespaceOp;
pub(crate) use self::number::{Arithmetic, Change, Number};
pub(crate) use self::queue::{Got, Put, QueueOp, QueueState};
pub(crate) use self::set::SetOp;
pub(crate) use self::value::ValueOp;
use crate::manager::protocol::{Fault, Packed};
use crate::manager::store::{Item, Kind, Object};
use crate::wire;

/// Makes one of them.
///
/// | kind | begins with |
/// |--|--|
/// | list, set, array | a `Vec<Packed>` |
/// | dictionary | a `Vec<(Packed, Packed)>` |
/// | queue | an `Option<u64>`: how many items it may hold |
/// | value | the value itself |
/// | namespace | `()` |
pub(super) fn create(kind: Kind, init: Item) -> Result<Box<dyn Object>, Fault> {
    Ok(match kind {
        Kind::List => prompt::object(list::List::new(values(&init)?)),
        Kind::Dict => {
            let parts = init.parts();
            let entries = decode::<Vec<(Packed, Packed)>>(&init)?.into_iter();
            let entries = entries.map(|(key, value)| Ok((parts.keep(key)?, parts.keep(value)?)));
            prompt::object(dict::Dict::new(entries.collect::<Result<_, Fault>>()?))
        }
        Kind::Set => prompt::object(set::Set::new(values(&init)?)),
        Kind::Queue => Box::new(queue::Queue::new(decode(&init)?)?),
        Kind::Value => prompt::object(value::Value::new(init)),
        Kind::Array => prompt::object(array::Array::new(values(&init)?)),
        Kind::Namespace => {
            decode::<()>(&init)?;
            prompt::object(namespace::Namespace::default())
        }
        other => return Err(Fault::NoType(format!("{other:?}"))),
    })
}

fn decode<T: DeserializeOwned + 'static>(init: &Item) -> Result<T, Fault> {
    wire::decode(&init.bytes).map_err(|error| Fault::NotUnderstood(error.into_message()))
}

fn values(init: &Item) -> Result<Vec<Item>, Fault> {
    let parts = init.parts();
    let values = decode::<Vec<Packed>>(init)?.into_iter();
    values.map(|value| parts.keep(value)).collect()
}

#[cfg(test)]
mod tests;
