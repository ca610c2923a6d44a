//! A server, as this process knows it: one connection to it, and the objects of it that somebody here has a proxy of.
//!
//! # Grants
//!
//! The server counts what it has granted to this connection, and so does the entry of an object here, under the lock, when an answer that grants is
//! read. Whoever drops the last proxy takes the entry out and gives back as many as it counted. Should an answer bring the object again while the last
//! proxy is being dropped (its weak reference is dead, its `Drop` still to come), the new proxy takes the entry over with all that it has counted, and the old one
//! finds an entry that is not its own any more. Grants that the server makes meanwhile are counted when they come, so what is given back was never more than
//! there was.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};

use super::calls::Lost;
use super::connection::Connection;
use super::greeting::{self, hold_request};
use super::remote::{Object, Remote};
use crate::manager::ManagerError;
use crate::manager::protocol::ObjectId;
use crate::manager::secure::{
    self, Address, CONNECT_TIME, ConnectError, Key, Line, Pace, TravellingKey, at_once,
};
use crate::primitives::plain::{Mutex, lock};
use crate::sys::{Home, PerProcess};
use crate::wire::Handle;
use crate::worker::in_worker;
use serde::{Deserialize, Serialize};

/// The one that a worker has last connected to. It stays connected when a task has dropped its proxies, since the next task is likely to bring others: to
/// connect takes ten times as long as a call.
static LATEST: PerProcess<Option<Arc<Site>>> = PerProcess::new(|| None);

/// The servers that this process knows, by where they are and the numbers that they have given themselves.
static SITES: PerProcess<Sites> = PerProcess::new(BTreeMap::new);

type Sites = BTreeMap<(String, u64), Weak<Site>>;

/// A server, as this process knows it.
pub(super) struct Site {
    way: Way,
    /// Where it is, for messages.
    name: Arc<str>,
    /// The number that it has given itself.
    server: u64,
    home: Home,
    objects: Mutex<HashMap<ObjectId, Known>>,
    /// From the first call on.
    connection: OnceLock<Connection>,
    /// Held by whoever makes it, and blocks for that.
    connecting: Mutex<()>,
    /// What all await together who need it.
    dialing: Mutex<Option<WeakShared<Dialing>>>,
}

type Dialing = BoxFuture<'static, Result<(), ManagerError>>;

/// A connection that is being made. Whichever of those who await it is polled goes on with it, and when all of them are dropped, so is what has been made of it.
pub(super) type Connecting = Shared<Dialing>;

/// How a server is reached.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) address: Address,
    pub(super) key: Key,
    /// In place of the address.
    #[cfg(all(test, not(loom)))]
    pub(super) dial: Option<Dial>,
}

#[cfg(all(test, not(loom)))]
pub(super) type Dial = Arc<dyn Fn() -> std::io::Result<Line> + Send + Sync>;

/// A server, on its way to another process.
#[derive(Serialize, Deserialize)]
pub(super) struct Travelling {
    address: Address,
    key: TravellingKey,
    server: u64,
}

/// An object of which there are proxies in this process.
#[derive(Default)]
struct Known {
    object: Weak<Object>,
    /// How many grants have come.
    grants: u64,
}

impl Site {
    fn new(way: Way, server: u64) -> Self {
        Self {
            name: way.name(),
            way,
            server,
            home: Home::here(),
            objects: Mutex::default(),
            connection: OnceLock::new(),
            connecting: Mutex::default(),
            dialing: Mutex::default(),
        }
    }

    /// The server that is reached so, and is connected. One that is known already has a connection for all.
    pub(super) async fn open(
        way: Way,
        limit: Duration,
        pace: Pace,
    ) -> Result<Arc<Self>, ManagerError> {
        let (line, welcome) = greeting::greet(&way, None, limit, pace).await?;
        let site = Self::known(way, welcome.server);
        if site.connection.get().is_some() {
            return Ok(site);
        }
        let connection = Connection::new(Arc::downgrade(&site), line, welcome)
            .map_err(|error| site.lost(Some(Arc::new(error))))?;
        // Of two that come at once, one hangs up.
        let _ = site.connection.set(connection);
        Ok(site)
    }

