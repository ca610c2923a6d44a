use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fuzz::Nested;
use super::*;
use crate::error::TaskError;
use crate::frame::golden;

fn bytes_of<T: Serialize + 'static>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    encode(value, &mut out).unwrap();
    out
}

fn setup() -> Setup {
    Setup {
        protocol: PROTOCOL,
        registry: 0x0123_4567_89ab_cdef,
        worker: 2,
        depth: 1,
        max_frame: 1 << 30,
        initializer: true,
        own_binary: false,
        kept: vec![5, -1],
        stdout: true,
        tells_memory: true,
        is_captured: false,
        records: Wanted {
            log: Some(Level::Info),
            tracing: None,
        },
        limits: Limits {
            address_space: Some(1 << 30),
            cpu_time_ms: None,
            open_files: Some(64),
            core_size: Some(0),
            niceness: Some(-5),
            cpus: vec![0, 3],
            directory: Some(b"/tmp".to_vec()),
        },
        process: None,
    }
}

fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL,
        registry: 300,
        functions: vec![("app::f".to_owned(), 7)],
        pid: 4711,
        binary: Some(BinaryId {
            dev: 1,
            ino: 2,
            size: 3,
            mtime: (4, 5),
        }),
        peak_kib: 300,
        peak_is_own: true,
    }
}

#[test]
fn messages_are_pinned() {
    golden::check(
        &bytes_of(&setup()),
        "03 ef9bafcdf8acd19101 02 01 8080808004 01 00 02 0a 01 01 01 00 01 02 00 \
         01 8080808004 00 01 40 01 00 01 09 02 00 03 01 04 2f746d70 00",
    );
    let process = ProcessSetup {
        name: "app".to_owned(),
        is_daemon: true,
        len: 300,
        handles: 2,
    };
    golden::check(&bytes_of(&process), "03 617070 01 ac02 02");
    golden::check(
        &bytes_of(&hello()),
        "03 ac02 01 06 6170703a3a66 07 e724 01 01 02 03 08 05 ac02 01",
    );
    let panicked = TaskFailure::Panicked {
        message: "no".to_owned(),
        location: Some("a.rs:1:2".to_owned()),
        backtrace: None,
    };
    golden::check(&bytes_of(&panicked), "00 02 6e6f 01 08 612e72733a313a32 00");
    golden::check(
        &bytes_of(&TaskFailure::ArgumentNotDecoded("no".to_owned())),
        "01 02 6e6f",
    );
    golden::check(
        &bytes_of(&TaskFailure::ResultNotEncoded("no".to_owned())),
        "02 02 6e6f",
    );
    golden::check(
        &bytes_of(&TaskFailure::ResultTooLarge { size: 1 << 32 }),
        "03 8080808010",
    );
    let lost = TaskFailure::DescriptorsLost {
        announced: 300,
        came: 7,
    };
    golden::check(&bytes_of(&lost), "04 ac02 07");
}

#[test]
fn payloads_of_tasks_chunks_and_parts_are_pinned() {
    let mut task = Vec::new();
    encode(&"hi".to_owned(), &mut task).unwrap();
    encode(&vec![1u8, 2, 3], &mut task).unwrap();
    encode(&-2i32, &mut task).unwrap();
    task.extend(encode_function(300));
    golden::check(&task, "02 6869 03 010203 03 2c010000");
    let mut task = Vec::new();
    encode_whole(&vec![1u8, 2, 3], &mut task).unwrap();
    task.extend(encode_function(300));
    golden::check(&task, "010203 2c010000");

    let mut chunk = Vec::new();
    let mut writer = ChunkWriter::new(4, &mut chunk);
    writer.push(&[0x0a]);
    writer.push(&[]);
    writer.push(&bytes_of(&vec![9u8; 2]));
    assert_eq!(writer.count(), 3);
    writer.finish();
    golden::check(&chunk, "04 03 01 0a 00 03 020909");

    let mut part = Vec::new();
    let mut writer = PartWriter::new(5, &mut part);
    writer.push(ItemOutcome::Value(&bytes_of(&7u32)));
    let failure = bytes_of(&TaskFailure::ResultTooLarge { size: 9 });
    writer.push(ItemOutcome::Failure(&failure));
    writer.push(ItemOutcome::Cancelled);
    writer.finish();
    golden::check(&part, "05 03 00 01 07 01 02 0309 02 00");
    let items: Vec<_> = PartReader::new(&part).unwrap().collect();
    let outcomes = [
        ItemOutcome::Value(&[7]),
        ItemOutcome::Failure(&failure),
        ItemOutcome::Cancelled,
    ];
    for (at, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(
            items[at],
            PartItem {
                index: 5 + at as u32,
                outcome
            }
        );
    }
}

