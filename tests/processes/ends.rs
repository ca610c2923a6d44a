//! Every way to end, and what is said of it.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use procession::{
    BuildError, EndOfWorker, Process, ProcessError, ProcessOutput, SpawnError, SubmitError,
    TaskError,
};

use super::support::{self, Case, GateKeeper};
use super::tasks::*;

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        a_result_reaches_the_parent,
        an_error_of_the_function_is_a_value,
        exit_codes_are_those_of_programs,
        a_panic_is_told_with_its_place_and_on_stderr,
        a_signal_from_itself_is_told,
        terminate_kill_and_interrupt_end_it,
        what_ignores_signals_is_killed,
        an_ended_process_is_left_alone,
        what_it_left_behind_ends_with_it,
        its_threads_end_with_its_function,
        what_cannot_be_sent_is_refused,
        a_result_that_cannot_be_sent_is_named,
        a_large_result_waits_for_nobody,
        a_forged_result_is_named,
        the_input_is_empty,
    ]
}

#[track_caller]
fn ended<R: std::fmt::Debug>(outcome: Result<R, ProcessError>) -> EndOfWorker {
    match outcome {
        Err(ProcessError::Ended(ended)) => ended.end.clone(),
        other => panic!("{other:?}"),
    }
}

fn a_result_reaches_the_parent() {
    let process = Process::spawn(add, (2, 3)).unwrap();
    assert_eq!(process.join().unwrap(), 5);
    assert_eq!(process.join().unwrap(), 5, "and again");
    assert_eq!(process.exit_code(), Some(0));
    assert!(process.exit_status().unwrap().success());
    Process::spawn(nothing, ()).unwrap().join().unwrap();
}

fn an_error_of_the_function_is_a_value() {
    let process = Process::spawn(fail, "no".into()).unwrap();
    assert_eq!(process.join().unwrap(), Err("no".to_owned()));
    assert_eq!(process.exit_code(), Some(0));
}

fn exit_codes_are_those_of_programs() {
    for code in [0, 1, 8, 255] {
        for process in [
            Process::spawn(exit, code).unwrap(),
            Process::spawn(exit_at_once, code).unwrap(),
        ] {
            assert_eq!(ended(process.join()), EndOfWorker::Exited(code));
            assert_eq!(process.exit_code(), Some(code));
            assert_eq!(process.exit_status().unwrap().code(), Some(code));
        }
    }
    let process = Process::builder().name("quitter").spawn(exit, 3).unwrap();
    let text = process.join().unwrap_err().to_string();
    let (pid, function) = (process.pid(), "processes::tasks::exit");
    assert_eq!(
        text,
        format!("process `quitter` ({pid}) exited with code 3 before `{function}` returned")
    );
}

fn a_panic_is_told_with_its_place_and_on_stderr() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let process = Process::builder()
        .name("nervous")
        .stderr(ProcessOutput::to(writer))
        .spawn(panic, "oh dear".into())
        .unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut reader, &mut said).unwrap();
    match process.join() {
        Err(ProcessError::Panicked(panic)) => {
            assert_eq!(&*panic.message, "oh dear");
            assert!(panic.location.unwrap().contains("tasks.rs:"));
            assert_eq!(panic.pid, process.pid());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(process.exit_code(), Some(101));
    let begin = format!(
        "procession: process `nervous` ({}) panicked at ",
        process.pid()
    );
    assert!(
        said.starts_with(&begin) && said.contains("oh dear"),
        "{said}"
    );
}

fn a_signal_from_itself_is_told() {
    let process = Process::spawn(abort, ()).unwrap();
    assert_eq!(ended(process.join()), EndOfWorker::Signalled(6));
    let process = Process::spawn(segfault, ()).unwrap();
    assert_eq!(ended(process.join()), EndOfWorker::Signalled(11));
    let process = Process::spawn(end_with, 10).unwrap();
    assert_eq!(ended(process.join()), EndOfWorker::Signalled(10));
    assert_eq!(process.exit_status().unwrap().signal(), Some(10));
}

fn terminate_kill_and_interrupt_end_it() {
    // A shell has what it starts in the background ignore this one, and so would the process.
    // SAFETY: no handler is set.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    type Way = fn(&Process<()>);
    let ways = [Process::terminate, Process::kill, Process::interrupt].map(|way: Way| way);
    for (end, signal) in ways.into_iter().zip([15, 9, 2]) {
        let process = Process::spawn(park, ()).unwrap();
        for timeout in [Duration::ZERO, Duration::from_millis(5)] {
            assert!(process.join_timeout(timeout).is_none());
        }
        assert!(process.is_alive() && process.exit_code().is_none());
        end(&process);
        assert_eq!(ended(process.join()), EndOfWorker::Signalled(signal));
        assert_eq!(process.exit_code(), Some(-signal));
        assert!(!process.is_alive());
    }
}

fn what_ignores_signals_is_killed() {
    let keeper = GateKeeper::new();
    let process = Process::spawn(be_stubborn, keeper.gate()).unwrap();
    keeper.arrival();
    process.terminate();
    process.interrupt();
    assert!(process.join_timeout(Duration::from_millis(50)).is_none());
    process.kill();
    assert_eq!(ended(process.join()), EndOfWorker::Signalled(9));
}

fn an_ended_process_is_left_alone() {
    let process = Process::spawn(add, (2, 3)).unwrap();
    process.join().unwrap();
    process.terminate();
    process.interrupt();
    process.kill();
    assert_eq!(process.exit_code(), Some(0));
    assert_eq!(process.join().unwrap(), 5);
}

fn what_it_left_behind_ends_with_it() {
    let child = Process::spawn(leave_a_child, ()).unwrap().join().unwrap();
    let child = child.unwrap();
    support::until("what it has started to be gone", || {
        matches!(support::state_of(child), None | Some('Z'))
    });
}

fn its_threads_end_with_its_function() {
    let keeper = GateKeeper::new();
    let process = Process::spawn(leave_a_thread, keeper.gate()).unwrap();
    assert_eq!(process.join().unwrap(), 7);
    assert_eq!(process.exit_code(), Some(0));
}

fn what_cannot_be_sent_is_refused() {
    fn forgotten() {}
    let refused = Process::spawn(forgotten, ()).unwrap_err();
    assert!(matches!(
        refused,
        SpawnError::Function(SubmitError::NotRegistered { .. })
    ));
    let refused = Process::spawn(take, Unwilling(false)).unwrap_err();
    assert!(matches!(
        refused,
        SpawnError::Function(SubmitError::NotEncoded { .. })
    ));
    let builder = Process::builder().max_frame(4096);
    let refused = builder.clone().spawn(echo, vec![0; 4096]).unwrap_err();
    assert!(matches!(
        refused,
        SpawnError::Function(SubmitError::TooLarge { .. })
    ));
    let refused = builder.max_frame(4095).spawn(nothing, ()).unwrap_err();
    assert!(
        matches!(refused, SpawnError::Start(BuildError::Parameter { .. })),
        "{refused}"
    );
    let long = "n".repeat(256);
    let refused = Process::builder()
        .name(long)
        .spawn(nothing, ())
        .unwrap_err();
    assert!(refused.to_string().contains("255 bytes"), "{refused}");
    let nowhere = Process::builder().current_dir("/a\0b");
    let refused = nowhere.spawn(nothing, ()).unwrap_err();
    assert!(refused.to_string().contains("zero byte"), "{refused}");
    for name in ["", "a=b", "a\0b"] {
        let refused = Process::builder().env(name, "x").spawn(nothing, ());
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, SpawnError::Start(BuildError::Parameter { .. })),
            "{refused}"
        );
    }
    let nowhere = Process::builder().program("/no/such/program");
    let refused = nowhere.spawn(nothing, ()).unwrap_err();
    assert!(matches!(
        refused,
        SpawnError::Start(BuildError::Spawn { .. })
    ));
}

