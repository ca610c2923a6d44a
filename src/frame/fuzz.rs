//! What must hold of the decoder for any bytes whatsoever: for the fuzzer, and for the property
//! tests.

use std::io;

use super::{Decoder, FrameError};

/// What a stream was decoded to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// All frames, encoded again.
    pub(super) bytes: Vec<u8>,
    pub(super) frames: usize,
    pub(super) error: Option<FrameError>,
    pub(super) is_mid_frame: bool,
}

/// The first byte chooses `max_frame`, the second how many bytes come at a time; the others are the
/// stream.
pub(crate) fn fuzz(data: &[u8]) {
    let [limit, step, stream @ ..] = data else {
        return;
    };
    let max_frame =
        [0, 16, 100, 10_000, 1 << 16, 1 << 20, 1 << 40, u64::MAX][usize::from(limit % 8)];
    let step = usize::from(*step).pow(2) + 1;
    let whole = decode(stream, &mut [usize::MAX].into_iter().cycle(), max_frame);
    let split = decode(stream, &mut [step].into_iter().cycle(), max_frame);
    assert_eq!(whole, split, "how the bytes are split makes no difference");
    assert!(
        stream.starts_with(&whole.bytes),
        "frames are what was sent, in its order"
    );
    if whole.error.is_none() {
        assert_eq!(whole.is_mid_frame, whole.bytes.len() < stream.len());
    }
}

/// Decodes a stream that comes in pieces of these sizes, and checks the decoder's memory all along.
pub(super) fn decode(
    stream: &[u8],
    sizes: &mut dyn Iterator<Item = usize>,
    max_frame: u64,
) -> Decoded {
    let mut decoded = Decoded {
        bytes: Vec::new(),
        frames: 0,
        error: None,
        is_mid_frame: false,
    };
    let mut decoder = Decoder::new(max_frame);
    let mut source = Pieces {
        rest: stream,
        sizes,
    };
    let mut came = 0;
    loop {
        loop {
            match decoder.next() {
                Ok(Some(frame)) => {
                    assert_eq!(frame.header.len, frame.payload.len() as u64);
                    assert!(frame.header.len <= max_frame);
                    decoded.bytes.extend_from_slice(&frame.header.encode());
                    decoded.bytes.extend_from_slice(&frame.payload);
                    decoded.frames += 1;
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next(), Err(error), "an error stays");
                    decoded.error = Some(error);
                    return decoded;
                }
            }
        }
        assert!(
            decoder.allocated() <= 2 * came + 128 * 1024,
            "memory follows the bytes that came"
        );
        match decoder
            .read_from(&mut source)
            .expect("the frames were taken")
        {
            0 => break,
            count => came += count,
        }
    }
    assert_eq!(came, stream.len());
    decoded.is_mid_frame = decoder.is_mid_frame();
    decoded
}

struct Pieces<'a> {
    rest: &'a [u8],
    sizes: &'a mut dyn Iterator<Item = usize>,
}

impl io::Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes.next().unwrap_or(usize::MAX).max(1);
        let count = size.min(buffer.len()).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(count);
        buffer[..count].copy_from_slice(piece);
        self.rest = rest;
        Ok(count)
    }
}
