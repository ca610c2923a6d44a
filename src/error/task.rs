//! What a task's future says instead of a value.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{BuildError, SubmitError, WorkerLost, explain};

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
    WorkerLost(Box<WorkerLost>),
    /// The task's time was up: its worker was ended, or it was not begun any more.
    #[error("{0}")]
    TimeLimit(Box<TimeLimit>),
    /// The task was cancelled before it began; or before it began anew, when it was to be retried.
    #[error("the task was cancelled")]
    Cancelled {
        /// Whether an earlier attempt may have called the function.
        may_have_run: bool,
    },
    /// The task ran when [`Future::kill`](crate::Future::kill) was called: its worker was ended, as said here.
    #[error("killed as its caller asked: {0}")]
    Killed(Box<WorkerLost>),
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
    /// Of the descriptors that were sent with the arguments, or with the result, not all arrived. The receiver was out of
    /// descriptors (`RLIMIT_NOFILE`), or the system did not let more of them be on their way. Those that came have been closed.
    #[error(
        "{came} of the {announced} descriptors of the {of} of `{function}` came: {}",
        of.hint()
    )]
    DescriptorsLost {
        /// The registered name of the function.
        function: Arc<str>,
        /// What they belonged to.
        of: Travelling,
        /// How many were sent.
        announced: u16,
        /// How many came.
        came: u16,
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
    /// A pool that lives in a [manager](crate::manager): the manager is lost, or its pool broke, or could not be asked.
    #[error("the manager's pool has no result: {message}")]
    Manager {
        /// What is wrong.
        message: Arc<str>,
        /// Whether the function may have been called.
        may_have_run: bool,
    },
    /// The caller's patience, the `timeout` of a `map` or of `as_completed`, was over while an item was waited for. No task is
    /// ended by that; [`TimeLimit`](Self::TimeLimit) is the end of a task.
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
    /// assert!(!TaskError::Cancelled { may_have_run: false }.may_have_run());
    /// ```
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::Panicked(_)
            | Self::ResultNotEncoded { .. }
            | Self::ResultTooLarge { .. }
            | Self::ResultNotDecoded { .. }
            | Self::Abandoned
            | Self::DescriptorsLost {
                of: Travelling::Back,
                ..
            }
            | Self::TimedOut { .. } => true,
            Self::WorkerLost(lost) | Self::Killed(lost) => lost.may_have_run,
            Self::TimeLimit(limit) => limit.may_have_run,
            Self::Cancelled { may_have_run }
            | Self::ShutDown { may_have_run }
            | Self::Broken { may_have_run, .. }
            | Self::Manager { may_have_run, .. } => *may_have_run,
            Self::ArgumentNotDecoded { .. }
            | Self::DescriptorsLost {
                of: Travelling::Out,
                ..
            }
            | Self::Refused(_) => false,
        }
    }
}

/// What descriptors belong to that travel.
///
/// ```
/// assert_eq!(procession::Travelling::Back.to_string(), "result");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Travelling {
    // No variant is named `Result`: the compiler would then spell out std's in its messages to users.
    /// To the arguments of a task; its function was not called.
    Out,
    /// To the result of a task.
    Back,
}

impl Travelling {
    /// Who was out of descriptors, most likely.
    fn hint(self) -> &'static str {
        match self {
            Self::Out => "it was not called, has its worker as many open files as it may?",
            Self::Back => "has this process as many open files as it may?",
        }
    }
}

impl fmt::Display for Travelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Out => "arguments",
            Self::Back => "result",
        })
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

/// The time of a task was up.
///
/// ```standalone_crate
/// use std::time::Duration;
///
/// use procession::{ProcessPoolExecutor, TaskError, TimeLimitKind};
///
/// #[procession::task]
/// fn ponder() {
///     loop {
///         std::hint::spin_loop();
///     }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
///     match pool.call(ponder).timeout(Duration::from_millis(50)).submit(())?.wait() {
///         Err(TaskError::TimeLimit(limit)) => {
///             assert_eq!(limit.kind, TimeLimitKind::Timeout);
///             println!("{limit}"); // `…::ponder` was ended at its timeout of 50ms (task 0, worker 4711, …
///         }
///         other => panic!("{other:?}"),
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeLimit {
    /// The registered name of the function.
    pub function: Arc<str>,
    /// The task.
    pub task: TaskId,
    /// Which limit it was.
    pub kind: TimeLimitKind,
    /// The limit.
    pub limit: Duration,
    /// The worker that was ended, if one had begun the task.
    pub pid: Option<u32>,
    /// How long the function had been running.
    pub run_time: Option<Duration>,
    /// How many times the task was begun.
    pub attempts: u32,
    /// What the worker that was ended last wrote to its standard error, where that is
    /// [kept](crate::ProcessPoolExecutorBuilder::stderr); with [`Stdio::Tee`](crate::Stdio::Tee) perhaps for an earlier task.
    pub last_words: Option<Arc<str>>,
    /// Whether the function may have been called.
    pub may_have_run: bool,
}

/// From when on a time limit counts.
///
/// ```
/// use procession::TimeLimitKind;
///
/// assert_eq!(TimeLimitKind::Deadline.to_string(), "deadline");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLimitKind {
    /// From the start of the run.
    Timeout,
    /// From the submission.
    Deadline,
}

impl fmt::Display for TimeLimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "timeout",
            Self::Deadline => "deadline",
        })
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            function,
            task,
            kind,
            limit,
            ..
        } = self;
        match self.pid {
            Some(pid) => {
                write!(
                    f,
                    "`{function}` was ended at its {kind} of {limit:?} (task {task}, worker {pid}"
                )?;
                if let Some(run_time) = self.run_time {
                    write!(f, ", after running {run_time:.0?}")?;
                }
            }
            None if self.attempts > 0 => {
                let (attempts, s) = (self.attempts, if self.attempts == 1 { "" } else { "s" });
                return write!(
                    f,
                    "`{function}` had not begun anew at its {kind} of {limit:?} (task {task}, \
                     after {attempts} attempt{s})"
                );
            }
            None => write!(
                f,
                "`{function}` had not begun at its {kind} of {limit:?} (task {task}"
            )?,
        }
        super::write_attempts(f, self.attempts)?;
        f.write_str(")")?;
        match &self.last_words {
            Some(words) => write!(f, "; its last words: {}", words.trim_end()),
            None => Ok(()),
        }
    }
}
