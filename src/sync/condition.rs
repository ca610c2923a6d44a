//! Waiting for what others do under a lock.
//!
//! The words, all of them changed with the condition's lock held (but for one, see [`Waiter`]): how many tickets have been drawn, how
//! many wait, how many of those have been notified but have not taken notice, and which tickets that was for. A notification is
//! for the tickets that had been drawn by then, so that nobody takes one who comes later; which of those gets it is decided by who comes
//! first. It is not written down for one of them, who may be dead.
//!
//! A notification can be left over: when those that it was for have died, or have given up at their time limit without the lock. Nobody who came
//! later takes it, as long as nothing more is notified. The next notification is for all tickets by then, and what was left over with it, so that
//! it may let so many go on more than it says, who look again: it cannot be told from one that somebody is on his way to take, and to throw that away
//! would lose it. One that is lost would leave somebody asleep; one too many is what every condition variable may do. Never are there more
//! than wait.

use std::fmt;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Lock, LockError, LockGuard, Room};
use crate::error::explained;
use crate::sys::{Deadline, Header};

const TICKETS: usize = 0;
const WAITING: usize = 1;
const NOTIFIED: usize = 2;
/// Tickets below this one may take a notification.
const UP_TO: usize = 3;

/// Waits, with a [`Lock`] released meanwhile, until another process or thread says that something has changed.
///
/// It belongs to the lock that it was made with, and all of its methods want a guard of that. Several conditions may belong to one lock. As
/// with every condition variable, look whether what you wait for is so, in a loop, as
/// [`wait_while`](Self::wait_while) does: somebody may have come in between; and when a process was killed that waited, or a time limit was over
/// while somebody else had the lock, a later notification may wake one more than it says. None is lost.
///
/// As [`multiprocessing.Condition`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Condition).
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
///
/// use procession::sync::{Condition, Lock};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let lock = Lock::new()?;
/// let condition = Condition::new(&lock)?;
/// let is_ready = Arc::new(AtomicBool::new(false)); // for processes: in shared memory
///
/// let others = (lock.clone(), condition.clone(), is_ready.clone());
/// std::thread::spawn(move || {
///     let (lock, condition, is_ready) = others;
///     let guard = lock.lock().unwrap();
///     is_ready.store(true, Relaxed);
///     condition.notify_one(&guard).unwrap();
/// });
///
/// let guard = condition.wait_while(lock.lock()?, || !is_ready.load(Relaxed))?;
/// drop(guard);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct Condition {
    lock: Lock,
    /// Its own lock is not used.
    room: Room,
}

/// The guard is one of another lock than that of the [`Condition`].
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the guard is not one of the condition's lock")]
pub struct WrongLock;

explained!(WrongLock);

impl Condition {
    /// One that belongs to this lock.
    ///
    /// # Errors
    ///
    /// Where the system has no descriptor or no memory for it.
    pub fn new(lock: &Lock) -> io::Result<Self> {
        Ok(Self {
            lock: lock.clone(),
            room: Room::create("procession-condition", 0)?,
        })
    }

