//! Start a copy of ourselves; be that copy.
//!
//! ```text
//!   driver                                     worker
//!   start()   posix_spawn, marker, stdin ───▶  init(): marker? control socket on stdin?
//!             Setup + descriptors ──socket──▶  take_over(): named steps, then hello
//!   link      task pipe ────────────────────▶  serve(): begin, run, answer
//!             result pipe ◀──────────────────
//!             (its end of the socket closes) ▶  watch: kill the group
//! ```
//!
//! A process that runs one function is started in the same way, and then is `process` instead of `serve`.

mod allowance;
mod courier;
mod answers;
mod entry;
mod memory;
mod pipes;
mod process;
mod serve;
mod start;
mod take_over;

pub(crate) use allowance::{Allowance, KeptFds, MAX_DIRECTORY};
pub(crate) use entry::check_this_process;
pub use entry::{TestEntry, in_worker, init};
pub(crate) use process::identity;
pub(crate) use start::{
    Destination, Launch, Started, StartedProcess, check_environment, excuse, program_at, start,
    start_process,
};

/// How deep executors may be nested: a worker that starts an executor whose workers start one …
pub(crate) const MAX_DEPTH: u32 = 10;
