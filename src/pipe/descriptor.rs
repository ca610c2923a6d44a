//! Descriptors of other kinds, as serde values.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::wire::Handle;

/// An open file, a socket or anything else that is a descriptor, as a value that travels as a
/// [`Connection`](super::Connection) does: what arrives is another descriptor of the same open file.
///
/// Python sends sockets through connections as they are.
///
/// ```
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// use procession::pipe::Descriptor;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (here, there) = procession::pipe::<(String, Descriptor)>()?;
/// let (mut mine, theirs) = UnixStream::pair()?;
/// here.send(&("a socket".into(), Descriptor::new(theirs)))?;
///
/// let (_, descriptor) = there.recv()?;
/// let mut theirs = UnixStream::from(descriptor.try_into_owned()?);
/// theirs.write_all(b"hello")?;
/// drop(theirs);
/// let mut said = String::new();
/// mine.read_to_string(&mut said)?;
/// assert_eq!(said, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Descriptor(Handle);

impl Descriptor {
    /// Of something that owns a descriptor.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let file = procession::pipe::Descriptor::new(std::fs::File::open("/dev/null")?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(owner: impl Into<OwnedFd>) -> Self {
        Self(owner.into().into())
    }

    /// The descriptor: this one if nobody shares it (a clone, or another value of the same message, does), or else a
    /// duplicate.
    ///
    /// # Errors
    ///
    /// What the system says when it has to be duplicated, and this process has too many open.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let descriptor = procession::pipe::Descriptor::new(std::fs::File::open("/dev/null")?);
    /// let file = std::fs::File::from(descriptor.try_into_owned()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_into_owned(self) -> io::Result<OwnedFd> {
        self.0.try_into_owned()
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
