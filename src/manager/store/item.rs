//! Users' values as they are kept.

use std::cell::RefCell;
use std::collections::HashMap;

use serde::{Serialize, Serializer};

use super::{Ref, Refs};
use crate::manager::protocol::{Fault, ObjectId, Packed};

/// A user's value, encoded, with references to the objects that proxies in it stand for. Its bytes are compared where values are
/// compared, and nothing else is known of it.
///
/// It serializes as a [`Packed`]. Within an answer, the objects that it refers to are granted along with it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) bytes: Vec<u8>,
    pub(super) refs: Refs,
}

impl Item {
    /// The objects that it refers to.
    pub(crate) fn refs(&self) -> Vec<ObjectId> {
        self.refs.ids().collect()
    }

    /// Its bytes, and what keeps the objects that it refers to.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Refs) {
        (self.bytes, self.refs)
    }
}

/// One that somebody else has the parts of.
#[derive(Clone, Copy)]
pub(crate) struct ItemRef<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) refs: &'a Refs,
}

thread_local! {
    /// What the answer that is being encoded refers to.
    static GRANTED: RefCell<Option<Refs>> = const { RefCell::new(None) };
}

/// Encodes something, and says what the items in it refer to.
pub(super) fn collect_grants<R>(encode: impl FnOnce() -> R) -> (R, Refs) {
    GRANTED.set(Some(Refs::default()));
    let encoded = encode();
    (encoded, GRANTED.take().unwrap_or_default())
}

/// What a value refers to that was made of several, for each of them to keep what it refers to itself.
pub(crate) struct Parts(HashMap<ObjectId, Ref>);

impl Item {
    pub(crate) fn parts(&self) -> Parts {
        let refs = self.refs.0.iter();
        Parts(refs.map(|of| (of.id(), of.clone())).collect())
    }
}

impl Parts {
    /// One of the values. It has to refer to nothing else than the whole does.
    pub(crate) fn keep(&self, packed: Packed) -> Result<Item, Fault> {
        let refs: Option<Refs> = packed
            .refs
            .iter()
            .map(|id| self.0.get(id).cloned())
            .collect();
        Ok(Item {
            bytes: packed.bytes,
            refs: refs.ok_or(Fault::NoObject)?,
        })
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Item {}

impl std::hash::Hash for Item {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (bytes, refs) = (&*self.bytes, &self.refs);
        ItemRef { bytes, refs }.serialize(serializer)
    }
}

impl Serialize for ItemRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// [`Packed`], borrowed.
        #[derive(Serialize)]
        struct Borrowed<'a> {
            #[serde(with = "serde_bytes")]
            bytes: &'a [u8],
            refs: Vec<ObjectId>,
        }
        // The same, field by field.
        let _: fn(Packed) = |Packed { bytes: _, refs: _ }| ();
        GRANTED.with_borrow_mut(|granted| {
            if let Some(granted) = granted {
                self.refs.0.iter().for_each(|of| granted.push(of.clone()));
            }
        });
        let refs = self.refs.ids().collect();
        Borrowed {
            bytes: self.bytes,
            refs,
        }
        .serialize(serializer)
    }
}
