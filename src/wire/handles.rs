//! Descriptors that travel beside a payload.
//!
//! A value that owns a descriptor (an end of a pipe, a piece of shared memory) encodes as the place
//! of that descriptor among those of its payload. Whoever encodes the payload [collects] them, and
//! whoever decodes it [provides] them; anywhere else such a value refuses to be encoded or decoded,
//! since a number means nothing in another process.
//!
//! The protocol, on each thread: `collect` and `provide` open a scope around the encoding or
//! decoding of one payload, and leave the one around it as it was, also after a panic: a
//! `Serialize` of a user's may submit a task of its own. A payload can be decoded several times,
//! and each time its values share the descriptors.
//!
//! [collects]: collect
//! [provides]: provide

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::codec::refusal;

/// The most descriptors that one payload can have: what a frame's header can say, or what the control sockets of this system
/// let through at once, if that is less.
static MAX_HANDLES: AtomicUsize = AtomicUsize::new(u16::MAX as usize);

/// All messages beside a frame have to find room before any of them is read: no more descriptors are collected than that.
pub(crate) fn allow_at_most(count: usize) {
    MAX_HANDLES.fetch_min(count, Ordering::Relaxed);
}

/// A descriptor on its way. It is open as long as this is there, and then what stands behind it is dropped.
#[derive(Debug)]
pub(crate) struct Carried {
    // In this order: what stands behind it finds it closed.
    descriptor: OwnedFd,
    behind: OnceLock<Behind>,
}

/// Something that is to outlive a descriptor.
struct Behind(Box<dyn Any + Send + Sync + UnwindSafe + RefUnwindSafe>);

impl fmt::Debug for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something")
    }
}

impl From<OwnedFd> for Carried {
    fn from(descriptor: OwnedFd) -> Self {
        Self {
            descriptor,
            behind: OnceLock::new(),
        }
    }
}

impl Carried {
    /// One that came, and has had something behind it ever since.
    pub(crate) fn keeping(
        descriptor: OwnedFd,
        behind: impl Any + Send + Sync + UnwindSafe + RefUnwindSafe,
    ) -> Self {
        Self {
            descriptor,
            behind: OnceLock::from(Behind(Box::new(behind))),
        }
    }
}

impl AsFd for Carried {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The descriptors beside one payload, in the order of their places. Cheap to clone, and as large as
/// a pointer.
#[derive(Clone, Debug, Default)]
// `pub` because what a registered function is asked names it; nothing outside can.
pub struct Handles(Option<Arc<Came>>);

/// What stands at the places that a payload names.
#[derive(Debug, Default)]
struct Came {
    descriptors: Vec<Arc<Carried>>,
    /// In place of descriptors, for values that know what to do with it.
    instead: Vec<Behind>,
}

impl Handles {
    /// Of descriptors that came beside a payload.
    pub(crate) fn new(descriptors: Vec<Arc<Carried>>) -> Self {
        Self::of(Came {
            descriptors,
            ..Came::default()
        })
    }

    /// Of what stands for descriptors that did not travel: found by [`instead_at`].
    pub(crate) fn instead<T>(these: Vec<T>) -> Self
    where
        T: Any + Send + Sync + UnwindSafe + RefUnwindSafe,
    {
        let boxed = these.into_iter().map(|this| Behind(Box::new(this)));
        Self::of(Came {
            instead: boxed.collect(),
            ..Came::default()
        })
    }

    fn of(came: Came) -> Self {
        let is_empty = came.descriptors.is_empty() && came.instead.is_empty();
        Self((!is_empty).then(|| Arc::new(came)))
    }

    pub(crate) const fn none() -> Self {
        Self(None)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u16 {
        // No more than that are ever put together.
        self.as_slice().len() as u16
    }

    pub(crate) fn as_slice(&self) -> &[Arc<Carried>] {
        self.0.as_ref().map_or(&[], |came| &came.descriptors)
    }
}

// Nearly all payloads have none: a scope costs them two counters. Whatever needs a destructor is touched only by a value that
// has a descriptor.
thread_local! {
    /// How many payloads are being encoded, one within the other.
    static ENCODING: Cell<u32> = const { Cell::new(0) };
    /// The innermost of them that has descriptors; 0 if none has.
    static FOUND_IN: Cell<u32> = const { Cell::new(0) };
    /// Those, each with the number of its payload, in ascending order.
    static FOUND: RefCell<Vec<(u32, Arc<Carried>)>> = const { RefCell::new(Vec::new()) };
    /// How many payloads are being decoded, one within the other.
    static DECODING: Cell<u32> = const { Cell::new(0) };
    /// What came beside those that have something beside them, each with the number of its payload.
    static CAME: RefCell<Vec<(u32, Handles)>> = const { RefCell::new(Vec::new()) };
}

/// A payload that is being encoded, until dropped.
struct Encoding(u32);

impl Encoding {
    #[inline]
    fn begin() -> Self {
        let number = ENCODING.get() + 1;
        ENCODING.set(number);
        Self(number)
    }

