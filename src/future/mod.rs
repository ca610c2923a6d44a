//! One promise, one future: what a task's caller holds, and every way to wait for it.
//!
//! | file | one line |
//! |--|--|
//! | `typed` | [`Future`]: what `submit` returns |
//! | `promise` | [`Promise`]: a future without an executor |
//! | `as_completed`, `wait` | many futures at once |
//! | `completes` | [`Completes`]: everything that can be waited for together |
//! | `streamed` | iterators that block, as streams |
//! | `stage` | the results of a chunk, as they come |
//! | `raw` | the state that both ends share; [`Host`], what it asks of an executor |
//! | `waiting` | who waits for one future |
//! | `watcher` | one who waits for many futures |
//! | `timer` | a thread that wakes asynchronous waiters when their time is up |
//! | `contain` | other people's code, with its panics caught |
//!
//! # Protocol
//!
//! A future has one state: its outcome is set, or not. It is set once ([`RawFuture::complete`]), the
//! first time counts. Everything else (running, cancelled) is derived: from the host, from the outcome.
//!
//! Nobody misses the end, because each side does two things in the opposite order:
//!
//! * who completes *sets the outcome*, then takes the list of waiters *under the lock*;
//! * who waits takes the lock, *looks at the outcome under it*, and only then enters the list.
//!
//! So either the waiter's entry comes first and is found, or the lock hands over the outcome with it.
//! The list is taken out whole; wakers and callbacks run after the lock is released. Other people's
//! code never runs under a lock of ours: that goes for wakers (also their `clone` and `drop`), for
//! callbacks, and for encoding and decoding.

pub(crate) mod contain;
mod waiting;
mod watcher;
mod raw;
mod stage;
mod completes;
mod typed;
mod promise;
mod timer;
mod wait;
pub(crate) mod streamed;
mod as_completed;
#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;

pub use as_completed::{AsCompleted, AsCompletedTimeout, as_completed};
pub use completes::Completes;
pub use promise::Promise;
pub use streamed::{Streamable, Streamed};
pub use typed::{Awaiting, Future};
pub use wait::{ReturnWhen, WaitAsync, Waited, wait, wait_async};

pub use raw::Kill;
pub(crate) use raw::{Host, HostRef, Outcome, RawFuture};
pub(crate) use stage::{Answer, Answers, Place, Stage};
pub(crate) use timer::Timer;
pub(crate) use waiting::Seat;
pub(crate) use watcher::Watch;
