//! The thread on which `on_done` callbacks run, one after another.
//!
//! A callback may block, submit, or wait for other tasks: so it must not run on the reactor, nor in
//! whichever thread happened to read a result.

use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use crate::primitives::plain::{Mutex, lock};

type Callback = Box<dyn FnOnce() + Send>;

/// Runs callbacks on a thread that is started with the first of them.
#[derive(Debug)]
pub(crate) struct Callbacks(Mutex<State>);

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
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State::None))
    }

    /// Hands a callback over. It has contained its own panics.
    pub(crate) fn run(&self, callback: Callback) {
        let mut state = lock(&self.0);
        if matches!(*state, State::None) {
            let (sender, receiver) = mpsc::channel::<Callback>();
            let run = move || receiver.into_iter().for_each(|callback| callback());
            let thread = thread::Builder::new()
                .name("procession-callbacks".into())
                .spawn(run);
            if let Ok(thread) = thread {
                *state = State::Running { sender, thread };
            }
        }
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

    /// Lets the thread end after the callbacks that wait.
    pub(crate) fn finish(&self) {
        let mut state = lock(&self.0);
        *state = match std::mem::replace(&mut *state, State::Over) {
            // The sender is dropped here, which is what tells the thread.
            State::Running { thread, .. } => State::Finishing { thread },
            State::Finishing { thread } => State::Finishing { thread },
            State::None | State::Over => State::Over,
        };
    }

    /// Waits for the thread to end. On that thread itself, it does nothing.
    pub(crate) fn join(&self) {
        let mut state = lock(&self.0);
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
