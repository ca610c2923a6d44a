//! The registered functions, and those that others run instead.

use std::hint::black_box;
use std::time::Duration;

use procession::Queue;
use procession::manager::DictProxy;
use procession::shared::{SharedMemory, Value};
use procession::sync::{Barrier, Lock};
use serde_bytes::ByteBuf;

use crate::peers::futex::with_lock;

#[procession::task]
pub fn noop(n: u64) -> u64 {
    n
}

#[procession::task]
pub fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// The same for those whose bytes want to be told.
pub fn echo_buffer(bytes: ByteBuf) -> ByteBuf {
    bytes
}

#[procession::task]
pub fn pid() -> u32 {
    std::process::id()
}

/// Stays for so long that others get the next ones.
#[procession::task]
pub fn stay(ms: u64) -> u32 {
    std::thread::sleep(Duration::from_millis(ms));
    std::process::id()
}

#[procession::task]
pub fn nap(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Asks a manager so many times.
#[procession::task]
pub fn ask_all(dict: DictProxy<String, u64>, count: usize) -> Result<usize, String> {
    let key = "key".to_owned();
    for _ in 0..count {
        dict.get(&key).map_err(|error| error.to_string())?;
    }
    Ok(count)
}

/// Works for about so many steps of a nanosecond or so.
#[procession::task]
pub fn burn(steps: u64) -> u64 {
    let mut state = black_box(steps) | 1;
    for _ in 0..steps {
        // Each step needs the one before: nothing is done at once, or left out.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
    }
    state
}

/// Puts so many items of this size.
#[procession::task]
pub fn put_all(queue: Queue<Vec<u8>>, count: usize, size: usize) -> Result<usize, String> {
    let item = vec![7; size];
    for _ in 0..count {
        queue.put(item.clone()).map_err(|error| error.to_string())?;
    }
    Ok(count)
}

/// Gets so many.
#[procession::task]
pub fn get_all(queue: Queue<Vec<u8>>, count: usize) -> Result<usize, String> {
    for _ in 0..count {
        black_box(queue.get().map_err(|error| error.to_string())?);
    }
    Ok(count)
}

/// On the clock that all processes share.
fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Counts to what all do, each step under the lock. Says when it began, and when it had done.
#[procession::task]
pub fn count_by_lock(
    lock: Lock,
    total: Value<u64>,
    start: Barrier,
    count: usize,
) -> Result<(u64, u64), String> {
    start.wait().map_err(|error| error.to_string())?;
    let begun = now_ns();
    for _ in 0..count {
        let _guard = lock.lock().map_err(|error| error.to_string())?;
        total.set_unlocked(total.get_unlocked() + 1);
    }
    Ok((begun, now_ns()))
}

/// The same under a bare futex.
#[procession::task]
pub fn count_by_futex(
    memory: SharedMemory,
    total: Value<u64>,
    start: Barrier,
    count: usize,
) -> Result<(u64, u64), String> {
    let word = memory.as_atomic::<u32>(0, 1);
    let word = &word.map_err(|error| error.to_string())?[0];
    start.wait().map_err(|error| error.to_string())?;
    let begun = now_ns();
    for _ in 0..count {
        with_lock(word, || total.set_unlocked(total.get_unlocked() + 1));
    }
    Ok((begun, now_ns()))
}
