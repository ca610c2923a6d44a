//! What connections are made of: Unix SEQPACKET sockets, which keep packets whole and apart, with
//! descriptors beside a packet.
//!
//! No call here changes the mode of a socket, which it shares with other processes: whether to wait
//! is said with each call (`MSG_DONTWAIT`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair, sockopt,
};
use smallvec::SmallVec;

use super::control::MAX_PASSED;
use super::descriptors::{off_standard, readable};
use super::named::take_in;
use crate::wire::Carried;

/// The most descriptors beside one packet.
pub(crate) const MAX_BESIDE: usize = MAX_PASSED;

/// What a socket is to hold of what nobody has received: some packets, so that the two sides of a
/// large message take fewer turns. The system doubles it for its own needs, or gives less.
const SEND_BUFFER: usize = 256 * 1024;

/// Both ends. What is sent into one comes out of the other, packet by packet, in order.
pub(crate) fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    for socket in [&one, &other] {
        // Less room is no error: it takes more turns.
        let _ = sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER);
    }
    Ok((off_standard(one)?, off_standard(other)?))
}

/// Whether this is a socket of the kind that [`packet_pair`] makes.
pub(crate) fn is_packet_socket(fd: impl AsFd) -> bool {
    sockopt::socket_domain(&fd) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(&fd) == Ok(SocketType::SEQPACKET)
}

/// How long a packet can be that this socket takes.
pub(crate) fn longest_packet(fd: impl AsFd) -> usize {
    // So much of the buffer the system keeps for itself: https://man7.org/linux/man-pages/man7/unix.7.html
    const KEPT: usize = 32;
    sockopt::socket_send_buffer_size(fd).map_or(0, |size| size.saturating_sub(KEPT))
}

/// Sends one packet, all of it or nothing. `WouldBlock`: there is no room for it now, and it was not
/// to be waited for. It never raises SIGPIPE.
pub(crate) fn send_packet(
    fd: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
    waits: bool,
) -> io::Result<()> {
    let mut space = SmallVec::<[MaybeUninit<u8>; 64]>::new();
    if !descriptors.is_empty() {
        let size = SendAncillaryMessage::ScmRights(descriptors).size();
        space.resize(size, MaybeUninit::uninit());
    }
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut flags = SendFlags::NOSIGNAL;
    if !waits {
        flags |= SendFlags::DONTWAIT;
    }
    retry_on_intr(|| sendmsg(fd, parts, &mut ancillary, flags))?;
    Ok(())
}

/// A packet that came.
pub(crate) struct Packet {
    /// How many bytes of it were put into the buffers.
    pub(crate) len: usize,
    pub(crate) descriptors: Vec<Carried>,
    /// Whether there were more bytes than room in the buffers.
    pub(crate) is_cut: bool,
    /// Whether there were more descriptors than this process can have open.
    pub(crate) has_lost_descriptors: bool,
}

/// Receives one packet into the buffers. An empty one may say that there will be none any more:
/// [`has_ended`] tells.
pub(crate) fn receive_packet(
    fd: BorrowedFd<'_>,
    buffers: &mut [IoSliceMut<'_>],
    waits: bool,
) -> io::Result<Packet> {
    let mut space = [MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(MAX_PASSED))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    if !waits {
        flags |= RecvFlags::DONTWAIT;
    }
    let received = loop {
        match recvmsg(fd, buffers, &mut ancillary, flags) {
            // Said once, when the other end was closed with something unread in it. What it had sent before
            // is still to come.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            received => break received?,
        }
    };
    let mut packet = Packet {
        len: received.bytes,
        descriptors: Vec::new(),
        is_cut: received.flags.contains(ReturnFlags::TRUNC),
        has_lost_descriptors: received.flags.contains(ReturnFlags::CTRUNC),
    };
    for message in ancillary.drain() {
        let RecvAncillaryMessage::ScmRights(passed) = message else {
            continue;
        };
        for descriptor in passed {
            match off_standard(descriptor) {
                Ok(descriptor) => packet.descriptors.push(take_in(descriptor)),
                Err(_) => packet.has_lost_descriptors = true,
            }
        }
    }
    Ok(packet)
}

/// Whether nothing can come through this socket any more: its other end is gone, and nothing is left of
/// what that sent.
pub(crate) fn has_ended(fd: BorrowedFd<'_>) -> bool {
    let mut list = [PollFd::from_borrowed_fd(fd, PollFlags::RDHUP)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let is_alone =
        retry_on_intr(|| poll(&mut list, Some(&at_once))).is_err() || !list[0].revents().is_empty();
    // In this order: what was sent before the end is there when the end is seen.
    is_alone && readable(fd) == 0
}

/// Whether the other end is gone, by what sending said.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::PIPE | Errno::CONNRESET)
    )
}
