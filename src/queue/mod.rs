//! [`Queue`]: items from processes to processes, through memory that they share.
//!
//! What follows is for those who want to know how it is made, and why it survives what it does.
//!
//! # What is where
//!
//! | file | one line |
//! |--|--|
//! | `core` | the memory: how it is laid out, made, and checked by whoever gets it |
//! | `side` | one side: a lock, how far those are who put (or get), a sequence to sleep on |
//! | `ring` | where the items lie |
//! | `transfer` | bytes in and out, and the waiting for it |
//! | `item` | values to bytes and back |
//! | `watch` | who sleeps on behalf of those who await |
//! | `handle` | [`Queue`], what users call |
//! | `asynchronous`, `iter`, `builder`, `error` | the rest of that |
//!
//! # The protocol
//!
//! There are two robust locks, one for those who put and one for those who get (as in Michael and Scott,
//! [*Simple, fast, and practical non-blocking and blocking concurrent queue
//! algorithms*](https://www.cs.rochester.edu/u/scott/papers/1996_PODC_queues.pdf), 1996): neither side waits for the other. Each side has a **count** of the items that have
//! gone through it, and the place in the ring behind them. There are *put − got* items. Only a side itself changes its count, with its lock
//! held, and by one store, after all that belongs to it:
//!
//! ```text
//!  put, with the lock of those who put        get, with the lock of those who get
//!  ───────────────────────────────────        ───────────────────────────────────
//!  1. no room? unlock, wait                   1. no item? unlock, wait
//!  2. write the item behind the last          2. copy the first item out
//!  3. sequence += 1, wake who waits for it    3. sequence += 1, wake who waits for room
//!  4. note the new place beside the old       4. note the new place beside the old
//!  5. COMMIT: count += 1                      5. COMMIT: count += 1
//!  unlock                                     unlock; decode
//! ```
//!
//! *A process that is killed at any instruction of this* has committed or not. If not, nothing has happened: what it wrote is behind the last item, or
//! in the place that the count does not say is valid. If it has, all has happened. So the state behind a lock whose owner has died is as good as any,
//! and the next one goes on (it only gives memory back that may have been left between two rings, see below). What a killed process loses
//! is the item that it held: one that it had not yet put, or one that it had just got. No item comes twice, or torn.
//!
//! # Nobody sleeps beside what he waits for
//!
//! The order of 3 and 5 is that of [`sync`](crate::sync), for the reasons given there: killed between them, it has woken somebody in vain; the other way
//! round it would have left somebody asleep for ever. Who waits reads the sequence of the *other* side under the lock of the other side, finds
//! there that nothing has been committed, unlocks, and sleeps while the sequence is what it was. (It need not hold its own lock for that: its own side can only make it
//! emptier, or fuller, meanwhile.)
//!
//! **All who sleep are woken.** A wake-up that is meant for one is lost if that one is killed with the news, and it is as good as lost if that one
//! is *stopped*: by a debugger, by a shell's `^Z`, with its whole cgroup. The kernel tells others of a death (by a robust lock), but of a stop nobody, so that those
//! behind him could find out only by looking from time to time. Here who waits looks at nothing while nothing happens, holds nothing while he
//! sleeps, and whoever runs gets what there is.
//!
//! The price is a stampede where many wait for each single item: each of them wakes up, takes the lock of the other side and goes to sleep again, some
//! microseconds of a processor (of which, since they all wait, some should be idle). It is kept small: who comes too late sees so without the lock
//! of his own side, and while there is something to get nobody sleeps, so nobody is woken. Besides them, one thread of each process may sleep there,
//! on behalf of those who await.
//!
//! What a side reads of the other one for each item, the size of the ring and whether the queue is closed, is in a cache line that hardly
//! ever changes: not in that of the count, which the other side would have to get back before it goes on.
//!
//! That somebody sleeps is noted in a word, under the same lock as the sequence is read, and crossed out by whoever wakes all who sleep. If it is
//! wrong after a kill, it says that somebody sleeps where nobody does: that costs one system call.
//!
//! A process that is stopped in between, with the lock of a side, holds up that side until it goes on or is killed. Those who wait with a
//! time limit give up then, after a last try. One that is stopped when it has just let the lock go, and has not yet woken those who wait for it
//! (the C library's `unlock` is a store, and then a system call), would leave them asleep beside a free lock: who waits for a *lock*, which is
//! held for moments, therefore looks again after 5 ms, and then after twice as long each time, up to a second. (When it is killed there, the kernel wakes them.)
//!
//! # The ring
//!
//! Items lie one behind the other in a ring of bytes. If one does not fit, those who put take the other lock too (always in this order; the other one is
//! only tried), copy all that there is into a ring of twice the size or more, and commit to that by one store. Each size has its own place in a file
//! that is sealed at its full length: it takes no memory where nothing has been written, nobody has to learn that it has grown, and it cannot shrink. Who finds a large ring empty goes back to a
//! small one, and gives the memory back.
//!
//! An item is copied with the lock of its side held. While one of hundreds of megabytes is, others of that side wait, and those of the other
//! side go on. (To copy without the lock one would have to reserve, and somebody would have to notice that a reservation's owner has died; the kernel
//! does that for locks alone.)
//!
//! # What others write there
//!
//! is never trusted: all numbers are copied out once and checked, what is reached is within a mapping, and every loop is bounded by the time limit or by
//! what another process does meanwhile. A queue that has been scribbled over says [`Corrupt`](GetError::Corrupt), gives items that are none, or
//! keeps waiting those who wait without a limit.

mod asynchronous;
mod builder;
mod core;
mod error;
mod handle;
mod item;
mod iter;
mod ring;
mod side;
mod transfer;
mod watch;

pub use self::asynchronous::{GetAsync, PutAsync};
pub use self::builder::QueueBuilder;
pub use self::error::{GetError, PutError, TaskDoneError};
pub use self::handle::Queue;
pub use self::iter::{IntoIter, Iter};

#[cfg(any(test, fuzzing))]
mod fuzz;
#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz;

#[cfg(all(test, not(loom)))]
mod tests;
