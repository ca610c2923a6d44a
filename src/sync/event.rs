//! Something that has happened, or has not.
//!
//! The word: how often it was set, and in its lowest bit whether it is.

use std::fmt;
use std::io;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Room, WaitError};
use crate::sys::Deadline;

const STATE: usize = 0;
const IS_SET: u64 = 1;

/// A flag that processes can wait for.
///
/// As [`multiprocessing.Event`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Event), but that
/// whoever waits when it is set returns, even if it is cleared at once.
///
/// ```
/// use procession::sync::Event;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let event = Event::new()?;
/// let same = event.clone();
/// std::thread::spawn(move || same.set());
/// event.wait()?;
/// assert!(event.is_set());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct Event {
    room: Room,
}

impl Event {
    /// One that is not set.
    ///
    /// # Errors
    ///
    /// Where the system has no descriptor or no memory for it.
    pub fn new() -> io::Result<Self> {
        let room = Room::create("procession-event", 0)?;
        Ok(Self { room })
    }

    /// Sets it, and wakes all who wait for it. What this thread did before is seen by whoever sees that it is set.
    ///
    /// # Errors
    ///
    /// [`WaitError::Broken`].
    pub fn set(&self) -> Result<(), WaitError> {
        let header = self.room.header();
        let _inside = self.room.enter(Deadline::NEVER)?;
        let state = header.words[STATE].load(Relaxed);
        if state & IS_SET == 0 {
            header.announce();
            // From 2n to 2n + 3: set once more.
            header.words[STATE].store(state.wrapping_add(3), Release);
        }
        Ok(())
    }

    /// Takes it back: whoever comes from now on waits.
    ///
    /// # Errors
    ///
    /// [`WaitError::Broken`].
    pub fn clear(&self) -> Result<(), WaitError> {
        let state = &self.room.header().words[STATE];
        let _inside = self.room.enter(Deadline::NEVER)?;
        // Nobody waits for that.
        state.store(state.load(Relaxed) & !IS_SET, Release);
        Ok(())
    }

    /// Whether it is set. Costs a look at the memory.
    pub fn is_set(&self) -> bool {
        self.state() & IS_SET != 0
    }

    /// Waits until it is set.
    ///
    /// # Errors
    ///
    /// [`WaitError::Broken`].
    pub fn wait(&self) -> Result<(), WaitError> {
        self.wait_until(Deadline::NEVER)
    }

    /// Waits for at most so long.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`], not before that; zero is to look.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        self.wait_until(Deadline::after(timeout))
    }

    /// Whether both are handles to the same event.
    pub fn is_same(&self, other: &Self) -> bool {
        self.room.is_same(&other.room)
    }

    fn wait_until(&self, deadline: Deadline) -> Result<(), WaitError> {
        let begun = self.state();
        if begun & IS_SET != 0 {
            return Ok(());
        }
        self.room.wait(deadline, |_| {
            // It differs if it is set, or has been set in between.
            (self.state() != begun).then_some(())
        })
    }

    fn state(&self) -> u64 {
        self.room.header().words[STATE].load(Acquire)
    }
}

#[cfg(test)]
impl Event {
    pub(super) fn room(&self) -> &Room {
        &self.room
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_set = self.is_set();
        f.debug_struct("Event").field("is_set", &is_set).finish()
    }
}
