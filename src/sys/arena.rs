//! A file of shared memory with several locks, and much more room than it takes.
//!
//! It is sealed like every segment, so that what is mapped of it stays. Its length costs nothing: a page is taken when it is first
//! written to (or read), and can be given back. The locks have a page each, at the start.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FallocateFlags, fallocate};

use super::robust::LockedMapping;
use super::segment::{Mapping, create_file, page_len, sealed_len};

/// The file, by a descriptor.
pub(crate) struct Arena<M> {
    memory: M,
    len: u64,
}

impl Arena<OwnedFd> {
    /// A new file of zeros, and of the locks that [`lock`](Self::lock) finds.
    pub(crate) fn create(name: &str, len: usize, locks: usize) -> io::Result<Self> {
        let this = Self::open(create_file(name, len)?)?;
        for number in 0..locks {
            LockedMapping::create_page(&this.memory, this.page(number)?)?;
        }
        Ok(this)
    }

    /// How much of the file a lock takes.
    pub(crate) fn lock_len() -> usize {
        page_len()
    }

    pub(crate) fn into_memory(self) -> OwnedFd {
        self.memory
    }
}

impl<M: AsFd> Arena<M> {
    /// What somebody else has created, after checking that it is sealed.
    pub(crate) fn open(memory: M) -> io::Result<Self> {
        let len = sealed_len(&memory)?;
        Ok(Self { memory, len })
    }

    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// One of the locks, with the bytes of its page.
    pub(crate) fn lock(&self, number: usize) -> io::Result<LockedMapping> {
        LockedMapping::attach_page(&self.memory, self.page(number)?)
    }

    /// A part of it, that begins and ends with a page.
    pub(crate) fn map(&self, at: u64, len: usize) -> io::Result<Mapping> {
        self.check(at, len as u64)?;
        Mapping::map(&self.memory, at, len, len, 0)
    }

    /// Gives pages back to the system; they are zeros from then on. Where it cannot do that, nothing happens.
    pub(crate) fn give_back(&self, at: u64, len: u64) {
        if len == 0 || self.check(at, len).is_err() {
            return;
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let _ = fallocate(&self.memory, flags, at, len);
    }

    fn page(&self, number: usize) -> io::Result<u64> {
        let page = page_len() as u64;
        let at = (number as u64).saturating_mul(page);
        self.check(at, page)?;
        Ok(at)
    }

    fn check(&self, at: u64, len: u64) -> io::Result<()> {
        let page = page_len() as u64;
        let is_inside = at.checked_add(len).is_some_and(|end| end <= self.len);
        if is_inside && at.is_multiple_of(page) && len.is_multiple_of(page) {
            return Ok(());
        }
        let what = "a part of shared memory that is not there";
        Err(io::Error::new(io::ErrorKind::InvalidData, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Deadline;

    #[test]
    fn an_arena_takes_no_more_than_is_used_and_gives_back() {
        let arena = Arena::create("procession-test", 1 << 30, 2).unwrap();
        let taken = |arena: &Arena<OwnedFd>| rustix::fs::fstat(arena.memory()).unwrap().st_blocks;
        assert!(taken(&arena) < 100);
        let part = arena.map(1 << 29, 1 << 20).unwrap();
        part.copy_in(0, &vec![7; 1 << 20]).unwrap();
        let again = arena.map(1 << 29, 1 << 20).unwrap();
        let mut byte = [0];
        again.copy_out(9, &mut byte).unwrap();
        assert_eq!(byte, [7]);
        assert!(taken(&arena) >= 2048);
        arena.give_back(1 << 29, 1 << 20);
        assert!(taken(&arena) < 100);
        again.copy_out(9, &mut byte).unwrap();
        assert_eq!(byte, [0]);
    }

    #[test]
    fn the_locks_of_an_arena_are_different_ones() {
        let arena = Arena::create("procession-test", 1 << 20, 2).unwrap();
        let locks = [0, 0, 1].map(|number| arena.lock(number).unwrap());
        let held = locks[0].lock(Deadline::NEVER).unwrap();
        assert!(locks[1].try_lock().is_err());
        drop(locks[2].try_lock().unwrap());
        drop(held);
        drop(locks[1].try_lock().unwrap());
        locks[2].header().words[0].store(1, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(
            locks[0].header().words[0].load(std::sync::atomic::Ordering::Relaxed),
            0
        );
        assert!(locks[0].u32_at(0).is_ok());
    }

    #[test]
    fn what_is_not_in_an_arena_is_refused() {
        let arena = Arena::create("procession-test", 1 << 20, 1).unwrap();
        for (at, len) in [
            (0, 2 << 20),
            (1 << 20, 4096),
            (1, 4096),
            (0, 4095),
            (u64::MAX - 4095, 4096),
        ] {
            assert!(arena.map(at, len).is_err(), "{at} {len}");
        }
        assert!(arena.lock(1 << 20).is_err());
        assert!(arena.lock(usize::MAX).is_err());
        assert!(Arena::open(std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
