//! Connections between processes: [`pipe::<T>()`](fn@pipe) makes the two ends of one, and values of `T` are sent
//! and received through them.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (one, other) = procession::pipe::<Vec<String>>()?;
//! one.send(&vec!["a".into(), "b".into()])?;
//! assert_eq!(other.recv()?.len(), 2);
//!
//! drop(one);
//! assert!(matches!(other.recv(), Err(procession::pipe::RecvError::Closed)));
//! # Ok(())
//! # }
//! ```
//!
//! [`duplex::<A, B>()`](duplex) has a type for each direction, and [`one_way`] has one direction. Raw bytes go beside
//! values. [`wait`](wait()) waits for several connections, and [`wait_async`] awaits them. Everything can be awaited, too. This is Python's
//! [`multiprocessing.Pipe`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Pipe) and
//! [`Connection`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.connection.Connection), with types.
//!
//! # Ends travel
//!
//! A [`Connection`] is a serde value: an argument or result of a task, or a message (or part of one) of another
//! connection. What arrives is a copy. The one that was sent stays open until it is dropped, and as long as it is
//! open, the other end is not told that nobody is there: drop it when it has been sent.
//!
//! ```
//! use procession::pipe::{self, Sender};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (here, there) = pipe::duplex::<Sender<String>, ()>()?;
//! let (sender, receiver) = pipe::one_way()?;
//! here.send(&sender)?;
//! drop(sender);
//!
//! let sender = there.recv()?;
//! sender.send(&"through both".into())?;
//! assert_eq!(receiver.recv()?, "through both");
//! # Ok(())
//! # }
//! ```
//!
//! Files and sockets travel as a [`Descriptor`](crate::Descriptor).
//!
//! Nothing is read ahead, so no message is left behind in a process when its end goes elsewhere. Only an end at which a message
//! longer than 64 KiB has come in part (a `recv_timeout` gave up, say) refuses to travel until that was
//! received.
//!
//! # Several processes at one end
//!
//! Copies of one end can be used at the same time, in whatever threads and processes. What is sent by several
//! is whole, and in order for each sender. What is received by several goes to one of them each, whole, as long as
//! messages are no longer than 64 KiB. Of a longer one, of which the system hands out 64 KiB at a time, others may take a
//! part: that is found out, and is [`RecvError::Torn`]. So of those who receive long messages there should be one.
//!
//! A sender that is killed leaves at most its own message unfinished, of which nothing is received: the others go on.
//!
//! # What it costs
//!
//! One descriptor for each end. Short messages are one system call on each side, and one copy into the system and one out
//! of it. An idle connection takes no memory besides, and wakes nobody. Each
//! thread that receives has 64 KiB for that.

mod assembler;
mod connection;
mod end;
mod error;
mod messages;
mod open;
mod packet;
pub(crate) mod reactor;
mod receiving;
mod sending;
mod travel;
mod turn;
pub(crate) mod wait;
mod waiting;

#[cfg(any(test, fuzzing))]
mod fuzz;
#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz;

#[cfg(all(test, not(loom)))]
mod tests;

pub use connection::Connection;

pub use error::{RecvError, SendError};
pub use messages::Messages;
pub use open::{Nothing, Receiver, Sender, duplex, one_way, pipe};
pub use receiving::Receiving;
pub use sending::Sending;
pub use wait::{Waitable, wait};
pub use waiting::{WaitAsync, wait_async};
