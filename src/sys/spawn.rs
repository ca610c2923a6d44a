//! Child processes: started by `posix_spawn`, watched by a pidfd, ended with their group.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use once_cell::sync::OnceCell;
use rustix::fs::{Mode, OFlags, fstat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::control::ControlSocket;
use super::descriptors::off_standard;
use crate::primitives::plain::{Mutex, lock};

/// What is executed as a worker.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    /// This program, also when its file has been replaced or deleted since it was started.
    ThisProgram,
    /// The program at a path, for hosts that are not the program to run (a cdylib in an interpreter).
    At(PathBuf),
}

/// Which file a program was loaded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) modified: (i64, u32),
}

/// This program's own file, opened at first use and kept: what `/proc/self/exe` leads to stays the
/// file that is running, whatever happens to its name.
fn this_program() -> io::Result<&'static OwnedFd> {
    static FILE: OnceCell<OwnedFd> = OnceCell::new();
    FILE.get_or_try_init(|| {
        // As a place only: a program can be executed without being readable.
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        off_standard(rustix::fs::open("/proc/self/exe", flags, Mode::empty())?)
    })
}

impl Program {
    /// Finds out early whether it can be executed.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self {
            Self::ThisProgram => this_program().map(drop),
            Self::At(path) => {
                rustix::fs::access(path, rustix::fs::Access::EXEC_OK).map_err(Into::into)
            }
        }
    }

    /// Which file this process was loaded from, where `/proc` can tell.
    pub(crate) fn origin_of_this_process() -> Option<Origin> {
        let stat = fstat(this_program().ok()?).ok()?;
        Some(Origin {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as u64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
        })
    }

    /// For messages.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::ThisProgram => {
                std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"))
            }
            Self::At(path) => path.clone(),
        }
    }
}

/// Starts `program` with `control` as its standard input, in a process group of its own.
///
/// Without a `pre_exec` closure, and with nothing but a group and an `argv[0]` asked for, std starts
/// it by `posix_spawn`: no copy of the page tables of a large driver, no code between fork and exec.
pub(crate) fn spawn(
    program: &Program,
    arguments: &[OsString],
    marker: (&OsStr, &OsStr),
    control: ControlSocket,
    stdout_to_null: bool,
) -> io::Result<Child> {
    let mut command = match program {
        Program::ThisProgram => {
            // In the child this path leads to its own copy of the descriptor, which close-on-exec
            // closes only once the program has been opened through it.
            let file = this_program()?.as_raw_fd();
            let mut command = Command::new(Path::new("/proc/self/fd").join(file.to_string()));
            if let Some(name) = std::env::args_os().next() {
                command.arg0(name);
            }
            command
        }
        Program::At(path) => Command::new(path),
    };
    command
        .args(arguments)
        .env(marker.0, marker.1)
        .stdin(OwnedFd::from(control))
        .process_group(0);
    if stdout_to_null {
        command.stdout(Stdio::null());
    }
    let child = command.spawn()?;
    let pid = Pid::from_child(&child);
    // std's handle neither kills nor reaps when dropped; from here on the process is ours.
    drop(child);
    let mut child = Child {
        pid,
        pidfd: None,
        reaped: Mutex::new(None),
    };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => child.pidfd = Some(off_standard(pidfd)?),
        // An old kernel; or a host that reaps children took this one already. The end of the result
        // pipe tells instead.
        Err(Errno::NOSYS | Errno::SRCH | Errno::PERM | Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(child)
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
    /// Its status was taken by someone else in this program.
    Unknown,
}

/// A child process and its group. Dropping it kills and reaps both.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    pidfd: Option<OwnedFd>,
    /// How it ended, once it has been reaped. The lock keeps a kill from falling behind the reaping,
    /// when the number may be another's.
    reaped: Mutex<Option<End>>,
}

impl Child {
    /// Its process id, which is its group's too.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get() as u32
    }

    /// Readable when the process has ended, where the system has such descriptors.
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Sends SIGKILL to the whole group, unless its leader has been reaped: until then no other
    /// group can bear its number. (A host that reaps our children breaks this promise; a group with
    /// a member left still keeps its number.)
    pub(crate) fn kill_group(&self) {
        let reaped = lock(&self.reaped);
        if reaped.is_none() {
            self.signal_group();
        }
    }

    /// Reaps it if it has ended, after killing what is left of its group; `None` while it runs.
    pub(crate) fn try_reap(&self) -> Option<End> {
        self.reap(true)
    }

    /// Kills the group and waits for its leader.
    pub(crate) fn kill_and_reap(&self) -> End {
        self.kill_group();
        self.reap(false).unwrap_or(End::Unknown)
    }

    fn reap(&self, only_if_ended: bool) -> Option<End> {
        let mut reaped = lock(&self.reaped);
        if reaped.is_some() {
            return *reaped;
        }
        if only_if_ended && !self.has_ended() {
            return None;
        }
        self.signal_group();
        let mut status = 0;
        let answer = loop {
            // SAFETY: `status` is a valid place for the status, and a null rusage is allowed.
            // https://man7.org/linux/man-pages/man2/wait4.2.html
            let answer = unsafe {
                libc::wait4(
                    self.pid.as_raw_nonzero().get(),
                    &raw mut status,
                    0,
                    std::ptr::null_mut(),
                )
            };
            if answer != -1 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                break answer;
            }
        };
        *reaped = Some(if answer == -1 {
            End::Unknown
        } else if libc::WIFEXITED(status) {
            End::Exited(libc::WEXITSTATUS(status))
        } else {
            End::Signalled(libc::WTERMSIG(status))
        });
        *reaped
    }

    fn signal_group(&self) {
        // "No such group" says that nobody is left, which is what was asked for.
        let _ = kill_process_group(self.pid, Signal::KILL);
        // It may have left its group.
        let _ = rustix::process::kill_process(self.pid, Signal::KILL);
    }

    /// Whether the process has ended, asked without reaping it.
    pub(crate) fn has_ended(&self) -> bool {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.pid), options) {
            Ok(status) => status.is_some(),
            // Someone else has reaped it.
            Err(_) => true,
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill_and_reap();
    }
}
