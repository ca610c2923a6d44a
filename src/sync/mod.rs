//! Locks between processes: [`Lock`], [`RLock`], [`Semaphore`], [`BoundedSemaphore`], [`Event`], [`Condition`],
//! [`Barrier`].
//!
//! Each is a handle to a piece of memory that processes share. A clone is another handle to the same thing, and so is what
//! arrives when one is sent: as an argument or result of a task, or within one. There is no name in the file system; the memory goes
//! with its last handle, however the processes end. A handle has one descriptor and two pages of memory in each process.
//!
//! ```
//! use procession::sync::{Lock, LockError};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let lock = Lock::new()?;
//! match lock.lock() {
//!     Ok(guard) => drop(guard), // what others must not see half done
//!     Err(LockError::OwnerDied(guard)) => drop(guard), // somebody was killed in there: look, repair, go on
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # When a process dies
//!
//! A [`Lock`] or [`RLock`] whose owner has died, with its process or its thread, goes to the next one who asks, together with
//! the news: [`LockError::OwnerDied`], once. So does the lock of a [`Value`](crate::shared::Value) or an
//! [`Array`](crate::shared::Array), and that of a [`Condition`]. The other ones have no owner: a permit of a [`Semaphore`] is lost with the
//! process that had it, and a [`Barrier`] does not learn that a party will not come.
//! But none of them is left in a state that the others could not use, whenever it happens.
//!
//! # What they cost
//!
//! A lock that nobody else has is taken and released without a system call. Who waits sleeps in the kernel. Signals
//! do not end a wait. Each wait has a form with a time limit, which bounds all of it.
//!
//! # Where they work
//!
//! Between processes of one machine and one PID namespace: an owner is known by the number of its thread. After a `fork` the
//! child does not own what its parent does: a lock that the forking thread held then is [broken](LockError::Broken) in the child, and for nobody
//! else; those of other threads are as they are for any other process. A process that
//! overwrites this memory can keep others waiting, or let two in at a time, or have the others told that a lock is broken, but it
//! cannot make them read or write elsewhere.
//!
//! # The protocol
//!
//! Lock and RLock are the system's robust mutexes. Everything else is made of one of those, some words of state that it
//! guards, and a *sequence* that counts the changes:
//!
//! ```text
//!  who waits                                     who changes
//!  ─────────                                     ───────────
//!  lock                                          lock
//!  state as wanted? take it, unlock, done        1. sequence += 1
//!  s = sequence                                  2. wake all who sleep on it
//!  unlock                                        3. commit: one store to the state
//!  sleep while sequence = s                      unlock
//!  from the start
//! ```
//!
//! The order of 1, 2 and 3 is what makes it survive a `kill -9` between any two instructions:
//!
//! * Killed before 3: nothing has happened. Those that were woken get the lock (it is robust, and they do not care that its owner
//!   died: the state is as it was before), look, read the sequence anew, and sleep again.
//! * Killed after 3: all has happened, and all have been woken already. They wait for the lock, which the kernel
//!   gives to one of them, and so on.
//! * Commit first and wake later, which is what one would write, leaves others asleep beside a state
//!   that they wait for, if the process is killed in between. So does every wake-up that is meant for one: that one may be
//!   killed with it. For the same reason there is no `pthread_cond`, which keeps such accounts in more words than one.
//!
//! Waking before the commit looks too early, but it is not: whoever wakes up has to get the lock first. And between `unlock` and `sleep`
//! nothing is lost, since the sequence has moved on then, and the kernel lets nobody sleep who brings an old number.
//!
//! A count of sleepers saves the call that wakes when there are none. It may be too high after a kill, which costs such calls and
//! nothing else; it is never too low, since it is raised under the lock, before the sequence is read.

mod barrier;
mod condition;
mod error;
mod event;
mod lock;
mod rlock;
mod room;
mod semaphore;
mod waiting;

pub use barrier::{Barrier, BarrierError, BarrierWaitResult};
pub use condition::{Condition, WrongLock};
pub use error::{LockError, WaitError};
pub use event::Event;
pub use lock::{Lock, LockGuard};
pub use rlock::{RLock, RLockGuard};
pub(crate) use room::Room;
pub use semaphore::{BoundedSemaphore, Permit, ReleaseError, Semaphore};

#[cfg(test)]
pub(crate) mod tests;
