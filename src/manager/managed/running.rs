//! One call on its thread: the only place where users' code runs in a server.

use std::any::Any;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};

use super::scope;
use crate::future::contain::contain;
use crate::manager::protocol::{Fault, Packed, Whereabouts};
use crate::manager::store::{Item, Mailbox, Work};
use crate::registry::{Constructor, Invoke, ManagedValue, Method, Returned};

/// What came of work: what the object hears.
pub(super) enum Said {
    /// The constructor has ended. `Ok(Err(_))` is an error of its own.
    Made(Result<Result<New, Answer>, Fault>),
    /// A call has ended; `None`, if it was taken back before it had begun.
    Ended {
        number: u64,
        answer: Option<Result<Answer, Fault>>,
    },
}

/// A value that has just been made.
pub(super) struct New {
    // In this order: whoever made it goes on, and is the last one to have it, if its object is not there any more.
    pub(super) cell: Arc<Cell>,
    _heard: Sender<()>,
}

/// What a method returned, encoded.
pub(super) struct Answer {
    pub(super) packed: Packed,
    /// While this is there, what was encoded is too, and so are the objects that proxies in it stand for.
    _heard: Option<Sender<()>>,
}

/// Who has a call: its object, or the thread that begins it. Whoever is first.
#[derive(Clone, Default)]
pub(super) struct Ticket(Arc<AtomicBool>);

impl Ticket {
    /// Takes the call, if nobody has it.
    pub(super) fn take(&self) -> bool {
        // Nothing else is told by it: what work needs went with the work.
        !self.0.swap(true, Ordering::Relaxed)
    }
}

/// A value, on whatever threads use it. The object sees to it that nobody waits for the lock.
pub(super) struct Cell(RwLock<ManagedValue>);

impl Drop for Cell {
    fn drop(&mut self) {
        let value = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let value = mem::replace(value, Box::new(()));
        // There is nobody to be told.
        let _ = contain(move || drop(value));
    }
}

/// What a call is, for those who are told that it panicked.
pub(super) fn full_name(type_name: &str, method: &str) -> String {
    format!("{type_name}::{method}")
}

/// Makes the value, of what stands behind the first `offset` bytes.
pub(super) fn make(
    constructor: &'static Constructor,
    name: String,
    init: Item,
    offset: usize,
) -> Work {
    Box::new(move |mailbox| {
        let made = caught(&name, || {
            let construct = scope::decode(&init, offset, constructor.shim)
                .map_err(|error| not_decoded(&name, &error))?;
            // What the arguments keep they keep themselves by now.
            drop(init);
            Ok(construct())
        });
        match made {
            Ok(Ok(value)) => {
                let cell = Arc::new(Cell(RwLock::new(value)));
                let (_heard, heard) = channel();
                let new = New {
                    cell: cell.clone(),
                    _heard,
                };
                mailbox.say(Box::new(Said::Made(Ok(Ok(new)))));
                wait_for_end_of(&heard);
                drop(cell);
            }
            Ok(Err(error)) => answer(&name, error, &mailbox, |answer| Said::Made(answer.map(Err))),
            Err(fault) => mailbox.say(Box::new(Said::Made(Err(fault)))),
        }
    })
}

/// Calls a method, unless the call is taken back before.
pub(super) fn call(
    number: u64,
    method: &'static Method,
    name: String,
    arguments: Item,
    cell: Arc<Cell>,
    ticket: Ticket,
) -> Work {
    Box::new(move |mailbox| {
        let ended = move |answer| Said::Ended { number, answer };
        if !ticket.take() {
            drop((arguments, cell));
            return mailbox.say(Box::new(ended(None)));
        }
        let returned = caught(&name, || {
            let invoke = scope::decode(&arguments, 0, method.shim)
                .map_err(|error| not_decoded(&name, &error))?;
            drop(arguments);
            let returned = match invoke {
                Invoke::Shared(invoke) => {
                    invoke(&cell.0.read().unwrap_or_else(PoisonError::into_inner))
                }
                Invoke::Exclusive(invoke) => {
                    invoke(&mut cell.0.write().unwrap_or_else(PoisonError::into_inner))
                }
            };
            returned.ok_or_else(|| Fault::Failed(format!("`{name}` is a method of another type")))
        });
        // Before the object hears of it: where that is gone, this may be the last to have the value.
        drop(cell);
        match returned {
            Ok(returned) => answer(&name, returned, &mailbox, |answer| ended(Some(answer))),
            Err(fault) => mailbox.say(Box::new(ended(Some(Err(fault))))),
        }
    })
}

/// Drops a value, if nobody else has it.
pub(super) fn drop_value(cell: Arc<Cell>) -> Work {
    Box::new(move |_| drop(cell))
}

/// Encodes what was returned, says so, and drops it: not before the object has heard, if there are proxies in it.
fn answer(
    name: &str,
    returned: Returned,
    mailbox: &Mailbox,
    say: impl FnOnce(Result<Answer, Fault>) -> Said,
) {
    let encoded = caught(name, || {
        scope::encode(|out| returned.encode(out)).map_err(|error| {
            Fault::Failed(format!("the result of `{name}` does not encode: {error}"))
        })
    });
    let heard = match &encoded {
        Ok(packed) if !packed.refs.is_empty() => Some(channel()),
        _ => None,
    };
    let (_heard, heard) = heard.unzip();
    let encoded = encoded.map(|packed| Answer { packed, _heard });
    mailbox.say(Box::new(say(encoded)));
    if let Some(heard) = heard {
        wait_for_end_of(&heard);
    }
    let _ = contain(move || drop(returned));
}

/// Waits until what was said has been heard, or dropped by whoever was to hear it.
fn wait_for_end_of(heard: &Receiver<()>) {
    // Nothing is sent: it ends when the other side has been dropped.
    let _ = heard.recv();
}

/// Runs users' code, whose panic is the call's end.
fn caught<R>(name: &str, code: impl FnOnce() -> Result<R, Fault>) -> Result<R, Fault> {
    crate::run::caught(code).unwrap_or_else(|panicked| {
        Err(Fault::Panicked {
            method: name.to_owned(),
            message: panicked.message,
            at: Box::new(Whereabouts {
                location: panicked.location,
                backtrace: panicked.backtrace,
            }),
        })
    })
}

fn not_decoded(name: &str, error: &str) -> Fault {
    Fault::NotUnderstood(format!("the arguments of `{name}` do not decode: {error}"))
}

/// What the object hears, if it is something of this module's.
pub(super) fn understand(said: Box<dyn Any + Send>) -> Option<Said> {
    said.downcast().ok().map(|said| *said)
}
