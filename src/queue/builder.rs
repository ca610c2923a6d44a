//! What a queue may hold.

use std::fmt;
use std::io;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Queue;
use super::core::{Config, Core};

/// A gibibyte.
const MAX_BYTES: u64 = 1 << 30;

/// Makes a [`Queue`] of which more is to be said than how many items it may hold.
///
/// ```
/// use procession::Queue;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let queue = Queue::<String>::builder()
///     .capacity(100)
///     .max_bytes(1 << 20)
///     .build()?;
/// assert_eq!((queue.capacity(), queue.max_bytes()), (Some(100), 1 << 20));
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is made before `build` is called"]
pub struct QueueBuilder<T> {
    capacity: Option<u64>,
    max_bytes: u64,
    items: PhantomData<fn(T) -> T>,
}

impl<T: Serialize + DeserializeOwned + 'static> QueueBuilder<T> {
    pub(super) fn new() -> Self {
        Self {
            capacity: None,
            max_bytes: MAX_BYTES,
            items: PhantomData,
        }
    }

    /// The most items at a time; unless it is said, as many as there are bytes for. Not 0.
    pub fn capacity(mut self, items: u64) -> Self {
        self.capacity = Some(items);
        self
    }

    /// The most bytes that all items may take together, encoded, each with 8 more and rounded up to 8; a gibibyte unless it is said.
    ///
    /// No memory is taken before something is there. What was taken is used again; if it is more than 16 MiB, it is given back by
    /// whoever finds the queue empty. Where they are used up,
    /// a queue that is bounded in items is full, so that [`put`](Queue::put) waits; one that is not says
    /// [`Full`](super::PutError::Full). While a queue grows, or where this is no power of two, it may take twice as much for a moment.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a capacity of 0 (Python has that for no bound: leave it out), for no bytes or for more than
    /// 2⁴⁰; and where the system has no descriptor or no memory for it.
    pub fn build(self) -> io::Result<Queue<T>> {
        let refused = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if self.capacity == Some(0) {
            return refused(
                "a bounded queue has room for one item at least; one without a bound is `Queue::unbounded`, or has no `capacity`",
            );
        }
        if self.max_bytes < 8 {
            return refused("a queue has room for 8 bytes at least");
        }
        let core = Core::create(Config {
            capacity: self.capacity.unwrap_or(0),
            max_bytes: self.max_bytes,
        })?;
        Ok(Queue::of(core))
    }
}

impl<T> fmt::Debug for QueueBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueBuilder")
            .field("capacity", &self.capacity)
            .field("max_bytes", &self.max_bytes)
            .finish()
    }
}
