//! What a value may refer to while it is packed or unpacked.
//!
//! Within a value that goes to, or comes from, a manager, a proxy is only the number of its object. Whose object that is, and whether the server
//! has been told to keep it, is known here: by the innermost scope of this thread, if it is one for the payload that is being encoded (decoded) just
//! now. The numbers of payloads ([`handles::encoding`], [`handles::decoding`]) tell one within the other apart: a `Serialize` of a user's may submit a
//! task of its own, whose proxies are no part of the value around it. Scopes leave those around them as they were, also after a panic.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::remote::{Remote, not_encoded};
use super::site::Site;
use crate::manager::ManagerError;
use crate::manager::protocol::{ObjectId, Packed};
use crate::wire::{self, CodecError, Handles, handles};

thread_local! {
    static PACKING: RefCell<Vec<Packing>> = const { RefCell::new(Vec::new()) };
    static READING: RefCell<Vec<Reading>> = const { RefCell::new(Vec::new()) };
}

/// A value that is being packed.
struct Packing {
    /// Of the payload.
    number: u32,
    site: Arc<Site>,
    /// The objects in it, each with its place among them.
    refs: BTreeMap<ObjectId, usize>,
    /// Where it goes to workers of the server's: what is lent to them. Elsewhere `None`.
    lent: Option<Vec<Remote>>,
}

/// What a proxy is in the value that is being packed.
pub(super) enum InPacked {
    /// The number of its object.
    Number,
    /// All that another process has to know; in place of the descriptor that keeps the object stands this.
    Lent(u16),
}

/// An answer that is being read.
struct Reading {
    granted: BTreeMap<ObjectId, Remote>,
    /// The number of the payload that is being unpacked from it; 0 is none.
    unpacking: u32,
}

/// Ends the innermost scope when dropped.
struct Packs;
struct Reads;

/// Goes back, when dropped, to what was being unpacked before.
struct Unpacks(u32);

impl Drop for Packs {
    fn drop(&mut self) {
        // Dropped when it is not borrowed any more.
        let _ended = PACKING.try_with(|packing| packing.borrow_mut().pop());
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        let _ended = READING.try_with(|reading| reading.borrow_mut().pop());
    }
}

impl Drop for Unpacks {
    fn drop(&mut self) {
        mark(self.0);
    }
}

impl Remote {
    /// Encodes a value for the server that has this object. Proxies of its objects travel in it by their numbers; those of others are refused, and
    /// descriptors as well.
    ///
    /// The value is to be kept until the request with it has been made: it may hold the last proxies of the objects in it.
    pub(crate) fn pack<T: Serialize + 'static>(&self, value: &T) -> Result<Packed, ManagerError> {
        self.pack_with::<T>(|bytes| wire::encode(value, bytes))
    }

    /// The same of a value of any type.
    pub(crate) fn pack_borrowed<T: Serialize + ?Sized>(
        &self,
        value: &T,
    ) -> Result<Packed, ManagerError> {
        self.pack_with::<T>(|bytes| wire::encode_borrowed(value, bytes))
    }

    fn pack_with<T: ?Sized>(
        &self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
    ) -> Result<Packed, ManagerError> {
        let mut bytes = Vec::new();
        let (encoded, refs, handles) = pack_by(self, || encode(&mut bytes));
        encoded.map_err(not_encoded::<T>)?;
        if !handles.is_empty() {
            return Err(not_encoded::<T>(CodecError::new(
                "it holds a descriptor, which a manager cannot keep",
            )));
        }
        Ok(Packed { bytes, refs })
    }
}

/// Runs what encodes a value for the server that has this object. Says which of its objects are in the value, and which descriptors.
pub(super) fn pack_by<R>(
    remote: &Remote,
    encode: impl FnOnce() -> R,
) -> (R, Vec<ObjectId>, Handles) {
    let (encoded, scope, handles) = within(remote, None, encode);
    (
        encoded,
        scope
            .map(|scope| scope.refs.into_keys().collect())
            .unwrap_or_default(),
        handles,
    )
}

/// Runs what encodes a value for the workers of the server that has this object. Says which of its objects are in the value, in the order of their places, and which descriptors.
pub(crate) fn lend_by<R>(remote: &Remote, encode: impl FnOnce() -> R) -> (R, Vec<Remote>, Handles) {
    let (encoded, scope, handles) = within(remote, Some(Vec::new()), encode);
    let lent = scope.and_then(|scope| scope.lent);
    (encoded, lent.unwrap_or_default(), handles)
}

