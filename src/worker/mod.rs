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

mod answers;
mod entry;
mod memory;
mod pipes;
mod serve;
mod start;
mod take_over;

pub(crate) use entry::check_this_process;
pub use entry::{TestEntry, in_worker, init};
pub(crate) use start::{Destination, Launch, StartError, Started, start};

/// How deep executors may be nested: a worker that starts an executor whose workers start one …
pub(crate) const MAX_DEPTH: u32 = 10;
