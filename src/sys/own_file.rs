//! Files that go with this process where that is told to end at once.
//!
//! Whoever ends a process without running anything more of it [removes](remove_own_files) them first. That may be asked for at any moment, whatever other threads do: so it
//! allocates nothing, and waits for nobody. Where the list is being changed just then, they stay.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::Stat;

use crate::primitives::plain::{Mutex, lock};

static FILES: Mutex<Vec<Arc<Known>>> = Mutex::new(Vec::new());

/// A file that this process has made: which one, and where. Dropping it leaves the file.
#[derive(Debug)]
pub(crate) struct OwnFile(Arc<Known>);

#[derive(Debug)]
struct Known {
    path: CString,
    device: u64,
    inode: u64,
}

impl OwnFile {
    /// The one that is there.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let found = rustix::fs::lstat(&*path)?;
        let known = Arc::new(Known {
            device: found.st_dev,
            inode: found.st_ino,
            path,
        });
        lock(&FILES).push(known.clone());
        Ok(Self(known))
    }

    /// Removes it, unless somebody has put another one in its place.
    pub(crate) fn remove(&self) {
        self.0.remove();
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        lock(&FILES).retain(|known| !Arc::ptr_eq(known, &self.0));
    }
}

impl Known {
    fn remove(&self) {
        let is_own = |found: Stat| (found.st_dev, found.st_ino) == (self.device, self.inode);
        if rustix::fs::lstat(&*self.path).is_ok_and(is_own) {
            // There is nobody to be told if it cannot be removed.
            let _ = rustix::fs::unlink(&*self.path);
        }
    }
}

/// Removes all of them, in the order in which they were made. For a process that is about to end.
pub(crate) fn remove_own_files() {
    if let Ok(files) = FILES.try_lock() {
        files.iter().for_each(|file| file.remove());
    }
}
