//! The memory of one primitive, as a value that travels.

use std::fmt;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::sys::{Header, LockedMapping, Owner};
use crate::wire::Handle;

/// Memory with a lock, and the descriptor by which it travels.
#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) mapping: Arc<LockedMapping>,
    handle: Handle,
}

impl Room {
    /// New memory, of zeros.
    pub(crate) fn create(name: &str, len: usize) -> io::Result<Self> {
        let (mapping, memory) = LockedMapping::create(name, len)?;
        Ok(Self {
            mapping: Arc::new(mapping),
            handle: memory.into(),
        })
    }

    pub(crate) fn header(&self) -> &Header {
        self.mapping.header()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.mapping.id() == other.mapping.id()
    }

    /// How many bytes it has besides its words.
    pub(crate) fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Who has the lock, for a text.
    pub(crate) fn owner(&self) -> OwnerText {
        OwnerText(self.mapping.owner())
    }
}

/// Its length, and the descriptor.
impl Serialize for Room {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.len() as u64, &self.handle).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Room {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (len, handle) = <(u64, Handle)>::deserialize(deserializer)?;
        let len = usize::try_from(len).map_err(de::Error::custom)?;
        // The descriptor's own size is what counts: it must be the one that goes with this length.
        let mapping = LockedMapping::attach(&handle, len).map_err(de::Error::custom)?;
        Ok(Self {
            mapping: Arc::new(mapping),
            handle,
        })
    }
}

/// `none`, `this thread`, `thread 12 of this process`, `thread 12 of process 11`.
pub(crate) struct OwnerText(Option<Owner>);

impl fmt::Debug for OwnerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(owner) = self.0 else {
            return f.write_str("none");
        };
        if owner.is_this_thread() {
            return f.write_str("this thread");
        }
        let thread = owner.thread();
        match owner.process() {
            Some(process) if process == std::process::id() => {
                write!(f, "thread {thread} of this process")
            }
            Some(process) => write!(f, "thread {thread} of process {process}"),
            None => write!(f, "thread {thread}"),
        }
    }
}
