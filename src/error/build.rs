//! Why an executor did not start, or not end in time.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{EndOfWorker, SubmitError, explained};

/// The executor could not be started, or broke later because its workers could not be.
///
/// ```
/// use procession::{BuildError, ProcessPoolExecutor};
///
/// let error = ProcessPoolExecutor::builder().max_workers(1_000_000).build().unwrap_err();
/// assert!(matches!(error, BuildError::Parameter { parameter: "max_workers", .. }));
/// ```
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A parameter was refused.
    #[error("`{parameter}` must be {must_be}, not {value}")]
    Parameter {
        /// The parameter.
        parameter: &'static str,
        /// What it must be.
        must_be: &'static str,
        /// What it was.
        value: String,
    },
    /// `procession::init()` has not been called in this process.
    #[error(
        "`procession::init()` has not been called: make it the first line of `main` (or put `#[procession::main]` above it; in a test crate, `procession::init_in_tests!();`)"
    )]
    NotInitialised,
    /// This process is itself a worker of a program that did not call `procession::init()` in time.
    #[error(
        "this process is a worker that never reached `procession::init()`: make it the first line of `main`"
    )]
    WorkerWithoutInit,
    /// Executors, or processes, are nested too deeply.
    #[error("executors and processes are nested {depth} deep, {max_depth} are allowed")]
    TooDeep {
        /// The depth asked for.
        depth: u32,
        /// The limit.
        max_depth: u32,
    },
    /// The program to run as worker could not be found.
    #[error(
        "this program cannot be found to start workers from it: name one with `.program(path)`"
    )]
    NoProgram(#[source] Arc<io::Error>),
    /// The system refused something that the executor itself needs.
    #[error("the system refused {what}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        #[source]
        source: Arc<io::Error>,
    },
    /// A worker's process could not be started.
    #[error("worker process could not be started from {}", program.display())]
    Spawn {
        /// What was executed.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// A worker ended before it was ready.
    #[error(
        "worker {pid} {end} {}{}",
        when(initializer.as_deref()),
        quote(last_words.as_deref())
    )]
    WorkerEnded {
        /// The worker's process.
        pid: u32,
        /// How it ended.
        end: EndOfWorker,
        /// The registered name of the initializer, if that is what it ran.
        initializer: Option<String>,
        /// What it last wrote to its standard error, where that is
        /// [kept](crate::ProcessPoolExecutorBuilder::stderr).
        last_words: Option<Arc<str>>,
    },
    /// A worker came to an executor of its own before it came to `procession::init()`.
    #[error(
        "worker {pid} came to an executor before `procession::init()`: make it the first line of `main`"
    )]
    NeverInitialised {
        /// The worker's process.
        pid: u32,
    },
    /// A worker could not take over what it was given.
    #[error("worker {pid} cannot start: {reason}")]
    CannotStart {
        /// The worker's process.
        pid: u32,
        /// What it said.
        reason: String,
    },
    /// A worker's initializer was not done within `initializer_timeout`.
    #[error(
        "the initializer `{function}` was not done within the `initializer_timeout` of {initializer_timeout:?} in worker {pid}"
    )]
    InitializerTimeout {
        /// The registered name of the initializer.
        function: String,
        /// The worker's process.
        pid: u32,
        /// The time it had.
        initializer_timeout: Duration,
    },
    /// A worker did not say hello within `start_timeout`.
    #[error(
        "worker {pid} did not come to `procession::init()` within the `start_timeout` of {start_timeout:?}: is that the first line of `main`?"
    )]
    NoHello {
        /// The worker's process.
        pid: u32,
        /// The time it had.
        start_timeout: Duration,
    },
    /// The worker's program is not the same build as this one.
    #[error("worker {pid} runs another build: {difference}")]
    OtherBuild {
        /// The worker's process.
        pid: u32,
        /// What differs.
        difference: String,
    },
    /// The initializer failed.
    #[error("the initializer `{function}` failed in worker {pid}: {message}")]
    Initializer {
        /// The registered name of the initializer.
        function: String,
        /// The worker's process.
        pid: u32,
        /// The initializer's own message.
        message: String,
    },
    /// Workers died again and again before they had finished, or at least begun, anything.
    #[error(
        "worker {pid} {end}{}, the last of {deaths} that ended in a row, with no task finished or begun in between \
         (`max_restarts` allows no more){}",
        during(initializer.as_deref()),
        quote(last_words.as_deref())
    )]
    WorkersKeepDying {
        /// How many.
        deaths: u32,
        /// The last worker's process.
        pid: u32,
        /// How the last one ended.
        end: EndOfWorker,
        /// The registered name of the initializer, if that is what it ran.
        initializer: Option<String>,
        /// What it last wrote to its standard error, where that is kept.
        last_words: Option<Arc<str>>,
    },
    /// The initializer was refused before any worker was started.
    #[error("the initializer was refused")]
    InitializerRefused(#[source] SubmitError),
    /// The registered functions contradict each other.
    #[error("the registered functions contradict each other: {0}")]
    Registry(String),
}

/// What a worker was at that was not ready.
fn when(initializer: Option<&str>) -> String {
    match initializer {
        Some(_) => during(initializer).trim_start().to_owned(),
        None => "before it was ready: does `main` call `procession::init()` first?".to_owned(),
    }
}

fn during(initializer: Option<&str>) -> String {
    let during = |function| format!(" while it ran the initializer `{function}`");
    initializer.map_or_else(String::new, during)
}

/// The end of a message, with a worker's last words.
fn quote(last_words: Option<&str>) -> String {
    last_words.map_or_else(String::new, |words| {
        format!(" (its last words: {})", words.trim_end())
    })
}

impl BuildError {
    /// Refuses a parameter.
    pub(crate) fn refuse<T>(
        parameter: &'static str,
        must_be: &'static str,
        value: impl ToString,
    ) -> Result<T, Self> {
        Err(Self::Parameter {
            parameter,
            must_be,
            value: value.to_string(),
        })
    }

    /// Refuses a count of zero.
    pub(crate) fn refuse_zero<N: Default + PartialEq>(
        parameter: &'static str,
        count: Option<N>,
    ) -> Result<Option<N>, Self> {
        match count {
            Some(zero) if zero == N::default() => Self::refuse(parameter, "at least 1", 0),
            _ => Ok(count),
        }
    }
}

explained!(BuildError, ShutdownError);

/// The deadline of a shutdown passed before everything had ended.
///
/// The rest was ended as with [`Shutdown::Kill`](crate::Shutdown::Kill).
///
/// ```standalone_crate
/// use std::time::Duration;
/// use procession::{ProcessPoolExecutor, Shutdown};
///
/// #[procession::task]
/// fn sleep_long() {
///     std::thread::sleep(Duration::from_secs(3600));
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
///     let future = pool.submit(sleep_long, ())?;
///     let late = pool.shutdown(Shutdown::Wait, Some(Duration::from_millis(10))).unwrap_err();
///     assert_eq!(late.unfinished, 1);
///     assert!(future.wait().is_err());
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deadline of the shutdown passed with {unfinished} of its tasks not ended")]
#[non_exhaustive]
pub struct ShutdownError {
    /// How many tasks were pending at the deadline.
    pub unfinished: usize,
}
