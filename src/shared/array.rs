//! Many values of one type.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::plain::{copy_in, copy_out};
use super::{AtomicInteger, OutOfRange, PlainData};
use crate::sync::{Lock, LockError, LockGuard, Room};
use crate::sys::Mapping;

/// An array in shared memory, with a lock. It stays as long as it is.
///
/// There are three ways to its values: with the [lock](Self::lock) held; [without](Self::unlocked), where it is known otherwise who uses
/// which of them; and [as atomics](Self::as_atomic), where they are integers. Values are copied; ranges of them as fast
/// as from slice to slice.
///
/// As [`multiprocessing.Array`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Array).
///
/// ```
/// use procession::shared::Array;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let array = Array::from_slice(&[1.0, 2.0, 3.0])?;
/// let same = array.clone();
/// let guard = same.lock()?;
/// guard.update(0, |x| *x += 0.5)?;
/// guard.write(1, &[7.0, 8.0])?;
/// assert_eq!(guard.to_vec(), [1.5, 7.0, 8.0]);
/// assert_eq!(guard.get(3), None);
/// # Ok(())
/// # }
/// ```
pub struct Array<T> {
    /// Its memory is the array's, too.
    lock: Lock,
    of: PhantomData<fn(T) -> T>,
}

/// What the methods of an [`Array`] return that take its lock.
type Locked<T> = Result<ArrayGuard<T>, LockError<ArrayGuard<T>>>;

impl<T: PlainData> Array<T> {
    /// So many zeros, in new shared memory. The system's pages are taken when they are first written to.
    ///
    /// # Errors
    ///
    /// Where the system has no descriptor or no address space for it.
    pub fn new(len: usize) -> io::Result<Self> {
        const { assert!(size_of::<T>() > 0, "an array of nothing") };
        let bytes = len.checked_mul(size_of::<T>());
        let bytes = bytes.ok_or(io::ErrorKind::OutOfMemory)?;
        let room = Room::create("procession-array", bytes)?;
        Ok(Self::of(room))
    }

    /// These values, in new shared memory.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn from_slice(values: &[T]) -> io::Result<Self> {
        let array = Self::new(values.len())?;
        array
            .unlocked()
            .write(0, values)
            .map_err(io::Error::other)?;
        Ok(array)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        len_of::<T>(self.mapping())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for the lock, and takes it.
    ///
    /// # Errors
    ///
    /// As [`Lock::lock`]. [`OwnerDied`](LockError::OwnerDied) says that whoever died may have left something half done.
    pub fn lock(&self) -> Locked<T> {
        guard(self.lock.lock())
    }

    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    ///
    /// As [`Lock::try_lock`].
    pub fn try_lock(&self) -> Locked<T> {
        guard(self.lock.try_lock())
    }

    /// Waits for the lock for at most so long.
    ///
    /// # Errors
    ///
    /// As [`Lock::lock_timeout`].
    pub fn lock_timeout(&self, timeout: Duration) -> Locked<T> {
        guard(self.lock.lock_timeout(timeout))
    }

    /// The array as a guard has it that [`as_lock`](Self::as_lock), or a condition of it, has given.
    ///
    /// # Errors
    ///
    /// [`WrongLock`](LockError::WrongLock) if the guard is another lock's.
    pub fn locked_by(&self, guard: LockGuard) -> Result<ArrayGuard<T>, LockError<LockGuard>> {
        if !guard.is_of(&self.lock) {
            return Err(LockError::WrongLock(guard));
        }
        Ok(ArrayGuard::of(guard))
    }

    /// The lock of this array, to be used by itself: for a [`Condition`](crate::sync::Condition), for one.
    pub fn as_lock(&self) -> &Lock {
        &self.lock
    }

    /// The array, whoever has the lock: for those who share another lock, or have agreed on who uses which part.
    /// What somebody else changes while it is copied may be half of one value and half of another.
    pub fn unlocked(&self) -> Unlocked<'_, T> {
        Unlocked(Elements {
            mapping: self.mapping(),
            of: PhantomData,
        })
    }

    /// Whether both are handles to the same array.
    pub fn is_same(&self, other: &Self) -> bool {
        self.lock.is_same(&other.lock)
    }

    fn of(room: Room) -> Self {
        Self {
            lock: Lock::of(room),
            of: PhantomData,
        }
    }
}

impl<T: AtomicInteger> Array<T> {
    /// The array as atomics, which need no lock, and do not care who has it.
    ///
    /// ```
    /// use std::sync::atomic::Ordering;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let counts = procession::shared::Array::<u32>::new(10)?;
    /// counts.as_atomic()[7].fetch_add(1, Ordering::Relaxed);
    /// assert_eq!(counts.unlocked().get(7), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn as_atomic(&self) -> &[T::Atomic] {
        self.mapping().atomics()
    }
}

impl<T> Array<T> {
    fn mapping(&self) -> &Mapping {
        &self.lock.room().mapping
    }
}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Self {
        Self {
            lock: self.lock.clone(),
            of: PhantomData,
        }
    }
}

impl<T> Serialize for Array<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.lock.serialize(serializer)
    }
}

impl<'de, T: PlainData> Deserialize<'de> for Array<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const { assert!(size_of::<T>() > 0, "an array of nothing") };
        let room = Room::deserialize(deserializer)?;
        if !room.len().is_multiple_of(size_of::<T>()) {
            return Err(de::Error::custom(
                "shared memory of an array of another type",
            ));
        }
        Ok(Self::of(room))
    }
}

impl<T> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array")
            .field("len", &len_of::<T>(self.mapping()))
            .field("owner", &self.lock.room().owner())
            .finish()
    }
}

