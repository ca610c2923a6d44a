//! A worker that does not keep to the protocol costs itself and the task that it was running, and
//! nothing else.

mod support;

use std::fs::{self, OpenOptions};
use std::io::{IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, RawFd};
use std::path::PathBuf;

use procession::{EndOfWorker, ProcessPoolExecutor, Shutdown, TaskError, WorkerLost};
use serde::{Deserialize, Serialize};
use support::{Case, Gate, GateKeeper};

fn main() {
    support::run(|| {
        let mut cases: Vec<Case> = garbage()
            .into_iter()
            .map(|(name, bytes, said)| {
                let run = move || costs_one_worker_and_one_task(&bytes, said);
                Case::new(format!("a_worker_is_killed_for_{name}"), run)
            })
            .collect();
        cases.extend(support::tests![
            a_worker_that_closes_its_pipe_and_goes_on_is_killed,
            a_task_that_closes_its_workers_pipe_and_returns_is_named,
            an_answer_to_more_items_than_were_sent_is_not_taken_apart,
            a_worker_that_ends_within_a_frame_is_named_with_its_end,
            half_a_frame_does_not_keep_a_pool_from_ending,
            a_claimed_length_is_not_allocated,
            a_forged_result_costs_the_worker_when_the_real_one_comes,
            garbage_on_the_status_page_is_believed_in_nothing,
            a_worker_that_writes_to_its_control_socket_is_not_listened_to,
            a_worker_that_closes_everything_is_lost,
            a_worker_that_sends_other_descriptors_is_killed,
            descriptors_that_nobody_was_told_of_are_closed,
            a_part_with_descriptors_is_about_one_result,
            descriptors_that_stay_away_cost_one_task,
        ]);
        cases
    });
}

// ---- what is sent ----

/// Kinds of frames, as docs/wire-format.md numbers them.
mod kind {
    pub(crate) const TASK: u8 = 1;
    pub(crate) const GOODBYE: u8 = 4;
    pub(crate) const HELLO: u8 = 16;
    pub(crate) const READY: u8 = 17;
    pub(crate) const DONE: u8 = 18;
    pub(crate) const FAILED: u8 = 19;
    pub(crate) const PART: u8 = 20;
    pub(crate) const PASSED: u8 = 21;
    pub(crate) const INITIALIZER_FAILED: u8 = 22;
    pub(crate) const RECORD: u8 = 23;
}

/// A header, as docs/wire-format.md has it.
struct Header {
    len: u64,
    task: u64,
    kind: u8,
    flags: u8,
    handles: u16,
    seq: u32,
}

impl Header {
    /// About the first task of a pool.
    fn of(kind: u8) -> Self {
        Self {
            len: 0,
            task: 0,
            kind,
            flags: 0,
            handles: 0,
            seq: 0,
        }
    }

    fn with(self, payload: &[u8]) -> Vec<u8> {
        let len = payload.len() as u64;
        [Self { len, ..self }.bytes().as_slice(), payload].concat()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.len.to_le_bytes());
        bytes.extend(self.task.to_le_bytes());
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.handles.to_le_bytes());
        bytes.extend(self.seq.to_le_bytes());
        bytes
    }
}

