//! Memory that processes share: a sealed file without a name, mapped.
//!
//! # Why this is sound
//!
//! * **The memory stays.** A file that shrinks under a mapping turns an access into SIGBUS. These files are sealed
//!   against shrinking and growing before anybody else has them, and whoever gets one looks at the seals and the
//!   size before mapping it. Seals cannot be taken off.
//! * **It may change at any time**, also by processes that are not well. So there is no reference to any of it but to
//!   atomics, for which every bit pattern is a value, and which may change under a shared reference.
//!   Everything else is copied in and out, as bytes, between bounds that have been checked.
//! * **A copy may race** with another process, or with another thread of this one. In Rust that would be undefined for
//!   ordinary reads and writes. It is not the compiler that copies here, though: it is the C library's `memcpy`, called
//!   through a pointer that is read anew (volatile) each time, so that nothing can be known of what is called. To the compiler
//!   this is foreign code, of which the language only sees what it may do, and it does nothing that relaxed
//!   atomic loads and stores of the bytes would not do: each byte that comes out is one that was there before, or one that was
//!   being written. (Relaxed loads byte by byte would say the same in Rust itself, at a tenth of the speed: the compiler does
//!   not join them.) What comes out may be torn; it is bytes, in memory of our own, for which every
//!   pattern is a value. Where that matters, callers hold a lock.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32,
    AtomicU64, AtomicUsize,
};

use rustix::fs::{
    MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create,
};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use super::descriptors::off_standard;
use super::limits::check_file_len;

/// What must be sealed before a mapping can be trusted to stay.
const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// A place that is not within a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes at {offset} are not within shared memory of {size} bytes")]
pub(crate) struct OutOfRange {
    offset: usize,
    len: usize,
    size: usize,
}

impl OutOfRange {
    /// Offset, length, and the size of the memory.
    pub(crate) fn parts(self) -> (usize, usize, usize) {
        (self.offset, self.len, self.size)
    }
}

/// A mapping of memory that processes share; unmapped on drop.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    /// How much of it can be reached by offset.
    len: usize,
    /// How much of it is the file's: whole pages.
    file_len: usize,
    /// How much there is to unmap.
    reserved: usize,
}

impl Mapping {
    /// New memory of zeros, and the descriptor by which another process can map it too. The name is for those who look
    /// into `/proc`. The pages are taken when they are first written to.
    pub(crate) fn create(name: &str, len: usize) -> io::Result<(Self, OwnedFd)> {
        let memory = create_file(name, len)?;
        Ok((Self::map(&memory, 0, len, len, 0)?, memory))
    }

    /// Maps memory made by [`create`](Self::create) with the same length, after checking that it is.
    pub(crate) fn attach(memory: impl AsFd, len: usize) -> io::Result<Self> {
        check_file(&memory, len)?;
        Self::map(memory, 0, len, len, 0)
    }

    /// Maps a file that has been sealed with room for `needed` bytes from `at` on, the start of a page; `len` of them can be
    /// reached. `private` bytes follow that are this process's own.
    pub(super) fn map(
        memory: impl AsFd,
        at: u64,
        len: usize,
        needed: usize,
        private: usize,
    ) -> io::Result<Self> {
        let file_len = whole_pages(needed)?;
        let reserved = whole_pages(private)
            .ok()
            .filter(|_| private > 0)
            .unwrap_or(0)
            .checked_add(file_len)
            .ok_or_else(too_large)?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the system's choice touches no memory of this program.
        // https://man7.org/linux/man-pages/man2/mmap.2.html
        let start = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                reserved,
                access,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        let start = NonNull::new(start.cast())
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        // From here on it is unmapped on every way out.
        let mapping = Self {
            start,
            len,
            file_len,
            reserved,
        };
        // SAFETY: it takes the place of pages that have just been reserved, and to which nothing refers yet. The file has
        // `file_len` bytes from `at` on and is sealed against shrinking, so all of them stay accessible.
        unsafe {
            mmap(
                start.as_ptr().cast(),
                file_len,
                access,
                MapFlags::SHARED | MapFlags::FIXED,
                memory,
                at,
            )?;
        }
        Ok(mapping)
    }

