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

    /// Memory that somebody else has created with the same length.
    pub(crate) fn attach(handle: Handle, len: usize) -> io::Result<Self> {
        Ok(Self {
            mapping: Arc::new(LockedMapping::attach(&handle, len)?),
            handle,
        })
    }

    pub(crate) fn header(&self) -> &Header {
        self.mapping.header()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.mapping.id() == other.mapping.id()
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What a primitive writes that has nothing but its memory.
    pub(crate) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.handle.serialize(serializer)
    }

    /// What it reads.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Self, D::Error> {
        let handle = Handle::deserialize(deserializer)?;
        Self::attach(handle, 0).map_err(de::Error::custom)
    }

    /// Who has the lock, for a text.
    pub(crate) fn owner(&self) -> OwnerText {
        OwnerText(self.mapping.owner())
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

/// `Serialize` and `Deserialize` of what has one field, a [`Room`] of no bytes.
macro_rules! travels {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.room.serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::sync::Room::deserialize(deserializer).map(|room| Self { room })
            }
        }
    };
}
pub(super) use travels;
