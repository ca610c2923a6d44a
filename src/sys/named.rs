//! Shared memory with a name: files in `/dev/shm`, as `shm_open` makes them, that go with their last user.
//!
//! # How it is known whether there are users
//!
//! Each user has the file open by itself, and holds a *shared* `flock` on it. The kernel releases that when the user
//! closes it or ends, however it ends. So whoever can have an *exclusive* one has found a file that nobody uses, and unlinks it: the last
//! user, when it closes; or, when that was killed, whoever looks next, to create or attach one of this name.
//!
//! * A file gets its name when it is complete and its creator holds its lock (`O_TMPFILE`, then `linkat`): nobody ever sees half of one.
//! * Files of ours have the sticky bit, which means nothing on files of Linux. Others are not unlinked, as nobody knows who
//!   uses them: programs that know nothing of these locks can have made them.
//! * Whoever **unlinks** holds a second, exclusive lock (on a range of the file, for this open file description) and has seen
//!   with it that the name leads to this file. So it cannot lead to another, newer one when it is taken away.
//! * Nobody waits for a lock without end: another program may have it, or a process that has been stopped. A shared one that is refused says
//!   that there is no user, or is an error.
//! * A descriptor that **travels** is one more user, opened for that. Were it the sender's own, its lock would be the sender's, and what the
//!   sender does with it at its end would happen to the receiver. The receiver opens the file anew, as soon as the descriptor has come
//!   ([`take_in`]): whoever throws it away unread is a user, too, and perhaps the last one.
//!
//! # Why they are not mapped
//!
//! Anybody who may write to such a file may also truncate it, and it cannot be sealed. A mapping would then end the program, with
//! SIGBUS, at its next access. `pread` and `pwrite` say that there is less.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{Timespec, poll};
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, FlockOperation, Mode, OFlags, Stat, fallocate, fchmod,
    flock, fstat, linkat, open, openat, readlink, statat, unlinkat,
};
use rustix::io::{Errno, pread, pwrite, retry_on_intr};

use super::descriptors::off_standard;
use super::limits::check_file_len;
use crate::wire::Carried;

const DIRECTORY: &str = "/dev/shm";

/// For the owner alone; and ours.
const MODE: u32 = 0o600 | MARK;
const MARK: u32 = 0o1000;

/// How often the lock for unlinking is tried, and the pause before it is tried again: for a second in all.
const UNLINK_ATTEMPTS: u32 = 200;
const UNLINK_PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 5_000_000,
};

const ACCESS: OFlags = OFlags::RDWR
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK);

/// A user of a named file.
#[derive(Debug)]
pub(crate) struct NamedFile {
    file: OwnedFd,
    name: String,
    len: u64,
}

impl NamedFile {
    /// A new one of so many zeros, for which there is room. `AlreadyExists` if the name is in use.
    pub(crate) fn create(name: &str, len: u64) -> io::Result<Self> {
        check_file_len(len)?;
        let directory = directory()?;
        let new = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = openat(&directory, ".", new, Mode::from_raw_mode(0o600))?;
        let file = off_standard(file)?;
        fchmod(&file, Mode::from_raw_mode(MODE))?;
        // What is not there when it is written to would be SIGBUS in a program that maps it.
        retry_on_intr(|| fallocate(&file, FallocateFlags::empty(), 0, len))?;
        flock(&file, FlockOperation::NonBlockingLockShared)?;
        let path = path_of(&file);
        loop {
            match linkat(CWD, &*path, &directory, name, AtFlags::SYMLINK_FOLLOW) {
                Ok(()) => break,
                // (One that may not be looked at exists all the more.)
                Err(Errno::EXIST) if matches!(remove_if_abandoned(&directory, name), Ok(true)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self {
            file: by_name(&directory, name, &file).unwrap_or(file),
            name: name.into(),
            len,
        })
    }

    /// One that is there; `NotFound` also if nobody uses it any more.
    pub(crate) fn attach(name: &str) -> io::Result<Self> {
        let directory = directory()?;
        let file = open_named(&directory, name)?.ok_or(Errno::NOENT)?;
        let is_used = use_file(&file)?;
        if is_used == Use::Last {
            unlink_same(&directory, name, &file, OnContention::LeaveIt)?;
        }
        if is_used != Use::OneOfMany {
            return Err(Errno::NOENT.into());
        }
        Self::of(file, name)
    }

    /// The file of somebody who has sent a descriptor, which goes on to be one more user.
    pub(crate) fn open_again(sent: impl AsFd, name: &str) -> io::Result<Self> {
        // What is sent could be anything; and to open it anew, for writing, may be more than the sender could do.
        let (stat, place) = (fstat(&sent)?, fstat(&directory()?)?);
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !is_file || stat.st_dev != place.st_dev {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not shared memory",
            ));
        }
        Self::of(reopen(sent)?, name)
    }

