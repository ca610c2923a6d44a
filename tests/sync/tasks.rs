//! What runs in the workers.

use std::sync::atomic::Ordering::Relaxed;

use procession::shared::{Array, SharedBytes, SharedMemory, Value};
use procession::sync::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, LockError, RLock, Semaphore,
};
use serde::{Deserialize, Serialize};

/// One of each, within others.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct All {
    pub(crate) lock: Lock,
    pub(crate) rlock: Option<RLock>,
    pub(crate) semaphore: Semaphore,
    pub(crate) bounded: BoundedSemaphore,
    pub(crate) events: Vec<Event>,
    pub(crate) condition: Condition,
    pub(crate) barrier: Barrier,
    pub(crate) count: Value<u64>,
    pub(crate) array: Array<i32>,
    pub(crate) memory: SharedMemory,
    pub(crate) bytes: SharedBytes,
}

impl All {
    pub(crate) fn new() -> Self {
        let lock = Lock::new().unwrap();
        Self {
            condition: Condition::new(&lock).unwrap(),
            lock,
            rlock: Some(RLock::new().unwrap()),
            semaphore: Semaphore::new(1).unwrap(),
            bounded: BoundedSemaphore::new(1).unwrap(),
            events: (0..3).map(|_| Event::new().unwrap()).collect(),
            barrier: Barrier::new(4).unwrap(),
            count: Value::new(0).unwrap(),
            array: Array::new(100).unwrap(),
            memory: SharedMemory::new(100).unwrap(),
            bytes: SharedBytes::new(b"written once").unwrap(),
        }
    }
}

#[procession::task]
pub(crate) fn touch(all: All) -> All {
    drop(all.lock.lock().unwrap());
    let rlock = all.rlock.clone().unwrap();
    let (one, two) = (rlock.lock().unwrap(), rlock.lock().unwrap());
    drop((one, two));
    all.semaphore.acquire().unwrap().forget();
    all.bounded.acquire().unwrap().forget();
    all.events[1].set().unwrap();
    all.count.update(|n| *n += 1).unwrap();
    all.array.lock().unwrap().set(99, -7).unwrap();
    all.memory.write(95, b"there").unwrap();
    assert_eq!(&*all.bytes, b"written once");
    all
}

/// In a process that the worker starts.
#[procession::task]
pub(crate) fn hand_on(all: All) -> All {
    let pool = super::pool(1);
    pool.submit(touch, all).unwrap().wait().unwrap()
}

/// Adds one without any atomicity, under each of the locks in turn.
#[procession::task]
pub(crate) fn increment(all: All, which: usize, times: usize) {
    let add = || all.count.set_unlocked(all.count.get_unlocked() + 1);
    let rlock = all.rlock.clone().unwrap();
    for _ in 0..times {
        match which {
            0 => {
                let _guard = all.lock.lock().unwrap();
                add();
            }
            1 => {
                let _guard = rlock.lock().unwrap();
                let _again = rlock.lock().unwrap();
                add();
            }
            2 => {
                let _permit = all.semaphore.acquire().unwrap();
                add();
            }
            3 => {
                let _permit = all.bounded.acquire().unwrap();
                add();
            }
            4 => all.count.update(|n| *n += 1).unwrap(),
            _ => drop(all.count.as_atomic().fetch_add(1, Relaxed)),
        }
    }
}

/// Takes the lock, says so, and waits to be told to end.
#[procession::task]
pub(crate) fn hold(all: All) -> u32 {
    let _guard = all.lock.lock().unwrap();
    all.events[0].set().unwrap();
    all.events[2].wait().unwrap();
    std::process::id()
}

pub(crate) fn kill_this_process() -> ! {
    let this = rustix::process::getpid();
    rustix::process::kill_process(this, rustix::process::Signal::KILL).unwrap();
    unreachable!("it was killed");
}

/// Is killed with the lock, when the event says so.
#[procession::task]
pub(crate) fn die_with_lock(all: All) {
    let _guard = all.lock.lock().unwrap();
    all.count.set_unlocked(13);
    all.events[0].set().unwrap();
    all.events[1].wait().unwrap();
    kill_this_process()
}

/// Is killed in the middle of a change of a value and of an array.
#[procession::task]
pub(crate) fn die_within(all: All) {
    let _guard = all.array.lock().unwrap();
    let _guard = all.rlock.as_ref().unwrap().lock().unwrap();
    all.count.update(|_| kill_this_process()).unwrap()
}

#[procession::task]
pub(crate) fn die() {
    kill_this_process()
}

/// What it is to wait for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Wait {
    Lock,
    Semaphore,
    Event,
    Condition,
    Barrier,
}

#[procession::task]
pub(crate) fn wait_for(all: All, what: Wait) -> Result<(), String> {
    all.count.as_atomic().fetch_add(1, Relaxed);
    let told = |error: &dyn std::fmt::Display| error.to_string();
    match what {
        Wait::Lock => all.lock.lock().map(drop).map_err(|e| told(&e)),
        Wait::Semaphore => {
            let permit = all.semaphore.acquire().map_err(|e| told(&e))?;
            permit.forget();
            Ok(())
        }
        Wait::Event => all.events[2].wait().map_err(|e| told(&e)),
        Wait::Condition => {
            let guard = all.lock.lock().map_err(|e| told(&e))?;
            let waited = all
                .condition
                .wait_while(guard, || all.array.unlocked().get(0) == Some(0));
            waited.map(drop).map_err(|e| told(&e))
        }
        Wait::Barrier => all.barrier.wait().map(drop).map_err(|e| told(&e)),
    }
}

/// What a condition tells: the first place of the array.
pub(crate) fn notify(all: &All) -> Result<(), LockError<()>> {
    let guard = all.lock.lock().map_err(LockError::without_guard)?;
    all.array.unlocked().set(0, 1).unwrap();
    all.condition.notify_all(&guard).unwrap();
    Ok(())
}

/// The places at each round of a barrier.
#[procession::task]
pub(crate) fn pass(all: All, rounds: usize) -> Vec<u32> {
    (0..rounds)
        .map(|_| {
            all.count.as_atomic().fetch_add(1, Relaxed);
            all.barrier.wait().unwrap().index()
        })
        .collect()
}

#[procession::task]
pub(crate) fn prefix_sums(array: Array<i32>) {
    let guard = array.lock().unwrap();
    for index in 1..guard.len() {
        let before = guard.get(index - 1).unwrap();
        guard.update(index, |sum| *sum += before).unwrap();
    }
}

#[procession::task]
pub(crate) fn count_bytes(bytes: SharedBytes, byte: u8) -> usize {
    bytes.iter().filter(|b| **b == byte).count()
}

/// Writes by the name, and says the name that the handle has.
#[procession::task]
pub(crate) fn write_named(name: String, memory: SharedMemory) -> Option<String> {
    SharedMemory::attach(&name)
        .unwrap()
        .write(1, b"by name")
        .unwrap();
    memory.write(20, b"by handle").unwrap();
    memory.name().map(str::to_owned)
}

#[procession::task]
pub(crate) fn die_with_memory(name: String, is_creator: bool) {
    let _memory = if is_creator {
        SharedMemory::create(&name, 10).unwrap()
    } else {
        SharedMemory::attach(&name).unwrap()
    };
    kill_this_process()
}

#[procession::task]
pub(crate) fn make_named(name: String) -> SharedMemory {
    SharedMemory::create(&name, 10).unwrap()
}