    /// The descriptors of its values so far, which are taken out.
    #[inline]
    fn take(&self) -> Handles {
        match FOUND_IN.get() == self.0 {
            true => self.take_found(),
            false => Handles::default(),
        }
    }

    #[cold]
    fn take_found(&self) -> Handles {
        let own = FOUND.with_borrow_mut(|found| {
            let first = found.partition_point(|(number, _)| *number < self.0);
            let own = found.split_off(first);
            FOUND_IN.set(found.last().map_or(0, |(number, _)| *number));
            own
        });
        Handles::new(own.into_iter().map(|(_, descriptor)| descriptor).collect())
    }
}

impl Drop for Encoding {
    #[inline]
    fn drop(&mut self) {
        drop(self.take());
        ENCODING.set(self.0 - 1);
    }
}

/// A payload that is being decoded, until dropped.
struct Decoding {
    number: u32,
    has_some: bool,
}

impl Decoding {
    #[inline]
    fn begin(handles: &Handles) -> Self {
        let number = DECODING.get() + 1;
        let has_some = !handles.is_empty();
        if has_some {
            CAME.with_borrow_mut(|came| came.push((number, handles.clone())));
        }
        DECODING.set(number);
        Self { number, has_some }
    }
}

impl Drop for Decoding {
    #[inline]
    fn drop(&mut self) {
        DECODING.set(self.number - 1);
        if self.has_some {
            // Dropped when it is not borrowed any more.
            let _own = CAME.with_borrow_mut(Vec::pop);
        }
    }
}

/// Encodes one payload with `encode`, and gives back the descriptors of its values.
#[inline]
pub(crate) fn collect<R>(encode: impl FnOnce() -> R) -> (R, Handles) {
    let scope = Encoding::begin();
    let encoded = encode();
    let handles = scope.take();
    (encoded, handles)
}

/// Decodes one payload with `decode`, whose values take their descriptors from `handles`.
#[inline]
pub(crate) fn provide<R>(handles: &Handles, decode: impl FnOnce() -> R) -> R {
    let scope = Decoding::begin(handles);
    let decoded = decode();
    drop(scope);
    decoded
}

/// The number of the payload that is being encoded on this thread; 0 is none. The one within another has a higher number.
pub(crate) fn encoding() -> u32 {
    ENCODING.get()
}

/// The same of the payload that is being decoded.
pub(crate) fn decoding() -> u32 {
    DECODING.get()
}

/// The place of a descriptor among those of the payload that is being encoded.
fn place_of(descriptor: &Arc<Carried>) -> Result<u16, &'static str> {
    let number = ENCODING.get();
    if number == 0 {
        return Err(
            "it holds a descriptor, which travels only as an argument or result of a task, or through a `Connection`",
        );
    }
    FOUND.with_borrow_mut(|found| {
        // From the end: those of this payload are there, and a value that shares a descriptor most often stands near the other.
        let known = found
            .iter()
            .rposition(|(of, known)| *of == number && Arc::ptr_eq(known, descriptor));
        let first = found.partition_point(|(of, _)| *of < number);
        let place = known.unwrap_or(found.len()) - first;
        if place >= most() {
            return Err(
                "more descriptors travel at once than the 65535 that a frame can have, or than a socket holds (net.core.wmem_max)",
            );
        }
        if known.is_none() {
            found.push((number, descriptor.clone()));
            FOUND_IN.set(number);
        }
        Ok(place as u16)
    })
}

/// The descriptor at a place beside the payload that is being decoded.
fn descriptor_at(place: u16) -> Result<Arc<Carried>, &'static str> {
    let number = DECODING.get();
    if number == 0 {
        return Err("it holds a descriptor, and none can come here");
    }
    let found = CAME.with_borrow(|came| {
        let (_, handles) = came.last().filter(|(of, _)| *of == number)?;
        handles.as_slice().get(usize::from(place)).cloned()
    });
    found.ok_or("a descriptor was named that did not come along")
}

