//! The handle of a server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Calling;
use super::builder::ManagerBuilder;
use super::owner::Owner;
use super::proxy::{Proxy, check};
use super::remote::Remote;
use super::scope::granted;
use super::site::{Site, Way};
use crate::manager::ManagerError;
use crate::manager::protocol::{ObjectId, Packed};
use crate::manager::secure::{Address, CONNECT_TIME, ConnectError, Key, Pace, ServeError, at_once};
use crate::manager::server::Server;
use crate::manager::store::{Kind, RootOp, Status};

/// A server process that owns objects, and the handle by which they are made and found. Python's
/// [`multiprocessing.Manager`](https://docs.python.org/3/library/multiprocessing.html#managers).
///
/// [`start`](Self::start) starts one. What it makes are proxies, which are called from anywhere: each call goes to the server and back. Clones share one
/// connection, and so do all proxies of it in a process, on all its threads. Calls can be waited for, or awaited from any runtime.
///
/// A manager, and a proxy, is a serde value: an argument or result of a task, a message of a connection. (A proxy can also be a part of a value that its own
/// manager keeps.) It brings the address and the key along. In another process, the first call connects: it blocks for that, or awaits it.
///
/// # When it ends
///
/// The server ends when the last clone of what `start` returned is dropped, in the process that started it (which waits for that, 5 seconds at most; then it is
/// killed); when somebody calls [`shutdown`](Self::shutdown); and with the process that started it, however that ends. Proxies do not keep it, and neither does a `Manager` that
/// came from elsewhere: their calls are [`ManagerError::Lost`] then. A [detached](ManagerBuilder::detached) one goes on, whoever is dropped or ends.
///
/// # What it costs
///
/// A process; in each process that uses it, one descriptor, a buffer of 64 KiB, and, when something is awaited, the thread
/// `procession-connections`. A call that is waited for is one write and one read of a socket, in the caller's thread.
///
/// ```standalone_crate
/// use procession::Process;
/// use procession::manager::{ListProxy, Manager};
///
/// #[procession::task]
/// fn note(notes: ListProxy<String>, text: String) {
///     notes.push(text).unwrap();
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let manager = Manager::start()?; // for as long as this is kept
///     let notes = manager.list_of(["here".to_owned()])?;
///     Process::spawn(note, (notes.clone(), "there".to_owned()))?.join()?;
///     assert_eq!(notes.to_vec()?, ["here", "there"]);
///     Ok(())
/// }
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manager {
    root: Remote,
    /// Of who has started it.
    #[serde(skip)]
    owner: Option<Arc<Owner>>,
}

/// How much a manager has to do: what [`Manager::status`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ManagerStatus {
    /// How many objects it has.
    pub objects: u64,
    /// How many connections: one for each process that uses it, and one for each object that has travelled from a process to another one.
    pub connections: u64,
    /// The process that the server runs in, by its number on its own host.
    pub pid: u32,
}

