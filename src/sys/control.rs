//! The control socket: one message at a time, with descriptors beside it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

use super::descriptors::{duplicate_beside, off_standard};
use super::named::take_in;
use crate::wire::Carried;

/// How many descriptors one message can carry (`SCM_MAX_FD` of Linux).
pub(super) const MAX_PASSED: usize = 253;

/// How much may be on its way through the socket (the kernel doubles it), as far as the system allows: all messages of one frame have to fit, since
/// its reader takes none of them before it has read the frame. (Of 65535 descriptors there are 260 messages, each of which
/// the kernel counts as less than a KiB.)
const ON_THE_WAY: usize = 192 * 1024;

/// The most messages that are looked through when the other side has ended: more than there is room for.
const MAX_LEFT: usize = 1024;

/// What a short message counts for in the socket, and more: the kernel's own part of it, which is 768 bytes of a 64-bit Linux 6.
const MESSAGE_COST: usize = 1024;

/// The longest message that is received from a peer that has started.
const SHORT_MESSAGE: usize = 64;

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
    for end in [&ours, &theirs] {
        // The system gives what it allows.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(end, ON_THE_WAY);
    }
    Ok((
        ControlSocket(off_standard(ours)?),
        ControlSocket(off_standard(theirs)?),
    ))
}

/// A message, with what came of the descriptors beside it.
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<Carried>,
}

