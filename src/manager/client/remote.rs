//! An object of a server, as a process knows it: what is below every proxy.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Calling;
use crate::manager::ManagerError;
use crate::manager::protocol::Packed;

/// An object of a server. All clones in a process share one; the object is let go of when the last one is dropped (which never blocks).
///
/// It travels as other handles do: as a part of an argument or result of a task or a message of a connection, with a descriptor beside it that
/// keeps the object; and within a value that is packed for the same server, by its number.
#[derive(Clone, Serialize, Deserialize)]
pub struct Remote(());

impl Remote {
    /// Sends a request, and gives its answer, decoded and handed to `read`. Within `read`, values are [unpacked](unpack).
    ///
    /// Nothing is sent where `op` does not encode: then the call says so.
    pub(crate) fn call<O, A, T>(
        &self,
        _op: &O,
        _read: impl FnOnce(A) -> Result<T, ManagerError> + Send + 'static,
    ) -> Calling<T>
    where
        O: Serialize + 'static,
        A: DeserializeOwned + 'static,
    {
        unimplemented!()
    }

    /// Sends a request whose answer nobody waits for, such as giving back a lock. Never blocks.
    pub(crate) fn tell<O: Serialize + 'static>(&self, _op: &O) {
        unimplemented!()
    }

    /// Encodes a value for the server that has this object. Proxies of its objects travel in it by their numbers; those of others are refused, and
    /// descriptors as well.
    pub(crate) fn pack<T: Serialize + 'static>(&self, _value: &T) -> Result<Packed, ManagerError> {
        unimplemented!()
    }

    /// Whether both are the same object.
    pub(crate) fn is_same(&self, _other: &Self) -> bool {
        unimplemented!()
    }

    /// Something that tells this process's connection from all others, and this object from others of it.
    pub(crate) fn address(&self) -> &str {
        unimplemented!()
    }
}

/// The value that a server has kept. Only within the `read` of [`Remote::call`], whose answer it came with.
pub(crate) fn unpack<T: DeserializeOwned + 'static>(_packed: &Packed) -> Result<T, ManagerError> {
    unimplemented!()
}
