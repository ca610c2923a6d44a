//! The registered functions.

use std::hint::black_box;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::support::{self, Gate, Log};

static RUNS: AtomicU32 = AtomicU32::new(0);
static INITIALIZED: AtomicU32 = AtomicU32::new(0);

/// Which run of which process this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) pid: u32,
    /// The first has 1.
    pub(crate) number: u32,
}

fn this_run() -> Run {
    Run {
        pid: std::process::id(),
        number: RUNS.fetch_add(1, Ordering::Relaxed) + 1,
    }
}

#[procession::task]
pub(crate) fn run() -> Run {
    this_run()
}

#[procession::task]
pub(crate) fn pid() -> u32 {
    std::process::id()
}

#[procession::task]
pub(crate) fn double(n: u64) -> u64 {
    2 * n
}

/// Takes so long, and the CPU with it.
pub(crate) fn work(milliseconds: u64) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(milliseconds) {
        std::hint::spin_loop();
    }
}

#[procession::task]
pub(crate) fn run_for(milliseconds: u64) -> Run {
    work(milliseconds);
    this_run()
}

/// Passes the gate if there is one.
#[procession::task]
pub(crate) fn run_through(gate: Option<Gate>, label: u32) -> Run {
    let run = this_run();
    if let Some(gate) = gate {
        gate.pass(label);
    }
    run
}

#[procession::task]
pub(crate) fn pass(gate: Gate, label: u32) -> u32 {
    gate.pass(label);
    std::process::id()
}

#[procession::task]
pub(crate) fn raise_signal(signal: i32) {
    // SAFETY: it takes any number, and touches no memory.
    unsafe { libc::raise(signal) };
}

#[procession::task]
pub(crate) fn print_words(words: String) {
    eprintln!("{words}");
}

#[procession::task]
pub(crate) fn die_silently() {
    support::exit_at_once(9);
}

/// Goes on until SIGTERM comes; its result, which nobody waits for by then, is larger than a pipe.
#[procession::task]
pub(crate) fn end_when_asked(gate: Gate, seen: PathBuf, log: Log) -> Vec<u8> {
    support::on_signal(libc::SIGTERM, &seen, None);
    gate.arrive(0);
    while support::signals_in(&seen).is_empty() {
        std::thread::yield_now();
    }
    log.add("ended");
    vec![0; 4 << 20]
}

#[procession::task]
pub(crate) fn note(log: Log, line: u32) -> u32 {
    log.add(line);
    line
}

#[procession::task]
pub(crate) fn note_that_it_starts(log: Log) {
    log.add(std::process::id());
    INITIALIZED.fetch_add(1, Ordering::Relaxed);
}

/// How often the initializer ran here, and which run this is.
#[procession::task]
pub(crate) fn initialized() -> (u32, Run) {
    (INITIALIZED.load(Ordering::Relaxed), this_run())
}

// ---- memory ----

/// Memory that is there: every page of it is written to.
pub(crate) fn touched(mib: usize) -> Vec<u8> {
    black_box(vec![1; mib << 20])
}

#[procession::task]
pub(crate) fn leak(mib: usize) -> (u64, Run) {
    let before_mib = resident_mib();
    touched(mib).leak();
    (before_mib, this_run())
}

/// Without a look at it.
#[procession::task]
pub(crate) fn leak_unseen(mib: usize) -> u32 {
    touched(mib).leak();
    std::process::id()
}

#[procession::task]
pub(crate) fn leak_at_the_start(mib: usize) {
    touched(mib).leak();
}

#[procession::task]
pub(crate) fn touch(mib: usize) -> u32 {
    black_box(touched(mib));
    std::process::id()
}

#[procession::task]
pub(crate) fn touch_and_die(mib: usize) {
    black_box(touched(mib));
    support::signal(std::process::id(), libc::SIGKILL);
}

/// Asks for more than it gets, and looks.
#[procession::task]
pub(crate) fn ask_for(mib: usize) -> bool {
    let mut bytes: Vec<u8> = Vec::new();
    bytes.try_reserve_exact(mib << 20).is_ok()
}

#[procession::task]
pub(crate) fn length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

pub(crate) fn resident_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("/proc/self/statm");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    let pages: u64 = pages.expect("the pages that are resident");
    (pages * rustix::param::page_size() as u64) >> 20
}

// ---- surroundings ----

