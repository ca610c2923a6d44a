//! What a task's future says instead of a value.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{BuildError, SubmitError, explain};

/// The number of a task: unique within its executor, in the order of submission.
///
/// ```
/// let (_promise, earlier) = procession::Promise::<u8>::new();
/// let (_promise, later) = procession::Promise::<u8>::new();
/// assert!(earlier.id() < later.id());
/// println!("task {}", later.id());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub(crate) u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a task's future says when there is no value.
///
/// A function's own `Result` is a value, not one of these. Cloning is cheap. `Display` leaves the cause to
/// [`source`](std::error::Error::source).
///
/// ```
/// use procession::{InlineExecutor, TaskError};
///
/// #[procession::task]
/// fn divide(a: u64, b: u64) -> u64 {
///     a / b
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let pool = InlineExecutor::new();
/// match pool.submit(divide, (1, 0))?.wait() {
///     Ok(quotient) => println!("{quotient}"),
///     Err(TaskError::Panicked(panic)) => println!("it panicked: {}", panic.message),
///     Err(TaskError::WorkerLost(lost)) => println!("process {} {}", lost.pid, lost.end),
///     Err(other) => return Err(other.into()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The function panicked. The worker lives on.
    #[error("{0}")]
    Panicked(Panic),
    /// The worker ended while it ran the task. It has been replaced.
    #[error("{0}")]
    WorkerLost(WorkerLost),
    /// The task was cancelled before it began.
    #[error("the task was cancelled")]
    Cancelled,
    /// The worker could not decode the argument. The function was not called.
    #[error("`{function}` was not called: its argument does not decode: {message}")]
    ArgumentNotDecoded {
        /// The registered name of the function.
        function: Arc<str>,
        /// What the decoder said.
        message: Arc<str>,
    },
    /// The function ran, but its result could not be encoded.
    #[error("the result of `{function}` does not encode: {message}")]
    ResultNotEncoded {
        /// The registered name of the function.
        function: Arc<str>,
        /// What the encoder said.
        message: Arc<str>,
    },
    /// The function ran, but its result is larger than `max_frame`.
    #[error("the result of `{function}` takes {size} bytes, `max_frame` allows {max_frame}")]
    ResultTooLarge {
        /// The registered name of the function.
        function: Arc<str>,
        /// The size of the encoded result, in bytes.
        size: u64,
        /// The limit, in bytes.
        max_frame: u64,
    },
    /// The function ran, but the bytes of its result do not decode as `type_name`.
    #[error("the result does not decode as `{type_name}`: {message}")]
    ResultNotDecoded {
        /// The type asked for.
        type_name: &'static str,
        /// What the decoder said.
        message: Arc<str>,
    },
    /// The pool broke: workers could not be started, or died again and again.
    #[error("the pool is broken")]
    Broken {
        /// Why.
        #[source]
        reason: Arc<BuildError>,
        /// Whether the function may have been called.
        may_have_run: bool,
    },
    /// The executor was shut down before the task ended.
    #[error("the executor was shut down before the task ended")]
    ShutDown {
        /// Whether the function may have been called.
        may_have_run: bool,
    },
    /// The promise was dropped without a value.
    #[error("the promise was dropped without a value")]
    Abandoned,
    /// The task was refused when it was submitted on the caller's behalf (by `map`).
    #[error(transparent)]
    Refused(SubmitError),
    /// A time limit passed while waiting for an item (by `map` and `as_completed`).
    #[error("{unfinished} (of {total}) futures unfinished")]
    TimedOut {
        /// How many had not ended.
        unfinished: usize,
        /// How many there were.
        total: usize,
    },
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // With its backtrace.
            Self::Panicked(panic) => fmt::Debug::fmt(panic, f),
            _ => explain(self, f),
        }
    }
}