impl Manager {
    /// Starts a server in a process of its own, and blocks until it can be called, which takes as long as a process takes to start.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NotStarted`], with what is wrong as its source.
    ///
    /// ```standalone_crate
    /// use procession::manager::Manager;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// procession::init();
    /// let manager = Manager::start()?;
    /// assert!(manager.is_alive());
    /// assert_eq!(manager.names()?, [""; 0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn start() -> Result<Self, ManagerError> {
        Self::builder().start()
    }

    /// [`start`](Self::start), to be awaited from any runtime. Dropped before its end, it leaves nothing behind: see [`ManagerBuilder::start_async`].
    ///
    /// ```standalone_crate
    /// use procession::manager::Manager;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// procession::init();
    /// futures::executor::block_on(async {
    ///     let manager = Manager::start_async().await?;
    ///     let list = manager.list_async::<u64>().await?;
    ///     list.push_async(7).await?;
    ///     assert_eq!(list.to_vec_async().await?, [7]);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn start_async() -> impl Future<Output = Result<Self, ManagerError>> + Send {
        Self::builder().start_async()
    }

    /// Says more about a manager than [`start`](Self::start).
    pub fn builder() -> ManagerBuilder {
        ManagerBuilder::new()
    }

    /// The process of the server, where this is a clone of what [`start`](Self::start) returned.
    pub fn pid(&self) -> Option<u32> {
        self.owner.as_ref().map(|owner| owner.pid())
    }

    /// Is a manager itself: serves in this process, on a thread of its own, to be reached from elsewhere at this address with this key. It listens when
    /// this returns. [`Server::builder`] says more.
    ///
    /// # Errors
    ///
    /// Those of [`ServerBuilder::serve`](crate::manager::ServerBuilder::serve).
    ///
    /// ```standalone_crate
    /// use procession::manager::{Address, Key, Manager};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # procession::init();
    /// let key = Key::generate()?;
    /// let server = Manager::serve(&Address::Abstract(format!("jobs-{}", std::process::id())), &key)?;
    /// // In another program, which has been told both:
    /// let manager = Manager::connect(server.address(), &key)?;
    /// assert_eq!(manager.names()?, [""; 0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn serve(address: &Address, key: &Key) -> Result<Server, ServeError> {
        Server::builder().serve(address, key)
    }

    /// Connects to a manager that is somewhere on this machine or, with feature `network`, elsewhere. Blocks until it is connected, 10 seconds at most.
    ///
    /// A process has one connection to a manager, shared by all its threads and tasks: connecting again gives the same one.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Lost`] if nobody is there, and [`ManagerError::Connect`] for everything else. It tries once: a server that may not be there yet is
    /// tried again by the caller.
    ///
    /// ```standalone_crate
    /// use procession::manager::{Address, Key, ListProxy, Manager, Server};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # procession::init();
    /// let address: Address = format!("unix:@shop-{}", std::process::id()).parse()?;
    /// let key = Key::generate()?;
    /// let server = Server::builder().serve(&address, &key)?; // in another program, as a rule
    ///
    /// let manager = Manager::connect(&address, &key)?;
    /// manager.publish("orders", &manager.list::<String>()?)?;
    ///
    /// let orders: ListProxy<String> = manager.get("orders")?; // in a third one
    /// orders.push("tea".to_owned())?;
    /// assert_eq!(orders.len()?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect(address: &Address, key: &Key) -> Result<Self, ManagerError> {
        Self::connect_timeout(address, key, CONNECT_TIME)
    }

    /// [`connect`](Self::connect), with another time limit. (Looking up the name of a host takes as long as the system lets it.)
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_timeout(
        address: &Address,
        key: &Key,
        limit: Duration,
    ) -> Result<Self, ManagerError> {
        let address = address.checked().map_err(ConnectError::from)?;
        at_once(Self::open(
            Way::new(address, key.clone()),
            limit,
            Pace::Blocks,
        ))
    }

    /// [`connect`](Self::connect), to be awaited from any runtime. Nothing is done before it is polled; dropped before its end, it has closed what it had opened.
    ///
    /// Awaiting it may start the threads `procession-connections` and `procession-timer`, and, for a host that is known by a name, `procession-lookup`, which
    /// ends when the system has looked that up.
    pub fn connect_async(
        address: &Address,
        key: &Key,
    ) -> impl Future<Output = Result<Self, ManagerError>> + Send + use<> {
        Self::connect_timeout_async(address, key, CONNECT_TIME)
    }

    /// [`connect_timeout`](Self::connect_timeout), to be awaited as [`connect_async`](Self::connect_async). The limit, from the first poll on, is one for looking up the host's name, too.
    pub fn connect_timeout_async(
        address: &Address,
        key: &Key,
        limit: Duration,
    ) -> impl Future<Output = Result<Self, ManagerError>> + Send + use<> {
        let way = address
            .checked()
            .map(|address| Way::new(address, key.clone()));
        async move {
            let way = way.map_err(ConnectError::from)?;
            Self::open(way, limit, Pace::Awaits).await
        }
    }

    /// Where it is: what others [connect](Self::connect) to.
    pub fn address(&self) -> &Address {
        &self.root.site().way().address
    }

    /// The key that others need to connect. Whoever has it can do everything with the manager.
    pub fn key(&self) -> Key {
        self.root.site().way().key.clone()
    }

    pub(super) async fn open(way: Way, limit: Duration, pace: Pace) -> Result<Self, ManagerError> {
        let root = Site::open(way, limit, pace).await?.root();
        Ok(Self { root, owner: None })
    }

    pub(super) fn owning(owner: Owner) -> Self {
        Self {
            root: owner.root().clone(),
            owner: Some(Arc::new(owner)),
        }
    }

    /// The server itself, as an object.
    pub(super) fn root(&self) -> &Remote {
        &self.root
    }

    /// Gives an object a name, by which other processes can [get](Self::get) it. While it has that, it is there, also if nobody has a proxy of it.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NameTaken`] if another object has the name; it can be [taken away](Self::unpublish). [`ManagerError::Refused`] for a name that does not have
    /// 1 to 255 bytes, [`ManagerError::OtherManager`] for a proxy of another one. Else as [every call](ManagerError#what-every-call-can-say).
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
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
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
    /// [`ManagerError::NoName`] if there is none, and [`ManagerError::WrongType`] if it is another kind of object, or has values of other types, by their
    /// names in the programs that made it and that asks for it. Else as [every call](ManagerError#what-every-call-can-say).
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
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn names(&self) -> Result<Vec<String>, ManagerError> {
        self.names_async().wait()
    }

    /// [`names`](Self::names), to be awaited.
    pub fn names_async(&self) -> Calling<Vec<String>> {
        self.root.call(&RootOp::Names, Ok)
    }

    /// How much it has to do.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn status(&self) -> Result<ManagerStatus, ManagerError> {
        self.status_async().wait()
    }

    /// [`status`](Self::status), to be awaited.
    pub fn status_async(&self) -> Calling<ManagerStatus> {
        self.root.call(&RootOp::Status, |status: Status| {
            Ok(ManagerStatus {
                objects: status.objects,
                connections: status.connections,
                pid: status.pid,
            })
        })
    }

    /// Whether it answers: a call is made, and waited for.
    pub fn is_alive(&self) -> bool {
        self.status().is_ok()
    }

    /// Whether its connection is lost, which no call through this will change. Asks nobody.
    pub(crate) fn is_lost(&self) -> bool {
        self.root.site().is_lost()
    }

    /// Ends it, for everybody: all its objects are gone, and every call from now on, here and elsewhere, is [`ManagerError::Lost`]. When this returns it has said that it ends, nobody
    /// listens at its address any more, and another one can be started there; the exit code of its process will be 0.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
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
