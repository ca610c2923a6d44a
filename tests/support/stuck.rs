//! Ways in which a worker does not come to its end by itself, and what it may do when it is asked to.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::fd::IntoRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

/// Where the handler writes the numbers of the signals that it is called for.
static SEEN: AtomicI32 = AtomicI32::new(-1);

/// With which code it ends the process; negative if it does not.
static EXIT: AtomicI32 = AtomicI32::new(-1);

/// From now on, each time that this process gets the signal, a byte with its number is appended to the file, and the process
/// ends with the code, if there is one.
pub(crate) fn on_signal(signal: i32, file: &Path, exit: Option<i32>) {
    let file = OpenOptions::new().create(true).append(true).open(file);
    SEEN.store(file.expect("a file").into_raw_fd(), Ordering::SeqCst);
    EXIT.store(exit.unwrap_or(-1), Ordering::SeqCst);
    let handler: extern "C" fn(i32) = handle;
    // SAFETY: all zero is a valid `sigaction`: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler does only what a handler may do, and the old action is not asked for.
    let set = unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

extern "C" fn handle(signal: i32) {
    let number = signal as u8;
    // SAFETY: `write` and `_exit` may be called in a handler; the byte outlives the call.
    unsafe {
        libc::write(
            SEEN.load(Ordering::SeqCst),
            std::ptr::from_ref(&number).cast(),
            1,
        );
        let code = EXIT.load(Ordering::SeqCst);
        if code >= 0 {
            libc::_exit(code);
        }
    }
}

/// The numbers of the signals that were seen.
pub(crate) fn signals_in(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap_or_default()
}

/// Never returns: waits in the kernel, where no signal but SIGKILL reaches it, for a process that is being started and opens
/// a named pipe that nobody writes to.
pub(crate) fn wait_uninterruptibly(pipe: &Path) -> ! {
    let pipe = CString::new(pipe.as_os_str().as_bytes()).expect("a path");
    let program = c"/bin/true";
    let arguments = [program.as_ptr().cast_mut(), std::ptr::null_mut()];
    // SAFETY: all pointers are valid for the calls, the lists end with a null, and the actions are initialised before they
    // are used.
    unsafe {
        let mut actions: libc::posix_spawn_file_actions_t = std::mem::zeroed();
        assert_eq!(libc::posix_spawn_file_actions_init(&mut actions), 0);
        let added = libc::posix_spawn_file_actions_addopen(
            &mut actions,
            0,
            pipe.as_ptr(),
            libc::O_RDONLY,
            0,
        );
        assert_eq!(added, 0);
        let environment = [std::ptr::null_mut()];
        let mut pid = 0;
        let spawned = libc::posix_spawn(
            &mut pid,
            program.as_ptr(),
            &actions,
            std::ptr::null(),
            arguments.as_ptr(),
            environment.as_ptr(),
        );
        unreachable!("{spawned}");
    }
}

/// Never returns: reads from a pipe that nobody writes to.
pub(crate) fn wait_in_read() -> ! {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut byte = [0];
    let read = reader.read(&mut byte);
    drop(writer);
    unreachable!("{read:?}");
}

/// Stops this process, all of its threads, for good.
pub(crate) fn stop_this_process() {
    super::signal(std::process::id(), libc::SIGSTOP);
}
