//! The client's half: one connection to a server, shared by all threads and tasks of a process.

mod calling;
mod remote;

pub use calling::Calling;
pub(crate) use remote::{Remote, unpack};
