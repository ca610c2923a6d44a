//! Bytes, with a name or without.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::plain::copy_out;
use super::{AtomicInteger, OutOfRange, PlainData, SharedMemoryError};
use crate::sys::{Mapping, NamedFile, remove_abandoned, unlink_named};
use crate::wire::Handle;

/// Bytes that processes share, copied in and out; without a name, or with one under which others find it.
///
/// There is no lock: what several change needs one of [`sync`](crate::sync), or [atomics](Self::as_atomic).
///
/// As [`multiprocessing.shared_memory.SharedMemory`](https://docs.python.org/3/library/multiprocessing.shared_memory.html). The
/// length is what was asked for, not whole pages.
///
/// ```
/// use procession::shared::SharedMemory;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let memory = SharedMemory::new(1 << 20)?;
/// let same = memory.clone();
/// memory.write(100, b"hello")?;
/// let mut bytes = [0; 5];
/// same.read(100, &mut bytes)?;
/// assert_eq!(&bytes, b"hello");
/// assert!(same.read(1 << 20, &mut bytes).is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Names
///
/// [`create`](Self::create) makes a file in `/dev/shm`, for this user alone, which also other programs can open that know its name, by
/// `shm_open`. It is **removed with its last user**: every process that has a handle is one, and so is a message with a handle in it.
/// Killing some of them, however, changes nothing for the others, and the last of those removes it.
///
/// Only if **all** users are killed at once (or the last one is a message in a connection whose receiver has gone) nobody is there to do that. Such a file is
/// recognised by whoever looks next: [`attach`](Self::attach) does not find it, and removes it; [`create`](Self::create) removes it
/// and makes a new one; and [`remove_abandoned`](Self::remove_abandoned) removes all of them. Programs that open it by other means do not count
/// as users, and files that are made by other means are not removed.
///
/// Named memory is read and written by system calls, since nothing could keep others from making a file with a name shorter, and touching
/// what is missing of a mapping would end the program. That costs some hundred nanoseconds each; for much that is
/// small, or for atomics, use memory without a name.
#[derive(Clone)]
pub struct SharedMemory(Arc<Kind>);

enum Kind {
    Mapped {
        mapping: Mapping,
        handle: Handle,
    },
    Named {
        /// What travels. It keeps the file: wherever in this process it is still on its way, in the arguments of a task or beside a
        /// result, the file is the last user here.
        traveller: OnceLock<Handle>,
        file: Arc<NamedFile>,
    },
}

impl SharedMemory {
    /// Zeros, without a name. The system's pages are taken when they are first written to.
    ///
    /// # Errors
    ///
    /// [`InvalidLength`](SharedMemoryError::InvalidLength) for none; [`System`](SharedMemoryError::System) where the system
    /// has no descriptor or no address space for it.
    pub fn new(len: usize) -> Result<Self, SharedMemoryError> {
        check_len(len)?;
        let created = Mapping::create("procession-memory", len);
        let (mapping, memory) = created.map_err(SharedMemoryError::System)?;
        let handle = memory.into();
        Ok(Self(Arc::new(Kind::Mapped { mapping, handle })))
    }

    /// Zeros under this name, in memory that is taken at once.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](SharedMemoryError::AlreadyExists), [`InvalidName`](SharedMemoryError::InvalidName) (a name is at most 255 bytes, without
    /// a slash or a zero), [`InvalidLength`](SharedMemoryError::InvalidLength), and [`System`](SharedMemoryError::System), also if there is
    /// not as much memory.
    pub fn create(name: &str, len: usize) -> Result<Self, SharedMemoryError> {
        check_name(name)?;
        check_len(len)?;
        let file = NamedFile::create(name, len as u64);
        file.map(Self::named).map_err(|error| failed(name, error))
    }

