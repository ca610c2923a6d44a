//! Packets, put together to messages. Pure: no socket, and descriptors may be anything.
//!
//! The other side is not trusted, and need not be one process: packets of messages of several
//! senders may come in turns. Whatever comes, at most the message that it is of is lost; memory
//! follows the bytes that came, never a length that was only claimed.

use std::collections::VecDeque;
use std::mem;

use super::error::RecvError;
use super::packet::{ABANDONED, BYTES, FIRST, HEADER_LEN, Header, LAST, MAX_PART};

/// How many messages can have come in part: as many processes can send long ones at a time through
/// one end. Of one more, the oldest is given up.
pub(super) const MAX_PARTIAL: usize = 64;

/// What is kept between two packets.
#[derive(Debug)]
pub(super) struct Assembler<H> {
    /// What has come in part; the last one got something last.
    partial: VecDeque<Partial<H>>,
    /// How many bytes of the next packet go into the memory of the last of `partial`.
    offered: usize,
}

#[derive(Debug)]
struct Partial<H> {
    header: Header,
    /// Its first `filled` bytes came; the others are there for a packet to overwrite.
    payload: Vec<u8>,
    filled: usize,
    handles: Vec<H>,
    /// Why it failed is told already: what still comes of it is thrown away.
    has_failed: bool,
}

/// What a packet made.
#[derive(Debug)]
pub(super) enum Step<H> {
    /// Nothing whole.
    More,
    /// A message that was this one packet: the first `len` bytes of the scratch memory.
    Small {
        len: usize,
        is_bytes: bool,
        handles: Vec<H>,
    },
    /// A message that has its own memory.
    Large {
        payload: Vec<u8>,
        is_bytes: bool,
        handles: Vec<H>,
    },
    /// A message is lost, for this reason; other messages are not.
    Failed(RecvError),
}

/// A packet that came.
pub(super) struct Came<'a, H> {
    pub(super) head: &'a [u8; HEADER_LEN],
    /// How many bytes followed: first into what [`Assembler::room`] gave, then into `scratch`.
    pub(super) len: usize,
    /// At least [`MAX_PART`] bytes.
    pub(super) scratch: &'a mut [u8],
    pub(super) handles: Vec<H>,
    /// Some descriptors were lost on the way.
    pub(super) has_lost_handles: bool,
}

impl<H> Default for Assembler<H> {
    fn default() -> Self {
        Self {
            partial: VecDeque::new(),
            offered: 0,
        }
    }
}

impl<H> Assembler<H> {
    /// Whether nothing has come in part.
    pub(super) fn is_empty(&self) -> bool {
        self.partial.is_empty()
    }

