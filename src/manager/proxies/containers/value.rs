//! A single value.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use super::number::{Number, change, was};
use super::{bytes, calls, proxy, seen, sent, update, update_async};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager, unpack};
use crate::manager::objects::containers::{Arithmetic, ValueOp};
use crate::manager::protocol::Packed;

proxy! {
    /// A value in a manager.
    ///
    /// Each call is atomic, and so is what is done by [`update`](Self::update): nobody sees it half done, and nobody's change is lost.
    ///
    /// ```standalone_crate
    /// use procession::manager::Manager;
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let manager = Manager::start()?;
    ///     let total = manager.value(40u64)?;
    ///     total.fetch_add(2)?;
    ///     assert_eq!(total.get()?, 42);
    ///
    ///     let title = manager.value("draft".to_owned())?;
    ///     title.update(|title| title.push_str(", revised"))?;
    ///     assert_eq!(title.get()?, "draft, revised");
    ///     Ok(())
    /// }
    /// ```
    ValueProxy<T>, Value
}

impl Manager {
    /// Makes a value.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NotEncoded`] if it does not encode; else as [every call](ManagerError#what-every-call-can-say).
    pub fn value<T: Serialize + DeserializeOwned + 'static>(
        &self,
        value: T,
    ) -> Result<ValueProxy<T>, ManagerError> {
        self.value_async(value).wait()
    }

    /// [`value`](Self::value), awaited.
    pub fn value_async<T: Serialize + DeserializeOwned + 'static>(
        &self,
        value: T,
    ) -> Calling<ValueProxy<T>> {
        sent(|| Ok(self.create(self.pack(&value)?)))
    }
}

impl<T: Serialize + DeserializeOwned + 'static> ValueProxy<T> {
    calls! {
        /// What it is now.
        fn get / get_async(&self) -> T {
            Ok(self.remote.call(&ValueOp::Get, |value: Packed| unpack(&value)))
        }

        /// Makes it another one.
        fn set / set_async(&self, value: T) -> () {
            let packed = self.remote.pack(&value)?;
            Ok(self.remote.call(&ValueOp::Set { value: packed }, Ok))
        }

        /// Makes it another one, and returns the one that it was.
        fn replace / replace_async(&self, value: T) -> T {
            let packed = self.remote.pack(&value)?;
            let replace = ValueOp::Replace { value: packed };
            Ok(self.remote.call(&replace, |was: Packed| unpack(&was)))
        }

        /// Makes it another one if it is the expected one, and says whether it was. They are compared by their encoding.
        fn compare_and_swap / compare_and_swap_async(&self, expected: &T, value: &T) -> bool {
            let expected = bytes(&self.remote, expected)?;
            let value = self.remote.pack(value)?;
            let swap = ValueOp::CompareAndSwap { expected, value };
            Ok(self.remote.call(&swap, Ok))
        }
    }

    /// Changes it, in this process, and returns what `change` does. If somebody else has changed it meanwhile, that is read, and `change`
    /// called once more, until it goes through: with many who do so at a time, somebody always gets on, and each has to try several times.
    ///
    /// Two round trips for each try. For numbers, [`fetch_add`](Self::fetch_add) is one.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn update<R>(&self, change: impl FnMut(&mut T) -> R) -> Result<R, ManagerError> {
        update(
            || self.read(),
            change,
            |value, seen| self.put_back(value, seen),
        )
    }

    /// [`update`](Self::update), awaited. Dropped before its end, it may have changed it.
    pub async fn update_async<R>(
        &self,
        change: impl FnMut(&mut T) -> R,
    ) -> Result<R, ManagerError> {
        update_async(
            || self.read(),
            change,
            |value, seen| self.put_back(value, seen),
        )
        .await
    }

    fn read(&self) -> Calling<(T, ByteBuf)> {
        self.remote.call(&ValueOp::Get, seen)
    }

    fn put_back(&self, value: &T, expected: ByteBuf) -> Calling<bool> {
        sent(|| {
            let value = self.remote.pack(value)?;
            let swap = ValueOp::CompareAndSwap { expected, value };
            Ok(self.remote.call(&swap, Ok))
        })
    }
}

impl<T: Number> ValueProxy<T> {
    calls! {
        /// Adds to it, and returns what it was. [`ManagerError::Overflow`] if it gets too large.
        fn fetch_add / fetch_add_async(&self, n: T) -> T {
            Ok(self.change(Arithmetic::Add, n))
        }

        /// Takes away from it, and returns what it was. [`ManagerError::Overflow`] if it gets too small.
        fn fetch_sub / fetch_sub_async(&self, n: T) -> T {
            Ok(self.change(Arithmetic::Sub, n))
        }

        /// Makes it the larger one, and returns what it was.
        fn fetch_max / fetch_max_async(&self, n: T) -> T {
            Ok(self.change(Arithmetic::Max, n))
        }

        /// Makes it the smaller one, and returns what it was.
        fn fetch_min / fetch_min_async(&self, n: T) -> T {
            Ok(self.change(Arithmetic::Min, n))
        }
    }

    fn change(&self, arithmetic: Arithmetic, n: T) -> Calling<T> {
        let change = change(arithmetic, n);
        self.remote.call(&ValueOp::Change { change }, was)
    }
}
