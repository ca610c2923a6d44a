//! Objects of a user's own: values of the types that `#[procession::managed]` stands above.
//!
//! | file | one line |
//! |--|--|
//! | `words` | what is asked of such an object |
//! | `actor` | the object: which of its calls may begin, and what came of them; a pure machine |
//! | `running` | one call on its thread: the only place where users' code runs |
//! | `scope` | users' values to bytes and back, with the proxies in them |
//! | `proxy` | what generated proxies are made of |
//!
//! # The protocol
//!
//! The value is made on a thread, by its constructor, and its calls wait until it is there. From then on:
//!
//! * Calls begin in the order in which they came. Those of `&self` run at the same time, at most [`MAX_AT_ONCE`] of them; one of `&mut self`
//!   waits until all before it have ended, and all behind it wait until it has. So nobody is overtaken, and nobody starves.
//! * A call that waits is an entry in the object's queue, and has no thread. One that may run is handed out as [`Work`](super::store::Work).
//! * A call can be taken back until its thread has begun it: whoever swaps its [`Ticket`](running::Ticket) first has it. One that has begun
//!   runs on, and nobody is told what came of it.
//! * Whatever panics is the end of its call, and of nothing else.
//! * The value is dropped on a thread too.

mod actor;
mod proxy;
mod running;
mod scope;
mod words;

pub(crate) use self::actor::create;
pub use self::proxy::{Managed, ManagedProxy, new, new_async, try_new, try_new_async};
pub(crate) use self::scope::{Reach, reach, reached_by};

/// The most calls of `&self` that are handed out at the same time for one object: others get their turn between them. Of so many that wait for another
/// call of the same object, that one would never begin; so the documentation of the attribute says it.
const MAX_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests;
