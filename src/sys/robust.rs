//! A lock between processes that says when its owner has died: the C library's mutex, process-shared and robust, at
//! the end of a mapping.
//!
//! <https://man7.org/linux/man-pages/man3/pthread_mutexattr_setrobust.3.html>
//!
//! # What is shared, and what is not
//!
//! A robust mutex is on a list while it is held: each thread has one, which the C library keeps and the kernel walks when
//! the thread ends. The links of that list are in the mutex. If all of it were in shared memory, a process that scribbles there
//! while we hold it could make our `unlock` write to any address. But only its first word, with the number of the owning
//! thread, is what processes have to agree on. So the mutex **straddles the end of the shared pages**: its
//! first eight bytes are the last of the file, and all the rest is in a page behind it that is this process's own.
//!
//! ```text
//!     file, shared by all                             this process's own
//!  ───────────────────────────────────┬─────────┬──────────────────────────────────
//!   bytes that callers     header of   │ owner,  │ owner (a copy), users, kind,
//!   reach by offset        atomics     │ count   │ links of the thread's list
//!  ───────────────────────────────────┴─────────┴──────────────────────────────────
//!                                      ◀────── one pthread_mutex_t ──────▶
//! ```
//!
//! That is so with the GNU C library on 64 bits, whose layout is fixed by its ABI; that the first word is the owner is tried once
//! in each process. With others the whole mutex is in the file, and processes that share a lock have to trust each other.
//! (The field that says that a mutex cannot be recovered is not shared either. It is not needed: it is made
//! consistent at once by the next owner, who is told.)
//!
//! # What can never happen
//!
//! * **Unmapped while it is held**: the list would lead into nothing. A guard keeps the mapping, by borrowing it or by
//!   counting; one that is forgotten (`mem::forget`) leaves a note in `holder`, and such a mapping is not unmapped unless
//!   the thread is gone: not while its last destructors run, which may use other locks and so follow its list, and not before the
//!   kernel has walked that. A mapping that is dropped in between stays.
//! * **Unlocked by another thread**: a guard is not `Send`.
//! * **On two lists**: if a scribbled word lets a second thread in while one of this process holds it, `holder` says so. Then
//!   this mapping is *spoilt*: it is neither unlocked nor unmapped any more, and refuses from there on.
//!
//! What a scribbler can do is to keep others waiting, to let two in at a time, or to have its lock refused. (Two threads of this process, let in
//! within the few instructions in which the first one unlocks, or while the first one ends and has forgotten its guard, are not told from two
//! that came one after the other. They find the
//! links of their own lists taken out twice, which ends this process; it takes aim, and still no pointer is anybody else's.)

mod native;
mod threads;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use libc::pthread_mutex_t;

use self::native::{NewMutex, layout_is_known, lock_until};
use self::threads::{has_forked, is_alive, is_gone, this_thread};
use super::clock::Deadline;
use super::segment::{Mapping, check_file, create_file, page_len, too_large};

/// Whether only the head of the mutex is in the file.
const IS_SPLIT: bool = cfg!(all(target_env = "gnu", target_pointer_width = "64"));

const MUTEX_LEN: usize = size_of::<pthread_mutex_t>();

/// How much of the mutex is in the file.
const HEAD: usize = if IS_SPLIT {
    8
} else {
    MUTEX_LEN.next_multiple_of(16)
};

/// What is at the end of the file: the header, and the head of the mutex in a cache line of its own.
const TRAILER: usize = size_of::<Header>() + HEAD.next_multiple_of(64);

/// How much of the mutex is this process's own.
const TAIL: usize = MUTEX_LEN.saturating_sub(HEAD);

/// Where the owner is in the mutex, in the bits of [`THREAD`].
const OWNER: usize = if cfg!(target_env = "musl") { 4 } else { 0 };

/// The kernel's words about robust futexes, in `linux/futex.h`.
const THREAD: u32 = 0x3fff_ffff;
const OWNER_DIED: u32 = 0x4000_0000;

/// Words that every [`LockedMapping`] has besides its bytes: they start as zeros, and mean what its users say.
#[repr(C, align(64))]
pub(crate) struct Header {
    /// A cache line for what hardly ever changes, so that who only reads it does not take the other one away from those who write there.
    pub(crate) seldom: [AtomicU64; 8],
    /// Counts what has happened; to sleep on.
    pub(crate) sequence: AtomicU32,
    /// How many sleep there.
    pub(crate) sleepers: AtomicU32,
    pub(crate) words: [AtomicU64; 7],
}

