//! Descriptors that travel beside a payload.
//!
//! A value that owns a descriptor (an end of a pipe, a piece of shared memory) encodes as the place
//! of that descriptor among those of its payload. Whoever encodes the payload [collects] them, and
//! whoever decodes it [provides] them; anywhere else such a value refuses to be encoded or decoded,
//! since a number means nothing in another process.
//!
//! The protocol, on each thread: `collect` and `provide` open a scope around the encoding or
//! decoding of one payload, and put the scope around it back at their end, also after a panic: a
//! `Serialize` of a user's may submit a task of its own. A payload can be decoded several times,
//! and each time its values share the descriptors.
//!
//! [collects]: collect
//! [provides]: provide

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::codec::refusal;

/// The most descriptors that one payload can have: what a frame's header can say.
pub(crate) const MAX_HANDLES: usize = u16::MAX as usize;

/// The descriptors beside one payload, in the order of their places. Cheap to clone, and as large as
/// a pointer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handles(Option<Arc<Vec<Arc<OwnedFd>>>>);

impl Handles {
    /// Of descriptors that came beside a payload.
    pub(crate) fn new(descriptors: Vec<Arc<OwnedFd>>) -> Self {
        Self((!descriptors.is_empty()).then(|| Arc::new(descriptors)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn as_slice(&self) -> &[Arc<OwnedFd>] {
        self.0.as_ref().map_or(&[], |descriptors| descriptors)
    }
}

thread_local! {
    /// What the payload that is being encoded has so far; `None` outside of a scope.
    static OUTGOING: RefCell<Option<Vec<Arc<OwnedFd>>>> = const { RefCell::new(None) };
    /// What came beside the payload that is being decoded; `None` outside of a scope.
    static INCOMING: RefCell<Option<Handles>> = const { RefCell::new(None) };
}

/// Puts back on drop what was there before.
struct Outgoing(Option<Vec<Arc<OwnedFd>>>);

impl Drop for Outgoing {
    fn drop(&mut self) {
        drop(OUTGOING.replace(self.0.take()));
    }
}

struct Incoming(Option<Handles>);

impl Drop for Incoming {
    fn drop(&mut self) {
        drop(INCOMING.replace(self.0.take()));
    }
}

/// Encodes one payload with `encode`, and gives back the descriptors of its values.
#[inline]
pub(crate) fn collect<R>(encode: impl FnOnce() -> R) -> (R, Handles) {
    let scope = Outgoing(OUTGOING.replace(Some(Vec::new())));
    let encoded = encode();
    let collected = OUTGOING.replace(None).unwrap_or_default();
    drop(scope);
    (encoded, Handles::new(collected))
}

/// Decodes one payload with `decode`, whose values take their descriptors from `handles`.
#[inline]
pub(crate) fn provide<R>(handles: &Handles, decode: impl FnOnce() -> R) -> R {
    let scope = Incoming(INCOMING.replace(Some(handles.clone())));
    let decoded = decode();
    drop(scope);
    decoded
}

/// A descriptor as a serde value: it encodes as its place beside the payload. The same descriptor
/// ([`Arc::ptr_eq`]) travels once, however many values of a payload share it.
#[derive(Clone)]
pub(crate) struct Handle(Arc<OwnedFd>);

impl Handle {
    /// Whether both are the same descriptor of this process.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The descriptor itself, or a duplicate where others have it, too.
    pub(crate) fn try_into_owned(self) -> io::Result<OwnedFd> {
        Arc::try_unwrap(self.0).or_else(|shared| shared.try_clone())
    }
}

impl From<OwnedFd> for Handle {
    fn from(descriptor: OwnedFd) -> Self {
        Self(Arc::new(descriptor))
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let place = OUTGOING.with_borrow_mut(|outgoing| {
            let outgoing = outgoing.as_mut().ok_or(
                "it holds a descriptor, which travels only as an argument or result of a task, or through a `Connection`",
            )?;
            // From the end: a value that shares a descriptor most often stands near the other.
            let known = outgoing.iter().rposition(|known| Arc::ptr_eq(known, &self.0));
            let place = known.unwrap_or(outgoing.len());
            if place >= MAX_HANDLES {
                return Err("more than 65535 descriptors travel at once");
            }
            if known.is_none() {
                outgoing.push(self.0.clone());
            }
            Ok(place as u16)
        });
        place
            .map_err(|why| ser::Error::custom(refusal(why)))?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let place = u16::deserialize(deserializer)?;
        let handle = INCOMING.with_borrow(|incoming| {
            let incoming = incoming
                .as_ref()
                .ok_or("it holds a descriptor, and none can come here")?;
            let handle = incoming.as_slice().get(usize::from(place));
            handle
                .cloned()
                .ok_or("a descriptor was named that did not come along")
        });
        handle
            .map(Self)
            .map_err(|why| de::Error::custom(refusal(why)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{decode, encode};

    fn null() -> Handle {
        OwnedFd::from(std::fs::File::open("/dev/null").unwrap()).into()
    }

    fn round_trip(values: &Vec<Handle>) -> (Vec<u8>, Handles) {
        let mut bytes = Vec::new();
        let (encoded, handles) = collect(|| encode(values, &mut bytes));
        encoded.unwrap();
        (bytes, handles)
    }

    #[test]
    fn a_descriptor_travels_once_however_often_it_is_named() {
        let (a, b) = (null(), null());
        let (bytes, handles) = round_trip(&vec![a.clone(), b.clone(), a.clone()]);
        assert_eq!(handles.as_slice().len(), 2);
        let came: Vec<Handle> = provide(&handles, || decode(&bytes)).unwrap();
        assert!(came[0].is_same(&a) && came[1].is_same(&b) && came[2].is_same(&a));
    }

    #[test]
    fn a_descriptor_is_refused_where_it_cannot_travel() {
        let mut bytes = Vec::new();
        let refused = encode(&null(), &mut bytes).unwrap_err();
        assert!(refused.to_string().contains("a descriptor"), "{refused}");
        assert!(bytes.is_empty());
        assert!(
            serde_json::to_string(&null())
                .unwrap_err()
                .to_string()
                .contains("descriptor")
        );
        assert!(decode::<Handle>(&[0]).is_err());
    }

    #[test]
    fn a_place_without_a_descriptor_is_refused() {
        let (_, handles) = round_trip(&vec![null()]);
        let came: Result<Vec<Handle>, _> = provide(&handles, || decode(&[1, 1]));
        assert!(came.is_err());
    }

    #[test]
    fn a_scope_within_a_scope_leaves_the_outer_one_as_it_was() {
        let (outer, inner) = (null(), null());
        let mut bytes = Vec::new();
        let ((), handles) = collect(|| {
            encode(&outer, &mut bytes).unwrap();
            let (_, handles) = round_trip(&vec![inner.clone()]);
            assert_eq!(handles.as_slice().len(), 1);
            let panicked = std::panic::catch_unwind(|| collect(|| panic!("on purpose")));
            assert!(panicked.is_err());
            encode(&outer, &mut bytes).unwrap();
        });
        assert_eq!(handles.as_slice().len(), 1);
        assert_eq!(bytes, [0, 0]);
    }
}
