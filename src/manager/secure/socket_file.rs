//! The file that a socket is.
//!
//! A server that is killed leaves its file behind, at which nobody can listen then. Whether somebody does can be asked, by connecting; but between the
//! answer and the removal of the file, another server might have taken it over. So whoever listens at a path has, for as long, the lock of a file
//! beside it, whose name ends in `.lock`. The system gives that back whenever a process ends. Who has the lock, and finds a socket at which nobody listens, knows that it is left over and
//! that nobody is about to listen there. What is no socket, or is another user's, is never removed.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Address;
use crate::sys::{self, Home, OwnFile, Place};

/// How long is waited for somebody who listens and has too much to do: then somebody is there.
const PROBE_TIME: Duration = Duration::from_millis(500);

/// The file that a socket is: removed when this is dropped, and then its lock. Both are removed, too, where the process is told to end since its owner has.
pub(super) struct SocketFile {
    socket: OwnFile,
    lock_file: OwnFile,
    /// Closed when the files are gone.
    _lock: File,
    home: Home,
}

/// Listens at a path, where nobody else does.
pub(super) fn listen_at(path: &Path) -> io::Result<(OwnedFd, SocketFile)> {
    let lock_path = lock_path_of(path);
    let lock = sys::lock_file(&lock_path)?;
    let bound = match sys::listen_at(Place::Path(path)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_over(path) => {
            fs::remove_file(path).and_then(|()| sys::listen_at(Place::Path(path)))
        }
        bound => bound,
    };
    let found = bound.and_then(|socket| {
        let files = (OwnFile::at(path)?, OwnFile::at(&lock_path)?);
        Ok((socket, files))
    });
    match found {
        Ok((socket, (of_socket, lock_file))) => {
            let file = SocketFile {
                socket: of_socket,
                lock_file,
                _lock: lock,
                home: Home::here(),
            };
            Ok((socket, file))
        }
        Err(error) => {
            // It is still locked: nobody else counts on it.
            let _ = fs::remove_file(&lock_path);
            Err(error)
        }
    }
}

/// Removes what a server that was killed has left behind at an address, if nobody has taken that over.
pub(crate) fn remove_left_over(address: &Address) {
    let Address::Unix(path) = address else { return };
    let lock_path = lock_path_of(path);
    if fs::symlink_metadata(&lock_path).is_err() {
        return;
    }
    // Whoever has it listens there, or is about to.
    let Ok(_lock) = sys::lock_file(&lock_path) else {
        return;
    };
    if is_left_over(path) {
        let _ = fs::remove_file(path);
    }
    let _ = fs::remove_file(&lock_path);
}

fn lock_path_of(path: &Path) -> PathBuf {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    PathBuf::from(lock_path)
}

/// Whether this is a socket of this user's at which nobody listens.
fn is_left_over(path: &Path) -> bool {
    let is_own = fs::symlink_metadata(path)
        .is_ok_and(|found| found.file_type().is_socket() && found.uid() == sys::own_user());
    let probe = || sys::connect_to(Place::Path(path), Instant::now() + PROBE_TIME);
    is_own && probe().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.home.is_elsewhere() {
            return;
        }
        // Where it cannot be removed, the next server takes it over.
        self.socket.remove();
        self.lock_file.remove();
    }
}
