//! An authenticated connection, of which each half can be owned by somebody else. Writing never waits, and neither does reading unless it is
//! [told to](Incoming::let_wait).

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::cipher::{Cipher, Direction};
use crate::frame::ByteSource;
use crate::sys;
use crate::wire::Handle;

/// Frames that wait are put together up to this length, so that they go by one call.
const TOGETHER: usize = 64 * 1024;

/// A connected socket whose other side has proved the key.
pub(crate) struct Line {
    /// Shared by both halves, and with what waits for it.
    pub(crate) socket: Handle,
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
}

/// What comes, in the clear: for a [`Decoder`](crate::frame::Decoder). `WouldBlock` says that there is nothing now.
///
/// Before the socket is waited for, it has to have said `WouldBlock`, or [`has_more`](Self::has_more) that there is nothing: what is encrypted is taken from the
/// socket in larger pieces than it is asked for.
pub(crate) struct Incoming {
    socket: Handle,
    #[cfg(feature = "network")]
    sealed: Option<Box<super::sealed::Sealed>>,
    /// Reads wait until something has come.
    waits: bool,
}

/// What goes, in the clear, and what of that the socket has not taken yet.
pub(crate) struct Outgoing {
    socket: Handle,
    queued: VecDeque<Vec<u8>>,
    /// How much of the first one is gone.
    gone: usize,
    len: usize,
    #[cfg_attr(
        not(feature = "network"),
        expect(dead_code, reason = "nothing is encrypted")
    )]
    direction: Direction,
    /// What was queued cannot be encrypted any more.
    is_broken: bool,
}

impl Line {
    pub(super) fn new(socket: Handle, cipher: Cipher) -> Self {
        let (receives, sends) = cipher.split();
        #[cfg(not(feature = "network"))]
        let _ = receives;
        Self {
            incoming: Incoming {
                socket: socket.clone(),
                #[cfg(feature = "network")]
                sealed: receives
                    .noise
                    .map(|direction| Box::new(super::sealed::Sealed::new(direction))),
                waits: false,
            },
            outgoing: Outgoing {
                socket: socket.clone(),
                queued: VecDeque::new(),
                gone: 0,
                len: 0,
                direction: sends,
                is_broken: false,
            },
            socket,
        }
    }

    /// Of a socket on which nothing is encrypted: its other side is a process of this machine.
    pub(crate) fn plain(socket: OwnedFd) -> Self {
        Self::new(socket.into(), Cipher::none())
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Incoming {
    /// Whether something has been taken from the socket and not been read yet.
    pub(crate) fn has_more(&self) -> bool {
        #[cfg(feature = "network")]
        if let Some(sealed) = &self.sealed {
            return sealed.has_more();
        }
        false
    }

    /// Whether reads wait until something has come, from now on: on a socket that blocks, that saves asking first.
    pub(crate) fn let_wait(&mut self, waits: bool) {
        self.waits = waits;
    }
}

impl ByteSource for &mut Incoming {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "network")]
        if let Some(sealed) = &mut self.sealed {
            return Ok(sealed
                .open(self.socket.as_fd(), room.len(), self.waits)?
                .copy_to(room));
        }
        sys::receive(self.socket.as_fd(), room, self.waits)
    }

    fn append(&mut self, bytes: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        #[cfg(feature = "network")]
        if let Some(sealed) = &mut self.sealed {
            return Ok(sealed
                .open(self.socket.as_fd(), most, self.waits)?
                .append_to(bytes));
        }
        sys::receive_to_end_of(self.socket.as_fd(), bytes, most, self.waits)
    }
}

impl Outgoing {
    /// Queues one or more whole frames, or parts of one.
    pub(crate) fn push(&mut self, frames: Vec<u8>) {
        #[cfg(feature = "network")]
        let frames = match &mut self.direction.noise {
            None => frames,
            Some(direction) => match direction.seal(&frames) {
                Ok(sealed) => sealed,
                Err(_) => {
                    self.is_broken = true;
                    return;
                }
            },
        };
        self.len += frames.len();
        match self.queued.back_mut() {
            Some(last) if last.len() + frames.len() <= TOGETHER => last.extend_from_slice(&frames),
            _ => self.queued.push_back(frames),
        }
    }

    /// Writes what the socket takes, and says whether that was all. An error says that the connection is lost. It never raises SIGPIPE.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        if self.is_broken {
            return Err(io::Error::other("what is to be sent does not encrypt"));
        }
        while let Some(first) = self.queued.front() {
            match sys::send(self.socket.as_fd(), &first[self.gone..]) {
                Ok(sent) => {
                    self.gone += sent;
                    self.len -= sent;
                    if self.gone == first.len() {
                        self.queued.pop_front();
                        self.gone = 0;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// How many bytes wait for room.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}
