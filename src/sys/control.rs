//! The control socket: one message at a time, with descriptors beside it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

use super::descriptors::{duplicate_beside, off_standard};

/// How many descriptors one message can carry (`SCM_MAX_FD` of Linux).
pub(super) const MAX_PASSED: usize = 253;

/// The longest message that is received. The longest that is sent names a few hundred descriptors.
const MAX_MESSAGE: usize = 16 * 1024;

/// One end of a Unix SEQPACKET socket pair: it keeps messages apart, tells when its peer is gone,
/// and cannot be mistaken for anything that a user would put on standard input.
#[derive(Debug)]
pub(crate) struct ControlSocket(OwnedFd);

/// Both ends.
pub(crate) fn pair() -> io::Result<(ControlSocket, ControlSocket)> {
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok((
        ControlSocket(off_standard(ours)?),
        ControlSocket(off_standard(theirs)?),
    ))
}

impl ControlSocket {
    /// Takes `fd` for a control socket if it is of that kind, and gives it back if not.
    pub(super) fn recognise(fd: OwnedFd) -> Result<Self, OwnedFd> {
        let unix = rustix::net::sockopt::socket_domain(&fd) == Ok(AddressFamily::UNIX);
        let seqpacket = rustix::net::sockopt::socket_type(&fd) == Ok(SocketType::SEQPACKET);
        if unix && seqpacket {
            Ok(Self(fd))
        } else {
            Err(fd)
        }
    }

    /// Sends one message. It never raises SIGPIPE.
    pub(crate) fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space =
            vec![MaybeUninit::uninit(); SendAncillaryMessage::ScmRights(descriptors).size()];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
        {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        retry_on_intr(|| {
            sendmsg(
                &self.0,
                &[IoSlice::new(bytes)],
                &mut ancillary,
                SendFlags::NOSIGNAL,
            )
        })?;
        Ok(())
    }

    /// The same socket under another number, which is none of `taken`.
    pub(crate) fn duplicate_beside(&self, taken: &[RawFd]) -> io::Result<Self> {
        duplicate_beside(&self.0, taken).map(Self)
    }

    /// The process that made this socket, if it is the one that started this process: something that becomes readable when that
    /// ends. `None` also where the system cannot tell.
    pub(crate) fn parent_at_other_end(&self) -> Option<OwnedFd> {
        use rustix::process::{PidfdFlags, getppid, pidfd_open};
        // None where it is in another namespace, and so is whoever made the socket.
        let parent = getppid()?;
        let maker = rustix::net::sockopt::socket_peercred(&self.0).ok()?.pid;
        if maker != parent {
            return None;
        }
        let process = pidfd_open(maker, PidfdFlags::empty()).ok()?;
        // Asked after it has been opened: until this process gets another parent, the number is its parent's.
        (getppid() == Some(maker)).then_some(process)
    }

    /// Waits for one message. An empty one says that the peer is gone.
    pub(crate) fn receive(&self) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
        let mut bytes = vec![0; MAX_MESSAGE];
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PASSED))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = retry_on_intr(|| {
            recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut bytes)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            )
        })?;
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                descriptors.extend(passed);
            }
        }
        if received
            .flags
            .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the message or its descriptors were cut",
            ));
        }
        bytes.truncate(received.bytes);
        Ok((bytes, descriptors))
    }
}

impl AsFd for ControlSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<ControlSocket> for OwnedFd {
    fn from(socket: ControlSocket) -> Self {
        socket.0
    }
}
