//! Who is there, and who may come in: addresses, keys, the handshake; and the authenticated stream that it leaves.
//!
//! | file | one line |
//! |--|--|
//! | `key`, `address` | what a client has to know |
//! | `error` | why it is not let in, or there is no server |
//! | `negotiation` | how a key is proved, as the server sees it |
//! | `connect` | the same, as the client does it |
//! | `pace` | how that waits: by its thread, or by a task |
//! | `listen` | where clients come in |
//! | `socket_file` | the file that a Unix socket is, and the lock beside it |
//! | `cipher`, `noise`, `sealed` | encryption, over a network |
//! | `line` | the stream, when all that is done |

mod address;
mod cipher;
mod connect;
mod error;
mod key;
mod line;
mod listen;
mod negotiation;
#[cfg(feature = "network")]
mod noise;
mod pace;
#[cfg(feature = "network")]
mod sealed;
mod socket_file;

pub use self::address::{Address, AddressError};
#[cfg(all(test, not(loom)))]
pub(crate) use self::connect::connect_blocking;
pub(crate) use self::connect::{CONNECT_TIME, connect};
pub use self::error::{ConnectError, ServeError};
pub(crate) use self::key::TravellingKey;
pub use self::key::{Key, KeyError};
pub(crate) use self::line::{Incoming, Line, Outgoing};
pub(crate) use self::listen::{Guest, Listener, Progress, Visit, listen};
pub(crate) use self::pace::{Pace, at_once, within};
pub(crate) use self::socket_file::remove_left_over;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(all(test, not(loom)))]
mod tests;
