//! Child processes: started by `posix_spawn`, watched by a pidfd, ended with their group.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use once_cell::sync::OnceCell;
use rustix::fs::{Mode, OFlags, fstat};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, pidfd_open,
    waitid,
};

use super::control::ControlSocket;
use super::descriptors::off_standard;
use super::host::Home;
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

/// What a child's environment has that this process's has not, and the reverse.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// It begins with nothing.
    pub(crate) is_cleared: bool,
    /// What is set, or removed, in this order.
    pub(crate) changes: Vec<(OsString, Option<OsString>)>,
}

/// Where a child's standard output and error go; `None` is where those of this process go.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
}

/// Starts `program` with `control` as its standard input, in a process group of its own.
///
/// Without a `pre_exec` closure, and with nothing but a group and an `argv[0]` asked for, std starts
/// it by `posix_spawn`: no copy of the page tables of a large driver, no code between fork and exec.
pub(crate) fn spawn(
    program: &Program,
    arguments: &[OsString],
    environment: &Environment,
    marker: (&OsStr, &OsStr),
    control: ControlSocket,
    streams: Streams,
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
    if environment.is_cleared {
        command.env_clear();
    }
    for (name, value) in &environment.changes {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .args(arguments)
        .env(marker.0, marker.1)
        .stdin(OwnedFd::from(control))
        .process_group(0);
    if let Some(stdout) = streams.stdout {
        command.stdout(stdout);
    }
    if let Some(stderr) = streams.stderr {
        command.stderr(stderr);
    }
    let child = command.spawn()?;
    let pid = Pid::from_child(&child);
    // std's handle neither kills nor reaps when dropped; from here on the process is ours.
    drop(child);
    let mut child = Child {
        pid,
        pidfd: None,
        reaped: Mutex::new(None),
        was_killed: AtomicBool::new(false),
        home: Home::here(),
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

/// Whether a process could handle this signal, if it wanted to.
pub(crate) fn can_be_handled(signal: i32) -> bool {
    Signal::from_named_raw(signal)
        .is_some_and(|signal| !matches!(signal, Signal::KILL | Signal::STOP))
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

/// A process that was reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reaped {
    pub(crate) end: End,
    /// The most memory that it had resident, in KiB, as far as the system tells: see
    /// [`peak_so_far_kib`](super::peak_so_far_kib).
    pub(crate) peak_kib: u64,
}

/// A child process and its group. Dropping it kills and reaps both.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    pidfd: Option<OwnedFd>,
    /// How it ended, once it has been reaped. The lock keeps a kill from falling behind the reaping,
    /// when the number may be another's.
    reaped: Mutex<Option<Reaped>>,
    /// Whether it was killed from here.
    was_killed: AtomicBool,
    /// Whose child it is.
    home: Home,
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
            self.was_killed.store(true, Ordering::Relaxed);
            self.kill_all();
        }
    }

    /// Whether [`kill_group`](Self::kill_group) was called while it lived.
    pub(crate) fn was_killed(&self) -> bool {
        self.was_killed.load(Ordering::Relaxed)
    }

    /// Sends a signal to the whole group, on the same condition.
    pub(crate) fn signal_group(&self, signal: i32) {
        let reaped = lock(&self.reaped);
        // The numbers that come here were checked; another would be refused by the system.
        if reaped.is_none()
            && let Some(signal) = Signal::from_named_raw(signal)
        {
            // As for `kill_all`.
            if !self.is_anothers() {
                let _ = kill_process_group(self.pid, signal);
            }
        }
    }

    /// Sends a signal to the process alone, on the same condition.
    pub(crate) fn signal(&self, signal: Signal) {
        let reaped = lock(&self.reaped);
        if reaped.is_none() {
            let _ = self.send(signal);
        }
    }

    /// Whether this process was forked off by the one whose child it is.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.home.is_elsewhere()
    }

    /// Reaps it if it has ended, after killing what is left of its group; `None` while it runs.
    pub(crate) fn try_reap(&self) -> Option<Reaped> {
        self.reap(true)
    }

    /// Kills the group and waits for its leader.
    pub(crate) fn kill_and_reap(&self) {
        self.kill_group();
        self.reap(false);
    }

    fn reap(&self, only_if_ended: bool) -> Option<Reaped> {
        let mut reaped = lock(&self.reaped);
        if reaped.is_some() {
            return *reaped;
        }
        if only_if_ended && !self.has_ended() {
            return None;
        }
        self.kill_all();
        let mut status = 0;
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        let answer = loop {
            // Its number may be another child's.
            match self.ask(WaitIdOptions::empty()) {
                Err(Errno::INTR) => continue,
                Err(Errno::CHILD) => break -1,
                Ok(_) | Err(_) => {}
            }
            // SAFETY: `status` is a valid place for the status, `usage` for an rusage.
            // https://man7.org/linux/man-pages/man2/wait4.2.html
            let answer = unsafe {
                libc::wait4(
                    self.pid.as_raw_nonzero().get(),
                    &raw mut status,
                    0,
                    usage.as_mut_ptr(),
                )
            };
            if answer != -1 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                break answer;
            }
        };
        let end = if answer == -1 {
            End::Unknown
        } else if libc::WIFEXITED(status) {
            End::Exited(libc::WEXITSTATUS(status))
        } else {
            End::Signalled(libc::WTERMSIG(status))
        };
        // SAFETY: zeros are an rusage, whether or not `wait4` has written another one.
        let peak_kib = unsafe { usage.assume_init() }.ru_maxrss;
        *reaped = Some(Reaped {
            end,
            peak_kib: u64::try_from(peak_kib).unwrap_or(0),
        });
        *reaped
    }

    fn kill_all(&self) {
        if !self.is_anothers() {
            // "No such group" says that nobody is left, which is what was asked for.
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
        // It may have left its group.
        let _ = self.send(Signal::KILL);
    }

    /// To the process alone: by its descriptor, which no other one can ever have, where the system has those and lets them be used.
    fn send(&self, signal: Signal) -> Result<(), Errno> {
        let sent = self
            .pidfd
            .as_ref()
            .map(|pidfd| rustix::process::pidfd_send_signal(pidfd, signal));
        match sent {
            Some(answer @ (Ok(()) | Err(Errno::SRCH))) => answer,
            Some(Err(_)) if self.is_anothers() => Err(Errno::SRCH),
            Some(Err(_)) | None => rustix::process::kill_process(self.pid, signal),
        }
    }

    /// Whether the host has reaped it and its number has been given away. That says that there is nobody in its group any more: else
    /// the system would not have given the number away.
    fn is_anothers(&self) -> bool {
        use rustix::process::test_kill_process;
        self.pidfd.is_some()
            && self.ask(WaitIdOptions::NOHANG).err() == Some(Errno::CHILD)
            && test_kill_process(self.pid).err() != Some(Errno::SRCH)
    }

    /// Whether the process has ended, asked without reaping it.
    pub(crate) fn has_ended(&self) -> bool {
        match self.ask(WaitIdOptions::NOHANG) {
            Ok(status) => status.is_some(),
            // Someone else has reaped it.
            Err(_) => true,
        }
    }

    /// How it has ended, which is left to be reaped; `ECHILD` says that someone else has done that.
    fn ask(&self, options: WaitIdOptions) -> Result<Option<WaitIdStatus>, Errno> {
        let options = options | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        if let Some(pidfd) = &self.pidfd {
            match waitid(WaitId::PidFd(pidfd.as_fd()), options) {
                // An old kernel.
                Err(Errno::INVAL) => {}
                answer => return answer,
            }
        }
        waitid(WaitId::Pid(self.pid), options)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.home.is_elsewhere() {
            self.kill_and_reap();
        }
    }
}
