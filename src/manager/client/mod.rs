//! The client's half: one connection to a server, shared by all threads and tasks of a process.
//!
//! | file | one line |
//! |--|--|
//! | `manager` | [`Manager`]: what users hold of a server |
//! | `builder` | how a server's process is started |
//! | `owner` | who has started one |
//! | `proxy` | [`Proxy`]: what all proxies have in common |
//! | `calling` | [`Calling`]: one call, until it is answered |
//! | `remote` | [`Remote`]: an object, below every proxy |
//! | `travel` | objects as serde values |
//! | `scope` | what a value may refer to while it is packed or unpacked |
//! | `inside` | users' values within a server |
//! | `site` | a server, as this process knows it; counts what has been granted |
//! | `connection` | how requests get out and answers come in |
//! | `calls` | which calls are on their way, and who reads their answers: the protocol, without a socket |
//! | `room` | calls that wait to be sent |
//! | `waits` | threads of a server that wait for it themselves |
//! | `greeting` | what is said on a new connection |

mod builder;
mod calling;
mod calls;
mod connection;
mod greeting;
mod inside;
mod manager;
mod owner;
mod proxy;
mod remote;
mod room;
mod scope;
mod site;
mod travel;
mod waits;
#[cfg(all(test, not(loom)))]
mod tests;

pub use builder::ManagerBuilder;
pub use calling::Calling;
pub use manager::{Manager, ManagerStatus};
pub use proxy::Proxy;
#[allow(unreachable_pub, reason = "`Proxy` names it; nothing outside can")]
pub use remote::Remote;
pub(crate) use scope::{granted, lend_by, unpack};
pub(crate) use travel::standing_in;
pub(crate) use waits::{CallName, Watcher, watched_by};
