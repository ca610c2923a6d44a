//! What sending and receiving can say.

use std::io;
use std::sync::Arc;

use crate::error::explained;

/// Nothing was received.
///
/// Only [`Closed`](Self::Closed) and [`System`](Self::System) are about the connection. All others
/// are about one message, which is lost (or is in the error): receive again for the next one.
///
/// ```
/// use procession::pipe::RecvError;
///
/// # fn main() -> std::io::Result<()> {
/// let (one, other) = procession::pipe::<String>()?;
/// drop(one);
/// assert!(matches!(other.recv(), Err(RecvError::Closed)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// Every copy of the other end is gone, and everything that was sent has been received. Python's
    /// `EOFError`.
    #[error("the other end of the connection is closed")]
    Closed,
    /// The other end's process was killed half-way through a message. (Or it gave up a long message, at a time limit, and was then
    /// closed, with no room to say so.)
    #[error("the other end went away when {received} of the {len} bytes of a message had come")]
    Cut {
        /// How many bytes came.
        received: u64,
        /// How many there were to come.
        len: u64,
    },
    /// The message is longer than [`max_message`](super::Connection::set_max_message) of this end. It is
    /// thrown away as it comes.
    #[error("a message of {len} bytes came, where `max_message` is {max_message}")]
    TooLong {
        /// Its length.
        len: u64,
        /// The limit.
        max_message: u64,
    },
    /// There is no memory for the message. It is thrown away as it comes.
    #[error("there is no memory for a message of {len} bytes")]
    NoMemory {
        /// Its length.
        len: u64,
    },
    /// The message is no value of the type that is received here.
    #[error("a message of {} bytes is no `{type_name}`: {message}", payload.len())]
    NotDecoded {
        /// The type.
        type_name: &'static str,
        /// What is wrong with it.
        message: String,
        /// The message as it came.
        payload: Vec<u8>,
    },
    /// The buffer is shorter than the message, which is in here. Python's `BufferTooShort`. Only
    /// [`recv_bytes_into`](super::Connection::recv_bytes_into) says this.
    #[error("a message of {} bytes came, and the buffer is shorter", message.len())]
    BufferTooShort {
        /// All of the message.
        message: Vec<u8>,
    },
    /// Descriptors came with the message, more than this process can have open (`RLIMIT_NOFILE`). Those that
    /// came are closed.
    #[error("this process cannot have as many descriptors open as came with a message")]
    DescriptorsLost,
    /// A part of a message came whose other parts another receiver at this end has taken: see
    /// [several processes](super#several-processes-at-one-end).
    #[error("a part of a message came, whose other parts another receiver has taken")]
    Torn,
    /// Something came that no [`Connection`](super::Connection) sends.
    #[error("what came is no message of a connection: {0}")]
    Malformed(&'static str),
    /// The system refused.
    #[error("the system refused to receive")]
    System(#[source] Arc<io::Error>),
}

impl RecvError {
    /// Whether this is about one message only, so that the next one can be received.
    ///
    /// ```
    /// use procession::pipe::RecvError;
    ///
    /// assert!(RecvError::TooLong { len: 2, max_message: 1 }.is_about_one_message());
    /// assert!(!RecvError::Closed.is_about_one_message());
    /// ```
    pub fn is_about_one_message(&self) -> bool {
        !matches!(self, Self::Closed | Self::System(_))
    }
}

/// A message was not sent. The other end gets nothing of it.
///
/// ```
/// use procession::pipe::SendError;
///
/// # fn main() -> std::io::Result<()> {
/// let (one, other) = procession::pipe::<String>()?;
/// drop(other);
/// assert!(matches!(one.send(&"anybody?".into()), Err(SendError::Closed)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Every copy of the other end is gone.
    #[error("the other end of the connection is closed")]
    Closed,
    /// There was no room in the connection, at once or before the time was up.
    #[error("the connection has no room for the message")]
    Full,
    /// The message is longer than [`max_message`](super::Connection::set_max_message) of this end.
    #[error("a message of {len} bytes was to be sent, where `max_message` is {max_message}")]
    TooLong {
        /// Its length.
        len: u64,
        /// The limit.
        max_message: u64,
    },
    /// The value could not be encoded.
    #[error("a `{type_name}` cannot be sent: {message}")]
    NotEncoded {
        /// Its type.
        type_name: &'static str,
        /// Why not.
        message: String,
    },
    /// The system refused.
    #[error("the system refused to send")]
    System(#[source] Arc<io::Error>),
}

explained!(RecvError, SendError);

impl From<io::Error> for RecvError {
    fn from(error: io::Error) -> Self {
        Self::System(Arc::new(error))
    }
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> Self {
        match crate::sys::is_gone(&error) {
            true => Self::Closed,
            false => Self::System(Arc::new(error)),
        }
    }
}
