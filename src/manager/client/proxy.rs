//! What all proxies have in common.

use super::remote::Remote;
use crate::manager::ManagerError;
use crate::manager::store::Kind;

/// A proxy: a handle of an object that a [`Manager`](super::Manager) has. [`Manager::get`](super::Manager::get) finds objects as one of these.
///
/// It is implemented by the proxies of this crate and by those that `#[procession::managed]` makes, and by nothing else: what it has is not for
/// use, and may change.
pub trait Proxy: Sized {
    /// What its objects are.
    #[doc(hidden)]
    const KIND: Kind;

    /// The types of the values in its objects, such as `String, u64`; or which of a user's types its objects are.
    #[doc(hidden)]
    fn type_name() -> String;

    /// A proxy of an object, which is of this kind.
    #[doc(hidden)]
    fn of(remote: Remote) -> Self;

    /// Its object.
    #[doc(hidden)]
    fn remote(&self) -> &Remote;
}

/// Whether an object is what `P` takes it for.
pub(super) fn check<P: Proxy>(kind: Kind, type_name: &str) -> Result<(), ManagerError> {
    let expected = P::type_name();
    if (kind, type_name) == (P::KIND, &expected) {
        return Ok(());
    }
    Err(ManagerError::WrongType {
        expected: describe(P::KIND, &expected),
        found: describe(kind, type_name),
    })
}

/// How a user would call it.
fn describe(kind: Kind, type_name: &str) -> String {
    match (kind, type_name) {
        (Kind::Managed, type_name) => format!("`{type_name}`"),
        (kind, "") => format!("{kind:?}"),
        (kind, type_name) => format!("{kind:?}<{type_name}>"),
    }
}
