//! Objects in a server process, used from anywhere.

mod client;
mod error;
mod managed;
mod objects;
mod protocol;
mod proxies;
mod secure;
mod server;
mod store;

pub use client::{Calling, Manager, ManagerStatus, Proxy};
pub use error::ManagerError;
pub use secure::{Address, AddressError, ConnectError, Key, KeyError, ServeError};
pub use server::{Server, ServerBuilder};

/// What the macros expand to. No part of the interface: it changes without notice.
pub(crate) mod private {
    pub use super::managed::{Managed, ManagedProxy, new, new_async, try_new, try_new_async};
}
