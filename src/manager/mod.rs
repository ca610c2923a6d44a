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

pub use error::ManagerError;
