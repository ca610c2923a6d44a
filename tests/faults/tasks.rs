//! The registered functions, and the ways to end.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::support::{self, Gate, signal};

/// What a process does when its moment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Way {
    /// Nothing: it is innocent.
    Not,
    Error,
    Panic,
    Exit(i32),
    /// Without what is registered to run at exit.
    ExitAtOnce(i32),
    Abort,
    Segfault,
    StackOverflow,
    Kill,
    /// It does nothing, until somebody else kills it.
    KilledFromOutside,
    Stop,
}

/// When it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Before `init()`, in one of the first workers.
    Starting,
    /// Before `init()`, in a worker that replaces another.
    StartingAgain,
    Initializer,
    InitializerAgain,
    /// While an argument is read that is larger than the pipe.
    Reading,
    Decoding,
    Running,
    Encoding,
    /// While a result is written that is larger than the pipe.
    Writing,
    /// Between two tasks.
    Idle,
    /// After its last task, in what runs at its exit.
    Leaving,
    /// In a worker that is started before its predecessor leaves: before `init()`.
    Successor,
    /// The same, when it is ready and waits for its place.
    OnHold,
    /// While it runs a task, and the pool is being shut down: one for each mode.
    ShutdownWait,
    ShutdownCancelPending,
    ShutdownTerminate,
    ShutdownKill,
}

/// A way, a stage, and the gate before which the process waits in between.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) stage: Stage,
    pub(crate) way: Way,
    pub(crate) gate: Option<Gate>,
}

impl Fault {
    /// Comes to the gate, is let through, and ends.
    pub(crate) fn strike(&self) -> Result<(), String> {
        if let Some(gate) = &self.gate {
            gate.pass(0);
        }
        self.way.end()
    }

    /// Has it happen to the next process that looks for it.
    pub(crate) fn leave_at(&self, path: &Path) {
        let text = serde_json::to_string(self).expect("a fault is plain data");
        let draft = path.with_extension("draft");
        fs::write(&draft, text).expect("a file");
        fs::rename(draft, path).expect("a file");
    }

    /// Takes what has been left there, so that nobody else does.
    fn take_from(path: &Path) -> Option<Self> {
        let own = path.with_extension(std::process::id().to_string());
        fs::rename(path, &own).ok()?;
        let text = fs::read_to_string(own).expect("what was left");
        Some(serde_json::from_str(&text).expect("a fault is plain data"))
    }
}

impl Way {
    fn end(self) -> Result<(), String> {
        let own = std::process::id();
        match self {
            Self::Not => {}
            Self::Error => return Err("an error".to_owned()),
            Self::Panic => panic!("a panic"),
            Self::Exit(code) => std::process::exit(code),
            Self::ExitAtOnce(code) => support::exit_at_once(code),
            Self::Abort => std::process::abort(),
            Self::Segfault => support::segfault(),
            Self::StackOverflow => {
                std::hint::black_box(deeper(0));
            }
            Self::Kill => signal(own, libc::SIGKILL),
            Self::KilledFromOutside => loop {
                thread::park();
            },
            Self::Stop => signal(own, libc::SIGSTOP),
        }
        Ok(())
    }
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn deeper(depth: u64) -> u64 {
    let block = std::hint::black_box([depth; 128]);
    deeper(depth + 1) + block[7]
}

// ---- while a worker starts ----

/// Where a process that starts looks for its fault.
pub(crate) const LEFT_AT: &str = "PROCESSION_TEST_FAULT";

/// A program whose workers look for a fault before `init()`.
pub(crate) fn starts_with_a_fault() {
    let path = std::env::var_os(LEFT_AT).map(PathBuf::from);
    let fault = path.as_deref().and_then(Fault::take_from);
    if let Some(Err(_)) = fault.map(|fault| fault.strike()) {
        // As `main` does that returns an error.
        std::process::exit(1);
    }
    procession::init();
}

/// Looks for a fault in an initializer.
#[procession::task]
pub(crate) fn initialize(path: PathBuf) -> Result<(), String> {
    match Fault::take_from(&path) {
        Some(fault) if fault.stage == Stage::OnHold => {
            lie_in_wait(fault, When::Idle);
            Ok(())
        }
        Some(fault) => fault.strike(),
        None => Ok(()),
    }
}

// ---- tasks ----

#[procession::task]
pub(crate) fn pass(gate: Gate, label: u32) -> u32 {
    gate.pass(label);
    label
}

#[procession::task]
pub(crate) fn double(n: u64) -> u64 {
    2 * n
}

/// What [`suffer`] takes: its fault may strike while it is decoded, in a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Plain", into = "Plain")]
pub(crate) struct Argument(pub(crate) Plain);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plain {
    pub(crate) fault: Fault,
    pub(crate) number: u32,
    /// Makes it large.
    pub(crate) bulk: String,
}

impl TryFrom<Plain> for Argument {
    type Error = String;

