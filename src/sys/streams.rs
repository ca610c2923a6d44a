//! Stream sockets: how a manager is reached.

use std::io;
use std::mem;
#[cfg(feature = "network")]
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};
use rustix::rand::{GetRandomFlags, getrandom};

use super::descriptors::off_standard;

/// How many connections may wait to be accepted. The system may allow fewer.
const BACKLOG: i32 = 1024;

/// A connection over a network on which nothing has come for so long is asked for a sign of life, and again after each `PROBE_EVERY`.
#[cfg(feature = "network")]
const PROBE_AFTER: Duration = Duration::from_secs(15);
#[cfg(feature = "network")]
const PROBE_EVERY: Duration = Duration::from_secs(5);
#[cfg(feature = "network")]
const PROBES: u32 = 3;

/// What was sent, and is not acknowledged for so long, is lost, and the connection with it; and also where the other side is there, but takes
/// nothing of what waits for it. <https://man7.org/linux/man-pages/man7/tcp.7.html>, `TCP_USER_TIMEOUT`
#[cfg(feature = "network")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

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

/// What a socket is called by the system: no two of one machine are called alike at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SocketName {
    Unix(Vec<u8>),
    #[cfg(feature = "network")]
    Network(SocketAddr),
}

impl SocketName {
    /// What this one is called; `None`, if it is no socket, or has no name.
    pub(crate) fn of(socket: BorrowedFd<'_>) -> Option<Self> {
        Self::read(rustix::net::getsockname(socket).ok()?)
    }

    /// What the one at the other end is called.
    pub(crate) fn of_peer(socket: BorrowedFd<'_>) -> Option<Self> {
        Self::read(rustix::net::getpeername(socket).ok()??)
    }

    fn read(name: rustix::net::SocketAddrAny) -> Option<Self> {
        #[cfg(feature = "network")]
        if let Ok(address) = SocketAddr::try_from(name.clone()) {
            // One of IPv4 may be called by its longer name at the other end.
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            return Some(Self::Network(address));
        }
        let name = SocketAddrUnix::try_from(name).ok()?;
        name.abstract_name().map(|name| Self::Unix(name.to_vec()))
    }
}

/// A connected pair; the second has a [name](SocketName). The first does not block.
pub(crate) fn connected_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let (one, other) = (off_standard(one)?, off_standard(other)?);
    rustix::fs::fcntl_setfl(&one, OFlags::NONBLOCK)?;
    name(&other)?;
    Ok((one, other))
}

/// Lets the system choose a [name](SocketName) for a Unix socket.
fn name(socket: &OwnedFd) -> io::Result<()> {
    Ok(rustix::net::bind(socket, &SocketAddrUnix::new_unnamed())?)
}

/// Where a Unix socket is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// A file.
    Path(&'a Path),
    /// A name that is nowhere but in the system's memory, and goes with the socket.
    Abstract(&'a [u8]),
}

impl Place<'_> {
    fn address(self) -> io::Result<SocketAddrUnix> {
        Ok(match self {
            Self::Path(path) => SocketAddrUnix::new(path)?,
            Self::Abstract(name) => SocketAddrUnix::new_abstract_name(name)?,
        })
    }
}