/// Whether a message was refused for what else is on its way or in memory: it may be taken later, and nothing tells when.
/// (`ETOOMANYREFS`: a user has as many descriptors in sockets as a process may have open, see unix(7).)
pub(crate) fn is_refused_for_now(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM)
    )
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

    /// How many descriptors, in full messages, find room in the socket if nobody receives any.
    pub(crate) fn most_descriptors(&self) -> usize {
        let room = rustix::net::sockopt::socket_send_buffer_size(&self.0).unwrap_or(0);
        (room / MESSAGE_COST).max(1) * MAX_PASSED
    }

    /// Sends one message, and waits for room. It never raises SIGPIPE.
    pub(crate) fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_with(bytes, descriptors, SendFlags::empty())
    }

    /// The same, but does not wait.
    pub(crate) fn send_now(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_with(bytes, descriptors, SendFlags::DONTWAIT)
    }

    fn send_with(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
        flags: SendFlags,
    ) -> io::Result<()> {
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
                flags | SendFlags::NOSIGNAL,
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

    /// The next message, if it is there already; also what a peer has sent that is gone. Descriptors for which there was no room in this
    /// process are missing.
    pub(crate) fn receive_now(&self) -> io::Result<Received> {
        let mut bytes = [0; SHORT_MESSAGE];
        let (received, descriptors, _) = self.receive_into(&mut bytes, RecvFlags::DONTWAIT)?;
        // One that cannot be moved is missing as well.
        let moved = descriptors
            .into_iter()
            .filter_map(|fd| off_standard(fd).ok())
            .map(take_in);
        Ok(Received {
            bytes: bytes[..received.min(SHORT_MESSAGE)].to_vec(),
            descriptors: moved.collect(),
        })
    }

    /// Takes out what nobody will receive any more, so that named memory that is in it goes with it. The other side has ended; if somebody
    /// else has its end, what that still sends is none of it.
    pub(crate) fn throw_rest_away(&self) {
        for _ in 0..MAX_LEFT {
            match self.receive_now() {
                Ok(received) if !received.bytes.is_empty() => drop(received),
                _ => break,
            }
        }
    }

    /// Whether the peer, which is gone, has sent this, after whatever else it has sent. All of that is thrown away. Allocates nothing: it is asked
    /// for while another thread of this process may have any lock of the allocator's.
    pub(crate) fn ends_with(&self, text: &[u8]) -> bool {
        let mut is_last = false;
        for _ in 0..MAX_LEFT {
            let mut bytes = [0; SHORT_MESSAGE];
            match rustix::net::recv(&self.0, &mut bytes, RecvFlags::DONTWAIT) {
                Ok((0, _)) => break,
                Ok((received, _)) => is_last = bytes[..received] == *text,
                // Said once, where the peer has left something of ours unread.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(_) => break,
            }
        }
        is_last
    }

    /// Waits for one message. An empty one says that the peer is gone.
    pub(crate) fn receive(&self) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
        let mut bytes = vec![0; MAX_MESSAGE];
        let (received, descriptors, flags) = self.receive_into(&mut bytes, RecvFlags::empty())?;
        if flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the message or its descriptors were cut",
            ));
        }
        bytes.truncate(received);
        Ok((bytes, descriptors))
    }

    /// One message: how many bytes it has, its descriptors, and what the system says of it.
    fn receive_into(
        &self,
        bytes: &mut [u8],
        flags: RecvFlags,
    ) -> io::Result<(usize, Vec<OwnedFd>, ReturnFlags)> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PASSED))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut receive = || {
            retry_on_intr(|| {
                recvmsg(
                    &self.0,
                    &mut [IoSliceMut::new(bytes)],
                    &mut ancillary,
                    flags | RecvFlags::CMSG_CLOEXEC,
                )
            })
        };
        let received = match receive() {
            // The peer has left something of ours unread, and is gone: said once, before what it sent.
            Err(Errno::CONNRESET) => receive()?,
            received => received?,
        };
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                descriptors.extend(passed);
            }
        }
        Ok((received.bytes, descriptors, received.flags))
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sys::NamedFile;

    #[test]
    fn as_many_find_room_as_are_promised() {
        let (ours, theirs) = pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let messages = ours.most_descriptors() / MAX_PASSED;
        // One each: what comes beside a message takes no room.
        for _ in 0..messages {
            ours.send_now(&[7; 16], &[null.as_fd()]).unwrap();
        }
        for _ in 0..messages {
            let received = theirs.receive_now().unwrap();
            assert_eq!(
                (received.bytes, received.descriptors.len()),
                (vec![7; 16], 1)
            );
        }
        let nothing = theirs.receive_now().err().unwrap();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn what_was_sent_before_the_end_is_received_after_it() {
        let (ours, theirs) = pair().unwrap();
        ours.send(b"unread", &[]).unwrap();
        theirs.send(b"last words", &[]).unwrap();
        drop(theirs);
        assert_eq!(ours.receive_now().unwrap().bytes, b"last words");
        assert!(ours.receive_now().unwrap().bytes.is_empty());
    }

    #[test]
    fn what_was_sent_last_is_known_after_the_end() {
        let said = |messages: &[&[u8]], is_unread: bool| {
            let (ours, theirs) = pair().unwrap();
            if is_unread {
                ours.send(b"unread", &[]).unwrap();
            }
            let null = std::fs::File::open("/dev/null").unwrap();
            for message in messages {
                theirs.send(message, &[null.as_fd()]).unwrap();
            }
            drop(theirs);
            ours.ends_with(b"go")
        };
        for is_unread in [false, true] {
            assert!(said(&[b"go"], is_unread));
            assert!(said(&[b"more", &[7; 200], b"go"], is_unread));
            assert!(!said(&[], is_unread));
            assert!(!said(&[b"go", b"more"], is_unread));
            assert!(!said(&[b"go on"], is_unread));
        }
        let (ours, _theirs) = pair().unwrap();
        assert!(!ours.ends_with(b"go"), "nobody is gone");
    }

    #[test]
    fn named_memory_in_messages_that_are_thrown_away_goes_with_them() {
        let names = [1, 2].map(|n| format!("procession-test-{}-left-{n}", std::process::id()));
        let (ours, theirs) = pair().unwrap();
        for name in &names {
            let memory = NamedFile::create(name, 10).unwrap();
            let traveller = memory.traveller().unwrap();
            theirs.send(b"a result", &[traveller.as_fd()]).unwrap();
        }
        drop(theirs);
        let is_there = |name: &String| std::path::Path::new("/dev/shm").join(name).exists();
        assert!(names.iter().all(is_there));
        ours.throw_rest_away();
        assert!(!names.iter().any(is_there));
    }
}
