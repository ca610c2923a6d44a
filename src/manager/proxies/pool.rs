//! A process pool that lives in the server, as its users hold it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::iter::FusedIterator;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{SubmitError, TaskError, TaskId};
use crate::executor::Shutdown;
use crate::executor::process::callbacks::Callbacks;
use crate::future::{Future, Host, HostRef, Kill, Outcome, RawFuture};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager, Proxy, Remote, granted, lend_by, standing_in};
use crate::manager::objects::pool::{Ended, Failure, Found, HowToEnd, PoolOp, in_full};
use crate::manager::protocol::Packed;
use crate::manager::store::Kind;
use crate::primitives::plain::{Mutex, lock};
use crate::registry::{TaskFunction, find};
use crate::wire::{self, Encoded};

/// How many tasks [`PoolProxy::map`] keeps submitted ahead of the results that are taken.
const AHEAD: usize = 256;

/// A pool of worker processes that lives in a manager: whoever has a proxy submits to the same workers, on the manager's machine.
///
/// A function is sent by its name: it has to be registered in the manager's program as well, with the same types, or the future says
/// [`TaskError::Refused`]. Arguments and results travel through the manager. Proxies of this manager may be among them: its objects are there while the task is queued, and as long as
/// the worker, or whoever has the result, keeps the proxy. The worker reaches the manager at the address by which the submitter knows it. Descriptors (ends of pipes, shared
/// memory), proxies of other managers and a [`Manager`] itself are refused: they do not travel through a server that need not be on the same machine.
///
/// What becomes of a task is said as by a pool of one's own: [`TaskError`], with a panic's text or how a worker ended. Why a pool broke travels as
/// text, in [`TaskError::Manager`]; so does that the manager is lost.
///
/// **When a process ends, or its connection is cut, the tasks that it has pending are cancelled**; those that run are
/// [told](crate::is_cancelled), and their results go nowhere. Dropping a future detaches its task. When the last proxy is gone, so are the workers.
///
/// A task waits while the workers are being started; if they cannot be, all futures say so.
///
/// ```standalone_crate
/// use procession::manager::Manager;
///
/// #[procession::task]
/// fn is_prime(n: u64) -> bool {
///     n > 1 && (2..).take_while(|d| d * d <= n).all(|d| n % d != 0)
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let manager = Manager::start()?;
///     let pool = manager.pool(2)?;
///     assert!(pool.submit(is_prime, 1_000_003)?.wait()?);
///     let small: Result<Vec<bool>, _> = pool.map(is_prime, 1..6).collect();
///     assert_eq!(small?, [false, true, true, false, true]);
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct PoolProxy {
    host: Arc<PoolHost>,
}

/// What the futures of a pool's tasks ask. It is there while one of them is pending.
struct PoolHost {
    remote: Remote,
    /// Those that have not ended, by the number of their task.
    pending: Mutex<HashMap<u64, RawFuture>>,
    callbacks: Callbacks,
}

/// Tasks have different numbers in all pools that a process knows.
static NEXT_TASK: AtomicU64 = AtomicU64::new(0);

impl Manager {
    /// Makes a process pool of so many workers in the manager, 1 to 4096. It does not wait for the workers.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Refused`] for another number; else as [every call](ManagerError#what-every-call-can-say).
    pub fn pool(&self, max_workers: usize) -> Result<PoolProxy, ManagerError> {
        self.pool_async(max_workers).wait()
    }

    /// [`pool`](Self::pool), awaited.
    pub fn pool_async(&self, max_workers: usize) -> Calling<PoolProxy> {
        let mut init = Packed::default();
        match wire::encode(&(max_workers as u64), &mut init.bytes) {
            Ok(()) => self.create(init),
            Err(error) => Calling::failed(not_encoded("u64", error.into_message())),
        }
    }
}

