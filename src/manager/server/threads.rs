//! What may block or panic: done by a bounded number of threads, `procession-managed`, which are started when they are needed and then stay.
//!
//! Their end is not waited for: nobody can end what a user's method does. When the server ends, what has not begun is dropped, and a
//! thread ends after what it is doing.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar};
use std::thread;

use crate::future::contain::contain;
use crate::manager::managed::{self, Reach};
use crate::manager::store::{Mailbox, Work};
use crate::primitives::plain::{Mutex, lock};
use crate::sys::{self, SignalMask};

/// The threads of one server; they end when this is dropped.
pub(super) struct Threads {
    shared: Arc<Shared>,
    most: usize,
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
    idle: usize,
    is_over: bool,
}

impl Threads {
    pub(super) fn new(most: usize, reach: Reach) -> Self {
        Self {
            shared: Arc::new(Shared {
                reach,
                signals: SignalMask::of_this_thread(),
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
            most: most.max(1),
        }
    }

    /// Has something done, in its turn. What it panics with is contained: whoever makes work that can panic says so by the mailbox.
    ///
    /// # Errors
    ///
    /// No thread can be started, and there is none: [`retry`](Self::retry) later. Nothing is lost.
    pub(super) fn begin(&self, work: Work, mailbox: Mailbox) -> io::Result<()> {
        lock(&self.shared.state).queue.push_back((work, mailbox));
        self.retry()
    }

    /// Starts a thread, if one is needed and may be started.
    pub(super) fn retry(&self) -> io::Result<()> {
        let mut state = lock(&self.shared.state);
        if state.queue.len() <= state.idle || state.threads == self.most {
            self.shared.changed.notify_one();
            return Ok(());
        }
        let shared = self.shared.clone();
        let thread = thread::Builder::new().name("procession-managed".to_owned());
        match sys::with_signals_blocked(|| thread.spawn(move || shared.run())) {
            Ok(_) => {
                state.threads += 1;
                Ok(())
            }
            // The others come to it.
            Err(_) if state.threads > 0 => Ok(()),
            Err(error) => Err(error),
        }
    }
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
