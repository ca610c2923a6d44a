//! Who may have asked for a task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures::executor::block_on;
use procession::{Future, SubmitError, TaskError};

use super::Pool;
use super::tasks::{Argument, Fault, Plain, Stage, Told, Way, double, suffer};

/// What comes back of a task of [`suffer`].
pub(crate) type Outcome = Result<Result<Told, String>, TaskError>;

/// How the task of a cell is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A thread that submits it, and waits.
    Waits,
    /// One that awaits.
    Awaits,
    /// A map, of which it is the first item.
    Maps,
    /// A callback of another task's future.
    CallsBack,
}

pub(crate) const CALLERS: [Caller; 4] = [
    Caller::Waits,
    Caller::Awaits,
    Caller::Maps,
    Caller::CallsBack,
];

/// How many items a map has beside the one that is meant: they are innocent.
pub(crate) const ITEMS: u32 = 2;

/// What has been asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) fault: Fault,
    pub(crate) number: u32,
    pub(crate) bulk: usize,
    pub(crate) timeout: Option<Duration>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    /// The number of the task, as text.
    pub(crate) task: String,
    /// The other items of a map.
    pub(crate) items: Vec<Outcome>,
}

/// A call that has begun.
pub(crate) struct Call {
    caller: Caller,
    /// Whether all items of a map have been submitted: the next one has been asked for.
    is_submitted: Arc<AtomicBool>,
    thread: JoinHandle<Answer>,
}

impl Call {
    /// Waits until all of its tasks have been submitted, beside one other task.
    pub(crate) fn until_asked(&self, pool: &Pool) {
        super::support::until("the caller to have submitted its tasks", || {
            let is_asked = match self.caller {
                Caller::Maps => self.is_submitted.load(Ordering::SeqCst),
                _ => pool.pending() == 2,
            };
            // They may have ended meanwhile.
            is_asked || self.thread.is_finished()
        });
    }

    pub(crate) fn answer(self) -> Answer {
        super::support::awaiting("the answer of the task");
        self.thread.join().expect("a caller does not panic")
    }
}

impl Asked {
    fn argument(&self) -> Argument {
        Argument(Plain {
            fault: self.fault.clone(),
            number: self.number,
            bulk: "x".repeat(self.bulk),
        })
    }

    /// An item that does nothing but to come back.
    fn innocent(&self, index: u32) -> Argument {
        Argument(Plain {
            fault: innocent(),
            number: self.number + index,
            bulk: String::new(),
        })
    }
}

/// A fault that is none.
pub(crate) fn innocent() -> Fault {
    Fault {
        stage: Stage::Idle,
        way: Way::Not,
        gate: None,
    }
}

impl Caller {
    /// `before` is a task that has ended, and the last that was submitted where the numbers of tasks count.
    pub(crate) fn asks(self, pool: &Pool, asked: Asked, before: Future<u64>) -> Call {
        let pool = pool.clone();
        let name = format!("caller {self:?}");
        let thread = thread::Builder::new().name(name);
        let is_submitted = Arc::new(AtomicBool::new(false));
        let thread = thread.spawn({
            let is_submitted = is_submitted.clone();
            move || self.ask(&pool, &asked, &before, &is_submitted)
        });
        Call {
            caller: self,
            is_submitted,
            thread: thread.expect("a thread"),
        }
    }

    fn ask(
        self,
        pool: &Pool,
        asked: &Asked,
        before: &Future<u64>,
        is_submitted: &AtomicBool,
    ) -> Answer {
        let submit = |pool: &Pool, asked: &Asked| {
            let call = pool.call(suffer).timeout(asked.timeout);
            call.submit(asked.argument())
        };
        let alone = |outcome, task| Answer {
            outcome,
            task,
            items: Vec::new(),
        };
        match self {
            Self::Waits => {
                let future = submit(pool, asked).unwrap();
                alone(future.wait(), future.id().to_string())
            }
            Self::Awaits => block_on(async {
                let call = pool.call(suffer).timeout(asked.timeout);
                let future = call.submit_async(asked.argument()).await.unwrap();
                let task = future.id().to_string();
                alone(future.await, task)
            }),
            Self::Maps => {
                // The numbers of tasks follow each other.
                let before: u64 = before.id().to_string().parse().unwrap();
                let inputs = (0..=ITEMS).map(|index| match index {
                    0 => asked.argument(),
                    _ => asked.innocent(index),
                });
                let inputs = inputs.chain(std::iter::from_fn(|| {
                    is_submitted.store(true, Ordering::SeqCst);
                    None
                }));
                let mut map = pool.call(suffer).timeout(asked.timeout).map(inputs);
                let outcome = map.next().unwrap();
                Answer {
                    outcome,
                    task: (before + 1).to_string(),
                    items: map.collect(),
                }
            }
            Self::CallsBack => {
                let (sender, receiver) = mpsc::channel();
                let (asked, pool) = (asked.clone(), pool.clone());
                before.on_done({
                    let pool = pool.clone();
                    move |done| {
                        assert_eq!(done.unwrap(), 2);
                        let future = submit(&pool, &asked).unwrap();
                        let task = future.id().to_string();
                        future.on_done(move |outcome| drop(sender.send((outcome, task))));
                    }
                });
                let (outcome, task) = receiver.recv().expect("the callback is called");
                alone(outcome, task)
            }
        }
    }
}

/// Waits until nothing more is taken.
pub(crate) fn until_closed(pool: &Pool) {
    super::support::until("the shutdown to begin", || {
        let refused = pool.try_submit(double, 1);
        matches!(refused, Err(refused) if refused.reason == SubmitError::ShutDown)
    });
}
