//! The driver's side of a worker's start.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use super::entry::Marker;
use crate::sys::{self, Child, ControlSocket, Environment, Program, SharedPage, Streams};
use crate::wire::{self, Setup};

/// How workers of one executor are started.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: Program,
    /// The arguments after `argv[0]`.
    pub(crate) arguments: Vec<OsString>,
    /// A test binary prints before it reaches `init()`: its output is let through only then.
    pub(crate) test_binary: bool,
    pub(crate) depth: u32,
    /// Descriptors that workers get under the same numbers.
    pub(crate) kept: Vec<(RawFd, Arc<OwnedFd>)>,
    pub(crate) environment: Environment,
    pub(crate) stdout: Destination,
    pub(crate) stderr: Destination,
}

/// Where a standard stream of a worker goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Where this process's goes.
    Inherited,
    /// Nowhere.
    Nowhere,
    /// To this process, through a pipe.
    Pipe,
}

/// The driver's ends of a worker that has been started and has yet to say hello.
pub(crate) struct Started {
    pub(crate) child: Child,
    /// Closing it ends the worker.
    pub(crate) control: ControlSocket,
    /// Where tasks go in; never blocks.
    pub(crate) tasks: OwnedFd,
    /// The other end of that pipe. While the driver holds it, writing to a dead worker raises no
    /// SIGPIPE, which would end a driver that lives with that signal's default action.
    pub(crate) tasks_guard: OwnedFd,
    /// Where results come out; never blocks.
    pub(crate) results: OwnedFd,
    pub(crate) page: SharedPage,
    /// Where what it prints comes out, where that is read; never blocks.
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
}

/// Why a worker could not be started.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The system refused pipes or memory.
    System(&'static str, io::Error),
    /// The program could not be executed.
    Spawn(io::Error),
}

/// Starts a worker and sends it its setup. Does not wait for its hello.
pub(crate) fn start(launch: &Launch, setup: &Setup) -> Result<Started, StartError> {
    let system = |what| move |error| StartError::System(what, error);
    let tasks = sys::pipe()
        .and_then(sys::Pipe::with_nonblocking_writer)
        .map_err(system("a worker's task pipe"))?;
    let results = sys::pipe()
        .and_then(sys::Pipe::with_nonblocking_reader)
        .map_err(system("a worker's result pipe"))?;
    let (page, memory) = SharedPage::create().map_err(system("a worker's status page"))?;
    let (ours, theirs) = sys::control_pair().map_err(system("a worker's control socket"))?;
    let (stdout, printed) = destination(launch.stdout).map_err(system("a worker's stdout"))?;
    let (stderr, complained) = destination(launch.stderr).map_err(system("a worker's stderr"))?;
    // What the harness prints before `init()` is nobody's business.
    let (stdout_now, stdout) = if launch.test_binary {
        let later = stdout.or_else(|| sys::fork_of(std::io::stdout()).ok());
        (Some(sys::null().map_err(system("/dev/null"))?), later)
    } else {
        (stdout, None)
    };

    let setup = Setup {
        kept: launch.kept.iter().map(|(number, _)| *number).collect(),
        stdout: stdout.is_some(),
        ..setup.clone()
    };
    let mut message = Vec::new();
    wire::encode(&setup, &mut message).map_err(|error| {
        StartError::System("a worker's setup", io::Error::other(error.to_string()))
    })?;

    let (name, value) = Marker::for_worker(launch.depth);
    let streams = Streams {
        stdout: stdout_now,
        stderr,
    };
    let child = sys::spawn(
        &launch.program,
        &launch.arguments,
        &launch.environment,
        (name, &value),
        theirs,
        streams,
    )
    .map_err(StartError::Spawn)?;

    let mut passed: Vec<BorrowedFd<'_>> =
        vec![tasks.reader.as_fd(), results.writer.as_fd(), memory.as_fd()];
    passed.extend(stdout.as_ref().map(AsFd::as_fd));
    passed.extend(launch.kept.iter().map(|(_, fd)| fd.as_fd()));
    match ours.send(&message, &passed) {
        // The worker is gone already. Its pipe tells, and its exit status says why.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ) => {}
        sent => sent.map_err(system("to pass a worker its descriptors"))?,
    }
    Ok(Started {
        child,
        control: ours,
        tasks: tasks.writer,
        tasks_guard: tasks.reader,
        results: results.reader,
        page,
        stdout: printed,
        stderr: complained,
    })
}

/// What the child gets, and what this process keeps to read from.
fn destination(destination: Destination) -> io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    Ok(match destination {
        Destination::Inherited => (None, None),
        Destination::Nowhere => (Some(sys::null()?), None),
        Destination::Pipe => {
            let pipe = sys::pipe()?.with_nonblocking_reader()?;
            (Some(pipe.writer), Some(pipe.reader))
        }
    })
}
