//! What is asked of an object of a user's own.

use serde::{Deserialize, Serialize};

use crate::manager::protocol::Packed;

/// How it is made: what its `init` holds, in front of the encoded arguments.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Making {
    pub(super) constructor: String,
}

/// What is asked of it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ManagedOp {
    /// Answered when its constructor has returned: with `None`, or with the error that it returned, encoded.
    Ready,
    /// Calls a method. Answered with what it returns, encoded.
    Call {
        method: String,
        /// Its arguments: one as it is, else a tuple.
        arguments: Packed,
    },
}
