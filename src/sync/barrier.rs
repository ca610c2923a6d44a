//! All wait until all are there.
//!
//! The words: where the barrier is (the round, how many have arrived, whether it is broken), in one, so that one store changes all
//! of it; whether each of the last 64 rounds was broken, which is read only after the round has changed, and so may be written before; what round somebody
//! wants to be broken who could not get the lock; and for how many it is.

use std::fmt;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::waiting::Inside;
use super::{Room, WaitError};
use crate::error::explained;
use crate::sys::{Deadline, Header, futex_wake_all};

const STATE: usize = 0;
const BROKEN_ROUNDS: usize = 1;
const TO_BE_BROKEN: usize = 2;
const PARTIES: usize = 3;

/// A place where so many parties wait for each other, again and again.
///
/// A barrier **breaks** when a party gives up ([`wait_timeout`](Self::wait_timeout)) or somebody calls [`abort`](Self::abort): then all who wait,
/// and all who come, are told, until it is [`reset`](Self::reset).
///
/// It has no list of its parties. One that is killed before it comes is waited for: a time limit is what helps. One
/// that is killed while it waits has come, and the others go on when they are all there; they find out by what it does not do
/// afterwards.
///
/// As [`multiprocessing.Barrier`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Barrier). Instead of
/// its `action` there is [`is_leader`](BarrierWaitResult::is_leader), as in [`std::sync::Barrier`].
///
/// ```
/// use procession::sync::Barrier;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let barrier = Barrier::new(2)?;
/// let same = barrier.clone();
/// let other = std::thread::spawn(move || same.wait().unwrap().index());
/// let index = barrier.wait()?.index();
/// assert_ne!(index, other.join().unwrap());
/// assert!(Barrier::new(0).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct Barrier {
    room: Room,
}

/// What a party learns that has passed a [`Barrier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BarrierWaitResult {
    index: u32,
}

impl BarrierWaitResult {
    pub(crate) fn of(index: u32) -> Self {
        Self { index }
    }

    /// Its place among those who waited together, in the order of their coming: from 0, and each only once.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Whether it is the one with the index 0.
    pub fn is_leader(&self) -> bool {
        self.index == 0
    }
}

/// Why a party has not passed a [`Barrier`].
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// The barrier was broken by somebody else, or has been reset, while this one waited; or it was broken already.
    #[error("the barrier is broken")]
    Broken,
    /// The others did not all come before the time was over. This party has broken the barrier.
    #[error("the others did not come to the barrier in time")]
    TimedOut,
    /// Its memory has been overwritten. It is of no use any more in this process.
    #[error("the memory of the barrier has been overwritten")]
    Overwritten,
}

explained!(BarrierError);

impl Barrier {
    /// One for so many parties, at least one.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for none, and for more than 2³¹ − 1; or where the system has no descriptor or no memory for it.
    pub fn new(parties: u32) -> io::Result<Self> {
        if parties == 0 || parties > State::MAX_ARRIVED {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a barrier for {parties} parties"),
            ));
        }
        let room = Room::create("procession-barrier", 0)?;
        room.header().words[PARTIES].store(parties.into(), Relaxed);
        Ok(Self { room })
    }

    /// Waits until all parties do.
    ///
    /// # Errors
    ///
    /// [`BarrierError::Broken`].
    pub fn wait(&self) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_until(Deadline::NEVER)
    }

    /// Waits for at most so long. If the others do not come until then, the barrier is broken, for them as well.
    ///
    /// # Errors
    ///
    /// [`BarrierError::TimedOut`], not before that, or [`BarrierError::Broken`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_until(Deadline::after(timeout))
    }

    /// Breaks it: all who wait, and all who come, get [`BarrierError::Broken`].
    ///
    /// # Errors
    ///
    /// [`BarrierError::Overwritten`].
    pub fn abort(&self) -> Result<(), BarrierError> {
        let (_inside, state) = self.enter(Deadline::NEVER)?;
        if !state.is_broken {
            state.breaks(self.room.header());
        }
        Ok(())
    }

    /// Makes it as new. Those who wait get [`BarrierError::Broken`].
    ///
    /// # Errors
    ///
    /// [`BarrierError::Overwritten`].
    pub fn reset(&self) -> Result<(), BarrierError> {
        let (_inside, state) = self.enter(Deadline::NEVER)?;
        if state.is_broken || state.arrived > 0 {
            state.ends(self.room.header(), true);
        }
        Ok(())
    }

    /// How many it is for.
    pub fn parties(&self) -> u32 {
        self.room.header().words[PARTIES].load(Relaxed) as u32
    }

    /// How many were waiting when this looked.
    pub fn waiting(&self) -> u32 {
        let state = State::of(self.room.header());
        if state.is_broken { 0 } else { state.arrived }
    }

    /// Whether it was broken when this looked.
    pub fn is_broken(&self) -> bool {
        let header = self.room.header();
        let state = State::of(header);
        state.is_broken || state.is_to_be_broken(header)
    }

    /// Whether both are handles to the same barrier.
    pub fn is_same(&self, other: &Self) -> bool {
        self.room.is_same(&other.room)
    }

    fn wait_until(&self, deadline: Deadline) -> Result<BarrierWaitResult, BarrierError> {
        let header = self.room.header();
        let (inside, state) = match self.enter(deadline) {
            Err(BarrierError::TimedOut) => {
                return Err(ask_to_break(header, State::of(header).round));
            }
            entered => entered?,
        };
        if state.is_broken {
            return Err(BarrierError::Broken);
        }
        let index = state.arrived;
        let passed = Ok(BarrierWaitResult { index });
        if index.saturating_add(1) >= self.parties() {
            state.ends(header, false);
            return passed;
        }
        let arrived = index.saturating_add(1);
        State { arrived, ..state }.commit(header); // Nobody waits for that.
        drop(inside);
        let ended = self.room.wait(deadline, |_| state.how_it_ended(header));
        match ended {
            Ok(ended) => ended.and(passed),
            Err(WaitError::TimedOut) => self.give_up(state, deadline).and(passed),
            Err(_) => Err(BarrierError::Overwritten),
        }
    }

    /// When the time is over, which it may have been only just before the others came.
    fn give_up(&self, begun: State, deadline: Deadline) -> Result<(), BarrierError> {
        let header = self.room.header();
        let (_inside, state) = match self.enter(deadline) {
            // Somebody has the lock, and perhaps has been stopped with it.
            Err(BarrierError::TimedOut) => return Err(ask_to_break(header, begun.round)),
            entered => entered?,
        };
        if let Some(ended) = begun.how_it_ended(header) {
            return ended;
        }
        state.breaks(header);
        Err(BarrierError::TimedOut)
    }

    fn enter(&self, deadline: Deadline) -> Result<(Inside<'_>, State), BarrierError> {
        let inside = self.room.enter(deadline).map_err(|error| match error {
            WaitError::TimedOut => BarrierError::TimedOut,
            _ => BarrierError::Overwritten,
        })?;
        let state = State::settled(self.room.header());
        Ok((inside, state))
    }
}

