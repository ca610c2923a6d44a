//! What a client and a pool say to each other.

use serde::{Deserialize, Serialize, Serializer};

use super::Failure;
use crate::executor::Shutdown;
use crate::future::RawFuture;
use crate::manager::protocol::Packed;
use crate::manager::store::{ItemRef, Refs};

/// What is asked of a pool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PoolOp {
    /// Answered with [`Ended`], when the task has.
    Submit {
        /// What the client calls it in [`Cancel`](Self::Cancel) and the like; not used again in this session.
        task: u64,
        function: String,
        /// `(arguments) -> result`, as the client knows it.
        signature: String,
        /// Encoded, and the objects that they have proxies of.
        arguments: Packed,
    },
    /// Ends a task that has not begun. Answered with whether it is cancelled.
    Cancel { task: u64 },
    /// Ends a task, whatever that takes. Answered with [`Found`].
    Kill { task: u64 },
    /// Whether a task has begun and not ended: answered with a bool.
    IsRunning { task: u64 },
    /// How many are pending of all clients: answered with a `u64`.
    Pending,
    /// Takes no more tasks. Answered with nothing, when the executor has ended.
    Shutdown { how: HowToEnd },
}

/// A [`Shutdown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum HowToEnd {
    Wait,
    CancelPending,
    Terminate,
    Kill,
}

/// What [`PoolOp::Kill`] found, and did: a [`Kill`](crate::Kill).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Found {
    Cancelled,
    Killing,
    TooLate,
}

/// How a task has ended.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) enum Ended {
    Done(Packed),
    Failed(Failure),
}

/// How a task has ended that the executor has run: serializes as [`Ended`], without a copy of the result.
pub(super) struct Outcome {
    pub(super) future: RawFuture,
    /// The objects that the result has proxies of; `None`, if there is something else with it.
    pub(super) held: Option<Refs>,
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const NAME: &str = "Ended";
        match (self.future.outcome(), &self.held) {
            (Some(Ok(result)), Some(refs)) => {
                let bytes = result.bytes;
                serializer.serialize_newtype_variant(NAME, 0, "Done", &ItemRef { bytes, refs })
            }
            (Some(Ok(_)), None) => {
                let failure = Failure::Other {
                    message: "the result has descriptors, or proxies of another manager, which do not travel from a manager"
                        .to_owned(),
                    may_have_run: true,
                };
                serializer.serialize_newtype_variant(NAME, 1, "Failed", &failure)
            }
            (Some(Err(error)), _) => {
                serializer.serialize_newtype_variant(NAME, 1, "Failed", &Failure::from(error))
            }
            (None, _) => Err(serde::ser::Error::custom("the task has not ended")),
        }
    }
}

impl Serialize for Ended {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const NAME: &str = "Ended";
        match self {
            Self::Done(result) => serializer.serialize_newtype_variant(NAME, 0, "Done", result),
            Self::Failed(failure) => {
                serializer.serialize_newtype_variant(NAME, 1, "Failed", failure)
            }
        }
    }
}

impl From<HowToEnd> for Shutdown {
    fn from(how: HowToEnd) -> Self {
        match how {
            HowToEnd::Wait => Self::Wait,
            HowToEnd::CancelPending => Self::CancelPending,
            HowToEnd::Terminate => Self::Terminate,
            HowToEnd::Kill => Self::Kill,
        }
    }
}

impl From<Shutdown> for HowToEnd {
    fn from(how: Shutdown) -> Self {
        match how {
            Shutdown::Wait => Self::Wait,
            Shutdown::CancelPending => Self::CancelPending,
            Shutdown::Terminate => Self::Terminate,
            Shutdown::Kill => Self::Kill,
        }
    }
}