/// Names, bytes, and what is said of a worker that sends them.
fn garbage() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let of = Header::of;
    vec![
        (
            "garbage",
            vec![0xff; 64],
            "sent a frame of unknown kind 255",
        ),
        (
            "a_text",
            b"Hello, world! This is no frame at all.\n".to_vec(),
            "sent a frame of unknown kind 105",
        ),
        (
            "a_huge_length",
            Header {
                len: u64::MAX,
                ..of(kind::DONE)
            }
            .bytes(),
            "sent a frame of 18446744073709551615 bytes where `max_frame` allows 4294967296",
        ),
        (
            "another_task",
            Header {
                task: 1000,
                ..of(kind::DONE)
            }
            .bytes(),
            "sent a result for task 1000 with sequence number 0, which it had not begun",
        ),
        (
            "another_sequence_number",
            Header {
                seq: 1,
                ..of(kind::DONE)
            }
            .bytes(),
            "sent a result for task 0 with sequence number 1, which it had not begun",
        ),
        (
            "a_task",
            of(kind::TASK).with(&[0]),
            "sent a `Task` frame, which travels the other way",
        ),
        (
            "a_goodbye",
            of(kind::GOODBYE).bytes(),
            "sent a `Goodbye` frame, which travels the other way",
        ),
        (
            "unknown_flags",
            Header {
                flags: 0x80,
                ..of(kind::DONE)
            }
            .bytes(),
            "sent a frame with unknown flags 0x80",
        ),
        (
            "handles",
            Header {
                handles: 3,
                ..of(kind::DONE)
            }
            .bytes(),
            "sent a frame that announces 3 descriptors, and none",
        ),
        (
            "handles_where_none_belong",
            Header {
                handles: 3,
                ..of(kind::PASSED)
            }
            .bytes(),
            "sent a `Passed` frame that announces 3 descriptors where none belong",
        ),
        (
            "a_payload_where_none_belongs",
            of(kind::PASSED).with(&[1, 2, 3]),
            "sent a `Passed` frame with a payload of 3 bytes where none belongs",
        ),
        (
            "a_failure_that_is_none",
            of(kind::FAILED).with(&[0xee]),
            "sent a `Failed` frame that does not decode: ",
        ),
        (
            "a_part_of_no_chunk",
            of(kind::PART).with(&[0, 0]),
            "sent a part of task 0, which is no chunk",
        ),
        (
            "a_part_that_is_none",
            of(kind::PART).with(&[0xff; 3]),
            "sent a `Part` frame that does not decode: ",
        ),
        (
            "a_second_hello",
            of(kind::HELLO).with(&[1, 0, 0, 0, 0]),
            "sent a `Hello` frame ",
        ),
        (
            "being_ready_twice",
            of(kind::READY).bytes(),
            "sent a `Ready` frame after its start",
        ),
        (
            "a_late_failure_of_the_initializer",
            of(kind::INITIALIZER_FAILED).with(&[1, 0]),
            "sent an `InitializerFailed` frame after its start",
        ),
        (
            "a_record_that_nobody_asked_for",
            of(kind::RECORD).with(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            "sent a record that nobody had asked for",
        ),
        (
            "a_record_that_is_none",
            of(kind::RECORD).with(&[2]),
            "sent a `Record` frame that does not decode: ",
        ),
        (
            "having_skipped_its_task",
            of(kind::PASSED).bytes(),
            "sent that it skipped the task with sequence number 0, which was not taken back",
        ),
        (
            "having_skipped_what_it_never_had",
            Header {
                seq: 7,
                ..of(kind::PASSED)
            }
            .bytes(),
            "sent that it skipped the task with sequence number 7, which was not taken back",
        ),
    ]
}

// ---- tasks ----

/// What a task does after it has written.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Then {
    Hang,
    Return,
    Exit(i32),
}

/// Writes to the result pipe of the worker that runs it.
#[procession::task]
fn write_raw(bytes: Vec<u8>, then: Then) -> u32 {
    let number = own(|target, flags| target.starts_with("pipe:") && flags & 3 == 1);
    // Another open file of the same pipe.
    let pipe = OpenOptions::new().write(true).open(place(number));
    pipe.and_then(|mut pipe| pipe.write_all(&bytes))
        .expect("the result pipe");
    match then {
        Then::Hang => hang(),
        Then::Return => 7,
        Then::Exit(code) => std::process::exit(code),
    }
}

/// Closes the result pipe of the worker that runs it, and goes on.
#[procession::task]
fn close_results() {
    close(own(|target, flags| {
        target.starts_with("pipe:") && flags & 3 == 1
    }));
    hang()
}

#[procession::task]
fn close_results_and_return() {
    close(own(|target, flags| {
        target.starts_with("pipe:") && flags & 3 == 1
    }));
}

/// Closes everything that is open but for the standard streams, as a program may that wants to be
/// alone.
#[procession::task]
fn close_everything() {
    for (number, ..) in descriptors() {
        close(number);
    }
    hang()
}

