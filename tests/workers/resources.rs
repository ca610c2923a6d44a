//! What workers allow themselves, and what they find around them.

use std::time::Duration;

use procession::{BuildError, EndOfWorker, ProcessPoolExecutorBuilder, TaskError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set, sched_getaffinity};

use super::programs::{self, describe, finish, program};
use super::support::{self, Case, Directory};
use super::tasks::*;
use super::{builder, children, lost, refused, refused_parameter};

pub(crate) fn programs() -> Vec<programs::Entry> {
    programs::programs![has_little_cpu_time, has_no_privilege].into()
}

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        a_task_beyond_the_address_space_is_named,
        a_task_that_looks_gets_an_error_from_the_allocator,
        an_argument_beyond_the_address_space_is_not_decoded,
        a_chunk_beyond_the_address_space_is_not_decoded,
        a_kill_or_an_abort_within_the_address_space_is_not_its_limit,
        a_task_beyond_its_cpu_time_is_named,
        cpu_time_of_several_tasks_does_not_add_up,
        cpu_time_beyond_what_the_system_allows_is_cut,
        a_task_runs_out_of_files_and_its_worker_does_not,
        memory_is_measured_when_there_are_no_more_files,
        core_dumps_are_bounded,
        a_signal_that_is_sent_ends_a_worker_with_a_limit,
        every_thread_is_as_nice_as_was_asked,
        workers_run_where_they_may,
        workers_are_where_they_should_be,
        variables_are_added_changed_and_removed,
        an_environment_begins_empty,
        numbers_that_cannot_be_are_refused,
        what_is_no_variable_is_refused,
        what_cannot_be_had_is_named_by_the_worker,
        what_needs_a_privilege_is_named_by_the_worker,
        a_limit_beyond_that_of_the_system_is_named_by_the_worker,
    ]
}

const MIB: u64 = 1 << 20;

/// More than this program takes from the start, and not much.
const SPACE: u64 = 256 * MIB;

// ---- memory ----

fn a_task_beyond_the_address_space_is_named() {
    for backtraces in ["0", "1", "full"] {
        let pool = builder(2)
            .address_space(SPACE)
            .env("RUST_BACKTRACE", backtraces)
            .build()
            .unwrap();
        let lost = lost(&pool.submit(touch, 300).unwrap());
        let expected = EndOfWorker::MemoryLimit {
            limit: SPACE,
            signal: libc::SIGABRT,
        };
        assert_eq!(lost.end, expected);
        assert!(lost.may_have_run);
        assert!(pool.submit(touch, 1).unwrap().wait().is_ok());
        let variables = pool.submit(variables, ()).unwrap().wait().unwrap();
        let expected = ("RUST_BACKTRACE".to_owned(), backtraces.to_owned());
        assert!(variables.contains(&expected), "it is as it was");
    }
    let pool = builder(2).address_space(SPACE).build().unwrap();
    // Items of a chunk, too: one fails.
    let sizes = [300, 1, 1, 1];
    let results: Vec<_> = pool.map(touch, sizes).chunksize(4).collect();
    let failed: Vec<bool> = results.iter().map(Result::is_err).collect();
    assert_eq!(failed, [true, false, false, false]);
}

fn a_task_that_looks_gets_an_error_from_the_allocator() {
    let pool = builder(1).address_space(SPACE).build().unwrap();
    let pid_before = pool.submit(pid, ()).unwrap().wait().unwrap();
    assert!(!pool.submit(ask_for, 300).unwrap().wait().unwrap());
    assert!(pool.submit(ask_for, 10).unwrap().wait().unwrap());
    assert_eq!(pool.submit(pid, ()).unwrap().wait().unwrap(), pid_before);
}

