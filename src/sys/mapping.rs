//! The memory that the driver and one worker share: a page of words, and bytes behind it that outlive the worker.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};

use rustix::fs::{
    MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create,
};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::descriptors::off_standard;
use super::limits::check_file_len;
use crate::page::Page;

/// How many bytes a worker can keep.
const KEPT: usize = 64 * 1024;

const SIZE: usize = size_of::<Page>() + KEPT;

/// What must be sealed before a mapping can be trusted to stay: a file that shrinks under a mapping
/// turns every access into SIGBUS.
const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// A mapping of the status page; unmapped on drop.
pub(crate) struct SharedPage(NonNull<Page>);

impl SharedPage {
    /// A new page of zeros, and the descriptor by which another process can map it too.
    pub(crate) fn create() -> io::Result<(Self, OwnedFd)> {
        let memory = memfd_create(
            "procession-status",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )?;
        let memory = off_standard(memory)?;
        check_file_len(SIZE as u64)?;
        ftruncate(&memory, SIZE as u64)?;
        fcntl_add_seals(&memory, SEALS)?;
        Ok((Self::map(&memory)?, memory))
    }

    /// Maps a page made by another process, after checking that it has the size and the seals.
    pub(crate) fn attach(memory: impl AsFd) -> io::Result<Self> {
        let sealed = fcntl_get_seals(&memory)?.contains(SEALS);
        if !sealed || fstat(&memory)?.st_size != SIZE as i64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not a status page",
            ));
        }
        Self::map(memory)
    }

    fn map(memory: impl AsFd) -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address of the system's choice touches no memory of this
        // program. The file is `SIZE` long and sealed against shrinking, so all of it stays
        // accessible. https://man7.org/linux/man-pages/man2/mmap.2.html
        let address = unsafe {
            mmap(
                ptr::null_mut(),
                SIZE,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                memory,
                0,
            )?
        };
        NonNull::new(address.cast())
            .map(Self)
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
    }

    /// For the worker: puts bytes behind the page, so far from the first; says whether there is room.
    pub(crate) fn keep_bytes(&self, at: usize, bytes: &[u8]) -> bool {
        if at > KEPT || bytes.len() > KEPT - at {
            return false;
        }
        // SAFETY: the mapping is `SIZE` bytes long, of which these are within the last `KEPT`: just checked. No reference
        // to those is ever made, and nobody reads them before `Page::keep` has said that they are there; a process that was forked
        // off may write to them, too, whose bytes are as good as any. The source is a slice outside of the mapping.
        unsafe {
            let place = self.0.as_ptr().cast::<u8>().add(size_of::<Page>() + at);
            copy_few(bytes, place);
        }
        true
    }

    /// What a worker has kept, at most so many bytes of it: for the driver, when the worker has ended, and for a thread of the worker.
    pub(crate) fn kept_bytes(&self, len: u32) -> Vec<u8> {
        let len = usize::try_from(len).unwrap_or(KEPT).min(KEPT);
        let start = self.0.as_ptr().cast::<u8>();
        let byte = |at| {
            // SAFETY: within the mapping, as above, and mapped from zeros, so that every byte has a value. Volatile, since
            // a process that the worker has forked off may write to it still. The worker itself writes behind these bytes,
            // which `Page::kept` has said are there.
            unsafe { start.add(size_of::<Page>() + at).read_volatile() }
        };
        (0..len).map(byte).collect()
    }
}

/// Copies bytes, which are few as a rule: so few that a call would be most of it.
///
/// # Safety
///
/// As many bytes may be written at `place`, which is outside of `bytes`.
unsafe fn copy_few(bytes: &[u8], place: *mut u8) {
    // SAFETY: each copy is of bytes that are there, to as many that the caller has promised: the first so many, and the last so
    // many, which may be some of the same.
    unsafe {
        if let (Some(first), Some(last), ..=16) = (
            bytes.first_chunk::<8>(),
            bytes.last_chunk::<8>(),
            bytes.len(),
        ) {
            place.copy_from_nonoverlapping(first.as_ptr(), 8);
            place
                .add(bytes.len() - 8)
                .copy_from_nonoverlapping(last.as_ptr(), 8);
        } else if let (Some(first), Some(last), ..=7) = (
            bytes.first_chunk::<4>(),
            bytes.last_chunk::<4>(),
            bytes.len(),
        ) {
            place.copy_from_nonoverlapping(first.as_ptr(), 4);
            place
                .add(bytes.len() - 4)
                .copy_from_nonoverlapping(last.as_ptr(), 4);
        } else {
            place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }
}

impl Deref for SharedPage {
    type Target = Page;

    fn deref(&self) -> &Page {
        // SAFETY: the mapping begins with a `Page` of initialised memory (zeros from the start), aligned
        // to a page, and lives until drop. `Page` is made of atomics only, for which every bit
        // pattern is valid and which may change under a shared reference, by other processes too.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: this mapping was made by `map` with this size, and the references handed out by
        // `deref` borrow from `self`, so none is left.
        let unmapped = unsafe { munmap(self.0.as_ptr().cast(), SIZE) };
        debug_assert!(unmapped.is_ok(), "a mapping of ours can be unmapped");
    }
}

// SAFETY: `Page` is `Sync` (atomics), and a mapping belongs to the process, not to a thread.
unsafe impl Send for SharedPage {}
// SAFETY: as above; all access goes through `&Page`.
unsafe impl Sync for SharedPage {}
