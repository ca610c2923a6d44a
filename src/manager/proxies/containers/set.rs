//! A set.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::members::{self, Member};
use super::{
    all, bytes, bytes_of_borrowed, calls, create_with, encoded, length, maybe, pack_all, proxy,
    sent,
};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager, Remote, unpack};
use crate::manager::objects::containers::SetOp;
use crate::manager::protocol::Packed;
use crate::wire;

proxy! {
    /// A set in a manager: each value once.
    ///
    /// Each call is atomic. Values are in the order in which they were inserted. **They are compared by their encoding**, and can be looked for
    /// by what they are borrowed as, such as a `str`: see [`DictProxy`](super::DictProxy).
    ///
    /// What is done with two sets takes each of them as it was at one moment, fetches it whole, and compares them in this process.
    ///
    /// ```standalone_crate
    /// use procession::manager::Manager;
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let manager = Manager::start()?;
    ///     let seen = manager.set::<u64>()?;
    ///     assert!(seen.insert(7)?);
    ///     assert!(!seen.insert(7)?);
    ///     let others = manager.set_of([7, 8, 9])?;
    ///     assert!(seen.is_subset(&others)?);
    ///     assert_eq!(others.difference(&seen)?, [8, 9]);
    ///     assert_eq!(others.intersection([9, 10])?, [9]);
    ///     Ok(())
    /// }
    /// ```
    SetProxy<T>, Set
}

impl Manager {
    /// Makes an empty set.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn set<T: Serialize + DeserializeOwned + 'static>(
        &self,
    ) -> Result<SetProxy<T>, ManagerError> {
        self.set_async().wait()
    }

    /// [`set`](Self::set), awaited.
    pub fn set_async<T: Serialize + DeserializeOwned + 'static>(&self) -> Calling<SetProxy<T>> {
        self.set_of_async(std::iter::empty())
    }

    /// Makes a set of these values.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NotEncoded`] if one does not encode; else as [every call](ManagerError#what-every-call-can-say).
    pub fn set_of<T: Serialize + DeserializeOwned + 'static>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<SetProxy<T>, ManagerError> {
        self.set_of_async(values).wait()
    }

    /// [`set_of`](Self::set_of), awaited.
    pub fn set_of_async<T: Serialize + DeserializeOwned + 'static>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Calling<SetProxy<T>> {
        create_with(self, values)
    }
}

/// A value that was popped for nobody is inserted anew.
pub(super) fn undo_pop(answer: &[u8]) -> Option<Vec<u8>> {
    let popped: Option<Packed> = wire::decode(answer).ok()?;
    let values = vec![popped?];
    encoded(&SetOp::Extend { values }).ok()
}

/// So are all that were taken for nobody.
pub(super) fn undo_drain(answer: &[u8]) -> Option<Vec<u8>> {
    let values: Vec<Packed> = wire::decode(answer).ok()?;
    encoded(&SetOp::Extend { values }).ok()
}

/// What a set is compared with: another [`SetProxy`], by reference, or values, by an iterator.
///
/// It is implemented for these, and nothing else can be one.
pub trait Members<T>: sealed::Sealed<T> {}

/// The values of the other side.
#[doc(hidden)]
pub struct Gathered<T>(Source<T>);

enum Source<T> {
    Here(Vec<T>),
    There(Calling<Vec<Member<T>>>),
}

impl<T: Serialize + 'static> Gathered<T> {
    fn here(remote: &Remote, values: Vec<T>) -> Result<Vec<Member<T>>, ManagerError> {
        let values = values.into_iter();
        values
            .map(|value| Ok((remote.pack(&value)?.bytes, value)))
            .collect()
    }

    fn wait(self, remote: &Remote) -> Result<Vec<Member<T>>, ManagerError> {
        match self.0 {
            Source::Here(values) => Self::here(remote, values),
            Source::There(calling) => calling.wait(),
        }
    }

    async fn end(self, remote: &Remote) -> Result<Vec<Member<T>>, ManagerError> {
        match self.0 {
            Source::Here(values) => Self::here(remote, values),
            Source::There(calling) => calling.await,
        }
    }
}

mod sealed {
    use super::*;

    /// What a set has to know of the other side.
    pub trait Sealed<T> {
        fn gather(self) -> Gathered<T>;
    }

    impl<T: Serialize + DeserializeOwned + 'static> Sealed<T> for &SetProxy<T> {
        fn gather(self) -> Gathered<T> {
            Gathered(Source::There(self.members()))
        }
    }

    impl<T, I: IntoIterator<Item = T>> Sealed<T> for I {
        fn gather(self) -> Gathered<T> {
            Gathered(Source::Here(self.into_iter().collect()))
        }
    }
}

impl<T, M: sealed::Sealed<T>> Members<T> for M {}