/// Within another payload, beside which they travel then.
impl Serialize for Handles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.as_slice().iter().cloned().map(Handle))
    }
}

impl<'de> Deserialize<'de> for Handles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let handles = Vec::<Handle>::deserialize(deserializer)?;
        Ok(Self::new(
            handles.into_iter().map(|handle| handle.0).collect(),
        ))
    }
}

/// What stands at a place in place of a descriptor, beside the payload that is being decoded, if that is of this type.
pub(crate) fn instead_at<T: Any, R>(place: u16, take: impl FnOnce(&T) -> R) -> Option<R> {
    let number = DECODING.get();
    CAME.with_borrow(|came| {
        let (_, handles) = came.last().filter(|(of, _)| *of == number)?;
        let instead = handles.0.as_ref()?.instead.get(usize::from(place))?;
        let instead: &dyn Any = &*instead.0;
        instead.downcast_ref::<T>().map(take)
    })
}

/// How many descriptors may be beside one payload.
pub(crate) fn most() -> usize {
    MAX_HANDLES.load(Ordering::Relaxed)
}

/// A descriptor as a serde value: it encodes as its place beside the payload. The same descriptor
/// ([`Arc::ptr_eq`]) travels once, however many values of a payload share it.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Carried>);

impl Handle {
    /// The descriptor, which is duplicated if others share it.
    pub(crate) fn into_owned(self) -> std::io::Result<OwnedFd> {
        match Arc::try_unwrap(self.0) {
            Ok(carried) => Ok(carried.descriptor),
            Err(shared) => shared.as_fd().try_clone_to_owned(),
        }
    }

    /// Has this outlive the descriptor, wherever in this process that is on its way. Only the first one does.
    pub(crate) fn keep(&self, behind: impl Any + Send + Sync + UnwindSafe + RefUnwindSafe) {
        // Another one may stand there since the descriptor came to this process: it does for all.
        let _ = self.0.behind.set(Behind(Box::new(behind)));
    }

    /// What stands behind it, if that is of this type.
    pub(crate) fn behind<B: Any>(&self) -> Option<&B> {
        let behind: &dyn Any = &*self.0.behind.get()?.0;
        behind.downcast_ref()
    }

    /// The one at a place beside the payload that is being decoded.
    pub(crate) fn at(place: u16) -> Result<Self, &'static str> {
        descriptor_at(place).map(Self)
    }

    /// Whether both are the same descriptor of this process.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "for values that share a descriptor")
    )]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl From<OwnedFd> for Handle {
    fn from(descriptor: OwnedFd) -> Self {
        Self(Arc::new(descriptor.into()))
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
        let place = place_of(&self.0).map_err(|why| ser::Error::custom(refusal(why)))?;
        place.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let place = u16::deserialize(deserializer)?;
        Self::at(place).map_err(|why| de::Error::custom(refusal(why)))
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
        let refused = encode(&null(), &mut bytes).unwrap_err().to_string();
        assert!(refused.contains("descriptor"), "{refused}");
        assert!(bytes.is_empty());
        assert!(
            serde_json::to_string(&null())
                .unwrap_err()
                .to_string()
                .contains("descriptor")
        );
        let refused = decode::<Handle>(&[0]).unwrap_err().to_string();
        assert!(refused.contains("none can come here"), "{refused}");
    }

    #[test]
    fn a_payload_travels_within_another_one() {
        let (inner, outer) = (null(), null());
        let (bytes, handles) = round_trip(&vec![inner.clone(), inner.clone()]);
        let mut whole = Vec::new();
        let value = (outer.clone(), bytes, handles);
        let (encoded, beside) = collect(|| encode(&value, &mut whole));
        encoded.unwrap();
        assert_eq!(beside.len(), 2);
        let (first, bytes, handles): (Handle, Vec<u8>, Handles) =
            provide(&beside, || decode(&whole)).unwrap();
        assert!(first.is_same(&outer));
        let came: Vec<Handle> = provide(&handles, || decode(&bytes)).unwrap();
        assert!(came.iter().all(|handle| handle.is_same(&inner)));
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
