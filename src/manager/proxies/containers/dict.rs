//! A dictionary.

use std::borrow::Borrow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use super::number::{Number, change, was};
use super::{
    Entry, all, bytes, bytes_of_borrowed, calls, encoded, entry, length, maybe, proxy, seen, sent,
    update, update_async,
};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager, unpack};
use crate::manager::objects::containers::{Arithmetic, DictOp};
use crate::manager::protocol::Packed;
use crate::wire;

proxy! {
    /// A dictionary in a manager: a value for each key.
    ///
    /// Each call is atomic. So is what is done by [`update`](Self::update), and through an [`entry`](Self::entry). Its entries are in the order in
    /// which their keys were inserted, as in Python.
    ///
    /// **Keys are compared by their encoding.** So a `HashMap` is unfit as a key, or as a part of one, as equal ones may be encoded differently;
    /// and so is a value of a type whose `Eq` sees less than its encoding has.
    ///
    /// **A key can be given as what it is borrowed as**, as with the standard library's maps: `get("so")` where the keys are `String`s. That has to be encoded as the
    /// key itself is, where those ask for the same `Eq` and `Hash`. It is so for `str` and `String`, `Path` and `PathBuf`, `[T]` and `Vec<T>`, and what a `Box`, `Arc` or `Cow`
    /// holds. It is not for an array: `[T; 4]` can be borrowed as a `[T]`, but has no length in its encoding, so that no key is found by one.
    /// A type of your own that implements `Borrow` has to see to it: what is not encoded so is not found, and nothing says why.
    ///
    /// ```standalone_crate
    /// use procession::manager::Manager;
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let manager = Manager::start()?;
    ///     let counts = manager.dict::<String, u64>()?;
    ///     for word in ["so", "much", "so"] {
    ///         counts.fetch_add(word.to_owned(), 1)?;
    ///     }
    ///     assert_eq!(counts.get("so")?, Some(2));
    ///     counts.entry("more".to_owned()).and_modify(|n| *n += 1).or_insert(7)?;
    ///     let entries = [("so", 2), ("much", 1), ("more", 7)];
    ///     assert_eq!(counts.items()?, entries.map(|(word, n)| (word.to_owned(), n)));
    ///     Ok(())
    /// }
    /// ```
    DictProxy<K, V>, Dict
}

impl Manager {
    /// Makes an empty dictionary.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn dict<K, V>(&self) -> Result<DictProxy<K, V>, ManagerError>
    where
        K: Serialize + DeserializeOwned + 'static,
        V: Serialize + DeserializeOwned + 'static,
    {
        self.dict_async().wait()
    }

    /// [`dict`](Self::dict), awaited.
    pub fn dict_async<K, V>(&self) -> Calling<DictProxy<K, V>>
    where
        K: Serialize + DeserializeOwned + 'static,
        V: Serialize + DeserializeOwned + 'static,
    {
        self.dict_of_async(std::iter::empty())
    }

    /// Makes a dictionary of these entries. Of several for a key, the last one counts.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NotEncoded`] if something does not encode; else as [every call](ManagerError#what-every-call-can-say).
    pub fn dict_of<K, V>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<DictProxy<K, V>, ManagerError>
    where
        K: Serialize + DeserializeOwned + 'static,
        V: Serialize + DeserializeOwned + 'static,
    {
        self.dict_of_async(entries).wait()
    }

    /// [`dict_of`](Self::dict_of), awaited.
    pub fn dict_of_async<K, V>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Calling<DictProxy<K, V>>
    where
        K: Serialize + DeserializeOwned + 'static,
        V: Serialize + DeserializeOwned + 'static,
    {
        let entries: Vec<(K, V)> = entries.into_iter().collect();
        sent(|| {
            let mut packed = Vec::new();
            let mut refs = Vec::new();
            for (key, value) in &entries {
                let (key, value) = (self.pack(key)?, self.pack(value)?);
                refs.extend_from_slice(&key.refs);
                refs.extend_from_slice(&value.refs);
                packed.push((key, value));
            }
            let bytes = encoded(&packed)?;
            Ok(self.create(Packed { bytes, refs }))
        })
    }
}

