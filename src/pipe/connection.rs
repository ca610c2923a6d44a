//! One end, as users hold it.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::end::{End, Patience};
use super::error::{RecvError, SendError};
use super::messages::Messages;
use super::receiving::{Message, Receiving, into_buffer, to_bytes, to_value};
use super::sending::{Outgoing, Sending};

/// One end of a connection, which sends values of `S` and receives values of `R`: what [`pipe`](fn@super::pipe),
/// [`duplex`](super::duplex) and [`one_way`](super::one_way) make.
///
/// All of it works through `&self`: threads and async tasks can use one end at a time, and clones of it. Messages
/// come whole, once, and in the order in which they were sent. It is a serde value, which
/// [travels](super#ends-travel).
///
/// The other end of a `Connection<S, R>` is a `Connection<R, S>`; a `Connection<T>` sends and receives the same type.
/// An end with [`Nothing`](super::Nothing) in place of a type does not go that way, and the methods for that way do not
/// compile: see [`Sender`](super::Sender) and [`Receiver`](super::Receiver).
///
/// # Caveats
///
/// The other end is told that this one is gone when all of its copies are: clones, copies in other processes, and
/// those within tasks that are queued. Dropping one copy does not block, and what it sent is
/// received nevertheless.
///
/// A blocking call blocks its thread: in async code use those that end in `_async`.
///
/// ```standalone_crate
/// use procession::Process;
/// use procession::pipe::{self, Connection};
///
/// #[procession::task]
/// fn measure(texts: Connection<usize, String>) {
///     while let Ok(text) = texts.recv() {
///         texts.send(&text.len()).unwrap();
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # procession::init();
/// let (here, there) = pipe::duplex::<String, usize>()?;
/// let process = Process::spawn(measure, there)?;
/// here.send(&"how long".to_owned())?;
/// assert_eq!(here.recv()?, 8);
/// drop(here); // so that the process comes to its end
/// process.join()?;
/// # Ok(())
/// # }
/// ```
pub struct Connection<S, R = S> {
    end: Arc<End>,
    // Takes values of `S` and makes values of `R`, holds none: so it is `Send` and `Sync` whatever they are.
    messages: PhantomData<fn(S) -> R>,
}

impl<S, R> Connection<S, R> {
    pub(super) fn new(end: Arc<End>) -> Self {
        Self {
            end,
            messages: PhantomData,
        }
    }

    pub(super) fn end(&self) -> &End {
        &self.end
    }

    /// Refuses messages longer than so many bytes from now on, when they are sent through this end as well as when
    /// they come. 16 GiB, if nothing else is said.
    ///
    /// A message that is too long is an error for its sender, if that is this end, or else for its receiver, who throws it
    /// away as it comes and can receive the next one. It goes for all clones of this end in this process, and travels along; the other
    /// end has a limit of its own. Memory always follows the bytes that came, whatever length was announced.
    ///
    /// ```
    /// use procession::pipe::{RecvError, SendError};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (one, other) = procession::pipe::<String>()?;
    /// other.set_max_message(100);
    /// one.send(&"x".repeat(200))?;
    /// one.send(&"short".into())?;
    /// assert!(matches!(other.recv(), Err(RecvError::TooLong { max_message: 100, .. })));
    /// assert_eq!(other.recv()?, "short");
    /// assert!(matches!(other.send(&"x".repeat(200)), Err(SendError::TooLong { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_max_message(&self, bytes: u64) {
        self.end.max_message.store(bytes, Ordering::Relaxed);
    }

    /// Closes this copy of the end, as dropping it does. What it has sent is received nevertheless.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (one, other) = procession::pipe::<u8>()?;
    /// one.send(&7)?;
    /// one.close();
    /// assert_eq!(other.recv()?, 7);
    /// assert!(other.recv().is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(self) {}
}

