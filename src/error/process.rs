//! What can go wrong with a process that runs one function.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::{BuildError, EndOfWorker, Panic, SubmitError, TaskError, explain, explained};

/// A [`Process`](crate::Process) could not be started. Nothing was run.
///
/// ```
/// use procession::{Process, SpawnError};
///
/// fn forgotten() {}
///
/// match Process::spawn(forgotten, ()) {
///     Err(SpawnError::Function(error)) => assert!(error.to_string().contains("not registered")),
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The function, or its arguments, cannot be sent.
    #[error(transparent)]
    Function(SubmitError),
    /// No process can be started, or not from here.
    #[error(transparent)]
    Start(BuildError),
}

explained!(SpawnError);

/// What [`Process::join`](crate::Process::join) says where there is no result.
///
/// ```standalone_crate
/// use procession::{EndOfWorker, Process, ProcessError};
///
/// #[procession::task]
/// fn leave(code: i32) {
///     std::process::exit(code);
/// }
///
/// fn main() -> Result<(), procession::SpawnError> {
///     procession::init();
///     match Process::spawn(leave, 3)?.join() {
///         Err(ProcessError::Ended(ended)) => assert_eq!(ended.end, EndOfWorker::Exited(3)),
///         other => panic!("{other:?}"),
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The function panicked.
    #[error("{0}")]
    Panicked(Panic),
    /// The process ended before the function returned.
    #[error("{0}")]
    Ended(Box<ProcessEnded>),
    /// The process did not come to the function.
    #[error("the process did not come to its function")]
    NotStarted(#[source] BuildError),
    /// The arguments did not arrive, or the result did not.
    #[error(transparent)]
    NotDelivered(TaskError),
    /// The system refused what it takes to await a process.
    #[error("the system refused to watch the process")]
    NotWatched(#[source] Arc<io::Error>),
    /// This process was forked off from the one whose child it is.
    #[error("it is a child of the process that this one was forked off from")]
    Forked,
}

impl fmt::Debug for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // With its backtrace.
            Self::Panicked(panic) => fmt::Debug::fmt(panic, f),
            _ => explain(self, f),
        }
    }
}

/// A process that ended before its function returned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessEnded {
    /// The name of the process.
    pub name: Arc<str>,
    /// The registered name of the function.
    pub function: Arc<str>,
    /// The number that it had.
    pub pid: u32,
    /// How it ended.
    pub end: EndOfWorker,
}

impl fmt::Display for ProcessEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            function,
            pid,
            end,
        } = self;
        write!(
            f,
            "process `{name}` ({pid}) {end} before `{function}` returned"
        )
    }
}
