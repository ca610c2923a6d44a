use std::borrow::Cow;
use std::io::{self, Read as _};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::fuzz::{Decoded, decode};
use super::*;

const KINDS: [Kind; 16] = [
    Kind::Task,
    Kind::Chunk,
    Kind::Initialize,
    Kind::Goodbye,
    Kind::Hello,
    Kind::Ready,
    Kind::Done,
    Kind::Failed,
    Kind::Part,
    Kind::Passed,
    Kind::InitializerFailed,
    Kind::Record,
    Kind::Request,
    Kind::Cancel,
    Kind::Release,
    Kind::Reply,
];

fn frame(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let start = begin(&mut bytes);
    bytes.extend_from_slice(payload);
    finish(&mut bytes, start, header);
    bytes
}

/// One valid frame.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![8 => 0..200usize, 1 => 7_000..9_000usize, 1 => 60_000..200_000usize];
    (
        select(&KINDS[..]),
        any::<u64>(),
        any::<u32>(),
        any::<bool>(),
        len,
        any::<u8>(),
    )
        .prop_map(|(kind, task, seq, last, len, seed)| {
            let mut header = Header::new(kind, task, seq);
            header.flags = match kind {
                Kind::Part if last => FLAG_LAST,
                Kind::Chunk if last => FLAG_PROMPT,
                Kind::Record if last => FLAG_IN_TASK,
                _ => 0,
            };
            let len = match kind {
                Kind::Goodbye | Kind::Passed | Kind::Cancel => 0,
                Kind::Record => len.min(MAX_RECORD as usize),
                _ => len,
            };
            let payload: Vec<u8> = (0..len).map(|i| (i / 7) as u8 ^ seed).collect();
            frame(header, &payload)
        })
}

fn whole(stream: &[u8], max_frame: u64) -> Decoded {
    decode(stream, &mut std::iter::empty(), max_frame)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn frames_split_anywhere_decode_to_the_same(
        frames in vec(any_frame(), 0..12),
        sizes in vec(prop_oneof![1..60usize, 1..70_000usize, 60_000..400_000usize], 1..40),
    ) {
        let stream = frames.concat();
        let decoded = decode(&stream, &mut sizes.into_iter().cycle(), u64::MAX);
        let expected = Decoded { bytes: stream, frames: frames.len(), error: None, is_mid_frame: false };
        prop_assert!(decoded == expected);
    }

    #[test]
    fn frames_cut_anywhere_decode_up_to_the_cut(frames in vec(any_frame(), 1..6), cut: Index) {
        let stream = frames.concat();
        let cut = cut.index(stream.len());
        let mut complete = 0;
        let mut count = 0;
        for frame in &frames {
            if complete + frame.len() <= cut {
                complete += frame.len();
                count += 1;
            } else {
                break;
            }
        }
        let decoded = whole(&stream[..cut], u64::MAX);
        prop_assert!(decoded.bytes == stream[..complete]);
        prop_assert_eq!(decoded.frames, count);
        prop_assert_eq!(decoded.error, None);
        prop_assert_eq!(decoded.is_mid_frame, cut > complete);
    }

    /// `decode` itself checks that memory follows the bytes that came.
    #[test]
    fn a_flipped_byte_neither_panics_nor_takes_memory(
        frames in vec(any_frame(), 1..4),
        at: Index,
        in_header: bool,
        flip in 1..=255u8,
    ) {
        let mut stream = frames.concat();
        let at = at.index(if in_header { HEADER_LEN } else { stream.len() });
        stream[at] ^= flip;
        let decoded = whole(&stream, u64::MAX);
        prop_assert!(stream.starts_with(&decoded.bytes));
        whole(&stream, 1000);
    }

    #[test]
    fn any_bytes_whatsoever_are_decoded_without_a_panic(data in vec(any::<u8>(), 0..200)) {
        fuzz(&data);
    }
}