/// A socket of a family, for a stream.
fn stream(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    off_standard(rustix::net::socket_with(
        family,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

/// A socket that accepts connections at a place where there is none yet. A file is made for this user alone.
pub(crate) fn listen_at(place: Place<'_>) -> io::Result<OwnedFd> {
    let socket = stream(AddressFamily::UNIX)?;
    if let Place::Path(_) = place {
        // What `bind` makes has these permissions, less the umask; it takes them from the socket:
        // https://man7.org/linux/man-pages/man7/unix.7.html
        rustix::fs::fchmod(&socket, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    }
    rustix::net::bind(&socket, &place.address()?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A socket that accepts connections over a network, and its port. An address that a server has just left can be taken again.
#[cfg(feature = "network")]
pub(crate) fn listen_on(address: SocketAddr) -> io::Result<(OwnedFd, u16)> {
    let socket = stream(family_of(address))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    let bound = SocketAddr::try_from(rustix::net::getsockname(&socket)?)?;
    Ok((socket, bound.port()))
}

#[cfg(feature = "network")]
fn family_of(address: SocketAddr) -> AddressFamily {
    match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

/// The next connection. `WouldBlock` says that there is none now.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    loop {
        match rustix::net::accept_with(listener, flags) {
            Ok(socket) => return off_standard(socket),
            // The other side has gone already; the system passes on what was wrong with the network:
            // https://man7.org/linux/man-pages/man2/accept.2.html
            Err(
                Errno::INTR
                | Errno::CONNABORTED
                | Errno::NETDOWN
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::NONET
                | Errno::HOSTUNREACH
                | Errno::NETUNREACH,
            ) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Connects to a Unix socket. While more connections wait to be accepted than may, this waits, until the deadline.
pub(crate) fn connect_to(place: Place<'_>, deadline: Instant) -> io::Result<OwnedFd> {
    let address = place.address()?;
    // A Unix socket that does not block says EAGAIN where the queue is full, and nothing says when it is not any more:
    // so this one blocks, for as long as it may.
    let socket = off_standard(rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?)?;
    // So that the other side can tell which one this is. Without it, it cannot, and serves it all the same.
    let _ = name(&socket);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // Zero would mean for ever.
        let left = left.max(Duration::from_millis(1));
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(left))?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => break,
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, None)?;
    Ok(socket)
}

/// Connects to a Unix socket, without waiting: `None` says that too many wait there to be accepted. Nothing tells when they do not any more.
pub(crate) fn try_connect_to(place: Place<'_>) -> io::Result<Option<OwnedFd>> {
    let address = place.address()?;
    let socket = stream(AddressFamily::UNIX)?;
    // As above.
    let _ = name(&socket);
    match retry_on_intr(|| rustix::net::connect(&socket, &address)) {
        Ok(()) => Ok(Some(socket)),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Begins to connect over a network, and says whether that is done already. Else it is when there is room to send, for better or
/// [worse](error_of_socket).
#[cfg(feature = "network")]
pub(crate) fn begin_to_connect_over(address: SocketAddr) -> io::Result<(OwnedFd, bool)> {
    let socket = stream(family_of(address))?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => Ok((socket, true)),
        // It goes on also after a signal: https://man7.org/linux/man-pages/man2/connect.2.html
        Err(Errno::INPROGRESS | Errno::INTR) => Ok((socket, false)),
        Err(error) => Err(error.into()),
    }
}

/// What has gone wrong with a socket since that was last asked.
#[cfg(feature = "network")]
pub(crate) fn error_of_socket(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::socket_error(socket)??)
}

/// Sends small messages at once, and notices within about a minute that the other side cannot be reached any more.
#[cfg(feature = "network")]
pub(crate) fn tune_network(socket: BorrowedFd<'_>) -> io::Result<()> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(socket, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(socket, PROBES)?;
    sockopt::set_tcp_user_timeout(socket, UNACKNOWLEDGED.as_millis() as u32)?;
    Ok(())
}

/// The user of the process at the other end of a Unix socket, when that was connected (for who connects: when it began to listen).
pub(crate) fn user_of_peer(socket: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(sockopt::socket_peercred(socket)?.uid.as_raw())
}

/// The user whose rights this process has.
pub(crate) fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Fills all of it from the system's random source, which blocks only where a system has just been started.
pub(crate) fn fill_randomly(bytes: &mut [u8]) -> io::Result<()> {
    let mut left = bytes;
    while !left.is_empty() {
        let filled = retry_on_intr(|| getrandom(&mut *left, GetRandomFlags::empty()))?;
        left = &mut mem::take(&mut left)[filled..];
    }
    Ok(())
}
