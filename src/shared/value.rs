//! One value.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::plain::{copy_in, copy_out};
use super::{AtomicInteger, PlainData};
use crate::sync::{Lock, LockError, LockGuard, Room};
use crate::sys::Mapping;

/// A value in shared memory, with a lock.
///
/// [`get`](Self::get), [`set`](Self::set) and [`update`](Self::update) take the lock for as long as they take. What has to stay the same in between
/// needs a [guard](Self::lock) or an `update`: `v.set(v.get()? + 1)?` loses what others do after `get`. For an integer,
/// [`as_atomic`](Self::as_atomic) does without the lock.
///
/// As [`multiprocessing.Value`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Value).
///
/// ```
/// use procession::shared::Value;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let count = Value::new(1_i64)?;
/// let same = count.clone();
/// same.update(|n| *n += 41)?;
/// assert_eq!(count.get()?, 42);
///
/// let guard = count.lock()?;
/// guard.set(guard.get() - 1); // nobody comes in between
/// # Ok(())
/// # }
/// ```
pub struct Value<T> {
    /// Its memory is the value's, too.
    lock: Lock,
    of: PhantomData<fn(T) -> T>,
}

/// What the methods of a [`Value`] return.
type Locked<R, T> = Result<R, LockError<ValueGuard<T>>>;

impl<T: PlainData> Value<T> {
    /// Puts a value into new shared memory.
    ///
    /// # Errors
    ///
    /// Where the system has no descriptor or no memory for it.
    pub fn new(value: T) -> io::Result<Self> {
        let room = Room::create("procession-value", size_of::<T>())?;
        copy_in(&room.mapping, 0, &value).map_err(io::Error::other)?;
        Ok(Self::of(room))
    }

    /// A copy of the value.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock). [`OwnerDied`](LockError::OwnerDied) says that what is there may be half of one value and half of
    /// another.
    pub fn get(&self) -> Locked<T, T> {
        self.with_lock(|mapping| copy_out(mapping, 0).unwrap_or(T::zeroed()))
    }

    /// Puts another value in its place.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    pub fn set(&self, value: T) -> Locked<(), T> {
        self.with_lock(|mapping| {
            let _ = copy_in(mapping, 0, &value);
        })
    }

    /// Changes the value, with the lock held meanwhile. If `change` panics, the value stays as it was.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock); then `change` has not been called.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Locked<R, T> {
        self.with_lock(|mapping| update(mapping, change))
    }

    /// Waits for the lock, and takes it.
    ///
    /// # Errors
    ///
    /// As [`Lock::lock`].
    pub fn lock(&self) -> Locked<ValueGuard<T>, T> {
        guard(self.lock.lock())
    }

    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    ///
    /// As [`Lock::try_lock`].
    pub fn try_lock(&self) -> Locked<ValueGuard<T>, T> {
        guard(self.lock.try_lock())
    }

    /// Waits for the lock for at most so long.
    ///
    /// # Errors
    ///
    /// As [`Lock::lock_timeout`].
    pub fn lock_timeout(&self, timeout: Duration) -> Locked<ValueGuard<T>, T> {
        guard(self.lock.lock_timeout(timeout))
    }

    /// The value as a guard has it that [`as_lock`](Self::as_lock), or a condition of it, has given.
    ///
    /// # Errors
    ///
    /// [`WrongLock`](LockError::WrongLock) if the guard is another lock's.
    pub fn locked_by(&self, guard: LockGuard) -> Result<ValueGuard<T>, LockError<LockGuard>> {
        if !guard.is_of(&self.lock) {
            return Err(LockError::WrongLock(guard));
        }
        Ok(ValueGuard::of(guard))
    }

    /// The lock of this value, to be used by itself: for a [`Condition`](crate::sync::Condition), for one.
    pub fn as_lock(&self) -> &Lock {
        &self.lock
    }

    /// A copy of the value, whoever has the lock. If somebody changes it at this moment, some bytes of it may be from before that and some
    /// from after; for those who share another lock, or know that nobody does.
    pub fn get_unlocked(&self) -> T {
        copy_out(self.mapping(), 0).unwrap_or(T::zeroed())
    }

    /// Puts another value in its place, whoever has the lock. As [`get_unlocked`](Self::get_unlocked).
    pub fn set_unlocked(&self, value: T) {
        let _ = copy_in(self.mapping(), 0, &value);
    }

    /// Whether both are handles to the same value.
    pub fn is_same(&self, other: &Self) -> bool {
        self.lock.is_same(&other.lock)
    }

    /// Runs this with the lock held.
    #[inline]
    fn with_lock<R>(&self, run: impl FnOnce(&Mapping) -> R) -> Locked<R, T> {
        let refused = match self.lock.room().mapping.with_lock(|mapping| run(mapping)) {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(held)) => Ok(held),
            Err(error) => Err(error),
        };
        guard(LockGuard::waited(refused)).and_then(|guard| Err(LockError::OwnerDied(guard)))
    }

    fn of(room: Room) -> Self {
        Self {
            lock: Lock::of(room),
            of: PhantomData,
        }
    }

    fn mapping(&self) -> &Mapping {
        &self.lock.room().mapping
    }
}

