//! Users' values to bytes and back, in the server, with the proxies in them.
//!
//! A proxy that a method is given, or returns, is one of this server's own objects. A method calls it as everybody else does, through a connection: of the
//! server's process to itself, which is made when the first proxy comes along. How that is done is known to the thread that runs the call:
//! the server's threads say [`reached_by`] when they begin. On other threads proxies are refused.

use std::cell::RefCell;
use std::sync::Arc;

use crate::manager::ManagerError;
use crate::manager::client::Manager;
use crate::manager::protocol::Packed;
use crate::manager::secure::{Address, Key};
use crate::manager::store::Item;
use crate::primitives::plain::{Mutex, lock};

/// How a server's own threads come by a client of it: the same one each time.
pub(crate) type Reach = Arc<dyn Fn() -> Result<Manager, ManagerError> + Send + Sync>;

thread_local! {
    static REACH: RefCell<Option<Reach>> = const { RefCell::new(None) };
}

/// Says how the server is reached whose work this thread does from now on.
pub(crate) fn reached_by(reach: Reach) {
    REACH.set(Some(reach));
}

/// How the server is reached that listens here. Nothing is done before it is needed; then there is one connection, and another one if that is lost, until this is dropped.
pub(crate) fn reach(address: &Address, key: &Key) -> Reach {
    let (address, key) = (address.clone(), key.clone());
    let known = Mutex::new(None::<Manager>);
    Arc::new(move || {
        let mut known = lock(&known);
        if let Some(manager) = known.as_ref().filter(|manager| !manager.is_lost()) {
            return Ok(manager.clone());
        }
        let manager = Manager::connect(&address, &key)?;
        let lost = known.replace(manager.clone());
        drop((known, lost));
        Ok(manager)
    })
}

/// A client of the server whose work this thread does.
fn server() -> Result<Manager, String> {
    let reach = REACH.with_borrow(Clone::clone);
    let reach =
        reach.ok_or("there are proxies in it, and the server cannot be reached from here")?;
    reach().map_err(|error| format!("there are proxies in it, and {error}"))
}

/// Decodes what stands behind the first `offset` bytes of an item, which keeps the objects that proxies in it stand for until those do.
pub(super) fn decode<T>(
    item: &Item,
    offset: usize,
    decode: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, String> {
    let bytes = item.bytes.get(offset..).unwrap_or_default();
    let refs = item.refs();
    match refs.is_empty() {
        true => decode(bytes),
        false => server()?.decode_inside(&refs, || decode(bytes)),
    }
}

/// Encodes what a method returned. The objects that proxies in it stand for are kept by those until the value is dropped.
pub(super) fn encode(
    encode: impl Fn(&mut Vec<u8>) -> Result<(), String>,
) -> Result<Packed, String> {
    let mut bytes = Vec::new();
    // Where there is a proxy in it, this fails.
    let Err(error) = encode(&mut bytes) else {
        let refs = Vec::new();
        return Ok(Packed { bytes, refs });
    };
    server().map_err(|_| error)?.encode_inside(encode)
}
