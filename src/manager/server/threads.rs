//! What may block or panic: done by a bounded number of threads, `procession-managed`, which are started when they are needed and then stay.
//!
//! A thread that waits for an answer of its own server is not counted meanwhile, since that may need another one: see [`waits`](super::waits). When it goes on, there
//! may be more than are allowed; then nothing new begins, and threads end, until there are not.
//!
//! Their end is not waited for: nobody can end what a user's method does. When the server ends, what has not begun is dropped, and a
//! thread ends after what it is doing.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar};
use std::thread;
use std::time::Duration;

use super::waits::{MAX_WAITING, NoWait, Served, Waits};
use crate::future::contain::contain;
use crate::manager::ManagerError;
use crate::manager::client::{CallName, Watcher, watched_by};
use crate::manager::managed::{self, Reach};
use crate::manager::protocol::ObjectId;
use crate::manager::store::{Mailbox, Work};
use crate::primitives::plain::{Mutex, lock};
use crate::sys::{self, SignalMask};

/// Where a thread that is needed cannot be started, this is how long it takes until that is tried again; then twice as long each time, up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// The threads of one server; they end when this is dropped.
pub(super) struct Threads {
    shared: Arc<Shared>,
    start: Start,
    pause: Pause,
}

/// Starts a thread that runs this.
type Start = Box<dyn Fn(Box<dyn FnOnce() + Send>) -> io::Result<()> + Send>;

/// How long to wait until a thread is tried again, and whether somebody does already.
struct Pause {
    next: Duration,
    is_waited_for: bool,
}

struct Shared {
    /// How a method of a user's calls this server.
    reach: Reach,
    /// Of the thread that has started the server: users' code runs as on one that it had started, and so do the processes that are begun there.
    signals: Option<SignalMask>,
    /// The number that the server has given itself.
    server: u64,
    most: usize,
    state: Mutex<State>,
    /// There is something to do, or it is over.
    changed: Condvar,
    /// One more thread may be started, and is needed.
    is_needed: AtomicBool,
    /// Has the owner look at that.
    wake: Wake,
}

type Wake = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct State {
    queue: VecDeque<(Work, Mailbox, Option<Served>)>,
    /// Those that there are, also those that wait for an answer.
    threads: usize,
    /// Those that wait, and have not found out yet that they need not.
    idle: usize,
    /// Those that have been started, and have not looked for work yet.
    starting: usize,
    is_over: bool,
    waits: Waits,
    /// The number of the next work.
    next: u64,
}

/// Some work, as it is known to the thread that does it.
struct Job {
    number: u64,
    served: Option<Served>,
    shared: Arc<Shared>,
}

impl State {
    /// How many threads are counted.
    fn busy(&self) -> usize {
        self.threads.saturating_sub(self.waits.len())
    }

    /// Whether one more is to be started.
    fn needs_one(&self, most: usize) -> bool {
        self.queue.len() > self.idle + self.starting && self.busy() < most
    }
}

impl Threads {
    /// Those of the server of this number, so many at most. `wake` is called when the owner has to look whether they [are needed](Self::are_needed).
    pub(super) fn new(most: usize, reach: Reach, server: u64, wake: Wake) -> Self {
        Self::started_by(Box::new(start), most, reach, server, wake)
    }

    fn started_by(start: Start, most: usize, reach: Reach, server: u64, wake: Wake) -> Self {
        Self {
            shared: Arc::new(Shared {
                reach,
                signals: SignalMask::of_this_thread(),
                server,
                most,
                state: Mutex::default(),
                changed: Condvar::new(),
                is_needed: AtomicBool::new(false),
                wake,
            }),
            start,
            pause: Pause {
                next: FIRST_PAUSE,
                is_waited_for: false,
            },
        }
    }

    /// Has something done, in its turn. What it panics with is contained: whoever makes work that can panic says so by the mailbox.
    ///
    /// Nothing is lost where no thread can be started for it. Then this says when [`retry`](Self::retry) is to be called, unless that has been said before: threads
    /// that are there may all wait for just this work, so nobody relies on them.
    #[must_use]
    pub(super) fn begin(
        &mut self,
        work: Work,
        mailbox: Mailbox,
        served: Option<Served>,
    ) -> Option<Duration> {
        let work = (work, mailbox, served);
        lock(&self.shared.state).queue.push_back(work);
        self.shared.changed.notify_one();
        self.start_more()
    }

    /// Whether [`start_more`](Self::start_more) is to be called because fewer threads are counted than before.
    pub(super) fn are_needed(&self) -> bool {
        self.shared.is_needed.swap(false, Ordering::SeqCst)
    }

    /// The time has passed that was to pass before this.
    #[must_use]
    pub(super) fn retry(&mut self) -> Option<Duration> {
        self.pause.is_waited_for = false;
        self.start_more()
    }

    /// Starts as many threads as are needed and may be started. If that are too few, it says when [`retry`](Self::retry) is to be called, unless that has been said before.
    #[must_use]
    pub(super) fn start_more(&mut self) -> Option<Duration> {
        match self.start_enough() {
            true => None,
            false => self.pause.begin(),
        }
    }

    /// Whether there are as many threads now as are needed.
    fn start_enough(&mut self) -> bool {
        let mut state = lock(&self.shared.state);
        while state.needs_one(self.shared.most) {
            let shared = self.shared.clone();
            if (self.start)(Box::new(move || shared.run())).is_err() {
                return false;
            }
            state.threads += 1;
            state.starting += 1;
        }
        drop(state);
        self.pause.next = FIRST_PAUSE;
        true
    }
}

