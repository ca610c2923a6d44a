//! Frames in line for a worker.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crate::frame::{HEADER_LEN, Header};
use crate::registry::Function;
use crate::sys;
use crate::wire::{self, Beside, Carried, Handles};

use super::beside::Refusals;

/// A payload of at least this many bytes is not copied beside others, but written from where it is.
const LARGE: usize = 16 * 1024;

/// A payload of at most this many bytes has no memory of its own.
const TINY: usize = 15;

/// What waits for room in the task pipe.
pub(super) struct Outbound {
    pub(super) pipe: OwnedFd,
    /// See [`Started::tasks_guard`](crate::worker::Started::tasks_guard).
    _guard: OwnedFd,
    queue: VecDeque<Segment>,
    /// How much of the first segment has been written: bytes, or descriptors.
    written: usize,
    /// The pipe has been enlarged, or was to be.
    is_large: bool,
    /// The reactor will continue when the pipe, or the control socket, has room.
    pub(super) armed: bool,
    pub(super) beside: Refusals,
}

enum Segment {
    /// Headers and small payloads, one behind the other.
    Small(Vec<u8>),
    /// One large payload, shared with the task that may have to be sent again.
    Large(Arc<Vec<u8>>),
    /// The same, of one that has descriptors beside it.
    LargeBeside(Arc<WithHandles>),
    /// What is sent beside the next frame, before it.
    Beside(Descriptors),
}

/// The descriptors of one frame.
#[derive(Clone, Debug)]
pub(super) struct Descriptors {
    task: u64,
    seq: u32,
    payload: Arc<WithHandles>,
}

/// What is to be written, or sent, next.
pub(super) enum Next<'a> {
    /// Into the pipe.
    Bytes(&'a [u8]),
    /// Through the control socket: a message, and its descriptors.
    Beside(Beside, &'a [Arc<Carried>]),
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
    WithHandles(Arc<WithHandles>),
}

/// A payload that has descriptors beside it. Those that are in line share them with the task.
#[derive(Debug)]
pub(in crate::executor::process) struct WithHandles {
    bytes: Vec<u8>,
    handles: Handles,
}

impl Default for Payload {
    fn default() -> Self {
        Self::new(Vec::new(), Handles::default())
    }
}

impl Payload {
    pub(in crate::executor::process) fn new(bytes: Vec<u8>, handles: Handles) -> Self {
        if !handles.is_empty() {
            return Self::WithHandles(Arc::new(WithHandles { bytes, handles }));
        }
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
            Self::WithHandles(payload) => &payload.bytes,
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
            beside: Refusals::default(),
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
        let mut header = Header {
            len: (bytes.len() + behind.len()) as u64,
            ..header
        };
        if let Payload::WithHandles(payload) = payload {
            header.handles = payload.handles.len();
            self.push_beside(header, payload);
        }
        let header = header.encode();
        let large = match payload {
            Payload::Large(bytes) => Some(Segment::Large(bytes.clone())),
            Payload::WithHandles(payload) if bytes.len() >= LARGE => {
                Some(Segment::LargeBeside(payload.clone()))
            }
            _ => None,
        };
        if let Some(large) = large {
            self.tail(HEADER_LEN).extend_from_slice(&header);
            self.queue.push_back(large);
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
    pub(super) fn left_of_first(&self) -> Option<Next<'_>> {
        let bytes = match self.queue.front()? {
            Segment::Small(bytes) => &bytes[self.written..],
            Segment::Large(bytes) => &bytes[self.written..],
            Segment::LargeBeside(payload) => &payload.bytes[self.written..],
            Segment::Beside(descriptors) => return descriptors.from(self.written),
        };
        // An empty segment is the last one, kept for its buffer.
        (!bytes.is_empty()).then_some(Next::Bytes(bytes))
    }

    /// Notes that `count` more bytes, or descriptors, of the first segment have been written.
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

    /// The descriptors of the frame that is pushed next.
    fn push_beside(&mut self, header: Header, payload: &Arc<WithHandles>) {
        if self.left_of_first().is_none() {
            // What was kept for its buffer must not stand before them.
            self.queue.clear();
        }
        self.queue.push_back(Segment::Beside(Descriptors {
            task: header.task,
            seq: header.seq,
            payload: payload.clone(),
        }));
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

impl Descriptors {
    /// The message that carries those from this place on; `None` at the end.
    fn from(&self, place: usize) -> Option<Next<'_>> {
        let handles = &self.payload.handles;
        let first = u16::try_from(place).ok()?;
        let message = Beside::at(self.task, self.seq, first, handles.len());
        let carried = handles
            .as_slice()
            .get(place..place + usize::from(message.count))?;
        (!carried.is_empty()).then_some(Next::Beside(message, carried))
    }
}
