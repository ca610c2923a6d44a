//! What can be wrong with a place or a name.

use std::io;

use crate::error::explained;
use crate::sys;

/// A place that is not within the array or the memory. Nothing has been read or written.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{count} at {start} are not within {len}")]
#[non_exhaustive]
pub struct OutOfRange {
    /// The first place that was asked for.
    pub start: usize,
    /// How many places were.
    pub count: usize,
    /// How many there are.
    pub len: usize,
}

/// Why there is no such shared memory, or why it could not be read or written.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SharedMemoryError {
    /// Somebody uses that name.
    #[error("shared memory named {name:?} exists already")]
    AlreadyExists {
        /// The name.
        name: String,
    },
    /// There is no memory of that name, or there was, and nobody uses it any more.
    #[error("there is no shared memory named {name:?}")]
    NotFound {
        /// The name.
        name: String,
    },
    /// That cannot be a name.
    #[error("{name:?} cannot be a name of shared memory: {reason}")]
    InvalidName {
        /// The name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// No bytes, or more than there can be.
    #[error("shared memory cannot be of {len} bytes")]
    InvalidLength {
        /// How many were asked for.
        len: usize,
    },
    /// The place is not within the memory. Nothing has been read or written.
    #[error("the place is not within the shared memory")]
    OutOfRange(#[source] OutOfRange),
    /// Somebody has made the file of a named memory shorter. What was to be read may have been in part.
    #[error("shared memory named {name:?} has shrunk to {len} bytes")]
    Shrunk {
        /// The name.
        name: String,
        /// How many bytes it has now.
        len: u64,
    },
    /// Memory that has a name is not mapped, so that there are no atomics in it.
    #[error("shared memory named {name:?} is not mapped")]
    NotMapped {
        /// The name.
        name: String,
    },
    /// The system refused it, for lack of descriptors, of memory, or of rights.
    #[error("the system refused it")]
    System(#[source] io::Error),
}

explained!(OutOfRange, SharedMemoryError);

impl From<OutOfRange> for SharedMemoryError {
    fn from(error: OutOfRange) -> Self {
        Self::OutOfRange(error)
    }
}

impl From<sys::OutOfRange> for OutOfRange {
    fn from(error: sys::OutOfRange) -> Self {
        let (start, count, len) = error.parts();
        Self { start, count, len }
    }
}
