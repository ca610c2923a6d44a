//! The client's half: one connection to a server, shared by all threads and tasks of a process.

mod calling;
mod manager;
mod proxy;
mod remote;

pub use calling::Calling;
pub use manager::Manager;
pub use proxy::Proxy;
pub use remote::Remote;
pub(crate) use remote::unpack;
