//! Pipes and other descriptors. Every one is close-on-exec from birth.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, pipe_with};

/// The two ends of a plain pipe.
pub(crate) struct Pipe {
    /// Where bytes come out.
    pub(crate) reader: OwnedFd,
    /// Where bytes go in.
    pub(crate) writer: OwnedFd,
}

/// A pipe, both of whose ends block.
pub(crate) fn pipe() -> io::Result<Pipe> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok(Pipe {
        reader: off_standard(reader)?,
        writer: off_standard(writer)?,
    })
}

/// Whether nothing could be opened because too much is.
pub(crate) fn is_lack_of_descriptors(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

/// Moves a new descriptor away from the numbers of the standard streams. A program that has closed
/// one of those gets its number for whatever is opened next; but what is printed must not end up in
/// a pipe of ours, and a child's standard streams are put in place under these numbers.
pub(super) fn off_standard(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    fork_of(fd)
}

/// `/dev/null`, for reading and writing.
pub(crate) fn null() -> io::Result<OwnedFd> {
    off_standard(rustix::fs::open(
        "/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// How many bytes can be read from a pipe without waiting.
pub(crate) fn readable(fd: impl AsFd) -> usize {
    rustix::io::ioctl_fionread(fd).map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX))
}

/// Another descriptor of the same open file.
pub(crate) fn fork_of(fd: impl AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 3)?)
}

/// Makes reads and writes through this end return `WouldBlock` instead of waiting. The two ends of
/// a pipe are separate open files, so the other end keeps blocking.
pub(super) fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    Ok(rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?)
}

impl Pipe {
    /// Makes our reading end non-blocking, and leaves the writing end as it is.
    pub(crate) fn with_nonblocking_reader(self) -> io::Result<Self> {
        set_nonblocking(&self.reader)?;
        Ok(self)
    }

    /// Makes our writing end non-blocking, and leaves the reading end as it is.
    pub(crate) fn with_nonblocking_writer(self) -> io::Result<Self> {
        set_nonblocking(&self.writer)?;
        Ok(self)
    }
}

/// Whether there is anything under this number. (Who owns a descriptor has not closed it, but others can.)
pub(crate) fn is_open(fd: BorrowedFd<'_>) -> bool {
    rustix::io::fcntl_getfd(fd).is_ok()
}

/// One `read(2)`, again if a signal came between.
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| rustix::io::read(fd, &mut *buffer))?)
}

/// One `read(2)` of at most `most` bytes to the end of `bytes`, as far as its capacity goes; again if a signal came between.
pub(crate) fn read_to_end_of(
    fd: BorrowedFd<'_>,
    bytes: &mut Vec<u8>,
    most: usize,
) -> io::Result<usize> {
    let most = most.min(bytes.capacity() - bytes.len());
    let came = retry_on_intr(|| {
        let (came, _) = rustix::io::read(fd, &mut bytes.spare_capacity_mut()[..most])?;
        Ok(came.len())
    })?;
    let len = bytes.len() + came;
    // SAFETY: the system has written the first `came` bytes of what was spare, which rustix says by the slice of initialised
    // bytes that it gives back; and `came` is at most `most`, so that `len` is at most the capacity.
    unsafe { bytes.set_len(len) };
    Ok(came)
}

/// How many bytes a pipe holds that nobody has changed.
pub(crate) const PIPE_LEN: usize = 64 * 1024;

/// How many a pipe is to hold through which larger frames go: as much as the system lets anybody have.
const LARGE_PIPE_LEN: usize = 1 << 20;

/// Lets a pipe hold more, so that large frames take fewer turns of its two ends. The system may refuse, where a user has many.
pub(crate) fn enlarge_pipe(fd: BorrowedFd<'_>) {
    let _ = rustix::pipe::fcntl_setpipe_size(fd, LARGE_PIPE_LEN);
}

/// One `write(2)`, again if a signal came between.
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| rustix::io::write(fd, bytes))?)
}

/// One `writev(2)` of bytes in two places, again if a signal came between.
pub(crate) fn write_both(fd: BorrowedFd<'_>, first: &[u8], second: &[u8]) -> io::Result<usize> {
    let both = [IoSlice::new(first), IoSlice::new(second)];
    Ok(retry_on_intr(|| rustix::io::writev(fd, &both))?)
}

/// A descriptor that one thread can make readable for another one that waits in `ppoll`.
pub(crate) struct Doorbell(OwnedFd);

impl Doorbell {
    /// A silent one.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(off_standard(eventfd(0, flags)?)?))
    }

    /// Makes it readable. Cannot fail: the counter holds 2⁶⁴ − 2 rings, and a full one is readable
    /// all the more.
    pub(crate) fn ring(&self) {
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Makes it silent again.
    pub(crate) fn silence(&self) {
        let mut count = [0; 8];
        let read: Result<usize, Errno> = rustix::io::read(&self.0, &mut count[..]);
        // `WouldBlock` says that it was silent already.
        let _ = read;
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Another descriptor of the same open file, whose number is none of `taken`.
pub(crate) fn duplicate_beside(fd: impl AsFd, taken: &[RawFd]) -> io::Result<OwnedFd> {
    let mut from = 3;
    loop {
        let copy = rustix::io::fcntl_dupfd_cloexec(&fd, from)?;
        if !taken.contains(&copy.as_raw_fd()) {
            return Ok(copy);
        }
        from = copy.as_raw_fd() + 1;
    }
}
