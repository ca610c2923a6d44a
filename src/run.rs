//! One task, run with its panic caught: in a worker, on a thread of a thread pool, or in the
//! caller.

use std::any::{Any, TypeId};
use std::backtrace::Backtrace;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use crate::registry::{Function, RunError, registry};
use crate::wire::{self, Handles, TaskFailure};

/// Runs `function` and appends its encoded result to `out`, which is as it was after a failure. Returns the descriptors
/// beside the result.
///
/// Whatever panics is caught: the function, a future it gave, the decoding of its arguments, the
/// encoding of its result, the drop of either, and the drop of what it panicked with.
pub(crate) fn run(
    function: &Function,
    mut args: Cow<'_, [u8]>,
    handles: Handles,
    out: &mut Vec<u8>,
) -> Result<Handles, TaskFailure> {
    let start = out.len();
    let failure = match caught(|| function.run(&mut args, handles, out)) {
        Ok(Ok(beside)) => return Ok(beside),
        Ok(Err(RunError::ArgumentNotDecoded(message))) => TaskFailure::ArgumentNotDecoded(message),
        Ok(Err(RunError::ResultNotEncoded(message))) => TaskFailure::ResultNotEncoded(message),
        Err(panicked) => panicked.into(),
    };
    out.truncate(start);
    Err(failure)
}

/// Runs a whole call, which is the payload of a `Task` frame, as [`run`] does. The function is looked up.
pub(crate) fn call(
    payload: Vec<u8>,
    handles: Handles,
    out: &mut Vec<u8>,
) -> Result<Handles, TaskFailure> {
    let refused = |what: String| TaskFailure::ArgumentNotDecoded(what);
    let (index, arguments) =
        wire::split_function(payload.into()).map_err(|error| refused(error.to_string()))?;
    let function = registry()
        .ok()
        .and_then(|registry| registry.by_index(index))
        .ok_or_else(|| refused(format!("no function has the number {index}")))?;
    run(function, arguments, handles, out)
}

/// What is known of a panic that was somebody's end.
pub(crate) struct Panicked {
    pub(crate) message: String,
    /// These, where panics are [captured](capture_panics).
    pub(crate) location: Option<String>,
    pub(crate) backtrace: Option<String>,
}

impl From<Panicked> for TaskFailure {
    fn from(panicked: Panicked) -> Self {
        Self::Panicked {
            message: panicked.message,
            location: panicked.location,
            backtrace: panicked.backtrace,
        }
    }
}

/// Runs users' code, whose panic is caught, and recorded if panics are.
pub(crate) fn caught<R>(code: impl FnOnce() -> R) -> Result<R, Panicked> {
    let task = Running::begin();
    let end = panic::catch_unwind(AssertUnwindSafe(code));
    end.map_err(|payload| panicked(payload, task.end()))
}

/// From now on a panic of a task is recorded, with its place and backtrace, instead of printed.
/// Panics of threads that run no task go where they went before.
///
/// For a process that is ours: the hook is one per process. Without it, a task's failure has the
/// message and nothing else.
pub(crate) fn capture_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let with_backtrace = std::env::var_os("RUST_BACKTRACE").is_none_or(|value| value != "0");
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // A panic that cannot be caught ends the process, and then only what is printed is left.
            let kept = record(info, with_backtrace) && !is_fatal(info);
            if !kept {
                previous(info);
            }
        }));
    });
}

/// What the hook noted of the last panic on this thread.
struct Record {
    payload: TypeId,
    message: Option<String>,
    location: Option<String>,
    backtrace: Option<Backtrace>,
    /// The panic before this one, which may be unwinding still.
    before: Option<Box<Record>>,
}