fn record() -> Record {
    Record {
        facade: Facade::Tracing,
        level: Level::Debug,
        target: "app".to_owned(),
        name: "event".to_owned(),
        module_path: None,
        file: Some("a.rs".to_owned()),
        line: Some(300),
        message: Some("hi".to_owned()),
        fields: vec![
            ("n".to_owned(), Value::I64(-2)),
            ("s".to_owned(), Value::Str("x".to_owned())),
        ],
        spans: "f{a=1}".to_owned(),
    }
}

#[test]
fn records_are_pinned() {
    golden::check(
        &bytes_of(&record()),
        "01 03 03 617070 05 6576656e74 00 01 04 612e7273 01 ac02 01 02 6869 \
         02 01 6e 02 03 01 73 07 01 78 06 667b613d317d",
    );
    assert_eq!(Record::decode(&bytes_of(&record())), Ok(record()));
    let values = [
        Value::Null,
        Value::Bool(true),
        Value::I64(-1),
        Value::U64(1),
        Value::I128(-1),
        Value::U128(1),
        Value::F64(1.0),
        Value::Str("a".to_owned()),
        Value::Text("a".to_owned()),
    ];
    golden::check(
        &bytes_of(&values),
        "00 01 01 02 01 03 01 04 01 05 01 06 000000000000f03f 07 01 61 08 01 61",
    );
}

#[test]
fn a_record_of_more_fields_than_are_allowed_is_refused() {
    let mut record = record();
    record.fields = vec![("n".to_owned(), Value::Null); MAX_FIELDS];
    assert_eq!(Record::decode(&bytes_of(&record)), Ok(record.clone()));
    record.fields.push(("n".to_owned(), Value::Null));
    let error = Record::decode(&bytes_of(&record)).unwrap_err();
    assert_eq!(error.to_string(), "it has 33 fields, and 32 are allowed");
}

#[test]
fn what_is_left_over_after_a_value_is_an_error() {
    let mut bytes = bytes_of(&7u32);
    assert_eq!(decode(&bytes), Ok(7u32));
    bytes.push(0);
    let error = decode::<u32>(&bytes).unwrap_err();
    assert_eq!(error.to_string(), "1 bytes are left over after the value");
    let error = decode::<Vec<u8>>(&[1, 7, 7, 7]).unwrap_err();
    assert_eq!(error.to_string(), "2 bytes are left over after the value");
}

#[test]
fn another_version_of_the_protocol_is_refused_by_its_number() {
    let error = Setup::decode(&[1, 0xff]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "protocol 1 is spoken, this build knows 3"
    );
    let error = Hello::decode(&[0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "protocol 0 is spoken, this build knows 3"
    );
}

#[test]
fn an_err_is_told_from_an_ok_by_its_first_byte() {
    type Outcome = Result<u8, String>;
    assert!(!is_err(&bytes_of::<Outcome>(&Ok(1))));
    assert!(is_err(&bytes_of::<Outcome>(&Err(String::new()))));
}

#[test]
fn a_failure_to_encode_leaves_the_output_as_it_was() {
    struct Half;
    impl Serialize for Half {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            (1u8, "half").serialize(serializer)?;
            Err(serde::ser::Error::custom("lost"))
        }
    }
    let mut out = vec![1, 2];
    let error = encode(&Half, &mut out).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the type's own `Serialize` refused the value"
    );
    assert_eq!(out, [1, 2]);
}