impl PoolProxy {
    /// Submits one call, and returns its future, without waiting for the manager (but to connect, where this is a process's first call to it). Nothing limits how many are pending but
    /// the number of calls that one connection may have waiting (65 536).
    ///
    /// `args` is `()` for a function of no arguments, the argument itself for one, and a tuple for several. Cancelling the future, and asking whether it
    /// is running, is a round trip to the manager. Callbacks of these futures run on a thread `procession-callbacks` of this process.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Refused`], if the function is not registered in this program; [`ManagerError::NotEncoded`], if the arguments do not encode, or have
    /// descriptors, proxies of another manager or a [`Manager`] in them. Whatever the manager says, the future says. A result that has such in it is [`TaskError::Manager`].
    pub fn submit<F, A, K>(&self, function: F, args: A) -> Result<Future<F::Output>, ManagerError>
    where
        F: TaskFunction<A, K>,
    {
        let _ = function;
        let function = find::<F, A, K>().map_err(|error| refused(&error))?;
        let mut bytes = Vec::new();
        let encode = || F::encode_owned_args(args, &mut bytes);
        let (encoded, lent, handles) = lend_by(&self.host.remote, encode);
        let refused = |message| not_encoded(std::any::type_name::<A>(), message);
        encoded.map_err(refused)?;
        if !handles.is_empty() {
            let what = "it holds a descriptor, which does not travel through a manager";
            return Err(refused(what.to_owned()));
        }
        let refs = lent.iter().map(Remote::id).collect();
        let arguments = Packed { bytes, refs };
        let task = NEXT_TASK.fetch_add(1, Ordering::Relaxed);
        let op = PoolOp::Submit {
            task,
            function: function.name.to_owned(),
            signature: function.signature.clone(),
            arguments,
        };
        let future = self.host.clone().begin(task, &op).typed();
        // The arguments may have been the last that had them; now the server has.
        drop(lent);
        Ok(future)
    }

    /// Calls `function` for every item of `inputs`, and gives the results in the order of the items: one `Result` for each. It is lazy, and keeps 256 tasks
    /// submitted ahead of the results that are taken. Dropping it cancels the tasks that have not begun.
    pub fn map<F, A, K, I>(&self, function: F, inputs: I) -> PoolMap<I::IntoIter, F::Output>
    where
        F: TaskFunction<A, K>,
        I: IntoIterator<Item = A>,
    {
        let own = self.clone();
        PoolMap {
            host: self.host.clone(),
            inputs: Some(inputs.into_iter()),
            submit: Box::new(move |input: I::Item| own.submit(function, input)),
            ahead: VecDeque::new(),
        }
    }

    /// How many tasks are pending, of all who use the pool.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn pending(&self) -> Result<u64, ManagerError> {
        self.pending_async().wait()
    }

    /// [`pending`](Self::pending), awaited.
    pub fn pending_async(&self) -> Calling<u64> {
        self.host.remote.call(&PoolOp::Pending, Ok)
    }

    /// Takes no more tasks, of whoever it is, deals with the pending ones as told, and waits until the workers have ended. Shutting down again is allowed,
    /// also with a stronger mode.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn shutdown(&self, how: Shutdown) -> Result<(), ManagerError> {
        self.shutdown_async(how).wait()
    }

    /// [`shutdown`](Self::shutdown), awaited. It has begun when this returns; dropping the future stops the waiting.
    pub fn shutdown_async(&self, how: Shutdown) -> Calling<()> {
        let how = HowToEnd::from(how);
        self.host.remote.call(&PoolOp::Shutdown { how }, Ok)
    }

    /// Whether both are proxies of the same object.
    pub fn is_same(&self, other: &Self) -> bool {
        self.host.remote.is_same(&other.host.remote)
    }
}

impl PoolHost {
    fn begin(self: Arc<Self>, task: u64, op: &PoolOp) -> RawFuture {
        let this: Arc<dyn Host> = self.clone();
        let host: Weak<dyn Host> = Arc::downgrade(&this);
        let future = RawFuture::pending(TaskId(task), Some(HostRef::new(host)));
        lock(&self.pending).insert(task, future.clone());
        let calling = self.remote.call(op, |ended| match ended {
            Ended::Done(Packed { bytes, refs }) => {
                let granted = refs.into_iter().map(granted).collect::<Result<_, _>>()?;
                let handles = standing_in(granted);
                Ok(Ok(Encoded { bytes, handles }))
            }
            Ended::Failed(failure) => Ok(Err(failure)),
        });
        calling.then(move |end| self.end(task, end));
        future
    }

    fn end(&self, task: u64, end: Result<Result<Encoded, Failure>, ManagerError>) {
        let future = lock(&self.pending).remove(&task);
        if let Some(future) = future {
            future.complete(outcome(end));
        }
    }

    /// Asks something of the pool, about a task that has not ended; `None` where there is no answer.
    fn ask<T: serde::de::DeserializeOwned + 'static>(&self, op: &PoolOp) -> Option<T> {
        self.remote.call(op, Ok).wait().ok()
    }

    fn is_cancelled(&self, task: u64) {
        let may_have_run = false;
        let future = lock(&self.pending).get(&task).cloned();
        if let Some(future) = future {
            // The answer that says so is on its way.
            future.complete(Err(TaskError::Cancelled { may_have_run }));
        }
    }
}

