//! Bytes in and out, and the waiting for it.

use super::core::Core;
use super::error::Fault;
use super::ring::{FRAME, Size, framed};
use super::side::Cursor;
use crate::sys::Deadline;

/// Rings up to this size stay when nothing is in them: to get fresh memory again for each burst costs more than all the rest.
const KEPT: u64 = 1 << 24;

/// Looks so often for what it waits for before it sleeps, where there is more than one CPU: about as long as it takes to fall asleep and be
/// woken again.
const SPINS: u32 = 100;

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    Done,
    /// There is no item, or no room.
    NotNow,
    /// There is no room, and that is not waited for.
    Full,
    Closed,
}

/// A buffer that is longer than what is in it, so that it need not be cleared each time.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
}

impl Buffer {
    pub(super) fn item(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// What is in it, and all of its memory.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.truncate(self.len);
        self.len = 0;
        bytes
    }

    /// How much memory it has.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Room for an item of this length.
    #[inline]
    fn of_len(&mut self, len: usize) -> Result<&mut [u8], Fault> {
        if len > self.bytes.len() {
            self.enlarge(len)?;
        }
        self.len = len;
        Ok(&mut self.bytes[..len])
    }

    fn enlarge(&mut self, len: usize) -> Result<(), Fault> {
        // Asked for first in a way that may fail, and then in one that gets it zeroed by the system.
        let mut asked = Vec::<u8>::new();
        if asked.try_reserve_exact(len).is_err() {
            return Err(std::io::Error::from(std::io::ErrorKind::OutOfMemory).into());
        }
        drop(asked);
        self.bytes = vec![0; len];
        Ok(())
    }
}

impl Core {
    /// Puts an item, if there is room by the deadline. What is full and not bounded in items is not waited for.
    pub(super) fn put(&self, item: &[u8], deadline: Deadline) -> Result<Tried, Fault> {
        let first = self.try_put(item, deadline)?;
        if first != Tried::NotNow || self.config.capacity == 0 {
            return Ok(first);
        }
        let frame = framed(item.len() as u64).ok_or(Fault::Corrupt)?;
        let may_have_room = || match (self.putters.peek(), self.getters.peek()) {
            (Some(put), Some(got)) => !self.is_full(put, got, frame),
            _ => false,
        };
        let tried = self.spin(deadline, may_have_room, || self.try_put(item, deadline))?;
        if tried != Tried::NotNow {
            return Ok(tried);
        }
        self.wait(
            deadline,
            may_have_room,
            || self.try_put(item, deadline),
            || {
                let _inside = self.as_getter(deadline)?;
                // Who puts meanwhile makes it fuller, and nothing else.
                let Some(put) = self.putters.peek() else {
                    return Ok(None);
                };
                let is_full = self.is_full(put, self.getters.cursor(), frame);
                if self.is_closed() || !is_full {
                    return Ok(None);
                }
                Ok(Some(self.getters.fall_asleep()))
            },
            |since| self.getters.sleep(since, deadline),
        )
    }

    /// Gets an item, if there is one by the deadline.
    pub(super) fn get(&self, item: &mut Buffer, deadline: Deadline) -> Result<Tried, Fault> {
        let first = self.try_get_when(false, item, deadline)?;
        if first != Tried::NotNow {
            return Ok(first);
        }
        let may_have_one = || self.putters.count() != self.getters.count();
        let tried = self.spin(deadline, may_have_one, || {
            self.try_get_when(false, item, deadline)
        })?;
        if tried != Tried::NotNow {
            return Ok(tried);
        }
        self.wait(
            deadline,
            may_have_one,
            || self.try_get(item, deadline),
            || {
                let _inside = self.as_putter(deadline)?;
                // Who gets meanwhile makes it emptier, and nothing else.
                let is_empty = self.putters.count() == self.getters.count();
                if self.is_closed() || !is_empty {
                    return Ok(None);
                }
                Ok(Some(self.putters.fall_asleep()))
            },
            |since| self.putters.sleep(since, deadline),
        )
    }

    /// Looks for a while, and tries when it looks well.
    fn spin(
        &self,
        deadline: Deadline,
        looks_well: impl Fn() -> bool,
        mut attempt: impl FnMut() -> Result<Tried, Fault>,
    ) -> Result<Tried, Fault> {
        for _ in 0..spins() {
            std::hint::spin_loop();
            if looks_well() || self.is_closed() {
                let tried = attempt()?;
                if tried != Tried::NotNow || deadline.has_passed() {
                    return Ok(tried);
                }
            }
        }
        Ok(Tried::NotNow)
    }

