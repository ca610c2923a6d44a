//! What may block or panic: done by a bounded number of threads, `procession-managed`, which are started when they are needed and then stay.
//!
//! Their end is not waited for: nobody can end what a user's method does. When the server ends, what has not begun is dropped, and a
//! thread ends after what it is doing.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar};
use std::thread;
use std::time::Duration;

use crate::future::contain::contain;
use crate::manager::managed::{self, Reach};
use crate::manager::store::{Mailbox, Work};
use crate::primitives::plain::{Mutex, lock};
use crate::sys::{self, SignalMask};

/// Where a thread that is needed cannot be started, this is how long it takes until that is tried again; then twice as long each time, up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// The threads of one server; they end when this is dropped.
pub(super) struct Threads {
    shared: Arc<Shared>,
    most: usize,
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
    state: Mutex<State>,
    /// There is something to do, or it is over.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(Work, Mailbox)>,
    threads: usize,
    /// Those that wait, and have not found out yet that they need not.
    idle: usize,
    /// Those that have been started, and have not looked for work yet.
    starting: usize,
    is_over: bool,
}

impl Threads {
    pub(super) fn new(most: usize, reach: Reach) -> Self {
        Self::started_by(Box::new(start), most, reach)
    }

    fn started_by(start: Start, most: usize, reach: Reach) -> Self {
        Self {
            shared: Arc::new(Shared {
                reach,
                signals: SignalMask::of_this_thread(),
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
            most,
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
    pub(super) fn begin(&mut self, work: Work, mailbox: Mailbox) -> Option<Duration> {
        lock(&self.shared.state).queue.push_back((work, mailbox));
        self.shared.changed.notify_one();
        match self.start_enough() {
            true => None,
            false => self.pause.begin(),
        }
    }

    /// Starts as many threads as are needed and may be started. If that are too few, it says when to call this again.
    #[must_use]
    pub(super) fn retry(&mut self) -> Option<Duration> {
        self.pause.is_waited_for = false;
        match self.start_enough() {
            true => None,
            false => self.pause.begin(),
        }
    }

    /// Whether there are as many threads now as are needed.
    fn start_enough(&mut self) -> bool {
        let mut state = lock(&self.shared.state);
        while state.queue.len() > state.idle + state.starting && state.threads < self.most {
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
    fn run(&self) {
        if let Some(signals) = self.signals {
            signals.take_on();
        }
        managed::reached_by(self.reach.clone());
        let mut state = lock(&self.state);
        state.starting -= 1;
        loop {
            if let Some((work, mailbox)) = state.queue.pop_front() {
                drop(state);
                let _ = contain(|| work(mailbox));
                state = lock(&self.state);
            } else if state.is_over {
                return;
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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;
    use crate::manager::ManagerError;
    use crate::manager::protocol::ObjectId;

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
        let threads = Threads::started_by(Box::new(scarce), most, nobody);
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
        );
        assert_eq!(waits, None);
        let frees = threads.begin(Box::new(move |_| drop(open)), mailbox());
        let pause = frees.expect("the only thread waits for what has no thread");
        assert_eq!(pause, FIRST_PAUSE);
        let (say, said) = mpsc::channel();
        let last = threads.begin(Box::new(move |_| say.send(()).unwrap()), mailbox());
        assert_eq!(last, None, "it is tried again already");

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
            let pause = threads.begin(Box::new(work), mailbox());
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