fn an_argument_beyond_the_address_space_is_not_decoded() {
    let pool = builder(1).address_space(SPACE).build().unwrap();
    let pid_before = pool.submit(pid, ()).unwrap().wait().unwrap();
    let future = pool.submit(length, vec![7; 300 << 20]).unwrap();
    // What is behind it in the pipe is read as if nothing had been.
    let behind = pool.submit(length, vec![7; 1 << 20]).unwrap();
    match future.wait() {
        Err(error @ TaskError::ArgumentNotDecoded { .. }) => {
            assert!(!error.may_have_run());
            assert!(error.to_string().contains("memory"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(behind.wait().unwrap(), 1 << 20);
    assert_eq!(pool.submit(pid, ()).unwrap().wait().unwrap(), pid_before);
}

fn a_chunk_beyond_the_address_space_is_not_decoded() {
    let pool = builder(1).address_space(SPACE).build().unwrap();
    let pid_before = pool.submit(pid, ()).unwrap().wait().unwrap();
    let items = std::iter::repeat_with(|| vec![7; 100 << 20]).take(3);
    let results: Vec<_> = pool.map(length, items).chunksize(3).collect();
    assert_eq!(results.len(), 3);
    for result in results {
        match result {
            Err(error @ TaskError::ArgumentNotDecoded { .. }) => {
                assert!(!error.may_have_run());
                assert!(error.to_string().contains("memory"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    // Its worker, and what is behind it, go on; also a chunk.
    assert_eq!(pool.submit(pid, ()).unwrap().wait().unwrap(), pid_before);
    let items = [vec![7; 5], vec![7; 6]];
    let lengths: Result<Vec<usize>, _> = pool.map(length, items).chunksize(2).collect();
    assert_eq!(lengths.unwrap(), [5, 6]);
    assert_eq!(pool.pending(), 0);
}

/// Nothing is guessed: only an allocation that failed makes it the limit's fault.
fn a_kill_or_an_abort_within_the_address_space_is_not_its_limit() {
    let pool = builder(1).address_space(SPACE).build().unwrap();
    let end = lost(&pool.submit(touch_and_die, 10).unwrap()).end;
    assert_eq!(end, EndOfWorker::Signalled(libc::SIGKILL));
    let end = lost(&pool.submit(abort, ()).unwrap()).end;
    assert_eq!(end, EndOfWorker::Signalled(libc::SIGABRT));
    // Also when one has failed before, and was survived.
    assert!(!pool.submit(ask_for, 300).unwrap().wait().unwrap());
    let end = lost(&pool.submit(abort, ()).unwrap()).end;
    assert_eq!(end, EndOfWorker::Signalled(libc::SIGABRT));
}

// ---- time ----

fn a_task_beyond_its_cpu_time_is_named() {
    const LIMIT: Duration = Duration::from_millis(500);
    let pool = builder(1).cpu_time(LIMIT).build().unwrap();
    let lost = lost(&pool.submit(burn, 60_000).unwrap());
    assert_eq!(lost.end, EndOfWorker::CpuLimit { limit: LIMIT });
    assert!(pool.submit(burn, 1).unwrap().wait().is_ok());
}

fn cpu_time_of_several_tasks_does_not_add_up() {
    let pool = builder(1).cpu_time(Duration::from_secs(1)).build().unwrap();
    let futures: Vec<_> = (0..5).map(|_| pool.submit(burn, 500).unwrap()).collect();
    let pids: Vec<u32> = futures
        .iter()
        .map(|future| future.wait().unwrap())
        .collect();
    assert_eq!(pids, [pids[0]; 5]);
}

fn has_little_cpu_time() {
    procession::init();
    let limit = Rlimit {
        current: Some(1000),
        maximum: Some(1000),
    };
    setrlimit(Resource::Cpu, limit).unwrap();
    let pool = builder(1)
        .cpu_time(Duration::from_secs(5000))
        .build()
        .unwrap();
    println!("{}", pool.submit(double, 21).unwrap().wait().unwrap());
}

fn cpu_time_beyond_what_the_system_allows_is_cut() {
    let finished = finish(&mut program("has_little_cpu_time")).succeeded();
    assert_eq!(finished.lines(), ["42"]);
}

// ---- files ----

fn a_task_runs_out_of_files_and_its_worker_does_not() {
    let keeper = support::GateKeeper::new();
    let pool = builder(1)
        .open_files(32)
        .initializer(note_that_it_starts, keeper.log())
        .build()
        .unwrap();
    let (count, error) = pool.submit(open_files, false).unwrap().wait().unwrap();
    assert_eq!(error, Some(libc::EMFILE));
    assert!(count > 10 && count < 32, "{count}");
    // Nor when nothing is given back.
    let (again, _) = pool.submit(open_files, true).unwrap().wait().unwrap();
    assert_eq!(again, count);
    let (none, error) = pool.submit(open_files, true).unwrap().wait().unwrap();
    assert_eq!((none, error), (0, Some(libc::EMFILE)));
    let long = vec![7; 1 << 20];
    assert_eq!(pool.submit(length, long).unwrap().wait().unwrap(), 1 << 20);
    assert_eq!(keeper.log().lines().len(), 1, "it is the same worker");
    drop(pool);
}

fn memory_is_measured_when_there_are_no_more_files() {
    let pool = builder(1)
        .open_files(64)
        .max_memory_per_child(60 * MIB)
        .build()
        .unwrap();
    pool.submit(open_files, true).unwrap().wait().unwrap();
    let first = pool.submit(leak_unseen, 70).unwrap().wait().unwrap();
    let second = pool.submit(leak_unseen, 1).unwrap().wait().unwrap();
    assert_ne!(first, second);
}

/// Not one that is raised by a failed allocation.
fn a_signal_that_is_sent_ends_a_worker_with_a_limit() {
    let pool = builder(1)
        .address_space(SPACE)
        .core_size(0)
        .build()
        .unwrap();
    let lost = lost(&pool.submit(raise_signal, libc::SIGABRT).unwrap());
    assert_eq!(lost.end, EndOfWorker::Signalled(libc::SIGABRT));
}

fn core_dumps_are_bounded() {
    let pool = builder(1).core_size(0).build().unwrap();
    let limit = pool.submit(core_size, ()).unwrap().wait().unwrap();
    assert_eq!(limit, (Some(0), Some(0)));
    drop(pool);
    let hard = getrlimit(Resource::Core).maximum.unwrap_or(u64::MAX);
    let some = 4096.min(hard);
    let pool = builder(1).core_size(some).build().unwrap();
    let limit = pool.submit(core_size, ()).unwrap().wait().unwrap();
    assert_eq!(limit, (Some(some), Some(some)));
}

// ---- scheduling ----

fn every_thread_is_as_nice_as_was_asked() {
    let pool = builder(1).nice(7).build().unwrap();
    let all = pool.submit(niceness, ()).unwrap().wait().unwrap();
    assert!(
        all.len() >= 2 && all.iter().all(|niceness| *niceness == 7),
        "{all:?}"
    );
    let own = rustix::process::getpriority_process(None).unwrap();
    assert_ne!(own, 7);
}

fn workers_run_where_they_may() {
    let own = sched_getaffinity(None).unwrap();
    let all: Vec<usize> = (0..1024).filter(|cpu| own.is_set(*cpu)).collect();
    for chosen in [vec![*all.last().unwrap()], all.clone()] {
        let pool = builder(1).cpu_affinity(chosen.clone()).build().unwrap();
        assert_eq!(pool.submit(cpus, ()).unwrap().wait().unwrap(), chosen);
    }
    let now = sched_getaffinity(None).unwrap();
    assert_eq!(now, own, "that of this process is as it was");
}

// ---- surroundings ----

fn workers_are_where_they_should_be() {
    let scratch = Directory::new();
    let place = std::fs::canonicalize(scratch.path()).unwrap();
    let before = std::env::current_dir().unwrap();
    let pool = builder(1)
        .max_tasks_per_child(1)
        .current_dir(&place)
        .build()
        .unwrap();
    for _ in 0..2 {
        let directory = pool.submit(directory, ()).unwrap().wait().unwrap();
        assert_eq!(directory, place.to_str().unwrap());
    }
    assert_eq!(std::env::current_dir().unwrap(), before);
    // A relative one counts from here.
    let pool = builder(1).current_dir("tests").build().unwrap();
    let directory = pool.submit(directory, ()).unwrap().wait().unwrap();
    assert_eq!(directory, before.join("tests").to_str().unwrap());
}

/// The variables of a worker.
fn variables_of(builder: ProcessPoolExecutorBuilder) -> impl Fn(&str) -> Option<String> {
    let pool = builder.build().unwrap();
    let all = pool.submit(variables, ()).unwrap().wait().unwrap();
    move |name| {
        let found = all.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }
}

fn variables_are_added_changed_and_removed() {
    let own = std::env::vars_os().count();
    let path = std::env::var("PATH").unwrap();
    let value = variables_of(
        builder(1)
            .env("WORKERS_ADDED", "one = two")
            .env("WORKERS_TWICE", "1")
            .env("WORKERS_TWICE", "2")
            .env("WORKERS_GONE", "1")
            .env_remove("WORKERS_GONE")
            .env_remove("CARGO_PKG_NAME")
            .env_remove("WORKERS_NEVER_THERE")
            .env("WORKERS_EMPTY", ""),
    );
    assert_eq!(value("WORKERS_ADDED").as_deref(), Some("one = two"));
    assert_eq!(value("WORKERS_TWICE").as_deref(), Some("2"));
    assert_eq!(value("WORKERS_EMPTY").as_deref(), Some(""));
    assert_eq!(value("PATH"), Some(path));
    for gone in ["WORKERS_GONE", "CARGO_PKG_NAME", "PROCESSION_WORKER"] {
        assert_eq!(value(gone), None, "{gone}");
    }
    assert_eq!(
        std::env::vars_os().count(),
        own,
        "that of this process is as it was"
    );
}

fn an_environment_begins_empty() {
    let pool = builder(1)
        .env("WORKERS_BEFORE", "1")
        .env_clear()
        .env("WORKERS_AFTER", "2")
        .build()
        .unwrap();
    let all = pool.submit(variables, ()).unwrap().wait().unwrap();
    assert_eq!(all, [("WORKERS_AFTER".to_owned(), "2".to_owned())]);
    // Nor is it the user's affair how a worker is recognised.
    let value = variables_of(
        builder(1)
            .env("PROCESSION_WORKER", "9")
            .env_remove("PROCESSION_WORKER"),
    );
    assert_eq!(value("PROCESSION_WORKER"), None);
}

// ---- refused ----

fn numbers_that_cannot_be_are_refused() {
    let refusals = [
        builder(1).address_space(0),
        builder(1).cpu_time(Duration::ZERO),
        builder(1).open_files(0),
        builder(1).nice(20),
        builder(1).nice(-21),
        builder(1).cpu_affinity([]),
        builder(1).cpu_affinity([0, 1024]),
        builder(1).cpu_affinity([usize::MAX]),
        builder(1).current_dir(""),
        builder(1).current_dir("a\0b"),
        builder(1).current_dir("x".repeat(5000)),
    ];
    let named = refusals.map(refused_parameter);
    let expected = [
        "address_space",
        "cpu_time",
        "open_files",
        "nice",
        "nice",
        "cpu_affinity",
        "cpu_affinity",
        "cpu_affinity",
        "current_dir",
        "current_dir",
        "current_dir",
    ];
    assert_eq!(named, expected);
}

fn what_is_no_variable_is_refused() {
    for name in ["", "a=b", "=", "a\0b"] {
        assert_eq!(refused_parameter(builder(1).env(name, "")), "env");
        assert_eq!(refused_parameter(builder(1).env_remove(name)), "env");
    }
    assert_eq!(refused_parameter(builder(1).env("a", "b\0c")), "env");
}

/// What a worker says of a limit that it cannot take on.
#[track_caller]
fn names_it(builder: ProcessPoolExecutorBuilder, parameter: &str) {
    match refused(builder) {
        BuildError::CannotStart { reason, .. } => {
            let quoted = format!("`{parameter}`");
            assert!(reason.contains(&quoted), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert!(children().is_empty());
}

fn what_cannot_be_had_is_named_by_the_worker() {
    names_it(builder(2).current_dir("/no/such/directory"), "current_dir");
    names_it(builder(2).current_dir("/dev/null"), "current_dir");
    names_it(builder(2).address_space(MIB), "address_space");
    let own = sched_getaffinity(None).unwrap();
    let missing = (0..1024).rev().find(|cpu| !own.is_set(*cpu)).unwrap();
    names_it(builder(2).cpu_affinity([missing]), "cpu_affinity");
    let first = (0..1024).find(|cpu| own.is_set(*cpu)).unwrap();
    names_it(builder(2).cpu_affinity([first, missing]), "cpu_affinity");
}

fn has_no_privilege() {
    procession::init();
    // Whoever has none anyway may not give it away either.
    let _ = remove_capability_from_bounding_set(CapabilitySet::SYS_NICE);
    let _ = remove_capability_from_bounding_set(CapabilitySet::SYS_RESOURCE);
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Nice, none).unwrap();
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(1024);
    println!("{}", describe(&refused(builder(1).nice(-5))));
    println!("{}", describe(&refused(builder(1).open_files(files + 1))));
}

fn what_needs_a_privilege_is_named_by_the_worker() {
    let finished = finish(&mut program("has_no_privilege")).succeeded();
    let lines = finished.lines();
    assert!(
        lines[0].contains("cannot start: `nice` cannot be had: "),
        "{lines:?}"
    );
    assert!(
        lines[1].contains("`open_files` cannot be had: the system allows "),
        "{lines:?}"
    );
}

fn a_limit_beyond_that_of_the_system_is_named_by_the_worker() {
    match getrlimit(Resource::Nofile).maximum {
        Some(maximum) => names_it(builder(1).open_files(maximum + 1), "open_files"),
        None => programs::skip("the number of open files is not limited"),
    }
}
