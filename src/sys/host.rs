//! What a worker changes in its own process, each as one step.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::io::FdFlags;

use super::control::ControlSocket;
use super::descriptors::{null, write};
use super::poll::wait_for_room;

/// A variable of this process's environment.
pub(crate) fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Removes a variable, so that no grandchild sees it.
pub(crate) fn remove_from_environment(name: &str) {
    // SAFETY: `init()` documents that it is called before the program starts threads, and only a
    // process started as a worker comes here: under libtest the one other thread waits for the test
    // that calls `init()`. So nobody reads the environment meanwhile.
    unsafe { std::env::remove_var(name) };
}

/// Does something while a variable has another value, and standard error is away. Neither changes for good.
pub(crate) fn aside(name: &str, value: &str, what: impl FnOnce()) -> io::Result<()> {
    let kept = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?;
    let before = environment(name);
    rustix::stdio::dup2_stderr(null()?)?;
    // SAFETY: as for `remove_from_environment`; this process has not come to its second thread.
    unsafe { std::env::set_var(name, value) };
    what();
    match before {
        // SAFETY: as above.
        Some(before) => unsafe { std::env::set_var(name, before) },
        None => remove_from_environment(name),
    }
    Ok(rustix::stdio::dup2_stderr(kept)?)
}

/// Takes the control socket from standard input and puts `/dev/null` there. `None`: what is there
/// is not a control socket, and it was left alone.
pub(crate) fn take_standard_input(above: RawFd) -> io::Result<Option<ControlSocket>> {
    let copy = match rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), above) {
        Ok(copy) => copy,
        // Standard input is closed.
        Err(rustix::io::Errno::BADF) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Ok(socket) = ControlSocket::recognise(copy) else {
        return Ok(None);
    };
    rustix::stdio::dup2_stdin(null()?)?;
    Ok(Some(socket))
}

/// Tells the driver of a worker that never reached `init()`, through the socket that still is this
/// process's standard input. With it the worker's pipes are closed, which have not been taken from it.
pub(crate) fn say_on_standard_input(bytes: &[u8]) {
    if let Ok(Some(socket)) = take_standard_input(3) {
        // The driver may be gone; then nobody is left to be told.
        let _ = socket.send(bytes, &[]);
    }
}

/// Puts a descriptor in the place of standard output. What was printed before, and waits for the end of its line, goes
/// where it belongs.
pub(crate) fn adopt_standard_output(fd: OwnedFd) -> io::Result<()> {
    flush_standard_streams();
    Ok(rustix::stdio::dup2_stdout(fd)?)
}

/// Writes out what this process has printed and not written yet: in Rust, and in C.
pub(crate) fn flush_standard_streams() {
    use std::io::Write as _;
    // Where it cannot be written, nobody reads it.
    let _ = io::stdout().flush();
    let _ = io::stderr().flush();
    // SAFETY: this is how every C library declares it, though musl and glibc call its type differently.
    unsafe extern "C" {
        /// The C library's own stream. (Not all of its streams: it would wait for the lock of one that another thread reads
        /// from.)
        static stdout: *mut libc::FILE;
    }
    // SAFETY: the variable is set before `main` and, as good as always, never again; the stream has a lock of its own.
    // https://man7.org/linux/man-pages/man3/fflush.3.html
    unsafe { libc::fflush(stdout) };
}

/// Writes to standard output, past what std keeps for it: its buffer, and its lock.
pub(crate) fn write_to_stdout(bytes: &[u8]) -> io::Result<()> {
    write_all(rustix::stdio::stdout(), bytes)
}

/// The same, to standard error.
pub(crate) fn write_to_stderr(bytes: &[u8]) -> io::Result<()> {
    write_all(rustix::stdio::stderr(), bytes)
}