/// Fills the status page of the worker that runs it.
#[procession::task]
fn fill_the_page(byte: u8) -> u32 {
    let maps = fs::read_to_string("/proc/self/maps").expect("the mappings");
    let page = maps.lines().find(|line| line.contains("procession-status"));
    let start = page
        .and_then(|line| line.split('-').next())
        .expect("the page");
    let start = u64::from_str_radix(start, 16).expect("its address");
    let memory = OpenOptions::new()
        .write(true)
        .open("/proc/self/mem")
        .expect("memory");
    std::os::unix::fs::FileExt::write_all_at(&memory, &[byte; 4096], start).expect("to fill it");
    42
}

/// Sends something to the driver that it does not expect there.
#[procession::task]
fn write_to_the_control_socket(count: u32) -> u32 {
    let number = own(|target, _| target.starts_with("socket:"));
    // SAFETY: the worker keeps it open for as long as it lives.
    let socket = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    for _ in 0..count {
        let flags = rustix::net::SendFlags::DONTWAIT;
        if rustix::net::send(socket, b"procession: init() was never reached", flags).is_err() {
            break;
        }
    }
    42
}

/// Sends messages with so many descriptors each on the control socket, then a frame.
#[procession::task]
fn send_beside(messages: Vec<(Vec<u8>, usize)>, frame: Vec<u8>) -> u32 {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let number = own(|target, _| target.starts_with("socket:"));
    // SAFETY: the worker keeps it open for as long as it lives.
    let socket = unsafe { BorrowedFd::borrow_raw(number) };
    let null = fs::File::open("/dev/null").expect("/dev/null");
    for (bytes, count) in messages {
        let descriptors = vec![null.as_fd(); count];
        let rights = SendAncillaryMessage::ScmRights(&descriptors);
        let mut space = vec![MaybeUninit::uninit(); rights.size()];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(count == 0 || ancillary.push(rights));
        let flags = SendFlags::empty();
        sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, flags).expect("to send");
    }
    if !frame.is_empty() {
        let number = own(|target, flags| target.starts_with("pipe:") && flags & 3 == 1);
        let pipe = OpenOptions::new().write(true).open(place(number));
        let written = pipe.and_then(|mut pipe| pipe.write_all(&frame));
        written.expect("the result pipe");
    }
    7
}

#[procession::task]
fn answer() -> u32 {
    42
}

#[procession::task]
fn pass(gate: Gate, value: u32) -> u32 {
    gate.pass(value);
    value
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

/// The open descriptors above 2, with what they are and their flags.
fn descriptors() -> Vec<(RawFd, String, u32)> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc/self/fd");
    let numbers: Vec<RawFd> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    let describe = |number| {
        let target = fs::read_link(place(number)).ok()?;
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
        Some((number, target.to_string_lossy().into_owned(), flags))
    };
    numbers
        .into_iter()
        .filter(|number| *number > 2)
        .filter_map(describe)
        .collect()
}

/// The one descriptor that is like this.
fn own(is_it: impl Fn(&str, u32) -> bool) -> RawFd {
    let all = descriptors();
    let mut found = all
        .iter()
        .filter(|(_, target, flags)| is_it(target, *flags));
    match (found.next(), found.next()) {
        (Some((number, ..)), None) => *number,
        _ => panic!("not one of {all:?}"),
    }
}

fn place(number: RawFd) -> PathBuf {
    format!("/proc/self/fd/{number}").into()
}

fn close(number: RawFd) {
    // SAFETY: of what owns it in this process nothing runs again: the task never returns.
    unsafe { rustix::io::close(number) };
}

// ---- tests ----

fn pool(workers: usize) -> ProcessPoolExecutor {
    let pool = ProcessPoolExecutor::builder().max_workers(workers).build();
    pool.expect("a pool")
}

#[track_caller]
fn malformed(outcome: Result<u32, TaskError>) -> (WorkerLost, String) {
    match outcome {
        Err(TaskError::WorkerLost(lost)) => match lost.end.clone() {
            EndOfWorker::Malformed(what) => (*lost, what.to_string()),
            _ => panic!("{lost}"),
        },
        other => panic!("{other:?}"),
    }
}

