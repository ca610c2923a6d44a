//! A row of values whose length does not change.

use std::ops::RangeBounds;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use super::number::{Number, change, was};
use super::{
    all, bounds, bytes, calls, create_with, length, pack_all, proxy, seen, sent, update,
    update_async,
};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager, unpack};
use crate::manager::objects::containers::{Arithmetic, ArrayOp};
use crate::manager::protocol::Packed;

proxy! {
    /// A row of values in a manager, whose length does not change.
    ///
    /// Each call is atomic, and so is what is done by [`update`](Self::update). An index that is not there is [`ManagerError::OutOfRange`].
    ///
    /// ```standalone_crate
    /// use procession::manager::Manager;
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let manager = Manager::start()?;
    ///     let counts = manager.array(vec![0u32; 4])?;
    ///     counts.fetch_add(2, 5)?;
    ///     counts.write(0, vec![1, 1])?;
    ///     assert_eq!(counts.to_vec()?, [1, 1, 5, 0]);
    ///     assert!(counts.get(4).is_err());
    ///     Ok(())
    /// }
    /// ```
    ArrayProxy<T>, Array
}

impl Manager {
    /// Makes an array of these values.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NotEncoded`] if one does not encode; else as [every call](ManagerError#what-every-call-can-say).
    pub fn array<T: Serialize + DeserializeOwned + 'static>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<ArrayProxy<T>, ManagerError> {
        self.array_async(values).wait()
    }

    /// [`array`](Self::array), awaited.
    pub fn array_async<T: Serialize + DeserializeOwned + 'static>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Calling<ArrayProxy<T>> {
        create_with(self, values)
    }
}

impl<T: Serialize + DeserializeOwned + 'static> ArrayProxy<T> {
    calls! {
        /// How many values it has. That never changes, and is asked for each time.
        fn len / len_async(&self) -> usize {
            Ok(self.remote.call(&ArrayOp::Len, length))
        }

        /// Whether it has none.
        fn is_empty / is_empty_async(&self) -> bool {
            Ok(self.remote.call(&ArrayOp::Len, |len: u64| Ok(len == 0)))
        }

        /// The value at an index.
        fn get / get_async(&self, index: usize) -> T {
            let get = ArrayOp::Get { index: index as u64 };
            Ok(self.remote.call(&get, |value: Packed| unpack(&value)))
        }

        /// Makes it another one.
        fn set / set_async(&self, index: usize, value: T) -> () {
            let packed = self.remote.pack(&value)?;
            let set = ArrayOp::Set { index: index as u64, value: packed };
            Ok(self.remote.call(&set, Ok))
        }

        /// Makes it another one, and returns the one that it was.
        fn replace / replace_async(&self, index: usize, value: T) -> T {
            let packed = self.remote.pack(&value)?;
            let replace = ArrayOp::Replace { index: index as u64, value: packed };
            Ok(self.remote.call(&replace, |was: Packed| unpack(&was)))
        }

        /// Exchanges two of them.
        fn swap / swap_async(&self, one: usize, other: usize) -> () {
            let swap = ArrayOp::Swap { one: one as u64, other: other as u64 };
            Ok(self.remote.call(&swap, Ok))
        }

        /// The values in a range, as they were at one moment.
        fn range / range_async(&self, range: impl RangeBounds<usize>) -> Vec<T> {
            let (start, end) = bounds(&range);
            Ok(self.remote.call(&ArrayOp::Range { start, end }, all))
        }

        /// All of them, as they were at one moment.
        fn to_vec / to_vec_async(&self) -> Vec<T> {
            Ok(self.range_async(..))
        }

        /// Writes values over as many others, from an index on: all of them, or, if they reach beyond the end, none.
        fn write / write_async(&self, start: usize, values: impl IntoIterator<Item = T>) -> () {
            let values: Vec<T> = values.into_iter().collect();
            let packed = pack_all(&self.remote, &values)?;
            let write = ArrayOp::Write { start: start as u64, values: packed };
            Ok(self.remote.call(&write, Ok))
        }

        /// Writes a value over each. [`ManagerError::Refused`] if the array was then longer than an answer of the manager may be.
        fn fill / fill_async(&self, value: T) -> () {
            let packed = self.remote.pack(&value)?;
            Ok(self.remote.call(&ArrayOp::Fill { value: packed }, Ok))
        }

        /// Makes a value another one if it is the expected one, and says whether it was. They are compared by their encoding.
        fn compare_and_swap / compare_and_swap_async(&self, index: usize, expected: &T, value: &T) -> bool {
            let expected = bytes(&self.remote, expected)?;
            let value = self.remote.pack(value)?;
            let index = index as u64;
            Ok(self.remote.call(&ArrayOp::CompareAndSwap { index, expected, value }, Ok))
        }
    }

    /// All of them as they are now; what changes later is not seen.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn iter(&self) -> Result<std::vec::IntoIter<T>, ManagerError> {
        Ok(self.to_vec()?.into_iter())
    }

    /// Changes a value, in this process, and returns what `change` does. If somebody else has changed it meanwhile, that is read, and
    /// `change` called once more, until it goes through. Two round trips for each try.
    ///
    /// # Errors
    ///
    /// [`ManagerError::OutOfRange`]; else as [every call](ManagerError#what-every-call-can-say).
    pub fn update<R>(
        &self,
        index: usize,
        change: impl FnMut(&mut T) -> R,
    ) -> Result<R, ManagerError> {
        update(
            || self.read(index),
            change,
            |value, seen| self.put_back(index, value, seen),
        )
    }

    /// [`update`](Self::update), awaited. Dropped before its end, it may have changed it.
    pub async fn update_async<R>(
        &self,
        index: usize,
        change: impl FnMut(&mut T) -> R,
    ) -> Result<R, ManagerError> {
        update_async(
            || self.read(index),
            change,
            |value, seen| self.put_back(index, value, seen),
        )
        .await
    }

    fn read(&self, index: usize) -> Calling<(T, ByteBuf)> {
        let index = index as u64;
        self.remote.call(&ArrayOp::Get { index }, seen)
    }

    fn put_back(&self, index: usize, value: &T, expected: ByteBuf) -> Calling<bool> {
        sent(|| {
            let swap = ArrayOp::CompareAndSwap {
                index: index as u64,
                expected,
                value: self.remote.pack(value)?,
            };
            Ok(self.remote.call(&swap, Ok))
        })
    }
}

impl<T: Number> ArrayProxy<T> {
    calls! {
        /// Adds to a number, and returns what it was. [`ManagerError::Overflow`] if it gets too large.
        fn fetch_add / fetch_add_async(&self, index: usize, n: T) -> T {
            Ok(self.change(index, Arithmetic::Add, n))
        }

        /// Takes away from a number, and returns what it was. [`ManagerError::Overflow`] if it gets too small.
        fn fetch_sub / fetch_sub_async(&self, index: usize, n: T) -> T {
            Ok(self.change(index, Arithmetic::Sub, n))
        }

        /// Makes a number the larger one, and returns what it was.
        fn fetch_max / fetch_max_async(&self, index: usize, n: T) -> T {
            Ok(self.change(index, Arithmetic::Max, n))
        }

        /// Makes a number the smaller one, and returns what it was.
        fn fetch_min / fetch_min_async(&self, index: usize, n: T) -> T {
            Ok(self.change(index, Arithmetic::Min, n))
        }
    }

    fn change(&self, index: usize, arithmetic: Arithmetic, n: T) -> Calling<T> {
        let change = change(arithmetic, n);
        let index = index as u64;
        self.remote.call(&ArrayOp::Change { index, change }, was)
    }
}
