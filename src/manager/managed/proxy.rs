//! What generated proxies are made of.

use std::fmt;
use std::future::Future;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::words::{Making, ManagedOp};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager, Proxy, Remote, unpack};
use crate::manager::protocol::Packed;
use crate::manager::store::Kind;
use crate::wire;

/// What `#[procession::managed]` implements for the proxies it generates, and nobody else does.
pub trait ManagedProxy: Sized + Clone + Send + Sync + 'static {
    /// What the type is called on the wire.
    const TYPE_NAME: &'static str;

    /// A proxy of this object.
    fn of(managed: Managed) -> Self;

    /// The object.
    fn managed(&self) -> &Managed;
}

impl<P: ManagedProxy> Proxy for P {
    const KIND: Kind = Kind::Managed;

    fn of(remote: Remote) -> Self {
        ManagedProxy::of(Managed(remote))
    }

    fn type_name() -> String {
        P::TYPE_NAME.to_owned()
    }

    fn remote(&self) -> &Remote {
        &self.managed().0
    }
}

/// What a generated proxy is made of: an object of a user's own.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Managed(Remote);

impl Managed {
    /// Calls a method, and blocks until it has returned.
    pub fn call<A, R>(&self, method: &str, arguments: &A) -> Result<R, ManagerError>
    where
        A: Serialize + 'static,
        R: DeserializeOwned + 'static,
    {
        self.call_async(method, arguments).wait()
    }

    /// Calls a method.
    pub fn call_async<A, R>(&self, method: &str, arguments: &A) -> Calling<R>
    where
        A: Serialize + 'static,
        R: DeserializeOwned + 'static,
    {
        let arguments = match self.0.pack(arguments) {
            Ok(arguments) => arguments,
            Err(error) => return Calling::failed(error),
        };
        let method = method.to_owned();
        let call = ManagedOp::Call { method, arguments };
        self.0.call(&call, |returned: Packed| unpack(&returned))
    }

    /// Whether both are the same object.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }

    /// For `Debug`.
    pub fn describe(&self, proxy: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(proxy, f)
    }

    /// Answered when the constructor has returned; with the error that it returned, if that is one.
    fn ready<E: DeserializeOwned + 'static>(&self) -> Calling<Result<(), E>> {
        self.0.call(&ManagedOp::Ready, |error: Option<Packed>| {
            error.map_or(Ok(Ok(())), |error| unpack(&error).map(Err))
        })
    }
}

/// What a constructor that cannot fail returns as its error.
#[derive(Debug, Deserialize)]
enum Never {}

/// Has an object made by a constructor that cannot fail, and blocks until it is there.
pub fn new<P, A>(manager: &Manager, constructor: &str, arguments: &A) -> Result<P, ManagerError>
where
    P: ManagedProxy,
    A: Serialize + 'static,
{
    try_new(manager, constructor, arguments).map(sure)
}

/// The same, to be awaited. It is asked for at once.
pub fn new_async<P, A>(
    manager: &Manager,
    constructor: &str,
    arguments: &A,
) -> impl Future<Output = Result<P, ManagerError>> + Send + use<P, A>
where
    P: ManagedProxy,
    A: Serialize + 'static,
{
    let made = try_new_async(manager, constructor, arguments);
    async move { made.await.map(sure) }
}

/// Has an object made by a constructor that can fail, and blocks until it is there, or is not.
pub fn try_new<P, E, A>(
    manager: &Manager,
    constructor: &str,
    arguments: &A,
) -> Result<Result<P, E>, ManagerError>
where
    P: ManagedProxy,
    E: DeserializeOwned + 'static,
    A: Serialize + 'static,
{
    let proxy: P = create(manager, constructor, arguments).wait()?;
    let ready = proxy.managed().ready().wait()?;
    Ok(ready.map(|()| proxy))
}

/// The same, to be awaited. It is asked for at once.
pub fn try_new_async<P, E, A>(
    manager: &Manager,
    constructor: &str,
    arguments: &A,
) -> impl Future<Output = Result<Result<P, E>, ManagerError>> + use<P, E, A>
where
    P: ManagedProxy,
    E: DeserializeOwned + 'static,
    A: Serialize + 'static,
{
    let created = create::<P, A>(manager, constructor, arguments);
    async move {
        let proxy = created.await?;
        let ready = proxy.managed().ready().await?;
        Ok(ready.map(|()| proxy))
    }
}

fn create<P, A>(manager: &Manager, constructor: &str, arguments: &A) -> Calling<P>
where
    P: ManagedProxy,
    A: Serialize + 'static,
{
    match init(manager, constructor, arguments) {
        Ok(init) => manager.create(init),
        Err(error) => Calling::failed(error),
    }
}

/// The constructor, and behind it its arguments.
fn init<A>(manager: &Manager, constructor: &str, arguments: &A) -> Result<Packed, ManagerError>
where
    A: Serialize + 'static,
{
    let arguments = manager.pack(arguments)?;
    let making = Making {
        constructor: constructor.to_owned(),
    };
    let mut bytes = Vec::with_capacity(arguments.bytes.len() + constructor.len() + 1);
    wire::encode(&making, &mut bytes).map_err(|error| ManagerError::NotEncoded {
        type_name: std::any::type_name::<A>(),
        message: error.into_message(),
    })?;
    bytes.extend_from_slice(&arguments.bytes);
    Ok(Packed {
        bytes,
        refs: arguments.refs,
    })
}

fn sure<P>(made: Result<P, Never>) -> P {
    match made {
        Ok(proxy) => proxy,
        Err(never) => match never {},
    }
}
