//! What a call to a manager can say.

use std::io;
use std::sync::Arc;

use super::protocol::Fault;
use super::secure::{ConnectError, ServeError};
use crate::error::explained;

/// A call of a manager, or of a proxy, has no result.
///
/// # What every call can say
///
/// | | |
/// |--|--|
/// | [`Lost`](Self::Lost) | the server is gone |
/// | [`Connect`](Self::Connect) | a proxy came from another process, this is its manager's first call here, and the server does not let this process in |
/// | [`NoObject`](Self::NoObject) | the object is gone although there is a proxy: its constructor has failed, or the connection that kept it on its way was cut |
/// | [`NotEncoded`](Self::NotEncoded) | an argument does not encode (nothing was sent), or the answer is none of the proxy's type |
/// | [`TooLong`](Self::TooLong) | the request, or the answer, is longer than `max_frame` |
/// | [`TooMany`](Self::TooMany) | 65,536 calls of this process wait at this manager; or, in a method of a managed type, 1024 such methods wait for their own manager |
/// | [`Circle`](Self::Circle) | a method of a managed type calls an object that waits for it |
/// | [`NotAwaited`](Self::NotAwaited) | it is awaited, and the system has no descriptor or thread for that |
/// | [`Forked`](Self::Forked) | this process is a fork of the one that has the connection |
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The server is gone, was never there, or cannot be reached any more: every proxy of this connection says so from now on, also if there is another one
    /// at its address; [connect](super::Manager::connect) to that. What was asked last may have been done, or not.
    #[error("no manager answers at {address}")]
    Lost {
        /// Where it was.
        address: Arc<str>,
        /// What the system said, where it said anything.
        #[source]
        source: Option<Arc<io::Error>>,
    },
    /// There is no connection to the manager.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server has not been started.
    #[error("the manager was not started")]
    NotStarted(#[source] ServeError),
    /// The object is not there any more.
    #[error("the object is not in the manager any more")]
    NoObject,
    /// Nothing is published under this name.
    #[error("nothing is published as {name:?} in the manager")]
    NoName {
        /// The name.
        name: String,
    },
    /// Another object is published under this name.
    #[error("another object is published as {name:?} in the manager")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// An object is of another type than it is taken for.
    #[error("the object in the manager is a {found}, not a {expected}")]
    WrongType {
        /// What it is taken for.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The program that runs the manager has not registered a type: it is another program than this one, and has no `#[procession::managed]` for a type of this
    /// name; or the linker has left out the library that has it, since nothing there names anything of that.
    #[error(
        "no type `{type_name}` is registered in the program that runs the manager (if it lives in a library crate that nothing else there names, link it \
         with `use that_crate as _;`)"
    )]
    NoType {
        /// The type.
        type_name: String,
    },
    /// A type of a user's has no such method, or does not show it: the program that runs the manager is another build.
    #[error("`{type_name}` in the manager shows no method `{method}`")]
    NoMethod {
        /// The type.
        type_name: String,
        /// The method.
        method: String,
    },
    /// A proxy of one manager was given to another one.
    #[error("the proxy is of another manager, at {address}")]
    OtherManager {
        /// Where that one is.
        address: String,
    },
    /// What is given back is not the caller's.
    #[error("the caller does not hold what it gives back")]
    NotHeld,
    /// A request, or its answer, is longer than the manager's `max_frame`. Nothing has happened to the connection.
    #[error(
        "a request or an answer of {len} bytes, where the `max_frame` of the manager is {max_frame}"
    )]
    TooLong {
        /// How long it is, in bytes.
        len: u64,
        /// How long it may be.
        max_frame: u64,
    },
    /// More than are allowed, of what is named.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: String,
        /// How many there may be.
        limit: u64,
    },
    /// A method of a type of the user's would wait for a call of an object which cannot begin: the object runs a method of `&mut self` that waits, directly or through
    /// others, for this very method. The call has been cancelled.
    #[error("the call would wait for ever: its object waits for the method that makes it")]
    Circle,
    /// The manager refused, or could not do, what was asked of it; what it says.
    #[error("{0}")]
    Refused(String),
    /// The call cannot be awaited: there is no descriptor, or no thread, for what wakes tasks. It has been cancelled.
    #[error("the call cannot be awaited")]
    NotAwaited {
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The call was cancelled, or its time was up.
    #[error("the time was over before the call was answered")]
    TimedOut,
    /// A method panicked. The object can still be used.
    #[error("`{method}` panicked in the manager: {message}")]
    Panicked {
        /// The method.
        method: String,
        /// What it said.
        message: String,
        /// Where, as `file:line:column`; in a manager that [`Manager::start`](super::Manager::start) or a [`Process`](crate::Process) has made.
        location: Option<String>,
        /// How it came there; the same, unless `RUST_BACKTRACE` is 0.
        backtrace: Option<String>,
    },
    /// An index, or a range, that is not within what is there.
    #[error("{index} is out of range: there are {len}")]
    OutOfRange {
        /// What was asked for.
        index: u64,
        /// How many there are.
        len: u64,
    },
    /// A number got too large, or too small, for its type. It is as it was.
    #[error("the number would not fit its type any more; it is as it was")]
    Overflow,
    /// A value does not encode, or an answer does not decode.
    #[error("a value of type `{type_name}` does not travel: {message}")]
    NotEncoded {
        /// The type.
        type_name: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// This process was forked off from the one that has the connection.
    #[error(
        "the connection to the manager belongs to the process that this one was forked off from"
    )]
    Forked,
}

explained!(ManagerError);

impl ManagerError {
    pub(crate) fn not_awaited(error: io::Error) -> Self {
        Self::NotAwaited {
            source: Arc::new(error),
        }
    }
}

impl From<Fault> for ManagerError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Cancelled => Self::TimedOut,
            Fault::NoObject => Self::NoObject,
            Fault::NoName(name) => Self::NoName { name },
            Fault::NameTaken(name) => Self::NameTaken { name },
            Fault::WrongType { expected, found } => Self::WrongType { expected, found },
            Fault::NoType(type_name) => Self::NoType { type_name },
            Fault::NoMethod { type_name, method } => Self::NoMethod { type_name, method },
            Fault::Panicked {
                method,
                message,
                at,
            } => Self::Panicked {
                method,
                message,
                location: at.location,
                backtrace: at.backtrace,
            },
            Fault::OutOfRange { index, len } => Self::OutOfRange { index, len },
            Fault::Overflow => Self::Overflow,
            Fault::NotHeld => Self::NotHeld,
            Fault::TooLong { len, max_frame } => Self::TooLong { len, max_frame },
            Fault::TooMany { what, limit } => Self::TooMany { what, limit },
            Fault::NotUnderstood(what) => {
                Self::Refused(format!("the request was not understood: {what}"))
            }
            Fault::Invalid(what) | Fault::Failed(what) => Self::Refused(what),
        }
    }
}
