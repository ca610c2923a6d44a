//! A manager, as its users have it.

use super::{Calling, Proxy};
use crate::manager::protocol::Packed;

/// A connection to a manager's server.
#[derive(Clone, Debug)]
pub struct Manager(());

impl Manager {
    /// Makes an object of the kind that the proxy is of.
    pub(crate) fn create<P: Proxy>(&self, _init: Packed) -> Calling<P> {
        unimplemented!()
    }
}
