//! Who sleeps on behalf of those who await.
//!
//! A future cannot sleep on a word of memory. So the first one that has to wait, of all of this process's for one side of one queue, starts a
//! thread, `procession-queue`, which does. It is there as long as the queue is in this process, and costs nothing while nobody
//! waits.
//!
//! ```text
//!  a future              registered ──── woken ────▶ called ──── polled ────▶ takes something, or registers again
//!                            │                         │
//!                            └──── dropped ────▶ gone ◀┘ (then somebody else is called for it)
//!
//!  the thread            nobody registered: wait for that
//!                        lock; n = what is there; s = the sequence; unlock
//!                        n more than have been called? call so many, from the start
//!                        sleep while sequence = s, from the start
//! ```
//!
//! It calls no more than there is something for, in the order in which they came, and never sleeps while there is something that nobody
//! has been called for. A change after `s` wakes it; who is called and does not take anything says so by a nudge: when it is dropped, and when it has
//! looked and waits on (there may be room for a small item where there is none for its own).
//!
//! A process that is forked off has the list and not the thread. The first one that has to wait there starts one, from an empty list: those that
//! are on it belong to tasks of the parent, whose copies nobody runs, and would be called in the place of others.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::thread;

use super::core::Core;
use super::error::Fault;
use super::ring::FRAME;
use crate::future::contain::contain;
use crate::primitives::plain::{self, Condvar, Mutex, MutexGuard};
use crate::sys::{self, Deadline, Home, MutexError};

/// Which side of the queue it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    Items,
    Space,
}

/// Those who await something of one queue in this process.
pub(super) struct Watch {
    what: For,
    waiting: Mutex<Waiting>,
    /// Notified when there is somebody, and at the end.
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    registered: BTreeMap<u64, Registered>,
    /// Called, and neither polled nor dropped since: whether because there was something.
    called: BTreeMap<u64, bool>,
    next: u64,
    /// Whose thread runs.
    running: Option<Home>,
    has_ended: bool,
    /// Somebody found the lock taken for long: it has to be waited for.
    is_locked_out: bool,
    /// The memory has been overwritten: the thread cannot see whether there is something.
    is_blind: bool,
}

struct Registered {
    waker: Waker,
    /// How many bytes it has to put.
    frame: u64,
}

/// One that is registered or called.
#[derive(Debug)]
pub(super) struct Ticket(u64);