#[procession::task]
pub(crate) fn burn(milliseconds: u64) -> u32 {
    let used = || rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let in_ms =
        |time: rustix::time::Timespec| time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000;
    let begun = in_ms(used());
    while in_ms(used()) - begun < milliseconds {
        work(1);
    }
    std::process::id()
}

/// Opens files until none can be opened: how many, and the error that ended it.
#[procession::task]
pub(crate) fn open_files(keeps_them: bool) -> (usize, Option<i32>) {
    let mut files = Vec::new();
    let error = loop {
        match std::fs::File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(error) => break error.raw_os_error(),
        }
    };
    let count = files.len();
    if keeps_them {
        std::mem::forget(files);
    }
    (count, error)
}

#[procession::task]
pub(crate) fn core_size() -> (Option<u64>, Option<u64>) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
    (limit.current, limit.maximum)
}

/// That of every thread.
#[procession::task]
pub(crate) fn niceness() -> Vec<i32> {
    let threads = support::threads().into_iter();
    let pid = |id: u32| rustix::process::Pid::from_raw(id as i32);
    let niceness = |id| rustix::process::getpriority_process(pid(id)).expect("a thread's niceness");
    threads.map(|thread| niceness(thread.id)).collect()
}

#[procession::task]
pub(crate) fn cpus() -> Vec<usize> {
    let set = rustix::thread::sched_getaffinity(None).expect("the affinity");
    let all = 0..rustix::thread::CpuSet::MAX_CPU;
    all.filter(|cpu| set.is_set(*cpu)).collect()
}

#[procession::task]
pub(crate) fn directory() -> String {
    let directory = std::env::current_dir().expect("a directory");
    directory.to_string_lossy().into_owned()
}

#[procession::task]
pub(crate) fn variables() -> Vec<(String, String)> {
    std::env::vars().collect()
}

// ---- output ----

#[procession::task]
pub(crate) fn print_lines(name: String, count: u32) -> u32 {
    for line in 0..count {
        println!("{name} {line}");
    }
    std::process::id()
}

#[procession::task]
pub(crate) fn print_pieces(stdout: Vec<Vec<u8>>, stderr: Vec<Vec<u8>>) -> u32 {
    for piece in stdout {
        put(&piece);
    }
    for piece in stderr {
        let mut stderr = std::io::stderr();
        stderr.write_all(&piece).expect("standard error");
    }
    std::process::id()
}

/// One write.
fn put(piece: &[u8]) {
    let mut stdout = std::io::stdout();
    stdout.write_all(piece).expect("standard output");
    stdout.flush().expect("standard output");
}

#[procession::task]
pub(crate) fn print_without_an_end(text: String) {
    print!("{text}");
}

#[procession::task]
pub(crate) fn print_at_the_start(text: String) {
    println!("{text}");
    eprintln!("{text}");
    print!("{text} without an end");
}

#[procession::task]
pub(crate) fn print_and_pass(gate: Gate, label: u32) -> u32 {
    println!("before {label}");
    gate.pass(label);
    println!("after {label}");
    std::process::id()
}

#[procession::task]
pub(crate) fn print_and_die(text: String) {
    println!("{text}");
    eprintln!("{text}");
    eprint!("{text} without an end");
    std::process::abort()
}

#[procession::task]
pub(crate) fn note_and_print(log: Log, line: u32, bytes: usize) {
    log.add(line);
    println!("{}", "x".repeat(bytes));
}

/// Leaves somebody behind who holds what is printed to open; perhaps in a process group of its own, which does not go with the worker.
#[procession::task]
pub(crate) fn leave_a_holder(text: String, escapes: bool) -> u32 {
    println!("{text}");
    leave(Command::new("sleep").arg("1000"), escapes)
}

/// Leaves somebody behind who never stops writing.
#[procession::task]
pub(crate) fn leave_a_writer(text: String, escapes: bool) -> u32 {
    println!("{text}");
    leave(&mut Command::new("yes"), escapes)
}

fn leave(command: &mut Command, escapes: bool) -> u32 {
    if escapes {
        command.process_group(0);
    }
    command.spawn().expect("a process").id()
}

/// Notes each line that it has printed.
#[procession::task]
pub(crate) fn print_and_note(log: Log, count: u32, bytes: usize) {
    for line in 0..count {
        println!("{}", "x".repeat(bytes));
        log.add(line);
    }
}

#[procession::task]
pub(crate) fn abort() {
    std::process::abort()
}
