//! An authenticated connection, of which each half can be owned by somebody else. Writing never waits, and neither does reading unless it is
//! [told to](Incoming::let_wait).

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::frame::ByteSource;
use crate::sys;
use crate::wire::Handle;

/// A connected socket whose other side has proved the key.
pub(crate) struct Line {
    /// Shared by both halves, and with what waits for it.
    pub(crate) socket: Handle,
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
}

/// What comes, in the clear: for a [`Decoder`](crate::frame::Decoder). `WouldBlock` says that there is nothing now.
pub(crate) struct Incoming {
    socket: Handle,
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
}

impl Line {
    /// Of a socket on which nothing is encrypted: its other side is a process of this machine.
    pub(crate) fn plain(socket: OwnedFd) -> Self {
        let socket = Handle::from(socket);
        Self {
            incoming: Incoming {
                socket: socket.clone(),
                waits: false,
            },
            outgoing: Outgoing {
                socket: socket.clone(),
                queued: VecDeque::new(),
                gone: 0,
                len: 0,
            },
            socket,
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Incoming {
    /// Whether reads wait until something has come, from now on: on a socket that blocks, that saves asking first.
    pub(crate) fn let_wait(&mut self, waits: bool) {
        self.waits = waits;
    }
}

impl ByteSource for &mut Incoming {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        sys::receive(self.socket.as_fd(), room, self.waits)
    }

    fn append(&mut self, bytes: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        sys::receive_to_end_of(self.socket.as_fd(), bytes, most, self.waits)
    }
}

impl Outgoing {
    /// Queues one or more whole frames.
    pub(crate) fn push(&mut self, frames: Vec<u8>) {
        self.len += frames.len();
        self.queued.push_back(frames);
    }

    /// Writes what the socket takes, and says whether that was all. An error says that the connection is lost. It never raises SIGPIPE.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
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
