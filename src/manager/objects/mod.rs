//! The built-in objects of a server, each a small machine of its own, and the words in which each is asked.

pub(super) mod containers;
pub(super) mod locks;
pub(super) mod pool;
pub(super) mod turns;

use super::managed;
use super::protocol::Fault;
use super::store::{Item, Kind, Object};

/// Makes an object of a kind, as `init` says in that kind's words.
pub(super) fn create(kind: Kind, type_name: &str, init: Item) -> Result<Box<dyn Object>, Fault> {
    match kind {
        Kind::List
        | Kind::Dict
        | Kind::Set
        | Kind::Queue
        | Kind::Value
        | Kind::Array
        | Kind::Namespace => containers::create(kind, init),
        Kind::Lock
        | Kind::RLock
        | Kind::Semaphore
        | Kind::BoundedSemaphore
        | Kind::Event
        | Kind::Condition
        | Kind::Barrier => locks::create(kind, &init),
        Kind::Pool => pool::create(&init),
        Kind::Managed => managed::create(type_name, init),
    }
}