/// A mapping with one mutex, which guards what its users say it does.
pub(crate) struct LockedMapping {
    mapping: ManuallyDrop<Mapping>,
    header: NonNull<Header>,
    /// The same for all mappings of one memory, and for no other memory as long as that is there.
    id: u64,
    mutex: NonNull<pthread_mutex_t>,
    /// The thread of this process that holds it by way of this mapping, by [`this_thread`]; 0 for none. Written by whoever
    /// has locked it.
    holder: AtomicU64,
    /// How often the holder has taken it [once more](Self::lock_again). Only the holder looks.
    again: AtomicUsize,
    /// Whether it has been found held twice.
    is_spoilt: AtomicBool,
}

/// Why a lock was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MutexError {
    /// The deadline has passed, or somebody holds it and it was only tried.
    TimedOut,
    /// This very thread holds it.
    HeldByThisThread,
    /// Its memory has been overwritten.
    Broken,
}

/// The thread that holds a lock, by its number in the system (`gettid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u32);

impl LockedMapping {
    /// New memory of zeros with a lock that nobody holds, and the descriptor by which another process can map it.
    pub(crate) fn create(name: &str, len: usize) -> io::Result<(Self, OwnedFd)> {
        let memory = create_file(name, needed(len)?)?;
        let this = Self::map(&memory, 0, len)?;
        this.initialise_shared()?;
        Ok((this, memory))
    }

    /// Maps memory made by [`create`](Self::create) with the same length, after checking that it is.
    pub(crate) fn attach(memory: impl AsFd, len: usize) -> io::Result<Self> {
        check_file(&memory, needed(len)?)?;
        Self::map(memory, 0, len)
    }

    /// As [`create`](Self::create), of one page from `at` on in a larger file of zeros, for which the caller answers.
    pub(super) fn create_page(memory: impl AsFd, at: u64) -> io::Result<Self> {
        let this = Self::attach_page(memory, at)?;
        this.initialise_shared()?;
        Ok(this)
    }

    /// As [`attach`](Self::attach), of such a page.
    pub(super) fn attach_page(memory: impl AsFd, at: u64) -> io::Result<Self> {
        Self::map(memory, at, page_len() - TRAILER)
    }

    fn map(memory: impl AsFd, at: u64, len: usize) -> io::Result<Self> {
        let new = NewMutex::new()?;
        let id = rustix::fs::fstat(&memory)?.st_ino;
        let mapping = Mapping::map(memory, at, len, needed(len)?, TAIL)?;
        let end = mapping.file_len();
        // SAFETY: both are within `TRAILER` bytes from the end of the file, which has room for them behind what is reached by
        // offset.
        let (header, mutex) = unsafe {
            let start = mapping.start();
            (start.add(end - TRAILER), start.add(end - HEAD))
        };
        if IS_SPLIT {
            // SAFETY: the mapping goes on behind the file for at least `TAIL` bytes, which are this process's, and to
            // which nothing refers yet. The source is a mutex of `MUTEX_LEN` bytes.
            unsafe {
                let tail = mutex.add(HEAD).as_ptr();
                new.bytes().add(HEAD).copy_to_nonoverlapping(tail, TAIL);
            }
        }
        Ok(Self {
            mapping: ManuallyDrop::new(mapping),
            header: header.cast(),
            id,
            mutex: mutex.cast(),
            holder: AtomicU64::new(0),
            again: AtomicUsize::new(0),
            is_spoilt: AtomicBool::new(false),
        })
    }

    /// What is in the file, once, before anybody else has it.
    fn initialise_shared(&self) -> io::Result<()> {
        if IS_SPLIT {
            return layout_is_known(); // An unlocked one is zeros, as the file is.
        }
        let new = NewMutex::new()?;
        // SAFETY: `HEAD` bytes of the file, which nobody else has yet; the mutex is no longer.
        unsafe {
            let place = self.mutex.as_ptr().cast::<u8>();
            new.bytes().copy_to_nonoverlapping(place, MUTEX_LEN);
        }
        Ok(())
    }