#[test]
fn types_that_postcard_cannot_carry_are_named_as_such() {
    #[derive(Serialize, Deserialize, Debug)]
    #[serde(untagged)]
    enum Untagged {
        Number(u32),
    }
    let error = decode::<Untagged>(&[1]).unwrap_err();
    assert!(error.to_string().contains("untagged"), "{error}");
}

#[test]
fn values_nested_as_deep_as_memory_are_refused_before_the_stack_ends() {
    fn attempt(levels: usize) -> Result<(), CodecError> {
        let mut bytes = vec![2; levels];
        bytes.push(0);
        decode::<Nested>(&bytes).map(drop)
    }
    assert_eq!(attempt(100), Ok(()));
    let error = attempt(10_000_000).unwrap_err();
    assert_eq!(error.to_string(), "values are nested too deeply");
}

#[test]
fn a_claimed_length_takes_no_memory() {
    let claim = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1, 2, 3,
    ];
    assert!(decode::<Vec<u8>>(&claim).is_err());
    assert!(decode::<Vec<u64>>(&claim).is_err());
    assert!(decode::<String>(&claim).is_err());
    assert!(decode::<std::collections::HashMap<u64, u64>>(&claim).is_err());
    let claim = [0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    let error = ChunkReader::new(&claim).unwrap_err();
    assert_eq!(error.to_string(), "4294967295 items are claimed in 2 bytes");
    assert!(PartReader::new(&claim).is_err());
}

#[test]
fn parts_that_cannot_be_are_refused() {
    let refused = |bytes: &[u8]| PartReader::new(bytes).unwrap_err().to_string();
    assert_eq!(refused(&[0, 1, 3, 0]), "an item's outcome is tagged 3");
    assert_eq!(
        refused(&[0, 1, 2, 1, 0]),
        "a cancelled item comes with bytes"
    );
    assert_eq!(
        refused(&[0, 1, 0, 5, 0]),
        "the bytes end before the value does"
    );
    assert_eq!(
        refused(&[0, 1, 0, 0, 0]),
        "1 bytes are left over after the value"
    );
    assert_eq!(
        refused(&[0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0, 0]),
        "the last item's index does not fit 32 bits"
    );
}

#[test]
fn failures_say_the_same_in_the_callers_terms() {
    let text = |failure: TaskFailure| failure.into_error("app::f", 12, 100).to_string();
    let panicked = TaskFailure::Panicked {
        message: "no".to_owned(),
        location: Some("a.rs:1:2".to_owned()),
        backtrace: Some("0: f".to_owned()),
    };
    let TaskError::Panicked(panic) = panicked.clone().into_error("app::f", 12, 100) else {
        panic!("another error");
    };
    assert_eq!(panic.backtrace.as_deref(), Some("0: f"));
    assert_eq!(
        text(panicked),
        "`app::f` panicked in process 12 at a.rs:1:2: no"
    );
    assert_eq!(
        text(TaskFailure::ArgumentNotDecoded("no".to_owned())),
        "`app::f` was not called: its argument does not decode: no"
    );
    assert_eq!(
        text(TaskFailure::ResultNotEncoded("no".to_owned())),
        "the result of `app::f` does not encode: no"
    );
    assert_eq!(
        text(TaskFailure::ResultTooLarge { size: 101 }),
        "the result of `app::f` takes 101 bytes, `max_frame` allows 100"
    );
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (
        any::<[Option<u64>; 4]>(),
        any::<Option<i32>>(),
        vec(any::<u32>(), 0..20),
        proptest::option::of(vec(any::<u8>(), 0..40)),
    )
        .prop_map(|(numbers, niceness, cpus, directory)| {
            let [address_space, cpu_time_ms, open_files, core_size] = numbers;
            Limits {
                address_space,
                cpu_time_ms,
                open_files,
                core_size,
                niceness,
                cpus,
                directory,
            }
        })
}

