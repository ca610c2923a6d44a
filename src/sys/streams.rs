//! Stream sockets: how a manager is reached.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::retry_on_intr;
use rustix::net::SendFlags;

/// One `send(2)`, again if a signal came between. It never raises SIGPIPE.
pub(crate) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| {
        rustix::net::send(fd, bytes, SendFlags::NOSIGNAL)
    })?)
}
