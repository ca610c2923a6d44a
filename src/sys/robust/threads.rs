//! The threads of this process, by numbers that are never used again, as the system's are.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::primitives::plain;

/// The threads that have used a lock, by [`this_thread`]. One that has come to its end is here until the system knows it no more.
static THREADS: plain::Mutex<BTreeMap<u64, Thread>> = plain::Mutex::new(BTreeMap::new());

#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    Alive,
    /// Its last destructors run, or have run: some may come after the one that says so, and use locks. By its number in the system.
    Ends(libc::pid_t),
}

/// Notes that the thread ends.
struct AtEnd(u64);

impl Drop for AtEnd {
    fn drop(&mut self) {
        note(self.0, Thread::Ends(system_number()));
    }
}

/// A number for the calling thread, never 0.
#[inline]
pub(super) fn this_thread() -> u64 {
    // Without a destructor, so that it is there up to the very end of the thread.
    thread_local!(static NUMBER: Cell<u64> = const { Cell::new(0) });
    match NUMBER.get() {
        0 => {
            let number = begin_thread();
            NUMBER.set(number);
            number
        }
        number => number,
    }
}

#[cold]
fn begin_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    thread_local!(static AT_END: OnceCell<AtEnd> = const { OnceCell::new() });
    note(number, Thread::Alive);
    if AT_END.try_with(|at_end| at_end.set(AtEnd(number))).is_err() {
        // It begins with locks in its last destructors.
        note(number, Thread::Ends(system_number()));
    }
    number
}

/// Whether a thread has not come to its end.
#[cold]
pub(super) fn is_alive(thread: u64) -> bool {
    plain::lock(&THREADS).get(&thread) == Some(&Thread::Alive)
}

/// Whether a thread is gone for good: the system has gone through the list of what it held, and nothing of it runs any more.
#[cold]
pub(super) fn is_gone(thread: u64) -> bool {
    match plain::lock(&THREADS).get(&thread) {
        Some(Thread::Alive) => false,
        Some(Thread::Ends(number)) => !is_known(*number),
        None => true,
    }
}

fn note(thread: u64, what: Thread) {
    let here = system_number();
    let mut threads = plain::lock(&THREADS);
    // Those that are gone: the system does not know them any more, or has given their number away. Few end at a time. (In a process that
    // was forked off, none of the others is there.)
    threads.retain(|_, thread| match *thread {
        Thread::Alive => true,
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
