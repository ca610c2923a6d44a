//! Keys in the order in which they were inserted.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::manager::store::Item;

/// Keys with something for each. A key is found by its bytes, and is where it was first inserted, as in Python's dictionaries.
pub(super) struct Ordered<V> {
    slots: HashMap<Key, Slot<V>>,
    order: BTreeMap<u64, Key>,
    next: u64,
}

struct Slot<V> {
    place: u64,
    value: V,
}

#[derive(Clone)]
struct Key(Arc<Item>);

impl<V> Ordered<V> {
    /// Gives a key another value, and returns the one that it had. The key stays the one that it was, and where it was.
    pub(super) fn insert(&mut self, key: Item, value: V) -> Option<V> {
        if let Some(slot) = self.slots.get_mut(&*key.bytes) {
            return Some(std::mem::replace(&mut slot.value, value));
        }
        let key = Key(Arc::new(key));
        let place = self.next;
        self.next += 1;
        self.order.insert(place, key.clone());
        self.slots.insert(key, Slot { place, value });
        None
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&V> {
        self.slots.get(key).map(|slot| &slot.value)
    }

    pub(super) fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        self.slots.get_mut(key).map(|slot| &mut slot.value)
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.slots.contains_key(key)
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> Option<V> {
        let slot = self.slots.remove(key)?;
        self.order.remove(&slot.place);
        Some(slot.value)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn first(&self) -> Option<(&Item, &V)> {
        self.iter().next()
    }

    pub(super) fn last(&self) -> Option<(&Item, &V)> {
        self.iter().next_back()
    }

    /// In their order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Item, &V)> {
        let entry = |key: &'_ Key| self.slots.get_key_value(&*key.0.bytes);
        let entries = self.order.values().filter_map(entry);
        entries.map(|(key, slot)| (&*key.0, &slot.value))
    }
}

impl<V> Default for Ordered<V> {
    fn default() -> Self {
        Self {
            slots: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for Key {}

/// As its bytes: it is found by them.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.bytes.as_slice().hash(state);
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0.bytes
    }
}
