//! Every way in which a program can end.

use std::process::Child;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, setrlimit};

use crate::support;

/// How a program ends, and what that looks like.
pub(crate) const ENDS: [(&str, &str); 10] = [
    ("kill", "signal 9"),
    ("terminal", "signal 1"),
    ("terminate", "signal 15"),
    ("hang_up", "signal 1"),
    ("interrupt", "signal 2"),
    ("segfault", "signal 11"),
    ("abort", "signal 6"),
    ("exit", "code 3"),
    ("exit_at_once", "code 4"),
    ("panic", "code 101"),
];

/// In a program that is to end in one of these ways: at its beginning.
pub(crate) fn prepare_to_end() {
    // A shell starts what runs in its background with some of these ignored.
    for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGTERM] {
        set_default_action(signal);
    }
    // A dump of the core helps nobody.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).expect("no core dumps");
}

/// In such a program: ends it, if it is to do that itself.
pub(crate) fn end_by(end: &str) {
    match end {
        "segfault" => support::segfault(),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(3),
        "exit_at_once" => support::exit_at_once(4),
        "panic" => panic!("as a driver does"),
        other => panic!("{other}"),
    }
}

/// Ends such a program, which leads a process group. It waits for the end of its input where it is to do that itself; its terminal is the caller's to drop.
pub(crate) fn end_as_told(program: &mut Child, end: &str) {
    let sent = match end {
        "kill" => Signal::KILL,
        "terminate" => Signal::TERM,
        "hang_up" => Signal::HUP,
        "interrupt" => Signal::INT,
        "terminal" => return,
        _ => return drop(program.stdin.take()),
    };
    // To its whole group, as a terminal does: the workers have left that.
    kill_process_group(Pid::from_child(program), sent).expect("to end the program");
}

pub(crate) fn set_default_action(signal: i32) {
    // SAFETY: the default action runs no code of this program's.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}
