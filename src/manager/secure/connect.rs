//! How a client comes in.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cipher::Cipher;
use super::error::ConnectError;
use super::negotiation::{GREETING, Status};
use super::{Address, Key, Line, Pace, within};
use crate::pipe::reactor::For;
use crate::sys::{self, Place};
use crate::wire::Handle;

/// How long a client waits for a server to let it in, unless it says otherwise.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(10);

/// How long a task waits before it tries a Unix socket again at which too many wait to be accepted.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// Connects to a server, and proves the key to it, within `limit`. (Where this blocks, a host's name is looked up before, which takes the time that the system gives it.)
///
/// Dropped before its end, it has closed what it had opened.
pub(crate) async fn connect(
    address: &Address,
    key: &Key,
    limit: Duration,
    pace: Pace,
) -> Result<Line, ConnectError> {
    let address = address.checked()?;
    // What is too far away for the clock is never.
    let now = Instant::now();
    let deadline = now
        .checked_add(limit)
        .unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 3600));
    let door = Door {
        address: &address,
        limit,
        deadline,
        pace,
    };
    match &address {
        Address::Unix(path) => door.connect_here(Place::Path(path), key).await,
        Address::Abstract(name) => {
            let place = Place::Abstract(name.as_bytes());
            door.connect_here(place, key).await
        }
        #[cfg(feature = "network")]
        Address::Tcp(host_and_port) => door.connect_there(host_and_port, key).await,
        #[cfg(not(feature = "network"))]
        Address::Tcp(_) => Err(ConnectError::NoNetwork { address }),
    }
}

#[cfg(all(test, not(loom)))]
pub(crate) fn connect_blocking(
    address: &Address,
    key: &Key,
    limit: Duration,
) -> Result<Line, ConnectError> {
    super::at_once(connect(address, key, limit, Pace::Blocks))
}

/// One server, from the outside.
struct Door<'a> {
    address: &'a Address,
    limit: Duration,
    deadline: Instant,
    pace: Pace,
}