impl<K, V> DictProxy<K, V>
where
    K: Serialize + DeserializeOwned + 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    calls! {
        /// Gives a key a value, and returns the one that it had.
        fn insert / insert_async(&self, key: K, value: V) -> Option<V> {
            let packed = (self.remote.pack(&key)?, self.remote.pack(&value)?);
            let insert = DictOp::Insert { key: packed.0, value: packed.1 };
            Ok(self.remote.call(&insert, maybe))
        }

        /// Gives each of these keys its value: all at once.
        fn extend / extend_async(&self, entries: impl IntoIterator<Item = (K, V)>) -> () {
            let entries: Vec<(K, V)> = entries.into_iter().collect();
            let packed = entries.iter();
            let packed = packed.map(|(key, value)| Ok((self.remote.pack(key)?, self.remote.pack(value)?)));
            let packed: Result<Vec<_>, ManagerError> = packed.collect();
            Ok(self.remote.call(&DictOp::Extend { entries: packed? }, Ok))
        }

        /// The value of a key, if it has one.
        fn get / get_async [Q of K](&self, key: &Q) -> Option<V> {
            let key = bytes_of_borrowed(&self.remote, key)?;
            Ok(self.remote.call(&DictOp::Get { key }, maybe))
        }

        /// The value of a key; if it has none, this one, which it then has.
        fn get_or_insert / get_or_insert_async(&self, key: K, value: V) -> V {
            let packed = (self.remote.pack(&key)?, self.remote.pack(&value)?);
            let get = DictOp::GetOrInsert { key: packed.0, value: packed.1 };
            Ok(self.remote.call(&get, |value: Packed| unpack(&value)))
        }

        /// Removes a key, and returns the value that it had. If its future is dropped, it is not known whether it was removed; if it was, the value is lost.
        fn remove / remove_async [Q of K](&self, key: &Q) -> Option<V> {
            let key = bytes_of_borrowed(&self.remote, key)?;
            Ok(self.remote.call(&DictOp::Remove { key }, maybe))
        }

        /// Whether a key has a value.
        fn contains_key / contains_key_async [Q of K](&self, key: &Q) -> bool {
            let key = bytes_of_borrowed(&self.remote, key)?;
            Ok(self.remote.call(&DictOp::Contains { key }, Ok))
        }

        /// How many keys there are.
        fn len / len_async(&self) -> usize {
            Ok(self.remote.call(&DictOp::Len, length))
        }

        /// Whether there are none.
        fn is_empty / is_empty_async(&self) -> bool {
            Ok(self.len_async().map(|len| Ok(len == 0)))
        }

        /// Removes all entries.
        fn clear / clear_async(&self) -> () {
            Ok(self.remote.call(&DictOp::Clear, Ok))
        }

        /// All keys, in the order of their insertion, as they were at one moment.
        fn keys / keys_async(&self) -> Vec<K> {
            Ok(self.remote.call(&DictOp::Keys, all))
        }

        /// All values, in the order of their keys.
        fn values / values_async(&self) -> Vec<V> {
            Ok(self.remote.call(&DictOp::Values, all))
        }

        /// All entries, in the order of their keys, as they were at one moment.
        fn items / items_async(&self) -> Vec<(K, V)> {
            Ok(self.remote.call(&DictOp::Items, entries))
        }

        /// Takes all entries out. If they do not fit into an answer of the manager, they stay where they are. If its future is dropped, those whose keys have no other value by now are there again, behind
        /// what has come since; if they just fit, and leave less than 64 bytes of an answer, they are lost.
        fn drain_all / drain_all_async(&self) -> Vec<(K, V)> {
            Ok(self.remote.call(&DictOp::Drain, entries).undone_by(undo_drain))
        }

        /// Removes the entry whose key was inserted first, and returns it. If its future is dropped, it is inserted anew, as the last one, unless its key has another value by now.
        fn pop_first / pop_first_async(&self) -> Option<(K, V)> {
            Ok(self.remote.call(&DictOp::PopFirst, maybe_entry).undone_by(undo_pop))
        }

        /// Removes the entry whose key was inserted last, and returns it. If its future is dropped, it is inserted anew, unless its key has another value by now.
        fn pop_last / pop_last_async(&self) -> Option<(K, V)> {
            Ok(self.remote.call(&DictOp::PopLast, maybe_entry).undone_by(undo_pop))
        }

        /// Gives a key another value (`None`: removes it) if it has the expected one (`None`: has none), and says whether it was so. Values are
        /// compared by their encoding.
        fn compare_and_swap / compare_and_swap_async [Q of K](&self, key: &Q, expected: Option<&V>, value: Option<&V>) -> bool {
            let expected = expected.map(|expected| bytes(&self.remote, expected)).transpose()?;
            Ok(self.put_back(key, value, expected))
        }
    }

    /// All entries as they are now; what changes later is not seen.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn iter(&self) -> Result<std::vec::IntoIter<(K, V)>, ManagerError> {
        Ok(self.items()?.into_iter())
    }

    /// Changes what a key has, in this process: `change` gets the value, or `None`, and says what it is to be. If somebody else has changed it meanwhile,
    /// that is read, and `change` called once more, until it goes through. Two round trips for each try.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn update<Q>(
        &self,
        key: &Q,
        mut change: impl FnMut(Option<V>) -> Option<V>,
    ) -> Result<(), ManagerError>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        update(
            || self.read(key),
            |value| *value = change(value.take()),
            |value, seen| self.put_back(key, value.as_ref(), seen),
        )
    }

    /// [`update`](Self::update), awaited. Dropped before its end, it may have changed it.
    pub async fn update_async<Q>(
        &self,
        key: &Q,
        mut change: impl FnMut(Option<V>) -> Option<V>,
    ) -> Result<(), ManagerError>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        update_async(
            || self.read(key),
            |value| *value = change(value.take()),
            |value, seen| self.put_back(key, value.as_ref(), seen),
        )
        .await
    }

    /// What is at a key, to be changed, or filled, in one atomic step.
    pub fn entry(&self, key: K) -> Entry<'_, K, V> {
        Entry::new(self, key)
    }

    pub(super) fn read<Q: Serialize + ?Sized>(
        &self,
        key: &Q,
    ) -> Calling<(Option<V>, Option<ByteBuf>)> {
        sent(|| {
            let key = bytes_of_borrowed(&self.remote, key)?;
            let read = |value: Option<Packed>| Ok(value.map(seen).transpose()?.unzip());
            Ok(self.remote.call(&DictOp::Get { key }, read))
        })
    }

    pub(super) fn put_back<Q: Serialize + ?Sized>(
        &self,
        key: &Q,
        value: Option<&V>,
        expected: Option<ByteBuf>,
    ) -> Calling<bool> {
        sent(|| {
            let swap = DictOp::CompareAndSwap {
                key: self.remote.pack_borrowed(key)?,
                expected,
                value: value.map(|value| self.remote.pack(value)).transpose()?,
            };
            Ok(self.remote.call(&swap, Ok))
        })
    }
}

