//! `concurrent.futures` and `multiprocessing` for Rust.

#![expect(dead_code, unused_imports, reason = "the executors, which use it, are still to come")]

// The attributes name this crate by its own name, also in its own tests.
#[cfg(test)]
extern crate self as procession;

// The order of these lines is the order of dependency: a module names only modules declared
// before it (tests/tidy.rs).
mod primitives;
mod error;
mod failure;
#[cfg(feature = "json")]
mod json;
mod frame;
mod wire;
mod registry;
mod run;
mod future;
mod page;
mod scheduler;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;

pub use failure::Failure;
#[cfg(feature = "json")]
pub use json::Json;
#[cfg(feature = "macros")]
pub use procession_macros::{main, task};
pub use registry::{TaskFunction, set_worker_runtime};
#[doc(hidden)]
pub mod __private {
    pub use crate::registry::private::*;
}

pub use error::{
    BuildError, EndOfWorker, Panic, ShutdownError, SubmitError, TaskError, TaskId, TrySubmitError,
    WorkerLost,
};
pub use future::{
    AsCompleted, AsCompletedTimeout, Awaiting, Completes, Future, Promise, ReturnWhen, Streamable,
    Streamed, WaitAsync, Waited, as_completed, wait, wait_async,
};