/// What is done with this set and another one, in both forms.
macro_rules! with_another {
    ($(
        $(#[$docs:meta])*
        fn $name:ident / $name_async:ident -> $answer:ty;
    )*) => {$(
        $(#[$docs])*
        ///
        /// # Errors
        ///
        /// As [every call](ManagerError#what-every-call-can-say).
        pub fn $name(&self, other: impl Members<T>) -> Result<$answer, ManagerError> {
            let (mine, theirs) = (self.members(), other.gather());
            Ok(members::$name(mine.wait()?, theirs.wait(&self.remote)?))
        }

        #[doc = concat!("[`", stringify!($name), "`](Self::", stringify!($name), "), awaited.")]
        pub async fn $name_async(&self, other: impl Members<T>) -> Result<$answer, ManagerError> {
            let (mine, theirs) = (self.members(), other.gather());
            Ok(members::$name(mine.await?, theirs.end(&self.remote).await?))
        }
    )*};
}

impl<T: Serialize + DeserializeOwned + 'static> SetProxy<T> {
    calls! {
        /// Inserts a value, and says whether it was not there.
        fn insert / insert_async(&self, value: T) -> bool {
            let packed = self.remote.pack(&value)?;
            Ok(self.remote.call(&SetOp::Insert { value: packed }, Ok))
        }

        /// Inserts values, all at once, and says how many were not there.
        fn extend / extend_async(&self, values: impl IntoIterator<Item = T>) -> usize {
            let values: Vec<T> = values.into_iter().collect();
            let packed = pack_all(&self.remote, &values)?;
            Ok(self.remote.call(&SetOp::Extend { values: packed }, length))
        }

        /// Removes a value, and says whether it was there.
        fn remove / remove_async [Q of T](&self, value: &Q) -> bool {
            let value = bytes_of_borrowed(&self.remote, value)?;
            Ok(self.remote.call(&SetOp::Remove { value }, Ok))
        }

        /// Whether a value is there.
        fn contains / contains_async [Q of T](&self, value: &Q) -> bool {
            let value = bytes_of_borrowed(&self.remote, value)?;
            Ok(self.remote.call(&SetOp::Contains { value }, Ok))
        }

        /// Whether all of these values are there; they are sent, and nothing is fetched.
        fn contains_all / contains_all_async(&self, values: impl IntoIterator<Item = T>) -> bool {
            let values: Vec<T> = values.into_iter().collect();
            let packed = values.iter().map(|value| bytes(&self.remote, value));
            let packed: Vec<_> = packed.collect::<Result<_, _>>()?;
            Ok(self.remote.call(&SetOp::ContainsAll { values: packed }, Ok))
        }

        /// Removes the value that was inserted first, and returns it. If its future is dropped, the value is inserted anew: unless it is there again, it is the last one.
        fn pop / pop_async(&self) -> Option<T> {
            Ok(self.remote.call(&SetOp::Pop, maybe).undone_by(undo_pop))
        }

        /// How many values there are.
        fn len / len_async(&self) -> usize {
            Ok(self.remote.call(&SetOp::Len, length))
        }

        /// Whether there are none.
        fn is_empty / is_empty_async(&self) -> bool {
            Ok(self.len_async().map(|len| Ok(len == 0)))
        }

        /// Removes all values.
        fn clear / clear_async(&self) -> () {
            Ok(self.remote.call(&SetOp::Clear, Ok))
        }

        /// All values, in the order of their insertion, as they were at one moment.
        fn to_vec / to_vec_async(&self) -> Vec<T> {
            Ok(self.remote.call(&SetOp::All, all))
        }

        /// Takes all values out. If they do not fit into an answer of the manager, they stay where they are. If its future is dropped, they are inserted anew, behind those that have come since; if they just
        /// fit, and leave less than 64 bytes of an answer, they are lost.
        fn drain_all / drain_all_async(&self) -> Vec<T> {
            Ok(self.remote.call(&SetOp::Drain, all).undone_by(undo_drain))
        }
    }

    /// All values as they are now; what changes later is not seen.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn iter(&self) -> Result<std::vec::IntoIter<T>, ManagerError> {
        Ok(self.to_vec()?.into_iter())
    }

    with_another! {
        /// All values that are in either of them: those of this one, then those that only the other one has.
        fn union / union_async -> Vec<T>;

        /// The values of this one that are in the other one as well.
        fn intersection / intersection_async -> Vec<T>;

        /// The values of this one that are not in the other one.
        fn difference / difference_async -> Vec<T>;

        /// The values that are in one of them alone: those of this one, then those of the other one.
        fn symmetric_difference / symmetric_difference_async -> Vec<T>;

        /// Whether all values of this one are in the other one.
        fn is_subset / is_subset_async -> bool;

        /// Whether all values of the other one are in this one.
        fn is_superset / is_superset_async -> bool;

        /// Whether they have no value in common.
        fn is_disjoint / is_disjoint_async -> bool;
    }

    fn members(&self) -> Calling<Vec<Member<T>>> {
        self.remote.call(&SetOp::All, |values: Vec<Packed>| {
            let values = values.into_iter();
            values
                .map(|value| {
                    let member = unpack(&value)?;
                    Ok((value.bytes, member))
                })
                .collect()
        })
    }
}
