//! A process that runs one function, in the place of tasks: the child's side of `Process`.
//!
//! Its result goes into a memory that the parent holds, not through a pipe: so this process never waits for anybody to read
//! it, and what it left there outlives it. The header is written last, at once: see `docs/wire-format.md`.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::pipes::{await_beside, send_beside};
use crate::frame::{HEADER_LEN, Header, Kind};
use crate::run;
use crate::sys::{self, ControlSocket, Parcel, SharedPage};
use crate::wire::{Arrived, Handles, Limits, ProcessSetup, Setup, TaskFailure};

/// What a process exits with that has panicked, as Rust programs do.
const PANICKED: i32 = 101;

/// Who this process is, where it is one of these.
static IDENTITY: OnceLock<Identity> = OnceLock::new();

/// Who a process is.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) is_daemon: bool,
}

/// Who this process is, if it was started as a process that runs one function.
pub(crate) fn identity() -> Option<&'static Identity> {
    IDENTITY.get()
}

/// What it runs with.
pub(super) struct Errand {
    /// The call.
    pub(super) call: Parcel,
    /// Where the result goes.
    pub(super) result: Parcel,
    /// Where a note goes of an allocation that failed, if they are limited.
    pub(super) page: Option<SharedPage>,
}

/// Runs the function, on this thread, and ends the process.
pub(super) fn run(errand: Errand, control: &Arc<ControlSocket>, setup: &Setup) -> ! {
    let Some(process) = &setup.process else {
        sys::end_now(1)
    };
    // Nobody else sets it.
    let _ = IDENTITY.set(Identity {
        name: process.name.clone(),
        is_daemon: process.is_daemon,
    });
    let mut bytes = vec![0; HEADER_LEN];
    let Errand {
        call: memory,
        result,
        page,
    } = errand;
    if let Some(page) = page {
        // Signal handlers write there, up to the very end.
        let page: &'static SharedPage = Box::leak(Box::new(page));
        sys::note_failed_allocations_in(page.resident_word(0));
    }
    let outcome = allow(&setup.limits)
        .and_then(|()| call(memory, control, process, &mut bytes))
        .and_then(|handles| fits(&bytes, setup.max_frame).map(|()| handles))
        .and_then(|handles| write_down(&bytes, &result).map(|()| handles));
    let left = leave(
        outcome.as_ref(),
        &mut bytes,
        &result,
        control,
        setup.max_frame,
    );
    let code = match (&outcome, left) {
        (Ok(_), Ok(())) => 0,
        (_, Err(error)) => {
            complain(process, format_args!("leaves no result: {error}"));
            1
        }
        (Err(failure), Ok(())) => {
            complain(process, format_args!("{}", Told(failure)));
            match failure {
                TaskFailure::Panicked { .. } => PANICKED,
                _ => 1,
            }
        }
    };
    drop(outcome);
    // Buffers are flushed, coverage data is written, and children are waited for.
    std::process::exit(code)
}

/// Lets its function begin to use what CPU time it may.
fn allow(limits: &Limits) -> Result<(), TaskFailure> {
    let Some(allowed) = limits.cpu_time_ms else {
        return Ok(());
    };
    let allowed = sys::allow_cpu_time(Duration::from_millis(allowed));
    allowed.map_err(|error| {
        TaskFailure::ArgumentNotDecoded(format!("no limit on CPU time can be had: {error}"))
    })
}

/// Decodes the call and runs it; the result is appended.
fn call(
    memory: Parcel,
    control: &ControlSocket,
    process: &ProcessSetup,
    out: &mut Vec<u8>,
) -> Result<Handles, TaskFailure> {
    let refused = |what: String| TaskFailure::ArgumentNotDecoded(what);
    let header = Header {
        handles: process.handles,
        ..Header::new(Kind::Task, 0, 0)
    };
    // It is sent right after the setup.
    let handles = match await_beside(control, &header).map_err(refused)? {
        Arrived::All(handles) => handles,
        Arrived::Lost { announced, came } => {
            return Err(TaskFailure::DescriptorsLost { announced, came });
        }
    };
    let call = memory.read_at(process.len, 0);
    drop(memory);
    let call = call.map_err(|error| refused(format!("it cannot be read: {error}")))?;
    run::call(call, handles, out)
}

fn fits(bytes: &[u8], max_frame: u64) -> Result<(), TaskFailure> {
    let size = (bytes.len() - HEADER_LEN) as u64;
    if size <= max_frame {
        return Ok(());
    }
    Err(TaskFailure::ResultTooLarge { size })
}

/// Writes the result, which is none yet for as long as it has no header.
fn write_down(bytes: &[u8], result: &Parcel) -> Result<(), TaskFailure> {
    let written = result.write_at(&bytes[HEADER_LEN..], HEADER_LEN as u64);
    written.map_err(|error| TaskFailure::ResultNotEncoded(format!("it cannot be stored: {error}")))
}

/// Tells the parent that there is a result, or puts the failure in its place.
fn leave(
    outcome: Result<&Handles, &TaskFailure>,
    bytes: &mut Vec<u8>,
    result: &Parcel,
    control: &ControlSocket,
    max_frame: u64,
) -> io::Result<()> {
    let mut header = Header::new(Kind::Done, 0, 0);
    match outcome {
        Ok(handles) => {
            header.handles = handles.len();
            send_beside(control, &header, handles)?;
        }
        Err(failure) => {
            header.kind = Kind::Failed;
            bytes.truncate(HEADER_LEN);
            failure.write_to(bytes, max_frame);
            result.write_at(&bytes[HEADER_LEN..], HEADER_LEN as u64)?;
        }
    }
    header.len = (bytes.len() - HEADER_LEN) as u64;
    result.write_at(&header.encode(), 0)
}

fn complain(process: &ProcessSetup, what: std::fmt::Arguments<'_>) {
    let (name, pid) = (&process.name, std::process::id());
    sys::tell_user(format_args!("process `{name}` ({pid}) {what}"));
}

/// A failure, as standard error tells it.
struct Told<'a>(&'a TaskFailure);

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            TaskFailure::Panicked {
                message,
                location,
                backtrace,
            } => {
                f.write_str("panicked")?;
                if let Some(location) = location {
                    write!(f, " at {location}")?;
                }
                write!(f, ":\n{message}")?;
                match backtrace {
                    Some(backtrace) if std::env::var_os("RUST_BACKTRACE").is_some() => {
                        write!(f, "\n{}", backtrace.trim_end())
                    }
                    _ => Ok(()),
                }
            }
            TaskFailure::ArgumentNotDecoded(what) => {
                write!(f, "did not run: its argument does not decode: {what}")
            }
            TaskFailure::ResultNotEncoded(what) => {
                write!(f, "has a result that does not encode: {what}")
            }
            TaskFailure::ResultTooLarge { size } => {
                write!(f, "has a result of {size} bytes, which is too large")
            }
            TaskFailure::DescriptorsLost { announced, came } => {
                write!(f, "did not run: {came} of {announced} descriptors came")
            }
        }
    }
}
