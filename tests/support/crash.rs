//! Ways to end a process, to stop and continue one, and to fork one off, that Rust has no words for.

/// Sends a signal to a process that is known to exist: a child that has not been reaped.
pub(crate) fn signal(pid: u32, signal: i32) {
    let pid = i32::try_from(pid).expect("a process's number");
    assert!(pid > 1, "that would be somebody else");
    // SAFETY: a system call that touches no memory.
    let sent = unsafe { libc::kill(pid, signal) };
    assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
}

/// Ends this process without running what has been registered to run at its end.
pub(crate) fn exit_at_once(code: i32) {
    // SAFETY: nothing runs after it.
    unsafe { libc::_exit(code) }
}

/// Reads where nothing is.
pub(crate) fn segfault() {
    let nowhere = std::hint::black_box(std::ptr::without_provenance::<u64>(8));
    // SAFETY: this is not sound, and is not meant to be: the page at zero is never mapped, so that the
    // read ends this process, which is a worker that a test wants to lose.
    let value = unsafe { nowhere.read_volatile() };
    std::hint::black_box(value);
}

/// Lets a signal pass without effect from now on.
pub(crate) fn ignore(signal: i32) {
    // SAFETY: no handler is installed, so that nothing runs that could be unsound.
    let before = unsafe { libc::signal(signal, libc::SIG_IGN) };
    assert_ne!(before, libc::SIG_ERR, "{}", std::io::Error::last_os_error());
}

/// Does something in a process that is forked off, and waits for its end: says how it exited.
pub(crate) fn in_a_fork(what: impl FnOnce()) -> i32 {
    // SAFETY: the new process has a copy of all memory, and this thread alone. What it does takes no lock that another thread
    // may hold but those of the C library, which makes its own usable in the new process.
    // https://man7.org/linux/man-pages/man2/fork.2.html
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "{}", std::io::Error::last_os_error());
    if child == 0 {
        what();
        exit_at_once(0);
    }
    let mut status = 0;
    // SAFETY: the place is there, and the child is this thread's to wait for.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(waited, child, "{}", std::io::Error::last_os_error());
    libc::WEXITSTATUS(status)
}