fn any_level() -> impl Strategy<Value = Level> {
    select(vec![
        Level::Error,
        Level::Warn,
        Level::Info,
        Level::Debug,
        Level::Trace,
    ])
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let level = || proptest::option::of(any_level());
    (level(), level()).prop_map(|(log, tracing)| Wanted { log, tracing })
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        any::<i128>().prop_map(Value::I128),
        any::<u128>().prop_map(Value::U128),
        // Not NaN, which is not equal to itself.
        any::<i32>().prop_map(|value| Value::F64(value.into())),
        text().prop_map(Value::Str),
        text().prop_map(Value::Text),
    ]
}

fn any_record() -> impl Strategy<Value = Record> {
    let maybe = || proptest::option::of(text());
    (
        any::<bool>(),
        any_level(),
        [text(), text(), text()],
        [maybe(), maybe(), maybe()],
        any::<Option<u32>>(),
        vec((text(), any_value()), 0..MAX_FIELDS),
    )
        .prop_map(|(is_log, level, texts, others, line, fields)| {
            let [target, name, spans] = texts;
            let [module_path, file, message] = others;
            Record {
                facade: if is_log { Facade::Log } else { Facade::Tracing },
                level,
                target,
                name,
                module_path,
                file,
                line,
                message,
                fields,
                spans,
            }
        })
}

fn any_setup() -> impl Strategy<Value = Setup> {
    (
        any::<(u64, u32, u32, u64)>(),
        any::<[bool; 5]>(),
        vec(any::<i32>(), 0..300),
        any_wanted(),
        any_limits(),
        proptest::option::of(any_process()),
    )
        .prop_map(
            |((registry, worker, depth, max_frame), are_set, kept, records, limits, process)| {
                let [initializer, own_binary, stdout, tells_memory, is_captured] = are_set;
                Setup {
                    protocol: PROTOCOL,
                    registry,
                    worker,
                    depth,
                    max_frame,
                    initializer,
                    own_binary,
                    kept,
                    stdout,
                    tells_memory,
                    is_captured,
                    records,
                    limits,
                    process,
                }
            },
        )
}

fn any_process() -> impl Strategy<Value = ProcessSetup> {
    (text(), any::<(bool, u64, u16)>()).prop_map(|(name, (is_daemon, len, handles))| ProcessSetup {
        name,
        is_daemon,
        len,
        handles,
    })
}

fn any_hello() -> impl Strategy<Value = Hello> {
    let binary = any::<Option<(u64, u64, u64, (i64, u32))>>().prop_map(|id| {
        id.map(|(dev, ino, size, mtime)| BinaryId {
            dev,
            ino,
            size,
            mtime,
        })
    });
    (
        any::<u64>(),
        vec((text(), any::<u64>()), 0..200),
        any::<u32>(),
        binary,
        any::<(u64, bool)>(),
    )
        .prop_map(
            |(registry, functions, pid, binary, (peak_kib, peak_is_own))| Hello {
                protocol: PROTOCOL,
                registry,
                functions,
                pid,
                binary,
                peak_kib,
                peak_is_own,
            },
        )
}

fn any_failure() -> impl Strategy<Value = TaskFailure> {
    prop_oneof![
        (
            text(),
            proptest::option::of(text()),
            proptest::option::of(text())
        )
            .prop_map(|(message, location, backtrace)| TaskFailure::Panicked {
                message,
                location,
                backtrace
            }),
        text().prop_map(TaskFailure::ArgumentNotDecoded),
        text().prop_map(TaskFailure::ResultNotEncoded),
        any::<u64>().prop_map(|size| TaskFailure::ResultTooLarge { size }),
        any::<(u16, u16)>()
            .prop_map(|(announced, came)| TaskFailure::DescriptorsLost { announced, came }),
    ]
}

