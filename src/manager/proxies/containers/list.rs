//! A list.

use std::ops::RangeBounds;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use super::elements::elements;
use super::number::{Number, change, was};
use super::{
    all, bounds, bytes, calls, create_with, encoded, length, maybe, pack_all, proxy, seen, sent,
    update, update_async,
};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager, unpack};
use crate::manager::objects::containers::{Arithmetic, ListOp};
use crate::manager::protocol::Packed;
use crate::wire;

proxy! {
    /// A list in a manager.
    ///
    /// Each call is atomic. So is what is done by [`update`](Self::update) to a value, and by [`modify`](Self::modify), [`sort`](Self::sort) and
    /// [`retain`](Self::retain) to the list: nobody sees it half done, and nobody's change is lost. Values are compared by their encoding; an
    /// index that is not there is [`ManagerError::OutOfRange`].
    ///
    /// A call is one round trip, and costs what travels: [`to_vec`](Self::to_vec) fetches everything.
    ///
    /// ```standalone_crate
    /// use procession::manager::Manager;
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let manager = Manager::start()?;
    ///     let list = manager.list::<String>()?;
    ///     list.push("to do".to_owned())?;
    ///     list.extend(["so", "much"].map(str::to_owned))?;
    ///     list.sort()?;
    ///     assert_eq!(list.to_vec()?, ["much", "so", "to do"]);
    ///     list.update(2, |text| text.push('!'))?;
    ///     assert_eq!(list.pop()?.as_deref(), Some("to do!"));
    ///     Ok(())
    /// }
    /// ```
    ListProxy<T>, List
}

elements!(ListProxy, ListOp, At);

impl Manager {
    /// Makes an empty list.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn list<T: Serialize + DeserializeOwned + 'static>(
        &self,
    ) -> Result<ListProxy<T>, ManagerError> {
        self.list_async().wait()
    }

    /// [`list`](Self::list), awaited.
    pub fn list_async<T: Serialize + DeserializeOwned + 'static>(&self) -> Calling<ListProxy<T>> {
        self.list_of_async(std::iter::empty())
    }

    /// Makes a list of these values.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NotEncoded`] if one does not encode; else as [every call](ManagerError#what-every-call-can-say).
    pub fn list_of<T: Serialize + DeserializeOwned + 'static>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<ListProxy<T>, ManagerError> {
        self.list_of_async(values).wait()
    }

    /// [`list_of`](Self::list_of), awaited.
    pub fn list_of_async<T: Serialize + DeserializeOwned + 'static>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Calling<ListProxy<T>> {
        create_with(self, values)
    }
}

