//! The threads of this process, by numbers that are never used again, as the system's are.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::PerProcess;
use crate::sys::host::Home;

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

// Without a destructor, so that it is there up to the very end of the thread.
thread_local!(static NUMBER: Cell<Option<(u64, Home)>> = const { Cell::new(None) });

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
        Some((number, home)) if !home.is_elsewhere() => number,
        _ => begin_thread(),
    }
}

#[cold]
fn begin_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    if let Some((before, _)) = NUMBER.replace(Some((number, Home::here()))) {
        note(before, Thread::Forked);
    }
    thread_local!(static AT_END: AtEnd = const { AtEnd });
    note(number, Thread::Alive);
    if AT_END.try_with(|_| ()).is_err() {
        // It begins with locks in its last destructors.
        note(number, Thread::Ends(system_number()));
    }
    number
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
