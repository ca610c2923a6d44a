//! The registered functions.

use procession::Failure;
use procession::pipe::{Receiver, Sender};
use procession::shared::{Array, SharedMemory, Value};
use procession::sync::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, LockError, RLock, Semaphore,
};

use super::support::{Gate, signal};
use super::values::Kit;

#[procession::task]
pub(crate) fn has() -> (usize, usize) {
    super::has_here()
}

#[procession::task]
pub(crate) fn pid() -> u32 {
    std::process::id()
}

// ---- ways ----

#[procession::task]
pub(crate) fn use_it(kit: Kit) -> Kit {
    kit.leave_traces();
    kit
}

#[procession::task]
pub(crate) fn use_without_answer(kit: Kit) {
    kit.leave_traces();
}

/// Receives a kit, and has it used by a worker of its own. Says who that was.
#[procession::task]
pub(crate) fn hand_down(from: Receiver<Kit>) -> Result<(u32, Kit), Failure> {
    let kit = from.recv()?;
    let pool = super::pool(1);
    let third = pool.submit(pid, ())?.wait()?;
    Ok((third, pool.submit(use_it, kit)?.wait()?))
}

#[procession::task]
pub(crate) fn receive(from: Receiver<Vec<Kit>>) -> Result<Option<Kit>, Failure> {
    Ok(from.recv()?.pop())
}

#[procession::task]
pub(crate) fn send(kit: Kit, to: Sender<Vec<Kit>>) -> Result<(), Failure> {
    Ok(to.send(&vec![kit])?)
}

/// One of everything of the worker's own.
#[procession::task]
pub(crate) fn make() -> (Value<u32>, Vec<Lock>, Option<Receiver<String>>) {
    let (sender, receiver) = procession::pipe::one_way().unwrap();
    sender.send(&"from the maker".into()).unwrap();
    let value = Value::new(std::process::id()).unwrap();
    (value, vec![Lock::new().unwrap()], Some(receiver))
}

#[procession::task]
pub(crate) fn panic_with(_kit: Kit) {
    panic!("on purpose");
}

#[procession::task]
pub(crate) fn add_to_all(values: Vec<Value<u64>>, addend: u64) {
    for value in values {
        value.update(|value| *value += addend).unwrap();
    }
}

// ---- counting ----

/// A number is read and written without its own lock, so that only the lock that is given keeps others away.
fn increment(count: &Value<u64>) {
    count.set_unlocked(count.get_unlocked() + 1);
}

#[procession::task]
pub(crate) fn count_under_lock(count: Value<u64>, lock: Lock, start: Barrier, times: u32) {
    start.wait().unwrap();
    for _ in 0..times {
        let _guard = lock.lock().unwrap();
        increment(&count);
    }
}

#[procession::task]
pub(crate) fn count_under_rlock(count: Value<u64>, lock: RLock, start: Barrier, times: u32) {
    start.wait().unwrap();
    for _ in 0..times {
        let _guard = lock.lock().unwrap();
        let _again = lock.lock().unwrap();
        increment(&count);
    }
}

#[procession::task]
pub(crate) fn count_under_semaphore(
    count: Value<u64>,
    semaphore: Semaphore,
    start: Barrier,
    times: u32,
) {
    start.wait().unwrap();
    for _ in 0..times {
        let _permit = semaphore.acquire().unwrap();
        increment(&count);
    }
}

#[procession::task]
pub(crate) fn count_by_update(count: Value<u64>, start: Barrier, times: u32) {
    start.wait().unwrap();
    for _ in 0..times {
        count.update(|count| *count += 1).unwrap();
    }
}

/// Two take turns: the number is even when it is the first one's turn.
#[procession::task]
pub(crate) fn take_turns(count: Value<u64>, turn: Condition, parity: u64, times: u32) {
    for _ in 0..times {
        let guard = turn.lock().lock().unwrap();
        let guard = turn.wait_while(guard, || count.get_unlocked() % 2 != parity);
        let guard = guard.unwrap();
        increment(&count);
        turn.notify_all(&guard).unwrap();
    }
}

// ---- who had a lock is killed ----

/// What there is to be had, or to be waited for.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) enum Primitive {
    Lock(Lock),
    RLock(RLock),
    Value(Value<u64>),
    Array(Array<u64>),
    Condition(Condition),
    Semaphore(Semaphore),
    Bounded(BoundedSemaphore),
    Event(Event),
    Barrier(Barrier),
}

/// What somebody found who took a lock.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Found {
    Free,
    OwnerDied,
}

/// Takes a lock, and does something while it has it.
pub(crate) fn with_lock(primitive: &Primitive, and: impl FnOnce()) -> Found {
    fn go<G>(locked: Result<G, LockError<G>>, and: impl FnOnce()) -> Found {
        let (_guard, found) = match locked {
            Ok(guard) => (guard, Found::Free),
            Err(LockError::OwnerDied(guard)) => (guard, Found::OwnerDied),
            Err(other) => panic!("{other}"),
        };
        and();
        found
    }
    match primitive {
        Primitive::Lock(lock) => go(lock.lock(), and),
        Primitive::RLock(lock) => go(lock.lock(), || {
            let _again = lock.lock();
            and();
        }),
        Primitive::Value(value) => go(value.lock(), and),
        Primitive::Array(array) => go(array.lock(), and),
        Primitive::Condition(condition) => go(condition.lock().lock(), and),
        other => panic!("{other:?} has no owner"),
    }
}

