//! The handle that users have.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::asynchronous::{GetAsync, PutAsync, Refused};
use super::builder::QueueBuilder;
use super::core::Core;
use super::error::{Fault, GetError, PutError, TaskDoneError, got, put_error, wait_error};
use super::item::{as_bytes, decode_item, encode_item, with_buffer, with_encoded};
use super::iter::Iter;
use super::ring::framed;
use super::transfer::{Buffer, Tried};
use super::watch::{For, Watch};
use crate::sync::WaitError;
use crate::sys::Deadline;
use crate::wire::Handle;

/// Items of one type, put by any processes and got by any processes, first in, first out.
///
/// It is a handle to memory that processes share. A clone is another handle to the same queue, and so is what arrives when one is sent: as
/// an argument or result of a task, or within one. The memory goes with the last handle, with all that is in it, however the processes end. A queue has one descriptor in
/// each process.
///
/// ```
/// use procession::Queue;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let queue = Queue::bounded(10)?;
/// let same = queue.clone(); // for another thread, or another process
/// std::thread::spawn(move || {
///     for word in ["so", "much", "to", "do"] {
///         same.put(word.to_owned()).unwrap();
///     }
///     same.close().unwrap();
/// });
/// let words: Vec<String> = queue.iter().collect::<Result<_, _>>()?;
/// assert_eq!(words, ["so", "much", "to", "do"]);
/// # Ok(())
/// # }
/// ```
///
/// # Order
///
/// The items of one who puts them one after the other come in that order. Those who wait are not served in theirs.
///
/// # When a process is killed
///
/// At whatever moment that is: the queue stays as it was, and usable. What is lost is what that process held: the item that it had not quite put, or
/// had already got. Nobody is left waiting for what is there. (But if it was to call [`task_done`](Self::task_done), nobody
/// does, and [`join`](Self::join) waits on.)
///
/// # What it costs
///
/// Putting and getting take a lock of their side, some copying, and no system call as long as nobody waits. Who waits sleeps in the kernel. An item
/// is copied twice, with the lock of its side held: while one of hundreds of megabytes is put (or got), others who put (or get) wait for it,
/// also those who only try. (256 MiB took about 0.3 s here, nearly all of it for fresh memory.)
///
/// # Items
///
/// can be whatever serde can write (see [the crate's page](crate#data) for what it cannot), but nothing that holds a handle: descriptors cannot lie in memory, so a queue
/// of queues is refused by `put`. What is there is lost when a handle of another type gets it.
///
/// # As in Python, and not
///
/// It is [`multiprocessing.Queue`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Queue), `SimpleQueue` and
/// `JoinableQueue` in one. An item is in the queue when `put` returns: there is no thread that feeds it, so that `empty` and `qsize` tell the truth, an item that
/// cannot be encoded is an error of `put` and takes no room, and nothing has to be flushed at the end of a process. Closing is for all
/// handles: nothing more is put, and what is there can be got.
pub struct Queue<T> {
    local: Arc<Local>,
    items: PhantomData<fn(T) -> T>,
}

/// A queue in this process: what the handles share that are clones.
pub(super) struct Local {
    pub(super) core: Arc<Core>,
    /// Those who await an item, and those who await room.
    pub(super) items: Arc<Watch>,
    pub(super) space: Arc<Watch>,
}

impl Drop for Local {
    fn drop(&mut self) {
        self.items.end(&self.core);
        self.space.end(&self.core);
    }
}

impl<T> Queue<T> {
    pub(super) fn of(core: Core) -> Self {
        let local = Local {
            core: Arc::new(core),
            items: Watch::new(For::Items),
            space: Watch::new(For::Space),
        };
        Self {
            local: Arc::new(local),
            items: PhantomData,
        }
    }

    pub(super) fn core(&self) -> &Core {
        &self.local.core
    }

    /// How many items there were when this looked; it may be otherwise by now.
    pub fn len(&self) -> usize {
        usize::try_from(self.core().len()).unwrap_or(usize::MAX)
    }

    /// Whether there was none. Also of a closed queue.
    pub fn is_empty(&self) -> bool {
        self.core().len() == 0
    }

    /// Whether there were as many items as there may be; never so of one that is not bounded.
    pub fn is_full(&self) -> bool {
        let capacity = self.core().config.capacity;
        capacity != 0 && self.core().len() >= capacity
    }

    /// How many items it may hold; `None` if it is not bounded.
    pub fn capacity(&self) -> Option<u64> {
        let capacity = self.core().config.capacity;
        (capacity != 0).then_some(capacity)
    }

