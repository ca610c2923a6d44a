//! The memory of a queue: how it is laid out, made, and checked by whoever gets it.
//!
//! ```text
//!  page 0            page 1            2¹⁶ …  2ⁿ ─────── 2ⁿ⁺¹ … end
//!  lock of those     lock of those     rings, of which one is used
//!  who put; what     who get; who
//!  the queue is      joins
//! ```

use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::error::Fault;
use super::ring::{FRAME, Ring, Rings, Size};
use super::side::{self, Cursor, Inside, OWN, SELDOM, Side};
use crate::sys::{Arena, Deadline, LockedMapping, MutexError};
use crate::wire::Handle;

const PUTTERS: usize = 0;
const GETTERS: usize = 1;
const LOCKS: usize = 2;

// Those who put.
/// How far those who get were when somebody looked last: the cursor of the other side is in another cache line, which changes all the time.
const SEEN_COUNT: usize = OWN;
const SEEN_PLACE: usize = OWN + 1;
/// The size of the ring. Changed only with both locks held.
const RING: usize = SELDOM;
/// Whether nothing more comes. Changed only with both locks held.
const CLOSED: usize = SELDOM + 1;

// Those who get.
/// How far those who put were when somebody looked last.
const SEEN_PUT: usize = OWN;
/// How many items are done.
const DONE: usize = OWN + 1;

// Bytes in the page of those who put, written before anybody else has it: what the queue is.
const MAGIC_AT: usize = 0;
const VERSION_AT: usize = 8;
const CAPACITY_AT: usize = 16;
const MAX_BYTES_AT: usize = 24;

const MAGIC: u64 = u64::from_le_bytes(*b"prcqueue");
const VERSION: u64 = 2;

// Bytes in the page of those who get: on what those sleep who join.
const JOIN_SEQUENCE_AT: usize = 0;
const JOIN_SLEEPERS_AT: usize = 4;

/// What a queue is, from its beginning on. Read once, when it is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Config {
    /// In items; 0 if it is not bounded.
    pub(super) capacity: u64,
    pub(super) max_bytes: u64,
}

/// A queue of bytes.
pub(super) struct Core {
    pub(super) config: Config,
    pub(super) putters: Side,
    pub(super) getters: Side,
    pub(super) arena: Arena<Handle>,
    rings: Rings,
}

