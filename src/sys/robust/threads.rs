//! The threads of this process, by numbers that are never used again, as the system's are.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::sys::PerProcess;

/// The threads that have used a lock, by [`this_thread`]. One that has come to its end is here until the system knows it no more.
/// A process that is forked off has none of its parent's, and what they held is not on a list there.
static THREADS: PerProcess<BTreeMap<u64, Thread>> = PerProcess::new(BTreeMap::new);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    Alive,
    /// Its last destructors run, or have run: some may come after the one that says so, and use locks. By its number in the system.
    Ends(libc::pid_t),
}

/// The threads by which this process, and those that it comes from, were forked off: their guards may have come along. The last ones of them.
static FORKERS: [AtomicU64; 32] = [const { AtomicU64::new(0) }; 32];

/// How many they are.
static FORKS: AtomicUsize = AtomicUsize::new(0);

// Without a destructor, so that it is there up to the very end of the thread.
thread_local!(static NUMBER: Cell<u64> = const { Cell::new(0) });

/// Notes that the thread ends.
struct AtEnd;

impl Drop for AtEnd {
    fn drop(&mut self) {
        note(this_thread(), Thread::Ends(system_number()));
    }
}

/// A number for the calling thread, never 0. A thread that has forked goes on in the new process as another one.
#[inline]
pub(super) fn this_thread() -> u64 {
    match NUMBER.get() {
        0 => begin_thread(),
        number => number,
    }
}

#[cold]
fn begin_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    renumber_after_forks();
    NUMBER.set(number);
    thread_local!(static AT_END: AtEnd = const { AtEnd });
    note(number, Thread::Alive);
    if AT_END.try_with(|_| ()).is_err() {
        // It begins with locks in its last destructors.
        note(number, Thread::Ends(system_number()));
    }
    number
}

/// Of the threads of a process, only the one that forks is in the new one.
fn renumber_after_forks() {
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    extern "C" fn renumber() {
        // Nobody else is here yet.
        match NUMBER.replace(0) {
            0 => {}
            before => {
                let count = FORKS.fetch_add(1, Ordering::Relaxed);
                FORKERS[count % FORKERS.len()].store(before, Ordering::Relaxed);
            }
        }
    }
    // Twice does no harm. (A `Once` that another thread was in the middle of would be so for ever in a process that is forked off then.)
    if !IS_DONE.load(Ordering::Acquire) {
        // SAFETY: the function lives for ever, and does what one that runs between fork and exec may do: it changes atomics, and a number of the
        // thread that calls it, which is there without an allocation. https://man7.org/linux/man-pages/man3/pthread_atfork.3.html
        // Should there be no memory to note it, forks are not noticed.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(renumber)) };
        IS_DONE.store(true, Ordering::Release);
    }
}

/// Whether a thread has not come to its end.
#[cold]
pub(super) fn is_alive(thread: u64) -> bool {
    THREADS.lock().get(&thread) == Some(&Thread::Alive)
}

/// Whether a thread is one by which this process, or one that it comes from, was forked off.
#[cold]
pub(super) fn has_forked(thread: u64) -> bool {
    let count = FORKS.load(Ordering::Relaxed).min(FORKERS.len());
    let mut forkers = FORKERS[..count].iter();
    forkers.any(|forker| forker.load(Ordering::Relaxed) == thread)
}

/// Whether a thread is gone for good: the system has gone through the list of what it held, and nothing of it runs any more.
#[cold]
pub(super) fn is_gone(thread: u64) -> bool {
    match THREADS.lock().get(&thread) {
        Some(Thread::Alive) => false,
        Some(Thread::Ends(number)) => !is_known(*number),
        // The GNU C library gives the new process new lists.
        None => cfg!(target_env = "gnu") || !has_forked(thread),
    }
}

fn note(thread: u64, what: Thread) {
    let mut threads = THREADS.lock();
    // Those that are gone: the system does not know them any more, or has given their number away. Few end at a time.
    threads.retain(|_, thread| match *thread {
        Thread::Alive => true,
        Thread::Ends(number) => number != system_number() && is_known(number),
    });
    threads.insert(thread, what);
}

/// The calling thread's number in the system.
fn system_number() -> libc::pid_t {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// Whether the system has a thread of this process under that number. It forgets a thread after it has gone through its list.
fn is_known(number: libc::pid_t) -> bool {
    let process = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: three numbers, and signal 0 is none: it is only asked whether there is such a thread.
    // https://man7.org/linux/man-pages/man2/tgkill.2.html
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, number, 0) };
    sent == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}