impl<T: AtomicInteger> Value<T> {
    /// The value as an atomic, which needs no lock, and does not care who has it.
    ///
    /// ```
    /// use std::sync::atomic::Ordering;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let count = procession::shared::Value::new(0_u64)?;
    /// count.as_atomic().fetch_add(1, Ordering::Relaxed);
    /// assert_eq!(count.get()?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn as_atomic(&self) -> &T::Atomic {
        let atomics = self.mapping().atomics();
        atomics.first().expect("a value's memory holds the value")
    }
}

impl<T> Clone for Value<T> {
    fn clone(&self) -> Self {
        Self {
            lock: self.lock.clone(),
            of: PhantomData,
        }
    }
}

impl<T> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.lock.serialize(serializer)
    }
}

impl<'de, T: PlainData> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let room = Room::deserialize(deserializer)?;
        if room.len() != size_of::<T>() {
            return Err(de::Error::custom(
                "shared memory of a value of another size",
            ));
        }
        Ok(Self::of(room))
    }
}

impl<T> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = self.lock.room().owner();
        f.debug_struct("Value").field("owner", &owner).finish()
    }
}

/// The lock of a [`Value`], which this thread has; released on drop.
///
/// It stays with its thread (it is not `Send`).
#[must_use = "the lock is released when this is dropped"]
pub struct ValueGuard<T> {
    lock: LockGuard,
    of: PhantomData<fn(T) -> T>,
}

impl<T: PlainData> ValueGuard<T> {
    /// A copy of the value.
    pub fn get(&self) -> T {
        copy_out(self.lock.mapping(), 0).unwrap_or(T::zeroed())
    }

    /// Puts another value in its place.
    pub fn set(&self, value: T) {
        let _ = copy_in(self.lock.mapping(), 0, &value);
    }

    /// Changes the value. If `change` panics, it stays as it was.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        update(self.lock.mapping(), change)
    }

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
}

impl<T> fmt::Debug for ValueGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueGuard").finish_non_exhaustive()
    }
}

fn update<T: PlainData, R>(mapping: &Mapping, change: impl FnOnce(&mut T) -> R) -> R {
    let mut value = copy_out(mapping, 0).unwrap_or(T::zeroed());
    let result = change(&mut value);
    let _ = copy_in(mapping, 0, &value);
    result
}

fn guard<T: PlainData>(lock: Result<LockGuard, LockError<LockGuard>>) -> Locked<ValueGuard<T>, T> {
    lock.map(ValueGuard::of)
        .map_err(|error| error.map(ValueGuard::of))
}
