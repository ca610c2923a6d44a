//! Alive or not, names, children, what is dropped.

use std::os::fd::AsFd as _;
use std::time::Duration;

use procession::{Descriptor, Process, active_children, current_process, in_worker};

use super::support::{self, Case, GateKeeper, awaiting};
use super::tasks::*;

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        a_process_is_alive_until_it_has_ended,
        it_is_one_of_the_active_children,
        a_dropped_one_goes_on_and_is_reaped,
        it_knows_who_it_is,
        daemons_have_daemons,
        the_main_thread_runs_it,
        descriptors_travel_both_ways,
        its_descriptor_is_ready_at_its_end,
        the_environment_and_the_directory_are_its_own,
    ]
}

fn a_process_is_alive_until_it_has_ended() {
    let keeper = GateKeeper::new();
    let process = Process::spawn(pass, (keeper.gate(), 7)).unwrap();
    let arrival = keeper.arrival();
    assert_eq!(arrival.pid, process.pid());
    assert!(process.is_alive());
    assert_eq!((process.exit_code(), process.exit_status()), (None, None));
    keeper.open(1);
    assert_eq!(process.join().unwrap(), 7);
    assert!(!process.is_alive());
    let shown = format!("{process:?}");
    assert!(shown.contains("exit_code: Some(0)"), "{shown}");
}

fn it_is_one_of_the_active_children() {
    assert!(active_children().is_empty());
    let keeper = GateKeeper::new();
    let names = ["a", "b", "c"];
    let processes: Vec<_> = names
        .iter()
        .map(|name| {
            let builder = Process::builder().name(*name);
            builder.spawn(pass, (keeper.gate(), 1)).unwrap()
        })
        .collect();
    keeper.arrivals(3);
    let active: Vec<_> = active_children();
    let found: Vec<_> = active.iter().map(Process::name).collect();
    assert_eq!(found, names);
    assert_eq!(active[1].pid(), processes[1].pid());
    keeper.open(3);
    for process in &processes {
        process.join().unwrap();
    }
    assert!(active_children().is_empty());
    assert!(!active[0].is_alive());
}

fn a_dropped_one_goes_on_and_is_reaped() {
    let keeper = GateKeeper::new();
    drop(Process::spawn(pass, (keeper.gate(), 7)).unwrap());
    let pid = keeper.arrival().pid;
    assert_eq!(active_children()[0].pid(), pid);
    keeper.open(1);
    support::until("it to be reaped", || support::state_of(pid).is_none());
    support::until("it to be forgotten", || active_children().is_empty());
}

fn it_knows_who_it_is() {
    let here = current_process();
    assert_eq!((&*here.name, here.pid), ("main", std::process::id()));
    assert!(!here.is_daemon && !in_worker());
    let process = Process::builder().name("named").spawn(who, ()).unwrap();
    let (there, children) = process.join().unwrap();
    let expected = CurrentProcessAsData {
        name: "named".into(),
        pid: process.pid(),
        parent_pid: std::process::id(),
        is_daemon: false,
    };
    assert_eq!((there, children), (expected, 0));
    let unnamed = Process::spawn(who, ()).unwrap();
    assert!(unnamed.name().starts_with("Process-"));
    assert_eq!(unnamed.join().unwrap().0.name, unnamed.name());
    // A worker of a pool is another thing.
    let pool = procession::ProcessPoolExecutor::builder().max_workers(1);
    let (there, _) = pool
        .build()
        .unwrap()
        .submit(who, ())
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!(there.name, "worker");
}

#[procession::task]
fn have_one() -> Result<(bool, String, String), procession::Failure> {
    let child = Process::spawn(who, ())?;
    let (there, _) = child.join()?;
    Ok((there.is_daemon, there.name, current_process().name))
}

fn daemons_have_daemons() {
    for is_daemon in [false, true] {
        let builder = Process::builder().daemon(is_daemon);
        let process = builder.spawn(have_one, ()).unwrap();
        assert_eq!(process.is_daemon(), is_daemon);
        let (childs, name, own) = process.join().unwrap().unwrap();
        assert_eq!(childs, is_daemon);
        assert_eq!(name, format!("{own}:1"));
    }
}

fn the_main_thread_runs_it() {
    let process = Process::spawn(thread_number, ()).unwrap();
    let (pid, thread) = process.join().unwrap();
    assert_eq!((pid, pid), (process.pid(), thread as u32));
}

fn descriptors_travel_both_ways() {
    for count in [1, 254, 600] {
        let files = (0..count).map(|n| {
            let flags = rustix::fs::MemfdFlags::CLOEXEC;
            let memory = rustix::fs::memfd_create("procession-test", flags).unwrap();
            rustix::io::write(&memory, n.to_string().as_bytes()).unwrap();
            Descriptor::new(memory)
        });
        let process = Process::spawn(read_all, files.collect()).unwrap();
        awaiting("its texts");
        let (texts, files) = process.join().unwrap().unwrap();
        assert_eq!(texts.len(), count);
        for (n, (text, file)) in texts.iter().zip(&files).enumerate() {
            assert_eq!(*text, n.to_string());
            assert_eq!(text_of(file).unwrap(), *text);
        }
    }
}

fn its_descriptor_is_ready_at_its_end() {
    use rustix::event::{PollFd, PollFlags, poll};
    let keeper = GateKeeper::new();
    let process = Process::spawn(pass, (keeper.gate(), 7)).unwrap();
    keeper.arrival();
    let ready = |timeout: Duration| {
        let mut list = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
        let timeout = timeout.try_into().unwrap();
        poll(&mut list, Some(&timeout)).unwrap()
    };
    assert_eq!(ready(Duration::ZERO), 0);
    keeper.open(1);
    assert_eq!(ready(Duration::from_secs(50)), 1);
    assert_eq!(process.join_timeout(Duration::ZERO).unwrap().unwrap(), 7);
}

#[procession::task]
fn surroundings() -> (Option<String>, Option<String>, String) {
    let variable = |name| std::env::var(name).ok();
    let directory = std::env::current_dir().unwrap();
    let directory = directory.to_string_lossy().into_owned();
    (variable("PROCESSION_TEST_A"), variable("HOME"), directory)
}

fn the_environment_and_the_directory_are_its_own() {
    let process = Process::builder()
        .env("PROCESSION_TEST_A", "a")
        .env_remove("HOME")
        .current_dir("/")
        .spawn(surroundings, ())
        .unwrap();
    let expected = (Some("a".into()), None, "/".into());
    assert_eq!(process.join().unwrap(), expected);
}
