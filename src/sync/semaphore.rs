//! So many at a time.
//!
//! The words: how many permits there are, and how many there may be.

use std::fmt;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Room, WaitError};
use crate::error::explained;
use crate::sys::Deadline;

const COUNT: usize = 0;
const LIMIT: usize = 1;

/// A number of permits: who takes one goes on, who finds none waits for somebody to release one.
///
/// It has no owner. Any process may [release](Self::release) a permit, whether it has taken one or not, and **a permit is lost with a process
/// that is killed while it has one**: if that matters, use a [`Lock`](super::Lock). Nobody is served in the order of coming.
///
/// As [`multiprocessing.Semaphore`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Semaphore).
///
/// ```
/// use procession::sync::Semaphore;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let semaphore = Semaphore::new(2)?;
/// let one = semaphore.acquire()?;
/// let two = semaphore.acquire()?;
/// assert!(semaphore.try_acquire().is_err());
/// drop(one); // it is released
/// two.forget(); // somebody else will do that
/// semaphore.release()?;
/// assert_eq!(semaphore.value(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct Semaphore {
    room: Room,
}

/// A [`Semaphore`] that never has more permits than it began with.
///
/// One that is released too often is an error, where a plain one would have one more from then on.
///
/// As [`multiprocessing.BoundedSemaphore`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.BoundedSemaphore),
/// on every system.
///
/// ```
/// use procession::sync::BoundedSemaphore;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let semaphore = BoundedSemaphore::new(1)?;
/// drop(semaphore.acquire()?);
/// assert!(semaphore.release().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct BoundedSemaphore {
    room: Room,
}

macro_rules! semaphore {
    ($name:ident, $text:literal, $limit:expr) => {
        impl $name {
            /// One with so many permits.
            ///
            /// # Errors
            ///
            /// Where the system has no descriptor or no memory for it.
            pub fn new(permits: u64) -> io::Result<Self> {
                let room = Room::create("procession-semaphore", 0)?;
                let limit: fn(u64) -> u64 = $limit;
                room.header().words[COUNT].store(permits, Relaxed);
                room.header().words[LIMIT].store(limit(permits), Relaxed);
                Ok(Self { room })
            }

            /// Waits for a permit, and takes it.
            ///
            /// # Errors
            ///
            /// [`WaitError::Broken`].
            pub fn acquire(&self) -> Result<Permit, WaitError> {
                take(&self.room, Deadline::NEVER)
            }

            /// Takes a permit if there is one. It never waits for a permit; while another process changes the
            /// number, which takes some instructions, it waits for that.
            ///
            /// # Errors
            ///
            /// [`WaitError::WouldBlock`] if there is none.
            pub fn try_acquire(&self) -> Result<Permit, WaitError> {
                try_take(&self.room)
            }

            /// Waits for a permit for at most so long.
            ///
            /// # Errors
            ///
            /// [`WaitError::TimedOut`], not before that.
            pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit, WaitError> {
                take(&self.room, Deadline::after(timeout))
            }

            /// Adds a permit, of whoever it was.
            ///
            /// # Errors
            ///
            /// [`ReleaseError::TooOften`] if there are as many as there may be.
            pub fn release(&self) -> Result<(), ReleaseError> {
                self.release_many(1)
            }

            /// Adds permits, all or none of them.
            ///
            /// # Errors
            ///
            /// As [`release`](Self::release).
            pub fn release_many(&self, permits: u64) -> Result<(), ReleaseError> {
                give(&self.room, permits)
            }

            /// How many permits there were when this looked; it may be otherwise by now.
            pub fn value(&self) -> u64 {
                self.room.header().words[COUNT].load(Relaxed)
            }

            /// Whether both are handles to the same semaphore.
            pub fn is_same(&self, other: &Self) -> bool {
                self.room.is_same(&other.room)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let value = self.value();
                f.debug_struct($text).field("value", &value).finish()
            }
        }
    };
}
semaphore!(Semaphore, "Semaphore", |_| u64::MAX);
semaphore!(BoundedSemaphore, "BoundedSemaphore", |permits| permits);

/// Why a permit was not released.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// There are as many permits as there may be. Nothing has changed.
    #[error("the semaphore has been released more often than it was acquired")]
    TooOften,
    /// Its memory has been overwritten. It is of no use any more in this process.
    #[error("the memory of the semaphore has been overwritten")]
    Broken,
}

explained!(ReleaseError);

/// A permit of a semaphore; released on drop, by whatever thread.
#[must_use = "the permit is released when this is dropped; `forget` keeps it"]
pub struct Permit {
    /// `None` when it has been forgotten.
    room: Option<Room>,
}

impl Permit {
    /// Keeps the permit: somebody will [release](Semaphore::release) it.
    pub fn forget(mut self) {
        self.room = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // It is refused where somebody else has released it, too: then it is not this one's any more.
        let _ = self.room.as_ref().map(|room| give(room, 1));
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

fn take(room: &Room, deadline: Deadline) -> Result<Permit, WaitError> {
    room.wait(deadline, |_| take_one(room))?;
    Ok(Permit {
        room: Some(room.clone()),
    })
}

fn try_take(room: &Room) -> Result<Permit, WaitError> {
    let inside = room.enter(Deadline::NEVER)?;
    let taken = take_one(room);
    drop(inside);
    taken.ok_or(WaitError::WouldBlock)?;
    Ok(Permit {
        room: Some(room.clone()),
    })
}

/// Under the lock. Nobody waits for there being fewer, so it is not announced.
fn take_one(room: &Room) -> Option<()> {
    let count = &room.header().words[COUNT];
    count.store(count.load(Relaxed).checked_sub(1)?, Relaxed);
    Some(())
}

fn give(room: &Room, permits: u64) -> Result<(), ReleaseError> {
    let header = room.header();
    let _inside = room
        .enter(Deadline::NEVER)
        .map_err(|_| ReleaseError::Broken)?;
    let count = header.words[COUNT].load(Relaxed).checked_add(permits);
    let limit = header.words[LIMIT].load(Relaxed);
    let count = count
        .filter(|count| *count <= limit)
        .ok_or(ReleaseError::TooOften)?;
    header.announce();
    header.words[COUNT].store(count, Relaxed);
    Ok(())
}
