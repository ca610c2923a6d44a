//! A terminal of the test's own, for programs that are to sit at one.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use super::awaiting;

/// The side of it where somebody types and reads.
pub(crate) struct Terminal {
    keyboard: File,
    path: PathBuf,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        // SAFETY: a system call that touches no memory.
        let number = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
        assert!(number >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: it is open, and nobody else's.
        let keyboard = unsafe { OwnedFd::from_raw_fd(number) };
        let mut name = [0; 64];
        // SAFETY: the descriptor is open, and the buffer as long as is said.
        let opened = unsafe {
            libc::grantpt(keyboard.as_raw_fd()) == 0
                && libc::unlockpt(keyboard.as_raw_fd()) == 0
                && libc::ptsname_r(keyboard.as_raw_fd(), name.as_mut_ptr(), name.len()) == 0
        };
        assert!(opened, "{}", std::io::Error::last_os_error());
        // SAFETY: the name ends with a zero byte within the buffer, as the call before has promised.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        Self {
            keyboard: keyboard.into(),
            path: name.to_str().expect("a path").into(),
        }
    }

    /// What a program gives to [`sit_down_at`].
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn press(&self, key: u8) {
        (&self.keyboard).write_all(&[key]).expect("the terminal");
    }

    /// Reads what is printed until this is, or to the end, when nobody is left who could print.
    pub(crate) fn read_until(&self, text: &str) -> String {
        awaiting(format!("{text:?} on the terminal"));
        let mut all = Vec::new();
        let mut buffer = [0; 1024];
        while !String::from_utf8_lossy(&all).contains(text) {
            match (&self.keyboard).read(&mut buffer) {
                Ok(count @ 1..) => all.extend_from_slice(&buffer[..count]),
                _ => break,
            }
        }
        String::from_utf8_lossy(&all).into_owned()
    }
}

/// Makes this process the leader of a session at that terminal, which becomes its standard streams.
pub(crate) fn sit_down_at(path: &Path) {
    rustix::process::setsid().expect("a session");
    // The first that the leader of a session opens is its terminal.
    let terminal = OpenOptions::new().read(true).write(true).open(path);
    let terminal = terminal.expect("the terminal");
    rustix::stdio::dup2_stdin(&terminal).expect("standard input");
    rustix::stdio::dup2_stdout(&terminal).expect("standard output");
    rustix::stdio::dup2_stderr(&terminal).expect("standard error");
}
