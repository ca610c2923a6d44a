//! A queue.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{GetError, PutError, TaskDoneError, calls, encoded, length, proxy, sent};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager, unpack};
use crate::manager::objects::containers::{Got, Put, QueueOp, QueueState};
use crate::manager::protocol::Packed;
use crate::manager::proxies::locks::Attempt;
use crate::wire;

proxy! {
    /// A queue in a manager: items of one type, put by any processes and got by any processes, first in, first out.
    ///
    /// It is as [`Queue`](crate::Queue), which lies in memory that processes of one machine share, and needs no server; this one can be
    /// reached from other machines, and its items may have proxies of the same manager in them.
    ///
    /// ```standalone_crate
    /// use procession::manager::Manager;
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let manager = Manager::start()?;
    ///     let queue = manager.bounded_queue::<String>(10)?;
    ///     let same = queue.clone(); // for another thread, or another process
    ///     std::thread::spawn(move || {
    ///         for word in ["so", "much", "to", "do"] {
    ///             same.put(word.to_owned()).unwrap();
    ///         }
    ///         same.close().unwrap();
    ///     });
    ///     let words: Vec<String> = queue.iter().collect::<Result<_, _>>()?;
    ///     assert_eq!(words, ["so", "much", "to", "do"]);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Order
    ///
    /// Items come in the order in which they were put. Those who wait are served in theirs, whether for items or for room.
    ///
    /// # When a call is given up
    ///
    /// Because its time is over, or its future is dropped: a get takes nothing. If an item was on its way to it already, that goes back to
    /// where it was, in front of all that were put after it. A put whose future is dropped puts nothing; if the item had got in already, it is taken out again, **unless somebody
    /// else has got it by then**. A put whose time is over has put its item, or says [`Full`](PutError::Full) and has not: which of both, the manager decides.
    ///
    /// # When a process ends
    ///
    /// or its connection is cut, it does not wait any more. What is lost is the item that it had got (and if it was to call
    /// [`task_done`](Self::task_done), nobody does, and [`join`](Self::join) waits on), or one that was on its way to it.
    QueueProxy<T>, Queue
}

impl Manager {
    /// Makes a queue of as many items as there is memory for.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn queue<T: Serialize + DeserializeOwned + 'static>(
        &self,
    ) -> Result<QueueProxy<T>, ManagerError> {
        self.queue_async().wait()
    }

    /// [`queue`](Self::queue), awaited.
    pub fn queue_async<T: Serialize + DeserializeOwned + 'static>(&self) -> Calling<QueueProxy<T>> {
        make(self, None)
    }

    /// Makes a queue of at most so many items.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Refused`] for 0, which is how Python says that there is no bound: [`queue`](Self::queue). Else as [every call](ManagerError#what-every-call-can-say).
    pub fn bounded_queue<T: Serialize + DeserializeOwned + 'static>(
        &self,
        capacity: u64,
    ) -> Result<QueueProxy<T>, ManagerError> {
        self.bounded_queue_async(capacity).wait()
    }

    /// [`bounded_queue`](Self::bounded_queue), awaited.
    pub fn bounded_queue_async<T: Serialize + DeserializeOwned + 'static>(
        &self,
        capacity: u64,
    ) -> Calling<QueueProxy<T>> {
        make(self, Some(capacity))
    }
}

fn make<T>(manager: &Manager, capacity: Option<u64>) -> Calling<QueueProxy<T>> {
    sent(|| {
        let bytes = encoded(&capacity)?;
        let refs = Vec::new();
        Ok(manager.create(Packed { bytes, refs }))
    })
}