impl<T: Serialize + DeserializeOwned + 'static> ListProxy<T> {
    calls! {
        /// Appends a value.
        fn push / push_async(&self, value: T) -> () {
            let values = vec![self.remote.pack(&value)?];
            Ok(self.remote.call(&ListOp::Extend { values }, Ok))
        }

        /// Appends values: all beside each other.
        fn extend / extend_async(&self, values: impl IntoIterator<Item = T>) -> () {
            let values: Vec<T> = values.into_iter().collect();
            let packed = pack_all(&self.remote, &values)?;
            Ok(self.remote.call(&ListOp::Extend { values: packed }, Ok))
        }

        /// Inserts a value before the one at an index, or at the end.
        fn insert / insert_async(&self, index: usize, value: T) -> () {
            let packed = self.remote.pack(&value)?;
            let insert = ListOp::Insert { index: index as u64, value: packed };
            Ok(self.remote.call(&insert, Ok))
        }

        /// Removes the last value, and returns it. If its future is dropped, the value is appended again, behind what has been appended since.
        fn pop / pop_async(&self) -> Option<T> {
            Ok(self.remote.call(&ListOp::Pop, maybe).undone_by(undo_pop))
        }

        /// Removes the value at an index, and returns it. If its future is dropped, it is not known whether the value was removed; if it was, it is lost.
        fn remove / remove_async(&self, index: usize) -> T {
            let remove = ListOp::Remove { index: index as u64 };
            Ok(self.remote.call(&remove, |value: Packed| unpack(&value)))
        }

        /// Removes the value at an index, and returns it; the last one takes its place. If its future is dropped, it is not known whether that was done; if it was, the value is lost.
        fn swap_remove / swap_remove_async(&self, index: usize) -> T {
            let remove = ListOp::SwapRemove { index: index as u64 };
            Ok(self.remote.call(&remove, |value: Packed| unpack(&value)))
        }

        /// The value at an index, if there is one.
        fn get / get_async(&self, index: usize) -> Option<T> {
            Ok(self.remote.call(&ListOp::Get { index: index as u64 }, maybe))
        }

        /// The first value, if there is one.
        fn first / first_async(&self) -> Option<T> {
            Ok(self.get_async(0))
        }

        /// The last value, if there is one.
        fn last / last_async(&self) -> Option<T> {
            Ok(self.remote.call(&ListOp::Last, maybe))
        }

        /// How many values there are.
        fn len / len_async(&self) -> usize {
            Ok(self.remote.call(&ListOp::Len, length))
        }

        /// Whether there are none.
        fn is_empty / is_empty_async(&self) -> bool {
            Ok(self.len_async().map(|len| Ok(len == 0)))
        }

        /// Removes all values.
        fn clear / clear_async(&self) -> () {
            Ok(self.truncate_async(0))
        }

        /// Removes all values but the first `len`.
        fn truncate / truncate_async(&self, len: usize) -> () {
            Ok(self.remote.call(&ListOp::Truncate { len: len as u64 }, Ok))
        }

        /// Turns their order around.
        fn reverse / reverse_async(&self) -> () {
            Ok(self.remote.call(&ListOp::Reverse, Ok))
        }

        /// Puts values, as many as there may be, in the place of those in a range, which it returns. If its future is dropped, it is not known
        /// whether that was done; if it was, those that were there are lost.
        fn splice / splice_async(&self, range: impl RangeBounds<usize>, values: impl IntoIterator<Item = T>) -> Vec<T> {
            let (start, end) = bounds(&range);
            let values: Vec<T> = values.into_iter().collect();
            let packed = pack_all(&self.remote, &values)?;
            Ok(self.remote.call(&ListOp::Splice { start, end, values: packed }, all))
        }

        /// Takes all values out. If they do not fit into an answer of the manager, they stay where they are. If its future is dropped, they are there again, before what has been appended since; if they just
        /// fit, and leave less than 64 bytes of an answer, they are lost.
        fn drain_all / drain_all_async(&self) -> Vec<T> {
            Ok(self.remote.call(&ListOp::Drain, all).undone_by(undo_drain))
        }

        /// Whether there is such a value.
        fn contains / contains_async(&self, value: &T) -> bool {
            Ok(self.index_of_async(value).map(|at| Ok(at.is_some())))
        }

        /// The index of the first such value, if there is one.
        fn index_of / index_of_async(&self, value: &T) -> Option<usize> {
            let value = bytes(&self.remote, value)?;
            Ok(self.remote.call(&ListOp::Find { value }, |at: Option<u64>| at.map(length).transpose()))
        }

        /// How many such values there are.
        fn count / count_async(&self, value: &T) -> usize {
            let value = bytes(&self.remote, value)?;
            Ok(self.remote.call(&ListOp::Count { value }, length))
        }
    }

    /// Changes the whole list, in this process, and returns what `change` does. If somebody else has changed the list meanwhile, it is fetched, and
    /// `change` called once more, until it goes through. Each try fetches the list and sends it back.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn modify<R>(&self, change: impl FnMut(&mut Vec<T>) -> R) -> Result<R, ManagerError> {
        update(
            || self.fetch(),
            change,
            |values, version| self.restore(values, version),
        )
    }

    /// [`modify`](Self::modify), awaited. Dropped before its end, it may have changed it.
    pub async fn modify_async<R>(
        &self,
        change: impl FnMut(&mut Vec<T>) -> R,
    ) -> Result<R, ManagerError> {
        update_async(
            || self.fetch(),
            change,
            |values, version| self.restore(values, version),
        )
        .await
    }

    /// Sorts it by keys; equal ones stay in their order. As [`sort`](Self::sort).
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn sort_by_key<K: Ord>(&self, key: impl FnMut(&T) -> K) -> Result<(), ManagerError> {
        update(
            || self.fetch_indexed(),
            sorting(key),
            |values, version| self.arrange(values, version),
        )
    }

    /// [`sort_by_key`](Self::sort_by_key), awaited.
    pub async fn sort_by_key_async<K: Ord>(
        &self,
        key: impl FnMut(&T) -> K,
    ) -> Result<(), ManagerError> {
        update_async(
            || self.fetch_indexed(),
            sorting(key),
            |values, version| self.arrange(values, version),
        )
        .await
    }

    /// Keeps those values for which `keep` says so, in their order. The list is fetched, and which are kept is sent back; if somebody has changed
    /// it meanwhile, once more.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool) -> Result<(), ManagerError> {
        update(
            || self.fetch_indexed(),
            |values: &mut Indexed<T>| values.retain(|(_, value)| keep(value)),
            |values, version| self.arrange(values, version),
        )
    }

    /// [`retain`](Self::retain), awaited.
    pub async fn retain_async(&self, mut keep: impl FnMut(&T) -> bool) -> Result<(), ManagerError> {
        update_async(
            || self.fetch_indexed(),
            |values: &mut Indexed<T>| values.retain(|(_, value)| keep(value)),
            |values, version| self.arrange(values, version),
        )
        .await
    }

    fn fetch(&self) -> Calling<(Vec<T>, u64)> {
        let read = |(version, values): (u64, Vec<Packed>)| Ok((all(values)?, version));
        self.remote.call(&ListOp::Snapshot, read)
    }

    fn restore(&self, values: &[T], version: u64) -> Calling<bool> {
        sent(|| {
            let values = pack_all(&self.remote, values)?;
            Ok(self.remote.call(&ListOp::Restore { version, values }, Ok))
        })
    }

    fn fetch_indexed(&self) -> Calling<(Indexed<T>, u64)> {
        let read = |(version, values): (u64, Vec<Packed>)| {
            Ok(((0..).zip(all(values)?).collect(), version))
        };
        self.remote.call(&ListOp::Snapshot, read)
    }

    fn arrange(&self, values: &Indexed<T>, version: u64) -> Calling<bool> {
        let order = values.iter().map(|(index, _)| *index).collect();
        self.remote.call(&ListOp::Arrange { version, order }, Ok)
    }
}