#[test]
fn headers_are_pinned() {
    let header = Header {
        len: 5,
        ..Header::new(Kind::Task, 7, 3)
    };
    golden::check(
        &header.encode(),
        "0500000000000000 0700000000000000 01 00 0000 03000000",
    );
    let mut header = Header::new(Kind::Part, 0x0102_0304_0506_0708, 0x1112_1314);
    header.flags = FLAG_LAST;
    header.len = 0x0a0b;
    golden::check(
        &header.encode(),
        "0b0a000000000000 0807060504030201 14 01 0000 14131211",
    );
    golden::check(
        &frame(Header::new(Kind::Goodbye, 0, 0), &[]),
        "0000000000000000 0000000000000000 04 00 0000 00000000",
    );
    let with_handles = Header {
        len: 1,
        handles: 260,
        ..Header::new(Kind::Done, 7, 3)
    };
    golden::check(
        &with_handles.encode(),
        "0100000000000000 0700000000000000 12 00 0401 03000000",
    );
    golden::check(
        &frame(Header::new(Kind::Passed, 0, 300), &[]),
        "0000000000000000 0000000000000000 15 00 0000 2c010000",
    );
}

#[test]
fn numbers_of_kinds_are_pinned() {
    assert_eq!(
        KINDS.map(|kind| kind as u8),
        [1, 2, 3, 4, 16, 17, 18, 19, 20, 21, 22, 23, 32, 33, 34, 48]
    );
    for kind in KINDS {
        let header = Header::new(kind, 1, 2);
        assert_eq!(Header::decode(&header.encode(), 0), Ok(header));
    }
}

#[test]
fn a_header_that_the_protocol_does_not_allow_is_refused() {
    let refused = |at: usize, byte: u8| {
        let mut bytes = Header {
            len: 1,
            ..Header::new(Kind::Task, 7, 3)
        }
        .encode();
        bytes[at] = byte;
        Header::decode(&bytes, 10).unwrap_err().to_string()
    };
    assert_eq!(
        refused(0, 11),
        "a frame of 11 bytes where `max_frame` allows 10"
    );
    assert_eq!(refused(16, 0), "a frame of unknown kind 0");
    assert_eq!(refused(16, 24), "a frame of unknown kind 24");
    assert_eq!(
        refused(16, 21),
        "a `Passed` frame with a payload of 1 bytes where none belongs"
    );
    assert_eq!(refused(17, FLAG_LAST), "a frame with unknown flags 0x01");
    assert_eq!(refused(17, FLAG_PROMPT), "a frame with unknown flags 0x02");
}

#[test]
fn descriptors_travel_beside_arguments_and_results_alone() {
    for kind in KINDS {
        let header = Header {
            handles: 2,
            ..Header::new(kind, 1, 2)
        };
        let decoded = Header::decode(&header.encode(), 0);
        match kind {
            Kind::Task | Kind::Initialize | Kind::Ready | Kind::Done | Kind::Part => {
                assert_eq!(decoded, Ok(header));
            }
            _ => assert_eq!(
                decoded.unwrap_err().to_string(),
                format!("a `{kind:?}` frame that announces 2 descriptors where none belong")
            ),
        }
    }
}

#[test]
fn a_record_is_no_longer_than_records_may_be() {
    let header = |len| Header {
        len,
        ..Header::new(Kind::Record, 0, 0)
    };
    let decode = |header: Header, max_frame| Header::decode(&header.encode(), max_frame);
    let longest = header(MAX_RECORD);
    assert_eq!(decode(longest, u64::MAX), Ok(longest));
    let error = decode(header(MAX_RECORD + 1), u64::MAX).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a record of 65537 bytes where 65536 are allowed"
    );
    let error = decode(header(101), 100).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a frame of 101 bytes where `max_frame` allows 100"
    );
}

#[test]
fn a_frame_of_max_frame_passes_and_one_past_it_does_not() {
    for max_frame in [0, 1, 100, 8 * 1024, 64 * 1024, 1 << 20] {
        let at_limit = frame(Header::new(Kind::Done, 1, 1), &vec![7; max_frame]);
        let decoded = whole(&at_limit, max_frame as u64);
        assert!(decoded.bytes == at_limit);
        let past = frame(Header::new(Kind::Done, 1, 1), &vec![7; max_frame + 1]);
        let decoded = whole(&past[..HEADER_LEN], max_frame as u64);
        let (len, max_frame) = (max_frame as u64 + 1, max_frame as u64);
        assert_eq!(decoded.error, Some(FrameError::TooLong { len, max_frame }));
    }
}

