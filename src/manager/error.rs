//! What a call to a manager can say.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::protocol::Fault;
use crate::error::explain;

/// A call of a manager, or of a proxy, has no result.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The server is gone, or cannot be reached any more: every proxy of this connection says so from now on.
    #[error("the manager at {address} is lost")]
    Lost {
        /// Where it was.
        address: Arc<str>,
        /// What the system said, where it said anything.
        #[source]
        source: Option<Arc<io::Error>>,
    },
    /// The object is not there any more.
    #[error("the object is not in the manager any more")]
    NoObject,
    /// The object, or the type, or the name, does not do what was asked of it.
    #[error("{0}")]
    Refused(String),
    /// The call was cancelled, or its time was up.
    #[error("the call was not answered in its time")]
    TimedOut,
    /// A method panicked. The object can still be used.
    #[error("`{method}` panicked in the manager: {message}")]
    Panicked {
        /// The method.
        method: String,
        /// What it said.
        message: String,
    },
    /// An index, or a range, that is not within what is there.
    #[error("there is no {index} where there are {len}")]
    OutOfRange {
        /// What was asked for.
        index: u64,
        /// How many there are.
        len: u64,
    },
    /// A number got too large, or too small, for its type. It is as it was.
    #[error("the number does not fit its type any more")]
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

impl fmt::Debug for ManagerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        explain(self, f)
    }
}

impl From<Fault> for ManagerError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Cancelled => Self::TimedOut,
            Fault::NoObject => Self::NoObject,
            Fault::Panicked { method, message } => Self::Panicked { method, message },
            Fault::OutOfRange { index, len } => Self::OutOfRange { index, len },
            Fault::Overflow => Self::Overflow,
            other => Self::Refused(other.to_string()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the call was cancelled"),
            Self::NoObject => f.write_str("the object is not in the manager any more"),
            Self::NotUnderstood(what) => write!(f, "the request was not understood: {what}"),
            Self::NoName(name) => write!(f, "nothing is published as {name:?}"),
            Self::NameTaken(name) => write!(f, "another object is published as {name:?}"),
            Self::WrongType { expected, found } => {
                write!(f, "the object is a {found}, not a {expected}")
            }
            Self::NoType(name) => write!(f, "no type `{name}` is registered in the manager"),
            Self::NoMethod { type_name, method } => {
                write!(f, "`{type_name}` shows no method `{method}`")
            }
            Self::Panicked { method, message } => write!(f, "`{method}` panicked: {message}"),
            Self::OutOfRange { index, len } => {
                write!(f, "there is no {index} where there are {len}")
            }
            Self::Overflow => f.write_str("the number does not fit its type any more"),
            Self::NotHeld => f.write_str("the caller does not hold what it gives back"),
            Self::Invalid(what) => f.write_str(what),
            Self::TooLong { len, max_frame } => {
                write!(f, "an answer of {len} bytes where {max_frame} are allowed")
            }
            Self::TooMany { what, limit } => write!(f, "more {what} than {limit}"),
            Self::Failed(what) => f.write_str(what),
        }
    }
}
