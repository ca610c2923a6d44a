//! A row of values whose length does not change.

use std::ops::RangeBounds;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use super::elements::elements;
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

elements!(ArrayProxy, ArrayOp, Get);

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
            Ok(self.len_async().map(|len| Ok(len == 0)))
        }

        /// The value at an index.
        fn get / get_async(&self, index: usize) -> T {
            let get = ArrayOp::Get { index: index as u64 };
            Ok(self.remote.call(&get, |value: Packed| unpack(&value)))
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
    }
}

impl<T: Number> ArrayProxy<T> {
    calls! {
        /// Makes a number the larger one, and returns what it was.
        fn fetch_max / fetch_max_async(&self, index: usize, n: T) -> T {
            Ok(self.change(index, Arithmetic::Max, n))
        }

        /// Makes a number the smaller one, and returns what it was.
        fn fetch_min / fetch_min_async(&self, index: usize, n: T) -> T {
            Ok(self.change(index, Arithmetic::Min, n))
        }
    }
}
