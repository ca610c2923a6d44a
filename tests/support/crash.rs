//! Ways to end a process, and to stop and continue one, that Rust has no words for.

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
