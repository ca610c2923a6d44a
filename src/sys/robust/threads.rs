//! The threads of this process, by numbers that are never used again, as the system's are.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::PerProcess;

/// The threads that have used a lock, by [`this_thread`]. One that has come to its end is here until the system knows it no more.
/// A process that is forked off has none of its parent's, and what they held is not on a list there.
static THREADS: PerProcess<BTreeMap<u64, Thread>> = PerProcess::new(BTreeMap::new);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    Alive,
    /// Its last destructors run, or have run: some may come after the one that says so, and use locks. By its number in the system.
    Ends(libc::pid_t),
    /// What a thread was that has forked, and has gone on here as another one. Its guards may have come along.
    Forked,
}

// Without destructors, so that they are there up to the very end of the thread.
thread_local! {
    /// The calling thread's number, if it has one.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
    /// What it was in the process that this one was forked off from.
    static BEFORE: Cell<u64> = const { Cell::new(0) };
}

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
    match BEFORE.replace(0) {
        0 => {}
        before => note(before, Thread::Forked),
    }
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
    static ONCE: Once = Once::new();
    extern "C" fn renumber() {
        match NUMBER.replace(0) {
            0 => {}
            before => BEFORE.set(before),
        }
    }
    ONCE.call_once(|| {
        // SAFETY: the function lives for ever, and does what one that runs between fork and exec may do: it changes two numbers of the
        // thread that calls it, which are there without an allocation. https://man7.org/linux/man-pages/man3/pthread_atfork.3.html
        // Should there be no memory to note it, forks are not noticed.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(renumber)) };
    });
}

/// Whether a thread has not come to its end.
#[cold]
pub(super) fn is_alive(thread: u64) -> bool {
    THREADS.lock().get(&thread) == Some(&Thread::Alive)
}

/// Whether a thread was another process's, and has forked off this one.
#[cold]
pub(super) fn has_forked(thread: u64) -> bool {
    THREADS.lock().get(&thread) == Some(&Thread::Forked)
}

/// Whether a thread is gone for good: the system has gone through the list of what it held, and nothing of it runs any more.
#[cold]
pub(super) fn is_gone(thread: u64) -> bool {
    match THREADS.lock().get(&thread) {
        Some(Thread::Alive) => false,
        Some(Thread::Ends(number)) => !is_known(*number),
        // The lists of its parent are not those of a new process.
        Some(Thread::Forked) | None => true,
    }
}

fn note(thread: u64, what: Thread) {
    let here = system_number();
    let mut threads = THREADS.lock();
    // Those that are gone: the system does not know them any more, or has given their number away. Few end at a time.
    threads.retain(|_, thread| match *thread {
        Thread::Alive | Thread::Forked => true,
        Thread::Ends(number) => number != here && is_known(number),
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