thread_local! {
    /// How many tasks this thread runs, one inside the other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// Whether anything is noted: what is noted is dropped with its thread, so that to look at it costs more than many a task.
    static IS_NOTED: Cell<bool> = const { Cell::new(false) };
    /// The last panic of each of them that has panicked, with its depth, the innermost last.
    static NOTED: RefCell<Vec<(usize, Record)>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, this thread runs a task.
struct Running {
    depth: usize,
}

impl Running {
    #[inline]
    fn begin() -> Self {
        let depth = DEPTH.get() + 1;
        DEPTH.set(depth);
        Self { depth }
    }

    /// The last panic that the hook noted of it.
    fn end(self) -> Option<Record> {
        take_noted(self.depth)
    }
}

impl Drop for Running {
    #[inline]
    fn drop(&mut self) {
        // What was noted of panics that it has caught itself.
        drop(take_noted(self.depth));
        DEPTH.set(self.depth - 1);
    }
}

/// The last panic of the innermost task, which is at this depth.
#[inline]
fn take_noted(depth: usize) -> Option<Record> {
    if !IS_NOTED.get() {
        return None;
    }
    let taken = NOTED.try_with(|noted| {
        let mut noted = noted.try_borrow_mut().ok()?;
        let taken = noted.pop_if(|(of, _)| *of >= depth);
        IS_NOTED.set(!noted.is_empty());
        taken
    });
    taken.ok().flatten().map(|(_, record)| record)
}

/// Notes the panic, if this thread runs a task, and says whether it does.
fn record(info: &PanicHookInfo<'_>, with_backtrace: bool) -> bool {
    let depth = DEPTH.get();
    if depth == 0 || NOTED.try_with(|noted| noted.try_borrow_mut().is_err()) != Ok(false) {
        return false;
    }
    let record = Record {
        payload: info.payload().type_id(),
        message: info.payload_as_str().map(str::to_owned),
        location: info.location().map(ToString::to_string),
        // Frames only: they get their names when the panic turns out to be the task's end.
        backtrace: with_backtrace.then(Backtrace::force_capture),
        before: None,
    };
    // Dropped and printed with no borrow held: either may allocate, and meet another panic.
    let before = take_noted(depth).map(Box::new);
    if is_fatal(info) {
        let chain = std::iter::successors(before.as_deref(), |record| record.before.as_deref());
        chain.for_each(Record::print);
    }
    // One before is enough: a second panic during an unwinding is the last.
    let before = before.map(|before| {
        Box::new(Record {
            before: None,
            ..*before
        })
    });
    NOTED.with_borrow_mut(|noted| noted.push((depth, Record { before, ..record })));
    IS_NOTED.set(true);
    true
}

impl Record {
    /// For a process that is about to abort: this panic was caught by nobody.
    fn print(&self) {
        let location = self.location.as_deref().unwrap_or("an unknown place");
        eprintln!(
            "panicked at {location}:\n{}",
            self.message.as_deref().unwrap_or(NOT_TEXT)
        );
        if let Some(backtrace) = &self.backtrace {
            eprintln!("{}", trace(backtrace));
        }
    }
}

/// A backtrace, without what std does to panic and what this crate does to call a function; all of it, if
/// `RUST_BACKTRACE` is `full`.
fn trace(backtrace: &Backtrace) -> String {
    let all = backtrace.to_string();
    match std::env::var_os("RUST_BACKTRACE") {
        Some(value) if value == "full" => all,
        _ => trimmed(&all).to_owned(),
    }
}

/// From behind the last frame of the panic to before the first of this crate's, where both can be told.
fn trimmed(all: &str) -> &str {
    let mut start = 0;
    let mut is_panicking = false;
    let mut at = 0;
    for line in all.split_inclusive('\n') {
        // "  17: a::path" is a frame; "at a/file.rs:3:5" below it is where.
        let name = line.split_once(": ").and_then(|(number, name)| {
            let is_number = number.trim().bytes().all(|byte| byte.is_ascii_digit());
            is_number.then_some(name)
        });
        match name {
            Some(name) if name.starts_with("core::panicking::") => is_panicking = true,
            Some(name) if is_panicking && name.contains("procession::registry::") => {
                return &all[start..at];
            }
            Some(_) if is_panicking && start == 0 => start = at,
            _ => {}
        }
        at += line.len();
    }
    &all[start..]
}

/// Whether the process aborts after this panic, as far as stable Rust lets one tell: in a build
/// without unwinding, in a function that cannot unwind, or in a destructor that runs because of
/// another panic.
fn is_fatal(info: &PanicHookInfo<'_>) -> bool {
    cfg!(panic = "abort")
        || info.payload_as_str().is_some_and(|message| {
            matches!(
                message,
                "panic in a function that cannot unwind" | "panic in a destructor during cleanup"
            )
        })
}

/// What is known of a panic with this payload.
fn panicked(payload: Box<dyn Any + Send>, record: Option<Record>) -> Panicked {
    let message = text(&*payload).map(str::to_owned);
    // `resume_unwind` calls no hook: a record of another panic, caught before, is not this one's.
    let record =
        record.filter(|record| record.payload == (*payload).type_id() && record.message == message);
    drop_quietly(payload);
    let (location, backtrace) =
        record.map_or((None, None), |record| (record.location, record.backtrace));
    Panicked {
        message: message.unwrap_or_else(|| NOT_TEXT.to_owned()),
        location,
        backtrace: backtrace.map(|backtrace| trace(&backtrace)),
    }
}

const NOT_TEXT: &str = "(the panic's payload is not text)";

fn text(payload: &(dyn Any + Send)) -> Option<&str> {
    match payload.downcast_ref::<&'static str>() {
        Some(text) => Some(text),
        None => payload.downcast_ref::<String>().map(String::as_str),
    }
}

/// Drops what a function panicked with. If that panics too, its own payload is left alone: it
/// might go on so for ever.
fn drop_quietly(payload: Box<dyn Any + Send>) {
    if let Err(next) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(next);
    }
}

#[cfg(test)]
mod tests;
