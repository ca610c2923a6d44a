//! The client's half: one connection to a server, shared by all threads and tasks of a process.

mod calling;
mod remote;
mod skeleton;

pub use calling::Calling;
pub(crate) use remote::{Remote, unpack};
pub use skeleton::Manager;
pub(crate) use skeleton::Proxy;
