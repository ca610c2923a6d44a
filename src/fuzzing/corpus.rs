//! The seeds of `fuzz/corpus`, and the replay of everything that is there.
//!
//! `cargo test --lib write_the_seeds -- --ignored` writes the seeds. The fuzzer adds files of its
//! own beside them; those that found something are committed, and are replayed here with the others
//! from then on.

use std::fs;
use std::path::{Path, PathBuf};

use super::TARGETS;
use crate::frame::{self, FLAG_IN_TASK, FLAG_LAST, Header, Kind, MAX_RECORD};
use crate::wire::{
    self, BinaryId, ChunkWriter, Facade, Hello, ItemOutcome, Level, Limits, MAX_FIELDS, PartWriter,
    ProcessSetup, Record, Setup, TaskFailure, Value, Wanted,
};

#[test]
fn everything_in_the_corpora_is_replayed() {
    if is_published_package() {
        return;
    }
    for (target, run) in TARGETS {
        for entry in fs::read_dir(corpus(target)).expect("every target has a corpus") {
            let path = entry.expect("the corpus can be listed").path();
            let data = fs::read(&path).expect("the corpus can be read");
            println!("{}", path.display());
            run(&data);
        }
    }
}

#[test]
fn seeds_are_what_this_version_writes() {
    if is_published_package() {
        return;
    }
    for (target, name, bytes) in seeds() {
        let found = fs::read(corpus(target).join(name)).ok();
        assert!(
            found == Some(bytes),
            "{target}/{name}: `cargo test --lib write_the_seeds -- --ignored`"
        );
    }
}

#[test]
#[ignore = "writes fuzz/corpus"]
fn write_the_seeds() {
    for (target, name, bytes) in seeds() {
        fs::create_dir_all(corpus(target)).expect("the corpus can be made");
        fs::write(corpus(target).join(name), bytes).expect("the corpus can be written");
    }
}

/// The published package leaves `fuzz` out, and its tests still pass.
fn is_published_package() -> bool {
    !Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").exists()
}

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target)
}

fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (name, limit, step, stream) in frame_seeds() {
        seeds.push(("frame", name, [&[limit, step], &stream[..]].concat()));
    }
    for (name, which, payload) in message_seeds() {
        seeds.push(("message", name, [&[which], &payload[..]].concat()));
    }
    for (name, limit, packets) in packet_seeds() {
        let mut bytes = vec![limit];
        for (beside, packet) in packets {
            bytes.extend((packet.len() as u16).to_le_bytes());
            bytes.push(beside);
            bytes.extend(packet);
        }
        seeds.push(("packets", name, bytes));
    }
    for (name, bytes) in crate::manager::fuzz::handshake_seeds() {
        seeds.push(("handshake", name, bytes));
    }
    for (name, bytes) in crate::manager::fuzz::request_seeds() {
        seeds.push(("requests", name, bytes));
    }
    // The scheduler reads events out of plain bytes: nothing, the same event again and again, and
    // some of each.
    seeds.push(("scheduler", "nothing", vec![0]));
    seeds.push(("scheduler", "ascending", (0..=255).collect()));
    seeds.push(("scheduler", "descending", (0..=255).rev().collect()));
    let scattered = (0..512u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
    seeds.push(("scheduler", "scattered", scattered.collect()));
    let few = (0..512u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 % 11);
    seeds.push(("scheduler", "few-kinds", few.collect()));
    seeds
}

/// How many descriptors are beside a packet, and its bytes.
type Packet = (u8, Vec<u8>);

