//! Objects that callers wait for: locks, semaphores, events, conditions, barriers.
//!
//! Whoever waits is an entry in a line, `Turns`, and costs nothing else; it is served in the order of coming, or taken out when it is
//! cancelled or its session ends. What a session has when it ends goes to the next one: a lock together with the news. A late answer that nobody
//! waits for any more is undone by its client, with the `Return` (or `GiveBack`) of each kind.

mod barrier;
mod condition;
mod event;
mod holding;
mod lock;
mod rlock;
mod semaphore;

use serde::de::DeserializeOwned;

pub(crate) use self::barrier::{BarrierOp, BarrierState};
pub(crate) use self::condition::ConditionOp;
pub(crate) use self::event::EventOp;
pub(crate) use self::holding::Taken;
pub(crate) use self::lock::LockOp;
pub(crate) use self::rlock::RLockOp;
pub(crate) use self::semaphore::SemaphoreOp;
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Context, Item, Kind, Object};
use crate::wire;

/// Makes one of them. A semaphore begins with its permits, a `u64`; a barrier with its parties, a `u32`; the others with `()`.
pub(super) fn create(kind: Kind, init: &Item) -> Result<Box<dyn Object>, Fault> {
    Ok(match kind {
        Kind::Lock => {
            decode::<()>(init)?;
            Box::new(lock::Lock::default())
        }
        Kind::RLock => {
            decode::<()>(init)?;
            Box::new(rlock::RLock::default())
        }
        Kind::Semaphore => Box::new(semaphore::Semaphore::new(decode(init)?, u64::MAX)),
        Kind::BoundedSemaphore => {
            let permits = decode(init)?;
            Box::new(semaphore::Semaphore::new(permits, permits))
        }
        Kind::Event => {
            decode::<()>(init)?;
            Box::new(event::Event::default())
        }
        Kind::Condition => {
            decode::<()>(init)?;
            Box::new(condition::Condition::default())
        }
        Kind::Barrier => Box::new(barrier::Barrier::new(decode(init)?)?),
        other => return Err(Fault::NoType(format!("{other:?}"))),
    })
}

fn decode<T: DeserializeOwned + 'static>(init: &Item) -> Result<T, Fault> {
    wire::decode(&init.bytes).map_err(|error| Fault::NotUnderstood(error.into_message()))
}

/// Answers with nothing, or with why not.
fn finish(caller: Caller, done: Result<(), Fault>, context: &mut Context<'_>) {
    match done {
        Ok(()) => context.answer(caller, &()),
        Err(fault) => context.fail(caller, fault),
    }
}

#[cfg(test)]
mod tests;
