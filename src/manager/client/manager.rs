//! A manager, as its users have it.

use serde::Serialize;

use super::{Calling, Proxy};
use crate::manager::ManagerError;
use crate::manager::protocol::Packed;

/// A connection to a manager's server.
#[derive(Clone, Debug)]
pub struct Manager(());

impl Manager {
    /// Makes an object of the kind that the proxy is of.
    pub(crate) fn create<P: Proxy>(&self, _init: Packed) -> Calling<P> {
        unimplemented!()
    }

    /// Encodes a value for the server.
    pub(crate) fn pack<T: Serialize + 'static>(&self, _value: &T) -> Result<Packed, ManagerError> {
        unimplemented!()
    }
}
