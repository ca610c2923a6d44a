//! Workers that fork, panic, run threads, have loggers of their own, pools of their own, or lie.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Mutex;
use std::thread;

use procession::{EndOfWorker, ProcessPoolExecutor, TaskError};

use super::listener;
use super::programs;
use super::support::{self, Case, Gate, GateKeeper, in_a_fork};
use super::{builder, pool, tasks};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        a_process_that_is_forked_off_says_nothing,
        a_panic_hook_can_say_something,
        threads_that_outlive_their_task_speak_for_the_next_one_or_none,
        a_second_logger_cannot_be_set,
        a_logger_that_was_there_before_init_stays,
        a_worker_with_workers_passes_their_records_on,
        a_worker_that_lies_in_a_record_is_lost,
    ]
}

#[procession::task]
fn fork_and_say() -> i32 {
    log::info!("before");
    let code = in_a_fork(|| {
        for n in 0..1000 {
            log::error!("from a fork: {n}");
            tracing::error!("from a fork: {n}");
        }
    });
    log::info!("after");
    code
}

fn a_process_that_is_forked_off_says_nothing() {
    let pool = pool(1);
    assert_eq!(pool.submit(fork_and_say, ()).unwrap().wait().unwrap(), 0);
    assert_eq!(listener::messages(), ["before", "after"]);
}

#[procession::task]
fn say_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        log::error!("panicked: {}", info.payload_as_str().unwrap_or(""));
        tracing::error!("panicked, too");
        before(info);
    }));
}

#[procession::task]
fn panic_with(message: String) {
    panic!("{message}");
}

fn a_panic_hook_can_say_something() {
    listener::forget();
    let pool = builder(1).initializer(say_panics, ()).build().unwrap();
    for n in 0..3 {
        let message = format!("help {n}");
        let future = pool.submit(panic_with, message.clone()).unwrap();
        let Err(TaskError::Panicked(panic)) = future.wait() else {
            panic!("it has panicked");
        };
        assert_eq!(&*panic.message, message);
        let said = format!("panicked: {message}");
        assert_eq!(listener::messages(), [&*said, "panicked, too"]);
    }
}

#[procession::task]
fn leave_a_thread(gate: Gate) {
    thread::spawn(move || {
        gate.pass(1);
        log::info!("late");
        gate.pass(2);
        log::info!("later");
    });
}

fn threads_that_outlive_their_task_speak_for_the_next_one_or_none() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let future = pool.submit(leave_a_thread, keeper.gate()).unwrap();
    future.wait().unwrap();
    keeper.arrival();
    keeper.open(1);
    // Nobody expects anything from an idle worker, and this is told with the next result.
    keeper.arrival();
    let gate = GateKeeper::new();
    let next = pool.submit(tasks::say_and_pass, (gate.gate(), 5)).unwrap();
    let late = listener::wait_for("late");
    assert_eq!(late.field("worker.task"), None);
    assert!(late.number("worker.pid").is_some());
    gate.arrival();
    keeper.open(1);
    let later = listener::wait_for("later");
    let id = next.id().to_string();
    assert_eq!(later.number("worker.task"), id.parse().ok());
    gate.open(1);
    next.wait().unwrap();
}

fn a_second_logger_cannot_be_set() {
    let pool = pool(1);
    assert!(
        !pool
            .submit(tasks::set_a_logger, ())
            .unwrap()
            .wait()
            .unwrap()
    );
    let said = pool.submit(tasks::say, "still here".to_owned()).unwrap();
    said.wait().unwrap();
    assert_eq!(listener::messages(), ["still here"]);
}

/// A logger that prints.
struct Printer;

impl log::Log for Printer {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        println!("printed: {}", record.args());
    }

    fn flush(&self) {}
}

pub(crate) fn with_a_logger_before_init() {
    log::set_logger(&Printer).expect("it is the first");
    log::set_max_level(log::LevelFilter::Info);
    procession::init();
    let pool = ProcessPoolExecutor::builder()
        .max_workers(1)
        .forward_records(true)
        .build()
        .expect("a pool");
    let said = pool.submit(tasks::say, "by the worker".to_owned());
    said.expect("a task").wait().expect("its end");
}

fn a_logger_that_was_there_before_init_stays() {
    let finished = programs::finish(&mut programs::program("with_a_logger_before_init"));
    // Said by its own, and not a second time by that of the driver.
    assert_eq!(finished.succeeded().lines(), ["printed: by the worker"]);
}

#[procession::task]
fn say_in_a_pool_of_its_own(message: String) -> (u32, u32) {
    static POOL: Mutex<Option<ProcessPoolExecutor>> = Mutex::new(None);
    let pool = &mut *POOL.lock().unwrap();
    let pool = pool.get_or_insert_with(|| builder(1).build().unwrap());
    pool.submit(tasks::say, message).unwrap().wait().unwrap();
    let (pid, _) = pool.submit(tasks::trace_one, ()).unwrap().wait().unwrap();
    (std::process::id(), pid)
}

