//! Users' values as they are kept.

use std::cell::RefCell;

use serde::{Serialize, Serializer};

use super::Refs;
use crate::manager::protocol::{ObjectId, Packed};

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
            bytes: &self.bytes,
            refs,
        }
        .serialize(serializer)
    }
}
