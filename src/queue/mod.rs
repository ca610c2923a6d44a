//! [`Queue`]: items from processes to processes, through memory that they share.
//!
//! What follows is for those who want to know how it is made, and why it survives what it does.
//!
//! # What is where
//!
//! | file | one line |
//! |--|--|
//! | `core` | the memory: how it is laid out, made, and checked by whoever gets it |
//! | `side` | one side: a lock, how far those are who put (or get), a sequence to sleep on |
//! | `ring` | where the items lie |
//! | `transfer` | bytes in and out, and the waiting for it |
//! | `item` | values to bytes and back |
//! | `watch` | who sleeps on behalf of those who await |
//! | `asynchronous`, `iter`, `builder`, `error` | the rest of what users call |
//!
//! # The protocol
//!
//! There are two robust locks, one for those who put and one for those who get (as in Michael and Scott,
//! [*Simple, fast, and practical non-blocking and blocking concurrent queue
//! algorithms*](https://www.cs.rochester.edu/u/scott/papers/1996_PODC_queues.pdf), 1996): neither side waits for the other. Each side has a **count** of the items that have
//! gone through it, and the place in the ring behind them. There are *put − got* items. Only a side itself changes its count, with its lock
//! held, and by one store, after all that belongs to it:
//!
//! ```text
//!  put, with the lock of those who put        get, with the lock of those who get
//!  ───────────────────────────────────        ───────────────────────────────────
//!  1. no room? unlock, wait                   1. no item? unlock, wait
//!  2. write the item behind the last          2. copy the first item out
//!  3. sequence += 1, wake who waits for it    3. sequence += 1, wake who waits for room
//!  4. note the new place beside the old       4. note the new place beside the old
//!  5. COMMIT: count += 1                      5. COMMIT: count += 1
//!  unlock                                     unlock; decode
//! ```
//!
//! *A process that is killed at any instruction of this* has committed or not. If not, nothing has happened: what it wrote is behind the last item, or
//! in the place that the count does not say is valid. If it has, all has happened. So the state behind a lock whose owner has died is as good as any,
//! and the next one goes on (it only gives memory back that may have been left between two rings, see below). What a killed process loses
//! is the item that it held: one that it had not yet put, or one that it had just got. No item comes twice, or torn.
//!
//! # Nobody sleeps beside what he waits for
//!
//! The order of 3 and 5 is that of [`sync`](crate::sync), for the reasons given there: killed between them, it has woken somebody in vain; the other way
//! round it would have left somebody asleep for ever. Who waits reads the sequence of the *other* side under the lock of the other side, finds
//! there that nothing has been committed, unlocks, and sleeps while the sequence is what it was. (It need not hold its own lock for that: its own side can only make it
//! emptier, or fuller, meanwhile.)
//!
//! Waking all would be right, and a stampede. Waking one is wrong if that one may be killed with the news. Here **one sleeps at a time**:
//! whoever wants to sleep takes the lock of a waiting room first, which is robust too, and keeps it until he has what he waits for. The others wait for
//! that lock. So a change wakes one; and when it has its item, or its time is over, or it is killed, then the kernel lets the next one in, who looks for himself before he sleeps. Besides him, one
//! thread of each process may sleep there, on behalf of those who await.
//!
//! That somebody sleeps is noted in a word, under the same lock as the sequence is read, and crossed out by whoever wakes all who sleep. If it is
//! wrong after a kill, it says that somebody sleeps where nobody does: that costs one system call.
//!
//! # The ring
//!
//! Items lie one behind the other in a ring of bytes. If one does not fit, those who put take the other lock too (always in this order; the other one is
//! only tried), copy all that there is into a ring of twice the size or more, and commit to that by one store. Each size has its own place in a file
//! that is sealed at its full length: it takes no memory where nothing has been written, nobody has to learn that it has grown, and it cannot shrink. Who finds a large ring empty goes back to a
//! small one, and gives the memory back.
//!
//! An item is copied with the lock of its side held. While one of hundreds of megabytes is, others of that side wait, and those of the other
//! side go on. (To copy without the lock one would have to reserve, and somebody would have to notice that a reservation's owner has died; the kernel
//! does that for locks alone.)
//!
//! # What others write there
//!
//! is never trusted: all numbers are copied out once and checked, what is reached is within a mapping, and every loop is bounded by the time limit or by
//! what another process does meanwhile. A queue that has been scribbled over says [`Corrupt`](GetError::Corrupt), or gives items that are none.

