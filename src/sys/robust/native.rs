//! The C library's mutex itself: one of the right kind, how it is laid out, and waiting for it until a time.

use std::io;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use libc::{c_int, pthread_mutex_t};

use super::THREAD;
use crate::sys::clock::Deadline;

/// A mutex of the right kind that nobody has used, to be copied from. POSIX does not promise that one can be; in the C libraries
/// that there are, one that has not been used is plain numbers, and its address means nothing.
pub(super) struct NewMutex(MaybeUninit<pthread_mutex_t>);

impl NewMutex {
    pub(super) fn new() -> io::Result<Self> {
        let checked = |result: c_int| match result {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        };
        let mut mutex = MaybeUninit::zeroed();
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: `attributes` is initialised by the first call (which does not fail), used by the others, and destroyed.
        // `mutex` is memory of its size, and nobody uses it yet.
        unsafe {
            checked(libc::pthread_mutexattr_init(attributes.as_mut_ptr()))?;
            let attributes = attributes.assume_init_mut();
            let set = checked(libc::pthread_mutexattr_setpshared(
                attributes,
                libc::PTHREAD_PROCESS_SHARED,
            ))
            .and_then(|()| {
                let robust = libc::PTHREAD_MUTEX_ROBUST;
                checked(libc::pthread_mutexattr_setrobust(attributes, robust))
            })
            .and_then(|()| {
                let checking = libc::PTHREAD_MUTEX_ERRORCHECK;
                checked(libc::pthread_mutexattr_settype(attributes, checking))
            })
            .and_then(|()| checked(libc::pthread_mutex_init(mutex.as_mut_ptr(), attributes)));
            libc::pthread_mutexattr_destroy(attributes);
            set?;
        }
        Ok(Self(mutex))
    }

    pub(super) fn bytes(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }
}

/// Whether the first word of a mutex is its owner, and the rest of its head is nothing that others need. Tried once.
pub(super) fn layout_is_known() -> io::Result<()> {
    static IS_KNOWN: OnceLock<bool> = OnceLock::new();
    let try_it = || {
        let Ok(mut new) = NewMutex::new() else {
            return false;
        };
        let mutex = new.0.as_mut_ptr();
        let me = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        // SAFETY: the mutex is initialised, stays where it is, and nobody else knows of it, so that its word can be read. It is
        // unlocked before it goes.
        unsafe {
            let word = mutex.cast::<u32>();
            let before = mutex.cast::<u64>().read();
            let locked = libc::pthread_mutex_lock(mutex);
            let during = word.read();
            let unlocked = libc::pthread_mutex_unlock(mutex);
            let after = word.read();
            (before, locked, during & THREAD, unlocked, after) == (0, 0, me, 0, 0)
        }
    };
    if *IS_KNOWN.get_or_init(try_it) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this C library's mutexes are laid out otherwise than the GNU one's",
    ))
}

// SAFETY: as for `pthread_mutex_lock`, with a time that can be read.
type ClockLock =
    unsafe extern "C" fn(*mut pthread_mutex_t, libc::clockid_t, *const libc::timespec) -> c_int;

/// `pthread_mutex_clocklock` where the C library has it (the GNU one since 2.30). Elsewhere the time that is left is
/// counted on the clock of the day, and becomes shorter or longer when somebody sets that meanwhile.
///
/// # Safety
///
/// As for `pthread_mutex_lock`.
pub(super) unsafe fn lock_until(mutex: *mut pthread_mutex_t, deadline: Deadline) -> c_int {
    static CLOCK_LOCK: OnceLock<Option<ClockLock>> = OnceLock::new();
    let clock_lock = CLOCK_LOCK.get_or_init(|| {
        // SAFETY: the name ends with a zero; and if there is such a symbol, it is this function of the C library's.
        unsafe {
            let symbol = libc::dlsym(libc::RTLD_DEFAULT, c"pthread_mutex_clocklock".as_ptr());
            (!symbol.is_null()).then(|| std::mem::transmute::<*mut libc::c_void, ClockLock>(symbol))
        }
    });
    let as_libc = |(tv_sec, tv_nsec)| libc::timespec { tv_sec, tv_nsec };
    match clock_lock {
        Some(clock_lock) => {
            let until = as_libc(deadline.seconds());
            // SAFETY: the caller's; the time is read only during the call.
            unsafe { clock_lock(mutex, libc::CLOCK_MONOTONIC, &raw const until) }
        }
        None => {
            let until = as_libc(deadline.on_clock_of_the_day());
            // SAFETY: as above.
            unsafe { libc::pthread_mutex_timedlock(mutex, &raw const until) }
        }
    }
}