/// To send.
impl<S: Serialize + 'static, R> Connection<S, R> {
    /// Sends a value. Blocks while the connection is full of what the other end has not received.
    ///
    /// It holds some hundreds of short messages, or some hundreds of KiB; a longer message returns when the rest
    /// fits. That the message was sent does not say that it was received.
    ///
    /// # Errors
    ///
    /// See [`SendError`]. Whatever it says, nothing of the value is received.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (one, other) = procession::pipe::<Vec<u32>>()?;
    /// one.send(&vec![1, 2, 3])?;
    /// assert_eq!(other.recv()?, [1, 2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn send(&self, value: &S) -> Result<(), SendError> {
        self.end.send(Outgoing::value(value)?, Patience::Forever)
    }

    /// Sends a value if there is room for all of it now, and says [`SendError::Full`] if not.
    ///
    /// A message longer than the connection holds finds room only while somebody receives it meanwhile:
    /// [`send_timeout`](Self::send_timeout) is for those. It never waits, and takes time in proportion to the message.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`]; else as [`send`](Self::send).
    ///
    /// ```
    /// use procession::pipe::SendError;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (one, other) = procession::pipe::<u64>()?;
    /// let mut sent = 0;
    /// while !matches!(one.try_send(&sent), Err(SendError::Full)) {
    ///     sent += 1;
    /// }
    /// assert_eq!(other.recv()?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_send(&self, value: &S) -> Result<(), SendError> {
        self.end.send(Outgoing::value(value)?, Patience::Never)
    }

    /// Sends a value, and says [`SendError::Full`] if not all of it has found room within `timeout`: then
    /// nothing of it is received.
    ///
    /// `Duration::MAX` waits for ever.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`], not before that; else as [`send`](Self::send).
    ///
    /// ```
    /// use std::time::Duration;
    /// use procession::pipe::SendError;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (one, other) = procession::pipe::<Vec<u64>>()?;
    /// let long = vec![u64::MAX; 1 << 20];
    /// assert!(matches!(one.send_timeout(&long, Duration::from_millis(1)), Err(SendError::Full)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_timeout(&self, value: &S, timeout: Duration) -> Result<(), SendError> {
        self.end
            .send(Outgoing::value(value)?, Patience::of(timeout))
    }

    /// Sends a value, to be awaited in any runtime. The value is encoded at once.
    ///
    /// Dropped before its end, it has sent nothing.
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// let (one, other) = procession::pipe::<String>()?;
    /// one.send_async(&"hello".into()).await?;
    /// assert_eq!(other.recv_async().await?, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn send_async(&self, value: &S) -> Sending<'_> {
        Sending::new(&self.end, Outgoing::value(value))
    }

    /// Sends bytes as they are, for [`recv_bytes`](Self::recv_bytes): nothing is encoded or copied here. Blocks as
    /// [`send`](Self::send) does. A part of them is a slice.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), but for those of encoding.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (one, other) = procession::pipe::<()>()?;
    /// let data = [7; 100];
    /// one.send_bytes(&data[10..20])?;
    /// assert_eq!(other.recv_bytes()?, [7; 10]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), SendError> {
        self.end.send(Outgoing::bytes(bytes), Patience::Forever)
    }

    /// [`send_bytes`](Self::send_bytes), to be awaited.
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// let (one, other) = procession::pipe::<()>()?;
    /// one.send_bytes_async(b"raw").await?;
    /// assert_eq!(other.recv_bytes_async().await?, b"raw");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn send_bytes_async<'a>(&'a self, bytes: &'a [u8]) -> Sending<'a> {
        Sending::new(&self.end, Ok(Outgoing::bytes(bytes)))
    }
}