    fn try_from(plain: Plain) -> Result<Self, String> {
        if procession::in_worker() && plain.fault.stage == Stage::Decoding {
            plain.fault.strike()?;
        }
        Ok(Self(plain))
    }
}

impl From<Argument> for Plain {
    fn from(argument: Argument) -> Self {
        argument.0
    }
}

/// What [`suffer`] returns: the fault may strike while it is encoded.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) number: u32,
    /// Makes it large.
    pub(crate) bulk: String,
    fault: Option<Fault>,
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(fault) = &self.fault {
            fault.strike().map_err(S::Error::custom)?;
        }
        (self.number, &self.bulk).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (number, bulk) = Deserialize::deserialize(deserializer)?;
        Ok(Self {
            number,
            bulk,
            fault: None,
        })
    }
}

/// The size of what does not fit into a pipe by far.
pub(crate) const LARGE: usize = 16 << 20;

/// The task of the table.
#[procession::task]
pub(crate) fn suffer(argument: Argument) -> Result<Told, String> {
    let Plain { fault, number, .. } = argument.0;
    let mut told = Told {
        number,
        bulk: String::new(),
        fault: None,
    };
    match fault.stage {
        Stage::Running | Stage::ShutdownWait | Stage::ShutdownCancelPending => fault.strike()?,
        Stage::ShutdownTerminate | Stage::ShutdownKill => {
            support::ignore(libc::SIGTERM);
            fault.strike()?;
        }
        Stage::Successor | Stage::OnHold => fault.strike()?,
        Stage::Encoding => told.fault = Some(fault),
        Stage::Writing => {
            // At once: from now on it looks at no clock.
            stop_driver();
            told.bulk = "x".repeat(LARGE);
            lie_in_wait(fault, When::Writing);
        }
        Stage::Leaving => LAST_ACT.set(Some(LastAct(fault))),
        _ => {}
    }
    Ok(told)
}

/// Strikes while the thread-local variables of the main thread are dropped, which `exit` does.
struct LastAct(Fault);

impl Drop for LastAct {
    fn drop(&mut self) {
        let _ = self.0.strike();
    }
}

thread_local! {
    static LAST_ACT: RefCell<Option<LastAct>> = const { RefCell::new(None) };
}

// ---- behind the back of the main thread ----

/// What the main thread of a worker is to be at when another one strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum When {
    /// It waits for a task.
    Idle,
    /// It is within a frame that it reads; the driver is stopped first.
    Reading,
    /// It is within a frame that it writes, to a driver that is stopped.
    Writing,
}

/// A task that leaves a thread behind.
#[procession::task]
pub(crate) fn prepare(fault: Fault, when: When) -> u32 {
    lie_in_wait(fault, when);
    std::process::id()
}