#[cfg(test)]
impl Barrier {
    pub(super) fn room(&self) -> &Room {
        &self.room
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("waiting", &self.waiting())
            .field("is_broken", &self.is_broken())
            .finish()
    }
}

/// The first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    round: u32,
    is_broken: bool,
    arrived: u32,
}

impl State {
    const MAX_ARRIVED: u32 = i32::MAX as u32;

    fn of(header: &Header) -> Self {
        let word = header.words[STATE].load(Relaxed);
        let low = word as u32;
        Self {
            round: (word >> 32) as u32,
            is_broken: low > Self::MAX_ARRIVED,
            arrived: low & Self::MAX_ARRIVED,
        }
    }

    /// With the lock held: after somebody's wish has been carried out who could not get it.
    fn settled(header: &Header) -> Self {
        let mut state = Self::of(header);
        if !state.is_broken && state.is_to_be_broken(header) {
            state.breaks(header);
            state.is_broken = true;
        }
        state
    }

    fn is_to_be_broken(self, header: &Header) -> bool {
        header.words[TO_BE_BROKEN].load(Relaxed) == u64::from(self.round) + 1
    }

    /// With the lock held. The order is that of the protocol, and this its step 3.
    fn commit(self, header: &Header) {
        let low = self.arrived | (u32::from(self.is_broken) << 31);
        let word = u64::from(self.round) << 32 | u64::from(low);
        header.words[STATE].store(word, Relaxed);
    }

    /// With the lock held: nobody passes any more.
    fn breaks(self, header: &Header) {
        header.announce();
        let is_broken = true;
        Self { is_broken, ..self }.commit(header);
    }

    /// With the lock held: the next round begins.
    fn ends(self, header: &Header, is_broken: bool) {
        let ends = header.words[BROKEN_ROUNDS].load(Relaxed);
        let ends = ends & !self.bit() | if is_broken { self.bit() } else { 0 };
        header.words[BROKEN_ROUNDS].store(ends, Relaxed);
        header.announce();
        Self {
            round: self.round.wrapping_add(1),
            is_broken: false,
            arrived: 0,
        }
        .commit(header);
    }

    /// With the lock held, for one who came in this state: whether its round is over.
    fn how_it_ended(self, header: &Header) -> Option<Result<(), BarrierError>> {
        let now = Self::settled(header);
        let is_broken = if now.round == self.round {
            now.is_broken.then_some(true)?
        } else {
            header.words[BROKEN_ROUNDS].load(Relaxed) & self.bit() != 0
        };
        Some(if is_broken {
            Err(BarrierError::Broken)
        } else {
            Ok(())
        })
    }

    fn bit(self) -> u64 {
        1 << (self.round % 64)
    }
}

/// Without the lock: whoever has it next carries it out. The wish of one who comes late with it, when his round is over, does not take
/// the place of one for a newer round.
fn ask_to_break(header: &Header, round: u32) -> BarrierError {
    let is_newer = |wish: u64| wish == 0 || round.wrapping_sub((wish - 1) as u32) as i32 > 0;
    let wish = u64::from(round) + 1;
    let word = &header.words[TO_BE_BROKEN];
    // Where there is a newer one already, nothing has to be done.
    let _ = word.fetch_update(Relaxed, Relaxed, |before| is_newer(before).then_some(wish));
    header.sequence.fetch_add(1, Relaxed);
    futex_wake_all(&header.sequence);
    BarrierError::TimedOut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_for_a_round_that_is_over_leaves_one_for_the_next_round() {
        let barrier = Barrier::new(2).unwrap();
        let header = barrier.room.header();
        for newer in [1, 7, 0, u32::MAX] {
            let at = |round| State {
                round,
                is_broken: false,
                arrived: 1,
            };
            header.words[TO_BE_BROKEN].store(0, Relaxed);
            let older = newer.wrapping_sub(1);
            ask_to_break(header, older);
            assert!(at(older).is_to_be_broken(header));
            ask_to_break(header, newer);
            assert!(at(newer).is_to_be_broken(header));
            ask_to_break(header, older);
            assert!(at(newer).is_to_be_broken(header), "{newer}");
        }
    }
}
