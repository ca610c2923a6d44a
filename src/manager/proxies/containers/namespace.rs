//! Attributes: a value of any type for each name.

use std::any::type_name;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{calls, encoded, maybe, sent};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager, Proxy, Remote};
use crate::manager::objects::containers::NamespaceOp;
use crate::manager::protocol::Packed;
use crate::manager::store::Kind;

/// Attributes in a manager: a value of any type for each name.
///
/// A name has 1 to 255 bytes. Those that begin with `_` are private, as in Python: nobody gets at them from outside, and as there is no inside here,
/// they are refused.
///
/// Each call is atomic.
///
/// ```standalone_crate
/// use procession::manager::Manager;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let manager = Manager::start()?;
///     let config = manager.namespace()?;
///     config.set("name", &"evening run".to_owned())?;
///     config.set("retries", &3u32)?;
///     assert_eq!(config.get::<u32>("retries")?, Some(3));
///     assert_eq!(config.get::<u32>("limit")?, None);
///     assert!(config.get::<u32>("name").is_err()); // it is a `String`
///     assert_eq!(config.names()?, ["name", "retries"]);
///     Ok(())
/// }
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NamespaceProxy {
    remote: Remote,
}

impl Manager {
    /// Makes a namespace without attributes.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn namespace(&self) -> Result<NamespaceProxy, ManagerError> {
        self.namespace_async().wait()
    }

    /// [`namespace`](Self::namespace), awaited.
    pub fn namespace_async(&self) -> Calling<NamespaceProxy> {
        sent(|| {
            Ok(self.create(Packed {
                bytes: encoded(&())?,
                refs: Vec::new(),
            }))
        })
    }
}

impl NamespaceProxy {
    /// Sets an attribute, which may have had a value of another type.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Refused`] for a name that is none; [`ManagerError::NotEncoded`]; else as [every call](ManagerError#what-every-call-can-say).
    pub fn set<T: Serialize + 'static>(&self, name: &str, value: &T) -> Result<(), ManagerError> {
        self.set_async(name, value).wait()
    }

    /// [`set`](Self::set), awaited.
    pub fn set_async<T: Serialize + 'static>(&self, name: &str, value: &T) -> Calling<()> {
        sent(|| {
            let set = NamespaceOp::Set {
                name: name.to_owned(),
                type_name: type_name::<T>().to_owned(),
                value: self.remote.pack(value)?,
            };
            Ok(self.remote.call(&set, Ok))
        })
    }

    /// The value of an attribute, if there is one.
    ///
    /// # Errors
    ///
    /// If it was set with another type, which is told by its name, or the name is none; else as [every call](ManagerError#what-every-call-can-say).
    pub fn get<T: DeserializeOwned + 'static>(
        &self,
        name: &str,
    ) -> Result<Option<T>, ManagerError> {
        self.get_async(name).wait()
    }

    /// [`get`](Self::get), awaited.
    pub fn get_async<T: DeserializeOwned + 'static>(&self, name: &str) -> Calling<Option<T>> {
        let get = NamespaceOp::Get {
            name: name.to_owned(),
            type_name: type_name::<T>().to_owned(),
        };
        self.remote.call(&get, maybe)
    }

    calls! {
        /// Removes an attribute, and says whether there was one.
        fn remove / remove_async(&self, name: &str) -> bool {
            Ok(self.remote.call(&NamespaceOp::Remove { name: name.to_owned() }, Ok))
        }

        /// Whether there is such an attribute.
        fn contains / contains_async(&self, name: &str) -> bool {
            Ok(self.remote.call(&NamespaceOp::Contains { name: name.to_owned() }, Ok))
        }

        /// The names of all attributes, sorted.
        fn names / names_async(&self) -> Vec<String> {
            Ok(self.remote.call(&NamespaceOp::Names, Ok))
        }
    }

    /// Whether both are proxies of the same object.
    pub fn is_same(&self, other: &Self) -> bool {
        self.remote.is_same(&other.remote)
    }
}

impl Proxy for NamespaceProxy {
    const KIND: Kind = Kind::Namespace;

    fn type_name() -> String {
        String::new()
    }

    fn of(remote: Remote) -> Self {
        Self { remote }
    }

    fn remote(&self) -> &Remote {
        &self.remote
    }
}

impl fmt::Debug for NamespaceProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.remote.describe("NamespaceProxy", f)
    }
}
