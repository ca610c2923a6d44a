//! The first moments of a worker, as named steps in their order.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::panic;
use std::path::Path;
use std::sync::Arc;

use super::process::{self, Errand};
use super::serve::Server;
use crate::registry::registry;
use crate::run;
use crate::sys::{self, ControlSocket, Program, SharedPage};
use crate::wire::{self, BinaryId, Hello, Limits, Setup};

/// Turns this process into a worker that serves tasks on this thread until its driver says goodbye.
pub(super) fn take_over(mut control: ControlSocket) -> ! {
    let prepared = match prepare(&mut control) {
        Ok(Some(prepared)) => prepared,
        // The driver is gone, or gave up on this worker.
        Ok(None) => sys::die_with_group(),
        Err(error) => give_up(&control, &error),
    };
    wire::handles::allow_at_most(control.most_descriptors());
    let control = Arc::new(control);
    let may_be_let_go = matches!(prepared, Prepared::Process { .. });
    if let Err(error) = watch_driver(control.clone(), may_be_let_go) {
        give_up(&control, &error);
    }
    match prepared {
        Prepared::Worker {
            tasks,
            results,
            page,
            setup,
            hello,
        } => Server::new(tasks, results, control, page, *setup, hello).serve(),
        Prepared::Process { errand, setup } => process::run(errand, &control, &setup),
    }
}

/// What this process is for, and what with.
enum Prepared {
    Worker {
        tasks: OwnedFd,
        results: OwnedFd,
        page: SharedPage,
        setup: Box<Setup>,
        hello: Hello,
    },
    Process {
        errand: Errand,
        setup: Box<Setup>,
    },
}

/// The driver is told why; should it be gone, nobody is left to be told.
fn give_up(control: &ControlSocket, error: &io::Error) -> ! {
    let mut words = wire::CANNOT_START.to_vec();
    words.extend_from_slice(error.to_string().as_bytes());
    let _ = control.send(&words, &[]);
    sys::end_now(1)
}

/// What came over the control socket.
struct Received {
    setup: Setup,
    /// The pipe of tasks; or the memory of the one call.
    tasks: OwnedFd,
    /// The pipe of results; or the memory for the one result.
    results: OwnedFd,
    /// A process that runs one function has one if its address space is limited.
    page: Option<SharedPage>,
    stdout: Option<OwnedFd>,
    kept: Vec<OwnedFd>,
}

fn prepare(control: &mut ControlSocket) -> io::Result<Option<Prepared>> {
    let Some(received) = receive_setup(control)? else {
        return Ok(None);
    };
    let Received {
        setup,
        tasks,
        results,
        page,
        stdout,
        kept,
    } = received;

    // What has come moves away from every number that the user wants to see again.
    let aside = |fd: OwnedFd| sys::duplicate_beside(fd, &setup.kept);
    let (tasks, results) = (aside(tasks)?, aside(results)?);
    let stdout = stdout.map(aside).transpose()?;
    let kept = kept
        .into_iter()
        .map(aside)
        .collect::<io::Result<Vec<_>>>()?;
    *control = control.duplicate_beside(&setup.kept)?;

    sys::close_foreign(&setup.kept);
    place_kept(&setup.kept, kept)?;
    if let Some(stdout) = stdout {
        sys::adopt_standard_output(stdout)?;
    }
    name_process();
    sys::continue_when_parent_ends();
    sys::ignore_stops_by_terminal();
    if setup.limits.address_space.is_some() {
        abort_without_backtraces()?;
    }
    limit_itself(&setup.limits)?;
    run::capture_panics();

    let hello = hello(&setup).map_err(io::Error::other)?;
    let setup = Box::new(setup);
    let page = match page {
        Some(page) if setup.process.is_none() => page,
        page => {
            if hello.registry != setup.registry {
                return Err(io::Error::other(
                    "this program has other functions than the one that started it",
                ));
            }
            let errand = Errand {
                call: tasks.into(),
                result: results.into(),
                page,
            };
            return Ok(Some(Prepared::Process { errand, setup }));
        }
    };
    Ok(Some(Prepared::Worker {
        tasks,
        results,
        page,
        setup,
        hello,
    }))
}

fn receive_setup(control: &ControlSocket) -> io::Result<Option<Received>> {
    let malformed = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let (message, descriptors) = control.receive()?;
    if message.is_empty() {
        return Ok(None);
    }
    let setup = Setup::decode(&message).map_err(|error| {
        malformed(&format!(
            "the driver's first message does not decode: {error}"
        ))
    })?;
    let is_worker = setup.process.is_none();
    let has_page = is_worker || setup.limits.address_space.is_some();
    let expected = 2 + usize::from(has_page) + usize::from(setup.stdout) + setup.kept.len();
    if descriptors.len() != expected {
        return Err(malformed("the driver passed too few descriptors"));
    }
    let mut descriptors = descriptors.into_iter();
    let mut next = || {
        descriptors
            .next()
            .ok_or_else(|| malformed("the driver passed too few descriptors"))
    };
    let (tasks, results) = (next()?, next()?);
    let page = match has_page {
        true => Some(SharedPage::attach(next()?)?),
        false => None,
    };
    let stdout = if setup.stdout { Some(next()?) } else { None };
    Ok(Some(Received {
        setup,
        tasks,
        results,
        page,
        stdout,
        kept: descriptors.collect(),
    }))
}

