//! Who waits, in the order of coming.

use std::collections::BTreeMap;

use crate::manager::store::{Caller, SessionId};

/// Callers who wait, first come, first served, each with what is to be known of it. Whatever is asked of it, the cost grows with the
/// logarithm of how many wait.
#[derive(Debug)]
pub(in crate::manager) struct Turns<T> {
    line: BTreeMap<u64, (Caller, T)>,
    /// Where in the line each of them is: in this order, those of a session are beside each other.
    places: BTreeMap<Caller, u64>,
    next: u64,
}

impl<T> Turns<T> {
    /// Lets one more wait, and says its place, by which it can be [taken out](Self::take).
    pub(in crate::manager) fn push(&mut self, caller: Caller, what: T) -> u64 {
        let place = self.next;
        self.next += 1;
        self.line.insert(place, (caller, what));
        self.places.insert(caller, place);
        place
    }

    /// Whoever is first, taken out.
    pub(in crate::manager) fn pop(&mut self) -> Option<(Caller, T)> {
        let (_, first) = self.line.pop_first()?;
        self.places.remove(&first.0);
        Some(first)
    }

    /// Whoever is first.
    pub(in crate::manager) fn first(&self) -> Option<&T> {
        let (_, (_, first)) = self.line.first_key_value()?;
        Some(first)
    }

    /// Whoever is at this place, taken out.
    pub(in crate::manager) fn take(&mut self, place: u64) -> Option<(Caller, T)> {
        let taken = self.line.remove(&place)?;
        self.places.remove(&taken.0);
        Some(taken)
    }

    /// One that does not wait any more; `None` if it did not.
    pub(in crate::manager) fn remove(&mut self, caller: Caller) -> Option<(u64, T)> {
        let place = self.places.remove(&caller)?;
        let (_, what) = self.line.remove(&place)?;
        Some((place, what))
    }

    /// All of a session, which do not wait any more.
    pub(in crate::manager) fn remove_session(&mut self, session: SessionId) -> Vec<(u64, T)> {
        let bound = |call| Caller { session, call };
        let own = self.places.range(bound(0)..=bound(u64::MAX));
        let own: Vec<Caller> = own.map(|(caller, _)| *caller).collect();
        own.into_iter()
            .filter_map(|caller| self.remove(caller))
            .collect()
    }

    pub(in crate::manager) fn len(&self) -> usize {
        self.line.len()
    }

    pub(in crate::manager) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self {
            line: BTreeMap::new(),
            places: BTreeMap::new(),
            next: 0,
        }
    }
}