fn write_all(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    let mut left = bytes;
    while !left.is_empty() {
        match write(fd, left) {
            Ok(count) => left = &left[count..],
            // Somebody has made it so: a terminal is shared with other programs.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for_room(fd),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives a descriptor the number `number`, inheritable by children, closing what was there.
pub(crate) fn place_at(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: `dup2` takes any two numbers. What it closes at `number` is not owned by anything in
    // this program: the caller is a worker that has just been started, has moved its own descriptors
    // above all such numbers, and was told that the user wants this very number.
    // https://man7.org/linux/man-pages/man2/dup.2.html
    let placed = unsafe { libc::dup2(fd.as_raw_fd(), number) };
    if placed == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Closes every descriptor above 2 that came across exec (and so is not close-on-exec), except those
/// in `kept`. What this program opened itself since is close-on-exec and stays.
pub(crate) fn close_foreign(kept: &[RawFd]) {
    for number in open_descriptors() {
        if number <= 2 || kept.contains(&number) {
            continue;
        }
        // SAFETY: only to ask for its flags; if the number is not open, the system says so.
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        if let Ok(flags) = rustix::io::fcntl_getfd(borrowed)
            && !flags.contains(FdFlags::CLOEXEC)
        {
            // SAFETY: the descriptor was inherited across exec by accident; nothing in this program
            // knows of it, since Rust's standard library and this crate open everything
            // close-on-exec, and the worker runs nothing of its user's yet.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}

/// Says something on standard error, which may be closed.
pub(crate) fn tell_user(what: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    // `eprintln!` would panic where it cannot print.
    let _ = writeln!(io::stderr(), "procession: {what}");
}

/// Starts a thread that no signal handler of the program's runs on: they are for its own threads,
/// whose system calls they may be meant to interrupt. What is started on that thread is the same, unless the thread takes on another mask.
pub(crate) fn with_signals_blocked<T>(start_thread: impl FnOnce() -> T) -> T {
    let before = SignalMask::of_this_thread();
    if before.is_some() {
        SignalMask::all().take_on();
    }
    let result = start_thread();
    if let Some(before) = before {
        before.take_on();
    }
    result
}

/// Which signals a thread leaves to others. Whatever threads and processes it starts have the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignalMask(libc::sigset_t);

impl SignalMask {
    /// This thread's, if the system tells it.
    pub(crate) fn of_this_thread() -> Option<Self> {
        let mut mask = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: without a new set, `pthread_sigmask` does nothing but write the present one to the place, which it does not
        // keep: https://man7.org/linux/man-pages/man3/pthread_sigmask.3.html
        let asked = unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), mask.as_mut_ptr())
        };
        // SAFETY: the call above succeeded, and so has written it.
        (asked == 0).then(|| Self(unsafe { mask.assume_init() }))
    }

    fn all() -> Self {
        let mut mask = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigfillset` makes a set of the place, and fails for a place alone that is none:
        // https://man7.org/linux/man-pages/man3/sigsetops.3.html
        Self(unsafe {
            libc::sigfillset(mask.as_mut_ptr());
            mask.assume_init()
        })
    }

    /// Makes it this thread's.
    pub(crate) fn take_on(&self) {
        // SAFETY: the set was made by the system; `pthread_sigmask` reads it, and keeps no place.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut());
        }
    }
}

/// The numbers of the open descriptors; without `/proc`, all numbers that may be.
fn open_descriptors() -> Vec<RawFd> {
    if let Ok(folder) = std::fs::read_dir("/proc/self/fd") {
        let numbers = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        // Collected first: the list contains the descriptor through which it is read.
        return numbers.collect();
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    (3..limit.unwrap_or(u64::MAX).min(65_536) as RawFd).collect()
}

/// Gives the process the name that `ps` and `top` show: execution through a descriptor leaves the
/// descriptor's number there.
pub(crate) fn name_process(name: &OsStr) {
    let mut bytes = name.as_encoded_bytes().to_vec();
    bytes.truncate(15);
    // The process bears the name of its first thread, which is another one than this under libtest.
    if std::fs::write("/proc/self/comm", &bytes).is_err()
        && let Ok(name) = CString::new(bytes)
    {
        // A name is a courtesy.
        let _ = rustix::thread::set_name(&name);
    }
}

/// Lets this process be continued, should it be stopped, when the thread that started it ends: a
/// stopped process cannot notice that its driver is gone. (The kernel does so by itself only where
/// it finds the process group orphaned, which it is not in every session.)
pub(crate) fn continue_when_parent_ends() {
    // A kernel that knows no such thing leaves a stopped worker to whoever stopped it.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::CONT));
}

/// Makes this process the leader of a session of its own, and of a process group in that; it has no terminal any more.
pub(crate) fn begin_session() -> io::Result<()> {
    use rustix::process::{getpgid, getppid, setpgid, setsid};
    // Who leads a group cannot begin a session, so it becomes a member of another one before: that of its parent, which is in the same session.
    let group = getpgid(getppid())?;
    setpgid(None, Some(group))?;
    setsid()?;
    Ok(())
}

/// How often this process, or one that it comes from, has been forked off by another one since this was first asked.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The process in which it was made. What that has started, a process that is forked off from it must leave alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home(u32);

impl Home {
    pub(crate) fn here() -> Self {
        static IS_WATCHED: AtomicBool = AtomicBool::new(false);
        extern "C" fn note() {
            FORKS.fetch_add(1, Ordering::Relaxed);
        }
        // Twice does no harm. (A `Once` that another thread was in the middle of would be so for ever in a process that is forked off then.)
        if !IS_WATCHED.load(Ordering::Acquire) {
            // SAFETY: the function lives for ever, and does what one that runs between fork and exec may do: it changes an
            // atomic. https://man7.org/linux/man-pages/man3/pthread_atfork.3.html
            // Should there be no memory to note it, forks are not noticed.
            let _ = unsafe { libc::pthread_atfork(None, None, Some(note)) };
            IS_WATCHED.store(true, Ordering::Release);
        }
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Whether this is another process, one that was forked off.
    pub(crate) fn is_elsewhere(self) -> bool {
        FORKS.load(Ordering::Relaxed) != self.0
    }
}

/// Lets this process, which is never in the foreground of its terminal, use that all the same instead of being
/// stopped: settings are changed, what is printed is printed, and a read fails. Left alone where somebody has already chosen.
pub(crate) fn ignore_stops_by_terminal() {
    for signal in [libc::SIGTTIN, libc::SIGTTOU] {
        // SAFETY: the disposition that is set has no handler, so nothing is ever called.
        // https://man7.org/linux/man-pages/man2/signal.2.html
        unsafe {
            let before = libc::signal(signal, libc::SIG_IGN);
            if before != libc::SIG_DFL && before != libc::SIG_ERR {
                libc::signal(signal, before);
            }
        }
    }
}

/// Calls `run` when this process exits in good order: when `main` returns, or somebody calls `exit`. What it panics with is contained.
/// Once for a process: a second function is not called.
pub(crate) fn at_exit(run: fn()) {
    static RUN: std::sync::OnceLock<fn()> = std::sync::OnceLock::new();
    extern "C" fn call() {
        if let Some(run) = RUN.get() {
            let _ = std::panic::catch_unwind(run);
        }
    }
    if RUN.set(run).is_ok() {
        // SAFETY: `call` is a function for as long as the program, and does not unwind. It fails for lack of memory: then
        // nothing is called.
        // https://man7.org/linux/man-pages/man3/atexit.3.html
        let _ = unsafe { libc::atexit(call) };
    }
}

/// Ends this process at once, and its process group with it if it leads one.
pub(crate) fn die_with_group() -> ! {
    if rustix::process::getpgrp() == rustix::process::getpid() {
        let _ = rustix::process::kill_current_process_group(rustix::process::Signal::KILL);
    }
    end_now(1)
}

/// Ends this process without running anything of it.
pub(crate) fn end_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any number and does not return.
    unsafe { libc::_exit(code) }
}

/// The number of a descriptor, for messages to another process.
pub(crate) fn number_of(fd: impl AsFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}