impl Host for PoolHost {
    fn cancel(&self, task: TaskId) -> bool {
        let is_cancelled = self.ask(&PoolOp::Cancel { task: task.0 }).unwrap_or(false);
        if is_cancelled {
            self.is_cancelled(task.0);
        }
        is_cancelled
    }

    fn kill(&self, task: TaskId) -> Kill {
        match self.ask(&PoolOp::Kill { task: task.0 }) {
            Some(Found::Cancelled) => {
                self.is_cancelled(task.0);
                Kill::Cancelled
            }
            Some(Found::Killing) => Kill::Killing,
            Some(Found::TooLate) | None => Kill::TooLate,
        }
    }

    fn is_running(&self, task: TaskId) -> bool {
        self.ask(&PoolOp::IsRunning { task: task.0 })
            .unwrap_or(false)
    }

    fn drain(&self, _: TaskId, _: &dyn Fn() -> bool, _: Option<Instant>) {
        // The answer is read by the thread that watches the connections.
    }

    fn run_callback(&self, callback: Box<dyn FnOnce() + Send>) {
        self.callbacks.run(callback);
    }
}

fn outcome(end: Result<Result<Encoded, Failure>, ManagerError>) -> Outcome {
    match end {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(failure)) => Err(failure.into_error()),
        Err(error) => Err(TaskError::Manager {
            // It may have come to the manager, and run.
            may_have_run: !matches!(
                error,
                ManagerError::Forked | ManagerError::NotEncoded { .. }
            ),
            message: in_full(&error).into(),
        }),
    }
}

fn refused(error: &SubmitError) -> ManagerError {
    ManagerError::Refused(error.to_string())
}

fn not_encoded(type_name: &'static str, message: String) -> ManagerError {
    ManagerError::NotEncoded { type_name, message }
}

impl Proxy for PoolProxy {
    const KIND: Kind = Kind::Pool;

    fn type_name() -> String {
        String::new()
    }

    fn of(remote: Remote) -> Self {
        Self {
            host: Arc::new(PoolHost {
                remote,
                pending: Mutex::new(HashMap::new()),
                callbacks: Callbacks::new("procession-callbacks"),
            }),
        }
    }

    fn remote(&self) -> &Remote {
        &self.host.remote
    }
}

impl Serialize for PoolProxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.host.remote.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PoolProxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Remote::deserialize(deserializer).map(Self::of)
    }
}

impl fmt::Debug for PoolProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.remote.describe("PoolProxy", f)
    }
}

/// The results of calling a function for every item of an input, in a manager's pool: made by [`PoolProxy::map`].
///
/// Dropping it cancels the tasks that have not begun, without waiting for the manager.
#[must_use = "it does nothing until its results are taken"]
pub struct PoolMap<I: Iterator, R> {
    host: Arc<PoolHost>,
    /// `None` when they are over.
    inputs: Option<I>,
    #[expect(clippy::type_complexity, reason = "it is named here alone")]
    submit: Box<dyn Fn(I::Item) -> Result<Future<R>, ManagerError> + Send>,
    ahead: VecDeque<Result<Future<R>, ManagerError>>,
}

impl<I: Iterator, R> Iterator for PoolMap<I, R>
where
    R: serde::de::DeserializeOwned + 'static,
{
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ahead.len() < AHEAD
            && let Some(inputs) = &mut self.inputs
        {
            match inputs.next() {
                Some(input) => {
                    let submitted = (self.submit)(input);
                    self.ahead.push_back(submitted);
                }
                None => self.inputs = None,
            }
        }
        Some(match self.ahead.pop_front()? {
            Ok(future) => future.wait(),
            Err(error) => Err(TaskError::Manager {
                message: in_full(&error).into(),
                may_have_run: false,
            }),
        })
    }
}

impl<I: Iterator, R> FusedIterator for PoolMap<I, R> where R: serde::de::DeserializeOwned + 'static {}

impl<I: Iterator, R> Drop for PoolMap<I, R> {
    fn drop(&mut self) {
        let pending = self.ahead.drain(..).flatten();
        for future in pending.filter(|future| !future.is_done()) {
            let task = future.id().0;
            self.host.remote.tell(&PoolOp::Cancel { task });
        }
    }
}

impl<I: Iterator, R> fmt::Debug for PoolMap<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolMap")
            .field("ahead", &self.ahead.len())
            .finish_non_exhaustive()
    }
}
