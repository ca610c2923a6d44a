//! Bytes that are written once.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::PlainData;
use crate::sys::{SealedBytes, UnsealedFile};
use crate::wire::Handle;

/// Bytes in shared memory that nobody can change any more, so that they are read in place, as a slice.
///
/// For what many tasks look at: it is written once, and a task gets a handle. Neither the size nor the number of tasks matters then. A
/// clone costs no more than one of an `Arc`; what arrives in another process is mapped there.
///
/// ```
/// use procession::shared::SharedBytes;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let words = SharedBytes::new(b"one two three")?;
/// assert_eq!(words.split(|byte| *byte == b' ').count(), 3);
///
/// let numbers = SharedBytes::from_values(&[1_u32, 2, 3])?;
/// assert_eq!(numbers.as_values::<u32>(), Some(&[1, 2, 3][..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SharedBytes {
    bytes: Arc<SealedBytes>,
    handle: Handle,
}

impl SharedBytes {
    /// A copy of these bytes.
    ///
    /// # Errors
    ///
    /// Where the system has no descriptor or no memory for it.
    pub fn new(bytes: &[u8]) -> io::Result<Self> {
        let mut writer = Self::writer()?;
        writer.write_all(bytes)?;
        writer.finish()
    }

    /// A copy of these values, as bytes.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn from_values<T: PlainData>(values: &[T]) -> io::Result<Self> {
        Self::new(bytemuck::cast_slice(values))
    }

    /// Memory to be written piece by piece, for what does not have to be in memory twice.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// ```
    /// use std::io::Write;
    /// use procession::shared::SharedBytes;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut writer = SharedBytes::writer()?;
    /// for n in 0..3 {
    ///     writeln!(writer, "line {n}")?;
    /// }
    /// let text = writer.finish()?;
    /// assert!(text.ends_with(b"line 2\n"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn writer() -> io::Result<SharedBytesWriter> {
        let file = UnsealedFile::create("procession-bytes")?;
        Ok(SharedBytesWriter { file })
    }

    /// The bytes as values; `None` if the length is not one of whole values.
    pub fn as_values<T: PlainData>(&self) -> Option<&[T]> {
        bytemuck::try_cast_slice(self).ok()
    }

    /// Whether both are handles to the same memory.
    pub fn is_same(&self, other: &Self) -> bool {
        self.bytes.id() == other.bytes.id()
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for SharedBytes {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || **self == **other
    }
}

impl Eq for SharedBytes {}

impl Hash for SharedBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl Serialize for SharedBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.handle.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let handle = Handle::deserialize(deserializer)?;
        let bytes = SealedBytes::map(&handle).map_err(de::Error::custom)?;
        Ok(Self {
            bytes: Arc::new(bytes),
            handle,
        })
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBytes")
            .field("len", &self.len())
            .finish()
    }
}

/// What becomes [`SharedBytes`] when it is [finished](Self::finish). Each write is a system call: use a
/// [`BufWriter`](std::io::BufWriter) for small ones.
#[derive(Debug)]
#[must_use = "only `finish` makes shared bytes of it"]
pub struct SharedBytesWriter {
    file: UnsealedFile,
}

impl SharedBytesWriter {
    /// Makes what has been written final.
    ///
    /// # Errors
    ///
    /// Where the system has no address space for it.
    pub fn finish(self) -> io::Result<SharedBytes> {
        let memory = self.file.seal()?;
        Ok(SharedBytes {
            bytes: Arc::new(SealedBytes::map(&memory)?),
            handle: memory.into(),
        })
    }
}

impl Write for SharedBytesWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.append(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
