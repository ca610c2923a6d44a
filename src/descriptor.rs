//! A file, a socket or an end of a pipe, as a value that crosses processes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::wire::Handle;

/// An open file that can be an argument or a result of a task, or a part of one.
///
/// Anything that has a descriptor can be passed on so: a file, a socket, an end of a pipe. The other process gets a descriptor of
/// its own for the same open file, as if it had been duplicated; position and flags of a file are shared. It is closed
/// when this value is dropped there.
///
/// Clones share one descriptor. What is submitted is kept open in this process until its task has ended (it may have to be
/// tried again), and what comes back with a result until the [`Future`](crate::Future) is dropped.
///
/// As a serde value it goes only where a descriptor can: everything else, such as writing it as JSON to a file, is an error.
///
/// # Errors
///
/// A worker without room for another open file fails the task with
/// [`TaskError::DescriptorsLost`](crate::TaskError::DescriptorsLost); so does this process, with a result. One payload has at most 65 535
/// descriptors; more are refused when it is encoded.
///
/// The idea is that of Python's `multiprocessing.reduction.DupFd`.
///
/// # Examples
///
/// ```standalone_crate
/// use std::fs::File;
/// use std::io::{Read, Write};
///
/// use procession::{Descriptor, ProcessPoolExecutor};
///
/// #[procession::task]
/// fn greet(to: Descriptor) -> Result<(), procession::Failure> {
///     let mut to = File::from(to.into_owned()?);
///     Ok(to.write_all(b"hello from another process")?)
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
///     let (mut reader, writer) = std::io::pipe()?;
///     pool.submit(greet, Descriptor::new(writer))?.wait()??;
///     let mut greeting = String::new();
///     reader.read_to_string(&mut greeting)?; // every writer has been closed
///     assert_eq!(greeting, "hello from another process");
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Descriptor(Handle);

impl Descriptor {
    /// Takes over whatever has a descriptor.
    ///
    /// ```
    /// let null = procession::Descriptor::new(std::fs::File::open("/dev/null")?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(file: impl Into<OwnedFd>) -> Self {
        Self(Handle::from(file.into()))
    }

    /// The descriptor, to make a file or a socket of: `File::from(descriptor.into_owned()?)`.
    ///
    /// # Errors
    ///
    /// Where clones share it, or the payload that it came in is still there, it is duplicated, and this process may have no room
    /// for another open file.
    ///
    /// ```
    /// use std::fs::File;
    ///
    /// let null = procession::Descriptor::new(File::open("/dev/null")?);
    /// let null = File::from(null.into_owned()?);
    /// assert_eq!(null.metadata()?.len(), 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn into_owned(self) -> io::Result<OwnedFd> {
        self.0.into_owned()
    }

    /// A duplicate of the descriptor.
    ///
    /// # Errors
    ///
    /// This process has no room for another open file.
    ///
    /// ```
    /// let null = procession::Descriptor::new(std::fs::File::open("/dev/null")?);
    /// let duplicate = null.try_clone_to_owned()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_clone_to_owned(&self) -> io::Result<OwnedFd> {
        self.as_fd().try_clone_to_owned()
    }
}

impl From<OwnedFd> for Descriptor {
    fn from(descriptor: OwnedFd) -> Self {
        Self::new(descriptor)
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