/// To receive.
impl<S, R: DeserializeOwned + 'static> Connection<S, R> {
    /// Receives a value. Blocks until there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Closed`] when the other end is gone and everything was received. Most
    /// others are about one message, after which the next one can be received: see [`RecvError`].
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (one, other) = procession::pipe::<(u8, char)>()?;
    /// one.send(&(1, 'a'))?;
    /// assert_eq!(other.recv()?, (1, 'a'));
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv(&self) -> Result<R, RecvError> {
        self.forever(to_value)
    }

    /// Receives a value if there is one whole: `None` if not (or if another thread is just receiving here).
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (one, other) = procession::pipe::<u8>()?;
    /// assert_eq!(other.try_recv()?, None);
    /// one.send(&7)?;
    /// assert_eq!(other.try_recv()?, Some(7));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv(&self) -> Result<Option<R>, RecvError> {
        self.end.receive(Patience::Never, to_value)
    }

    /// Receives a value, and waits for at most `timeout` for all of it: `None` when it has not come. What
    /// has come of it is kept for the next call.
    ///
    /// `Duration::MAX` waits for ever.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (one, other) = procession::pipe::<u8>()?;
    /// assert_eq!(other.recv_timeout(Duration::from_millis(1))?, None);
    /// one.send(&7)?;
    /// assert_eq!(other.recv_timeout(Duration::MAX)?, Some(7));
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<R>, RecvError> {
        self.end.receive(Patience::of(timeout), to_value)
    }

    /// Receives a value, to be awaited in any runtime. Dropped before its end, it has taken nothing.
    ///
    /// What watches connections for all tasks is one thread, `procession-connections`, from the first time on that
    /// somebody has to wait until the last such connection is dropped.
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// let (one, other) = procession::pipe::<u8>()?;
    /// let (sent, received) = futures::join!(one.send_async(&7), other.recv_async());
    /// sent?;
    /// assert_eq!(received?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn recv_async(&self) -> Receiving<'_, R> {
        Receiving::new(&self.end, to_value::<R>)
    }

    /// Receives a message as bytes: those of [`send_bytes`](Self::send_bytes), or a value as it was encoded. Blocks until
    /// there is one.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), but for those of decoding.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (one, other) = procession::pipe::<()>()?;
    /// one.send_bytes(b"")?;
    /// assert_eq!(other.recv_bytes()?, b"");
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv_bytes(&self) -> Result<Vec<u8>, RecvError> {
        self.forever(to_bytes)
    }

    /// Receives a message as bytes into the front of a buffer, and returns how many there were. Blocks until there is
    /// one.
    ///
    /// # Errors
    ///
    /// [`RecvError::BufferTooShort`] has the message in it. See also [`recv`](Self::recv).
    ///
    /// ```
    /// use procession::pipe::RecvError;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (one, other) = procession::pipe::<()>()?;
    /// let mut buffer = [0; 8];
    /// one.send_bytes(b"abc")?;
    /// assert_eq!(other.recv_bytes_into(&mut buffer[2..])?, 3);
    /// assert_eq!(&buffer, b"\0\0abc\0\0\0");
    ///
    /// one.send_bytes(b"much too long")?;
    /// match other.recv_bytes_into(&mut buffer) {
    ///     Err(RecvError::BufferTooShort { message }) => assert_eq!(message, b"much too long"),
    ///     received => panic!("{received:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv_bytes_into(&self, buffer: &mut [u8]) -> Result<usize, RecvError> {
        self.forever(|message| into_buffer(message, buffer))
    }

    /// [`recv_bytes`](Self::recv_bytes), to be awaited.
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// let (one, other) = procession::pipe::<()>()?;
    /// one.send_bytes(b"raw")?;
    /// assert_eq!(other.recv_bytes_async().await?, b"raw");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn recv_bytes_async(&self) -> Receiving<'_, Vec<u8>> {
        Receiving::new(&self.end, to_bytes)
    }

    /// Waits for at most `timeout` until there is something to receive, or the other end is gone, and says whether it is so.
    /// `Duration::ZERO` only looks, `Duration::MAX` waits for ever.
    ///
    /// (Of a message longer than 64 KiB, a part is something. Somebody else may receive it first.)
    ///
    /// # Errors
    ///
    /// [`RecvError::System`], if the system does not let it wait.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (one, other) = procession::pipe::<u8>()?;
    /// assert!(!other.poll(Duration::ZERO)?);
    /// one.send(&7)?;
    /// assert!(other.poll(Duration::MAX)?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll(&self, timeout: Duration) -> Result<bool, RecvError> {
        Ok(self.end.wait_readable(Patience::of(timeout))?)
    }

    /// Iterates over what comes, until the other end is gone. `for message in &connection` does the same.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (sender, receiver) = procession::pipe::one_way::<u8>()?;
    /// sender.send(&1)?;
    /// sender.send(&2)?;
    /// sender.close();
    /// let mut received = Vec::new();
    /// for message in &receiver {
    ///     received.push(message?);
    /// }
    /// assert_eq!(received, [1, 2]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn messages(&self) -> Messages<'_, R> {
        Messages::new(&self.end)
    }

    fn forever<T>(
        &self,
        mut finish: impl FnMut(Message<'_>) -> Result<T, RecvError>,
    ) -> Result<T, RecvError> {
        loop {
            if let Some(received) = self.end.receive(Patience::Forever, &mut finish)? {
                return Ok(received);
            }
        }
    }
}

/// Another copy of the same end, in this process.
impl<S, R> Clone for Connection<S, R> {
    fn clone(&self) -> Self {
        Self::new(self.end.clone())
    }
}

/// The socket, to be watched by an event loop of your own: it can be read when there is something to receive.
/// What is read from it or written to it by other means is lost, or is garbage for the other end.
impl<S, R> AsFd for Connection<S, R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}

impl<S, R> fmt::Debug for Connection<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("fd", &self.as_fd().as_raw_fd())
            .field("direction", &self.end.direction)
            .finish_non_exhaustive()
    }
}
