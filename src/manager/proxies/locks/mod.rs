//! Proxies of the objects that callers wait for.
//!
//! `attempt` is a call with errors of its own and perhaps a time limit, `hold` a lock that a process has: what the guards are made of.

mod attempt;
mod barrier;
mod condition;
mod error;
mod event;
mod hold;
mod lock;
mod rlock;
mod semaphore;

use serde::Serialize;

pub use self::attempt::Attempt;
pub use self::barrier::BarrierProxy;
pub use self::condition::{ConditionGuard, ConditionProxy};
pub use self::error::{BarrierError, LockError, ReleaseError};
pub use self::event::EventProxy;
pub use self::hold::Locking;
pub use self::lock::{LockGuard, LockProxy};
pub use self::rlock::{RLockGuard, RLockProxy};
pub use self::semaphore::{BoundedSemaphoreProxy, Permit, SemaphoreProxy};
use crate::manager::protocol::Packed;
use crate::wire;

/// What all of them have: they are made of a `Remote`, travel as it does, and can be compared.
macro_rules! proxy {
    ($(#[$docs:meta])* $name:ident, $kind:ident) => {
        $(#[$docs])*
        #[derive(Clone, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name {
            remote: $crate::manager::client::Remote,
        }

        impl $name {
            /// Whether both are proxies of the same object.
            pub fn is_same(&self, other: &Self) -> bool {
                self.remote.is_same(&other.remote)
            }
        }

        impl $crate::manager::client::Proxy for $name {
            const KIND: $crate::manager::store::Kind = $crate::manager::store::Kind::$kind;

            fn type_name() -> String {
                String::new()
            }

            fn of(remote: $crate::manager::client::Remote) -> Self {
                Self { remote }
            }

            fn remote(&self) -> &$crate::manager::client::Remote {
                &self.remote
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.remote.describe(stringify!($name), f)
            }
        }
    };
}
pub(in crate::manager::proxies) use proxy;

/// How an object begins: a number, or nothing, which always encode. (Nothing at all is refused by the server.)
fn begin(init: &(impl Serialize + 'static)) -> Packed {
    let mut packed = Packed::default();
    let encoded = wire::encode(init, &mut packed.bytes);
    debug_assert!(encoded.is_ok(), "a number encodes");
    packed
}

#[cfg(test)]
mod tests;
