//! Stream sockets: how a manager is reached.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::OFlags;
use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

/// One `send(2)`, again if a signal came between. It never waits, and never raises SIGPIPE.
pub(crate) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(retry_on_intr(|| rustix::net::send(fd, bytes, flags))?)
}

/// One `recv(2)`, again if a signal came between. Where it `waits`, it returns when something has come; a socket that has been told
/// not to block does not, whatever is asked for.
pub(crate) fn receive(fd: BorrowedFd<'_>, room: &mut [u8], waits: bool) -> io::Result<usize> {
    let flags = match waits {
        true => RecvFlags::empty(),
        false => RecvFlags::DONTWAIT,
    };
    let (came, _) = retry_on_intr(|| rustix::net::recv(fd, &mut *room, flags))?;
    Ok(came)
}

/// The same, of at most `most` bytes to the end of `bytes`, as far as its capacity goes.
pub(crate) fn receive_to_end_of(
    fd: BorrowedFd<'_>,
    bytes: &mut Vec<u8>,
    most: usize,
    waits: bool,
) -> io::Result<usize> {
    let most = most.min(bytes.capacity() - bytes.len());
    let flags = match waits {
        true => RecvFlags::empty(),
        false => RecvFlags::DONTWAIT,
    };
    let came = retry_on_intr(|| {
        let ((came, _), _) = rustix::net::recv(fd, &mut bytes.spare_capacity_mut()[..most], flags)?;
        Ok(came.len())
    })?;
    let len = bytes.len() + came;
    // SAFETY: the system has written the first `came` bytes of what was spare, which rustix says by the slice of initialised
    // bytes that it gives back; and `came` is at most `most`, so that `len` is at most the capacity.
    unsafe { bytes.set_len(len) };
    Ok(came)
}

/// Ends both directions, for all descriptors of this socket: whoever reads finds what has come already, and then the end.
pub(crate) fn end_socket(fd: BorrowedFd<'_>) {
    // It fails where the socket is not connected any more, which is what was asked for.
    let _ = rustix::net::shutdown(fd, Shutdown::Both);
}

/// Lets reads wait that do not say otherwise. Only of a socket that no other process has.
pub(crate) fn let_block(fd: impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    if flags.contains(OFlags::NONBLOCK) {
        rustix::fs::fcntl_setfl(&fd, flags - OFlags::NONBLOCK)?;
    }
    Ok(())
}
