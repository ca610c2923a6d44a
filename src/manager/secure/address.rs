//! Where a server is.

use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::explained;

/// The longest path of a Unix socket, and the longest abstract name, in bytes: what the system's `sun_path` has room for.
const MAX_PATH: usize = 107;

/// The longest name of a host with its port, in bytes.
const MAX_HOST: usize = 255 + 6;

/// Where a manager's server is.
///
/// | text | |
/// |--|--|
/// | `unix:/run/user/1000/jobs` | a Unix socket, which is a file |
/// | `unix:@jobs` | a Unix socket whose name is in the system's memory alone, and goes with the server. Every process of this machine (of this network namespace) can find it; those of other users are refused |
/// | `tcp:host:port` | a host of the network, with the feature `network` |
///
/// ```
/// use procession::manager::Address;
///
/// let address: Address = "tcp:example.org:4711".parse()?;
/// assert_eq!(address, Address::Tcp("example.org:4711".into()));
/// assert_eq!(address.to_string(), "tcp:example.org:4711");
/// assert!("example.org:4711".parse::<Address>().is_err());
/// # Ok::<(), procession::manager::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "Text", try_from = "Text")]
#[non_exhaustive]
pub enum Address {
    /// The path of a Unix socket, at most 107 bytes.
    Unix(PathBuf),
    /// A Unix socket's abstract name, at most 107 bytes.
    Abstract(String),
    /// A host's name or number, and a port: `example.org:4711`, `127.0.0.1:0` (a server takes any free port), `[::1]:4711`.
    Tcp(String),
}

/// Why a text, or an [`Address`], is none.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address:?} is no address: {reason}")]
pub struct AddressError {
    address: String,
    reason: &'static str,
}

impl Address {
    /// The same, if it is one that can be used. A path does not depend on the directory that the process works in any more.
    pub(crate) fn checked(&self) -> Result<Self, AddressError> {
        let refuse = |reason| {
            Err(AddressError {
                address: self.to_string(),
                reason,
            })
        };
        match self {
            Self::Unix(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                match path.as_os_str().as_bytes() {
                    [] => refuse("a path is missing"),
                    bytes if bytes.contains(&0) => refuse("a path has no zero byte"),
                    bytes if bytes.len() > MAX_PATH => {
                        refuse("the path of a socket has at most 107 bytes")
                    }
                    _ => Ok(Self::Unix(path)),
                }
            }
            Self::Abstract(name) if name.is_empty() => refuse("a name is missing"),
            Self::Abstract(name) if name.len() > MAX_PATH => {
                refuse("the name of a socket has at most 107 bytes")
            }
            Self::Abstract(_) => Ok(self.clone()),
            Self::Tcp(host_and_port) => match host_and_port.rsplit_once(':') {
                None => refuse("a port is missing, as in `tcp:host:port`"),
                Some(("", _)) => refuse("a host is missing, as in `tcp:host:port`"),
                Some((_, port)) if port.parse::<u16>().is_err() => {
                    refuse("a port is a number up to 65535")
                }
                Some(_) if host_and_port.len() > MAX_HOST => {
                    refuse("the name of a host has at most 255 bytes")
                }
                Some(_) => Ok(self.clone()),
            },
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
            Self::Tcp(host_and_port) => write!(f, "tcp:{host_and_port}"),
        }
    }
}

explained!(AddressError);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let address = if let Some(name) = text.strip_prefix("unix:@") {
            Self::Abstract(name.to_owned())
        } else if let Some(path) = text.strip_prefix("unix:") {
            Self::Unix(path.into())
        } else if let Some(host_and_port) = text.strip_prefix("tcp:") {
            Self::Tcp(host_and_port.to_owned())
        } else {
            return Err(AddressError {
                address: text.to_owned(),
                reason: "one begins with `unix:` or `tcp:`, as in `unix:/path/of/socket` and `tcp:host:port`",
            });
        };
        // What is wrong is said of the text.
        address.checked().map_err(|error| AddressError {
            address: text.to_owned(),
            ..error
        })
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address.to_string())
    }
}

/// An address as it travels: a path is bytes.
#[derive(Serialize, Deserialize)]
enum Text {
    Unix(#[serde(with = "serde_bytes")] Vec<u8>),
    Abstract(String),
    Tcp(String),
}

impl From<Address> for Text {
    fn from(address: Address) -> Self {
        match address {
            Address::Unix(path) => Self::Unix(path.into_os_string().as_bytes().to_vec()),
            Address::Abstract(name) => Self::Abstract(name),
            Address::Tcp(host_and_port) => Self::Tcp(host_and_port),
        }
    }
}

impl TryFrom<Text> for Address {
    type Error = AddressError;

    fn try_from(text: Text) -> Result<Self, AddressError> {
        let address = match text {
            Text::Unix(path) => Self::Unix(OsStr::from_bytes(&path).into()),
            Text::Abstract(name) => Self::Abstract(name),
            Text::Tcp(host_and_port) => Self::Tcp(host_and_port),
        };
        address.checked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_its_text() {
        for text in ["unix:/a/b", "unix:@name", "tcp:a.b:1", "tcp:[::1]:65535"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_address_is_made_of_a_path_or_of_a_socket_s() {
        assert_eq!(Address::from(Path::new("/a/b")).to_string(), "unix:/a/b");
        for text in ["127.0.0.1:80", "[::1]:0"] {
            let socket: SocketAddr = text.parse().unwrap();
            let address = Address::from(socket);
            assert_eq!(address.to_string(), format!("tcp:{text}"));
            assert_eq!(address.checked().unwrap(), address);
        }
    }

    #[test]
    fn an_address_travels() {
        let path = OsStr::from_bytes(b"/not/\xffutf");
        for address in [
            Address::Unix(path.into()),
            Address::Abstract("a".into()),
            Address::Tcp("a:1".into()),
        ] {
            let mut bytes = Vec::new();
            crate::wire::encode(&address, &mut bytes).unwrap();
            assert_eq!(crate::wire::decode::<Address>(&bytes).unwrap(), address);
        }
    }

    #[test]
    fn what_is_no_address_is_told_why() {
        let long = format!("unix:/{}", "a".repeat(107));
        for (text, reason) in [
            ("", "begins with"),
            ("/a", "begins with"),
            ("unix:", "a path is missing"),
            ("unix:@", "a name is missing"),
            ("unix:/a\0b", "zero byte"),
            (&*long, "at most 107 bytes"),
            ("tcp:", "a port is missing"),
            ("tcp:host", "a port is missing"),
            ("tcp::1", "a host is missing"),
            ("tcp:host:", "a number up to"),
            ("tcp:host:65536", "a number up to"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.starts_with(&format!("{text:?} is no")), "{error}");
            // It is what `main` prints of an error that it returns.
            let printed = format!("{:?}", text.parse::<Address>().unwrap_err());
            assert_eq!(printed, error);
        }
    }
}