    /// How many bytes can be reached.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many bytes are the file's, from [`start`](Self::start) on: what is not reached by offset is at its end.
    pub(super) fn file_len(&self) -> usize {
        self.file_len
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Copies bytes into the memory. Others may see a part of them before the rest.
    #[inline]
    pub(crate) fn copy_in(&self, offset: usize, bytes: &[u8]) -> Result<(), OutOfRange> {
        let place = self.place(offset, bytes.len())?;
        // SAFETY: both are valid for that many bytes: the place has been checked, and the slice is one. They do not
        // overlap, since no slice is ever made of a mapping. The module says why others may use the place meanwhile.
        unsafe { copy(place.cast(), bytes.as_ptr().cast(), bytes.len()) };
        Ok(())
    }

    /// Copies bytes out of the memory. If others write to it meanwhile, some are from before and some from after.
    #[inline]
    pub(crate) fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> Result<(), OutOfRange> {
        let place = self.place(offset, bytes.len())?;
        // SAFETY: as in `copy_in`, the other way round.
        unsafe { copy(bytes.as_mut_ptr().cast(), place.cast(), bytes.len()) };
        Ok(())
    }

    /// A word of the memory.
    #[allow(dead_code, reason = "the short form of `atomics_at`")]
    #[inline]
    pub(crate) fn u32_at(&self, offset: usize) -> Result<&AtomicU32, OutOfRange> {
        self.atomic_at(offset)
    }

    /// A long word of the memory.
    #[allow(dead_code, reason = "the short form of `atomics_at`")]
    #[inline]
    pub(crate) fn u64_at(&self, offset: usize) -> Result<&AtomicU64, OutOfRange> {
        self.atomic_at(offset)
    }

    /// An atomic in the memory, at an offset that it is aligned at.
    #[allow(dead_code, reason = "the short form of `atomics_at`")]
    #[inline]
    pub(crate) fn atomic_at<A: SharedAtomic>(&self, offset: usize) -> Result<&A, OutOfRange> {
        let place = self.aligned::<A>(offset, 1)?;
        // SAFETY: within the mapping and aligned, as just checked, of memory that has been initialised (with zeros, by
        // the system), and which lives as long as `self`. It is atomic, so it may change under the reference.
        Ok(unsafe { &*place })
    }

    /// Atomics in the memory, one behind the other.
    #[inline]
    pub(crate) fn atomics_at<A: SharedAtomic>(
        &self,
        offset: usize,
        count: usize,
    ) -> Result<&[A], OutOfRange> {
        let place = self.aligned::<A>(offset, count)?;
        // SAFETY: as in `atomic_at`, for all of them; the mapping is no longer than `isize::MAX`, as none is.
        Ok(unsafe { std::slice::from_raw_parts(place, count) })
    }

    /// All of the memory as atomics, as many as fit.
    #[inline]
    pub(crate) fn atomics<A: SharedAtomic>(&self) -> &[A] {
        self.atomics_at(0, self.len / size_of::<A>())
            .unwrap_or_default()
    }

    #[inline]
    fn aligned<A: SharedAtomic>(
        &self,
        offset: usize,
        count: usize,
    ) -> Result<*const A, OutOfRange> {
        let refused = OutOfRange {
            offset,
            len: count.saturating_mul(size_of::<A>()),
            size: self.len,
        };
        let len = count.checked_mul(size_of::<A>()).ok_or(refused)?;
        let place = self.place(offset, len)?;
        // A mapping starts at a page, so the offset is all that matters.
        if !offset.is_multiple_of(align_of::<A>()) {
            return Err(refused);
        }
        Ok(place.cast())
    }

    #[inline]
    fn place(&self, offset: usize, len: usize) -> Result<*mut u8, OutOfRange> {
        if offset > self.len || len > self.len - offset {
            return Err(OutOfRange {
                offset,
                len,
                size: self.len,
            });
        }
        // SAFETY: at most `len` bytes on, within one mapping.
        Ok(unsafe { self.start.as_ptr().add(offset) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this mapping was made by `map` with this size; what was handed out borrows from `self`, so
        // none of it is left. (What must not be unmapped is not dropped: see `LockedMapping`.)
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.reserved) };
        debug_assert!(unmapped.is_ok(), "a mapping of ours can be unmapped");
    }
}

// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: all access is by atomics, or by copies that may race: the module says why they may.
unsafe impl Sync for Mapping {}

/// Atomics: any bits are a value, and they may change under a shared reference.
///
/// # Safety
///
/// That must be so, and its alignment at most that of a page.
pub(crate) unsafe trait SharedAtomic: Sync + 'static {}

macro_rules! shared_atomics {
    ($($atomic:ty),*) => {$(
        // SAFETY: it is a whole number of the standard library's, which has no other bits, in an `UnsafeCell`.
        unsafe impl SharedAtomic for $atomic {}
    )*};
}
shared_atomics!(
    AtomicI8,
    AtomicI16,
    AtomicI32,
    AtomicI64,
    AtomicIsize,
    AtomicU8,
    AtomicU16,
    AtomicU32,
    AtomicU64,
    AtomicUsize
);

/// A file of zeros, long enough and sealed.
pub(super) fn create_file(name: &str, needed: usize) -> io::Result<OwnedFd> {
    let len = whole_pages(needed)?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    check_file_len(len as u64)?;
    let memory = off_standard(memfd_create(name, flags)?)?;
    ftruncate(&memory, len as u64)?;
    fcntl_add_seals(&memory, SEALS)?;
    Ok(memory)
}

/// Refuses what [`create_file`] has not made for so many bytes.
pub(super) fn check_file(memory: impl AsFd, needed: usize) -> io::Result<()> {
    if sealed_len(&memory)? != whole_pages(needed)? as u64 {
        return Err(refused("shared memory of another size"));
    }
    Ok(())
}

/// How long a file is that can neither shrink nor grow; refuses every other one.
pub(super) fn sealed_len(memory: impl AsFd) -> io::Result<u64> {
    let seals = fcntl_get_seals(&memory);
    if !seals.is_ok_and(|seals| seals.contains(SEALS)) {
        return Err(refused("not sealed shared memory"));
    }
    u64::try_from(fstat(&memory)?.st_size).map_err(|_| refused("shared memory of no size"))
}

fn refused(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// At least one page, since none cannot be mapped.
fn whole_pages(len: usize) -> io::Result<usize> {
    let len = len.max(1).checked_next_multiple_of(page_len());
    len.filter(|len| isize::try_from(*len).is_ok())
        .ok_or_else(too_large)
}

pub(super) fn page_len() -> usize {
    rustix::param::page_size()
}

pub(super) fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, "larger than an address space")
}

// SAFETY: as for `memcpy`, which is all that it ever is.
type Copy = unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> *mut c_void;

static COPY: Copy = libc::memcpy;

/// Copies as the module says.
///
/// # Safety
///
/// As for `memcpy`, but that others may use the shared side of it meanwhile.
#[inline]
unsafe fn copy(to: *mut c_void, from: *const c_void, len: usize) {
    // SAFETY: a static of a function is readable; and what it points to does what the caller has promised to allow.
    unsafe { ptr::read_volatile(&raw const COPY)(to, from, len) };
}

#[cfg(test)]
mod tests;
