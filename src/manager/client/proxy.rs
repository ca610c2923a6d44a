//! What all proxies have in common.

use super::remote::Remote;
use crate::manager::store::Kind;

/// A proxy: a handle of an object that a [`Manager`](super::Manager) has.
pub trait Proxy: Sized {
    /// What its objects are.
    #[doc(hidden)]
    const KIND: Kind;

    /// The types of the values in its objects.
    #[doc(hidden)]
    fn type_name() -> String;

    /// A proxy of an object, which is of this kind.
    #[doc(hidden)]
    fn of(remote: Remote) -> Self;

    /// Its object.
    #[doc(hidden)]
    fn remote(&self) -> &Remote;
}