fn costs_one_worker_and_one_task(bytes: &[u8], said: &str) {
    for then in [Then::Hang, Then::Return] {
        let keeper = GateKeeper::new();
        let pool = pool(2);
        let guilty = pool.submit(write_raw, (bytes.to_vec(), then));
        // One that runs in the other worker meanwhile, and some that wait.
        let innocent = pool.submit(pass, (keeper.gate(), 5)).unwrap();
        let waiting: Vec<_> = (0..10).map(|_| pool.submit(answer, ()).unwrap()).collect();
        let (lost, what) = malformed(guilty.unwrap().wait());
        assert!(what.starts_with(said), "{what}");
        let text = lost.to_string();
        let begin = format!("worker {} was killed because it {said}", lost.pid);
        assert!(text.starts_with(&begin), "{text}");
        assert!(
            text.contains("while it ran `garbage::write_raw` (task 0"),
            "{text}"
        );
        for future in waiting {
            assert_eq!(future.wait().unwrap(), 42);
        }
        keeper.open(1);
        assert_eq!(innocent.wait().unwrap(), 5);
        let more: Result<Vec<u32>, _> = pool.map(pass_on, 0..100).collect();
        assert_eq!(more.unwrap(), (0..100).collect::<Vec<u32>>());
    }
}

#[procession::task]
fn pass_on(value: u32) -> u32 {
    value
}

fn a_worker_that_closes_its_pipe_and_goes_on_is_killed() {
    let pool = pool(1);
    let guilty = pool.submit(close_results, ()).unwrap();
    let next = pool.submit(answer, ()).unwrap();
    let (lost, what) = malformed(guilty.wait().map(|()| 0));
    assert_eq!(what, "closed its result pipe");
    let text = lost.to_string();
    assert!(
        text.contains("was killed because it closed its result pipe while it ran"),
        "{text}"
    );
    assert_eq!(next.wait().unwrap(), 42);
}

fn a_task_that_closes_its_workers_pipe_and_returns_is_named() {
    let pool = pool(1);
    let guilty = pool.submit(close_results_and_return, ()).unwrap();
    let (_, what) = malformed(guilty.wait().map(|()| 0));
    assert_eq!(what, "closed its result pipe");
    assert_eq!(pool.submit(answer, ()).unwrap().wait().unwrap(), 42);
}

/// Two bytes each in the pipe.
fn an_answer_to_more_items_than_were_sent_is_not_taken_apart() {
    const COUNT: usize = 4 << 20;
    let mut payload = vec![0, 0x80, 0x80, 0x80, 0x02];
    payload.extend([2, 0].repeat(COUNT));
    let pool = pool(1);
    let bytes = Header::of(kind::PART).with(&payload);
    let before = peak_of_memory();
    let guilty = pool.submit(write_raw, (bytes, Then::Return)).unwrap();
    let (_, what) = malformed(guilty.wait());
    assert_eq!(what, format!("sent {COUNT} items of a chunk of at most 0"));
    let grown = peak_of_memory() - before;
    // The frame, on its way there and back.
    assert!(grown < 64 << 10, "{grown} kB");
}

