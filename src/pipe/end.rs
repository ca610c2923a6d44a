//! One end of a connection, without the types of its messages.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::assembler::Assembler;
use super::packet::{HEADER_LEN, MAX_PART, Tag};
use super::reactor::{Seat, Watch};
use super::turn::Turn;
use crate::primitives::plain::{Mutex, lock};
use crate::sys::{Home, deadline_after, longest_packet, packet_pair};
use crate::wire::{Carried, Handle};

/// The longest message, unless an end says otherwise.
pub(super) const DEFAULT_MAX_MESSAGE: u64 = 16 << 30;

/// So many packets of a long message are sent or received in one poll of a future, some hundreds of KiB; then the runtime may do
/// something else. More would keep its other tasks waiting when the other side keeps up, and fewer would cost more polls, of less than a
/// microsecond, where the packets take some fifty.
pub(super) const PACKETS_IN_A_POLL: usize = 4;

/// Which way messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Direction {
    Both,
    Sends,
    Receives,
}

/// How long somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Never,
    Until(Instant),
    Forever,
}

impl Patience {
    pub(super) fn of(timeout: Duration) -> Self {
        if timeout.is_zero() {
            return Self::Never;
        }
        deadline_after(timeout).map_or(Self::Forever, Self::Until)
    }

    /// Whether the time is up. Who never waits has none.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Until(deadline) if deadline <= Instant::now())
    }

    /// For what waits: `None` is for ever.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Until(deadline) => Some(deadline),
            _ => None,
        }
    }
}

/// Shared by the clones of a connection in one process.
#[derive(Debug)]
pub(super) struct End {
    /// From the first time that somebody has awaited something. It stands before the socket, which is still open
    /// when this leaves the reactor.
    watch: Mutex<Option<Arc<Watch>>>,
    pub(super) socket: Handle,
    pub(super) direction: Direction,
    pub(super) max_message: AtomicU64,
    /// How much of a message goes into one packet: less than [`MAX_PART`] where the system gives sockets
    /// little room.
    pub(super) part: usize,
    /// What tells its messages from those of other copies of the same end, in whatever process: a number of its own, and
    /// the first one of its messages. Both are random, so that nobody has to be asked.
    pub(super) tag: Tag,
    /// The process that made it: one that was forked off has the same numbers.
    pub(super) home: Home,
    /// Held while a message of several packets is sent: how many there were.
    pub(super) sending: Turn<u32>,
    /// A long message that was given up, when there was no room to tell the receiver, and by which process: one that was forked off
    /// owes nothing for its parent.
    pub(super) owed: Mutex<Option<(Home, Tag)>>,
    /// Whether there is one.
    pub(super) owes: AtomicBool,
    /// Held while somebody receives: what has come in part.
    pub(super) receiving: Turn<Assembler<Arc<Carried>>>,
}

impl End {
    pub(super) fn new(socket: Handle, direction: Direction, max_message: u64) -> Self {
        let random = RandomState::new().build_hasher().finish();
        let part = longest_packet(&socket).saturating_sub(HEADER_LEN);
        Self {
            watch: Mutex::default(),
            socket,
            direction,
            max_message: AtomicU64::new(max_message),
            part: part.clamp(1, MAX_PART),
            tag: Tag {
                sender: random as u32,
                number: (random >> 32) as u32,
            },
            home: Home::here(),
            sending: Turn::default(),
            owed: Mutex::default(),
            owes: AtomicBool::new(false),
            receiving: Turn::default(),
        }
    }

    /// Both ends.
    pub(super) fn pair(one: Direction, other: Direction) -> io::Result<(Arc<Self>, Arc<Self>)> {
        let (first, second) = packet_pair()?;
        let end =
            |socket: OwnedFd, way| Arc::new(Self::new(socket.into(), way, DEFAULT_MAX_MESSAGE));
        Ok((end(first, one), end(second, other)))
    }

    pub(super) fn max_message(&self) -> u64 {
        self.max_message.load(Ordering::Relaxed)
    }

    /// Its place in the reactor of this process, from the first time on that it is asked for.
    pub(super) fn watch(&self) -> io::Result<Arc<Watch>> {
        let mut known = lock(&self.watch);
        if let Some(watch) = &*known
            && !watch.is_elsewhere()
        {
            return Ok(watch.clone());
        }
        let watch = Arc::new(Watch::new(&self.socket)?);
        *known = Some(watch.clone());
        Ok(watch)
    }

    /// Takes somebody who awaited off the reactor's list.
    pub(super) fn leave(&self, seat: &mut Seat) {
        let watch = lock(&self.watch).clone();
        if let Some(watch) = watch.filter(|watch| !watch.is_elsewhere()) {
            watch.leave(seat);
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.tell_what_is_owed();
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
