//! The built-in objects of a server, each a small machine of its own, and the words in which each is asked.

use super::managed;
use super::protocol::Fault;
use super::store::{Item, Kind, Object};

/// Makes an object of a kind, as `init` says in that kind's words.
pub(super) fn create(kind: Kind, type_name: &str, init: Item) -> Result<Box<dyn Object>, Fault> {
    match kind {
        Kind::Managed => managed::create(type_name, init),
        _ => Err(Fault::NoType(type_name.to_owned())),
    }
}