    /// Waits as the module's page describes: looks, tries where it looks well, and sleeps while nothing has happened since. The last try is
    /// made when the time is over.
    fn wait(
        &self,
        deadline: Deadline,
        looks_well: impl Fn() -> bool,
        mut attempt: impl FnMut() -> Result<Tried, Fault>,
        mut fall_asleep: impl FnMut() -> Result<Option<u32>, Fault>,
        rest: impl Fn(u32),
    ) -> Result<Tried, Fault> {
        loop {
            let is_last = deadline.has_passed();
            // Of all who were woken, those who come too late need not take the lock of their side.
            if is_last || looks_well() || self.is_closed() {
                let tried = attempt()?;
                if tried != Tried::NotNow || is_last {
                    return Ok(tried);
                }
            }
            match fall_asleep() {
                Ok(Some(since)) => rest(since),
                // There is something; or the time is over, as somebody has the lock of the other side, and perhaps was stopped with it.
                Ok(None) | Err(Fault::TimedOut) => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Puts an item if there is room. The deadline is one for the lock.
    #[inline]
    pub(super) fn try_put(&self, item: &[u8], deadline: Deadline) -> Result<Tried, Fault> {
        let frame = framed(item.len() as u64).ok_or(Fault::Corrupt)?;
        let _inside = self.as_putter(deadline)?;
        if self.is_closed() {
            return Ok(Tried::Closed);
        }
        let put = self.putters.cursor();
        let mut ring = self.ring()?;
        let mut got = self.seen_got();
        let is_tight = |got: Cursor| {
            let used = Self::used(put, got, ring.size());
            self.is_full(put, got, frame)
                || used.map_or(true, |used| used + frame > ring.size().bytes())
        };
        if is_tight(got) {
            got = self.see_got(deadline)?;
            if self.is_full(put, got, frame) {
                // If it is.
                Self::used(put, got, ring.size())?;
                return Ok(Tried::NotNow);
            }
            if is_tight(got) {
                // Those who get wait meanwhile. (The other order of the two locks is never waited for.)
                let _getters = self.as_getter(deadline)?;
                got = self.getters.cursor();
                let used = Self::used(put, got, ring.size())?;
                self.grow(used.saturating_add(frame), put, got)?;
                ring = self.ring()?;
            }
        }
        ring.write_item(put.place, item)?;
        self.putters.announce();
        self.putters.commit(Cursor {
            count: put.count.wrapping_add(1),
            place: put.place.wrapping_add(frame),
        });
        Ok(Tried::Done)
    }

    /// Gets an item if there is one. The deadline is one for the lock.
    #[inline]
    pub(super) fn try_get(&self, item: &mut Buffer, deadline: Deadline) -> Result<Tried, Fault> {
        self.try_get_when(true, item, deadline)
    }

    /// The same; if there is none, one that `is_idle` sees to the memory.
    #[inline]
    fn try_get_when(
        &self,
        is_idle: bool,
        item: &mut Buffer,
        deadline: Deadline,
    ) -> Result<Tried, Fault> {
        let _inside = self.as_getter(deadline)?;
        let got = self.getters.cursor();
        let ring = self.ring()?;
        let is_possible = |count: u64| (1..=ring.size().bytes() / FRAME).contains(&count);
        let mut seen = self.seen_put();
        if !is_possible(seen.wrapping_sub(got.count)) {
            // In this order: when it has been closed, all that there will be is counted.
            let is_closed = self.is_closed();
            seen = self.see_put();
            if seen == got.count {
                if is_idle && ring.size().bytes() > KEPT {
                    self.shrink(got);
                }
                return Ok(if is_closed {
                    Tried::Closed
                } else {
                    Tried::NotNow
                });
            }
            if !is_possible(seen.wrapping_sub(got.count)) {
                return Err(Fault::Corrupt);
            }
        }
        let len = ring.item_len(got.place)?;
        if len as u64 > self.config.max_bytes {
            return Err(Fault::Corrupt);
        }
        ring.read_item(got.place, item.of_len(len)?)?;
        let next = Cursor {
            count: got.count.wrapping_add(1),
            place: got
                .place
                .wrapping_add(framed(len as u64).ok_or(Fault::Corrupt)?),
        };
        self.getters.announce();
        self.getters.commit(next);
        Ok(Tried::Done)
    }

    /// With the lock of those who get held: gives back the memory of a large ring in which there is little. If somebody puts just now, the next
    /// one who finds it empty does this.
    #[cold]
    fn shrink(&self, got: Cursor) {
        let Ok(_inside) = self.putters.try_enter() else {
            return;
        };
        let put = self.putters.cursor();
        let Ok(old) = self.ring_size() else { return };
        let Ok(used) = Self::used(put, got, old) else {
            return;
        };
        let new = Size::for_bytes(used.saturating_mul(2), self.smallest_ring());
        if let Some(new) = new.filter(|new| new.bytes() <= old.bytes() / 8) {
            // If it cannot be done now, it can be later.
            let _ = self.move_to(new, put, got);
        }
    }
}

fn spins() -> u32 {
    static MANY: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let many = || std::thread::available_parallelism().is_ok_and(|count| count.get() > 1);
    if *MANY.get_or_init(many) { SPINS } else { 0 }
}