/// A value that was popped for nobody is the last one again.
pub(super) fn undo_pop(answer: &[u8]) -> Option<Vec<u8>> {
    let popped: Option<Packed> = wire::decode(answer).ok()?;
    let values = vec![popped?];
    encoded(&ListOp::Extend { values }).ok()
}

/// What was taken for nobody is there again, before all that came later.
pub(super) fn undo_drain(answer: &[u8]) -> Option<Vec<u8>> {
    let values: Vec<Packed> = wire::decode(answer).ok()?;
    let again = ListOp::Splice {
        start: 0,
        end: Some(0),
        values,
    };
    encoded(&again).ok()
}

/// Values, and where each of them was.
type Indexed<T> = Vec<(u64, T)>;

fn sorting<T, K: Ord>(mut key: impl FnMut(&T) -> K) -> impl FnMut(&mut Indexed<T>) {
    move |values| values.sort_by_key(|(_, value)| key(value))
}

impl<T: Serialize + DeserializeOwned + Ord + 'static> ListProxy<T> {
    /// Sorts it. The list is fetched, and its new order sent back; if somebody has changed it meanwhile, once more.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn sort(&self) -> Result<(), ManagerError> {
        update(
            || self.fetch_indexed(),
            |values: &mut Indexed<T>| values.sort_by(|one, other| one.1.cmp(&other.1)),
            |values, version| self.arrange(values, version),
        )
    }

    /// [`sort`](Self::sort), awaited.
    pub async fn sort_async(&self) -> Result<(), ManagerError> {
        update_async(
            || self.fetch_indexed(),
            |values: &mut Indexed<T>| values.sort_by(|one, other| one.1.cmp(&other.1)),
            |values, version| self.arrange(values, version),
        )
        .await
    }
}
