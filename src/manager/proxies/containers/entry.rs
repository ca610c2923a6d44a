//! What is at a key of a dictionary.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::DictProxy;
use crate::manager::ManagerError;

/// What is at a key of a [`DictProxy`]: what [`DictProxy::entry`] gives. Nothing is done before one of the methods that begin with `or_` is called; and what
/// that does is done in one atomic step, whatever others do.
///
/// If somebody else changes the value of the key at the same time, the closures are called once more, with what is there then.
#[must_use = "nothing is done before `or_insert`, `or_insert_with` or `or_default`"]
pub struct Entry<'a, K, V> {
    dict: &'a DictProxy<K, V>,
    key: K,
    change: Option<Change<'a, V>>,
}

type Change<'a, V> = Box<dyn FnMut(&mut V) + Send + 'a>;

/// The steps of `or_insert_with`, each ended as its form of the call is.
macro_rules! fill {
    ($entry:ident, $make:ident, $($end:tt)+) => {{
        let Entry { dict, key, mut change } = $entry;
        let mut made: Option<V> = None;
        let mut make = Some($make);
        loop {
            let (held, seen) = dict.read(&key) $($end)+ ?;
            match (held, &mut change) {
                (Some(held), None) => return Ok(held),
                (Some(mut held), Some(change)) => {
                    change(&mut held);
                    if dict.put_back(&key, Some(&held), seen) $($end)+ ? {
                        return Ok(held);
                    }
                }
                (None, _) => {
                    let value = match (made.take(), make.take()) {
                        (Some(value), _) => value,
                        (None, Some(make)) => make(),
                        // One of them is always there: what was made is kept below.
                        (None, None) => continue,
                    };
                    if dict.put_back(&key, Some(&value), seen) $($end)+ ? {
                        return Ok(value);
                    }
                    made = Some(value);
                }
            }
        }
    }};
}

impl<'a, K, V> Entry<'a, K, V>
where
    K: Serialize + DeserializeOwned + 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    pub(super) fn new(dict: &'a DictProxy<K, V>, key: K) -> Self {
        Self {
            dict,
            key,
            change: None,
        }
    }

    /// The key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// If there is a value, it will be changed so, after what was said before.
    pub fn and_modify(self, mut change: impl FnMut(&mut V) + Send + 'a) -> Self {
        let change: Change<'a, V> = match self.change {
            None => Box::new(change),
            Some(mut before) => Box::new(move |value| {
                before(value);
                change(value);
            }),
        };
        Self {
            change: Some(change),
            ..self
        }
    }

    /// Inserts this value if there is none, and returns the one that is there then. One round trip if nothing is to be changed, else two for each try.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn or_insert(self, value: V) -> Result<V, ManagerError> {
        match self.change {
            None => self.dict.get_or_insert(self.key, value),
            Some(_) => self.or_insert_with(|| value),
        }
    }

    /// [`or_insert`](Self::or_insert), awaited.
    pub async fn or_insert_async(self, value: V) -> Result<V, ManagerError> {
        match self.change {
            None => self.dict.get_or_insert_async(self.key, value).await,
            Some(_) => self.or_insert_with_async(|| value).await,
        }
    }

    /// Inserts what `make` makes if there is no value, and returns the one that is there then. `make` is called once at most. One round trip
    /// where there is a value and nothing is to be changed, else two for each try.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> Result<V, ManagerError> {
        fill!(self, make, .wait())
    }

    /// [`or_insert_with`](Self::or_insert_with), awaited.
    pub async fn or_insert_with_async(self, make: impl FnOnce() -> V) -> Result<V, ManagerError> {
        fill!(self, make, .await)
    }

    /// Inserts the default value if there is none, and returns the one that is there then.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn or_default(self) -> Result<V, ManagerError>
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// [`or_default`](Self::or_default), awaited.
    pub async fn or_default_async(self) -> Result<V, ManagerError>
    where
        V: Default,
    {
        self.or_insert_with_async(V::default).await
    }
}

impl<K: fmt::Debug, V> fmt::Debug for Entry<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("dict", self.dict)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
