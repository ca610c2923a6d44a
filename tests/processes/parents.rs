//! Programs that exit while their processes run.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use procession::{Process, ProcessError, ProcessOutput};

use super::programs::{Entry, Finished, finish, program, programs};
use super::support::{self, Case, GateKeeper};
use super::tasks::*;

pub(crate) const PROGRAMS: &[Entry] = &programs![
    leaves_them_at_the_end,
    exits_with_them,
    never_calls_init,
    spawns_without_init,
    forks_with_one,
    forks_and_exits_beside_others_that_look,
];

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        a_program_waits_for_its_processes_and_kills_its_daemons,
        exit_waits_for_them_too,
        a_process_waits_for_its_own,
        a_program_that_forgets_init_is_told,
        a_copy_that_was_forked_off_leaves_them_alone,
        a_copy_that_was_forked_off_exits_whatever_its_parent_does,
    ]
}

/// One that is waited for, and a daemon that would go on for ever.
fn start_two() {
    let say = Process::builder().name("said");
    drop(say.spawn(say_at_last, ()).unwrap());
    drop(Process::builder().daemon(true).spawn(park, ()).unwrap());
}

#[procession::task]
fn say_at_last() {
    for _ in 0..1000 {
        std::thread::yield_now();
    }
    println!("at last");
}

fn leaves_them_at_the_end() {
    procession::init();
    start_two();
    println!("main is over");
}

fn exits_with_them() {
    procession::init();
    start_two();
    println!("main is over");
    std::process::exit(3);
}

#[track_caller]
fn said_both(finished: &Finished) {
    let mut lines = finished.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["at last", "main is over"], "{finished:#?}");
}

fn a_program_waits_for_its_processes_and_kills_its_daemons() {
    said_both(&finish(&mut program("leaves_them_at_the_end")).succeeded());
}

fn exit_waits_for_them_too() {
    let finished = finish(&mut program("exits_with_them"));
    assert_eq!(finished.status.code(), Some(3), "{finished:#?}");
    said_both(&finished);
}

fn a_process_waits_for_its_own() {
    let keeper = GateKeeper::new();
    let waits = Process::spawn(have_a_process, (keeper.gate(), false)).unwrap();
    let child = keeper.arrival().pid;
    assert!(waits.is_alive(), "it waits at its end");
    keeper.open(1);
    waits.join().unwrap().unwrap();
    assert_eq!(support::state_of(child), None, "it has been reaped");
    // A daemon is not waited for.
    let process = Process::spawn(have_a_process, (keeper.gate(), true)).unwrap();
    process.join().unwrap().unwrap();
}

fn never_calls_init() {
    // Not even in the process that is started.
    let started = Process::spawn(nothing, ());
    println!("{}", started.unwrap_err());
}

fn spawns_without_init() {
    if std::env::var_os("PROCESSION_WORKER").is_none() {
        procession::init();
    }
    let quiet = Process::builder().stderr(ProcessOutput::null());
    match quiet.spawn(nothing, ()) {
        Ok(process) => match process.join() {
            Err(ProcessError::NotStarted(why)) => println!("{why}"),
            other => panic!("{other:?}"),
        },
        Err(_) => std::process::exit(1),
    }
}

fn a_program_that_forgets_init_is_told() {
    let finished = finish(&mut program("never_calls_init")).succeeded();
    assert!(
        finished.stdout.contains("has not been called"),
        "{finished:#?}"
    );
    let finished = finish(&mut program("spawns_without_init")).succeeded();
    assert!(
        finished.stdout.contains("before `procession::init()`"),
        "{finished:#?}"
    );
}

/// What a fork of this process does to a child of it: nothing.
fn forks_with_one() {
    procession::init();
    let keeper = GateKeeper::new();
    let process = Process::spawn(pass, (keeper.gate(), 7)).unwrap();
    keeper.arrival();
    let code = support::in_a_fork(|| {
        process.terminate();
        process.kill();
        assert!(!process.is_alive());
        assert!(matches!(process.join(), Err(ProcessError::Forked)));
        assert!(procession::active_children().is_empty());
    });
    assert_eq!(code, 0);
    assert!(process.is_alive());
    keeper.open(1);
    assert_eq!(process.join().unwrap(), 7);
    println!("fine");
}

fn a_copy_that_was_forked_off_leaves_them_alone() {
    let finished = finish(&mut program("forks_with_one")).succeeded();
    assert_eq!(finished.stdout, "fine\n");
}

/// Copies that exit in good order, while other threads look at the list of children all the time.
fn forks_and_exits_beside_others_that_look() {
    procession::init();
    let keeper = GateKeeper::new();
    let process = Process::spawn(pass, (keeper.gate(), 7)).unwrap();
    keeper.arrival();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    assert_eq!(procession::active_children().len(), 1);
                }
            });
        }
        for _ in 0..300 {
            assert_eq!(support::in_a_fork(|| std::process::exit(3)), 3);
        }
        is_over.store(true, Relaxed);
    });
    keeper.open(1);
    assert_eq!(process.join().unwrap(), 7);
    println!("fine");
}

fn a_copy_that_was_forked_off_exits_whatever_its_parent_does() {
    let finished = finish(&mut program("forks_and_exits_beside_others_that_look")).succeeded();
    assert_eq!(finished.stdout, "fine\n");
}
