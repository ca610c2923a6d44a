//! Items until there are no more.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{GetError, Queue};

/// The items of a queue until it is closed and empty: what [`Queue::iter`] returns.
pub struct Iter<'a, T> {
    queue: &'a Queue<T>,
    is_over: bool,
}

/// The same, of a queue that it keeps.
pub struct IntoIter<T> {
    queue: Queue<T>,
    is_over: bool,
}

impl<'a, T> Iter<'a, T> {
    pub(super) fn new(queue: &'a Queue<T>) -> Self {
        Self {
            queue,
            is_over: false,
        }
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Iterator for Iter<'_, T> {
    type Item = Result<T, GetError>;

    fn next(&mut self) -> Option<Self::Item> {
        next(self.queue, &mut self.is_over)
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Iterator for IntoIter<T> {
    type Item = Result<T, GetError>;

    fn next(&mut self) -> Option<Self::Item> {
        next(&self.queue, &mut self.is_over)
    }
}

fn next<T: Serialize + DeserializeOwned + 'static>(
    queue: &Queue<T>,
    is_over: &mut bool,
) -> Option<Result<T, GetError>> {
    if *is_over {
        return None;
    }
    let got = queue.get();
    // Those come once and then always.
    *is_over = matches!(
        got,
        Err(GetError::Closed | GetError::Corrupt | GetError::System(_))
    );
    match got {
        Err(GetError::Closed) => None,
        got => Some(got),
    }
}

impl<'a, T: Serialize + DeserializeOwned + 'static> IntoIterator for &'a Queue<T> {
    type Item = Result<T, GetError>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: Serialize + DeserializeOwned + 'static> IntoIterator for Queue<T> {
    type Item = Result<T, GetError>;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter {
            queue: self,
            is_over: false,
        }
    }
}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Iter").field(self.queue).finish()
    }
}

impl<T> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoIter").field(&self.queue).finish()
    }
}