    /// The file of a descriptor that has come, if it is one of ours that has its name. Of all others this costs one question.
    fn recognise(came: &OwnedFd) -> Option<Self> {
        let stat = fstat(came).ok()?;
        if !is_ours(&stat) || stat.st_nlink == 0 {
            return None;
        }
        let place = readlink(&*path_of(came), Vec::new()).ok()?;
        let name = place.to_str().ok()?.strip_prefix(DIRECTORY)?;
        let name = name.strip_prefix('/').filter(|name| !name.contains('/'))?;
        Self::open_again(came, name).ok()
    }

    fn of(file: OwnedFd, name: &str) -> io::Result<Self> {
        let len = u64::try_from(fstat(&file)?.st_size).unwrap_or(0);
        Ok(Self {
            file,
            name: name.into(),
            len,
        })
    }

    /// A descriptor that counts as a user as long as any duplicate of it is open.
    pub(crate) fn traveller(&self) -> io::Result<OwnedFd> {
        reopen(&self.file)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How long it was when it was opened.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Reads so many bytes; says how many are there.
    pub(crate) fn read_at(&self, mut offset: u64, mut bytes: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while !bytes.is_empty() {
            let count = retry_on_intr(|| pread(&self.file, &mut *bytes, offset))?;
            if count == 0 {
                break;
            }
            read += count;
            offset += count as u64;
            bytes = &mut bytes[count..];
        }
        Ok(read)
    }

    /// Writes these bytes, which may make the file longer if it has become shorter.
    pub(crate) fn write_at(&self, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
        check_file_len(offset.saturating_add(bytes.len() as u64))?;
        while !bytes.is_empty() {
            let count = retry_on_intr(|| pwrite(&self.file, bytes, offset))?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            offset += count as u64;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// How long the file is now.
    pub(crate) fn current_len(&self) -> io::Result<u64> {
        Ok(u64::try_from(fstat(&self.file)?.st_size).unwrap_or(0))
    }
}

impl Drop for NamedFile {
    fn drop(&mut self) {
        if !fstat(&self.file).is_ok_and(|stat| is_ours(&stat)) {
            return;
        }
        // If this is not the last user, its lock is gone, too, and so is this user in a moment.
        let last = flock(&self.file, FlockOperation::NonBlockingLockExclusive);
        if let (Ok(()), Ok(directory)) = (last, directory()) {
            let contention = OnContention::LeaveIt;
            let _ = unlink_same(&directory, &self.name, &self.file, contention);
        }
    }
}

/// A descriptor that has come from another process. If it is named memory, the file stands behind it (as an `Arc<NamedFile>`), whether or not
/// anybody makes a value of it.
pub(super) fn take_in(descriptor: OwnedFd) -> Carried {
    match NamedFile::recognise(&descriptor) {
        Some(file) => Carried::keeping(descriptor, Arc::new(file)),
        None => descriptor.into(),
    }
}

/// Takes a name away. Those who use the file go on to do so.
pub(crate) fn unlink_named(name: &str) -> io::Result<()> {
    let directory = directory()?;
    loop {
        let file = open_named(&directory, name)?.ok_or(Errno::NOENT)?;
        // Otherwise the name leads to another file by now.
        if unlink_same(&directory, name, &file, OnContention::Wait)? {
            return Ok(());
        }
    }
}

/// Unlinks all files of this user that nobody uses any more; says how many.
pub(crate) fn remove_abandoned() -> io::Result<usize> {
    let directory = directory()?;
    let mut count = 0;
    for entry in std::fs::read_dir(DIRECTORY)? {
        let name = entry?.file_name();
        // Names of ours are text, and what cannot be opened is another user's.
        let removed = name
            .to_str()
            .map(|name| remove_if_abandoned(&directory, name));
        count += usize::from(matches!(removed, Some(Ok(true))));
    }
    Ok(count)
}

/// What a process finds that would use a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Nobody else does. It holds the exclusive lock.
    Last,
    /// Others do. It holds a shared lock.
    OneOfMany,
    /// It has lost its name meanwhile, or is about to.
    Gone,
}

fn use_file(file: &OwnedFd) -> io::Result<Use> {
    // What other programs do with the locks of their own files is their affair.
    if is_ours(&fstat(file)?) {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Use::Last),
            Err(Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error.into()),
        }
        match flock(file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {}
            // Whoever has the exclusive one has found nobody that uses it, and takes the name away.
            Err(Errno::WOULDBLOCK) => return Ok(Use::Gone),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(match fstat(file)?.st_nlink {
        0 => Use::Gone,
        _ => Use::OneOfMany,
    })
}

/// Whether a name that was in the way is gone.
fn remove_if_abandoned(directory: &OwnedFd, name: &str) -> io::Result<bool> {
    let Some(file) = open_named(directory, name)? else {
        return Ok(true);
    };
    if !is_ours(&fstat(&file)?) {
        return Ok(false);
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    unlink_same(directory, name, &file, OnContention::Wait)?;
    Ok(true)
}

/// `None` if there is no file of this name, or one that is not memory.
fn open_named(directory: &OwnedFd, name: &str) -> io::Result<Option<OwnedFd>> {
    let is_file = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if is_file(&stat) => {}
        Ok(_) => return Err(Errno::ACCESS.into()),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    match openat(directory, name, ACCESS, Mode::empty()) {
        Ok(file) => off_standard(file).map(Some),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A file that has just got its name, open once more by that, as one of its users: from a file that was opened without one the system does
/// not tell it, and [`NamedFile::recognise`] asks for it. `None` if the name is gone again, or there is no room.
fn by_name(directory: &OwnedFd, name: &str, new: &OwnedFd) -> Option<OwnedFd> {
    let file = open_named(directory, name).ok()??;
    let (named, new) = (fstat(&file).ok()?, fstat(new).ok()?);
    if (named.st_dev, named.st_ino) != (new.st_dev, new.st_ino) {
        return None;
    }
    flock(&file, FlockOperation::NonBlockingLockShared).ok()?;
    Some(file)
}

/// The same file, open once more, as one of its users.
fn reopen(file: impl AsFd) -> io::Result<OwnedFd> {
    let access = ACCESS.difference(OFlags::NOFOLLOW);
    let file = off_standard(open(&*path_of(&file), access, Mode::empty())?)?;
    // Not refused as long as there is a user, and whoever has a descriptor from one of them is one.
    flock(&file, FlockOperation::NonBlockingLockShared).map_err(|error| match error {
        Errno::WOULDBLOCK => locked_by_others(),
        error => error.into(),
    })?;
    Ok(file)
}

fn locked_by_others() -> io::Error {
    let what = "another process keeps the memory locked";
    io::Error::new(io::ErrorKind::ResourceBusy, what)
}

fn path_of(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

fn is_ours(stat: &Stat) -> bool {
    stat.st_mode & MARK != 0 && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn directory() -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(DIRECTORY, flags, Mode::empty()).map_err(|error| {
        let error = io::Error::from(error);
        io::Error::other(format!("{DIRECTORY}: {error}"))
    })
}

/// What to do while somebody else is about to take the same name away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnContention {
    LeaveIt,
    Wait,
}

/// Takes the name away if it leads to this very file; says whether it did.
fn unlink_same(
    directory: &OwnedFd,
    name: &str,
    file: &OwnedFd,
    contention: OnContention,
) -> io::Result<bool> {
    // Not on the user's own description, or it would stay with that.
    let file = reopen_unlocked(file)?;
    if !lock_for_unlinking(file.as_fd(), contention)? {
        return Ok(false);
    }
    let wanted = fstat(&file)?;
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) if (named.st_dev, named.st_ino) == (wanted.st_dev, wanted.st_ino) => {}
        Ok(_) | Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    unlinkat(directory, name, AtFlags::empty())?;
    Ok(true)
}

fn reopen_unlocked(file: &OwnedFd) -> io::Result<OwnedFd> {
    let access = ACCESS.difference(OFlags::NOFOLLOW);
    off_standard(open(&*path_of(file), access, Mode::empty())?)
}

/// Held until the file is closed.
///
/// Whoever has this lock has it for three system calls, and nothing tells when it is free but a wait that may have no end: its owner may be
/// stopped, or be another program. So it is tried again, with pauses, for a while.
fn lock_for_unlinking(file: BorrowedFd<'_>, contention: OnContention) -> io::Result<bool> {
    let mut attempts = match contention {
        OnContention::LeaveIt => 1,
        OnContention::Wait => UNLINK_ATTEMPTS,
    };
    // SAFETY: plain numbers, of which zeros are some.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_len = 1;
    loop {
        // SAFETY: the descriptor is open, and the structure is read during the call.
        // https://man7.org/linux/man-pages/man2/F_OFD_SETLK.2const.html
        let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
        if result == 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error if error.kind() == io::ErrorKind::WouldBlock => attempts -= 1,
            error => return Err(error),
        }
        match contention {
            OnContention::LeaveIt if attempts == 0 => return Ok(false),
            OnContention::Wait if attempts == 0 => return Err(locked_by_others()),
            _ => drop(poll(&mut [], Some(&UNLINK_PAUSE))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_unlinks_waits_for_another_who_does_but_not_for_ever() {
        let name = format!("procession-test-{}-unlinked", std::process::id());
        let memory = NamedFile::create(&name, 10).unwrap();
        let other = reopen_unlocked(&memory.file).unwrap();
        assert!(lock_for_unlinking(other.as_fd(), OnContention::LeaveIt).unwrap());
        let refused = unlink_named(&name).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        drop(other);
        unlink_named(&name).unwrap();
    }
}