/// Name, choice of `max_message`, and packets with how many descriptors are beside each.
fn packet_seeds() -> Vec<(&'static str, u8, Vec<Packet>)> {
    const FIRST: u8 = 1;
    const LAST: u8 = 2;
    const ABANDONED: u8 = 8;
    let packet = |total: u64, offset: u64, tag: [u8; 8], handles: [u8; 2], flags, bytes: &[u8]| {
        let [of_message, beside] = handles;
        let mut packet = [total.to_le_bytes(), offset.to_le_bytes(), tag].concat();
        packet.extend([of_message, 0, beside, 0, flags, 1, 0, 0]);
        packet.extend(bytes);
        (beside, packet)
    };
    let (one, other) = ([1; 8], [2; 8]);
    let small = packet(3, 0, one, [0, 0], FIRST | LAST, b"abc");
    let with_handles = packet(1, 0, one, [2, 2], FIRST | LAST, b"a");
    let first = packet(10, 0, one, [3, 2], FIRST, b"01234");
    let second = packet(10, 5, one, [3, 0], 0, b"567");
    let last = packet(10, 8, one, [3, 1], LAST, b"89");
    let first_of_other = packet(6, 0, other, [0, 0], FIRST, b"012");
    let last_of_other = packet(6, 3, other, [0, 0], LAST, b"345");
    let endless = packet(u64::MAX, 0, one, [0, 0], FIRST, b"0");
    let given_up = packet(0, 0, one, [0, 0], ABANDONED, b"");
    let long = packet(40_000, 0, one, [0, 0], FIRST, &[7; 20_000]);
    let rest = packet(40_000, 20_000, one, [0, 0], LAST, &[7; 20_000]);
    let mut unknown = small.clone();
    unknown.1[29] = 9;
    vec![
        ("one", 4, vec![small.clone(), with_handles]),
        (
            "in-parts",
            4,
            vec![first.clone(), second.clone(), last.clone()],
        ),
        (
            "of-two",
            4,
            vec![
                first.clone(),
                first_of_other.clone(),
                second.clone(),
                last_of_other.clone(),
                last.clone(),
            ],
        ),
        (
            "lost-parts",
            4,
            vec![first.clone(), last.clone(), last_of_other, first_of_other],
        ),
        ("given-up", 4, vec![first.clone(), given_up, second]),
        ("begun-twice", 4, vec![first.clone(), first, last]),
        ("endless", 6, vec![endless, small.clone()]),
        (
            "too-long",
            2,
            vec![long.clone(), rest.clone(), small.clone()],
        ),
        ("long", 5, vec![long, rest, small]),
        ("of-another-version", 4, vec![unknown]),
    ]
}

/// Name, choice of `max_frame`, choice of step, stream.
fn frame_seeds() -> Vec<(&'static str, u8, u8, Vec<u8>)> {
    let frame = |header: Header, payload: &[u8]| {
        let mut bytes = Vec::new();
        let start = frame::begin(&mut bytes);
        bytes.extend_from_slice(payload);
        frame::finish(&mut bytes, start, header);
        bytes
    };
    let done = frame(Header::new(Kind::Done, 7, 3), b"result");
    let mut last = Header::new(Kind::Part, 8, 4);
    last.flags = FLAG_LAST;
    let part = frame(last, &[0, 1, 2, 0]);
    let passed = frame(Header::new(Kind::Passed, 0, 9), &[]);
    let goodbye = frame(Header::new(Kind::Goodbye, 0, 0), &[]);
    let large = frame(Header::new(Kind::Done, 9, 5), &[7; 9_000]);
    let mut endless = Header::new(Kind::Done, 1, 1);
    endless.len = 1 << 39;
    let endless = [&endless.encode()[..], &[7; 100]].concat();
    let mut unknown = done.clone();
    unknown[16] = 99;
    let mut handles = done.clone();
    handles[18] = 1;
    let mut misplaced = passed.clone();
    misplaced[18] = 1;
    let mut record = Header::new(Kind::Record, 0, 3);
    record.flags = FLAG_IN_TASK;
    let record = frame(record, b"said");
    let mut long_record = Header::new(Kind::Record, 0, 0);
    long_record.len = MAX_RECORD + 1;
    let mut flags = done.clone();
    flags[17] = 0x80;
    let sequence = [&done[..], &part, &passed, &large, &goodbye].concat();
    vec![
        ("one", 3, 255, done.clone()),
        ("byte-by-byte", 3, 0, sequence.clone()),
        ("some-at-a-time", 3, 5, sequence),
        (
            "at-limit",
            2,
            2,
            frame(Header::new(Kind::Done, 1, 1), &[1; 100]),
        ),
        (
            "past-limit",
            2,
            2,
            frame(Header::new(Kind::Done, 1, 1), &[1; 101]),
        ),
        ("large-claim", 6, 9, endless),
        ("cut-in-header", 3, 1, done[..20].to_vec()),
        ("cut-in-payload", 3, 1, done[..27].to_vec()),
        ("record", 3, 1, record),
        ("record-too-long", 6, 9, long_record.encode().to_vec()),
        ("unknown-kind", 3, 1, unknown),
        ("handles", 3, 1, handles),
        ("handles-where-none-belong", 3, 1, misplaced),
        ("unknown-flags", 3, 1, flags),
    ]
}