impl Door<'_> {
    async fn connect_here(&self, place: Place<'_>, key: &Key) -> Result<Line, ConnectError> {
        let connected = self.dial_here(place).await;
        let socket = Handle::from(connected.map_err(|error| self.not_connected(error))?);
        let user = sys::user_of_peer(socket.as_fd()).map_err(|error| self.unreachable(error))?;
        // Before it is told anything.
        if user != sys::own_user() {
            let address = self.address.clone();
            return Err(ConnectError::OtherUser { address, user });
        }
        self.send(&socket, &[&GREETING[..], key.bytes()].concat())?;
        let mut said = [0];
        self.receive(&socket, &mut said).await?;
        self.judge(said[0], Status::Welcome)?;
        Ok(Line::new(socket, Cipher::none()))
    }

    async fn dial_here(&self, place: Place<'_>) -> io::Result<OwnedFd> {
        if self.pace == Pace::Blocks {
            return sys::connect_to(place, self.deadline);
        }
        loop {
            if let Some(socket) = sys::try_connect_to(place)? {
                return Ok(socket);
            }
            let now = Instant::now();
            if self.deadline <= now {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let again = self.deadline.min(now + TRY_AGAIN);
            within(Some(again), pending::<()>()).await;
        }
    }

    #[cfg(feature = "network")]
    async fn connect_there(&self, host_and_port: &str, key: &Key) -> Result<Line, ConnectError> {
        use super::noise::{FIRST_LEN, Initiator, PROOF_LEN};

        let unknown = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        let known = self.look_up(host_and_port).await;
        let mut connected = Err(unknown());
        for place in known.map_err(|error| self.not_found(error))? {
            connected = self.dial_there(place).await;
            if connected.is_ok() {
                break;
            }
        }
        let socket = connected.map_err(|error| self.not_connected(error))?;
        sys::tune_network(socket.as_fd()).map_err(|error| self.unreachable(error))?;

        let (initiator, first) = Initiator::begin(key).map_err(|error| self.unreachable(error))?;
        self.send(&socket, &[&GREETING[..], &first].concat())?;
        let mut said = [0];
        self.receive(&socket, &mut said).await?;
        self.judge(said[0], Status::Onward)?;
        let mut answer = [0; FIRST_LEN];
        self.receive(&socket, &mut answer).await?;
        let refused = || ConnectError::Refused {
            address: self.address.clone(),
        };
        let (mut cipher, proof) = initiator.finish(&answer).ok_or_else(refused)?;
        self.send(&socket, &proof)?;
        let mut last = [0; PROOF_LEN];
        self.receive(&socket, &mut last).await?;
        let last = cipher.open_one(&last).ok_or_else(refused)?;
        self.judge(last, Status::Welcome)?;
        Ok(Line::new(socket, cipher))
    }

    #[cfg(feature = "network")]
    async fn dial_there(&self, place: std::net::SocketAddr) -> io::Result<Handle> {
        let (socket, is_connected) = sys::begin_to_connect_over(place)?;
        let socket = Handle::from(socket);
        if !is_connected {
            let deadline = Some(self.deadline);
            if !self.pace.ready(&socket, For::Room, deadline).await? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sys::error_of_socket(socket.as_fd())?;
        }
        Ok(socket)
    }

    /// The addresses of a host. What has to be asked for blocks, so that a task has it done by a thread, `procession-lookup`, which is there for as long as the system takes.
    #[cfg(feature = "network")]
    async fn look_up(&self, host_and_port: &str) -> io::Result<Vec<std::net::SocketAddr>> {
        use std::net::ToSocketAddrs as _;

        use futures::channel::oneshot;

        if let Ok(known) = host_and_port.parse() {
            return Ok(vec![known]);
        }
        if self.pace == Pace::Blocks {
            return Ok(host_and_port.to_socket_addrs()?.collect());
        }
        let (tell, told) = oneshot::channel();
        let host_and_port = host_and_port.to_owned();
        let look_up = move || {
            let known = host_and_port.to_socket_addrs().map(Iterator::collect);
            // Nobody may wait for it any more.
            let _ = tell.send(known);
        };
        let thread = std::thread::Builder::new().name("procession-lookup".to_owned());
        sys::with_signals_blocked(|| thread.spawn(look_up))?;
        match within(Some(self.deadline), told).await {
            Some(known) => known.unwrap_or_else(|_| Err(io::ErrorKind::NotFound.into())),
            None => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// What a server says that was expected to say something else.
    fn judge(&self, said: u8, expected: Status) -> Result<(), ConnectError> {
        let address = self.address.clone();
        match Status::decode(said) {
            Some(status) if status == expected => Ok(()),
            Some(Status::Refused) => Err(ConnectError::Refused { address }),
            Some(Status::Full) => Err(ConnectError::Full { address }),
            _ => Err(ConnectError::NotAManager { address }),
        }
    }

    /// A new socket has room for all that is said in a handshake.
    fn send(&self, socket: &Handle, bytes: &[u8]) -> Result<(), ConnectError> {
        match sys::send(socket.as_fd(), bytes) {
            Ok(sent) if sent == bytes.len() => Ok(()),
            Ok(_) => Err(self.unreachable(io::ErrorKind::WriteZero.into())),
            // It has said something, perhaps why, and hung up.
            Err(error) if sys::is_gone(&error) => Ok(()),
            Err(error) => Err(self.unreachable(error)),
        }
    }

    /// Fills all of `room`.
    async fn receive(&self, socket: &Handle, room: &mut [u8]) -> Result<(), ConnectError> {
        let mut filled = 0;
        while filled < room.len() {
            match sys::receive(socket.as_fd(), &mut room[filled..], false) {
                Ok(0) => {
                    let what = "it hung up before the key was proved";
                    let error = io::Error::new(io::ErrorKind::UnexpectedEof, what);
                    return Err(self.unreachable(error));
                }
                Ok(came) => filled += came,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(socket).await?;
                }
                Err(error) => return Err(self.unreachable(error)),
            }
        }
        Ok(())
    }

    async fn wait(&self, socket: &Handle) -> Result<(), ConnectError> {
        let deadline = Some(self.deadline);
        match self.pace.ready(socket, For::Message, deadline).await {
            Ok(false) => Err(self.no_answer()),
            Ok(true) => Ok(()),
            Err(error) => Err(self.unreachable(error)),
        }
    }

    fn not_connected(&self, error: io::Error) -> ConnectError {
        use io::ErrorKind::{ConnectionRefused, NotFound, TimedOut};
        match error.kind() {
            ConnectionRefused | NotFound => ConnectError::NobodyThere {
                address: self.address.clone(),
                source: Arc::new(error),
            },
            // The system's own patience with a network may be the shorter one; it is said all the same.
            TimedOut => self.no_answer(),
            _ => self.unreachable(error),
        }
    }

    /// The host is not.
    #[cfg(feature = "network")]
    fn not_found(&self, error: io::Error) -> ConnectError {
        match error.kind() {
            io::ErrorKind::TimedOut => self.no_answer(),
            _ => self.unreachable(error),
        }
    }

    fn no_answer(&self) -> ConnectError {
        ConnectError::NoAnswer {
            address: self.address.clone(),
            limit: self.limit,
        }
    }

    fn unreachable(&self, error: io::Error) -> ConnectError {
        ConnectError::Unreachable {
            address: self.address.clone(),
            source: Arc::new(error),
        }
    }
}