impl Watch {
    pub(super) fn new(what: For) -> Arc<Self> {
        Arc::new(Self {
            what,
            waiting: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Registers one who found nothing when it looked, or, `locked_out`, could not look. It fails where nobody could call it.
    pub(super) fn register(
        self: &Arc<Self>,
        core: &Arc<Core>,
        waker: Waker,
        frame: u64,
        locked_out: bool,
    ) -> Result<Ticket, Fault> {
        let mut waiting = self.lock();
        if waiting.is_blind {
            return Err(Fault::Corrupt);
        }
        let number = waiting.next;
        waiting.next += 1;
        let mut cannot = None;
        if waiting.running.is_some_and(Home::is_elsewhere) {
            waiting.running = None;
            waiting.called.clear();
            // Not dropped: that would run code of the parent's runtime, which may be locked here for ever.
            mem::forget(mem::take(&mut waiting.registered));
        }
        if waiting.running.is_none() {
            match self.start(core) {
                Ok(()) => waiting.running = Some(Home::here()),
                // The system has no thread now. Being polled again and again until it has costs much, and nothing is lost.
                Err(_) => cannot = Some(waker.clone()),
            }
        }
        waiting.is_locked_out |= locked_out;
        waiting
            .registered
            .insert(number, Registered { waker, frame });
        drop(waiting);
        self.changed.notify_one();
        if locked_out {
            self.nudge(core);
        }
        if let Some(waker) = cannot {
            waker.wake();
        }
        Ok(Ticket(number))
    }

    /// One that looks for itself now; whether it had been called because there was something.
    pub(super) fn polled(&self, ticket: &Ticket) -> bool {
        let mut waiting = self.lock();
        let registered = waiting.registered.remove(&ticket.0);
        let was_called = waiting.called.remove(&ticket.0);
        drop(waiting);
        drop(registered);
        was_called == Some(true)
    }

    /// One that was called has taken nothing: for others there may be something.
    pub(super) fn pass_on(&self, core: &Core) {
        let has_others = !self.lock().registered.is_empty();
        if has_others {
            self.nudge(core);
        }
    }

    /// One that does not want anything any more.
    pub(super) fn dropped(&self, ticket: &Ticket, core: &Core) {
        let mut waiting = self.lock();
        let registered = waiting.registered.remove(&ticket.0);
        let was_called = waiting.called.remove(&ticket.0).is_some();
        let has_others = !waiting.registered.is_empty();
        let is_here = waiting.running.is_some_and(|home| !home.is_elsewhere());
        drop(waiting);
        drop(registered);
        if was_called && has_others && is_here {
            self.nudge(core);
        }
    }

    /// Nobody registers any more.
    pub(super) fn end(&self, core: &Core) {
        let mut waiting = self.lock();
        waiting.has_ended = true;
        let is_running_here = waiting.running.is_some_and(|home| !home.is_elsewhere());
        drop(waiting);
        if is_running_here {
            self.changed.notify_one();
            self.nudge(core);
        }
    }

    fn nudge(&self, core: &Core) {
        match self.what {
            For::Items => core.putters.nudge(),
            For::Space => core.getters.nudge(),
        }
    }

    fn start(self: &Arc<Self>, core: &Arc<Core>) -> io::Result<()> {
        let (this, core) = (self.clone(), core.clone());
        let thread = thread::Builder::new().name("procession-queue".to_owned());
        sys::with_signals_blocked(|| thread.spawn(move || this.run(&core))).map(drop)
    }

    fn run(&self, core: &Core) {
        loop {
            let Some((frame, is_locked_out)) = self.wait_for_somebody() else {
                return;
            };
            if is_locked_out {
                // Until it can be had; or it cannot, which they are told when they look.
                let _ = match self.what {
                    For::Items => core.as_getter(Deadline::NEVER).map(drop),
                    For::Space => core.as_putter(Deadline::NEVER).map(drop),
                };
            }
            let (count, since) = match self.look(core, frame) {
                Ok(seen) => seen,
                Err(_) => {
                    // For good. All are called, and told so when they look and would register again.
                    self.lock().is_blind = true;
                    (u64::MAX, 0)
                }
            };
            let Some(wakers) = self.call(count, is_locked_out) else {
                continue;
            };
            if wakers.is_empty() {
                self.sleep(core, since);
            }
            for waker in wakers {
                let _ = contain(|| waker.wake());
            }
        }
    }

    /// What the first one has to put, and whether somebody is locked out; `None` at the end.
    fn wait_for_somebody(&self) -> Option<(u64, bool)> {
        let mut waiting = self.lock();
        loop {
            if waiting.has_ended {
                return None;
            }
            if let Some((_, first)) = waiting.registered.first_key_value() {
                let frame = first.frame;
                return Some((frame, mem::take(&mut waiting.is_locked_out)));
            }
            let woken = self.changed.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// For how many there is something, and the sequence as it was then.
    fn look(&self, core: &Core, frame: u64) -> Result<(u64, u32), MutexError> {
        Ok(match self.what {
            For::Items => {
                let _inside = core.as_putter(Deadline::NEVER)?;
                (core.items_or_end(), core.putters.fall_asleep())
            }
            For::Space => {
                let _inside = core.as_getter(Deadline::NEVER)?;
                (core.space_or_end(frame), core.getters.fall_asleep())
            }
        })
    }

    /// Those who are called now; `None` if nobody is left.
    fn call(&self, count: u64, all: bool) -> Option<Vec<Waker>> {
        let mut waiting = self.lock();
        if waiting.registered.is_empty() || waiting.has_ended {
            return None;
        }
        let open = count.saturating_sub(waiting.called.len() as u64);
        let open = if all { u64::MAX } else { open };
        let mut wakers = Vec::new();
        while (wakers.len() as u64) < open {
            let Some((number, one)) = waiting.registered.pop_first() else {
                break;
            };
            waiting.called.insert(number, !all);
            wakers.push(one.waker);
        }
        Some(wakers)
    }

    fn sleep(&self, core: &Core, since: u32) {
        match self.what {
            For::Items => core.putters.sleep(since, Deadline::NEVER),
            For::Space => core.getters.sleep(since, Deadline::NEVER),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        plain::lock(&self.waiting)
    }
}

impl Core {
    /// With the lock of those who put.
    fn items_or_end(&self) -> u64 {
        if self.is_closed() {
            return u64::MAX;
        }
        self.putters.count().wrapping_sub(self.getters.count())
    }

    /// With the lock of those who get: for how many more items there is room, of which the first is so large.
    fn space_or_end(&self, frame: u64) -> u64 {
        let Some(put) = self.putters.peek().filter(|_| !self.is_closed()) else {
            return u64::MAX;
        };
        let got = self.getters.cursor();
        if self.is_full(put, got, frame.max(FRAME)) {
            return 0;
        }
        let count = put.count.wrapping_sub(got.count);
        self.config.capacity.saturating_sub(count)
    }
}
