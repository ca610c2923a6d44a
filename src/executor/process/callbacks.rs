//! A thread on which callbacks run, one after another: those of `on_done`, or those for output.
//!
//! A callback may block, submit, or wait for other tasks: so it must not run on the reactor, nor in
//! whichever thread happened to read a result. Whoever that is may have blocked all signals: users' code runs with those of the thread that has made the executor.

use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use crate::primitives::plain::{Mutex, lock};
use crate::sys::SignalMask;

type Callback = Box<dyn FnOnce() + Send>;

/// Runs callbacks on a thread that is started with the first of them, or by [`start`](Callbacks::start).
#[derive(Debug)]
pub(crate) struct Callbacks {
    name: &'static str,
    /// Of whoever has made this.
    signals: Option<SignalMask>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Nobody has asked for one.
    None,
    Running {
        sender: Sender<Callback>,
        thread: JoinHandle<()>,
    },
    /// No more will come; the thread ends after those that wait.
    Finishing {
        thread: JoinHandle<()>,
    },
    Over,
}

impl Callbacks {
    /// None yet; the thread will have this name.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            signals: SignalMask::of_this_thread(),
            state: Mutex::new(State::None),
        }
    }

    /// Starts the thread before there is anything to run.
    pub(crate) fn start(&self) -> io::Result<()> {
        self.start_locked(&mut lock(&self.state))
    }

    fn start_locked(&self, state: &mut State) -> io::Result<()> {
        if matches!(state, State::None) {
            let (sender, receiver) = mpsc::channel::<Callback>();
            let signals = self.signals;
            let run = move || {
                if let Some(signals) = signals {
                    signals.take_on();
                }
                receiver.into_iter().for_each(|callback| callback());
            };
            let thread = thread::Builder::new().name(self.name.into()).spawn(run)?;
            *state = State::Running { sender, thread };
        }
        Ok(())
    }

    /// Hands a callback over. It has contained its own panics.
    pub(crate) fn run(&self, callback: Callback) {
        let mut state = lock(&self.state);
        // Where no thread can be had, it is run below.
        let _ = self.start_locked(&mut state);
        let refused = match &*state {
            State::Running { sender, .. } => sender.send(callback).err().map(|error| error.0),
            // No thread could be had (or the executor has ended): late is better than never.
            _ => Some(callback),
        };
        drop(state);
        if let Some(callback) = refused {
            callback();
        }
    }

    /// Whether this is that thread.
    pub(crate) fn is_current(&self) -> bool {
        match &*lock(&self.state) {
            State::Running { thread, .. } | State::Finishing { thread } => {
                thread.thread().id() == thread::current().id()
            }
            State::None | State::Over => false,
        }
    }

    /// Lets the thread end after the callbacks that wait.
    pub(crate) fn finish(&self) {
        let mut state = lock(&self.state);
        *state = match std::mem::replace(&mut *state, State::Over) {
            // The sender is dropped here, which is what tells the thread.
            State::Running { thread, .. } => State::Finishing { thread },
            State::Finishing { thread } => State::Finishing { thread },
            State::None | State::Over => State::Over,
        };
    }

    /// Waits for the thread to end. On that thread itself, it does nothing.
    pub(crate) fn join(&self) {
        let mut state = lock(&self.state);
        let thread = match std::mem::replace(&mut *state, State::Over) {
            State::Finishing { thread } => thread,
            other => {
                *state = other;
                return;
            }
        };
        drop(state);
        if thread.thread().id() != thread::current().id() {
            // Callbacks contain their panics.
            let _ = thread.join();
        }
    }
}
