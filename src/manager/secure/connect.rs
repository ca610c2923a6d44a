//! How a client comes in.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cipher::Cipher;
use super::error::ConnectError;
use super::negotiation::{GREETING, Status};
use super::{Address, Key, Line};
use crate::sys::{self, Place};

/// How long a client waits for a server to let it in, unless it says otherwise.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Connects to a server, and proves the key to it. Blocks until that is done, or `limit` is over; a host's name is looked up before, which takes the time that the system gives it.
pub(crate) fn connect(address: &Address, key: &Key, limit: Duration) -> Result<Line, ConnectError> {
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
    };
    match &address {
        Address::Unix(path) => door.connect_here(Place::Path(path), key),
        Address::Abstract(name) => door.connect_here(Place::Abstract(name.as_bytes()), key),
        #[cfg(feature = "network")]
        Address::Tcp(host_and_port) => door.connect_there(host_and_port, key),
        #[cfg(not(feature = "network"))]
        Address::Tcp(_) => Err(ConnectError::NoNetwork { address }),
    }
}

/// One server, from the outside.
struct Door<'a> {
    address: &'a Address,
    limit: Duration,
    deadline: Instant,
}

impl Door<'_> {
    fn connect_here(&self, place: Place<'_>, key: &Key) -> Result<Line, ConnectError> {
        let connected = sys::connect_to(place, self.deadline);
        let socket = connected.map_err(|error| self.not_connected(error))?;
        let user = sys::user_of_peer(socket.as_fd()).map_err(|error| self.unreachable(error))?;
        // Before it is told anything.
        if user != sys::own_user() {
            let address = self.address.clone();
            return Err(ConnectError::OtherUser { address, user });
        }
        self.send(&socket, &[&GREETING[..], key.bytes()].concat())?;
        let mut said = [0];
        self.receive(&socket, &mut said)?;
        self.judge(said[0], Status::Welcome)?;
        Ok(Line::new(socket, Cipher::none()))
    }

    #[cfg(feature = "network")]
    fn connect_there(&self, host_and_port: &str, key: &Key) -> Result<Line, ConnectError> {
        use std::net::ToSocketAddrs as _;

        use super::noise::{FIRST_LEN, Initiator, PROOF_LEN};

        let unknown = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        let known = host_and_port.to_socket_addrs();
        let mut connected = Err(unknown());
        for place in known.map_err(|error| self.unreachable(error))? {
            connected = sys::connect_over(place, self.deadline);
            if connected.is_ok() {
                break;
            }
        }
        let socket = connected.map_err(|error| self.not_connected(error))?;
        sys::tune_network(socket.as_fd()).map_err(|error| self.unreachable(error))?;

        let (initiator, first) = Initiator::begin(key).map_err(|error| self.unreachable(error))?;
        self.send(&socket, &[&GREETING[..], &first].concat())?;
        let mut said = [0];
        self.receive(&socket, &mut said)?;
        self.judge(said[0], Status::Onward)?;
        let mut answer = [0; FIRST_LEN];
        self.receive(&socket, &mut answer)?;
        let refused = || ConnectError::Refused {
            address: self.address.clone(),
        };
        let (mut cipher, proof) = initiator.finish(&answer).ok_or_else(refused)?;
        self.send(&socket, &proof)?;
        let mut last = [0; PROOF_LEN];
        self.receive(&socket, &mut last)?;
        let last = cipher.open_one(&last).ok_or_else(refused)?;
        self.judge(last, Status::Welcome)?;
        Ok(Line::new(socket, cipher))
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
    fn send(&self, socket: &OwnedFd, bytes: &[u8]) -> Result<(), ConnectError> {
        match sys::send(socket.as_fd(), bytes) {
            Ok(sent) if sent == bytes.len() => Ok(()),
            Ok(_) => Err(self.unreachable(io::ErrorKind::WriteZero.into())),
            // It has said something, perhaps why, and hung up.
            Err(error) if sys::is_gone(&error) => Ok(()),
            Err(error) => Err(self.unreachable(error)),
        }
    }

    /// Fills all of `room`.
    fn receive(&self, socket: &OwnedFd, room: &mut [u8]) -> Result<(), ConnectError> {
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
                    self.wait(socket.as_fd())?;
                }
                Err(error) => return Err(self.unreachable(error)),
            }
        }
        Ok(())
    }

    fn wait(&self, socket: BorrowedFd<'_>) -> Result<(), ConnectError> {
        match sys::wait_for(&[socket], Some(self.deadline)) {
            Ok(0) => Err(self.no_answer()),
            Ok(_) => Ok(()),
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