/// A message comes back whole, comes back from no shorter prefix, and is decoded without a panic
/// whichever byte is wrong.
fn check_message<T>(which: u8, value: &T, at: Index, flip: u8) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug + 'static,
{
    let mut bytes = bytes_of(value);
    prop_assert_eq!(&decode::<T>(&bytes).unwrap(), value);
    prop_assert!(decode::<T>(&bytes[..at.index(bytes.len())]).is_err());
    let place = at.index(bytes.len());
    bytes[place] ^= flip;
    bytes.insert(0, which);
    fuzz(&bytes);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_setup_comes_back(value in any_setup(), at: Index, flip in 1..=255u8) {
        check_message(0, &value, at, flip)?;
    }

    #[test]
    fn a_hello_comes_back(value in any_hello(), at: Index, flip in 1..=255u8) {
        check_message(1, &value, at, flip)?;
    }

    #[test]
    fn a_failure_comes_back(value in any_failure(), at: Index, flip in 1..=255u8) {
        check_message(2, &value, at, flip)?;
    }

    #[test]
    fn a_record_comes_back(value in any_record(), at: Index, flip in 1..=255u8) {
        check_message(9, &value, at, flip)?;
    }

    #[test]
    fn a_chunk_comes_back(
        function: u32,
        items in vec(vec(any::<u8>(), 0..300), 0..200),
        at: Index,
        flip in 1..=255u8,
    ) {
        let mut payload = vec![3];
        let mut writer = ChunkWriter::new(function, &mut payload);
        for item in &items {
            writer.push(item);
        }
        prop_assert_eq!(writer.count() as usize, items.len());
        writer.finish();
        let reader = ChunkReader::new(&payload[1..]).unwrap();
        prop_assert_eq!(reader.function(), function);
        prop_assert_eq!(reader.len(), items.len());
        prop_assert!(reader.eq(items.iter().map(|item| &item[..])));
        let place = 1 + at.index(payload.len() - 1);
        prop_assert!(ChunkReader::new(&payload[1..place]).is_err());
        payload[place] ^= flip;
        fuzz(&payload);
    }

    #[test]
    fn a_part_comes_back(
        first in 0..u32::MAX - 200,
        items in vec((0..3u8, vec(any::<u8>(), 0..300)), 0..200),
        at: Index,
        flip in 1..=255u8,
    ) {
        let outcome = |at: usize| match &items[at] {
            (0, bytes) => ItemOutcome::Value(bytes),
            (1, bytes) => ItemOutcome::Failure(bytes),
            _ => ItemOutcome::Cancelled,
        };
        let mut payload = vec![4];
        let mut writer = PartWriter::new(first, &mut payload);
        for at in 0..items.len() {
            writer.push(outcome(at));
        }
        prop_assert_eq!(writer.count() as usize, items.len());
        writer.finish();
        let reader = PartReader::new(&payload[1..]).unwrap();
        let expected = (0..items.len()).map(|at| PartItem { index: first + at as u32, outcome: outcome(at) });
        prop_assert!(reader.eq(expected));
        let place = 1 + at.index(payload.len() - 1);
        prop_assert!(PartReader::new(&payload[1..place]).is_err());
        payload[place] ^= flip;
        fuzz(&payload);
    }

    #[test]
    fn bytes_are_encoded_as_postcard_does(bytes in vec(any::<u8>(), 0..70_000)) {
        let ours = bytes_of(&bytes);
        prop_assert!(ours == postcard::to_stdvec(&bytes).unwrap());
        prop_assert!(decode::<Vec<u8>>(&ours).unwrap() == bytes);
        // Inside of a tuple there is no short cut, and no difference.
        prop_assert!(decode::<(Vec<u8>,)>(&ours).unwrap().0 == bytes);
    }

    #[test]
    fn values_are_encoded_as_postcard_does(value: (u64, i32, f64, Option<char>, Vec<u16>, (bool, String))) {
        let ours = bytes_of(&value);
        prop_assert_eq!(&ours, &postcard::to_stdvec(&value).unwrap());
    }

    #[test]
    fn a_number_of_a_function_comes_back(index: u32, mut bytes in vec(any::<u8>(), 0..20)) {
        let arguments = bytes.clone();
        bytes.extend(encode_function(index));
        prop_assert!(split_function(bytes[..].into()).unwrap() == (index, arguments.as_slice().into()));
        prop_assert!(split_function(bytes.into()).unwrap() == (index, arguments.into()));
    }

    #[test]
    fn a_whole_value_comes_back(bytes in vec(any::<u8>(), 0..10_000), text: String) {
        let mut whole = Vec::new();
        encode_whole(&bytes, &mut whole).unwrap();
        prop_assert_eq!(&whole, &bytes);
        prop_assert_eq!(&decode_whole::<Vec<u8>>(&whole[..]).unwrap(), &bytes);
        let mut owned = Vec::new();
        encode_owned(bytes.clone(), &mut owned).unwrap();
        prop_assert_eq!(&decode_whole::<Vec<u8>>(owned).unwrap(), &bytes);
        let mut behind = vec![1];
        encode_owned(bytes.clone(), &mut behind).unwrap();
        prop_assert_eq!(&behind[1..], &bytes);
        prop_assert!(decode_whole::<String>(bytes_of(&text)).unwrap() == text);
        let mut owned = Vec::new();
        encode_owned(text.clone(), &mut owned).unwrap();
        prop_assert_eq!(owned, bytes_of(&text));
    }

    #[test]
    fn any_bytes_whatsoever_are_decoded_without_a_panic(data in vec(any::<u8>(), 0..200)) {
        fuzz(&data);
    }
}