impl<K, V> DictProxy<K, V>
where
    K: Serialize + DeserializeOwned + 'static,
    V: Number,
{
    calls! {
        /// Adds to the number of a key, and returns what it was; 0 if there was none. [`ManagerError::Overflow`] if it gets too large.
        fn fetch_add / fetch_add_async(&self, key: K, n: V) -> V {
            self.change(&key, Arithmetic::Add, n)
        }

        /// Takes away from the number of a key, and returns what it was; 0 if there was none. [`ManagerError::Overflow`] if it gets too small.
        fn fetch_sub / fetch_sub_async(&self, key: K, n: V) -> V {
            self.change(&key, Arithmetic::Sub, n)
        }
    }

    fn change(&self, key: &K, arithmetic: Arithmetic, n: V) -> Result<Calling<V>, ManagerError> {
        let change = change(arithmetic, n);
        let key = self.remote.pack(key)?;
        Ok(self.remote.call(&DictOp::Change { key, change }, was))
    }
}

/// An entry that was popped for nobody is there again, unless its key is.
pub(super) fn undo_pop(answer: &[u8]) -> Option<Vec<u8>> {
    let popped: Option<(Packed, Packed)> = wire::decode(answer).ok()?;
    give_back(vec![popped?])
}

/// So are all that were taken for nobody.
pub(super) fn undo_drain(answer: &[u8]) -> Option<Vec<u8>> {
    give_back(wire::decode(answer).ok()?)
}

fn give_back(entries: Vec<(Packed, Packed)>) -> Option<Vec<u8>> {
    encoded(&DictOp::GiveBack { entries }).ok()
}

fn entries<K, V>(packed: Vec<(Packed, Packed)>) -> Result<Vec<(K, V)>, ManagerError>
where
    K: DeserializeOwned + 'static,
    V: DeserializeOwned + 'static,
{
    packed.into_iter().map(entry).collect()
}

fn maybe_entry<K, V>(packed: Option<(Packed, Packed)>) -> Result<Option<(K, V)>, ManagerError>
where
    K: DeserializeOwned + 'static,
    V: DeserializeOwned + 'static,
{
    packed.map(entry).transpose()
}