    /// What is there under this name. It has the length that it has.
    ///
    /// # Errors
    ///
    /// [`NotFound`](SharedMemoryError::NotFound), also if all of its users were killed, [`InvalidName`](SharedMemoryError::InvalidName),
    /// [`System`](SharedMemoryError::System).
    ///
    /// ```
    /// use procession::shared::{SharedMemory, SharedMemoryError};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let name = format!("an-example-{}", std::process::id());
    /// let memory = SharedMemory::create(&name, 100)?;
    /// let other = SharedMemory::attach(&name)?;
    /// other.write(0, b"hello")?;
    /// assert_eq!(memory.len(), other.len());
    /// drop((memory, other));
    /// let gone = SharedMemory::attach(&name);
    /// assert!(matches!(gone, Err(SharedMemoryError::NotFound { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn attach(name: &str) -> Result<Self, SharedMemoryError> {
        check_name(name)?;
        let file = NamedFile::attach(name).map_err(|error| failed(name, error))?;
        // Others may make such.
        check_len(usize::try_from(file.len()).unwrap_or(usize::MAX))?;
        Ok(Self::named(file))
    }

    /// Takes the name away. Who has a handle goes on to use the memory; nobody else can attach it, and the name is free.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach).
    pub fn unlink(name: &str) -> Result<(), SharedMemoryError> {
        check_name(name)?;
        unlink_named(name).map_err(|error| failed(name, error))
    }

    /// Removes the files of all named memory of this user's whose users have all been killed; says how many there were.
    ///
    /// # Errors
    ///
    /// If `/dev/shm` cannot be read.
    pub fn remove_abandoned() -> io::Result<usize> {
        remove_abandoned()
    }

    /// How many bytes it has (a named one: had, when this handle was made).
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        match &*self.0 {
            Kind::Mapped { mapping, .. } => mapping.len(),
            Kind::Named { file, .. } => usize::try_from(file.len()).unwrap_or(usize::MAX),
        }
    }

    /// Its name, if it has been created or attached by one.
    pub fn name(&self) -> Option<&str> {
        match &*self.0 {
            Kind::Mapped { .. } => None,
            Kind::Named { file, .. } => Some(file.name()),
        }
    }

    /// Copies bytes out, as many as there is room for. If others write there meanwhile, some are from before and some
    /// from after.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](SharedMemoryError::OutOfRange); for memory with a name also [`Shrunk`](SharedMemoryError::Shrunk) and
    /// [`System`](SharedMemoryError::System).
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), SharedMemoryError> {
        match &*self.0 {
            Kind::Mapped { mapping, .. } => mapping
                .copy_out(offset, bytes)
                .map_err(|error| OutOfRange::from(error).into()),
            Kind::Named { file, .. } => {
                self.check_range(offset, bytes.len())?;
                let read = file.read_at(offset as u64, bytes);
                match read.map_err(SharedMemoryError::System)? {
                    count if count == bytes.len() => Ok(()),
                    count => Err(shrunk(file, (offset + count) as u64)),
                }
            }
        }
    }

    /// Copies bytes in. Others may see a part of them before the rest.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), SharedMemoryError> {
        match &*self.0 {
            Kind::Mapped { mapping, .. } => mapping
                .copy_in(offset, bytes)
                .map_err(|error| OutOfRange::from(error).into()),
            Kind::Named { file, .. } => {
                self.check_range(offset, bytes.len())?;
                // So that it does not become as long again, with a hole in it.
                let len = file.current_len().map_err(SharedMemoryError::System)?;
                if len < (offset + bytes.len()) as u64 {
                    return Err(shrunk(file, len));
                }
                file.write_at(offset as u64, bytes)
                    .map_err(SharedMemoryError::System)
            }
        }
    }

    /// A copy of the value whose bytes are there, wherever that is.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_value<T: PlainData>(&self, offset: usize) -> Result<T, SharedMemoryError> {
        if let Kind::Mapped { mapping, .. } = &*self.0 {
            return copy_out(mapping, offset).map_err(|error| OutOfRange::from(error).into());
        }
        let mut value = T::zeroed();
        self.read(offset, bytemuck::bytes_of_mut(&mut value))?;
        Ok(value)
    }

    /// Puts the bytes of a value there.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn write_value<T: PlainData>(
        &self,
        offset: usize,
        value: &T,
    ) -> Result<(), SharedMemoryError> {
        self.write(offset, bytemuck::bytes_of(value))
    }

    /// So many atomic integers, from a place on at which one of them can be.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](SharedMemoryError::OutOfRange), also if the offset is not a multiple of their size;
    /// [`NotMapped`](SharedMemoryError::NotMapped) for memory with a name.
    pub fn as_atomic<T: AtomicInteger>(
        &self,
        offset: usize,
        count: usize,
    ) -> Result<&[T::Atomic], SharedMemoryError> {
        match &*self.0 {
            Kind::Mapped { mapping, .. } => mapping
                .atomics_at(offset, count)
                .map_err(|error| OutOfRange::from(error).into()),
            Kind::Named { file, .. } => Err(SharedMemoryError::NotMapped {
                name: file.name().into(),
            }),
        }
    }

    fn named(file: NamedFile) -> Self {
        Self(Arc::new(Kind::Named {
            traveller: OnceLock::new(),
            file: Arc::new(file),
        }))
    }

    fn check_range(&self, start: usize, count: usize) -> Result<(), OutOfRange> {
        let len = self.len();
        if start > len || count > len - start {
            return Err(OutOfRange { start, count, len });
        }
        Ok(())
    }
}