/// The lock of an [`Array`], which this thread has, and the array; released on drop.
///
/// It stays with its thread (it is not `Send`).
#[must_use = "the lock is released when this is dropped"]
pub struct ArrayGuard<T> {
    lock: LockGuard,
    of: PhantomData<fn(T) -> T>,
}

impl<T> ArrayGuard<T> {
    /// The guard by itself, to wait with it for a [`Condition`](crate::sync::Condition).
    pub fn into_lock_guard(self) -> LockGuard {
        self.lock
    }

    fn of(lock: LockGuard) -> Self {
        Self {
            lock,
            of: PhantomData,
        }
    }

    fn elements(&self) -> Elements<'_, T> {
        Elements {
            mapping: self.lock.mapping(),
            of: PhantomData,
        }
    }
}

impl<T> fmt::Debug for ArrayGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayGuard").finish_non_exhaustive()
    }
}

/// An [`Array`], whoever has its lock.
#[derive(Clone, Copy)]
pub struct Unlocked<'a, T>(Elements<'a, T>);

impl<'a, T> Unlocked<'a, T> {
    fn elements(&self) -> Elements<'a, T> {
        self.0
    }
}

impl<T> fmt::Debug for Unlocked<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unlocked").finish_non_exhaustive()
    }
}

/// What both of them do.
struct Elements<'a, T> {
    mapping: &'a Mapping,
    of: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Elements<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Elements<'_, T> {}

impl<T: PlainData> Elements<'_, T> {
    fn len(self) -> usize {
        len_of::<T>(self.mapping)
    }

    /// Where it is in bytes, if all of it is there.
    fn place(self, start: usize, count: usize) -> Result<usize, OutOfRange> {
        let len = self.len();
        if start > len || count > len - start {
            return Err(OutOfRange { start, count, len });
        }
        Ok(start * size_of::<T>())
    }

    fn get(self, index: usize) -> Option<T> {
        let place = self.place(index, 1).ok()?;
        copy_out(self.mapping, place).ok()
    }

    fn set(self, index: usize, value: &T) -> Result<(), OutOfRange> {
        let place = self.place(index, 1)?;
        Ok(copy_in(self.mapping, place, value)?)
    }

    fn read(self, start: usize, values: &mut [T]) -> Result<(), OutOfRange> {
        let place = self.place(start, values.len())?;
        let bytes = bytemuck::cast_slice_mut(values);
        Ok(self.mapping.copy_out(place, bytes)?)
    }

    fn write(self, start: usize, values: &[T]) -> Result<(), OutOfRange> {
        let place = self.place(start, values.len())?;
        Ok(self.mapping.copy_in(place, bytemuck::cast_slice(values))?)
    }

    fn range(self, range: Range<usize>) -> Result<Vec<T>, OutOfRange> {
        let count = range.end.saturating_sub(range.start);
        // Before there is memory for it.
        self.place(range.start, count)?;
        let mut values = bytemuck::zeroed_vec(count);
        self.read(range.start, &mut values)?;
        Ok(values)
    }
}

macro_rules! elements {
    ($($head:tt)*) => {
        $($head)* {
            /// How many values there are.
            pub fn len(&self) -> usize {
                self.elements().len()
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// A copy of one value; `None` if there is none at that place.
            pub fn get(&self, index: usize) -> Option<T> {
                self.elements().get(index)
            }

            /// Puts a value in its place.
            ///
            /// # Errors
            ///
            /// If the place is not within the array; so it is for all of these.
            pub fn set(&self, index: usize, value: T) -> Result<(), OutOfRange> {
                self.elements().set(index, &value)
            }

            /// Copies values out, as many as there is room for.
            ///
            /// # Errors
            ///
            /// As [`set`](Self::set); then nothing has been copied.
            pub fn read(&self, start: usize, values: &mut [T]) -> Result<(), OutOfRange> {
                self.elements().read(start, values)
            }

            /// Copies values in.
            ///
            /// # Errors
            ///
            /// As [`set`](Self::set); then nothing has been copied.
            pub fn write(&self, start: usize, values: &[T]) -> Result<(), OutOfRange> {
                self.elements().write(start, values)
            }

            /// A copy of a part.
            ///
            /// # Errors
            ///
            /// As [`set`](Self::set).
            pub fn range(&self, range: Range<usize>) -> Result<Vec<T>, OutOfRange> {
                self.elements().range(range)
            }

            /// A copy of everything.
            pub fn to_vec(&self) -> Vec<T> {
                self.range(0..self.len()).unwrap_or_default()
            }
        }
    };
}
elements!(impl<T: PlainData> ArrayGuard<T>);
elements!(impl<T: PlainData> Unlocked<'_, T>);

impl<T: PlainData> ArrayGuard<T> {
    /// Changes one value. If `change` panics, it stays as it was.
    ///
    /// # Errors
    ///
    /// If the place is not within the array; then `change` has not been called.
    pub fn update<R>(
        &self,
        index: usize,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, OutOfRange> {
        let elements = self.elements();
        let place = elements.place(index, 1)?;
        let mut value = copy_out(elements.mapping, place)?;
        let result = change(&mut value);
        copy_in(elements.mapping, place, &value)?;
        Ok(result)
    }
}

fn len_of<T>(mapping: &Mapping) -> usize {
    mapping.len().checked_div(size_of::<T>()).unwrap_or(0)
}

fn guard<T: PlainData>(lock: Result<LockGuard, LockError<LockGuard>>) -> Locked<T> {
    lock.map(ArrayGuard::of)
        .map_err(|error| error.map(ArrayGuard::of))
}
