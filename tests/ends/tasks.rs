//! The registered functions.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use procession::is_cancelled;
use serde::{Deserialize, Serialize};

use super::support::{self, Gate, Log};

#[procession::task]
pub(crate) fn pid() -> u32 {
    std::process::id()
}

#[procession::task]
pub(crate) fn double(n: u64) -> u64 {
    2 * n
}

#[procession::task]
pub(crate) fn note(log: Log, line: u32) -> u32 {
    log.add(line);
    line
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

#[procession::task(repeatable = false)]
pub(crate) fn send_money(amount: u32) -> Result<u32, String> {
    Ok(amount)
}

#[procession::task]
pub(crate) fn print(text: String) {
    println!("{text}");
}

// ---- tasks that take time ----

#[procession::task]
pub(crate) fn nap(milliseconds: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

#[procession::task]
pub(crate) fn spin(microseconds: u64) -> u64 {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(microseconds) {
        std::hint::spin_loop();
    }
    microseconds
}

/// How a task does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stuck {
    Asleep,
    BusyLoop,
    Read,
    Stopped,
    Uninterruptible,
}

pub(crate) fn be_stuck(how: Stuck, pipe: &std::path::Path) -> ! {
    match how {
        Stuck::Asleep | Stuck::BusyLoop => {}
        Stuck::Read => support::wait_in_read(),
        Stuck::Stopped => support::stop_this_process(),
        Stuck::Uninterruptible => support::wait_uninterruptibly(pipe),
    }
    loop {
        match how {
            Stuck::Asleep => std::thread::park(),
            _ => std::hint::spin_loop(),
        }
    }
}

/// Never ends; `pipe` is a named pipe that nobody writes to.
#[procession::task]
pub(crate) fn hang(gate: Option<Gate>, how: Stuck, pipe: PathBuf) -> u32 {
    if let Some(gate) = gate {
        gate.arrive(0);
    }
    be_stuck(how, &pipe)
}

/// Never ends, and looks at nothing.
#[procession::task]
pub(crate) fn sleep_for_ever(gate: Option<Gate>) -> u32 {
    if let Some(gate) = gate {
        gate.arrive(0);
    }
    be_stuck(Stuck::Asleep, "".as_ref())
}

/// Never ends by itself, and has a child which does not either, and whose number it notes.
#[procession::task]
pub(crate) fn hang_with_a_child(gate: Gate, log: Log) -> u32 {
    let child = std::process::Command::new("sleep").arg("1000").spawn();
    log.add(child.expect("a child").id());
    gate.arrive(0);
    be_stuck(Stuck::Asleep, "".as_ref())
}

/// Says what the flag was when it began, and goes on until it is raised.
#[procession::task]
pub(crate) fn work_until_asked(gate: Option<Gate>) -> (u32, bool) {
    let was_asked = is_cancelled();
    if let Some(gate) = gate {
        gate.arrive(0);
    }
    while !is_cancelled() {
        std::hint::spin_loop();
    }
    (std::process::id(), was_asked)
}

/// The same, in a chunk; an item waits for the flag only if it is said to. Says whether it was raised at the beginning.
#[procession::task]
pub(crate) fn work_until_asked_if(gate: Option<Gate>, waits: bool, log: Log, item: u32) -> bool {
    let was_asked = is_cancelled();
    log.add(item);
    if let Some(gate) = gate {
        gate.arrive(item);
    }
    while waits && !is_cancelled() {
        std::hint::spin_loop();
    }
    was_asked
}

/// What a task does when its worker is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum When {
    /// It ends at once, with this code.
    Exits(i32),
    /// It returns.
    Returns,
    /// Nothing.
    GoesOn,
}

/// Notes each of these signals; goes on until it is asked to end by that signal, and then does what is said.
#[procession::task]
pub(crate) fn work_until_signalled(gate: Gate, seen: PathBuf, signal: i32, when: When) -> bool {
    let exit = match when {
        When::Exits(code) => Some(code),
        _ => None,
    };
    support::on_signal(signal, &seen, exit);
    gate.arrive(0);
    let mut was_asked = false;
    while when != When::Returns || support::signals_in(&seen).is_empty() {
        if is_cancelled() && !was_asked {
            was_asked = true;
            gate.arrive(1);
        }
        std::thread::yield_now();
    }
    was_asked
}

/// A large result, in the middle of which the worker is stopped.
#[procession::task]
pub(crate) fn stop_in_the_result(length: usize) -> Vec<u8> {
    let main = std::process::id();
    std::thread::spawn(move || {
        let place = format!("/proc/self/task/{main}/syscall");
        loop {
            let call = std::fs::read_to_string(&place).unwrap_or_default();
            let number = call
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok());
            if matches!(number, Some(libc::SYS_write | libc::SYS_writev)) {
                break support::stop_this_process();
            }
        }
    });
    vec![7; length]
}

// ---- tasks that fail ----

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    Return,
    Fail,
    Panic,
    Die,
    /// Never, whatever it is asked.
    Hang,
    /// Fails when it is asked to end.
    FailWhenAsked,
    /// Goes through the gate, and dies.
    PassAndDie,
    /// Goes through the gate, and fails.
    PassAndFail,
}

/// What a task does that is tried several times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) log: Log,
    pub(crate) label: u32,
    pub(crate) gate: Option<Gate>,
    /// One after the other; the last one again and again.
    pub(crate) steps: Vec<Step>,
}

/// Notes its label, and does what is next. Says how many attempts it took, itself included.
#[procession::task]
pub(crate) fn attempt(plan: Plan) -> Result<usize, String> {
    let line = plan.label.to_string();
    let lines = plan.log.lines();
    let before = lines.iter().filter(|before| **before == line).count();
    plan.log.add(line);
    let step = plan.steps.get(before).or(plan.steps.last());
    let die = || support::signal(std::process::id(), libc::SIGKILL);
    let fail = || Err(format!("attempt {} fails", before + 1));
    let pass = || plan.gate.as_ref().expect("a gate").pass(plan.label);
    match step.expect("a step") {
        Step::Return => {}
        Step::Fail => return fail(),
        Step::Panic => panic!("attempt {} panics", before + 1),
        Step::Die => die(),
        Step::Hang => be_stuck(Stuck::Asleep, "".as_ref()),
        Step::FailWhenAsked => {
            while !is_cancelled() {
                std::thread::yield_now();
            }
            return fail();
        }
        Step::PassAndDie => {
            pass();
            die();
        }
        Step::PassAndFail => {
            pass();
            return fail();
        }
    }
    Ok(before + 1)
}