    /// The server of this number that is reached so: the one that this process knows, or a new one. It need not be there any more.
    fn known(way: Way, server: u64) -> Arc<Self> {
        let mut sites = SITES.lock();
        let place = (way.name().to_string(), server);
        let known = sites.get(&place).and_then(Weak::upgrade);
        if let Some(site) = known
            && site.serves(&way)
        {
            return site;
        }
        sites.retain(|_, site| site.strong_count() > 0);
        let site = Arc::new(Self::new(way, server));
        sites.insert(place, Arc::downgrade(&site));
        site
    }

    /// Whether it is not lost, and has this key.
    fn serves(&self, way: &Way) -> bool {
        self.way.key == way.key && !self.is_lost()
    }

    /// Whether it has been connected, and is no more.
    pub(super) fn is_lost(&self) -> bool {
        self.connected().is_some_and(Connection::is_lost)
    }

    /// What another process has to know to reach it.
    pub(super) fn travelling(&self) -> Travelling {
        Travelling {
            address: self.way.address.clone(),
            key: (&self.way.key).into(),
            server: self.server,
        }
    }

    pub(super) fn way(&self) -> &Way {
        &self.way
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The number that the server has given itself.
    pub(super) fn server(&self) -> u64 {
        self.server
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }

    /// Its connection, which is made now if there is none.
    pub(super) fn connection(self: &Arc<Self>) -> Result<&Connection, ManagerError> {
        if self.home.is_elsewhere() {
            return Err(ManagerError::Forked);
        }
        match self.connection.get() {
            Some(connection) => Ok(connection),
            None => self.connect(),
        }
    }

    #[cold]
    fn connect(self: &Arc<Self>) -> Result<&Connection, ManagerError> {
        let _connecting = lock(&self.connecting);
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        at_once(self.dial(Pace::Blocks))
    }

    /// Connects, for who awaits that; with all others who do.
    pub(super) fn connecting(self: &Arc<Self>) -> Connecting {
        let mut dialing = lock(&self.dialing);
        // One that has come to its end has failed, or was not in time.
        if let Some(known) = dialing.as_ref().and_then(WeakShared::upgrade)
            && known.peek().is_none()
        {
            return known;
        }
        let site = self.clone();
        let dial = async move { site.dial(Pace::Awaits).await.map(drop) };
        let connecting = dial.boxed().shared();
        *dialing = connecting.downgrade();
        connecting
    }

    /// Whether a call need not wait for a connection: there is one, or can be none.
    pub(super) fn is_settled(&self) -> bool {
        self.connection.get().is_some() || self.home.is_elsewhere()
    }

    async fn dial(self: &Arc<Self>, pace: Pace) -> Result<&Connection, ManagerError> {
        let (line, welcome) = greeting::greet(&self.way, None, CONNECT_TIME, pace).await?;
        if welcome.server != self.server {
            // Another one has its address by now.
            return Err(self.lost(None));
        }
        let connection = Connection::new(Arc::downgrade(self), line, welcome)
            .map_err(|error| self.lost(Some(Arc::new(error))))?;
        // Of two that come at once, one hangs up.
        let connection = self.connection.get_or_init(|| connection);
        if in_worker() {
            let latest = LATEST.lock().replace(self.clone());
            // Not under the lock: it may be the last.
            drop(latest);
        }
        Ok(connection)
    }

    /// Its connection, if it has been made.
    pub(super) fn connected(&self) -> Option<&Connection> {
        self.connection.get()
    }

    /// The same, unless this is a process that was forked off.
    pub(super) fn connected_here(&self) -> Option<&Connection> {
        self.connected().filter(|_| !self.home.is_elsewhere())
    }

    /// That it is lost.
    pub(super) fn lost(&self, source: Lost) -> ManagerError {
        ManagerError::Lost {
            address: self.name.clone(),
            source,
        }
    }

    /// The server itself, as an object.
    pub(super) fn root(self: &Arc<Self>) -> Remote {
        self.remote(ObjectId::ROOT, 0)
    }

    /// An object that an answer has granted.
    pub(super) fn granted(self: &Arc<Self>, id: ObjectId) -> Remote {
        self.remote(id, 1)
    }

    /// An object that is kept by a descriptor which came with it.
    pub(super) fn held(self: &Arc<Self>, id: ObjectId, held: Handle) -> Remote {
        let remote = self.remote(id, 0);
        lock(&remote.0.held).get_or_insert(held);
        remote
    }

    fn remote(self: &Arc<Self>, id: ObjectId, grants: u64) -> Remote {
        let mut objects = lock(&self.objects);
        let known = objects.entry(id).or_default();
        known.grants += grants;
        if let Some(object) = known.object.upgrade() {
            return Remote(object);
        }
        let object = Arc::new(Object {
            site: self.clone(),
            id,
            held: Mutex::new(None),
        });
        known.object = Arc::downgrade(&object);
        Remote(object)
    }

    /// The last proxy of an object is being dropped.
    pub(super) fn let_go(&self, object: &Object) {
        if self.home.is_elsewhere() {
            return;
        }
        let grants = {
            let mut objects = lock(&self.objects);
            let known = objects.get(&object.id);
            match known.map(|known| (std::ptr::eq(known.object.as_ptr(), object), known.grants)) {
                Some((true, grants)) => {
                    objects.remove(&object.id);
                    grants
                }
                // Another proxy has come since.
                _ => return,
            }
        };
        if grants > 0
            && let Some(connection) = self.connection.get()
        {
            connection.release(object.id, grants);
        }
    }

    /// A connection that does nothing but hold an object.
    pub(super) fn hold(&self, id: ObjectId) -> Result<Handle, ManagerError> {
        let (line, welcome) = at_once(greeting::greet(
            &self.way,
            hold_request(id),
            CONNECT_TIME,
            Pace::Blocks,
        ))?;
        if welcome.server != self.server {
            return Err(self.lost(None));
        }
        Ok(line.socket)
    }

    /// How many objects somebody here has a proxy of.
    #[cfg(all(test, not(loom)))]
    pub(super) fn objects(&self) -> usize {
        lock(&self.objects).len()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.home.is_elsewhere()
            && let Some(connection) = self.connection.get_mut()
        {
            connection.forget();
        }
    }
}

impl Travelling {
    pub(super) fn site(self) -> Arc<Site> {
        Site::known(Way::new(self.address, self.key.into()), self.server)
    }
}

impl Way {
    pub(super) fn new(address: Address, key: Key) -> Self {
        Self {
            address,
            key,
            #[cfg(all(test, not(loom)))]
            dial: None,
        }
    }

    fn name(&self) -> Arc<str> {
        self.address.to_string().into()
    }

    /// A new connection, on which nothing has been said.
    pub(super) async fn dial(&self, limit: Duration, pace: Pace) -> Result<Line, ManagerError> {
        #[cfg(all(test, not(loom)))]
        if let Some(dial) = &self.dial {
            return dial().map_err(|error| self.lost(error));
        }
        let connected = secure::connect(&self.address, &self.key, limit, pace).await;
        connected.map_err(|error| match error {
            // Whoever was told of it has come too late.
            ConnectError::NobodyThere { source, .. } => ManagerError::Lost {
                address: self.name(),
                source: Some(source),
            },
            error => ManagerError::Connect(error),
        })
    }

    /// That nobody is there who is a server.
    pub(super) fn lost(&self, source: std::io::Error) -> ManagerError {
        ManagerError::Lost {
            address: self.name(),
            source: Some(Arc::new(source)),
        }
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("at", &self.name)
            .finish_non_exhaustive()
    }
}