    /// The words of this memory.
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: within the file, aligned (the end of the file is that of a page, and `TRAILER` is whole cache lines),
        // initialised with zeros, and mapped as long as `self` is there. It consists of atomics, which may change under
        // the reference.
        unsafe { self.header.as_ref() }
    }

    /// The same for all mappings of this memory, in this process; another one for any other.
    #[inline]
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Waits until nobody else holds the lock, or until `deadline`. An owner that has died is told of by
    /// [`Held::owner_died`], to the first one who comes after it.
    #[inline]
    pub(crate) fn lock(&self, deadline: Deadline) -> Result<Held<&Self>, MutexError> {
        let owner_died = self.acquire(Some(deadline))?;
        Ok(Held::new(self, owner_died))
    }

    /// Takes the lock if nobody holds it.
    #[allow(dead_code, reason = "the same for those who do not need it owned")]
    #[inline]
    pub(crate) fn try_lock(&self) -> Result<Held<&Self>, MutexError> {
        let owner_died = self.acquire(None)?;
        Ok(Held::new(self, owner_died))
    }

    /// As [`lock`](Self::lock), by a guard that keeps the mapping by itself.
    #[inline]
    pub(crate) fn lock_owned(
        self: &Arc<Self>,
        deadline: Deadline,
    ) -> Result<Held<Arc<Self>>, MutexError> {
        let owner_died = self.acquire(Some(deadline))?;
        Ok(Held::new(self.clone(), owner_died))
    }

    /// As [`try_lock`](Self::try_lock), by a guard that keeps the mapping by itself.
    #[inline]
    pub(crate) fn try_lock_owned(self: &Arc<Self>) -> Result<Held<Arc<Self>>, MutexError> {
        let owner_died = self.acquire(None)?;
        Ok(Held::new(self.clone(), owner_died))
    }

    /// As [`lock_owned`](Self::lock_owned), or [`try_lock_owned`](Self::try_lock_owned) for `None`; and a thread that holds it by way of this
    /// mapping takes it once more. It is released with the last of its guards.
    #[inline]
    pub(crate) fn lock_again(
        self: &Arc<Self>,
        deadline: Option<Deadline>,
    ) -> Result<Held<Arc<Self>>, MutexError> {
        let owner_died = match self.holder.load(Ordering::Relaxed) == this_thread() {
            true => self.take_once_more().map(|()| false)?,
            false => self.acquire(deadline)?,
        };
        Ok(Held::new(self.clone(), owner_died))
    }

    /// Runs this with the lock held, without counting who keeps the mapping. When the owner before has died, it does not run, and whoever
    /// asked has the lock.
    #[inline]
    pub(crate) fn with_lock<R>(
        self: &Arc<Self>,
        run: impl FnOnce(&Self) -> R,
    ) -> Result<Result<R, Held<Arc<Self>>>, MutexError> {
        if self.acquire(Some(Deadline::NEVER))? {
            return Ok(Err(Held::new(self.clone(), true)));
        }
        let held = Held::new(&**self, false);
        Ok(Ok(run(held.mapping())))
    }

    /// Who holds it, at a moment that is over by now; also one that holds it by way of another mapping.
    pub(crate) fn owner(&self) -> Option<Owner> {
        // SAFETY: the word is within the file's part of the mutex, aligned as that is, and is an integer that the C
        // library, too, changes only by atomic operations.
        let word = unsafe { self.mutex.byte_add(OWNER).cast::<AtomicU32>().as_ref() };
        let word = word.load(Ordering::Relaxed);
        let thread = word & THREAD;
        (thread != 0 && word & OWNER_DIED == 0).then_some(Owner(thread))
    }

    fn take_once_more(&self) -> Result<(), MutexError> {
        // A forked child has the note of the thread that forked, but not its lock.
        let is_mine = self.owner().is_some_and(Owner::is_this_thread);
        if !is_mine || self.is_spoilt.load(Ordering::Relaxed) {
            return Err(MutexError::Broken);
        }
        let again = self.again.load(Ordering::Relaxed);
        self.again.store(again + 1, Ordering::Relaxed);
        Ok(())
    }

    /// `None` is to try; says whether the owner before has died.
    #[inline]
    fn acquire(&self, deadline: Option<Deadline>) -> Result<bool, MutexError> {
        let me = this_thread();
        if self.is_spoilt.load(Ordering::Relaxed) {
            return Err(MutexError::Broken);
        }
        match self.holder.load(Ordering::Relaxed) {
            0 => {}
            // So that it is not put on its list twice, whatever its memory says.
            holder if holder == me => return Err(MutexError::HeldByThisThread),
            // Its guard may have come along, and would be taken for this thread's. Nothing is locked: the parent and all others go on.
            holder if has_forked(holder) => return Err(self.spoil()),
            _ => {}
        }
        let mutex = self.mutex.as_ptr();
        // SAFETY: the mutex was initialised by `map` (its shared part by its creator), and is neither moved nor unmapped
        // while anybody holds it, as the module argues. The calls read and write only the mutex and this thread's list.
        let result = unsafe {
            match deadline {
                None => libc::pthread_mutex_trylock(mutex),
                Some(Deadline::NEVER) => libc::pthread_mutex_lock(mutex),
                Some(deadline) => lock_until(mutex, deadline),
            }
        };
        let owner_died = match result {
            0 => false,
            libc::EOWNERDEAD => true,
            libc::EBUSY | libc::ETIMEDOUT => return Err(MutexError::TimedOut),
            libc::EDEADLK => return Err(MutexError::HeldByThisThread),
            _ => return Err(MutexError::Broken),
        };
        // From here on this thread has the lock.
        let before = self.holder.load(Ordering::Relaxed);
        self.holder.store(me, Ordering::Relaxed);
        // Guards that were forgotten by a thread that is gone count no more.
        self.again.store(0, Ordering::Relaxed);
        if before != 0 && is_alive(before) {
            return Err(self.spoil());
        }
        // SAFETY: as above; this thread is the owner.
        if owner_died && unsafe { libc::pthread_mutex_consistent(mutex) } != 0 {
            return Err(self.spoil());
        }
        Ok(owner_died)
    }

    #[inline]
    fn release(&self) {
        // Another number here says that another thread was let in, too, and has taken it for spoilt.
        let is_mine = self.holder.load(Ordering::Relaxed) == this_thread();
        if is_mine {
            let again = self.again.load(Ordering::Relaxed);
            if again > 0 {
                return self.again.store(again - 1, Ordering::Relaxed);
            }
            self.holder.store(0, Ordering::Relaxed);
        }
        // SAFETY: this thread has locked it, and its entry is in this thread's list and in no other.
        if !is_mine || unsafe { libc::pthread_mutex_unlock(self.mutex.as_ptr()) } != 0 {
            // It is on this thread's list for good: in a forked child, or when its word was overwritten.
            self.spoil();
        }
    }

    #[cold]
    fn spoil(&self) -> MutexError {
        self.is_spoilt.store(true, Ordering::Relaxed);
        MutexError::Broken
    }
}

