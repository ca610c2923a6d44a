//! Objects in a server process, used from anywhere.
//!
#![doc = include_str!("../../docs/managers.md")]

mod client;
mod error;
mod managed;
mod objects;
mod protocol;
mod proxies;
mod secure;
mod server;
mod store;

pub use client::{Calling, Manager, ManagerBuilder, ManagerStatus, Proxy};
pub use error::ManagerError;
pub use proxies::containers::{
    ArrayProxy, DictProxy, Entry, GetError, ListProxy, Members, NamespaceProxy, Number, PutError,
    Putting, QueueIter, QueueProxy, SetProxy, TaskDoneError, ValueProxy,
};
pub use proxies::locks::{
    Attempt, BarrierError, BarrierProxy, BoundedSemaphoreProxy, ConditionGuard, ConditionProxy,
    EventProxy, LockError, LockGuard, LockProxy, Locking, Permit, RLockGuard, RLockProxy,
    ReleaseError, SemaphoreProxy,
};
pub use proxies::pool::{PoolMap, PoolProxy};
pub use secure::{Address, AddressError, ConnectError, Key, KeyError, ServeError};
pub use server::{Server, ServerBuilder};

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    pub(crate) use super::secure::fuzz::fuzz as handshake;
    #[cfg(test)]
    pub(crate) use super::secure::fuzz::seeds as handshake_seeds;
    pub(crate) use super::server::fuzz::fuzz as requests;
    #[cfg(test)]
    pub(crate) use super::server::fuzz::seeds as request_seeds;
}

/// What the macros expand to. No part of the interface: it changes without notice.
pub(crate) mod private {
    pub use super::managed::{Managed, ManagedProxy, new, new_async, try_new, try_new_async};
}
