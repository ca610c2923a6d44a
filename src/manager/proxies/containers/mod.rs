//! Proxies of the objects that keep values.
//!
//! Each call has a form that blocks and one that is awaited, made by `calls!` from one body. What is changed by a closure is changed here, in the
//! client, and put back if nobody else has changed it meanwhile: `update`.

mod array;
mod dict;
mod elements;
mod entry;
mod list;
mod members;
mod namespace;
mod number;
mod queue;
mod queue_error;
mod set;
mod value;

use std::ops::{Bound, RangeBounds};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

pub use self::array::ArrayProxy;
pub use self::dict::DictProxy;
pub use self::entry::Entry;
pub use self::list::ListProxy;
pub use self::namespace::NamespaceProxy;
pub use self::number::Number;
pub use self::queue::{Putting, QueueIter, QueueProxy};
pub use self::queue_error::{GetError, PutError, TaskDoneError};
pub use self::set::{Members, SetProxy};
pub use self::value::ValueProxy;
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager, Remote, unpack};
use crate::manager::protocol::Packed;
use crate::wire;

/// What all of them have: they are made of a `Remote`, travel as it does, and can be compared.
macro_rules! proxy {
    ($(#[$docs:meta])* $name:ident<$($value:ident),*>, $kind:ident) => {
        $(#[$docs])*
        pub struct $name<$($value),*> {
            remote: $crate::manager::client::Remote,
            values: std::marker::PhantomData<fn($($value),*) -> ($($value,)*)>,
        }

        impl<$($value),*> $name<$($value),*> {
            /// Whether both are proxies of the same object.
            pub fn is_same(&self, other: &Self) -> bool {
                self.remote.is_same(&other.remote)
            }
        }

        impl<$($value),*> $crate::manager::client::Proxy for $name<$($value),*> {
            const KIND: $crate::manager::store::Kind = $crate::manager::store::Kind::$kind;

            fn type_name() -> String {
                [$(std::any::type_name::<$value>()),*].join(", ")
            }

            fn of(remote: $crate::manager::client::Remote) -> Self {
                let values = std::marker::PhantomData;
                Self { remote, values }
            }

            fn remote(&self) -> &$crate::manager::client::Remote {
                &self.remote
            }
        }

        impl<$($value),*> Clone for $name<$($value),*> {
            fn clone(&self) -> Self {
                $crate::manager::client::Proxy::of(self.remote.clone())
            }
        }

        impl<$($value),*> serde::Serialize for $name<$($value),*> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.remote.serialize(serializer)
            }
        }

        impl<'de, $($value),*> serde::Deserialize<'de> for $name<$($value),*> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let remote = serde::Deserialize::deserialize(deserializer)?;
                Ok($crate::manager::client::Proxy::of(remote))
            }
        }

        impl<$($value),*> std::fmt::Debug for $name<$($value),*> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.remote.describe(stringify!($name), f)
            }
        }
    };
}
use proxy;

