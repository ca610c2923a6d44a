//! A file that says, by a lock, who is there: the lock goes with whoever has it, however that ends.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::descriptors::off_standard;
use super::own_user;

/// How often it is tried again where whoever had the lock has just removed the file.
const TRIES: usize = 16;

/// Makes a file for this user alone, if there is none, and locks it, until it is closed by all who have this descriptor. Never waits: `AddrInUse` says
/// that somebody else has the lock.
pub(crate) fn lock_file(path: &Path) -> io::Result<File> {
    for _ in 0..TRIES {
        // What is no plain file is opened without waiting for anybody, and then refused.
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
        let file = File::from(off_standard(opened)?);
        let opened = file.metadata()?;
        if !opened.is_file() || opened.uid() != own_user() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Errno::ADDRINUSE.into()),
            Err(error) => return Err(error.into()),
        }
        // Others would lock another file, if this one has been removed meanwhile.
        match path.symlink_metadata() {
            Ok(there) if (there.dev(), there.ino()) == (opened.dev(), opened.ino()) => {
                return Ok(file);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Err(Errno::ADDRINUSE.into())
}