fn place_kept(numbers: &[RawFd], kept: Vec<OwnedFd>) -> io::Result<()> {
    for (number, fd) in numbers.iter().zip(kept) {
        sys::place_at(fd.as_fd(), *number)?;
    }
    Ok(())
}

/// Takes on the limits that this worker was given: the address space last, since that may be
/// what the others still need.
fn limit_itself(limits: &Limits) -> io::Result<()> {
    let named = |name: &'static str| {
        move |error: io::Error| io::Error::other(format!("`{name}` cannot be had: {error}"))
    };
    if let Some(directory) = &limits.directory {
        let directory = Path::new(OsStr::from_bytes(directory));
        sys::enter_directory(directory).map_err(|error| {
            let what = format!(
                "`current_dir` {} cannot be entered: {error}",
                directory.display()
            );
            io::Error::other(what)
        })?;
    }
    if let Some(count) = limits.open_files {
        sys::limit_open_files(count).map_err(named("open_files"))?;
    }
    if let Some(bytes) = limits.core_size {
        sys::limit_core(bytes).map_err(named("core_size"))?;
    }
    if let Some(niceness) = limits.niceness {
        sys::set_niceness(niceness).map_err(named("nice"))?;
    }
    if !limits.cpus.is_empty() {
        sys::set_affinity(&limits.cpus).map_err(named("cpu_affinity"))?;
    }
    if let Some(bytes) = limits.address_space {
        sys::limit_address_space(bytes).map_err(named("address_space"))?;
    }
    Ok(())
}

/// Lets an allocation that fails be recognised by the error number that it leaves, also where `RUST_BACKTRACE` is set: std
/// would print a backtrace before it aborts, and opens files for it. (Which takes memory, too.)
///
/// std looks at the variable once, when it first prints a panic. So here is one, which nobody sees.
fn abort_without_backtraces() -> io::Result<()> {
    const VARIABLE: &str = "RUST_BACKTRACE";
    let is_off = sys::environment(VARIABLE).is_none_or(|value| value == "0");
    if is_off || cfg!(not(panic = "unwind")) {
        return Ok(());
    }
    let hook = panic::take_hook();
    let panicked = sys::aside(VARIABLE, "0", || {
        let _ = panic::catch_unwind(|| panic!("std decides about backtraces"));
    });
    panic::set_hook(hook);
    panicked
}

fn name_process() {
    let own = std::env::args_os().next();
    let name = own.as_deref().map(Path::new).and_then(Path::file_name);
    sys::name_process(name.unwrap_or(OsStr::new("procession")));
}

/// A second thread waits for the driver's end of the control socket to close, or for the driver to end, removes the files that are to go with this process, and ends it
/// and its group, whatever the first thread is doing. ("The parent's death" would be a signal to this
/// process alone, and its children would stay.) A process that was let go stays.
fn watch_driver(control: Arc<ControlSocket>, may_be_let_go: bool) -> io::Result<()> {
    // A process that the driver forks off keeps its end open.
    let driver = control.parent_at_other_end();
    let watch = move || {
        sys::wait_for_hangup(control.as_fd(), driver.as_ref().map(AsFd::as_fd));
        if may_be_let_go && control.ends_with(wire::LET_GO) {
            return;
        }
        sys::remove_own_files();
        sys::die_with_group()
    };
    // It calls a few functions of the system's, and never one of the program's.
    let thread = std::thread::Builder::new()
        .name("procession-watch".into())
        .stack_size(64 * 1024);
    sys::with_signals_blocked(|| thread.spawn(watch)).map(drop)
}

fn hello(setup: &Setup) -> Result<Hello, String> {
    let registry = registry().map_err(ToString::to_string)?;
    let same = registry.fingerprint() == setup.registry;
    let functions = if same {
        Vec::new()
    } else {
        registry
            .functions()
            .iter()
            .map(|f| (f.name.to_owned(), f.signature_hash))
            .collect()
    };
    let binary = Program::origin_of_this_process().map(|origin| BinaryId {
        dev: origin.device,
        ino: origin.inode,
        size: origin.size,
        mtime: origin.modified,
    });
    let (peak_kib, peak_is_own) = sys::peak_so_far_kib();
    Ok(Hello {
        protocol: wire::PROTOCOL,
        registry: registry.fingerprint(),
        functions,
        pid: std::process::id(),
        binary,
        peak_kib,
        peak_is_own,
    })
}
