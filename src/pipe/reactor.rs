//! One thread, `procession-connections`, that wakes tasks which await connections.
//!
//! It is started when a connection is first awaited, sleeps in `epoll_wait` while nothing happens, and
//! ends with the last connection that was ever awaited. Blocking calls have nothing to do with it.
//!
//! A process that is forked off has a copy of the list, and not the thread; but what it did to the list would be done to that of its parent,
//! since the system's half of it is one for both. So it leaves that alone, and makes one of its own when it awaits something.
//!
//! Nobody misses anything: whoever finds that there is nothing to receive (no room to send) enters the list and *then*
//! arms the descriptor, under the list's lock; an armed descriptor fires also for what is there already.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::thread;
use std::time::Instant;

use crate::future::contain::contain;
use crate::primitives::plain::{Mutex, lock};
use crate::sys::{self, Home, PerProcess, Poller, Ready, fork_of};
use crate::wire::Handle;

static REACTOR: PerProcess<Weak<Reactor>> = PerProcess::new(Weak::new);

/// What keeps the thread: it ends when this is dropped.
#[derive(Debug)]
struct Reactor(Arc<Shared>);

/// What the thread and the connections share.
struct Shared {
    poller: Poller,
    waiting: Mutex<HashMap<u64, Arc<Waiting>>>,
    next_key: AtomicU64,
    /// The thread is to end, or has ended.
    is_over: AtomicBool,
    /// Whose thread it is.
    home: Home,
}

/// Who awaits one descriptor.
#[derive(Debug, Default)]
struct Waiting(Mutex<Wakers>);

#[derive(Debug, Default)]
struct Wakers {
    /// Each by the number of its [`Seat`], with what it waits for.
    entries: Vec<(u64, For, Waker)>,
}

/// Of seats at any descriptor: one that was taken before a fork is no other's afterwards.
static NEXT_SEAT: AtomicU64 = AtomicU64::new(0);

/// What is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    Message,
    Room,
    /// A moment.
    Time,
}

/// What the alarms of a descriptor are reported as: its own number, and this.
const TIME: u64 = 1 << 62;

/// A task's place among those that await a descriptor; to be told by [`Watch::leave`] when nobody polls with it
/// any more.
#[derive(Debug, Default)]
pub(crate) struct Seat(Option<u64>);

/// A descriptor's place in the reactor; it leaves on drop.
#[derive(Debug)]
pub(crate) struct Watch {
    reactor: Arc<Reactor>,
    key: u64,
    descriptor: Watched,
    waiting: Arc<Waiting>,
}

#[derive(Debug)]
enum Watched {
    Shared(Handle),
    /// The list knows the descriptor already, from another copy of the end that has the same one: this is another
    /// of the same socket.
    Own(OwnedFd),
}

impl Watch {
    pub(crate) fn new(socket: &Handle) -> io::Result<Self> {
        let reactor = Reactor::get()?;
        let shared = &reactor.0;
        let key = shared.next_key.fetch_add(1, Ordering::Relaxed);
        let descriptor = match shared.poller.add(socket, key) {
            Ok(()) => Watched::Shared(socket.clone()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let own = fork_of(socket)?;
                shared.poller.add(&own, key)?;
                Watched::Own(own)
            }
            Err(error) => return Err(error),
        };
        let waiting = Arc::<Waiting>::default();
        lock(&shared.waiting).insert(key, waiting.clone());
        Ok(Self {
            reactor,
            key,
            descriptor,
            waiting,
        })
    }

    /// Has the task woken when there may be what it waits for.
    pub(crate) fn wake(&self, seat: &mut Seat, awaited: For, waker: Waker) -> io::Result<()> {
        self.enter(seat, awaited, waker, |wakers| self.arm(wakers))
    }

    /// Has the task woken at this moment.
    pub(crate) fn wake_at(&self, seat: &mut Seat, at: Instant, waker: Waker) -> io::Result<()> {
        let alarm = |_: &Wakers| {
            self.reactor.0.poller.alarm(at, self.key | TIME);
            Ok(())
        };
        self.enter(seat, For::Time, waker, alarm)
    }

    fn enter(
        &self,
        seat: &mut Seat,
        awaited: For,
        waker: Waker,
        arm: impl FnOnce(&Wakers) -> io::Result<()>,
    ) -> io::Result<()> {
        let shared = &self.reactor.0;
        let mut wakers = lock(&self.waiting.0);
        let number = seat.0;
        let number = number.unwrap_or_else(|| NEXT_SEAT.fetch_add(1, Ordering::Relaxed));
        seat.0 = Some(number);
        let replaced = wakers.take(number);
        wakers.entries.push((number, awaited, waker));
        let armed = arm(&wakers);
        drop(wakers);
        drop(replaced);
        if shared.is_over.load(Ordering::SeqCst) {
            return Err(io::Error::other(
                "the thread that watches connections has ended",
            ));
        }
        armed
    }

