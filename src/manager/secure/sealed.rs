//! What comes over a network, decrypted.

use std::io;
use std::os::fd::BorrowedFd;

use super::noise::{Direction, LONGEST, TAG_LEN};
use crate::sys;

/// Of the length of a message, in front of it.
const LEN: usize = 2;

/// Encrypted messages as they come, and what of the last one has not been read.
pub(super) struct Sealed {
    direction: Direction,
    /// What was taken from the socket: `came[start..end]` is not decrypted yet.
    came: Box<[u8]>,
    start: usize,
    end: usize,
    /// One message, decrypted: `opened[read..len]` is not read yet.
    opened: Box<[u8]>,
    read: usize,
    len: usize,
}

/// A part of what has been decrypted, which counts as read.
pub(super) struct Opened<'a>(&'a [u8]);

impl Opened<'_> {
    pub(super) fn copy_to(self, room: &mut [u8]) -> usize {
        room[..self.0.len()].copy_from_slice(self.0);
        self.0.len()
    }

    pub(super) fn append_to(self, bytes: &mut Vec<u8>) -> usize {
        bytes.extend_from_slice(self.0);
        self.0.len()
    }
}

impl Sealed {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            came: vec![0; LEN + LONGEST].into_boxed_slice(),
            start: 0,
            end: 0,
            opened: vec![0; LONGEST].into_boxed_slice(),
            read: 0,
            len: 0,
        }
    }

    pub(super) fn has_more(&self) -> bool {
        self.read < self.len || self.message().is_some_and(|(_, is_whole)| is_whole)
    }

    /// How long the next message is, and whether all of it has come.
    fn message(&self) -> Option<(usize, bool)> {
        let (len, rest) = self.came[self.start..self.end].split_first_chunk::<LEN>()?;
        let len = usize::from(u16::from_be_bytes(*len));
        Some((len, rest.len() >= len))
    }

    /// At most `most` bytes, of one message; none says that the stream has ended.
    pub(super) fn open(
        &mut self,
        socket: BorrowedFd<'_>,
        most: usize,
        waits: bool,
    ) -> io::Result<Opened<'_>> {
        while self.read == self.len {
            match self.message() {
                Some((len, true)) => self.decrypt(len)?,
                _ => {
                    if !self.receive(socket, waits)? {
                        return Ok(Opened(&[]));
                    }
                }
            }
        }
        let from = self.read;
        self.read = self.len.min(from.saturating_add(most));
        Ok(Opened(&self.opened[from..self.read]))
    }

    fn decrypt(&mut self, len: usize) -> io::Result<()> {
        // One without anything in it is sent by nobody.
        if len <= TAG_LEN {
            return Err(invalid("a message without content"));
        }
        let message = &self.came[self.start + LEN..self.start + LEN + len];
        self.len = self.direction.open(message, &mut self.opened)?;
        self.read = 0;
        self.start += LEN + len;
        Ok(())
    }

    /// Reads once; false says that the stream has ended, between two messages.
    fn receive(&mut self, socket: BorrowedFd<'_>, waits: bool) -> io::Result<bool> {
        self.came.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // There is room: a message that fills all of it has come whole.
        let count = sys::receive(socket, &mut self.came[self.end..], waits)?;
        if count == 0 && self.end > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.end += count;
        Ok(count > 0)
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
