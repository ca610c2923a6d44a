//! What the client's half will have, as far as generated proxies name it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Calling, Remote};
use crate::manager::ManagerError;
use crate::manager::protocol::Packed;
use crate::manager::store::Kind;

/// A server.
#[derive(Debug)]
pub struct Manager(());

impl Manager {
    pub(crate) fn create<P: Proxy>(&self, _init: Packed) -> Calling<P> {
        unimplemented!()
    }

    pub(crate) fn pack<T: Serialize + 'static>(&self, _value: &T) -> Result<Packed, ManagerError> {
        unimplemented!()
    }
}

pub(crate) trait Proxy: Sized {
    const KIND: Kind;
    fn of(remote: Remote) -> Self;
    fn type_name() -> String;
    fn remote(&self) -> &Remote;
}

impl<T> Calling<T> {
    pub(crate) fn failed(_error: ManagerError) -> Self {
        unimplemented!()
    }
}

impl Serialize for Remote {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        unimplemented!()
    }
}

impl<'de> Deserialize<'de> for Remote {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        unimplemented!()
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}