#[procession::task]
pub(crate) fn take(primitive: Primitive) -> Found {
    with_lock(&primitive, || {})
}

/// Stops at the gate with the lock.
#[procession::task]
pub(crate) fn take_and_stop(primitive: Primitive, gate: Gate) -> Found {
    with_lock(&primitive, || gate.pass(0))
}

/// Comes to the gate without stopping, and then takes the lock.
#[procession::task]
pub(crate) fn come_and_take(primitive: Primitive, gate: Gate) -> Found {
    gate.arrive(0);
    with_lock(&primitive, || {})
}

/// Is killed within an update, after a part of it.
#[procession::task]
pub(crate) fn die_in_update(value: Value<[u64; 2]>) {
    let guard = value.lock().unwrap();
    guard.set([1, 0]);
    die();
}

/// Stops at the gate with a permit.
#[procession::task]
pub(crate) fn acquire_and_stop(semaphore: Semaphore, gate: Gate) {
    let _permit = semaphore.acquire().unwrap();
    gate.pass(0);
}

pub(crate) fn die() -> ! {
    signal(std::process::id(), 9);
    loop {
        std::thread::park();
    }
}

/// Dies with the lock as long as fewer have; each says so first.
#[procession::task]
pub(crate) fn die_with_lock_until(
    attempts: u64,
    count: Value<u64>,
    lock: Lock,
    to: Sender<Found>,
) -> Result<(u64, Lock), Failure> {
    let (_guard, found) = match lock.lock() {
        Ok(guard) => (guard, Found::Free),
        Err(LockError::OwnerDied(guard)) => (guard, Found::OwnerDied),
        Err(other) => return Err(other.to_string().into()),
    };
    to.send(&found)?;
    increment(&count);
    if count.get_unlocked() < attempts {
        die();
    }
    Ok((count.get_unlocked(), lock.clone()))
}

// ---- who waits is killed ----

/// Comes to the gate without stopping, and then waits for this.
#[procession::task]
pub(crate) fn come_and_wait(primitive: Primitive, gate: Gate) {
    if let Primitive::Condition(condition) = &primitive {
        // Whoever takes the lock after the arrival finds this one waiting.
        let guard = condition.lock().lock().unwrap();
        gate.arrive(0);
        drop(condition.wait(guard).unwrap());
        return;
    }
    gate.arrive(0);
    match &primitive {
        Primitive::Semaphore(semaphore) => semaphore.acquire().unwrap().forget(),
        Primitive::Bounded(semaphore) => drop(semaphore.acquire().unwrap()),
        Primitive::Event(event) => event.wait().unwrap(),
        Primitive::Barrier(barrier) => drop(barrier.wait().unwrap()),
        other => drop(with_lock(other, || {})),
    }
}

// ---- messages ----

#[procession::task]
pub(crate) fn send_bytes(to: Sender<Vec<u8>>, len: usize) -> Result<(), Failure> {
    Ok(to.send_bytes(&vec![7; len])?)
}

#[procession::task]
pub(crate) fn come_and_receive(from: Receiver<Vec<u8>>, gate: Gate) -> Result<usize, Failure> {
    gate.arrive(0);
    Ok(from.recv()?.len())
}

/// Takes so many parts of a message, as whoever receives it does one after the other, and stops at the gate.
#[procession::task]
pub(crate) fn take_parts(from: Receiver<Vec<u8>>, parts: u32, gate: Gate) -> Result<(), Failure> {
    let mut part = vec![0; 64 * 1024];
    for _ in 0..parts {
        rustix::net::recv(&from, &mut part, rustix::net::RecvFlags::empty())?;
    }
    gate.pass(0);
    Ok(())
}

// ---- memory with a name ----

#[procession::task]
pub(crate) fn create(name: String, text: String) -> SharedMemory {
    let memory = SharedMemory::create(&name, text.len()).unwrap();
    memory.write(0, text.as_bytes()).unwrap();
    memory
}

#[procession::task]
pub(crate) fn attach(name: String) -> Result<String, Failure> {
    Ok(super::segments::text_in(&SharedMemory::attach(&name)?))
}

#[procession::task]
pub(crate) fn read(memory: SharedMemory) -> String {
    super::segments::text_in(&memory)
}

/// Stops at the gate with what it was given.
#[procession::task]
pub(crate) fn hold_memory(_memory: SharedMemory, gate: Gate) {
    gate.pass(0);
}

/// Stops at the gate with memory of its own, of which nobody else knows but by its name.
#[procession::task]
pub(crate) fn create_and_stop(name: String, gate: Gate) {
    let _memory = SharedMemory::create(&name, 100).unwrap();
    gate.pass(0);
}