    /// Arms the descriptor for what is awaited by those on the list.
    fn arm(&self, wakers: &Wakers) -> io::Result<()> {
        let is_awaited = |what| wakers.entries.iter().any(|(_, of, _)| *of == what);
        let (reads, writes) = (is_awaited(For::Message), is_awaited(For::Room));
        let poller = &self.reactor.0.poller;
        match &self.descriptor {
            Watched::Shared(socket) => poller.arm(socket, self.key, reads, writes),
            Watched::Own(own) => poller.arm(own, self.key, reads, writes),
        }
    }

    /// Leaves, and lets the thread sleep on if nobody else awaits what this one did: for who looks after that itself for now.
    pub(crate) fn rest(&self, seat: &mut Seat) {
        let Some(number) = seat.0.take() else { return };
        let mut wakers = lock(&self.waiting.0);
        let left = wakers.take(number);
        if left.is_some() {
            // It fails for bad arguments only; then the thread is woken for nothing.
            let _ = self.arm(&wakers);
        }
        drop(wakers);
        drop(left);
    }

    /// Whether it is that of the process from which this one was forked off.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.reactor.0.home.is_elsewhere()
    }

    /// How many tasks are on the list.
    #[cfg(all(test, not(loom)))]
    pub(super) fn waiting(&self) -> usize {
        lock(&self.waiting.0).entries.len()
    }

    pub(super) fn leave(&self, seat: &mut Seat) {
        let Some(number) = seat.0.take() else { return };
        let mut wakers = lock(&self.waiting.0);
        let left = wakers.take(number);
        drop(wakers);
        drop(left);
    }
}

impl Wakers {
    /// Takes somebody off the list.
    fn take(&mut self, number: u64) -> Option<(u64, For, Waker)> {
        let known = self.entries.iter().position(|(of, ..)| *of == number)?;
        Some(self.entries.swap_remove(known))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.is_elsewhere() {
            return;
        }
        let shared = &self.reactor.0;
        match &self.descriptor {
            Watched::Shared(socket) => shared.poller.remove(socket),
            Watched::Own(own) => shared.poller.remove(own),
        }
        lock(&shared.waiting).remove(&self.key);
        self.waiting.wake(|_| true);
    }
}

impl Waiting {
    /// Wakes those who wait for something of this kind.
    fn wake(&self, is_there: impl Fn(For) -> bool) {
        let mut woken = Vec::new();
        let mut wakers = lock(&self.0);
        let mut at = 0;
        while let Some((_, awaited, _)) = wakers.entries.get(at) {
            match is_there(*awaited) {
                true => woken.push(wakers.entries.swap_remove(at)),
                false => at += 1,
            }
        }
        drop(wakers);
        for (.., waker) in woken {
            let _ = contain(|| waker.wake());
        }
    }
}

impl Reactor {
    /// The one that there is, or a new one.
    fn get() -> io::Result<Arc<Self>> {
        let mut known = REACTOR.lock();
        if let Some(reactor) = known.upgrade()
            && !reactor.0.is_over.load(Ordering::SeqCst)
        {
            return Ok(reactor);
        }
        let shared = Arc::new(Shared {
            poller: Poller::new()?,
            waiting: Mutex::default(),
            next_key: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            home: Home::here(),
        });
        let of_thread = shared.clone();
        let thread = thread::Builder::new().name("procession-connections".to_owned());
        sys::with_signals_blocked(|| thread.spawn(move || of_thread.run()))?;
        let reactor = Arc::new(Self(shared));
        *known = Arc::downgrade(&reactor);
        Ok(reactor)
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        if self.0.home.is_elsewhere() {
            return;
        }
        self.0.is_over.store(true, Ordering::SeqCst);
        self.0.poller.notify();
    }
}

thread_local! {
    /// Whether this thread is a reactor.
    static IS_HERE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is called by something that the reactor has woken, and on its thread: then it must not wait for what the reactor does.
pub(crate) fn is_here() -> bool {
    IS_HERE.get()
}

impl Shared {
    fn run(&self) {
        IS_HERE.set(true);
        let mut ready: Vec<Ready> = Vec::new();
        while !self.is_over.load(Ordering::SeqCst) {
            // It fails for bad arguments only. Then whoever waits looks again, and is told.
            if self.poller.wait(&mut ready, None).is_err() {
                self.is_over.store(true, Ordering::SeqCst);
                let waiting: Vec<_> = lock(&self.waiting).values().cloned().collect();
                waiting.iter().for_each(|waiting| waiting.wake(|_| true));
            }
            for event in &ready {
                let (key, is_time) = (event.key & !TIME, event.key & TIME != 0);
                let waiting = lock(&self.waiting).get(&key).cloned();
                if let Some(waiting) = waiting {
                    waiting.wake(|awaited| (awaited == For::Time) == is_time);
                }
            }
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
