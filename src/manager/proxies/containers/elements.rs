//! What lists and arrays have in common: values that are called by their index.

/// Those calls, of a proxy whose object is asked so, and says by `$read` what is at an index.
macro_rules! elements {
    ($name:ident, $op:ident, $read:ident) => {
        impl<T: Serialize + DeserializeOwned + 'static> $name<T> {
            calls! {
                /// Makes the value at an index another one.
                fn set / set_async(&self, index: usize, value: T) -> () {
                    let packed = self.remote.pack(&value)?;
                    let set = $op::Set { index: index as u64, value: packed };
                    Ok(self.remote.call(&set, Ok))
                }

                /// Makes the value at an index another one, and returns the one that it was.
                fn replace / replace_async(&self, index: usize, value: T) -> T {
                    let packed = self.remote.pack(&value)?;
                    let replace = $op::Replace { index: index as u64, value: packed };
                    Ok(self.remote.call(&replace, |was: Packed| unpack(&was)))
                }

                /// Exchanges two values.
                fn swap / swap_async(&self, one: usize, other: usize) -> () {
                    let swap = $op::Swap { one: one as u64, other: other as u64 };
                    Ok(self.remote.call(&swap, Ok))
                }

                /// The values in a range, as they were at one moment.
                fn range / range_async(&self, range: impl RangeBounds<usize>) -> Vec<T> {
                    let (start, end) = bounds(&range);
                    Ok(self.remote.call(&$op::Range { start, end }, all))
                }

                /// All values, as they were at one moment.
                fn to_vec / to_vec_async(&self) -> Vec<T> {
                    Ok(self.range_async(..))
                }

                /// Makes the value at an index another one if it is the expected one, and says whether it was. They are compared by their encoding.
                fn compare_and_swap / compare_and_swap_async(&self, index: usize, expected: &T, value: &T) -> bool {
                    let expected = bytes(&self.remote, expected)?;
                    Ok(self.put_back(index, value, expected))
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

            /// Changes the value at an index, in this process, and returns what `change` does. If somebody else has changed what is there
            /// meanwhile, that is read, and `change` called once more, until it goes through. Two round trips for each try.
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
                self.remote.call(&$op::$read { index }, seen)
            }

            fn put_back(&self, index: usize, value: &T, expected: ByteBuf) -> Calling<bool> {
                sent(|| {
                    let value = self.remote.pack(value)?;
                    let index = index as u64;
                    let swap = $op::CompareAndSwap { index, expected, value };
                    Ok(self.remote.call(&swap, Ok))
                })
            }
        }

        impl<T: Number> $name<T> {
            calls! {
                /// Adds to a number, and returns what it was. [`ManagerError::Overflow`] if it gets too large.
                fn fetch_add / fetch_add_async(&self, index: usize, n: T) -> T {
                    Ok(self.change(index, Arithmetic::Add, n))
                }

                /// Takes away from a number, and returns what it was. [`ManagerError::Overflow`] if it gets too small.
                fn fetch_sub / fetch_sub_async(&self, index: usize, n: T) -> T {
                    Ok(self.change(index, Arithmetic::Sub, n))
                }
            }

            fn change(&self, index: usize, arithmetic: Arithmetic, n: T) -> Calling<T> {
                let change = change(arithmetic, n);
                let index = index as u64;
                self.remote.call(&$op::Change { index, change }, was)
            }
        }
    };
}
pub(super) use elements;