    /// Where the bytes of the next packet go, if it is the next one of the message that came last. It
    /// may be empty; what does not fit goes to the scratch memory.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.offered = 0;
        let Some(partial) = self.partial.back_mut() else {
            return &mut [];
        };
        // Where there is no memory, the packet goes to the scratch memory, and its message fails then.
        if partial.has_failed || !partial.make_room() {
            return &mut [];
        }
        let end = partial.end_of_room();
        let room = &mut partial.payload[partial.filled..end];
        self.offered = room.len();
        room
    }

    /// Takes a packet.
    pub(super) fn accept(&mut self, mut came: Came<'_, H>, max_message: u64) -> Step<H> {
        let offered = mem::take(&mut self.offered);
        let header = match Header::decode(came.head) {
            Ok(header) => header,
            Err(what) => return malformed(what),
        };
        if came.len > MAX_PART || came.len as u64 > header.total - header.offset {
            return malformed("it is longer than its message");
        }
        if header.has(ABANDONED) {
            self.partial
                .retain(|partial| partial.header.tag != header.tag);
            return Step::More;
        }
        let is_in_place = came.len <= offered
            && self.partial.back().is_some_and(|partial| {
                partial.header.tag == header.tag
                    && partial.filled as u64 == header.offset
                    && !header.has(FIRST)
            });
        if !is_in_place {
            self.gather(offered, came.len, came.scratch);
        }
        if header.has(FIRST) {
            self.begin(header, &mut came, max_message)
        } else {
            self.go_on(header, &mut came, is_in_place)
        }
    }

    /// Nothing more comes: why, each time that it is asked.
    pub(super) fn end(&mut self) -> RecvError {
        while let Some(partial) = self.partial.pop_front() {
            if !partial.has_failed {
                return RecvError::Cut {
                    received: partial.filled as u64,
                    len: partial.header.total,
                };
            }
        }
        RecvError::Closed
    }

    /// The memory held for what came in part.
    #[cfg(any(test, fuzzing))]
    pub(super) fn allocated(&self) -> usize {
        let sizes = self
            .partial
            .iter()
            .map(|partial| partial.payload.capacity());
        sizes.sum()
    }

    /// Moves all of a packet's bytes to the front of the scratch memory.
    fn gather(&mut self, offered: usize, len: usize, scratch: &mut [u8]) {
        let front = offered.min(len);
        if front == 0 {
            return;
        }
        if let Some(partial) = self.partial.back() {
            scratch.copy_within(..len - front, front);
            let came = &partial.payload[partial.filled..partial.filled + front];
            scratch[..front].copy_from_slice(came);
        }
    }

    fn begin(&mut self, header: Header, came: &mut Came<'_, H>, max_message: u64) -> Step<H> {
        let is_whole = header.has(LAST);
        if !is_whole {
            // An end sends one long message at a time: an earlier one was given up.
            let sender = header.tag.sender;
            self.partial
                .retain(|partial| partial.header.tag.sender != sender);
        }
        let fault = if header.total > max_message.min(isize::MAX as u64) {
            Some(RecvError::TooLong {
                len: header.total,
                max_message,
            })
        } else {
            fault_of_handles(&header, came)
        };
        let handles = mem::take(&mut came.handles);
        let is_bytes = header.has(BYTES);
        if is_whole {
            if let Some(fault) = fault {
                return Step::Failed(fault);
            }
            if header.total != came.len as u64 || handles.len() != usize::from(header.handles) {
                return malformed("it ends before its message does");
            }
            let len = came.len;
            return Step::Small {
                len,
                is_bytes,
                handles,
            };
        }
        let mut partial = Partial {
            header,
            payload: Vec::new(),
            filled: 0,
            handles,
            has_failed: false,
        };
        let fault = fault.or_else(|| partial.append(&came.scratch[..came.len]));
        if fault.is_some() {
            partial.fail();
        }
        if self.partial.len() == MAX_PARTIAL {
            self.partial.pop_front();
        }
        self.partial.push_back(partial);
        fault.map_or(Step::More, Step::Failed)
    }

    fn go_on(&mut self, header: Header, came: &mut Came<'_, H>, is_in_place: bool) -> Step<H> {
        let is_last = header.has(LAST);
        let place = self
            .partial
            .iter()
            .position(|partial| partial.header.tag == header.tag);
        let known = place.and_then(|place| self.partial.remove(place));
        let mut partial = match known {
            Some(partial) if partial.has_failed => {
                if !is_last {
                    self.partial.push_back(partial);
                }
                return Step::More;
            }
            Some(partial) => partial,
            None => Partial::unknown(header),
        };
        let fault = if partial.is_continued_by(&header) {
            fault_of_handles(&header, came).or_else(|| match is_in_place {
                true => {
                    partial.filled += came.len;
                    None
                }
                false => partial.append(&came.scratch[..came.len]),
            })
        } else {
            Some(RecvError::Torn)
        };
        if let Some(fault) = fault {
            if !is_last {
                partial.fail();
                if self.partial.len() == MAX_PARTIAL {
                    self.partial.pop_front();
                }
                self.partial.push_back(partial);
            }
            return Step::Failed(fault);
        }
        partial.handles.append(&mut came.handles);
        if !is_last {
            self.partial.push_back(partial);
            return Step::More;
        }
        let handles_are_whole = partial.handles.len() == usize::from(partial.header.handles);
        if partial.filled as u64 != partial.header.total || !handles_are_whole {
            return malformed("it ends before its message does");
        }
        partial.payload.truncate(partial.filled);
        Step::Large {
            payload: partial.payload,
            is_bytes: partial.header.has(BYTES),
            handles: partial.handles,
        }
    }
}

fn malformed<H>(what: &'static str) -> Step<H> {
    Step::Failed(RecvError::Malformed(what))
}

fn fault_of_handles<H>(header: &Header, came: &Came<'_, H>) -> Option<RecvError> {
    if came.handles.len() == usize::from(header.beside) {
        return None;
    }
    Some(match came.has_lost_handles {
        true => RecvError::DescriptorsLost,
        false => RecvError::Malformed("it has other descriptors beside it than it says"),
    })
}

impl<H> Partial<H> {
    /// Of a message whose beginning did not come here.
    fn unknown(header: Header) -> Self {
        Self {
            header: Header {
                // Nothing continues it.
                flags: ABANDONED,
                ..header
            },
            payload: Vec::new(),
            filled: 0,
            handles: Vec::new(),
            has_failed: false,
        }
    }

    fn fail(&mut self) {
        self.has_failed = true;
        self.payload = Vec::new();
        self.handles = Vec::new();
        self.filled = 0;
    }

    fn is_continued_by(&self, header: &Header) -> bool {
        !self.header.has(ABANDONED)
            && header.offset == self.filled as u64
            && header.total == self.header.total
            && header.handles == self.header.handles
            && header.has(BYTES) == self.header.has(BYTES)
            && self.handles.len() + usize::from(header.beside) <= usize::from(header.handles)
    }

    /// The payload's length when another packet has come: it fits into memory, since `total` does.
    fn end_of_room(&self) -> usize {
        let left = self.header.total - self.filled as u64;
        self.filled + left.min(MAX_PART as u64) as usize
    }

    /// Makes room for another packet: capacity by doubling, zeros only for that packet, which the
    /// system then overwrites while they are in the cache. False if there is no memory.
    fn make_room(&mut self) -> bool {
        let end = self.end_of_room();
        if self.payload.len() >= end {
            return true;
        }
        if self.payload.capacity() < end {
            let doubled = 2 * self.payload.capacity();
            let total = usize::try_from(self.header.total).unwrap_or(usize::MAX);
            let capacity = doubled.max(end).min(total);
            let more = capacity - self.payload.len();
            if self.payload.try_reserve_exact(more).is_err() {
                return false;
            }
        }
        self.payload.resize(end, 0);
        true
    }

    fn append(&mut self, bytes: &[u8]) -> Option<RecvError> {
        let end = self.filled + bytes.len();
        if !self.make_room() {
            return Some(RecvError::NoMemory {
                len: self.header.total,
            });
        }
        self.payload[self.filled..end].copy_from_slice(bytes);
        self.filled = end;
        None
    }
}
