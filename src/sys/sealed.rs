//! Memory that nobody can change any more, mapped to be read in place.
//!
//! A slice of it is sound because the file is sealed against writing: the system refuses that while anybody has it mapped for
//! writing, and afterwards refuses all writes, new writable mappings, and holes. Whoever gets such a file looks at its
//! seals first; they cannot be taken off.
//! <https://man7.org/linux/man-pages/man2/F_ADD_SEALS.2const.html>

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};
use rustix::io::{pwrite, retry_on_intr};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::descriptors::off_standard;
use super::limits::check_file_len;
use super::segment::too_large;

const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE);

/// A file without a name, to be written and then [sealed](Self::seal).
#[derive(Debug)]
pub(crate) struct UnsealedFile {
    file: OwnedFd,
    len: u64,
}

impl UnsealedFile {
    /// A new one.
    pub(crate) fn create(name: &str) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = off_standard(memfd_create(name, flags)?)?;
        Ok(Self { file, len: 0 })
    }

    /// Writes some of these bytes behind what is there, and says how many.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        check_file_len(self.len.saturating_add(bytes.len() as u64))?;
        let count = retry_on_intr(|| pwrite(&self.file, bytes, self.len))?;
        self.len += count as u64;
        Ok(count)
    }

    /// Makes it final.
    pub(crate) fn seal(self) -> io::Result<OwnedFd> {
        fcntl_add_seals(&self.file, SEALS | SealFlags::SEAL)?;
        Ok(self.file)
    }
}

/// A mapping of a file that has been sealed; unmapped on drop.
pub(crate) struct SealedBytes {
    start: NonNull<u8>,
    len: usize,
    /// The file's inode.
    id: u64,
}

impl SealedBytes {
    /// Maps a file, after checking that nobody can change it.
    pub(crate) fn map(memory: impl AsFd) -> io::Result<Self> {
        let seals = fcntl_get_seals(&memory);
        if !seals.is_ok_and(|seals| seals.contains(SEALS)) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "memory that could still be written to",
            ));
        }
        // From here on its size is what it is.
        let stat = fstat(&memory)?;
        let id = stat.st_ino;
        let len = isize::try_from(stat.st_size).map_err(|_| too_large())?;
        let len = len.unsigned_abs();
        if len == 0 {
            // What is not there cannot be mapped.
            return Ok(Self {
                start: NonNull::dangling(),
                len,
                id,
            });
        }
        // SAFETY: a fresh mapping at an address of the system's choice touches no memory of this program. (Private, since
        // kernels before 6.7 refuse a shared one of a file that is sealed against writing. The pages are shared all the same, as
        // nobody writes to them.)
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                len,
                ProtFlags::READ,
                MapFlags::PRIVATE,
                memory,
                0,
            )?
        };
        NonNull::new(start.cast())
            .map(|start| Self { start, len, id })
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
    }

    /// The same for all mappings of this memory, in this process; another one for any other.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

impl Deref for SealedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` bytes of one mapping, which lives as long as `self`, of a file that is that long for good; or none, at a
        // pointer that is not null. Nobody can change them, as the module argues.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for SealedBytes {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: this mapping was made by `map` with this size, and all slices of it borrow from `self`.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "a mapping of ours can be unmapped");
    }
}

// SAFETY: a mapping belongs to the process, not to a thread; and it is only read.
unsafe impl Send for SealedBytes {}
// SAFETY: as above.
unsafe impl Sync for SealedBytes {}