#[test]
fn outcomes_written_in_place_are_those_that_are_pushed() {
    let long = vec![7; 300];
    let outcomes = [
        ItemOutcome::Value(b"short"),
        ItemOutcome::Failure(&long),
        ItemOutcome::Cancelled,
        ItemOutcome::Value(&long),
        ItemOutcome::Value(&[]),
    ];
    let (mut pushed, mut in_place) = (Vec::new(), Vec::new());
    let mut one = PartWriter::new(3, &mut pushed);
    let mut other = PartWriter::new(3, &mut in_place);
    for outcome in outcomes {
        one.push(outcome);
        let (tag, bytes) = match outcome {
            ItemOutcome::Value(bytes) => (OutcomeTag::Value, bytes),
            ItemOutcome::Failure(bytes) => (OutcomeTag::Failure, bytes),
            ItemOutcome::Cancelled => (OutcomeTag::Cancelled, &[][..]),
        };
        let begun = other.begin();
        other.out().extend_from_slice(b"given up");
        assert_eq!(other.take_back(begun), b"given up");
        let begun = other.begin();
        other.out().extend_from_slice(bytes);
        other.end(begun, tag);
    }
    one.finish();
    other.finish();
    assert_eq!(pushed, in_place);
}

#[test]
fn what_has_been_sent_of_a_part_is_left_out() {
    let whole = |first, values: &[&[u8]]| {
        let mut payload = Vec::new();
        let mut part = PartWriter::new(first, &mut payload);
        values
            .iter()
            .for_each(|value| part.push(ItemOutcome::Value(value)));
        part.finish();
        payload
    };
    let values = [&[1][..], &[2, 2], &[], &[4]];
    // The second has a longer number.
    for first in [5, 125] {
        let kept = &whole(first, &values)[2..];
        for skip in 0..4 {
            let left = whole(first + skip, &values[skip as usize..]);
            assert_eq!(part_of(first, skip, 4, kept), Some(left.clone()));
            let mut payload = Vec::new();
            let mut part = PartWriter::new(first, &mut payload);
            let start = part.len();
            let mut sent = 0;
            for (index, value) in (0..).zip(values) {
                if index == skip {
                    sent = part.len() - start;
                }
                part.push(ItemOutcome::Value(value));
            }
            part.forget_first(skip, sent);
            part.finish();
            assert_eq!(payload, left);
        }
        assert_eq!(part_of(first, 4, 4, kept), None);
        assert_eq!(part_of(first, 5, 4, kept), None);
        assert_eq!(part_of(first, 0, 5, kept), None);
        assert_eq!(part_of(u32::MAX, 1, 4, kept), None);
    }
}
