//! Frames in line for a worker.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crate::frame::{HEADER_LEN, Header};
use crate::registry::Function;
use crate::{sys, wire};

/// A payload of at least this many bytes is not copied beside others, but written from where it is.
const LARGE: usize = 16 * 1024;

/// A payload of at most this many bytes has no memory of its own.
const TINY: usize = 30;

/// What waits for room in the task pipe.
pub(super) struct Outbound {
    pub(super) pipe: OwnedFd,
    /// See [`Started::tasks_guard`](crate::worker::Started::tasks_guard).
    _guard: OwnedFd,
    queue: VecDeque<Segment>,
    /// How much of the first segment has been written.
    written: usize,
    /// The pipe has been enlarged, or was to be.
    is_large: bool,
    /// The reactor will continue when the pipe has room.
    pub(super) armed: bool,
}

enum Segment {
    /// Headers and small payloads, one behind the other.
    Small(Vec<u8>),
    /// One large payload, shared with the task that may have to be sent again.
    Large(Arc<Vec<u8>>),
}

/// The payload of a frame that may be sent more than once.
#[derive(Clone, Debug)]
pub(in crate::executor::process) enum Payload {
    /// Of a queued task, most often: an allocation would be the larger part of it.
    Tiny {
        len: u8,
        bytes: [u8; TINY],
    },
    Small(Vec<u8>),
    Large(Arc<Vec<u8>>),
}

impl Payload {
    pub(in crate::executor::process) fn new(bytes: Vec<u8>) -> Self {
        if bytes.len() <= TINY {
            let mut tiny = [0; TINY];
            tiny[..bytes.len()].copy_from_slice(&bytes);
            Self::Tiny {
                len: bytes.len() as u8,
                bytes: tiny,
            }
        } else if bytes.len() < LARGE {
            Self::Small(bytes)
        } else {
            Self::Large(Arc::new(bytes))
        }
    }

    pub(in crate::executor::process) fn bytes(&self) -> &[u8] {
        match self {
            Self::Tiny { len, bytes } => &bytes[..usize::from(*len).min(TINY)],
            Self::Small(bytes) => bytes,
            Self::Large(bytes) => bytes,
        }
    }
}

impl Outbound {
    pub(super) fn new(pipe: OwnedFd, guard: OwnedFd) -> Self {
        Self {
            pipe,
            _guard: guard,
            queue: VecDeque::new(),
            written: 0,
            is_large: false,
            armed: false,
        }
    }

    /// Puts a frame behind those that wait: a payload, and the index of the function for whose arguments that is.
    pub(super) fn push(&mut self, header: Header, payload: &Payload, function: Option<&Function>) {
        let bytes = payload.bytes();
        let behind = function.map(|function| wire::encode_function(function.index));
        let behind = behind.as_ref().map_or(&[][..], |index| &index[..]);
        if bytes.len() > sys::PIPE_LEN && !self.is_large {
            self.is_large = true;
            sys::enlarge_pipe(self.pipe.as_fd());
        }
        let header = Header {
            len: (bytes.len() + behind.len()) as u64,
            ..header
        }
        .encode();
        if let Payload::Large(large) = payload {
            self.tail(HEADER_LEN).extend_from_slice(&header);
            self.queue.push_back(Segment::Large(large.clone()));
            if !behind.is_empty() {
                self.tail(behind.len()).extend_from_slice(behind);
            }
            return;
        }
        let small = self.tail(HEADER_LEN + bytes.len() + behind.len());
        small.extend_from_slice(&header);
        small.extend_from_slice(bytes);
        small.extend_from_slice(behind);
    }

    /// Forgets what has not been written.
    pub(super) fn discard(&mut self) {
        self.queue = VecDeque::new();
        self.written = 0;
    }

    /// What is to be written next; `None` when nothing is.
    pub(super) fn left_of_first(&self) -> Option<&[u8]> {
        let bytes = match self.queue.front()? {
            Segment::Small(bytes) => &bytes[self.written..],
            Segment::Large(bytes) => &bytes[self.written..],
        };
        // An empty segment is the last one, kept for its buffer.
        (!bytes.is_empty()).then_some(bytes)
    }

    /// Notes that `count` more bytes of the first segment have been written.
    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.left_of_first().is_some() {
            return;
        }
        self.written = 0;
        let is_last = self.queue.len() == 1;
        match self.queue.front_mut() {
            Some(Segment::Small(bytes)) if is_last => bytes.clear(),
            _ => drop(self.queue.pop_front()),
        }
    }

    /// A buffer at the end of the queue with room for `more` bytes.
    fn tail(&mut self, more: usize) -> &mut Vec<u8> {
        let fits = matches!(self.queue.back(), Some(Segment::Small(bytes)) if bytes.len() + more <= LARGE * 4);
        if !fits {
            self.queue
                .push_back(Segment::Small(Vec::with_capacity(more.max(256))));
        }
        match self.queue.back_mut() {
            Some(Segment::Small(bytes)) => bytes,
            _ => unreachable!("a small segment was put at the end"),
        }
    }
}
