//! Who keeps an object alive.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::manager::protocol::ObjectId;
use crate::primitives::plain::{Mutex, lock};

/// One reason for an object to be there: while there is one, it is. Cheap to clone; each clone is one more.
#[derive(Clone, Debug)]
pub(crate) struct Ref(Arc<Anchor>);

/// Several of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refs(pub(super) Vec<Ref>);

#[derive(Debug)]
struct Anchor {
    id: ObjectId,
    released: Arc<Released>,
}

/// Objects whose last reference has gone, and that are still to be removed.
#[derive(Debug, Default)]
struct Released(Mutex<Vec<ObjectId>>);

/// Every object that is there.
#[derive(Debug, Default)]
pub(super) struct Directory {
    known: HashMap<ObjectId, Weak<Anchor>>,
    released: Arc<Released>,
}

impl Ref {
    pub(crate) fn id(&self) -> ObjectId {
        self.0.id
    }
}

impl Refs {
    pub(crate) fn ids(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.0.iter().map(Ref::id)
    }

    pub(crate) fn push(&mut self, reference: Ref) {
        self.0.push(reference);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Ref> + '_ {
        self.0.drain(..)
    }
}

impl IntoIterator for Refs {
    type Item = Ref;
    type IntoIter = std::vec::IntoIter<Ref>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<Ref> for Refs {
    fn from_iter<I: IntoIterator<Item = Ref>>(references: I) -> Self {
        Self(references.into_iter().collect())
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        lock(&self.released.0).push(self.id);
    }
}

impl Directory {
    /// Enters a new object; it stays while a clone of this is there.
    pub(super) fn enter(&mut self, id: ObjectId) -> Ref {
        let anchor = Arc::new(Anchor {
            id,
            released: self.released.clone(),
        });
        self.known.insert(id, Arc::downgrade(&anchor));
        Ref(anchor)
    }

    /// One more reference to an object that is there.
    pub(super) fn find(&self, id: ObjectId) -> Option<Ref> {
        self.known.get(&id)?.upgrade().map(Ref)
    }

    /// Those that have gone since this was last asked.
    pub(super) fn take_released(&mut self) -> Vec<ObjectId> {
        let released = std::mem::take(&mut *lock(&self.released.0));
        for id in &released {
            self.known.remove(id);
        }
        released
    }
}
