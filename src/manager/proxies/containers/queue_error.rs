//! What a queue in a manager can say.

use std::fmt;

use crate::error::explained;
use crate::manager::ManagerError;

/// Why an item was not put into a queue of a manager. It has the item in it.
#[non_exhaustive]
pub enum PutError<T> {
    /// There was no room: at once where it was only tried, or until the time was over.
    Full(T),
    /// The queue has been closed.
    Closed(T),
    /// The call failed.
    Manager {
        /// The item.
        value: T,
        /// How it failed.
        source: ManagerError,
    },
}

impl<T> PutError<T> {
    /// The item, as it was given.
    pub fn into_value(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) | Self::Manager { value, .. } => value,
        }
    }

    /// The same error without the item, for a caller who passes it on.
    pub fn without_value(self) -> PutError<()> {
        match self {
            Self::Full(_) => PutError::Full(()),
            Self::Closed(_) => PutError::Closed(()),
            Self::Manager { source, .. } => PutError::Manager { value: (), source },
        }
    }

    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Whether the queue has been closed.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::Closed(_) => "the queue is closed",
            Self::Manager { .. } => "the item was not put into the queue",
        })
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manager { source, .. } => write!(f, "{self}: {source:?}"),
            _ => fmt::Display::fmt(self, f),
        }
    }
}

impl<T> std::error::Error for PutError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Manager { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why there is no item of a queue of a manager.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// There was none: at once where it was only tried, or until the time was over.
    #[error("the queue is empty")]
    Empty,
    /// The queue has been closed, and everything that was in it has been got.
    #[error("the queue is closed")]
    Closed,
    /// An item came that is none of this type. It has been taken out of the queue.
    #[error("an item of the queue cannot be decoded")]
    Undecodable(#[source] ManagerError),
    /// The call failed.
    #[error("no item was got from the queue")]
    Manager(#[source] ManagerError),
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

impl From<ManagerError> for GetError {
    fn from(error: ManagerError) -> Self {
        match error {
            ManagerError::TimedOut => Self::Empty,
            error => Self::Manager(error),
        }
    }
}

/// Why an item was not counted as done.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TaskDoneError {
    /// Every item that has been put has been counted already. Nothing has changed.
    #[error("`task_done` was called more often than items were put into the queue")]
    TooOften,
    /// The call failed.
    #[error("the item was not counted as done")]
    Manager(#[from] ManagerError),
}

explained!(GetError, TaskDoneError);