impl Core {
    pub(super) fn create(config: Config) -> io::Result<Self> {
        let rings = config.rings().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "more bytes than a queue can have",
            )
        })?;
        let len = usize::try_from(rings.file_len());
        let len = len.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let memory = Arena::create("procession-queue", len, LOCKS)?.into_memory();
        let this = Self::map(Arena::open(Handle::from(memory))?, config, rings)?;
        let putters = this.putters.mapping();
        for (at, value) in [
            (MAGIC_AT, MAGIC),
            (VERSION_AT, VERSION),
            (CAPACITY_AT, config.capacity),
            (MAX_BYTES_AT, config.max_bytes),
        ] {
            word_at(putters, at)?.store(value, Ordering::Relaxed);
        }
        let smallest = this.rings.smallest().word();
        this.putters.word(RING).store(smallest, Ordering::Relaxed);
        Ok(this)
    }

    /// What somebody else has created, checked.
    pub(super) fn attach(memory: Handle) -> io::Result<Self> {
        let refused = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
        let arena = Arena::open(memory)?;
        let putters = arena.lock(PUTTERS)?;
        let read = |at| Ok::<_, io::Error>(word_at(&putters, at)?.load(Ordering::Relaxed));
        if read(MAGIC_AT)? != MAGIC {
            return Err(refused("not the memory of a queue"));
        }
        if read(VERSION_AT)? != VERSION {
            return Err(refused(
                "the memory of a queue of another version of this library",
            ));
        }
        let config = Config {
            capacity: read(CAPACITY_AT)?,
            max_bytes: read(MAX_BYTES_AT)?,
        };
        let rings = config
            .rings()
            .filter(|rings| rings.file_len() == arena.len());
        let rings = rings.ok_or_else(|| refused("the memory of a queue of another size"))?;
        Self::map(arena, config, rings)
    }

    fn map(arena: Arena<Handle>, config: Config, rings: Rings) -> io::Result<Self> {
        Ok(Self {
            config,
            putters: Side::open(&arena, PUTTERS)?,
            getters: Side::open(&arena, GETTERS)?,
            arena,
            rings,
        })
    }

    /// How many items there are, at some moment.
    pub(super) fn len(&self) -> u64 {
        let mut got = self.getters.count();
        for _ in 0..8 {
            let put = self.putters.count();
            let again = self.getters.count();
            if got == again {
                return put.wrapping_sub(got).min(self.most());
            }
            got = again;
        }
        // It changes all the time: as many as there are at least.
        self.putters.count().saturating_sub(got).min(self.most())
    }

    /// More than that cannot be in it.
    fn most(&self) -> u64 {
        match self.config.capacity {
            0 => self.config.max_bytes / FRAME,
            capacity => capacity,
        }
    }

    /// Whether there is no room for an item that takes so many bytes.
    #[inline]
    pub(super) fn is_full(&self, put: Cursor, got: Cursor, frame: u64) -> bool {
        let Config {
            capacity,
            max_bytes,
        } = self.config;
        let count = put.count.wrapping_sub(got.count);
        let used = put.place.wrapping_sub(got.place);
        capacity != 0 && count >= capacity || used.saturating_add(frame) > max_bytes
    }

    /// How much is in it, as far as it can be so.
    #[inline]
    pub(super) fn used(put: Cursor, got: Cursor, ring: Size) -> Result<u64, Fault> {
        let used = put.place.wrapping_sub(got.place);
        let count = put.count.wrapping_sub(got.count);
        if used > ring.bytes() || count > used / FRAME || !used.is_multiple_of(FRAME) {
            return Err(Fault::Corrupt);
        }
        Ok(used)
    }

    /// With one of the locks held: where the items are.
    #[inline]
    pub(super) fn ring(&self) -> Result<Ring<'_>, Fault> {
        self.rings.get(&self.arena, self.ring_size()?)
    }

    pub(super) fn ring_size(&self) -> Result<Size, Fault> {
        let word = self.putters.word(RING).load(Ordering::Acquire);
        Size::read(word, self.rings.smallest(), self.rings.largest())
    }

    pub(super) fn smallest_ring(&self) -> Size {
        self.rings.smallest()
    }

    /// With both locks held: goes on in a ring of **another** size, with room for all that there is.
    pub(super) fn move_to(&self, size: Size, put: Cursor, got: Cursor) -> Result<(), Fault> {
        let old = self.ring()?;
        let new = self.rings.get(&self.arena, size)?;
        old.copy_to(new, got, put)?;
        // Nobody waits for this: there is no sequence to count on.
        self.putters
            .word(RING)
            .store(size.word(), Ordering::Release);
        old.give_back(&self.arena);
        Ok(())
    }

    /// With both locks held: goes on in a ring in which so many bytes have room, unless this one has it by now.
    pub(super) fn grow(&self, bytes: u64, put: Cursor, got: Cursor) -> Result<(), Fault> {
        let size = Size::for_bytes(bytes, self.smallest_ring());
        let size = size.filter(|size| *size <= self.rings.largest());
        let size = size.ok_or(Fault::Corrupt)?;
        if size <= self.ring_size()? {
            return Ok(());
        }
        self.move_to(size, put, got)
    }

    /// Takes the lock of those who put.
    #[inline]
    pub(super) fn as_putter(&self, deadline: Deadline) -> Result<Inside<'_>, MutexError> {
        self.putters
            .enter(deadline)
            .inspect(|in_it| self.come_after(in_it))
    }

    /// Takes the lock of those who get. Who wants both takes the other one first.
    #[inline]
    pub(super) fn as_getter(&self, deadline: Deadline) -> Result<Inside<'_>, MutexError> {
        self.getters
            .enter(deadline)
            .inspect(|in_it| self.come_after(in_it))
    }

    /// There is nothing to repair after one that has died with a lock but memory that it did not give back.
    #[inline]
    fn come_after(&self, inside: &Inside<'_>) {
        if inside.owner_died() {
            self.tidy();
        }
    }

    #[cold]
    fn tidy(&self) {
        if let Ok(used) = self.ring_size() {
            self.rings.tidy(&self.arena, used);
        }
    }

    /// With the lock of those who put: how far those who get were, not long ago.
    #[inline]
    pub(super) fn seen_got(&self) -> Cursor {
        let word = |number| self.putters.word(number).load(Ordering::Relaxed);
        Cursor {
            count: word(SEEN_COUNT),
            place: word(SEEN_PLACE),
        }
    }

    /// The same, anew. What they have read by then may be written over.
    pub(super) fn see_got(&self, deadline: Deadline) -> Result<Cursor, Fault> {
        let got = match self.getters.peek() {
            Some(got) => got,
            None => {
                let _inside = self.as_getter(deadline)?;
                self.getters.cursor()
            }
        };
        self.putters
            .word(SEEN_COUNT)
            .store(got.count, Ordering::Relaxed);
        self.putters
            .word(SEEN_PLACE)
            .store(got.place, Ordering::Relaxed);
        Ok(got)
    }

    /// With the lock of those who get: how many had been put, not long ago.
    #[inline]
    pub(super) fn seen_put(&self) -> u64 {
        self.getters.word(SEEN_PUT).load(Ordering::Relaxed)
    }

    /// The same, anew. What they have written by then can be read.
    pub(super) fn see_put(&self) -> u64 {
        let put = self.putters.count();
        self.getters.word(SEEN_PUT).store(put, Ordering::Relaxed);
        put
    }

    /// If so, all that there will be is counted already.
    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.putters.word(CLOSED).load(Ordering::Acquire) != 0
    }

    pub(super) fn close(&self) -> Result<(), Fault> {
        let _putters = self.as_putter(Deadline::NEVER)?;
        let _getters = self.as_getter(Deadline::NEVER)?;
        self.putters.announce();
        self.getters.announce();
        self.putters.word(CLOSED).store(1, Ordering::Release);
        Ok(())
    }

    /// One more item is done; `false` if there is none that is not.
    pub(super) fn task_done(&self) -> Result<bool, Fault> {
        let _inside = self.as_getter(Deadline::NEVER)?;
        let done = self.getters.word(DONE);
        let (before, put) = (done.load(Ordering::Relaxed), self.putters.count());
        if before == put {
            return Ok(false);
        }
        let now = before.wrapping_add(1);
        if now == put {
            let (sequence, sleepers) = self.join_words()?;
            side::announce(sequence, sleepers);
        }
        done.store(now, Ordering::Release);
        Ok(true)
    }

    /// Waits until all that has been put is done.
    pub(super) fn join(&self, deadline: Deadline) -> Result<(), Fault> {
        let (sequence, sleepers) = self.join_words()?;
        let mut is_last = false;
        loop {
            let inside = self.as_getter(deadline)?;
            if self.unfinished() == 0 {
                return Ok(());
            }
            if is_last {
                return Err(Fault::TimedOut);
            }
            let since = side::fall_asleep(sequence, sleepers);
            drop(inside);
            crate::sys::futex_wait(sequence, since, deadline);
            is_last = deadline.has_passed();
        }
    }

    /// How many items have been put that are not done.
    pub(super) fn unfinished(&self) -> u64 {
        let done = self.getters.word(DONE).load(Ordering::Acquire);
        self.putters.count().wrapping_sub(done)
    }

    fn join_words(&self) -> Result<(&AtomicU32, &AtomicU32), Fault> {
        let page = self.getters.mapping();
        Ok((
            page.u32_at(JOIN_SEQUENCE_AT)?,
            page.u32_at(JOIN_SLEEPERS_AT)?,
        ))
    }
}

impl Config {
    /// `None` for more bytes than a ring can have.
    fn rings(&self) -> Option<Rings> {
        let smallest = Size::smallest(LOCKS);
        let largest = Size::for_bytes(self.max_bytes, smallest)?;
        Some(Rings::new(smallest, largest))
    }
}

fn word_at(mapping: &LockedMapping, at: usize) -> io::Result<&AtomicU64> {
    let word = mapping.u64_at(at);
    word.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