/// Strikes from another thread.
fn lie_in_wait(fault: Fault, when: When) {
    let begun = bytes_read();
    thread::spawn(move || {
        match when {
            When::Idle => wait_until(|| main_thread_is_in(libc::SYS_read)),
            When::Writing => wait_until(|| {
                main_thread_is_in(libc::SYS_write) || main_thread_is_in(libc::SYS_writev)
            }),
            When::Reading => {
                wait_until(|| bytes_read() > begun + (1 << 20));
                let driver = stop_driver();
                // What it had written by then has been read.
                wait_until(|| main_thread_is_in(libc::SYS_read));
                if bytes_read() >= begun + LARGE as u64 {
                    // That was too late, on a busy machine: the test tries again.
                    return signal(driver, libc::SIGCONT);
                }
            }
        }
        let _ = fault.strike();
    });
}

/// Stops the process that this is a worker of.
fn stop_driver() -> u32 {
    let driver = rustix::process::getppid()
        .expect("a parent")
        .as_raw_nonzero();
    let driver = u32::try_from(driver.get()).expect("a process's number");
    signal(driver, libc::SIGSTOP);
    wait_until(|| support::state_of(driver) == Some('T'));
    driver
}

/// Whether the main thread of this process sleeps in this system call.
fn main_thread_is_in(call: libc::c_long) -> bool {
    let own = std::process::id();
    let text = fs::read_to_string(format!("/proc/self/task/{own}/syscall")).expect("/proc");
    text.split(' ').next() == Some(&*call.to_string())
}

/// How many bytes this process has read from anywhere.
fn bytes_read() -> u64 {
    /// What has been read to know how much has been read.
    static TO_KNOW: AtomicU64 = AtomicU64::new(0);
    let before = TO_KNOW.load(Ordering::Relaxed);
    let text = fs::read_to_string("/proc/self/io").expect("/proc");
    TO_KNOW.fetch_add(text.len() as u64, Ordering::Relaxed);
    let count = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    let count: u64 = count.and_then(|count| count.parse().ok()).expect("a count");
    count.saturating_sub(before)
}

/// In a worker, which has no watchdog: the test that waits for it has one.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        thread::yield_now();
    }
}

// ---- for what is read aloud ----

/// Says something on standard error, and ends.
#[procession::task]
pub(crate) fn say_and_end(words: String, way: Way) -> Result<(), String> {
    if !words.is_empty() {
        eprintln!("{words}");
    }
    way.end()
}

#[procession::task]
pub(crate) fn say_and_pass(words: String, gate: Gate) {
    eprintln!("{words}");
    gate.pass(0);
}

/// Takes this much memory, and dies.
#[procession::task]
pub(crate) fn swell_and_die(bytes: usize) {
    let mut memory = vec![0_u8; bytes];
    memory.fill(1);
    std::hint::black_box(&memory);
    signal(std::process::id(), libc::SIGKILL);
}

#[procession::task]
pub(crate) fn as_long_as(length: usize) -> String {
    "x".repeat(length)
}

/// Never ends.
#[procession::task]
pub(crate) fn initialize_for_ever() {
    loop {
        thread::park();
    }
}

/// Whoever reads a large argument here ends within it.
#[procession::task]
pub(crate) fn die_of_large_arguments() {
    let begun = bytes_read();
    thread::spawn(move || {
        wait_until(|| bytes_read() > begun + (1 << 20));
        std::process::abort()
    });
}

#[procession::task]
pub(crate) fn length(text: String) -> usize {
    text.len()
}

/// Counts its calls, and ends.
#[procession::task]
pub(crate) fn note_and_end(log: support::Log, way: Way) -> Result<(), String> {
    log.add(std::process::id());
    way.end()
}

#[procession::task(repeatable = false)]
pub(crate) fn only_once() {}

/// Succeeds so many times, in all processes together.
#[procession::task]
pub(crate) fn initialize_a_few_times(log: support::Log, times: usize) {
    log.add(std::process::id());
    if log.lines().len() > times {
        eprintln!("no licence left");
        std::process::exit(7);
    }
}
