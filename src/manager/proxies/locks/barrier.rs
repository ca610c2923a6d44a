//! All wait until all are there.

use std::time::Duration;

use super::attempt::Attempt;
use super::error::BarrierError;
use super::{begin, proxy};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager};
use crate::manager::objects::locks::{BarrierOp, BarrierState};
use crate::sync::BarrierWaitResult;
use crate::wire;

proxy! {
    /// A place in a manager where so many parties wait for each other, again and again.
    ///
    /// It **breaks** when a party that waits gives up (its time is over, its future is dropped), when its process ends or its
    /// connection is cut, and by [`abort`](Self::abort): then all who wait, and all who come, are told, until it is [`reset`](Self::reset). It has no list
    /// of its parties: one that ends before it comes is waited for, and a time limit is what helps.
    ///
    /// Whether a party whose time is over has passed, the manager decides: the last one to come always has. A future may be dropped while the news that all were
    /// there are on their way to it. Then the others have passed, and the barrier is broken for the next round.
    ///
    /// As [`sync::Barrier`](crate::sync::Barrier), which does not learn that a process has ended.
    ///
    /// ```standalone_crate
    /// use procession::manager::Manager;
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let manager = Manager::start()?;
    ///     let barrier = manager.barrier(2)?;
    ///     let same = barrier.clone();
    ///     let other = std::thread::spawn(move || same.wait().map(|passed| passed.index()));
    ///     let index = barrier.wait()?.index();
    ///     assert_ne!(index, other.join().unwrap()?);
    ///     assert!(manager.barrier(0).is_err());
    ///     Ok(())
    /// }
    /// ```
    BarrierProxy, Barrier
}

impl Manager {
    /// Makes a barrier for so many parties, at least one.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Refused`] for none; else as [every call](ManagerError#what-every-call-can-say).
    pub fn barrier(&self, parties: u32) -> Result<BarrierProxy, ManagerError> {
        self.barrier_async(parties).wait()
    }

    /// [`barrier`](Self::barrier), awaited.
    pub fn barrier_async(&self, parties: u32) -> Calling<BarrierProxy> {
        self.create(begin(&parties))
    }
}

impl BarrierProxy {
    /// Waits until all parties do.
    ///
    /// # Errors
    ///
    /// [`BarrierError::Broken`], [`BarrierError::Manager`].
    pub fn wait(&self) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_async().wait()
    }

    /// [`wait`](Self::wait), awaited. Dropping the future before that breaks the barrier.
    pub fn wait_async(&self) -> Attempt<BarrierWaitResult, BarrierError> {
        let calling = self.remote.call(&BarrierOp::Wait, |index: Option<u32>| {
            Ok(index.map(BarrierWaitResult::of).ok_or(BarrierError::Broken))
        });
        Attempt::new(calling.undone_by(undo))
    }

    /// Waits for at most so long. If the others do not come until then, the barrier is broken, for them as well. The way to the manager and back is a part
    /// of the time.
    ///
    /// When the time is over, it is the manager that says whether all have come, so the last one passes, also with zero. That is waited for: one more round trip
    /// to a manager that does well, and until the connection is found to be lost to one that does not.
    ///
    /// # Errors
    ///
    /// [`BarrierError::TimedOut`], not before that; else as [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_async().exactly().wait_timeout(timeout)
    }

    /// [`wait_timeout`](Self::wait_timeout), awaited.
    pub fn wait_timeout_async(
        &self,
        timeout: Duration,
    ) -> Attempt<BarrierWaitResult, BarrierError> {
        self.wait_async().exactly().within(timeout)
    }

    /// Breaks it: all who wait, and all who come, get [`BarrierError::Broken`].
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn abort(&self) -> Result<(), ManagerError> {
        self.abort_async().wait()
    }

    /// [`abort`](Self::abort), awaited.
    pub fn abort_async(&self) -> Calling<()> {
        self.remote.call(&BarrierOp::Abort, Ok)
    }

    /// Makes it as new. Those who wait get [`BarrierError::Broken`].
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn reset(&self) -> Result<(), ManagerError> {
        self.reset_async().wait()
    }

    /// [`reset`](Self::reset), awaited.
    pub fn reset_async(&self) -> Calling<()> {
        self.remote.call(&BarrierOp::Reset, Ok)
    }

    /// How many it is for.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn parties(&self) -> Result<u32, ManagerError> {
        self.parties_async().wait()
    }

    /// [`parties`](Self::parties), awaited.
    pub fn parties_async(&self) -> Calling<u32> {
        self.look(|state| state.parties)
    }

    /// How many were waiting when the manager was asked.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn waiting(&self) -> Result<u32, ManagerError> {
        self.waiting_async().wait()
    }

    /// [`waiting`](Self::waiting), awaited.
    pub fn waiting_async(&self) -> Calling<u32> {
        self.look(|state| state.waiting)
    }

    /// Whether it was broken when the manager was asked.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn is_broken(&self) -> Result<bool, ManagerError> {
        self.is_broken_async().wait()
    }

    /// [`is_broken`](Self::is_broken), awaited.
    pub fn is_broken_async(&self) -> Calling<bool> {
        self.look(|state| state.is_broken)
    }

    fn look<T: 'static>(&self, at: fn(BarrierState) -> T) -> Calling<T> {
        self.remote
            .call(&BarrierOp::State, move |state| Ok(at(state)))
    }
}

/// One that is not there to be told does not pass: the others are to know.
pub(super) fn undo(answer: &[u8]) -> Option<Vec<u8>> {
    let passed: Option<u32> = wire::decode(answer).ok()?;
    let mut op = Vec::new();
    wire::encode(&BarrierOp::Abort, &mut op).ok()?;
    passed.map(|_| op)
}
