//! How a worker ended, and what it took along.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::TaskId;

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
    /// How long the function had been running; for an item of a chunk, to within a millisecond or so.
    pub run_time: Option<Duration>,
    /// How many times the task was begun: more than once only where it was to be retried. A task that was never begun, and
    /// given up because worker after worker ended when it was about to, has 0.
    pub attempts: u32,
    /// The most memory that the process had resident at a time, in bytes, where that is known: the system tells it at the
    /// end, but a process inherits the figure of the one that started it, so that one that stayed below
    /// this program's own peak cannot be told.
    pub peak_memory: Option<u64>,
    /// What the worker last wrote to its standard error, where that is
    /// [kept](crate::ProcessPoolExecutorBuilder::stderr); with [`Stdio::Tee`](crate::Stdio::Tee) perhaps for an earlier task.
    pub last_words: Option<Arc<str>>,
    /// Whether the function may have been called.
    pub may_have_run: bool,
}

impl fmt::Display for WorkerLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            function,
            task,
            pid,
            end,
            ..
        } = self;
        if self.attempts == 0 {
            return write!(
                f,
                "`{function}` was given up: one worker after another ended when it was about to begin \
                 (task {task}; the last, worker {pid}, {end})"
            );
        }
        write!(
            f,
            "worker {pid} {end} while it ran `{function}` (task {task}"
        )?;
        if let Some(run_time) = self.run_time {
            write!(f, ", after {run_time:.0?}")?;
        }
        if let Some(peak) = self.peak_memory {
            write!(f, ", with {} MiB at its peak", peak.div_ceil(1 << 20))?;
        }
        write_attempts(f, self.attempts)?;
        f.write_str(")")?;
        match &self.last_words {
            Some(words) => write!(f, "; its last words: {}", words.trim_end()),
            None => Ok(()),
        }
    }
}

/// Says that a task was begun several times.
pub(super) fn write_attempts(f: &mut fmt::Formatter<'_>, attempts: u32) -> fmt::Result {
    if attempts > 1 {
        write!(f, ", the last of {attempts} attempts")
    } else {
        Ok(())
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
    /// It could not get memory within the [`address_space`](crate::ProcessPoolExecutorBuilder::address_space) that it
    /// may have, and ended by this signal.
    MemoryLimit {
        /// The limit, in bytes.
        limit: u64,
        /// The signal.
        signal: i32,
    },
    /// The kernel killed it for lack of memory: it was ended by SIGKILL, and its cgroup counts one more such kill.
    OomKilled,
    /// It used more CPU time than [`cpu_time`](crate::ProcessPoolExecutorBuilder::cpu_time) allows a task.
    CpuLimit {
        /// The limit.
        limit: Duration,
    },
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
            Self::MemoryLimit { limit, signal } => write!(
                f,
                "could not get more memory within its address space of {} MiB, and was ended by {}",
                limit >> 20,
                signal_name(*signal).unwrap_or("a signal"),
            ),
            Self::OomKilled => {
                f.write_str("was ended by SIGKILL (signal 9), by the kernel for lack of memory")
            }
            Self::CpuLimit { limit } => {
                write!(
                    f,
                    "was ended by SIGXCPU (signal 24), for more than {limit:?} of CPU time"
                )
            }
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
        16 => "SIGSTKFLT",
        17 => "SIGCHLD",
        18 => "SIGCONT",
        19 => "SIGSTOP",
        20 => "SIGTSTP",
        21 => "SIGTTIN",
        22 => "SIGTTOU",
        23 => "SIGURG",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        26 => "SIGVTALRM",
        27 => "SIGPROF",
        28 => "SIGWINCH",
        29 => "SIGIO",
        30 => "SIGPWR",
        31 => "SIGSYS",
        _ => return None,
    })
}
