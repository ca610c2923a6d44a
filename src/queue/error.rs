//! What a queue can say.

use std::fmt;
use std::io;

use super::transfer::Tried;
use crate::error::explained;
use crate::sync::WaitError;
use crate::sys::MutexError;

/// Why an item was not put into a queue. It has the item in it.
#[non_exhaustive]
pub enum PutError<T> {
    /// There was no room: at once where it was only tried, or until the time was over; or the queue is unbounded, and what it
    /// holds has reached [`max_bytes`](super::QueueBuilder::max_bytes).
    Full(T),
    /// The queue has been closed.
    Closed(T),
    /// The item alone is larger than all that the queue may hold.
    TooLarge {
        /// The item.
        value: T,
        /// How many bytes it would take.
        bytes: u64,
        /// How many there may be.
        max_bytes: u64,
    },
    /// The item cannot be encoded: its `Serialize` refuses it, or it holds a handle (a queue, a lock, an end of a pipe), which
    /// cannot lie in memory.
    Unencodable {
        /// The item.
        value: T,
        /// Why.
        reason: String,
    },
    /// The memory of the queue has been overwritten. It is of no use any more.
    Corrupt(T),
    /// The system refused memory for it.
    System {
        /// The item.
        value: T,
        /// Why.
        source: io::Error,
    },
}

impl<T> PutError<T> {
    /// The item, as it was given.
    pub fn into_value(self) -> T {
        self.split().0
    }

    /// The same error without the item, for a caller who passes it on.
    pub fn without_value(self) -> PutError<()> {
        self.split().1
    }

    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Whether the queue has been closed.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    fn split(self) -> (T, PutError<()>) {
        match self {
            Self::Full(value) => (value, PutError::Full(())),
            Self::Closed(value) => (value, PutError::Closed(())),
            Self::TooLarge {
                value,
                bytes,
                max_bytes,
            } => {
                let error = PutError::TooLarge {
                    value: (),
                    bytes,
                    max_bytes,
                };
                (value, error)
            }
            Self::Unencodable { value, reason } => {
                (value, PutError::Unencodable { value: (), reason })
            }
            Self::Corrupt(value) => (value, PutError::Corrupt(())),
            Self::System { value, source } => (value, PutError::System { value: (), source }),
        }
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the queue is full"),
            Self::Closed(_) => f.write_str("the queue is closed"),
            Self::TooLarge {
                bytes, max_bytes, ..
            } => write!(
                f,
                "the item takes {bytes} bytes of the queue, which has {max_bytes} at most"
            ),
            Self::Unencodable { reason, .. } => {
                write!(f, "the item cannot be encoded: {reason}")
            }
            Self::Corrupt(_) => f.write_str(CORRUPT),
            Self::System { .. } => f.write_str(SYSTEM),
        }
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { source, .. } => write!(f, "{self}: {source}"),
            _ => fmt::Display::fmt(self, f),
        }
    }
}

impl<T> std::error::Error for PutError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why there is no item of a queue.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// There was none: at once where it was only tried, or until the time was over.
    #[error("the queue is empty")]
    Empty,
    /// The queue has been closed, and everything that was in it has been got.
    #[error("the queue is closed")]
    Closed,
    /// An item came that is none of this type. It has been taken out of the queue.
    #[error("an item of the queue cannot be decoded: {0}")]
    Undecodable(String),
    /// The memory of the queue has been overwritten. It is of no use any more.
    #[error("{CORRUPT}")]
    Corrupt,
    /// The system refused memory for the item, which is still in the queue.
    #[error("{SYSTEM}")]
    System(#[source] io::Error),
}

impl GetError {
    /// Whether there was none, of a queue that may have one later.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Whether there will be none any more.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }
}

/// Why an item was not counted as done.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskDoneError {
    /// Every item that has been put has been counted already. Nothing has changed.
    #[error("`task_done` was called more often than items were put into the queue")]
    TooOften,
    /// The memory of the queue has been overwritten. It is of no use any more.
    #[error("{CORRUPT}")]
    Corrupt,
}

explained!(GetError, TaskDoneError);

const CORRUPT: &str = "the memory of the queue has been overwritten";
const SYSTEM: &str = "the system refused memory for an item of the queue";

/// What can go wrong below the items.
#[derive(Debug)]
pub(super) enum Fault {
    /// The deadline has passed before a lock was there.
    TimedOut,
    Corrupt,
    System(io::Error),
}

impl From<MutexError> for Fault {
    fn from(error: MutexError) -> Self {
        match error {
            MutexError::TimedOut => Self::TimedOut,
            // Nothing of the user's runs under these locks.
            MutexError::HeldByThisThread | MutexError::Broken => Self::Corrupt,
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<crate::sys::OutOfRange> for Fault {
    fn from(_: crate::sys::OutOfRange) -> Self {
        Self::Corrupt
    }
}

/// Whether there is an item; if not, the queue is closed.
#[inline]
pub(super) fn got(tried: Result<Tried, Fault>) -> Result<bool, GetError> {
    match tried {
        Ok(Tried::Done) => Ok(true),
        Ok(Tried::Closed) => Ok(false),
        Ok(Tried::NotNow | Tried::Full) | Err(Fault::TimedOut) => Err(GetError::Empty),
        Err(Fault::Corrupt) => Err(GetError::Corrupt),
        Err(Fault::System(error)) => Err(GetError::System(error)),
    }
}

#[inline]
pub(super) fn put_error<T>(value: T, tried: Result<Tried, Fault>) -> Result<(), PutError<T>> {
    Err(match tried {
        Ok(Tried::Done) => return Ok(()),
        Ok(Tried::Closed) => PutError::Closed(value),
        Ok(Tried::NotNow | Tried::Full) | Err(Fault::TimedOut) => PutError::Full(value),
        Err(Fault::Corrupt) => PutError::Corrupt(value),
        Err(Fault::System(source)) => PutError::System { value, source },
    })
}

pub(super) fn wait_error(fault: Fault) -> WaitError {
    match fault {
        Fault::TimedOut => WaitError::TimedOut,
        Fault::Corrupt | Fault::System(_) => WaitError::Broken,
    }
}