fn within<R>(
    remote: &Remote,
    lent: Option<Vec<Remote>>,
    encode: impl FnOnce() -> R,
) -> (R, Option<Packing>, Handles) {
    let ((encoded, scope), handles) = handles::collect(|| {
        let scope = Packing {
            number: handles::encoding(),
            site: remote.site().clone(),
            refs: BTreeMap::new(),
            lent,
        };
        // On a thread that is ending this may be gone: then a proxy in the value is refused.
        let packs = PACKING
            .try_with(|packing| packing.borrow_mut().push(scope))
            .map(|()| Packs);
        let encoded = encode();
        let scope = packs.is_ok().then(|| {
            std::mem::forget(packs);
            PACKING.try_with(|packing| packing.borrow_mut().pop())
        });
        (encoded, scope.and_then(|scope| scope.ok().flatten()))
    });
    (encoded, scope, handles)
}

/// Notes a proxy in the value that is being packed. `None`: it is no part of one.
pub(super) fn pack(remote: &Remote) -> Option<Result<InPacked, &'static str>> {
    let number = handles::encoding();
    let noted = PACKING.try_with(|packing| {
        let mut packing = packing.borrow_mut();
        let scope = packing.last_mut().filter(|scope| scope.number == number)?;
        if !scope.site.is_same(remote.site()) {
            return Some(Err(
                "it holds a proxy of another manager, which this one cannot keep",
            ));
        }
        if remote.id() == ObjectId::ROOT {
            return Some(Err("it holds a `Manager`, which a manager cannot keep"));
        }
        let next = scope.refs.len();
        let place = *scope.refs.entry(remote.id()).or_insert(next);
        let Some(lent) = &mut scope.lent else {
            return Some(Ok(InPacked::Number));
        };
        if place >= handles::most() {
            return Some(Err("it holds more proxies than descriptors travel at once"));
        }
        if place == lent.len() {
            lent.push(remote.clone());
        }
        Some(Ok(InPacked::Lent(place as u16)))
    });
    noted.ok().flatten()
}

/// Reads an answer, with what was granted along with it at hand.
pub(super) fn read<R>(granted: Vec<Remote>, read: impl FnOnce() -> R) -> R {
    let scope = Reading {
        granted: granted.into_iter().map(|of| (of.id(), of)).collect(),
        unpacking: 0,
    };
    // On a thread that is ending this may be gone: then there is nothing at hand, which is said of what is read.
    let _reads = READING
        .try_with(|reading| reading.borrow_mut().push(scope))
        .map(|()| Reads);
    read()
}

/// An object that the answer names which is being read.
pub(crate) fn granted(id: ObjectId) -> Result<Remote, ManagerError> {
    let found = READING.try_with(|reading| {
        let reading = reading.borrow();
        let scope = reading.last()?;
        scope.granted.get(&id).cloned()
    });
    found.ok().flatten().ok_or(ManagerError::NoObject)
}

/// The value that a server has kept. Only within the `read` of [`Remote::call`], whose answer it came with.
pub(crate) fn unpack<T: DeserializeOwned + 'static>(packed: &Packed) -> Result<T, ManagerError> {
    unpack_by(|| wire::decode(&packed.bytes)).map_err(not_encoded::<T>)
}

/// Runs what decodes such a value.
pub(super) fn unpack_by<R>(decode: impl FnOnce() -> R) -> R {
    handles::provide(&Handles::default(), || {
        let _unpacks = Unpacks(mark(handles::decoding()));
        decode()
    })
}

/// Notes which payload is unpacked from the answer that is being read, and says which one was.
fn mark(number: u32) -> u32 {
    let was = READING.try_with(|reading| {
        let mut reading = reading.borrow_mut();
        let scope = reading.last_mut();
        scope.map_or(0, |scope| std::mem::replace(&mut scope.unpacking, number))
    });
    was.unwrap_or(0)
}

/// The object that a number stands for in the value that is being unpacked.
pub(super) fn unpacked(id: ObjectId) -> Result<Remote, &'static str> {
    let number = handles::decoding();
    let found = READING.try_with(|reading| {
        let reading = reading.borrow();
        let scope = reading.last()?;
        if scope.unpacking != number || number == 0 {
            return None;
        }
        Some(scope.granted.get(&id).cloned().ok_or(id))
    });
    match found.ok().flatten() {
        Some(Ok(remote)) => Ok(remote),
        Some(Err(_)) => Err("an object was named that did not come along"),
        None => Err("it holds a proxy as managers keep it, and none can come here"),
    }
}