impl<T: Serialize + DeserializeOwned + 'static> QueueProxy<T> {
    /// Puts an item; if the queue is bounded and full, waits until it is not.
    ///
    /// # Errors
    ///
    /// [`Closed`](PutError::Closed), [`Manager`](PutError::Manager). Each has the item in it.
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_async(item).wait(None)
    }

    /// [`put`](Self::put), awaited. The item is encoded and sent at once.
    pub fn put_async(&self, item: T) -> Putting<T> {
        self.begin_put(item, true)
    }

    /// Puts an item if there is room.
    ///
    /// # Errors
    ///
    /// [`Full`](PutError::Full); else as [`put`](Self::put).
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.try_put_async(item).wait(None)
    }

    /// [`try_put`](Self::try_put), awaited.
    pub fn try_put_async(&self, item: T) -> Putting<T> {
        self.begin_put(item, false)
    }

    /// Puts an item if there is room before so long. The way to the manager and back is a part of the time.
    ///
    /// When the time is over, it is the manager that says whether the item was put, so [`Full`](PutError::Full) is certain. That is waited for: one more round trip
    /// to a manager that does well, and until the connection is found to be lost to one that does not.
    ///
    /// # Errors
    ///
    /// [`Full`](PutError::Full), not before that; else as [`put`](Self::put).
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_async(item).wait(Some(timeout))
    }

    /// [`put_timeout`](Self::put_timeout), awaited.
    pub fn put_timeout_async(&self, item: T, timeout: Duration) -> Putting<T> {
        self.begin_put(item, true).within(timeout)
    }

    /// Gets the first item, and waits until there is one.
    ///
    /// # Errors
    ///
    /// [`Closed`](GetError::Closed) when there will be none; [`Undecodable`](GetError::Undecodable), [`Manager`](GetError::Manager).
    pub fn get(&self) -> Result<T, GetError> {
        self.get_async().wait()
    }

    /// [`get`](Self::get), awaited.
    pub fn get_async(&self) -> Attempt<T, GetError> {
        self.begin_get(true)
    }

    /// Gets the first item if there is one.
    ///
    /// # Errors
    ///
    /// [`Empty`](GetError::Empty); else as [`get`](Self::get).
    pub fn try_get(&self) -> Result<T, GetError> {
        self.try_get_async().wait()
    }

    /// [`try_get`](Self::try_get), awaited.
    pub fn try_get_async(&self) -> Attempt<T, GetError> {
        self.begin_get(false)
    }

    /// Gets the first item if there is one before so long. The way to the manager and back is a part of the time. Zero is to try, for which the manager's answer
    /// is waited for.
    ///
    /// # Errors
    ///
    /// [`Empty`](GetError::Empty), not before that; else as [`get`](Self::get).
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        match timeout.is_zero() {
            true => self.try_get(),
            false => self.get_async().wait_timeout(timeout),
        }
    }

    /// [`get_timeout`](Self::get_timeout), awaited.
    pub fn get_timeout_async(&self, timeout: Duration) -> Attempt<T, GetError> {
        match timeout.is_zero() {
            true => self.try_get_async(),
            false => self.get_async().within(timeout),
        }
    }

    /// The items, until the queue is closed and empty; waits for each.
    ///
    /// What [`get`](Self::get) says besides [`Closed`](GetError::Closed) is yielded. After [`Manager`](GetError::Manager), it ends.
    pub fn iter(&self) -> QueueIter<'_, T> {
        QueueIter {
            queue: self,
            is_over: false,
        }
    }

    calls! {
        /// How many items there are.
        fn len / len_async(&self) -> usize {
            Ok(self.remote.call(&QueueOp::State, |state: QueueState| length(state.len)))
        }

        /// Whether there are none. Also of a closed queue.
        fn is_empty / is_empty_async(&self) -> bool {
            Ok(self.look(|state| state.len == 0))
        }

        /// Whether there are as many items as there may be; never so of one that is not bounded.
        fn is_full / is_full_async(&self) -> bool {
            Ok(self.look(|state| state.capacity.is_some_and(|capacity| state.len >= capacity)))
        }

        /// How many items it may hold; `None` if it is not bounded.
        fn capacity / capacity_async(&self) -> Option<u64> {
            Ok(self.look(|state| state.capacity))
        }

        /// Whether it has been closed.
        fn is_closed / is_closed_async(&self) -> bool {
            Ok(self.look(|state| state.is_closed))
        }

        /// How many items have been put that are not done.
        fn unfinished / unfinished_async(&self) -> u64 {
            Ok(self.look(|state| state.unfinished))
        }

        /// Closes it, for all: nothing more is put from here on, and whoever waits to put is turned away. What is there can be got; then those who
        /// get, and those who wait to, are told. Closing it again is nothing.
        fn close / close_async(&self) -> () {
            Ok(self.remote.call(&QueueOp::Close, Ok))
        }
    }

    /// Says that one of the items that have been got has been dealt with, for [`join`](Self::join).
    ///
    /// # Errors
    ///
    /// [`TaskDoneError::TooOften`] if every item that has been put is done already; [`TaskDoneError::Manager`].
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        self.task_done_async().wait()
    }

    /// [`task_done`](Self::task_done), awaited.
    pub fn task_done_async(&self) -> Attempt<(), TaskDoneError> {
        Attempt::new(self.remote.call(&QueueOp::TaskDone, |was_there: bool| {
            Ok(was_there.then_some(()).ok_or(TaskDoneError::TooOften))
        }))
    }

    /// Waits until every item that has been put is done: as many calls of [`task_done`](Self::task_done).
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn join(&self) -> Result<(), ManagerError> {
        self.join_async().wait()
    }

    /// [`join`](Self::join), awaited.
    pub fn join_async(&self) -> Attempt<()> {
        Attempt::new(self.remote.call(&QueueOp::Join, |()| Ok(Ok(()))))
    }

    /// Waits for that for at most so long. Zero is to look, for which the manager's answer is waited for.
    ///
    /// # Errors
    ///
    /// [`ManagerError::TimedOut`], not before that; else as [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), ManagerError> {
        match timeout.is_zero() {
            true => self.is_joined().wait(),
            false => self.join_async().wait_timeout(timeout),
        }
    }

    /// [`join_timeout`](Self::join_timeout), awaited.
    pub fn join_timeout_async(&self, timeout: Duration) -> Attempt<()> {
        match timeout.is_zero() {
            true => self.is_joined(),
            false => self.join_async().within(timeout),
        }
    }

    /// Whether every item is done now; else the time is over.
    fn is_joined(&self) -> Attempt<()> {
        let calling = self.remote.call(&QueueOp::State, |state: QueueState| {
            Ok(match state.unfinished {
                0 => Ok(()),
                _ => Err(ManagerError::TimedOut),
            })
        });
        Attempt::new(calling)
    }

    fn begin_put(&self, item: T, wait: bool) -> Putting<T> {
        let calling = sent(|| {
            let value = self.remote.pack(&item)?;
            let put = QueueOp::Put { value, wait };
            let calling = self.remote.call(&put, |put: Put| Ok(Ok(put)));
            Ok(calling.undone_by(undo_put))
        });
        Putting {
            item: Some(item),
            attempt: Some(Attempt::new(calling).exactly()),
        }
    }

    fn begin_get(&self, wait: bool) -> Attempt<T, GetError> {
        let read = |got: Got<Packed>| {
            Ok(match got {
                Got::Item { value, .. } => unpack(&value).map_err(GetError::Undecodable),
                Got::Empty => Err(GetError::Empty),
                Got::Closed => Err(GetError::Closed),
            })
        };
        let calling = self.remote.call(&QueueOp::Get { wait }, read);
        Attempt::new(calling.undone_by(undo_get))
    }

    fn look<R>(&self, what: impl FnOnce(QueueState) -> R + Send + 'static) -> Calling<R> {
        let read = |state: QueueState| Ok(what(state));
        self.remote.call(&QueueOp::State, read)
    }
}

