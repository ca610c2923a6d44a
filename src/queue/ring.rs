//! Where the items lie: rings in one file, of which one is used.
//!
//! A ring of 2ⁿ bytes lies in the file from 2ⁿ up to 2ⁿ⁺¹, so that each size has a place of its own, and none needs to be
//! remembered. A place in the queue is a number of bytes that only grows; its last n bits say where it is in the ring.

use std::io;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use super::error::Fault;
use super::side::Cursor;
use crate::sys::{Arena, Mapping};

/// What every item begins with: its length. Items begin at multiples of this, so that it is in one piece.
pub(super) const FRAME: u64 = 8;

/// The smallest ring: 64 KiB.
const SMALLEST: u32 = 16;

/// The largest: 2⁴⁰ bytes.
const LARGEST: u32 = 40;

/// How large a ring is, as a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size(u32);

impl Size {
    /// One behind whose place there is room for the locks.
    pub(super) fn smallest(locks: usize) -> Self {
        let len = (Arena::lock_len() * locks) as u64;
        Self(Self::power(len).max(SMALLEST))
    }

    /// The first that has room for so many bytes.
    pub(super) fn for_bytes(bytes: u64, smallest: Self) -> Option<Self> {
        let power = Self::power(bytes).max(smallest.0);
        (power <= LARGEST).then_some(Self(power))
    }

    /// As it stands in memory that others can write to.
    #[inline]
    pub(super) fn read(word: u64, smallest: Self, largest: Self) -> Result<Self, Fault> {
        let size = u32::try_from(word).map(Self);
        let is_one = |size: &Self| (smallest..=largest).contains(size);
        size.ok().filter(is_one).ok_or(Fault::Corrupt)
    }

    pub(super) fn word(self) -> u64 {
        self.0.into()
    }

    #[inline]
    pub(super) fn bytes(self) -> u64 {
        1 << self.0
    }

    fn power(bytes: u64) -> u32 {
        bytes.checked_next_power_of_two().map_or(64, u64::ilog2)
    }
}

/// How many bytes of a ring an item takes.
#[inline]
pub(super) fn framed(len: u64) -> Option<u64> {
    len.checked_next_multiple_of(FRAME)?.checked_add(FRAME)
}

/// The rings of a queue, each mapped when it is first used.
pub(super) struct Rings {
    smallest: Size,
    largest: Size,
    rings: Vec<OnceLock<Mapping>>,
}

/// One that is mapped.
#[derive(Clone, Copy)]
pub(super) struct Ring<'a> {
    memory: &'a Mapping,
    size: Size,
}

impl Rings {
    pub(super) fn new(smallest: Size, largest: Size) -> Self {
        Self {
            smallest,
            largest,
            rings: (smallest.0..=largest.0).map(|_| OnceLock::new()).collect(),
        }
    }

    pub(super) fn smallest(&self) -> Size {
        self.smallest
    }

    pub(super) fn largest(&self) -> Size {
        self.largest
    }

    /// How long the file is.
    pub(super) fn file_len(&self) -> u64 {
        2 * self.largest.bytes()
    }

    #[inline]
    pub(super) fn get(&self, arena: &Arena<impl AsFd>, size: Size) -> Result<Ring<'_>, Fault> {
        let place = size.0.checked_sub(self.smallest.0).ok_or(Fault::Corrupt)?;
        let place = self.rings.get(place as usize).ok_or(Fault::Corrupt)?;
        let memory = match place.get() {
            Some(memory) => memory,
            None => {
                let new = map(arena, size)?;
                place.get_or_init(|| new)
            }
        };
        Ok(Ring { memory, size })
    }

    /// Gives back what is outside of the ring that is used: what a process has left there that was killed while it changed
    /// from one to another.
    pub(super) fn tidy(&self, arena: &Arena<impl AsFd>, used: Size) {
        let (from, end) = (self.smallest.bytes(), self.file_len());
        arena.give_back(from, used.bytes() - from);
        arena.give_back(2 * used.bytes(), end - 2 * used.bytes());
    }
}

#[cold]
fn map(arena: &Arena<impl AsFd>, size: Size) -> io::Result<Mapping> {
    let len = usize::try_from(size.bytes());
    let len = len.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    arena.map(size.bytes(), len)
}

impl Ring<'_> {
    pub(super) fn size(self) -> Size {
        self.size
    }

    /// Gives its memory back.
    pub(super) fn give_back(self, arena: &Arena<impl AsFd>) {
        arena.give_back(self.size.bytes(), self.size.bytes());
    }

    /// Where in its memory a place is. An item begins at a multiple of [`FRAME`].
    #[inline]
    fn at(self, place: u64) -> usize {
        (place & (self.size.bytes() - 1)) as usize
    }

    /// Writes an item. It fits, as the caller has seen to.
    #[inline]
    pub(super) fn write_item(self, place: u64, item: &[u8]) -> Result<(), Fault> {
        let len = item.len() as u64;
        self.memory.copy_in(self.at(place), &len.to_ne_bytes())?;
        self.write(place.wrapping_add(FRAME), item)
    }

    /// How long the item is that begins here: not more than fits.
    #[inline]
    pub(super) fn item_len(self, place: u64) -> Result<usize, Fault> {
        if !place.is_multiple_of(FRAME) {
            return Err(Fault::Corrupt);
        }
        let mut len = [0; FRAME as usize];
        self.memory.copy_out(self.at(place), &mut len)?;
        let len = u64::from_ne_bytes(len);
        let fits = framed(len).is_some_and(|taken| taken <= self.size.bytes());
        usize::try_from(len)
            .ok()
            .filter(|_| fits)
            .ok_or(Fault::Corrupt)
    }

    #[inline]
    pub(super) fn read_item(self, place: u64, item: &mut [u8]) -> Result<(), Fault> {
        self.read(place.wrapping_add(FRAME), item)
    }

    #[inline]
    fn write(self, place: u64, bytes: &[u8]) -> Result<(), Fault> {
        let at = self.at(place);
        let (front, back) = bytes.split_at(bytes.len().min(self.memory.len() - at));
        self.memory.copy_in(at, front)?;
        if !back.is_empty() {
            self.memory.copy_in(0, back)?;
        }
        Ok(())
    }

    #[inline]
    fn read(self, place: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        let at = self.at(place);
        let here = bytes.len().min(self.memory.len() - at);
        let (front, back) = bytes.split_at_mut(here);
        self.memory.copy_out(at, front)?;
        if !back.is_empty() {
            self.memory.copy_out(0, back)?;
        }
        Ok(())
    }

    /// Copies what is between two places into another ring, which has room for it.
    pub(super) fn copy_to(self, other: Ring<'_>, from: Cursor, to: Cursor) -> Result<(), Fault> {
        let mut left = to.place.wrapping_sub(from.place);
        if left > self.size.bytes().min(other.size.bytes()) {
            return Err(Fault::Corrupt);
        }
        let mut place = from.place;
        let mut piece = vec![0; left.min(64 * 1024) as usize];
        while left > 0 {
            let len = left.min(piece.len() as u64);
            let piece = &mut piece[..len as usize];
            self.read(place, piece)?;
            other.write(place, piece)?;
            place = place.wrapping_add(len);
            left -= len;
        }
        Ok(())
    }
}