fn a_worker_with_workers_passes_their_records_on() {
    let pool = pool(1);
    let future = pool.submit(say_in_a_pool_of_its_own, "from below".to_owned());
    let (outer, inner) = future.unwrap().wait().unwrap();
    assert_ne!(outer, inner);
    let heard = listener::take();
    let messages: Vec<&str> = heard.iter().map(|heard| &*heard.message).collect();
    assert_eq!(messages, ["from below", "low on ink: 3 left"]);
    for heard in &heard {
        assert_eq!(heard.number("worker.pid"), Some(inner.into()));
        let pids = heard.fields.iter().filter(|(name, _)| name == "worker.pid");
        assert_eq!(pids.count(), 1);
    }
}

#[procession::task]
pub(crate) fn print_and_say(gate: Gate) {
    print!("one ");
    let _ = std::io::stdout().flush();
    log::info!("said");
    gate.pass(0);
    println!("line");
}

// ---- records that no worker makes ----

/// A frame, as docs/wire-format.md has it.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u64).to_le_bytes().to_vec();
    bytes.extend([0; 8]);
    bytes.extend([kind, flags, 0, 0]);
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// A string.
fn text(text: &str, out: &mut Vec<u8>) {
    let mut length = text.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(text.as_bytes());
}

/// A record of `tracing`, at info.
fn event(target: &str, line: u32, fields: &[(&str, u64)]) -> Vec<u8> {
    let mut out = vec![1, 2];
    text(target, &mut out);
    text("event", &mut out);
    out.extend([0, 0, 1]);
    number(line.into(), &mut out);
    out.push(1);
    text("invented", &mut out);
    number(fields.len() as u64, &mut out);
    for (name, value) in fields {
        text(name, &mut out);
        out.push(3);
        number(*value, &mut out);
    }
    text("", &mut out);
    out
}

fn number(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes to the result pipe of the worker that runs it.
fn write_raw(bytes: &[u8]) {
    let entries = std::fs::read_dir("/proc/self/fd").expect("/proc/self/fd");
    let place = entries.flatten().map(|entry| entry.path()).find(|path| {
        let number = path
            .file_name()
            .expect("a number")
            .to_string_lossy()
            .into_owned();
        let is_own = number.parse().is_ok_and(|number: u32| number > 2);
        let is_pipe =
            std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("pipe:"));
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}"));
        let is_for_writing = info.is_ok_and(|info| {
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
            flags.is_some_and(|flags| flags.trim().ends_with('1'))
        });
        is_own && is_pipe && is_for_writing
    });
    let pipe = OpenOptions::new()
        .write(true)
        .open(place.expect("the result pipe"));
    pipe.and_then(|mut pipe| pipe.write_all(bytes))
        .expect("the result pipe");
}

/// Says something at so many places.
#[procession::task]
pub(crate) fn invent_places(count: u32) {
    let records = (0..count).map(|n| {
        let record = event(&format!("place::{n}"), n, &[("n", n.into())]);
        frame(23, 0, &record)
    });
    write_raw(&records.collect::<Vec<_>>().concat());
}

#[procession::task]
fn lie(frame: Vec<u8>) {
    write_raw(&frame);
    loop {
        thread::park();
    }
}

fn a_worker_that_lies_in_a_record_is_lost() {
    let many: Vec<(&str, u64)> = (0..33).map(|n| ("n", n)).collect();
    let good = event("target", 1, &[("n", 1)]);
    let mut longer = good.clone();
    longer.push(0);
    for (frame, said) in [
        (
            frame(23, 0, &good[..good.len() - 2]),
            "sent a `Record` frame that does not decode: the bytes end before the value does",
        ),
        (
            frame(23, 0, &longer),
            "sent a `Record` frame that does not decode: 1 bytes are left over after the value",
        ),
        (
            frame(23, 0, &event("target", 1, &many)),
            "sent a `Record` frame that does not decode: it has 33 fields, and 32 are allowed",
        ),
        (
            frame(23, 0, &[0; 65_537]),
            "sent a record of 65537 bytes where 65536 are allowed",
        ),
        (frame(23, 2, &good), "sent a frame with unknown flags 0x02"),
    ] {
        let pool = pool(1);
        let future = pool.submit(lie, frame).unwrap();
        let Err(TaskError::WorkerLost(lost)) = future.wait() else {
            panic!("{said}: it was to be lost");
        };
        let EndOfWorker::Malformed(what) = lost.end else {
            panic!("{said}: {lost}");
        };
        assert_eq!(&*what, said);
        assert_eq!(listener::take(), []);
        pool.submit(tasks::done, ()).unwrap().wait().unwrap();
    }
}