impl Pause {
    /// How long it is, unless it has begun.
    fn begin(&mut self) -> Option<Duration> {
        if self.is_waited_for {
            return None;
        }
        self.is_waited_for = true;
        let now = self.next;
        self.next = LAST_PAUSE.min(2 * now);
        Some(now)
    }
}

fn start(run: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    let thread = thread::Builder::new().name("procession-managed".to_owned());
    sys::with_signals_blocked(|| thread.spawn(run)).map(drop)
}

impl Drop for Threads {
    fn drop(&mut self) {
        let queue = {
            let mut state = lock(&self.shared.state);
            state.is_over = true;
            std::mem::take(&mut state.queue)
        };
        self.shared.changed.notify_all();
        // Outside of the lock: it is users' values that go.
        let _ = contain(|| drop(queue));
    }
}

impl Shared {
    fn run(self: Arc<Self>) {
        if let Some(signals) = self.signals {
            signals.take_on();
        }
        managed::reached_by(self.reach.clone());
        let mut state = lock(&self.state);
        state.starting -= 1;
        loop {
            if state.is_over && state.queue.is_empty() {
                return;
            } else if state.busy() > self.most {
                // Others have gone on that had waited. If it was woken for what there is to do, another one is.
                state.threads -= 1;
                self.changed.notify_one();
                return;
            } else if let Some((work, mailbox, served)) = state.queue.pop_front() {
                let number = state.next;
                state.next += 1;
                drop(state);
                let shared = self.clone();
                let job = Arc::new(Job {
                    number,
                    served,
                    shared,
                });
                let _ = watched_by(job, || contain(|| work(mailbox)));
                state = lock(&self.state);
                state.waits.forget(number);
            } else {
                state.idle += 1;
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl Watcher for Job {
    fn server(&self) -> u64 {
        self.shared.server
    }

    fn begin(&self, object: ObjectId, call: Option<&CallName>) -> Result<(), ManagerError> {
        let shared = &self.shared;
        let mut state = lock(&shared.state);
        let begun = state
            .waits
            .begin(self.number, self.served.as_ref(), object, call);
        let needs_one = state.needs_one(shared.most);
        drop(state);
        if needs_one && !shared.is_needed.swap(true, Ordering::SeqCst) {
            (shared.wake)();
        }
        begun.map_err(|why| match why {
            NoWait::TooMany => ManagerError::TooMany {
                what: "methods of a manager that wait for calls of it".to_owned(),
                limit: MAX_WAITING as u64,
            },
            NoWait::Circle => ManagerError::Circle,
        })
    }

    fn end(&self, call: Option<&CallName>) {
        lock(&self.shared.state).waits.end(self.number, call);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use super::*;

    /// Threads of which so many can be started at first; [`AtomicUsize`] says how many more.
    fn scarce(most: usize, room: usize) -> (Threads, Arc<AtomicUsize>) {
        let room = Arc::new(AtomicUsize::new(room));
        let left = room.clone();
        let scarce = move |run| {
            let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            match taken {
                Ok(_) => start(run),
                Err(_) => Err(io::ErrorKind::WouldBlock.into()),
            }
        };
        let nobody: Reach = Arc::new(|| Err(ManagerError::Forked));
        let wake = Arc::new(|| {});
        let threads = Threads::started_by(Box::new(scarce), most, nobody, 0, wake);
        (threads, room)
    }

    fn mailbox() -> Mailbox {
        Mailbox::new(ObjectId(1), Arc::new(|_, _| {}))
    }

    #[test]
    fn work_for_which_no_thread_starts_is_tried_again_although_others_run() {
        let (mut threads, room) = scarce(4, 1);
        let (open, opened) = mpsc::channel::<()>();
        // As a method that waits for a call of another object.
        let waits = threads.begin(
            Box::new(move |_| {
                let _ = opened.recv();
            }),
            mailbox(),
            None,
        );
        assert_eq!(waits, None);
        let frees = threads.begin(Box::new(move |_| drop(open)), mailbox(), None);
        let pause = frees.expect("the only thread waits for what has no thread");
        assert_eq!(pause, FIRST_PAUSE);
        let (say, said) = mpsc::channel();
        let last = threads.begin(Box::new(move |_| say.send(()).unwrap()), mailbox(), None);
        assert_eq!(last, None, "it is tried again already");
        assert_eq!(threads.start_more(), None, "the same");

        assert_eq!(threads.retry(), Some(2 * FIRST_PAUSE));
        room.store(2, Ordering::SeqCst);
        assert_eq!(threads.retry(), None);
        said.recv().unwrap();
    }

    #[test]
    fn as_many_threads_start_as_are_needed_when_there_is_room_again() {
        const WORK: usize = 6;
        let (mut threads, room) = scarce(32, 0);
        let together = Arc::new(std::sync::Barrier::new(WORK + 1));
        for number in 0..WORK {
            let together = together.clone();
            let work = move |_| {
                together.wait();
            };
            let pause = threads.begin(Box::new(work), mailbox(), None);
            assert_eq!(pause.is_some(), number == 0);
        }
        for _ in 0..20 {
            assert!(threads.retry().is_some_and(|pause| pause <= LAST_PAUSE));
        }
        room.store(usize::MAX, Ordering::SeqCst);
        assert_eq!(threads.retry(), None);
        together.wait();
        assert_eq!(lock(&threads.shared.state).threads, WORK);
    }
}
