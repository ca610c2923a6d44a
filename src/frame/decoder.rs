//! A stream of bytes, taken apart into frames.
//!
//! Bytes are read into one buffer of 64 KiB, and small payloads are borrowed from it: in the common
//! case a frame costs no allocation and no copy. A payload that has not come whole and is not small
//! gets a `Vec` of its own, which is read into directly and moved out at its end.
//!
//! The other side is not trusted. A length is checked against `max_frame` before anything else is
//! done with it, and even then memory follows the bytes that came: a payload's `Vec` starts at 64
//! KiB and doubles as it fills. It is not cleared before it is read into.

use std::borrow::Cow;
use std::io;

use super::{FrameError, HEADER_LEN, Header};

/// As much as a pipe holds by default, so that one read can empty it.
const BUFFER_LEN: usize = 64 * 1024;

/// Payloads up to this length are waited for in the buffer; what has come of one is at most copied
/// to the buffer's front. Longer ones get their own memory, unless they are there already.
const SMALL: usize = 8 * 1024;

/// Where a [`Decoder`] reads from. Each call is one read, which may block, and 0 says that the stream has ended.
pub(crate) trait ByteSource {
    /// Reads to the front of `room`.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize>;

    /// Reads at most `most` bytes to the end of `bytes`, which has the capacity for them.
    fn append(&mut self, bytes: &mut Vec<u8>, most: usize) -> io::Result<usize>;
}

#[cfg(any(test, fuzzing))]
impl<R: io::Read> ByteSource for R {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        // A source that claims to have read more than there was room for is broken.
        Ok(io::Read::read(self, room)?.min(room.len()))
    }

    fn append(&mut self, bytes: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        let before = bytes.len();
        bytes.resize(before + most, 0);
        let came = ByteSource::read(self, &mut bytes[before..]);
        bytes.truncate(before + came.as_ref().map_or(0, |count| *count));
        came
    }
}

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
    /// What of it came.
    payload: Vec<u8>,
    /// There is no memory for it: so many bytes came, each overwritten by those that came next.
    thrown_away: Option<usize>,
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
    pub(crate) fn read_from(&mut self, source: &mut impl ByteSource) -> io::Result<usize> {
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
        let count = source.read(room)?;
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
        let large = self.large.take_if(|large| large.filled() == large.len)?;
        Some(Frame {
            header: large.header,
            is_thrown_away: large.thrown_away.is_some(),
            payload: Cow::Owned(large.payload),
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
            thrown_away: None,
        }
    }

    /// How many bytes came.
    fn filled(&self) -> usize {
        self.thrown_away.unwrap_or(self.payload.len())
    }

    /// `spare` is where bytes go for which there is no memory.
    fn read_from(
        &mut self,
        source: &mut impl ByteSource,
        spare: Option<&mut [u8]>,
    ) -> io::Result<usize> {
        let left = self.len - self.filled();
        if left == 0 {
            return Err(not_taken());
        }
        if self.thrown_away.is_none()
            && let Err(error) = self.make_room(left)
        {
            if spare.is_none() {
                return Err(error);
            }
            self.thrown_away = Some(self.filled());
            self.payload = Vec::new();
        }
        if let Some(count) = &mut self.thrown_away
            && let Some(spare) = spare
        {
            let room = spare.len().min(left);
            let came = source.read(&mut spare[..room])?;
            *count += came;
            return Ok(came);
        }
        let room = self.payload.capacity() - self.payload.len();
        source.append(&mut self.payload, room.min(left))
    }

    /// Makes room for a read of ordinary size, by doubling.
    fn make_room(&mut self, left: usize) -> io::Result<()> {
        let filled = self.payload.len();
        if self.payload.capacity() - filled < left.min(BUFFER_LEN) {
            self.payload
                .try_reserve_exact(filled.max(BUFFER_LEN).min(left))?;
        }
        Ok(())
    }
}

#[cold]
fn not_taken() -> io::Error {
    io::Error::other("the frames that came were not taken before reading on")
}