    /// How many bytes it may hold: see [`QueueBuilder::max_bytes`].
    pub fn max_bytes(&self) -> u64 {
        self.core().config.max_bytes
    }

    /// Closes it, for all: nothing more is put from here on, and whoever waits to put is turned away. What is there can be got; then
    /// those who get, and those who wait to, are told. Closing it again is nothing.
    ///
    /// # Errors
    ///
    /// [`WaitError::Broken`] if its memory has been overwritten.
    pub fn close(&self) -> Result<(), WaitError> {
        self.core().close().map_err(wait_error)
    }

    /// Whether it has been closed.
    pub fn is_closed(&self) -> bool {
        self.core().is_closed()
    }

    /// Says that one of the items that have been got has been dealt with, for [`join`](Self::join).
    ///
    /// # Errors
    ///
    /// [`TaskDoneError::TooOften`] if every item that has been put is done already.
    ///
    /// ```
    /// use procession::Queue;
    /// use procession::queue::TaskDoneError;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let queue = Queue::unbounded()?;
    /// queue.put("work".to_owned())?;
    /// let _work = queue.get()?;
    /// queue.task_done()?;
    /// queue.join()?;
    /// assert_eq!(queue.task_done(), Err(TaskDoneError::TooOften));
    /// # Ok(())
    /// # }
    /// ```
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        match self.core().task_done() {
            Ok(true) => Ok(()),
            Ok(false) => Err(TaskDoneError::TooOften),
            Err(_) => Err(TaskDoneError::Corrupt),
        }
    }

    /// Waits until every item that has been put is done: as many calls of [`task_done`](Self::task_done).
    ///
    /// # Errors
    ///
    /// [`WaitError::Broken`] if its memory has been overwritten.
    pub fn join(&self) -> Result<(), WaitError> {
        self.core().join(Deadline::NEVER).map_err(wait_error)
    }

    /// Waits for that for at most so long.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`], not before that; else as [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        let deadline = Deadline::after(timeout);
        self.core().join(deadline).map_err(wait_error)
    }

    /// How many items have been put that are not done.
    pub fn unfinished(&self) -> u64 {
        self.core().unfinished()
    }

    /// Whether both are handles to the same queue.
    pub fn is_same(&self, other: &Self) -> bool {
        self.core().putters.mapping().id() == other.core().putters.mapping().id()
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Queue<T> {
    /// A queue of at most so many items.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for 0, which is how Python says that there is no bound:
    /// [`unbounded`](Self::unbounded). And where the system has no descriptor or no memory for it.
    pub fn bounded(capacity: u64) -> io::Result<Self> {
        Self::builder().capacity(capacity).build()
    }

    /// A queue of as many items as there are bytes for: see [`QueueBuilder::max_bytes`].
    ///
    /// # Errors
    ///
    /// Where the system has no descriptor or no memory for it.
    pub fn unbounded() -> io::Result<Self> {
        Self::builder().build()
    }

    /// A queue of which more is to be said.
    pub fn builder() -> QueueBuilder<T> {
        QueueBuilder::new()
    }

    /// Puts an item; if the queue is bounded and full, waits until it is not.
    ///
    /// # Errors
    ///
    /// [`Closed`](PutError::Closed), [`TooLarge`](PutError::TooLarge), [`Unencodable`](PutError::Unencodable),
    /// [`Full`](PutError::Full) of a queue that is not bounded in items but has used up its bytes. Each has the item in it, and the queue
    /// is as it was.
    ///
    /// ```
    /// use procession::Queue;
    /// use procession::queue::PutError;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let queue = Queue::bounded(1)?;
    /// queue.put(1)?;
    /// match queue.try_put(2) {
    ///     Err(PutError::Full(item)) => assert_eq!(item, 2),
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_with(item, |core, bytes| core.put(bytes, Deadline::NEVER))
    }

    /// Puts an item if there is room. It never waits for room; while another process puts an item, it waits for that.
    ///
    /// # Errors
    ///
    /// [`Full`](PutError::Full); else as [`put`](Self::put).
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_with(item, |core, bytes| core.try_put(bytes, Deadline::NEVER))
    }

    /// Puts an item if there is room before so long. That bounds all of it, but for encoding the item and copying it.
    ///
    /// # Errors
    ///
    /// [`Full`](PutError::Full), not before that; else as [`put`](Self::put).
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        let deadline = Deadline::after(timeout);
        self.put_with(item, |core, bytes| core.put(bytes, deadline))
    }

    /// Puts an item, and is awaited while there is no room.
    ///
    /// The item is encoded at once. Dropped before it is ready, the future has put nothing (and the item is gone with it). While
    /// somebody waits, a thread of this process, `procession-queue`, sleeps on his behalf.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # futures::executor::block_on(async {
    /// let queue = procession::Queue::bounded(1)?;
    /// queue.put_async(1).await?;
    /// assert_eq!(queue.get_async().await?, 1);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn put_async(&self, item: T) -> PutAsync<T> {
        let mut bytes = Vec::new();
        let encoded = self.encode(&item, &mut bytes).map(|()| bytes);
        PutAsync::new(self.local.clone(), item, encoded)
    }

    /// Gets the first item, and waits until there is one.
    ///
    /// # Errors
    ///
    /// [`Closed`](GetError::Closed) when there will be none; [`Undecodable`](GetError::Undecodable).
    pub fn get(&self) -> Result<T, GetError> {
        self.get_with(|core, buffer| core.get(buffer, Deadline::NEVER))
    }

    /// Gets the first item if there is one. It never waits for an item; while another process gets one, it waits for that.
    ///
    /// # Errors
    ///
    /// [`Empty`](GetError::Empty); else as [`get`](Self::get).
    pub fn try_get(&self) -> Result<T, GetError> {
        self.get_with(|core, buffer| core.try_get(buffer, Deadline::NEVER))
    }

    /// Gets the first item if there is one before so long. That bounds all of it, but for copying the item and decoding it.
    ///
    /// # Errors
    ///
    /// [`Empty`](GetError::Empty), not before that; else as [`get`](Self::get).
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        let deadline = Deadline::after(timeout);
        self.get_with(|core, buffer| core.get(buffer, deadline))
    }

    /// Gets the first item, and is awaited while there is none.
    ///
    /// Dropped before it is ready, the future has taken nothing. While somebody waits, a thread of this process,
    /// `procession-queue`, sleeps on his behalf.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_async(&self) -> GetAsync<T> {
        GetAsync::new(self.local.clone())
    }

    /// The items, until the queue is closed and empty; waits for each.
    ///
    /// What [`get`](Self::get) says besides [`Closed`](GetError::Closed) is yielded. After one that is of no use any more,
    /// it ends.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self)
    }

    fn get_with(
        &self,
        get: impl FnOnce(&Core, &mut Buffer) -> Result<Tried, Fault>,
    ) -> Result<T, GetError> {
        with_buffer(|buffer| {
            if !got(get(self.core(), buffer))? {
                return Err(GetError::Closed);
            }
            decode_item(buffer).map_err(GetError::Undecodable)
        })
    }

    fn put_with(
        &self,
        item: T,
        put: impl FnOnce(&Core, &[u8]) -> Result<Tried, Fault>,
    ) -> Result<(), PutError<T>> {
        if let Some(bytes) = as_bytes(&item)
            && self.check_len(bytes.len()).is_ok()
        {
            let tried = put(self.core(), bytes);
            return put_error(item, tried);
        }
        with_encoded(|bytes| match self.encode(&item, bytes) {
            Ok(()) => put_error(item, put(self.core(), bytes)),
            Err(Refused::Unencodable(reason)) => Err(PutError::Unencodable {
                value: item,
                reason,
            }),
            Err(Refused::TooLarge(bytes)) => Err(PutError::TooLarge {
                value: item,
                bytes,
                max_bytes: self.max_bytes(),
            }),
        })
    }

    fn encode(&self, item: &T, bytes: &mut Vec<u8>) -> Result<(), Refused> {
        if let Some(bytes) = as_bytes(item) {
            self.check_len(bytes.len())?;
        }
        encode_item(item, bytes).map_err(Refused::Unencodable)?;
        self.check_len(bytes.len())
    }

    fn check_len(&self, len: usize) -> Result<(), Refused> {
        let taken = framed(len as u64).unwrap_or(u64::MAX);
        if taken > self.max_bytes() {
            return Err(Refused::TooLarge(taken));
        }
        Ok(())
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            local: self.local.clone(),
            items: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

/// Writes the place of its descriptor beside the payload; refuses where none can travel.
impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.core().arena.memory().serialize(serializer)
    }
}

/// Maps the memory after checking that it is a queue's.
impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let handle = Handle::deserialize(deserializer)?;
        let core = Core::attach(handle).map_err(de::Error::custom)?;
        Ok(Self::of(core))
    }
}
