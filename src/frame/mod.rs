//! Bytes to frames and back.
//!
//! A frame is a header of 24 bytes and a payload; `docs/wire-format.md` describes both. This module
//! knows nothing of what payloads mean ([`crate::wire`] does) nor where bytes come from: it is
//! given something to read from, and a `Vec` to append to.

mod decoder;
mod header;

pub(crate) use decoder::{ByteSource, Decoder, Frame};
#[cfg(any(test, feature = "log", feature = "tracing"))]
pub(crate) use header::MAX_RECORD;
pub(crate) use header::{
    FLAG_IN_TASK, FLAG_LAST, FLAG_PROMPT, FrameError, HEADER_LEN, Header, Kind,
};

/// Begins a frame at the end of `out`: reserves its header and returns where it starts.
///
/// Append the payload to `out`, then call [`finish`] with what this returned. Nothing is copied
/// and nothing is allocated that `out` does not already have room for.
#[inline]
pub(crate) fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    start
}

/// Finishes the frame begun at `start`: everything after its header is the payload, and
/// `header.len` is set to the length of that.
#[inline]
pub(crate) fn finish(out: &mut [u8], start: usize, mut header: Header) {
    let (head, payload) = out[start..]
        .split_first_chunk_mut::<HEADER_LEN>()
        .expect("a frame that was begun has room for its header");
    header.len = payload.len() as u64;
    *head = header.encode();
}

#[cfg(any(test, fuzzing))]
mod fuzz;
#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz;

#[cfg(test)]
pub(crate) mod golden;
#[cfg(test)]
mod tests;