#[test]
fn small_payloads_are_borrowed_and_large_ones_moved() {
    let mut stream = frame(Header::new(Kind::Done, 1, 1), b"small");
    stream.extend(frame(Header::new(Kind::Done, 2, 2), &[7; 100_000]));
    stream.extend(frame(Header::new(Kind::Done, 3, 3), b"small"));
    let mut source = &stream[..];
    let mut decoder = Decoder::new(1 << 20);
    decoder.read_from(&mut source).unwrap();
    let frame = decoder.next().unwrap().unwrap();
    assert!(matches!(frame.payload, Cow::Borrowed(b"small")));
    assert_eq!(decoder.next().unwrap(), None);
    assert!(decoder.is_mid_frame());
    decoder.read_from(&mut source).unwrap();
    let frame = decoder.next().unwrap().unwrap();
    assert!(matches!(&frame.payload, Cow::Owned(payload) if payload.len() == 100_000));
    assert!(!decoder.is_mid_frame());
    decoder.read_from(&mut source).unwrap();
    let frame = decoder.next().unwrap().unwrap();
    assert!(matches!(frame.payload, Cow::Borrowed(b"small")));
}

#[test]
fn memory_follows_the_bytes_that_came_not_the_length_claimed() {
    let mut header = Header::new(Kind::Done, 1, 1);
    header.len = 1 << 40;
    let mut decoder = Decoder::new(u64::MAX);
    decoder.read_from(&mut &header.encode()[..]).unwrap();
    assert_eq!(decoder.next().unwrap(), None);
    assert_eq!(decoder.allocated(), 128 * 1024);
    let mut came = 0;
    while came < 10_000_000 {
        came += decoder.read_from(&mut io::repeat(7).take(40_000)).unwrap();
        assert_eq!(decoder.next().unwrap(), None);
        assert!(decoder.allocated() <= 2 * came + 128 * 1024);
    }
    assert!(decoder.is_mid_frame());
}

#[test]
fn a_length_that_no_memory_can_hold_is_refused() {
    let mut header = Header::new(Kind::Done, 1, 1);
    header.len = u64::MAX;
    let decoded = whole(&header.encode(), u64::MAX);
    assert!(matches!(
        decoded.error,
        Some(FrameError::TooLong { len: u64::MAX, .. })
    ));
}

#[test]
fn each_call_reads_once_and_errors_of_the_source_change_nothing() {
    struct Flaky<'a> {
        calls: usize,
        rest: &'a [u8],
    }
    impl io::Read for Flaky<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.calls += 1;
            match self.calls % 2 {
                1 => Err(io::ErrorKind::Interrupted.into()),
                _ => io::Read::read(&mut self.rest, &mut buffer[..1]),
            }
        }
    }
    let stream = frame(Header::new(Kind::Done, 1, 1), b"payload");
    let mut source = Flaky {
        calls: 0,
        rest: &stream,
    };
    let mut decoder = Decoder::new(100);
    for call in 1..=2 * stream.len() {
        assert_eq!(decoder.next().unwrap(), None);
        match decoder.read_from(&mut source) {
            Ok(count) => assert_eq!(count, 1),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Interrupted),
        }
        assert_eq!(source.calls, call);
    }
    assert_eq!(&*decoder.next().unwrap().unwrap().payload, b"payload");
}

#[test]
fn reading_on_without_taking_frames_is_an_error_not_an_end_of_file() {
    let stream = frame(Header::new(Kind::Done, 1, 1), b"").repeat(4000);
    let mut source = &stream[..];
    let mut decoder = Decoder::new(100);
    assert_eq!(decoder.read_from(&mut source).unwrap(), 64 * 1024);
    assert!(decoder.read_from(&mut source).is_err());
    let mut frames = 0;
    loop {
        while decoder.next().unwrap().is_some() {
            frames += 1;
        }
        if decoder.read_from(&mut source).unwrap() == 0 {
            break;
        }
    }
    assert_eq!(frames, 4000);
}
