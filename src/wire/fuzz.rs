//! What must hold of the codec for any bytes whatsoever: for the fuzzer, and for the property
//! tests.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::*;

/// A type that nests as deeply as its bytes say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Nested {
    Leaf,
    Branch(Vec<Nested>),
    Chain(Box<Nested>),
}

/// The first byte chooses what the others are decoded as.
pub(crate) fn fuzz(data: &[u8]) {
    let Some((which, payload)) = data.split_first() else {
        return;
    };
    match which % 10 {
        0 => {
            if let Ok(setup) = Setup::decode(payload) {
                assert_eq!(setup.protocol, PROTOCOL);
                encodes_again(&setup);
            }
        }
        1 => {
            if let Ok(hello) = Hello::decode(payload) {
                assert_eq!(hello.protocol, PROTOCOL);
                assert!(hello.functions.capacity() <= payload.len());
                encodes_again(&hello);
            }
        }
        2 => {
            if let Ok(failure) = decode::<TaskFailure>(payload) {
                encodes_again(&failure);
                failure.into_error("function", 1, 1).to_string();
            }
        }
        3 => chunk(payload),
        4 => part(payload),
        5 => task(payload),
        6 => bytes_are_those_of_postcard(payload),
        7 => {
            if let Ok(nested) = decode::<Nested>(payload) {
                encodes_again(&nested);
            }
        }
        8 => {
            type Mixed = (
                Vec<(u64, f32)>,
                BTreeMap<String, Option<char>>,
                Result<i128, [u16; 3]>,
            );
            if let Ok(mixed) = decode::<Mixed>(payload) {
                let mut again = Vec::new();
                encode(&mixed, &mut again).expect("what was decoded encodes");
                // By their text, because a float may be NaN.
                let decoded = decode::<Mixed>(&again).expect("what was encoded decodes");
                assert_eq!(format!("{mixed:?}"), format!("{decoded:?}"));
            }
        }
        _ => {
            if let Ok(record) = Record::decode(payload) {
                assert!(record.fields.len() <= MAX_FIELDS);
                let mut again = Vec::new();
                encode(&record, &mut again).expect("what was decoded encodes");
                let decoded = Record::decode(&again).expect("what was encoded decodes");
                assert_eq!(format!("{record:?}"), format!("{decoded:?}"));
            }
        }
    }
}

fn encodes_again<T: Serialize + DeserializeOwned + PartialEq + Debug + 'static>(value: &T) {
    let mut again = Vec::new();
    encode(value, &mut again).expect("what was decoded encodes");
    assert_eq!(
        &decode::<T>(&again).expect("what was encoded decodes"),
        value
    );
}

fn chunk(payload: &[u8]) {
    let Ok(reader) = ChunkReader::new(payload) else {
        return;
    };
    assert!(reader.clone().map(|item| item.len() + 1).sum::<usize>() <= payload.len());
    assert_eq!(reader.clone().count(), reader.len());
    let mut again = Vec::new();
    let mut writer = ChunkWriter::new(reader.function(), &mut again);
    reader.clone().for_each(|item| writer.push(item));
    writer.finish();
    let again = ChunkReader::new(&again).expect("what was written reads");
    assert_eq!(again.function(), reader.function());
    assert!(again.eq(reader));
}

fn part(payload: &[u8]) {
    let Ok(reader) = PartReader::new(payload) else {
        return;
    };
    assert_eq!(reader.clone().count(), reader.len());
    let mut again = Vec::new();
    let mut writer = PartWriter::new(reader.index(), &mut again);
    reader.clone().for_each(|item| writer.push(item.outcome));
    writer.finish();
    let again = PartReader::new(&again).expect("what was written reads");
    assert!(again.eq(reader));
}

fn task(payload: &[u8]) {
    let Ok((function, payload)) = split_function(payload.into()) else {
        return;
    };
    let mut rest = &payload[..];
    let Ok(text) = decode_prefix::<String>(&mut rest) else {
        assert_eq!(rest, &payload[..], "a failure takes nothing");
        return;
    };
    let Ok(bytes) = decode_prefix::<Vec<u8>>(&mut rest) else {
        return;
    };
    let Ok(number) = decode::<Option<i64>>(rest) else {
        return;
    };
    let mut again = Vec::new();
    encode(&text, &mut again).expect("text encodes");
    encode(&bytes, &mut again).expect("bytes encode");
    encode(&number, &mut again).expect("a number encodes");
    again.extend(encode_function(function));
    let (function_again, rest) =
        split_function(again.into()).expect("what was put behind is there");
    assert_eq!(function_again, function);
    assert_eq!(decode(&rest), Ok((text, bytes, number)));
}

fn bytes_are_those_of_postcard(payload: &[u8]) {
    let mut rest = payload;
    match (
        decode_prefix::<Vec<u8>>(&mut rest),
        postcard::take_from_bytes::<Vec<u8>>(payload),
    ) {
        (Ok(ours), Ok((theirs, their_rest))) => {
            assert_eq!((&ours, rest), (&theirs, their_rest));
            let mut again = vec![1];
            encode(&ours, &mut again).expect("bytes encode");
            assert_eq!(Ok(&again[1..]), postcard::to_stdvec(&theirs).as_deref());
        }
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("{ours:?} here, {theirs:?} in postcard"),
    }
}
