//! Something that has happened, or has not.

use std::time::Duration;

use super::attempt::Attempt;
use super::{begin, proxy};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager};
use crate::manager::objects::locks::EventOp;

proxy! {
    /// A flag in a manager that processes can wait for.
    ///
    /// Whoever waits when it is set returns, even if it is cleared at once. Nobody owns it: it stays as it is when a process ends. As
    /// [`sync::Event`](crate::sync::Event).
    ///
    /// ```standalone_crate
    /// use procession::manager::Manager;
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let manager = Manager::start()?;
    ///     let event = manager.event()?;
    ///     let same = event.clone();
    ///     let thread = std::thread::spawn(move || same.set());
    ///     event.wait()?;
    ///     assert!(event.is_set()?);
    ///     thread.join().unwrap()?;
    ///     Ok(())
    /// }
    /// ```
    EventProxy, Event
}

impl Manager {
    /// Makes an event that is not set.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn event(&self) -> Result<EventProxy, ManagerError> {
        self.event_async().wait()
    }

    /// [`event`](Self::event), awaited.
    pub fn event_async(&self) -> Calling<EventProxy> {
        self.create(begin(&()))
    }
}

impl EventProxy {
    /// Sets it, and wakes all who wait for it.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn set(&self) -> Result<(), ManagerError> {
        self.set_async().wait()
    }

    /// [`set`](Self::set), awaited.
    pub fn set_async(&self) -> Calling<()> {
        self.remote.call(&EventOp::Set, Ok)
    }

    /// Takes it back: whoever comes from now on waits.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn clear(&self) -> Result<(), ManagerError> {
        self.clear_async().wait()
    }

    /// [`clear`](Self::clear), awaited.
    pub fn clear_async(&self) -> Calling<()> {
        self.remote.call(&EventOp::Clear, Ok)
    }

    /// Whether it was set when the manager was asked; it may be otherwise by now.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn is_set(&self) -> Result<bool, ManagerError> {
        self.is_set_async().wait()
    }

    /// [`is_set`](Self::is_set), awaited.
    pub fn is_set_async(&self) -> Calling<bool> {
        self.remote.call(&EventOp::IsSet, Ok)
    }

    /// Waits until it is set.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn wait(&self) -> Result<(), ManagerError> {
        self.wait_async().wait()
    }

    /// [`wait`](Self::wait), awaited.
    pub fn wait_async(&self) -> Calling<()> {
        self.remote.call(&EventOp::Wait, Ok)
    }

    /// Waits for at most so long. Zero is to look, for which the manager's answer is waited for.
    ///
    /// # Errors
    ///
    /// [`ManagerError::TimedOut`], not before that.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), ManagerError> {
        match timeout.is_zero() {
            true => self.look().wait(),
            false => self.attempt().wait_timeout(timeout),
        }
    }

    /// [`wait_timeout`](Self::wait_timeout), awaited.
    pub fn wait_timeout_async(&self, timeout: Duration) -> Attempt<()> {
        match timeout.is_zero() {
            true => self.look(),
            false => self.attempt().within(timeout),
        }
    }

    fn attempt(&self) -> Attempt<()> {
        Attempt::new(self.remote.call(&EventOp::Wait, |()| Ok(Ok(()))))
    }

    /// Whether it is set now; else the time is over.
    fn look(&self) -> Attempt<()> {
        Attempt::new(self.remote.call(&EventOp::IsSet, |is_set: bool| {
            Ok(is_set.then_some(()).ok_or(ManagerError::TimedOut))
        }))
    }
}
