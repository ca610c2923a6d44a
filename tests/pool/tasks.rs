//! The registered functions.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::support::{Gate, Log};

#[procession::task]
pub(crate) fn double(n: u64) -> u64 {
    2 * n
}

#[procession::task]
pub(crate) fn pid() -> u32 {
    std::process::id()
}

#[procession::task]
pub(crate) fn pass(gate: Gate, label: u32) -> u32 {
    gate.pass(label);
    label
}

/// Passes the gate if there is one.
#[procession::task]
pub(crate) fn pass_or_not(gate: Option<Gate>, label: u32) -> u32 {
    if let Some(gate) = gate {
        gate.pass(label);
    }
    label
}

#[procession::task]
pub(crate) fn note(log: Log, line: u32) -> u32 {
    log.add(line);
    line
}

#[procession::task]
pub(crate) fn echo(text: String) -> String {
    text
}

#[procession::task]
pub(crate) fn as_long_as(length: usize) -> String {
    "x".repeat(length)
}

#[procession::task]
pub(crate) fn length(text: String) -> usize {
    text.len()
}

// ---- ways to die ----

/// How a process is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Way {
    Kill,
    Exit(i32),
    ExitAtOnce(i32),
    Abort,
    Segfault,
    StackOverflow,
    /// A panic that cannot unwind.
    PanicInAPanic,
}

pub(crate) fn end(way: Way) {
    match way {
        Way::Kill => super::support::signal(std::process::id(), libc::SIGKILL),
        Way::Exit(code) => std::process::exit(code),
        Way::ExitAtOnce(code) => super::support::exit_at_once(code),
        Way::Abort => std::process::abort(),
        Way::Segfault => super::support::segfault(),
        Way::StackOverflow => {
            std::hint::black_box(deeper(0));
        }
        Way::PanicInAPanic => {
            let _bomb = Bomb;
            panic!("the first panic");
        }
    }
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn deeper(depth: u64) -> u64 {
    let block = std::hint::black_box([depth; 128]);
    deeper(depth + 1) + block[7]
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the second panic");
    }
}

#[procession::task]
pub(crate) fn die(way: Way) -> u32 {
    end(way);
    0
}

/// Dies after it has passed the gate.
#[procession::task]
pub(crate) fn pass_and_die(gate: Gate, label: u32, way: Way) -> u32 {
    gate.pass(label);
    end(way);
    0
}

/// Longer than a worker keeps finished items of a chunk back.
pub(crate) const MOMENT: Duration = Duration::from_millis(2);

/// What an item of a chunk does after it has noted that it runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Wait {
    Not,
    /// Takes its time.
    AMoment,
    AtTheGate(Gate),
    /// Ends its worker.
    ForEver,
    /// Ends its worker after the gate.
    AtTheGateForEver(Gate),
}

#[procession::task]
pub(crate) fn note_and_wait(log: Log, item: u32, wait: Wait) -> u32 {
    log.add(item);
    match wait {
        Wait::Not => {}
        Wait::AMoment => {
            let begun = Instant::now();
            while begun.elapsed() < MOMENT {
                std::hint::spin_loop();
            }
        }
        Wait::AtTheGate(gate) => gate.pass(item),
        Wait::ForEver => end(Way::Kill),
        Wait::AtTheGateForEver(gate) => {
            gate.pass(item);
            end(Way::Kill);
        }
    }
    item
}

/// Dies while its argument is decoded, in a worker.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Poison(pub(crate) Way);

impl<'de> Deserialize<'de> for Poison {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let way = Way::deserialize(deserializer)?;
        if procession::in_worker() {
            end(way);
        }
        Ok(Self(way))
    }
}

#[procession::task]
pub(crate) fn take_poison(_: Poison) -> u32 {
    0
}

/// Dies while the result is encoded.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LastWords(pub(crate) Way);

impl Serialize for LastWords {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        end(self.0);
        self.0.serialize(serializer)
    }
}

#[procession::task]
pub(crate) fn make_last_words(way: Way) -> LastWords {
    LastWords(way)
}

/// Refuses to be decoded in a worker.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AtHome(pub(crate) u32);

impl<'de> Deserialize<'de> for AtHome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        if procession::in_worker() {
            return Err(serde::de::Error::custom("not in a worker"));
        }
        Ok(Self(number))
    }
}

#[procession::task]
pub(crate) fn take_home(value: AtHome) -> u32 {
    value.0
}

// ---- initializers ----

static INITIALIZED: AtomicU32 = AtomicU32::new(0);

#[procession::task]
pub(crate) fn initialize(log: Log, value: u32) {
    log.add(std::process::id());
    INITIALIZED.fetch_add(value, Ordering::SeqCst);
}

#[procession::task]
pub(crate) fn initialized() -> (u32, u32) {
    (std::process::id(), INITIALIZED.load(Ordering::SeqCst))
}

#[procession::task]
pub(crate) fn initialize_or_fail(message: Option<String>) -> Result<(), String> {
    message.map_or(Ok(()), Err)
}

#[procession::task]
pub(crate) fn initialize_with_a_panic(message: String) {
    panic!("{message}")
}

#[procession::task]
pub(crate) fn initialize_and_die(way: Way) {
    end(way);
}

/// Succeeds as often as there are lines to take from the file.
#[procession::task]
pub(crate) fn initialize_a_few_times(log: Log, times: usize) -> Result<(), String> {
    log.add(std::process::id());
    if log.lines().len() <= times {
        Ok(())
    } else {
        Err("enough is enough".into())
    }
}

#[procession::task]
pub(crate) async fn initialize_later() -> Result<(), String> {
    std::future::ready(()).await;
    INITIALIZED.store(7, Ordering::SeqCst);
    Ok(())
}

/// Cannot be shown.
#[derive(Serialize, Deserialize)]
pub(crate) struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("it must not be spoken of")
    }
}

/// An initializer.
#[procession::task]
pub(crate) fn fail_unspeakably() -> Result<(), Unspeakable> {
    Err(Unspeakable)
}

#[procession::task]
pub(crate) fn nap(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

#[procession::task]
pub(crate) fn nap_somewhere(milliseconds: u64) -> u32 {
    nap(milliseconds);
    std::process::id()
}