    /// The lock that it belongs to.
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Releases the lock, waits to be notified, and takes the lock again.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](LockError::OwnerDied) if whoever had the lock before it came back has died with it; then there may have
    /// been a notification or not. [`WrongLock`](LockError::WrongLock) if it is not the condition's, at once.
    pub fn wait(&self, guard: LockGuard) -> Result<LockGuard, LockError<LockGuard>> {
        self.wait_until(guard, Deadline::NEVER)
            .map(|(guard, _)| guard)
    }

    /// Waits for at most so long, and says whether there was a notification.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](LockError::TimedOut) if the time was over and **somebody else had the lock then**: it is not taken. (The time limit is
    /// one of the whole call, not only of the part before the lock is taken again.) Else as [`wait`](Self::wait).
    pub fn wait_timeout(
        &self,
        guard: LockGuard,
        timeout: Duration,
    ) -> Result<(LockGuard, bool), LockError<LockGuard>> {
        self.wait_until(guard, Deadline::after(timeout))
    }

    /// Waits as long as something is so, which is looked at with the lock held.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_while(
        &self,
        mut guard: LockGuard,
        mut is_so: impl FnMut() -> bool,
    ) -> Result<LockGuard, LockError<LockGuard>> {
        while is_so() {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// Waits as long as something is so, but for at most so long. Says whether it is otherwise.
    ///
    /// # Errors
    ///
    /// As [`wait_timeout`](Self::wait_timeout).
    pub fn wait_timeout_while(
        &self,
        mut guard: LockGuard,
        timeout: Duration,
        mut is_so: impl FnMut() -> bool,
    ) -> Result<(LockGuard, bool), LockError<LockGuard>> {
        let deadline = Deadline::after(timeout);
        while is_so() {
            let (again, was_notified) = self.wait_until(guard, deadline)?;
            guard = again;
            if !was_notified {
                return Ok((guard, !is_so()));
            }
        }
        Ok((guard, true))
    }

    /// Lets one go on of those who wait. It does so when the lock is released.
    ///
    /// # Errors
    ///
    /// If the guard is not one of the condition's lock.
    pub fn notify_one(&self, guard: &LockGuard) -> Result<(), WrongLock> {
        self.notify_many(guard, 1)
    }

    /// Lets so many go on, or all who wait if those are fewer.
    ///
    /// # Errors
    ///
    /// As [`notify_one`](Self::notify_one).
    pub fn notify_many(&self, guard: &LockGuard, count: u64) -> Result<(), WrongLock> {
        if !guard.is_of(&self.lock) {
            return Err(WrongLock);
        }
        let header = self.room.header();
        let [tickets, waiting, notified, up_to] = words(header);
        let waiting = waiting.load(Relaxed);
        if waiting == 0 || count == 0 {
            return Ok(());
        }
        header.announce();
        up_to.store(tickets.load(Relaxed), Relaxed);
        let count = notified.load(Relaxed).saturating_add(count).min(waiting);
        notified.store(count, Relaxed);
        Ok(())
    }

    /// Lets all go on who wait.
    ///
    /// # Errors
    ///
    /// As [`notify_one`](Self::notify_one).
    pub fn notify_all(&self, guard: &LockGuard) -> Result<(), WrongLock> {
        self.notify_many(guard, u64::MAX)
    }

    fn wait_until(
        &self,
        guard: LockGuard,
        deadline: Deadline,
    ) -> Result<(LockGuard, bool), LockError<LockGuard>> {
        if !guard.is_of(&self.lock) {
            return Err(LockError::WrongLock(guard));
        }
        let header = self.room.header();
        let waiter = Waiter::new(header);
        let mut guard = guard;
        loop {
            let sleep = header.fall_asleep();
            drop(guard);
            sleep.until(deadline);
            // It may be over: then this takes the lock only if it can be had at once.
            guard = LockGuard::waited(self.lock.room.mapping.lock_owned(deadline))?;
            if waiter.takes_notice() {
                return Ok((guard, true));
            }
            if deadline.has_passed() {
                return Ok((guard, false));
            }
        }
    }

    #[cfg(test)]
    pub(super) fn mapping(&self) -> &crate::sys::LockedMapping {
        &self.room.mapping
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, waiting, ..] = words(self.room.header());
        f.debug_struct("Condition")
            .field("lock", &self.lock)
            .field("waiting", &waiting.load(Relaxed))
            .finish()
    }
}

fn words(header: &Header) -> [&AtomicU64; 4] {
    [TICKETS, WAITING, NOTIFIED, UP_TO].map(|word| &header.words[word])
}

/// One who waits. It stops waiting when this is dropped, which may be without the lock, when the time is over or the lock has gone: then others
/// may see it wait for a little longer, and a notification be left over, which the next ones do not count on.
struct Waiter<'a> {
    header: &'a Header,
    ticket: u64,
}

impl<'a> Waiter<'a> {
    /// With the lock held.
    fn new(header: &'a Header) -> Self {
        let [tickets, waiting, ..] = words(header);
        let ticket = tickets.load(Relaxed);
        tickets.store(ticket.wrapping_add(1), Relaxed);
        waiting.fetch_add(1, Relaxed);
        Self { header, ticket }
    }

    /// With the lock held: whether there was a notification, and this one takes it.
    fn takes_notice(&self) -> bool {
        let [_, _, notified, up_to] = words(self.header);
        let count = notified.load(Relaxed);
        if count == 0 || self.ticket >= up_to.load(Relaxed) {
            return false;
        }
        notified.store(count - 1, Relaxed);
        true
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let [_, waiting, ..] = words(self.header);
        waiting.fetch_sub(1, Relaxed);
    }
}