/// What travels.
#[derive(Serialize, Deserialize)]
enum Travelling<N> {
    Mapped(u64, Handle),
    Named(N, Handle),
}

impl Serialize for SharedMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let travelling = match &*self.0 {
            Kind::Mapped { mapping, handle } => {
                Travelling::Mapped(mapping.len() as u64, handle.clone())
            }
            Kind::Named { traveller, file } => {
                let handle = match traveller.get() {
                    Some(handle) => handle.clone(),
                    None => {
                        let new = file.traveller().map_err(serde::ser::Error::custom)?;
                        let handle = traveller.get_or_init(|| new.into());
                        handle.keep(file.clone());
                        handle.clone()
                    }
                };
                Travelling::Named(file.name(), handle)
            }
        };
        travelling.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kind = match Travelling::<String>::deserialize(deserializer)? {
            Travelling::Mapped(len, handle) => {
                let len = usize::try_from(len).map_err(de::Error::custom)?;
                check_len(len).map_err(de::Error::custom)?;
                let mapping = Mapping::attach(&handle, len).map_err(de::Error::custom)?;
                Kind::Mapped { mapping, handle }
            }
            Travelling::Named(name, handle) => {
                check_name(&name).map_err(de::Error::custom)?;
                let came = handle.behind::<Arc<NamedFile>>();
                let file = match came.filter(|file| file.name() == name) {
                    Some(file) => file.clone(),
                    // It has lost its name on the way, or came when there was no room for one more descriptor.
                    None => {
                        let file = NamedFile::open_again(&handle, &name);
                        let file = Arc::new(file.map_err(de::Error::custom)?);
                        handle.keep(file.clone());
                        file
                    }
                };
                let len = usize::try_from(file.len()).unwrap_or(usize::MAX);
                check_len(len).map_err(de::Error::custom)?;
                Kind::Named {
                    traveller: OnceLock::from(handle),
                    file,
                }
            }
        };
        Ok(Self(Arc::new(kind)))
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory")
            .field("name", &self.name())
            .field("len", &self.len())
            .finish()
    }
}

fn check_len(len: usize) -> Result<(), SharedMemoryError> {
    if len == 0 || isize::try_from(len).is_err() {
        return Err(SharedMemoryError::InvalidLength { len });
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), SharedMemoryError> {
    let reason = match name {
        "" => "it is empty",
        "." | ".." => "it is a directory's",
        _ if name.contains('/') => "it has a slash in it",
        _ if name.contains('\0') => "it has a zero in it",
        _ if name.len() > 255 => "it is longer than 255 bytes",
        _ => return Ok(()),
    };
    Err(SharedMemoryError::InvalidName {
        name: name.into(),
        reason,
    })
}

fn failed(name: &str, error: io::Error) -> SharedMemoryError {
    let name = name.to_owned();
    match error.kind() {
        io::ErrorKind::AlreadyExists => SharedMemoryError::AlreadyExists { name },
        io::ErrorKind::NotFound => SharedMemoryError::NotFound { name },
        _ => SharedMemoryError::System(error),
    }
}

fn shrunk(file: &NamedFile, len: u64) -> SharedMemoryError {
    SharedMemoryError::Shrunk {
        name: file.name().into(),
        len,
    }
}
