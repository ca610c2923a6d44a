//! Several connections at once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::connection::Connection;
use crate::process::Process;
use crate::sys::{deadline_after, wait_among};

/// What [`wait`] can wait for: an end of a connection that receives, a [`Process`], which is ready when it has ended, or a descriptor of any other kind (a
/// [`BorrowedFd`], by `as_fd()`), which is ready when it can be read. References, boxes and `Arc`s of these
/// can be waited for, too. Sealed.
pub trait Waitable: sealed::Sealed {}

/// What is asked of a [`Waitable`] is ours to change.
pub(crate) mod sealed {
    use std::os::fd::BorrowedFd;

    /// What becomes readable when it is ready.
    pub trait Sealed {
        #[doc(hidden)]
        fn ready_when_readable(&self) -> BorrowedFd<'_>;
    }
}

impl<S, R: DeserializeOwned> Waitable for Connection<S, R> {}

impl<S, R: DeserializeOwned> sealed::Sealed for Connection<S, R> {
    fn ready_when_readable(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl<R> Waitable for Process<R> {}

impl<R> sealed::Sealed for Process<R> {
    fn ready_when_readable(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Waitable for BorrowedFd<'_> {}

impl sealed::Sealed for BorrowedFd<'_> {
    fn ready_when_readable(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

macro_rules! by_pointer {
    ($($pointer:ty),*) => {$(
        impl<W: Waitable + ?Sized> Waitable for $pointer {}

        impl<W: Waitable + ?Sized> sealed::Sealed for $pointer {
            fn ready_when_readable(&self) -> BorrowedFd<'_> {
                (**self).ready_when_readable()
            }
        }
    )*};
}

by_pointer!(&W, Box<W>, Arc<W>);

/// Waits until one or more of these are ready, and returns the places of exactly those that are, in
/// ascending order; an empty list when the time is up. `None` waits for ever.
///
/// A connection is ready when something can be received from it, or when its other end is gone, which is
/// for ever. (Of a message longer than 64 KiB, that is when a part of it has come:
/// [`recv`](Connection::recv) may have to wait for the rest, [`try_recv`](Connection::try_recv) does
/// not.) The order does not matter, the same one may stand there several times, and there may be thousands; each call
/// takes time in proportion to their number. `Duration::ZERO` only looks. To wait for nothing returns at once.
///
/// To wait for things of several types, make them `&dyn Waitable`. Python's
/// [`multiprocessing.connection.wait`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.connection.wait).
/// [`wait_async`](super::wait_async) is the same to be awaited. For futures there is [`procession::wait`](fn@crate::wait).
///
/// # Errors
///
/// What the system says: there is no memory, or a descriptor has been closed behind its owner's back (`EBADF`).
///
/// ```
/// use std::os::fd::AsFd;
/// use std::time::Duration;
/// use procession::pipe::{self, Waitable};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (first, _theirs) = procession::pipe::<u64>()?;
/// let (second, theirs) = procession::pipe::<String>()?;
/// let (socket, _peer) = std::os::unix::net::UnixStream::pair()?;
///
/// theirs.send(&"here".into())?;
/// let all: [&dyn Waitable; 3] = [&first, &second, &socket.as_fd()];
/// assert_eq!(pipe::wait(&all, None)?, [1]);
/// assert_eq!(second.recv()?, "here");
/// assert!(pipe::wait(&all, Some(Duration::ZERO))?.is_empty());
/// # Ok(())
/// # }
/// ```
pub fn wait<W: Waitable>(over: &[W], timeout: Option<Duration>) -> io::Result<Vec<usize>> {
    wait_until(over, timeout.and_then(deadline_after))
}

/// Those that are ready now.
pub(super) fn look<W: Waitable>(over: &[W]) -> io::Result<Vec<usize>> {
    wait_until(over, Some(Instant::now()))
}

fn wait_until<W: Waitable>(over: &[W], deadline: Option<Instant>) -> io::Result<Vec<usize>> {
    if over.is_empty() {
        return Ok(Vec::new());
    }
    let descriptors: Vec<BorrowedFd<'_>> = over.iter().map(|it| it.ready_when_readable()).collect();
    let ready = wait_among(&descriptors, deadline)?;
    let places = ready.iter().enumerate();
    Ok(places
        .filter(|(_, is_ready)| **is_ready)
        .map(|(place, _)| place)
        .collect())
}