mod asynchronous;
mod builder;
mod core;
mod error;
mod item;
mod iter;
mod ring;
mod side;
mod transfer;
mod watch;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::sync::WaitError;
use crate::sys::Deadline;
use crate::wire::Handle;

use self::asynchronous::Refused;
use self::core::Core;
use self::error::Fault;
use self::item::{decode_item, encode_item, with_buffer, with_encoded};
use self::ring::framed;
use self::transfer::Tried;
use self::watch::{For, Watch};

pub use self::asynchronous::{GetAsync, PutAsync};
pub use self::builder::QueueBuilder;
pub use self::error::{GetError, PutError, TaskDoneError};
pub use self::iter::{IntoIter, Iter};

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
/// also those who only try.
///
/// # Items
///
/// can be whatever serde can write (see the crate's page on data), but nothing that holds a handle: descriptors cannot lie in memory, so a queue
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
struct Local {
    core: Arc<Core>,
    /// Those who await an item, and those who await room.
    items: Arc<Watch>,
    space: Arc<Watch>,
}

impl Drop for Local {
    fn drop(&mut self) {
        self.items.end(&self.core);
        self.space.end(&self.core);
    }
}

impl<T> Queue<T> {
    fn of(core: Core) -> Self {
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

    fn core(&self) -> &Core {
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
    /// use procession::{Queue, TaskDoneError};
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
    /// use procession::{PutError, Queue};
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
        self.get_until(Deadline::NEVER)
    }

    /// Gets the first item if there is one. It never waits for an item; while another process gets one, it waits for that.
    ///
    /// # Errors
    ///
    /// [`Empty`](GetError::Empty); else as [`get`](Self::get).
    pub fn try_get(&self) -> Result<T, GetError> {
        with_buffer(|buffer| {
            if !got(self.core().try_get(buffer, Deadline::NEVER))? {
                return Err(GetError::Closed);
            }
            decode_item(buffer.item()).map_err(GetError::Undecodable)
        })
    }

    /// Gets the first item if there is one before so long. That bounds all of it, but for copying the item and decoding it.
    ///
    /// # Errors
    ///
    /// [`Empty`](GetError::Empty), not before that; else as [`get`](Self::get).
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        self.get_until(Deadline::after(timeout))
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

    fn get_until(&self, deadline: Deadline) -> Result<T, GetError> {
        with_buffer(|buffer| {
            if !got(self.core().get(buffer, deadline))? {
                return Err(GetError::Closed);
            }
            decode_item(buffer.item()).map_err(GetError::Undecodable)
        })
    }

    fn put_with(
        &self,
        item: T,
        put: impl FnOnce(&Core, &[u8]) -> Result<Tried, Fault>,
    ) -> Result<(), PutError<T>> {
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
        encode_item(item, bytes).map_err(Refused::Unencodable)?;
        let taken = framed(bytes.len() as u64).unwrap_or(u64::MAX);
        if taken > self.max_bytes() {
            return Err(Refused::TooLarge(taken));
        }
        Ok(())
    }
}

/// Whether there is an item; if not, the queue is closed.
#[inline]
fn got(tried: Result<Tried, Fault>) -> Result<bool, GetError> {
    match tried {
        Ok(Tried::Done) => Ok(true),
        Ok(Tried::Closed) => Ok(false),
        Ok(Tried::NotNow | Tried::Full) | Err(Fault::TimedOut) => Err(GetError::Empty),
        Err(Fault::Corrupt) => Err(GetError::Corrupt),
        Err(Fault::System(error)) => Err(GetError::System(error)),
    }
}

#[inline]
fn put_error<T>(value: T, tried: Result<Tried, Fault>) -> Result<(), PutError<T>> {
    Err(match tried {
        Ok(Tried::Done) => return Ok(()),
        Ok(Tried::Closed) => PutError::Closed(value),
        Ok(Tried::NotNow | Tried::Full) | Err(Fault::TimedOut) => PutError::Full(value),
        Err(Fault::Corrupt) => PutError::Corrupt(value),
        Err(Fault::System(source)) => PutError::System { value, source },
    })
}

fn wait_error(fault: Fault) -> WaitError {
    match fault {
        Fault::TimedOut => WaitError::TimedOut,
        Fault::Corrupt | Fault::System(_) => WaitError::Broken,
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

#[cfg(all(test, not(loom)))]
mod tests;