fn a_result_that_cannot_be_sent_is_named() {
    let quiet = || Process::builder().stderr(ProcessOutput::null());
    let process = quiet().spawn(be_unwilling, ()).unwrap();
    let error = process.join().unwrap_err();
    assert!(
        matches!(
            error,
            ProcessError::NotDelivered(TaskError::ResultNotEncoded { .. })
        ),
        "{error:?}"
    );
    assert_eq!(process.exit_code(), Some(1));
    let process = quiet().max_frame(5000).spawn(repeat, (60, 100)).unwrap();
    let error = process.join().unwrap_err();
    let is_too_large = matches!(
        error,
        ProcessError::NotDelivered(TaskError::ResultTooLarge { size: 6000, .. })
    );
    assert!(is_too_large, "{error:?}");
    let elsewhere = quiet().current_dir("/no/such/directory").spawn(nothing, ());
    match elsewhere.unwrap().join() {
        Err(ProcessError::NotStarted(BuildError::CannotStart { reason, .. })) => {
            assert!(reason.contains("/no/such/directory"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

/// It ends although nobody reads.
fn a_large_result_waits_for_nobody() {
    let process = Process::spawn(echo, vec![7; 20_000_000]).unwrap();
    assert!(process.wait_timeout(Duration::MAX));
    assert_eq!(process.exit_code(), Some(0));
    assert_eq!(process.join().unwrap(), vec![7; 20_000_000]);
}

fn a_forged_result_is_named() {
    let header = |len: u64, kind: u8, handles: u16| {
        let mut bytes = len.to_le_bytes().to_vec();
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend([kind, 0]);
        bytes.extend(handles.to_le_bytes());
        bytes.extend([0; 4]);
        bytes
    };
    let cases = [
        (vec![0xff; 24], "left a frame of unknown kind 255"),
        (
            header(u64::MAX, 18, 0),
            "left a frame of 18446744073709551615 bytes where `max_frame` allows",
        ),
        (header(1 << 30, 18, 0), "left a result that cannot be read"),
        (header(0, 18, 3), "left a result without its descriptors"),
        (header(0, 19, 0), "left a failure that does not decode"),
        (header(0, 1, 0), "left a `Task` frame"),
    ];
    for (bytes, said) in cases {
        let process = Process::spawn(forge, bytes).unwrap();
        match ended(process.join()) {
            EndOfWorker::Malformed(what) => assert!(what.starts_with(said), "{what}"),
            other => panic!("{other:?}"),
        }
    }
    // Half a header, or none, is no result.
    for bytes in [vec![1; 23], vec![0; 24]] {
        let process = Process::spawn(forge, bytes).unwrap();
        assert_eq!(ended(process.join()), EndOfWorker::Exited(0));
    }
}

fn the_input_is_empty() {
    let heard = Process::spawn(listen, ()).unwrap().join().unwrap();
    assert_eq!(heard.unwrap(), "");
}