/// An item that was put for nobody is taken out again.
pub(super) fn undo_put(answer: &[u8]) -> Option<Vec<u8>> {
    match wire::decode(answer).ok()? {
        Put::Done { ticket } => encoded(&QueueOp::TakeBack { ticket }).ok(),
        Put::Full | Put::Closed => None,
    }
}

/// An item that was got for nobody goes back to where it was.
pub(super) fn undo_get(answer: &[u8]) -> Option<Vec<u8>> {
    match wire::decode(answer).ok()? {
        Got::<Packed>::Item { ticket, value } => encoded(&QueueOp::GiveBack { ticket, value }).ok(),
        Got::Empty | Got::Closed => None,
    }
}

/// An item that is on its way into a queue: what [`QueueProxy::put_async`] gives. It has been sent when this is there.
///
/// Dropping it before it is ready takes the item back: see [`QueueProxy`].
///
/// # Panics
///
/// When it is polled after it was ready.
#[must_use = "dropping it takes the item back"]
pub struct Putting<T> {
    item: Option<T>,
    attempt: Option<Attempt<Put>>,
}

impl<T> Putting<T> {
    fn within(self, timeout: Duration) -> Self {
        Self {
            attempt: self.attempt.map(|attempt| attempt.within(timeout)),
            ..self
        }
    }

    fn wait(self, timeout: Option<Duration>) -> Result<(), PutError<T>> {
        let (Some(item), Some(attempt)) = (self.item, self.attempt) else {
            return over();
        };
        let put = match timeout {
            Some(timeout) => attempt.wait_timeout(timeout),
            None => attempt.wait(),
        };
        put_error(item, put)
    }
}

fn put_error<T>(value: T, put: Result<Put, ManagerError>) -> Result<(), PutError<T>> {
    Err(match put {
        Ok(Put::Done { .. }) => return Ok(()),
        Ok(Put::Full) | Err(ManagerError::TimedOut) => PutError::Full(value),
        Ok(Put::Closed) => PutError::Closed(value),
        Err(source) => PutError::Manager { value, source },
    })
}

fn over<R>() -> R {
    panic!("`Putting` polled after its end")
}

// Nothing in it is pinned.
impl<T> Unpin for Putting<T> {}

impl<T> Future for Putting<T> {
    type Output = Result<(), PutError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(attempt) = &mut self.attempt else {
            return over();
        };
        let put = std::task::ready!(Pin::new(attempt).poll(context));
        self.attempt = None;
        match self.item.take() {
            Some(item) => Poll::Ready(put_error(item, put)),
            None => over(),
        }
    }
}

impl<T> fmt::Debug for Putting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Putting").finish_non_exhaustive()
    }
}

/// The items of a queue, until it is closed and empty: what [`QueueProxy::iter`] gives.
#[derive(Debug)]
#[must_use = "it gets nothing before it is asked to"]
pub struct QueueIter<'a, T> {
    queue: &'a QueueProxy<T>,
    is_over: bool,
}

impl<T: Serialize + DeserializeOwned + 'static> Iterator for QueueIter<'_, T> {
    type Item = Result<T, GetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let got = self.queue.get();
        self.is_over = matches!(got, Err(GetError::Closed | GetError::Manager(_)));
        match got {
            Err(GetError::Closed) => None,
            got => Some(got),
        }
    }
}