impl Deref for LockedMapping {
    type Target = Mapping;

    fn deref(&self) -> &Mapping {
        &self.mapping
    }
}

impl Drop for LockedMapping {
    fn drop(&mut self) {
        let holder = *self.holder.get_mut();
        if *self.is_spoilt.get_mut() || holder != 0 && !is_gone(holder) {
            return; // A thread's list leads here.
        }
        // SAFETY: it is not used after this.
        unsafe { ManuallyDrop::drop(&mut self.mapping) };
    }
}

// SAFETY: the mutex may be locked by any thread; that it is unlocked by the same one is seen to by `Held`.
unsafe impl Send for LockedMapping {}
// SAFETY: as above; what else there is are atomics and the mapping.
unsafe impl Sync for LockedMapping {}

impl fmt::Debug for LockedMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedMapping")
            .field("len", &self.len())
            .field("owner", &self.owner())
            .finish()
    }
}

/// A lock that this thread holds; released on drop.
#[must_use = "the lock is released when this is dropped"]
pub(crate) struct Held<M: Deref<Target = LockedMapping>> {
    /// A `&LockedMapping` or an `Arc<LockedMapping>`: others are never made.
    mapping: M,
    owner_died: bool,
    /// The C library knows the owner by its thread.
    _not_send: PhantomData<*const ()>,
}

impl<M: Deref<Target = LockedMapping>> Held<M> {
    #[inline]
    fn new(mapping: M, owner_died: bool) -> Self {
        Self {
            mapping,
            owner_died,
            _not_send: PhantomData,
        }
    }

    /// Whether the owner before has died with the lock, perhaps half-way through what it did. It is said once.
    pub(crate) fn owner_died(&self) -> bool {
        self.owner_died
    }

    /// What the lock belongs to.
    pub(crate) fn mapping(&self) -> &LockedMapping {
        &self.mapping
    }
}

impl<M: Deref<Target = LockedMapping>> Drop for Held<M> {
    #[inline]
    fn drop(&mut self) {
        self.mapping.release();
    }
}

impl Owner {
    /// Its number, as `gettid` gives it.
    pub(crate) fn thread(self) -> u32 {
        self.0
    }

    /// The process that it belongs to, as long as it is there and can be seen.
    pub(crate) fn process(self) -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
        line.trim().parse().ok()
    }

    /// Whether it is the calling thread.
    pub(crate) fn is_this_thread(self) -> bool {
        u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()) == Ok(self.0)
    }
}

fn needed(len: usize) -> io::Result<usize> {
    len.checked_add(TRAILER).ok_or_else(too_large)
}

#[cfg(test)]
mod tests;