impl TaskError {
    /// Whether the function may have been called: `false` says that a retry repeats nothing.
    ///
    /// ```
    /// use procession::TaskError;
    ///
    /// assert!(!TaskError::Cancelled.may_have_run());
    /// ```
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::Panicked(_)
            | Self::ResultNotEncoded { .. }
            | Self::ResultTooLarge { .. }
            | Self::ResultNotDecoded { .. }
            | Self::Abandoned
            | Self::TimedOut { .. } => true,
            Self::WorkerLost(lost) => lost.may_have_run,
            Self::ShutDown { may_have_run } | Self::Broken { may_have_run, .. } => *may_have_run,
            Self::Cancelled | Self::ArgumentNotDecoded { .. } | Self::Refused(_) => false,
        }
    }
}

/// A panic of a registered function.
///
/// `Display` is one line; `Debug` adds the backtrace. In a worker, a panic is not printed: it comes back here
/// instead, with its backtrace unless `RUST_BACKTRACE` is `0`.
///
/// ```
/// use procession::{InlineExecutor, TaskError};
///
/// #[procession::task]
/// fn paint(colour: String) {
///     panic!("no such colour: {colour}");
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let pool = InlineExecutor::new();
/// let Err(TaskError::Panicked(panic)) = pool.submit(paint, "loud".to_owned())?.wait() else {
///     panic!("it should have panicked");
/// };
/// assert_eq!(&*panic.message, "no such colour: loud");
/// assert!(panic.function.ends_with("::paint"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panic {
    /// The registered name of the function.
    pub function: Arc<str>,
    /// What the function panicked with; a note when it was not text.
    pub message: Arc<str>,
    /// `file:line:column`, where it is known.
    pub location: Option<Arc<str>>,
    /// The backtrace, as text, where one was taken.
    pub backtrace: Option<Arc<str>>,
    /// The process that ran the function.
    pub pid: u32,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` panicked in process {}", self.function, self.pid)?;
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match &self.backtrace {
            Some(backtrace) => write!(f, "\n{backtrace}"),
            None => Ok(()),
        }
    }
}

/// A worker ended while it ran a task. Another one has taken its place.
///
/// ```standalone_crate
/// use procession::{EndOfWorker, ProcessPoolExecutor, TaskError};
///
/// #[procession::task]
/// fn leave(code: i32) {
///     std::process::exit(code)
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
///     match pool.submit(leave, 3)?.wait() {
///         Err(TaskError::WorkerLost(lost)) => assert_eq!(lost.end, EndOfWorker::Exited(3)),
///         other => panic!("{other:?}"),
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerLost {
    /// The registered name of the function.
    pub function: Arc<str>,
    /// The task.
    pub task: TaskId,
    /// The worker's process.
    pub pid: u32,
    /// How the process ended.
    pub end: EndOfWorker,
    /// How long the function had been running.
    pub run_time: Option<Duration>,
    /// Whether the function may have been called.
    pub may_have_run: bool,
}

impl fmt::Display for WorkerLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "worker {} {} while it ran `{}` (task {}",
            self.pid, self.end, self.function, self.task
        )?;
        match self.run_time {
            Some(run_time) => write!(f, ", after {run_time:.0?})"),
            None => f.write_str(")"),
        }
    }
}

/// How a worker's process ended.
///
/// ```
/// use procession::EndOfWorker;
///
/// assert_eq!(EndOfWorker::Signalled(11).to_string(), "was ended by SIGSEGV (signal 11)");
/// assert_eq!(EndOfWorker::Exited(3).to_string(), "exited with code 3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndOfWorker {
    /// It exited by itself, with this code.
    Exited(i32),
    /// A signal ended it.
    Signalled(i32),
    /// It did something that is not of the protocol, and was killed for it: "sent a frame of unknown
    /// kind 77", "closed its result pipe".
    Malformed(Arc<str>),
    /// It ended, and something else in this program took its exit status (`waitpid(-1)`, or an
    /// ignored SIGCHLD).
    Unknown,
}

impl fmt::Display for EndOfWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signalled(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "was ended by {name} (signal {signal})"),
                None => write!(f, "was ended by signal {signal}"),
            },
            Self::Malformed(what) => write!(f, "was killed because it {what}"),
            Self::Unknown => f.write_str(
                "ended (how is unknown: something else in this program took its status)",
            ),
        }
    }
}

/// The name of a signal, where it is one that every Linux has.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}