/// Name, choice of type, payload.
fn message_seeds() -> Vec<(&'static str, u8, Vec<u8>)> {
    fn bytes_of<T: serde::Serialize + 'static>(value: &T) -> Vec<u8> {
        let mut out = Vec::new();
        wire::encode(value, &mut out).expect("a seed encodes");
        out
    }
    let setup = Setup {
        protocol: wire::PROTOCOL,
        registry: 0x0123_4567_89ab_cdef,
        worker: 2,
        depth: 1,
        max_frame: 1 << 30,
        initializer: true,
        own_binary: true,
        kept: vec![3, 4],
        stdout: false,
        tells_memory: false,
        is_captured: true,
        records: Wanted {
            log: None,
            tracing: Some(Level::Trace),
        },
        limits: Limits {
            address_space: Some(1 << 32),
            cpu_time_ms: Some(1500),
            open_files: None,
            core_size: Some(0),
            niceness: Some(19),
            cpus: vec![1],
            directory: Some(b"/".to_vec()),
        },
        process: Some(ProcessSetup {
            name: "app".to_owned(),
            is_daemon: true,
            len: 300,
            handles: 2,
        }),
    };
    let hello = Hello {
        protocol: wire::PROTOCOL,
        registry: 300,
        functions: vec![("app::f".to_owned(), 7), ("app::g".to_owned(), 1 << 60)],
        pid: 4711,
        binary: Some(BinaryId {
            dev: 1,
            ino: 2,
            size: 3,
            mtime: (-4, 5),
        }),
        peak_kib: 5000,
        peak_is_own: false,
    };
    let panicked = TaskFailure::Panicked {
        message: "no".to_owned(),
        location: Some("a.rs:1:2".to_owned()),
        backtrace: Some("0: f".to_owned()),
    };
    let mut chunk = Vec::new();
    let mut writer = ChunkWriter::new(300, &mut chunk);
    writer.push(&[1]);
    writer.push(&[]);
    writer.push(&[2; 130]);
    writer.finish();
    let mut part = Vec::new();
    let mut writer = PartWriter::new(5, &mut part);
    writer.push(ItemOutcome::Value(&[7]));
    writer.push(ItemOutcome::Failure(&bytes_of(
        &TaskFailure::ResultTooLarge { size: 9 },
    )));
    writer.push(ItemOutcome::Cancelled);
    writer.finish();
    let mut task = Vec::new();
    task.extend(bytes_of(&("hi".to_owned(), vec![1u8, 2, 3], Some(-2i64))));
    task.extend(wire::encode_function(300));
    let record = Record {
        facade: Facade::Log,
        level: Level::Warn,
        target: "app".to_owned(),
        name: String::new(),
        module_path: Some("app::inner".to_owned()),
        file: None,
        line: Some(7),
        message: Some("low on disk".to_owned()),
        fields: vec![
            ("null".to_owned(), Value::Null),
            ("left".to_owned(), Value::U64(300)),
            ("part".to_owned(), Value::F64(f64::NAN)),
            ("path".to_owned(), Value::Str("/".to_owned())),
            ("debug".to_owned(), Value::Text("Some(1)".to_owned())),
        ],
        spans: "outer{a=1}:inner".to_owned(),
    };
    let crowded = Record {
        fields: vec![(String::new(), Value::Null); MAX_FIELDS + 1],
        ..record.clone()
    };
    vec![
        ("record", 9, bytes_of(&record)),
        ("record-of-too-many-fields", 9, bytes_of(&crowded)),
        ("setup", 0, bytes_of(&setup)),
        ("setup-of-another-protocol", 0, vec![2]),
        ("hello", 1, bytes_of(&hello)),
        ("panicked", 2, bytes_of(&panicked)),
        (
            "argument-not-decoded",
            2,
            bytes_of(&TaskFailure::ArgumentNotDecoded("no".to_owned())),
        ),
        (
            "result-not-encoded",
            2,
            bytes_of(&TaskFailure::ResultNotEncoded("no".to_owned())),
        ),
        (
            "result-too-large",
            2,
            bytes_of(&TaskFailure::ResultTooLarge { size: 1 << 40 }),
        ),
        ("chunk", 3, chunk),
        (
            "chunk-of-too-many",
            3,
            vec![0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0],
        ),
        ("part", 4, part),
        (
            "part-past-the-last-index",
            4,
            vec![0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0, 0],
        ),
        ("task", 5, task),
        ("bytes", 6, bytes_of(&vec![1u8; 200])),
        (
            "bytes-claimed",
            6,
            vec![
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 7,
            ],
        ),
        ("nested", 7, [&[1, 2], &[2; 20][..], &[0, 1, 1, 0]].concat()),
        ("nested-too-deeply", 7, vec![2; 10_000]),
        (
            "mixed",
            8,
            bytes_of(&(
                vec![(1u64, 0.5f32)],
                [("k", Some('c'))],
                Err::<i128, _>([1u16, 2, 3]),
            )),
        ),
    ]
}
