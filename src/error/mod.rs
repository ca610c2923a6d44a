//! What can go wrong, in the caller's terms: one type per decision the caller makes.
//!
//! * [`BuildError`]: the executor could not be started.
//! * [`SubmitError`]: a call was refused; nothing ran.
//! * [`SpawnError`], [`ProcessError`]: a process was not started; has no result.
//! * [`TaskError`]: what a future can say instead of a value.
//!
//! Their `{:?}`, and that of the errors of all other modules, is the message with its causes.

mod build;
mod process;
mod submit;
mod task;
mod worker;

pub use build::{BuildError, ShutdownError};
pub use process::{ProcessEnded, ProcessError, SpawnError};
pub use submit::{SubmitError, TrySubmitError};
pub use task::{Panic, TaskError, TaskId, TimeLimit, TimeLimitKind, Travelling};
pub use worker::{EndOfWorker, WorkerLost};

use worker::write_attempts;

/// What `{:?}` of an error prints: the message and its causes, since that is what `unwrap` and an
/// error returned by `main` show.
pub(crate) fn explain(
    error: &(dyn std::error::Error + 'static),
    f: &mut std::fmt::Formatter<'_>,
) -> std::fmt::Result {
    write!(f, "{error}")?;
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(f, ": {error}")?;
        cause = error.source();
    }
    Ok(())
}

/// Has `{:?}` of these errors print that.
macro_rules! explained {
    ($($error:ty),+ $(,)?) => {$(
        impl std::fmt::Debug for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::error::explain(self, f)
            }
        }
    )+};
}
pub(crate) use explained;