/// A message beside a frame, as docs/wire-format.md has it, about the first task of a pool.
fn beside(seq: u32, first: u16, count: u16) -> Vec<u8> {
    let mut bytes = 0_u64.to_le_bytes().to_vec();
    bytes.extend(seq.to_le_bytes());
    bytes.extend(first.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes
}

/// The result of the first task, with so many descriptors.
fn done_with(handles: u16) -> Vec<u8> {
    let header = Header {
        handles,
        ..Header::of(kind::DONE)
    };
    header.with(&[7])
}

fn a_worker_that_sends_other_descriptors_is_killed() {
    let others = "sent a frame that announces 3 descriptors, and others";
    let missing = "sent a frame that announces 3 descriptors, and none";
    let cases = [
        (vec![(beside(1, 0, 3), 3)], others),
        (vec![(beside(0, 1, 3), 3)], others),
        (vec![(beside(0, 0, 2), 2)], others),
        (vec![(beside(0, 0, 2), 3)], others),
        (vec![(beside(0, 0, 3), 4)], others),
        (vec![(beside(0, 0, 3)[..15].to_vec(), 3)], others),
        (vec![(vec![0; 100], 3)], others),
        (vec![(b"procession: cannot start: x".to_vec(), 0)], others),
        (vec![], missing),
    ];
    let before = descriptors().len();
    for (messages, said) in cases {
        let pool = pool(1);
        let guilty = pool.submit(send_beside, (messages, done_with(3))).unwrap();
        let next = pool.submit(answer, ()).unwrap();
        let (_, what) = malformed(guilty.wait());
        assert_eq!(what, said);
        assert_eq!(next.wait().unwrap(), 42);
    }
    assert_eq!(descriptors().len(), before);
}

fn descriptors_that_nobody_was_told_of_are_closed() {
    let pool = pool(1);
    let before = descriptors().len();
    let messages = vec![(beside(0, 0, 50), 50), (vec![1], 0)];
    let sent = pool.submit(send_beside, (messages, Vec::new())).unwrap();
    assert_eq!(sent.wait().unwrap(), 7);
    assert_eq!(pool.submit(answer, ()).unwrap().wait().unwrap(), 42);
    assert_eq!(descriptors().len(), before, "nothing was received");
    // The next frame with some finds those.
    let (_, what) = malformed(pool.submit(null, ()).unwrap().wait().map(|_| 0));
    assert_eq!(
        what,
        "sent a frame that announces 1 descriptors, and others"
    );
    assert_eq!(pool.submit(answer, ()).unwrap().wait().unwrap(), 42);
}

#[procession::task]
fn null() -> procession::Descriptor {
    procession::Descriptor::new(fs::File::open("/dev/null").expect("/dev/null"))
}

#[procession::task]
fn send_part(index: u32) -> u32 {
    if index == 0 {
        let part = Header {
            handles: 1,
            ..Header::of(kind::PART)
        };
        // Two results.
        let part = part.with(&[0, 2, 0, 1, 7, 0, 1, 7]);
        send_beside(vec![(beside(0, 0, 1), 1)], part);
    }
    index
}

fn a_part_with_descriptors_is_about_one_result() {
    let pool = pool(1);
    let results: Vec<_> = pool.map(send_part, 0..3).chunksize(3).collect();
    let (_, what) = malformed(results.into_iter().next().unwrap());
    assert_eq!(
        what,
        "sent a part with descriptors that is not about one result"
    );
}

/// As when the system has let none of them go.
fn descriptors_that_stay_away_cost_one_task() {
    let pool = pool(1);
    let messages = vec![(beside(0, 0, 3), 1)];
    let sent = pool.submit(send_beside, (messages, done_with(3))).unwrap();
    match sent.wait() {
        Err(TaskError::DescriptorsLost {
            announced: 3,
            came: 1,
            ..
        }) => {}
        other => panic!("{other:?}"),
    }
    // The real result, which came behind that one, is that of no task. The worker is killed for it when it is read, and may have begun the next one.
    match pool.submit(answer, ()).unwrap().wait() {
        Ok(value) => assert_eq!(value, 42),
        Err(TaskError::WorkerLost(lost)) => {
            let EndOfWorker::Malformed(what) = lost.end else {
                panic!("{lost:?}");
            };
            assert!(what.contains("which it had not begun"), "{what}");
        }
        Err(other) => panic!("{other:?}"),
    }
    assert_eq!(pool.submit(answer, ()).unwrap().wait().unwrap(), 42);
}

fn a_worker_that_closes_everything_is_lost() {
    let pool = pool(1);
    let guilty = pool.submit(close_everything, ()).unwrap();
    let next = pool.submit(answer, ()).unwrap();
    let lost = guilty.wait().unwrap_err();
    assert!(matches!(lost, TaskError::WorkerLost(_)), "{lost:?}");
    assert_eq!(next.wait().unwrap(), 42);
}

fn a_worker_that_ends_within_a_frame_is_named_with_its_end() {
    let frame = Header::of(kind::DONE).with(&[42]);
    for cut in [1, 8, 23, 24] {
        let pool = pool(1);
        let guilty = pool
            .submit(write_raw, (frame[..cut].to_vec(), Then::Exit(9)))
            .unwrap();
        let next = pool.submit(answer, ()).unwrap();
        match guilty.wait() {
            Err(TaskError::WorkerLost(lost)) => assert_eq!(lost.end, EndOfWorker::Exited(9)),
            other => panic!("{other:?}"),
        }
        assert_eq!(next.wait().unwrap(), 42);
    }
}

/// A worker that has only half written a frame may be about to write the rest: that is for a time
/// limit to end, or for whoever shuts the pool down.
fn half_a_frame_does_not_keep_a_pool_from_ending() {
    let keeper = GateKeeper::new();
    let pool = pool(1);
    let frame = Header::of(kind::DONE).with(&[42]);
    let guilty = pool
        .submit(write_and_pass, (frame[..20].to_vec(), keeper.gate()))
        .unwrap();
    keeper.arrival();
    pool.shutdown(Shutdown::Kill, None).unwrap();
    let error = guilty.wait().unwrap_err();
    assert!(
        matches!(error, TaskError::ShutDown { may_have_run: true }),
        "{error:?}"
    );
}

#[procession::task]
fn write_and_pass(bytes: Vec<u8>, gate: Gate) -> u32 {
    write_raw(bytes, Then::Return);
    gate.pass(0);
    hang()
}

/// The largest length that is allowed, and then nothing: memory is taken for what has come.
fn a_claimed_length_is_not_allocated() {
    let pool = pool(1);
    let header = Header {
        len: 4 << 30,
        ..Header::of(kind::DONE)
    };
    let guilty = pool
        .submit(write_raw, (header.bytes(), Then::Exit(1)))
        .unwrap();
    assert!(matches!(guilty.wait(), Err(TaskError::WorkerLost(_))));
    assert_eq!(pool.submit(answer, ()).unwrap().wait().unwrap(), 42);
    let peak = peak_of_memory();
    assert!(peak < 1 << 20, "{peak} kB");
}

/// In kB.
fn peak_of_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the status of this process");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .expect("the peak of memory")
}

