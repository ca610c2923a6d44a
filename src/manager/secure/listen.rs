//! Where clients come in.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::cipher::Cipher;
use super::error::ServeError;
use super::negotiation::{Negotiation, Outcome, Status};
use super::socket_file::{self, SocketFile};
use super::{Address, Key, Line};
use crate::sys::{self, Place};

/// A socket that accepts connections. A path is removed when this is dropped.
pub(crate) struct Listener {
    socket: OwnedFd,
    /// With the port that it got.
    address: Address,
    /// Kept for what its drop does.
    _file: Option<SocketFile>,
}

/// A client that has connected, and has not proved the key yet.
pub(crate) struct Visit {
    socket: OwnedFd,
    negotiation: Negotiation,
}

/// A client that has proved the key, and is told nothing yet.
pub(crate) struct Guest {
    socket: OwnedFd,
    cipher: Cipher,
}

/// Listens at an address.
pub(crate) fn listen(address: &Address) -> Result<Listener, ServeError> {
    let address = address.checked()?;
    match &address {
        Address::Unix(path) => {
            let listening = socket_file::listen_at(path);
            let (socket, file) = listening.map_err(|error| refuse(&address, error))?;
            Ok(Listener {
                socket,
                address,
                _file: Some(file),
            })
        }
        Address::Abstract(name) => {
            let place = Place::Abstract(name.as_bytes());
            let socket = sys::listen_at(place).map_err(|error| refuse(&address, error))?;
            Ok(Listener {
                socket,
                address,
                _file: None,
            })
        }
        #[cfg(feature = "network")]
        Address::Tcp(host_and_port) => listen_on_network(&address, host_and_port),
        #[cfg(not(feature = "network"))]
        Address::Tcp(_) => Err(ServeError::NoNetwork { address }),
    }
}

#[cfg(feature = "network")]
fn listen_on_network(address: &Address, host_and_port: &str) -> Result<Listener, ServeError> {
    use std::net::ToSocketAddrs as _;

    let known = host_and_port.to_socket_addrs();
    let mut listening = Err(io::Error::new(
        io::ErrorKind::NotFound,
        "the host has no address",
    ));
    for place in known.map_err(|error| refuse(address, error))? {
        listening = sys::listen_on(place);
        if listening.is_ok() {
            break;
        }
    }
    let (socket, port) = listening.map_err(|error| refuse(address, error))?;
    let host = host_and_port.rsplit_once(':').map_or("", |(host, _)| host);
    Ok(Listener {
        socket,
        address: Address::Tcp(format!("{host}:{port}")),
        _file: None,
    })
}

fn refuse(address: &Address, error: io::Error) -> ServeError {
    let (address, source) = (address.clone(), Arc::new(error));
    match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::AddressInUse { address, source },
        _ => ServeError::NotListening { address, source },
    }
}

impl Listener {
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The next client that has connected; `None` is one that is turned away at once, since it belongs to another user or is gone. `WouldBlock`
    /// says that there is none now.
    pub(crate) fn accept(&self) -> io::Result<Option<Visit>> {
        let socket = sys::accept(self.socket.as_fd())?;
        let negotiation = match &self.address {
            Address::Unix(_) | Address::Abstract(_) => {
                let user = sys::user_of_peer(socket.as_fd());
                if !user.is_ok_and(|user| user == sys::own_user()) {
                    return Ok(None);
                }
                Negotiation::plain()
            }
            #[cfg(feature = "network")]
            Address::Tcp(_) => {
                if sys::tune_network(socket.as_fd()).is_err() {
                    return Ok(None);
                }
                Negotiation::encrypted()
            }
            // Nobody listens there.
            #[cfg(not(feature = "network"))]
            Address::Tcp(_) => return Ok(None),
        };
        Ok(Some(Visit {
            socket,
            negotiation,
        }))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsFd for Visit {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What came of a visit so far.
pub(crate) enum Progress {
    /// More has to come.
    Waits(Visit),
    Proved(Guest),
    /// It is over: the client is gone, or has been turned away.
    Over,
}

impl Visit {
    /// Takes what has come. Never blocks.
    pub(crate) fn go_on(mut self, key: &Key) -> Progress {
        loop {
            let count = match sys::receive(self.socket.as_fd(), self.negotiation.room(), false) {
                Ok(0) => return self.over(),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Progress::Waits(self);
                }
                Err(_) => return self.over(),
            };
            match self.negotiation.came(count, key) {
                Outcome::Waits => {}
                #[cfg(feature = "network")]
                Outcome::Answers(answer) => {
                    if !say(&self.socket, &answer) {
                        return self.over();
                    }
                }
                Outcome::Proved(cipher) => {
                    let socket = self.socket;
                    return Progress::Proved(Guest { socket, cipher });
                }
                Outcome::TurnedAway(last) => {
                    say(&self.socket, last.as_ref().map_or(&[], |last| last));
                    return self.over();
                }
            }
        }
    }

    fn over(self) -> Progress {
        self.hang_up();
        Progress::Over
    }

    /// Ends it, also where a process that was forked off has the socket too.
    pub(crate) fn hang_up(self) {
        sys::end_socket(self.socket.as_fd());
    }

    /// Says that there is no room, and hangs up.
    pub(crate) fn turn_away(self) {
        say(&self.socket, &[Status::Full as u8]);
        self.hang_up();
    }
}

impl Guest {
    /// Lets it in; `None`, if it has gone meanwhile.
    pub(crate) fn welcome(mut self) -> Option<Line> {
        if !self.tell(Status::Welcome) {
            sys::end_socket(self.socket.as_fd());
            return None;
        }
        Some(Line::new(self.socket.into(), self.cipher))
    }

    /// Says that there is no room, and hangs up.
    pub(crate) fn turn_away(mut self) {
        self.tell(Status::Full);
        sys::end_socket(self.socket.as_fd());
    }

    fn tell(&mut self, status: Status) -> bool {
        #[cfg(feature = "network")]
        if self.cipher.noise.is_some() {
            let sealed = self.cipher.seal_one(status as u8);
            return sealed.is_some_and(|sealed| say(&self.socket, &sealed));
        }
        say(&self.socket, &[status as u8])
    }
}

/// Sends a few bytes, for which a new socket has room; whether they went.
fn say(socket: &OwnedFd, bytes: &[u8]) -> bool {
    matches!(sys::send(socket.as_fd(), bytes), Ok(sent) if sent == bytes.len())
}
