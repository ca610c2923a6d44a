//! The server: one loop that owns all objects.
//!
//! One thread, `procession-manager`, sleeps in `epoll_wait`, reads requests, has the [`Store`](super::store::Store) do them, and writes answers. It
//! never waits for anything else: what may block is done on [`threads`] of its own.
//!
//! | file | one line |
//! |--|--|
//! | `turn` | the loop |
//! | `door` | clients that have not proved the key yet |
//! | `session` | one that has: what it asks, and what it has not read yet |
//! | `threads` | what may block |
//! | `waits` | which of that waits for the server itself |
//! | `handle` | the server, as who has started it sees it |
//! | `start` | the same in a process of its own |
//! | `unowned` | that process, before anybody owns it |
//! | `refusal` | why that did not begin to serve |
//!
//! # Nobody keeps others from being served
//!
//! | who | what bounds it |
//! |--|--|
//! | connects, and is silent or slow | [`HANDSHAKE_TIME`], then it is dropped; it has cost a descriptor and some hundred bytes |
//! | connects again and again | [`door::ACCEPTS_PER_TURN`]; [`door::MAX_UNAUTHENTICATED`], of which the oldest is dropped for a new one |
//! | asks without end | [`session::FRAMES_PER_TURN`], then it is the others' turn |
//! | does not read its answers | [`session::MAX_UNSENT`], then it is not listened to until it has |
//! | breaks the rules | its connection is ended |
//!
//! A client whose key is right is trusted with the server's memory: it can fill it by what it stores. What is queued for one that does not read is bounded by
//! `MAX_UNSENT`, one answer, and the answers to calls of its own that were waiting ([`MAX_CALLS`](super::store::MAX_CALLS)).

mod door;
mod handle;
mod refusal;
mod session;
mod start;
mod threads;
mod turn;
mod unowned;
mod waits;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::manager::secure::ServeError;

pub use self::handle::{Server, ServerBuilder};
pub(crate) use self::start::{Plan, Started};
pub(crate) use self::unowned::Unowned;

/// How long a client may take to prove the key, from when it is accepted.
pub(crate) const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// How many clients there may be at once, unless something else is asked for.
const DEFAULT_MAX_CONNECTIONS: usize = 16_384;

/// How many threads may be busy with what blocks, unless something else is asked for.
const DEFAULT_THREADS: usize = 32;

/// How long a request, or an answer, may be, in bytes, unless something else is asked for.
const DEFAULT_MAX_FRAME: u64 = 1 << 30;

/// What a server allows.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) max_connections: usize,
    pub(crate) threads: usize,
    pub(crate) max_frame: u64,
    pub(crate) handshake_time: Duration,
    /// How long it goes on without a client; `None` is for ever.
    pub(crate) idle_timeout: Option<Duration>,
}

/// The least `max_frame`: what is said about a server, and why something is refused, fits.
const MIN_MAX_FRAME: u64 = 4096;

impl Limits {
    /// Refuses what no server can work with.
    pub(crate) fn check(&self) -> Result<(), ServeError> {
        let refuse = |parameter, must_be, value| {
            Err(ServeError::Parameter {
                parameter,
                must_be,
                value,
            })
        };
        if self.max_connections == 0 {
            return refuse("max_connections", "at least 1", 0);
        }
        if self.threads == 0 {
            return refuse("threads", "at least 1", 0);
        }
        if self.max_frame < MIN_MAX_FRAME {
            return refuse("max_frame", "at least 4096 bytes", self.max_frame);
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: DEFAULT_MAX_CONNECTIONS,
            threads: DEFAULT_THREADS,
            max_frame: DEFAULT_MAX_FRAME,
            handshake_time: HANDSHAKE_TIME,
            idle_timeout: None,
        }
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(all(test, not(loom)))]
mod tests;