/// Calls in both forms. The body makes the call; where it fails, that is what the call says. With `[Q of K]`, it takes what a `K` can be borrowed as.
macro_rules! calls {
    ($(
        $(#[$docs:meta])*
        fn $name:ident / $name_async:ident $([$borrowed:ident of $owned:ident])?
            (&$this:ident $(, $argument:ident: $type:ty)* $(,)?) -> $answer:ty $body:block
    )*) => {$(
        $(#[$docs])*
        ///
        /// # Errors
        ///
        /// As [every call](ManagerError#what-every-call-can-say), and what is said above.
        pub fn $name $(<$borrowed>)? (&$this $(, $argument: $type)*) -> Result<$answer, ManagerError>
        $(where
            $owned: std::borrow::Borrow<$borrowed>,
            $borrowed: Serialize + ?Sized,)?
        {
            $this.$name_async($($argument),*).wait()
        }

        #[doc = concat!("[`", stringify!($name), "`](Self::", stringify!($name), "), awaited.")]
        pub fn $name_async $(<$borrowed>)? (&$this $(, $argument: $type)*) -> Calling<$answer>
        $(where
            $owned: std::borrow::Borrow<$borrowed>,
            $borrowed: Serialize + ?Sized,)?
        {
            sent(|| $body)
        }
    )*};
}
use calls;

/// A call, or why it could not be made.
fn sent<T>(call: impl FnOnce() -> Result<Calling<T>, ManagerError>) -> Calling<T> {
    call().unwrap_or_else(Calling::failed)
}

/// Reads, changes, and puts back if that is still what was read; else once more.
macro_rules! optimistically {
    ($read:ident, $change:ident, $put_back:ident, $($end:tt)+) => {
        loop {
            let (mut value, seen) = $read() $($end)+ ?;
            let answer = $change(&mut value);
            if $put_back(&value, seen) $($end)+ ? {
                return Ok(answer);
            }
        }
    };
}

fn update<T, S, R>(
    read: impl Fn() -> Calling<(T, S)>,
    mut change: impl FnMut(&mut T) -> R,
    put_back: impl Fn(&T, S) -> Calling<bool>,
) -> Result<R, ManagerError> {
    optimistically!(read, change, put_back, .wait())
}

async fn update_async<T, S, R>(
    read: impl Fn() -> Calling<(T, S)>,
    mut change: impl FnMut(&mut T) -> R,
    put_back: impl Fn(&T, S) -> Calling<bool>,
) -> Result<R, ManagerError> {
    optimistically!(read, change, put_back, .await)
}

/// A value, and the bytes that it is, by which it is known again. (Encoding it anew may give others: a `HashMap` does.)
fn seen<T: DeserializeOwned + 'static>(packed: Packed) -> Result<(T, ByteBuf), ManagerError> {
    let value = unpack(&packed)?;
    Ok((value, ByteBuf::from(packed.bytes)))
}

fn maybe<T: DeserializeOwned + 'static>(packed: Option<Packed>) -> Result<Option<T>, ManagerError> {
    packed.as_ref().map(unpack).transpose()
}

fn all<T: DeserializeOwned + 'static>(packed: Vec<Packed>) -> Result<Vec<T>, ManagerError> {
    packed.iter().map(unpack).collect()
}

fn entry<K: DeserializeOwned + 'static, V: DeserializeOwned + 'static>(
    (key, value): (Packed, Packed),
) -> Result<(K, V), ManagerError> {
    Ok((unpack(&key)?, unpack(&value)?))
}

/// The bytes of a value that is only looked for.
fn bytes<T: Serialize + 'static>(remote: &Remote, value: &T) -> Result<ByteBuf, ManagerError> {
    Ok(ByteBuf::from(remote.pack(value)?.bytes))
}

/// The same of what a value is borrowed as.
fn bytes_of_borrowed<Q: Serialize + ?Sized>(
    remote: &Remote,
    value: &Q,
) -> Result<ByteBuf, ManagerError> {
    Ok(ByteBuf::from(remote.pack_borrowed(value)?.bytes))
}

fn pack_all<T: Serialize + 'static>(
    remote: &Remote,
    values: &[T],
) -> Result<Vec<Packed>, ManagerError> {
    values.iter().map(|value| remote.pack(value)).collect()
}

fn length(len: u64) -> Result<usize, ManagerError> {
    Ok(usize::try_from(len).unwrap_or(usize::MAX))
}

/// A range as the server takes it: without an end, it goes on to that of what is there.
fn bounds(range: &impl RangeBounds<usize>) -> (u64, Option<u64>) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start as u64,
        Bound::Excluded(before) => (*before as u64).saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => Some((*last as u64).saturating_add(1)),
        Bound::Excluded(end) => Some(*end as u64),
        Bound::Unbounded => None,
    };
    (start, end)
}

/// Makes an object that begins with these values.
fn create_with<P: crate::manager::client::Proxy, T: Serialize + 'static>(
    manager: &Manager,
    values: impl IntoIterator<Item = T>,
) -> Calling<P> {
    // They are there until the request is made: there may be proxies in them.
    let values: Vec<T> = values.into_iter().collect();
    sent(|| {
        let packed = values.iter().map(|value| manager.pack(value));
        let packed: Vec<Packed> = packed.collect::<Result<_, _>>()?;
        let refs = packed.iter().flat_map(|value| value.refs.iter().copied());
        let refs = refs.collect();
        Ok(manager.create(Packed {
            bytes: encoded(&packed)?,
            refs,
        }))
    })
}

fn encoded<T: Serialize + 'static>(words: &T) -> Result<Vec<u8>, ManagerError> {
    let mut bytes = Vec::new();
    match wire::encode(words, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(ManagerError::NotEncoded {
            type_name: std::any::type_name::<T>(),
            message: error.into_message(),
        }),
    }
}

#[cfg(test)]
mod tests;
