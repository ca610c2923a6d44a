//! The driver's side of a worker's start.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::entry::Marker;
use super::pipes::send_beside;
use crate::error::BuildError;
use crate::frame::{Header, Kind};
use crate::sys::{self, Child, ControlSocket, Environment, Parcel, Program, SharedPage, Streams};
use crate::wire::{self, Handles, Setup};

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
    let tasks = sys::pipe()
        .and_then(sys::Pipe::with_nonblocking_writer)
        .map_err(system("a worker's task pipe"))?;
    let results = sys::pipe()
        .and_then(sys::Pipe::with_nonblocking_reader)
        .map_err(system("a worker's result pipe"))?;
    let (page, memory) = SharedPage::create().map_err(system("a worker's status page"))?;
    let (stdout, printed) = destination(launch.stdout).map_err(system("a worker's stdout"))?;
    let (stderr, complained) = destination(launch.stderr).map_err(system("a worker's stderr"))?;
    let passed = [tasks.reader.as_fd(), results.writer.as_fd(), memory.as_fd()];
    let (child, control) = start_with(launch, setup, &passed, Streams { stdout, stderr })?;
    Ok(Started {
        child,
        control,
        tasks: tasks.writer,
        tasks_guard: tasks.reader,
        results: results.reader,
        page,
        stdout: printed,
        stderr: complained,
    })
}

/// A process that runs one function, and has been started.
pub(crate) struct StartedProcess {
    pub(crate) child: Child,
    /// Closing it ends the process.
    pub(crate) control: ControlSocket,
    /// Where it leaves its result.
    pub(crate) result: Parcel,
    /// Where it leaves a note, if its address space is limited.
    pub(crate) page: Option<SharedPage>,
}

/// Starts a process that runs this call. `setup.process` says who it is.
pub(crate) fn start_process(
    launch: &Launch,
    setup: &Setup,
    call: &[u8],
    handles: &Handles,
    streams: Streams,
) -> Result<StartedProcess, StartError> {
    let memory = |bytes: &[u8]| {
        let parcel = Parcel::create()?;
        parcel.write_at(bytes, 0)?;
        Ok(parcel)
    };
    let call = memory(call).map_err(system("the memory of a process's arguments"))?;
    let result = memory(&[]).map_err(system("the memory of a process's result"))?;
    let page = match setup.limits.address_space {
        Some(_) => Some(SharedPage::create().map_err(system("a process's status page"))?),
        None => None,
    };
    let (page, note) = page.unzip();
    let mut passed = vec![call.as_fd(), result.as_fd()];
    passed.extend(note.as_ref().map(AsFd::as_fd));
    let (child, control) = start_with(launch, setup, &passed, streams)?;
    let beside = send_beside(&control, &Header::new(Kind::Task, 0, 0), handles);
    unless_gone(beside).map_err(system("to pass a process the descriptors of its arguments"))?;
    Ok(StartedProcess {
        child,
        control,
        result,
        page,
    })
}

/// Starts a copy of the program, and sends it its setup, with these descriptors first.
fn start_with(
    launch: &Launch,
    setup: &Setup,
    first: &[BorrowedFd<'_>],
    streams: Streams,
) -> Result<(Child, ControlSocket), StartError> {
    let (ours, theirs) = sys::control_pair().map_err(system("a worker's control socket"))?;
    wire::handles::allow_at_most(ours.most_descriptors());
    let Streams { stdout, stderr } = streams;
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

    let mut passed = first.to_vec();
    passed.extend(stdout.as_ref().map(AsFd::as_fd));
    passed.extend(launch.kept.iter().map(|(_, fd)| fd.as_fd()));
    unless_gone(ours.send(&message, &passed))
        .map_err(system("to pass a worker its descriptors"))?;
    Ok((child, ours))
}

/// A process that is gone already is told by its end, and its exit status says why.
fn unless_gone(sent: io::Result<()>) -> io::Result<()> {
    match sent {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ) =>
        {
            Ok(())
        }
        sent => sent,
    }
}

fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |error| StartError::System(what, error)
}

/// What a process that has been started said, on its control socket, about why it cannot do what it was started for.
pub(crate) fn excuse(control: &ControlSocket, pid: u32) -> Option<BuildError> {
    let woken = sys::wait_for(&[control.as_fd()], Some(Instant::now()));
    if woken.ok()? == 0 {
        return None;
    }
    let (message, _) = control.receive().ok()?;
    if message == wire::NEVER_INITIALISED {
        return Some(BuildError::NeverInitialised { pid });
    }
    let reason = message.strip_prefix(wire::CANNOT_START)?;
    Some(BuildError::CannotStart {
        pid,
        reason: String::from_utf8_lossy(reason).into_owned(),
    })
}

/// What is executed: the program at this path, or this one. Found out early.
pub(crate) fn program_at(path: Option<PathBuf>) -> Result<Program, BuildError> {
    // What is started later is started from where this process then is.
    let path = path.map(|path| std::path::absolute(&path).unwrap_or(path));
    let program = path.map_or(Program::ThisProgram, Program::At);
    let checked = program.check().map_err(|source| match &program {
        Program::ThisProgram if sys::is_lack_of_descriptors(&source) => BuildError::System {
            what: "the descriptor of this program",
            source: Arc::new(source),
        },
        Program::ThisProgram => BuildError::NoProgram(Arc::new(source)),
        Program::At(path) => BuildError::Spawn {
            program: path.clone(),
            source: Arc::new(source),
        },
    });
    checked.map(|()| program)
}

/// Refuses an environment that no process can be given.
pub(crate) fn check_environment(environment: &Environment) -> Result<(), BuildError> {
    let refuse = |must_be, value: String| BuildError::refuse("env", must_be, value);
    let is_name = |name: &[u8]| !name.is_empty() && !name.iter().any(|b| matches!(b, 0 | b'='));
    let mut names = environment.changes.iter().map(|(name, _)| name);
    if let Some(name) = names.find(|name| !is_name(name.as_encoded_bytes())) {
        return refuse("the name of a variable", format!("{name:?}"));
    }
    let changes = environment.changes.iter();
    let mut values = changes.filter_map(|(_, value)| value.as_ref());
    if let Some(value) = values.find(|value| value.as_encoded_bytes().contains(&0)) {
        return refuse("a value without a zero byte", format!("{value:?}"));
    }
    Ok(())
}

impl StartError {
    /// In the caller's terms.
    pub(crate) fn into_build_error(self, launch: &Launch) -> BuildError {
        match self {
            Self::System(what, source) => BuildError::System {
                what,
                source: Arc::new(source),
            },
            Self::Spawn(source) => BuildError::Spawn {
                program: launch.program.path(),
                source: Arc::new(source),
            },
        }
    }
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