/// What a worker says about the task that it runs is believed: it is what runs it.
fn a_forged_result_costs_the_worker_when_the_real_one_comes() {
    let pool = pool(1);
    let forged = Header::of(kind::DONE).with(&[41]);
    let guilty = pool.submit(write_raw, (forged, Then::Return)).unwrap();
    assert_eq!(guilty.wait().unwrap(), 41);
    // The real result is one too many, and costs the worker and what it runs by then: nothing yet, or
    // the first of these. Those that it has not begun run elsewhere.
    let mut lost = 0;
    for _ in 0..10 {
        match pool.submit(answer, ()).unwrap().wait() {
            Ok(value) => assert_eq!(value, 42),
            Err(TaskError::WorkerLost(_)) => lost += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(lost <= 1, "{lost} tasks were lost with one worker");
}

fn garbage_on_the_status_page_is_believed_in_nothing() {
    for byte in [0, 1, 0xff] {
        let pool = pool(2);
        let guilty = pool.submit(fill_the_page, byte).unwrap();
        let others: Vec<_> = (0..10).map(|_| pool.submit(answer, ()).unwrap()).collect();
        // Either its result is believed, or it is lost.
        match guilty.wait() {
            Ok(42) | Err(TaskError::WorkerLost(_)) => {}
            other => panic!("{other:?}"),
        }
        for future in others {
            match future.wait() {
                Ok(42) => {}
                // Nobody can tell whether what had been sent to that worker had begun.
                Err(TaskError::WorkerLost(lost)) => assert!(lost.may_have_run),
                other => panic!("{other:?}"),
            }
        }
        for _ in 0..10 {
            assert_eq!(pool.submit(answer, ()).unwrap().wait().unwrap(), 42);
        }
    }
}

fn a_worker_that_writes_to_its_control_socket_is_not_listened_to() {
    let pool = pool(1);
    for _ in 0..3 {
        let sent = pool.submit(write_to_the_control_socket, 10_000).unwrap();
        assert_eq!(sent.wait().unwrap(), 42);
    }
    let lost = pool
        .submit(write_raw, (Vec::new(), Then::Exit(3)))
        .unwrap()
        .wait();
    assert!(matches!(lost, Err(TaskError::WorkerLost(_))), "{lost:?}");
    assert_eq!(pool.submit(answer, ()).unwrap().wait().unwrap(), 42);
}
