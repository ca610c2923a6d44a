//! The handle of a server.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Calling;
use super::proxy::{Proxy, check};
use super::remote::Remote;
use super::scope::granted;
use super::site::{Site, Way};
use crate::manager::ManagerError;
use crate::manager::protocol::{ObjectId, Packed};
use crate::manager::secure::{Address, CONNECT_TIME, ConnectError, Key};
use crate::manager::store::{Kind, RootOp, Status};

/// A server that owns objects, and whose proxies are used from anywhere.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manager {
    root: Remote,
}

/// How much a manager has to do: what [`Manager::status`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ManagerStatus {
    /// How many objects it has.
    pub objects: u64,
    /// How many connections: one for each process that uses it, and one for each object that has travelled from a process to another one.
    pub connections: u64,
}

impl Manager {
    /// Connects to a manager that is somewhere on this machine or, with feature `network`, elsewhere. Blocks until it is connected, 10 seconds at most.
    ///
    /// A process has one connection to a manager, shared by all its threads and tasks: connecting again gives the same one.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Lost`] if nobody is there, and [`ManagerError::Connect`] for everything else.
    pub fn connect(address: &Address, key: &Key) -> Result<Self, ManagerError> {
        Self::connect_timeout(address, key, CONNECT_TIME)
    }

    /// [`connect`](Self::connect), with another time limit.
    pub fn connect_timeout(
        address: &Address,
        key: &Key,
        limit: Duration,
    ) -> Result<Self, ManagerError> {
        let address = address.checked().map_err(ConnectError::from)?;
        Self::open(Way::new(address, key.clone()), limit)
    }

    /// Where it is: what others [connect](Self::connect) to.
    pub fn address(&self) -> &Address {
        &self.root.site().way().address
    }

    /// The key that others need to connect. Whoever has it can do everything with the manager.
    pub fn key(&self) -> Key {
        self.root.site().way().key.clone()
    }

    pub(super) fn open(way: Way, limit: Duration) -> Result<Self, ManagerError> {
        let root = Site::open(way, limit)?.root();
        Ok(Self { root })
    }

    /// The server itself, as an object.
    pub(super) fn root(&self) -> &Remote {
        &self.root
    }

    /// Gives an object a name, by which other processes can [get](Self::get) it. While it has that, it is there, also if nobody has a proxy of it.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NameTaken`] if another object has the name; it can be [taken away](Self::unpublish). A name has 1 to 255 bytes.
    pub fn publish(&self, name: &str, proxy: &impl Proxy) -> Result<(), ManagerError> {
        self.publish_async(name, proxy).wait()
    }

    /// [`publish`](Self::publish), to be awaited.
    pub fn publish_async(&self, name: &str, proxy: &impl Proxy) -> Calling<()> {
        let remote = proxy.remote().clone();
        if !remote.site().is_same(self.root.site()) {
            return Calling::failed(ManagerError::OtherManager {
                address: remote.address().to_owned(),
            });
        }
        let op = RootOp::Publish {
            name: name.to_owned(),
            object: remote.id(),
        };
        // The object is there until it has its name.
        self.root.call(&op, move |()| {
            drop(remote);
            Ok(())
        })
    }

    /// Takes a name away, and says whether there was one. The object goes with it, unless somebody has a proxy of it.
    pub fn unpublish(&self, name: &str) -> Result<bool, ManagerError> {
        self.unpublish_async(name).wait()
    }

    /// [`unpublish`](Self::unpublish), to be awaited.
    pub fn unpublish_async(&self, name: &str) -> Calling<bool> {
        let name = name.to_owned();
        self.root.call(&RootOp::Unpublish { name }, Ok)
    }

    /// A proxy of the object that has been [published](Self::publish) under this name.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NoName`] if there is none, and [`ManagerError::WrongType`] if it is another kind of object, or has values of other types.
    pub fn get<P: Proxy>(&self, name: &str) -> Result<P, ManagerError> {
        self.get_async(name).wait()
    }

    /// [`get`](Self::get), to be awaited.
    pub fn get_async<P: Proxy>(&self, name: &str) -> Calling<P> {
        let name = name.to_owned();
        let read = |(id, kind, type_name): (ObjectId, Kind, String)| {
            check::<P>(kind, &type_name)?;
            granted(id).map(P::of)
        };
        self.root.call(&RootOp::Lookup { name }, read)
    }

    /// All names that have been [published](Self::publish), in order.
    pub fn names(&self) -> Result<Vec<String>, ManagerError> {
        self.names_async().wait()
    }

    /// [`names`](Self::names), to be awaited.
    pub fn names_async(&self) -> Calling<Vec<String>> {
        self.root.call(&RootOp::Names, Ok)
    }

    /// How much it has to do.
    pub fn status(&self) -> Result<ManagerStatus, ManagerError> {
        self.status_async().wait()
    }

    /// [`status`](Self::status), to be awaited.
    pub fn status_async(&self) -> Calling<ManagerStatus> {
        self.root.call(&RootOp::Status, |status: Status| {
            Ok(ManagerStatus {
                objects: status.objects,
                connections: status.connections,
            })
        })
    }

    /// Whether it answers: a call is made, and waited for.
    pub fn is_alive(&self) -> bool {
        self.status().is_ok()
    }

    /// Ends it, for everybody: all its objects are gone, and every call from now on, here and elsewhere, is [`ManagerError::Lost`]. It has
    /// said that it will when this returns.
    pub fn shutdown(&self) -> Result<(), ManagerError> {
        self.shutdown_async().wait()
    }

    /// [`shutdown`](Self::shutdown), to be awaited.
    pub fn shutdown_async(&self) -> Calling<()> {
        self.root.call(&RootOp::Shutdown, Ok)
    }

    /// Whether both are the same manager, through the same connection.
    pub fn is_same(&self, other: &Self) -> bool {
        self.root.is_same(&other.root)
    }

    /// Makes an object, which begins as `init` says in the words of its kind.
    pub(crate) fn create<P: Proxy>(&self, init: Packed) -> Calling<P> {
        let op = RootOp::Create {
            kind: P::KIND,
            type_name: P::type_name(),
            init,
        };
        self.root.call(&op, |id: ObjectId| granted(id).map(P::of))
    }

    /// A value, encoded for this manager.
    pub(crate) fn pack<T: Serialize + 'static>(&self, value: &T) -> Result<Packed, ManagerError> {
        self.root.pack(value)
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("address", &self.root.address())
            .finish_non_exhaustive()
    }
}
