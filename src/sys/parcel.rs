//! Bytes in a memory of their own, handed from one process to another: no pipe that could be full, nobody who has to read it in
//! time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, fstat, memfd_create};
use rustix::io::retry_on_intr;

use super::descriptors::off_standard;
use super::limits::check_file_len;

/// A file that has no name, and goes with its last descriptor.
#[derive(Debug)]
pub(crate) struct Parcel(OwnedFd);

impl Parcel {
    /// An empty one.
    pub(crate) fn create() -> io::Result<Self> {
        let memory = memfd_create("procession-parcel", MemfdFlags::CLOEXEC)?;
        Ok(Self(off_standard(memory)?))
    }

    /// Writes all of `bytes`, from there on.
    pub(crate) fn write_at(&self, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
        check_file_len(at.saturating_add(bytes.len() as u64))?;
        while !bytes.is_empty() {
            let written = retry_on_intr(|| rustix::io::pwrite(&self.0, bytes, at))?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
            at += written as u64;
        }
        Ok(())
    }

    /// So many bytes, from there on. Nothing is allocated before it is known that they are there.
    pub(crate) fn read_at(&self, len: u64, at: u64) -> io::Result<Vec<u8>> {
        let has = u64::try_from(fstat(&self.0)?.st_size).unwrap_or(0);
        let is_there = at.checked_add(len).is_some_and(|end| end <= has);
        let len = usize::try_from(len).ok().filter(|_| is_there);
        let len = len.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len)?;
        bytes.resize(len, 0);
        let mut filled = 0;
        while filled < len {
            let rest = &mut bytes[filled..];
            let count: usize =
                retry_on_intr(|| rustix::io::pread(&self.0, &mut *rest, at + filled as u64))?;
            if count == 0 {
                // Others may have cut it meanwhile.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += count;
        }
        Ok(bytes)
    }
}

impl From<OwnedFd> for Parcel {
    fn from(memory: OwnedFd) -> Self {
        Self(memory)
    }
}

impl AsFd for Parcel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_not_read() {
        let parcel = Parcel::create().unwrap();
        assert!(parcel.read_at(1, 0).is_err());
        parcel.write_at(b"behind", 24).unwrap();
        assert_eq!(parcel.read_at(6, 24).unwrap(), b"behind");
        assert_eq!(parcel.read_at(24, 0).unwrap(), [0; 24]);
        for (len, at) in [(7, 24), (u64::MAX, 1), (1, u64::MAX), (u64::MAX, u64::MAX)] {
            assert!(parcel.read_at(len, at).is_err());
        }
    }
}
