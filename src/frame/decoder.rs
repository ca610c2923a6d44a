//! A stream of bytes, taken apart into frames.
//!
//! Bytes are read into one buffer of 64 KiB, and small payloads are borrowed from it: in the common
//! case a frame costs no allocation and no copy. A payload that has not come whole and is not small
//! gets a `Vec` of its own, which is read into directly and moved out at its end.
//!
//! The other side is not trusted. A length is checked against `max_frame` before anything else is
//! done with it, and even then memory follows the bytes that came: a payload's `Vec` starts at 64
//! KiB and doubles as it fills.

use std::borrow::Cow;
use std::io;

use super::{FrameError, HEADER_LEN, Header};

/// As much as a pipe holds by default, so that one read can empty it.
const BUFFER_LEN: usize = 64 * 1024;

/// Payloads up to this length are waited for in the buffer; what has come of one is at most copied
/// to the buffer's front. Longer ones get their own memory, unless they are there already.
const SMALL: usize = 8 * 1024;

/// How much of a payload's memory is zeroed ahead of a read: the kernel then overwrites it while it
/// is still in the cache. As much as a read from a pipe of ordinary size can return, and some more
/// for pipes that were enlarged.
const READ_AHEAD: usize = 16 * BUFFER_LEN;

/// One message, with its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) header: Header,
    /// Borrowed from the decoder where it is small, owned (and not to be copied again) where it is
    /// not.
    pub(crate) payload: Cow<'a, [u8]>,
    /// There was no memory for the payload, which has been thrown away: see
    /// [`Decoder::that_throws_away`].
    pub(crate) is_thrown_away: bool,
}

/// Takes a stream of bytes apart into frames.
///
/// Read once with [`read_from`](Self::read_from), then take frames with [`next`](Self::next) until
/// there is none, and so on. After an error the stream is beyond repair, and `next` repeats the
/// error.
#[derive(Debug)]
pub(crate) struct Decoder {
    max_frame: u64,
    buffer: Box<[u8]>,
    /// The bytes of `buffer` that came and were not taken yet.
    start: usize,
    end: usize,
    large: Option<Large>,
    throws_away: bool,
}

/// A payload that outgrew the buffer. While there is one, the buffer is empty.
#[derive(Debug)]
struct Large {
    header: Header,
    len: usize,
    /// Its first `filled` bytes came; the others are zeros, for a read to overwrite.
    payload: Vec<u8>,
    filled: usize,
    /// There is no memory for it: what comes is counted, and overwritten by what comes next.
    is_thrown_away: bool,
}

impl Decoder {
    /// A decoder that refuses payloads longer than `max_frame` bytes.
    pub(crate) fn new(max_frame: u64) -> Self {
        Self {
            // What no `Vec` can hold is too long, whatever the limit says.
            max_frame: max_frame.min(isize::MAX as u64),
            buffer: vec![0; BUFFER_LEN].into_boxed_slice(),
            start: 0,
            end: 0,
            large: None,
            throws_away: false,
        }
    }

    /// The same decoder, for which a payload without room in memory is no error: its bytes are thrown away as they come,
    /// and its frame says so.
    pub(crate) fn that_throws_away(self) -> Self {
        Self {
            throws_away: true,
            ..self
        }
    }

    /// Reads once from `source` and returns how many bytes came; 0 says that the stream has ended.
    ///
    /// Exactly one `read` is made, so that a blocking source blocks at most once. Errors of the
    /// source are returned as they are (also `Interrupted`) and change nothing. All frames that
    /// came must have been taken before.
    pub(crate) fn read_from(&mut self, source: &mut impl io::Read) -> io::Result<usize> {
        if let Some(large) = &mut self.large {
            let spare = self.throws_away.then_some(&mut self.buffer[..]);
            return large.read_from(source, spare);
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = &mut self.buffer[self.end..];
        if room.is_empty() {
            return Err(not_taken());
        }
        // A source that claims to have read more than there was room for is broken, but no reason
        // to panic later.
        let count = source.read(room)?.min(room.len());
        self.end += count;
        Ok(count)
    }

    /// The next frame, if it has come whole.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        if self.large.is_some() {
            return Ok(self.next_large());
        }
        let came = &self.buffer[self.start..self.end];
        let Some((head, rest)) = came.split_first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let header = Header::decode(head, self.max_frame)?;
        // `max_frame` was capped so that this cast loses nothing.
        let len = header.len as usize;
        if rest.len() < len {
            if len > SMALL {
                self.large = Some(Large::new(header, len, rest));
                (self.start, self.end) = (0, 0);
            }
            return Ok(None);
        }
        let payload = self.start + HEADER_LEN;
        self.start = payload + len;
        Ok(Some(Frame {
            header,
            payload: Cow::Borrowed(&self.buffer[payload..payload + len]),
            is_thrown_away: false,
        }))
    }

    /// Whether a part of a frame has come. Ask when [`next`](Self::next) has said that there is
    /// none: at the end of the stream this tells a cut from a clean end.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_mid_frame(&self) -> bool {
        self.large.is_some() || self.start < self.end
    }

    /// The memory held for bytes that came, and for those expected next.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn allocated(&self) -> usize {
        self.buffer.len()
            + self
                .large
                .as_ref()
                .map_or(0, |large| large.payload.capacity())
    }

    #[cold]
    fn next_large(&mut self) -> Option<Frame<'static>> {
        let large = self.large.take_if(|large| large.filled == large.len)?;
        Some(Frame {
            header: large.header,
            payload: Cow::Owned(large.payload),
            is_thrown_away: large.is_thrown_away,
        })
    }
}

impl Large {
    fn new(header: Header, len: usize, came: &[u8]) -> Self {
        let mut payload = Vec::with_capacity(len.min(BUFFER_LEN));
        payload.extend_from_slice(came);
        Self {
            header,
            len,
            payload,
            filled: came.len(),
            is_thrown_away: false,
        }
    }

    /// `spare` is where bytes go for which there is no memory.
    fn read_from(
        &mut self,
        source: &mut impl io::Read,
        spare: Option<&mut [u8]>,
    ) -> io::Result<usize> {
        if self.filled == self.len {
            return Err(not_taken());
        }
        if !self.is_thrown_away
            && self.payload.len() - self.filled < BUFFER_LEN
            && let Err(error) = self.make_room()
        {
            if spare.is_none() {
                return Err(error);
            }
            self.is_thrown_away = true;
            self.payload = Vec::new();
        }
        if self.is_thrown_away
            && let Some(spare) = spare
        {
            let room = spare.len().min(self.len - self.filled);
            let count = source.read(&mut spare[..room])?.min(room);
            self.filled += count;
            return Ok(count);
        }
        let room = &mut self.payload[self.filled..];
        let count = source.read(room)?.min(room.len());
        self.filled += count;
        Ok(count)
    }

    /// Makes room for a read of ordinary size: capacity by doubling, zeros as far as a read may
    /// reach.
    fn make_room(&mut self) -> io::Result<()> {
        if self.payload.capacity() - self.filled < BUFFER_LEN {
            let capacity = (self.filled + self.filled.max(BUFFER_LEN)).min(self.len);
            self.payload
                .try_reserve_exact(capacity - self.payload.len())?;
        }
        let end = self
            .payload
            .capacity()
            .min(self.len)
            .min(self.filled + READ_AHEAD);
        if end > self.payload.len() {
            self.payload.resize(end, 0);
        }
        Ok(())
    }
}

#[cold]
fn not_taken() -> io::Error {
    io::Error::other("the frames that came were not taken before reading on")
}
