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

pub use client::{Calling, Manager};
pub use error::ManagerError;

/// What the macros expand to. No part of the interface: it changes without notice.
pub(crate) mod private {
    pub use super::managed::{Managed, ManagedProxy, new, new_async, try_new, try_new_async};
}
