//! Workers that cannot be started, or do not last: the pool goes on while it can, and says why when it cannot.

use std::error::Error as _;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::time::Duration;

use procession::{
    BuildError, EndOfWorker, Future, ProcessPoolExecutor, ProcessPoolExecutorBuilder, Retry, Stdio,
    SubmitError, TaskError,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::programs::{describe, finish, program, skip, this_binary};
use super::support::{self, Case, Directory, GateKeeper, awaiting, signal, until};
use super::tasks::*;
use super::{pids, two};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        an_initializer_that_never_ends_is_given_up,
        a_replacement_that_never_ends_its_initializer_does_not_keep_a_pool_from_ending,
        a_pool_whose_replacements_all_die_breaks_and_names_the_last,
        a_pool_whose_replacements_never_say_hello_breaks_and_says_so,
        a_pool_without_restarts_breaks_with_the_first_useless_worker,
        deaths_of_running_tasks_use_up_no_restarts,
        a_program_that_is_gone_for_a_while_is_waited_for,
        a_pool_whose_program_is_gone_breaks_when_its_last_worker_is,
        without_descriptors_nothing_is_started_and_what_lives_goes_on,
        without_processes_nothing_is_started_and_what_lives_goes_on,
        a_task_that_kills_all_its_workers_is_given_up_after_its_retries,
        an_argument_that_kills_whoever_reads_it_is_given_up,
    ]
}

fn one() -> ProcessPoolExecutorBuilder {
    ProcessPoolExecutor::builder().max_workers(1)
}

/// Why these have not been run; it is the same for all.
fn reason_of(futures: Vec<Future<u64>>) -> BuildError {
    awaiting("the pool to break");
    let mut reasons = futures.into_iter().map(|future| match future.wait() {
        Err(error @ TaskError::Broken { .. }) => {
            assert!(!error.may_have_run());
            let source = error.source().expect("a reason").to_string();
            let TaskError::Broken { reason, .. } = error else {
                unreachable!("it was");
            };
            assert_eq!(reason.to_string(), source);
            BuildError::clone(&reason)
        }
        other => panic!("{other:?}"),
    });
    let first = reasons.next().expect("one at least");
    assert!(reasons.all(|reason| reason.to_string() == first.to_string()));
    first
}

// ---- initializers ----

fn an_initializer_that_never_ends_is_given_up() {
    let builder = two().initializer(initialize_for_ever, ());
    let limit = Duration::from_millis(50);
    let error = builder.initializer_timeout(limit).build().unwrap_err();
    let BuildError::InitializerTimeout { pid, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        error.to_string(),
        format!(
            "the initializer `faults::tasks::initialize_for_ever` was not done within the `initializer_timeout` of 50ms in worker {pid}"
        )
    );
}

fn a_replacement_that_never_ends_its_initializer_does_not_keep_a_pool_from_ending() {
    let directory = Directory::new();
    let path = directory.join("fault");
    let keeper = GateKeeper::new();
    let pool = one()
        .initializer(initialize, path.clone())
        .exit_grace(Duration::from_millis(100))
        .build()
        .unwrap();
    let fault = Fault {
        stage: Stage::InitializerAgain,
        way: Way::Stop,
        gate: Some(keeper.gate()),
    };
    fault.leave_at(&path);
    assert!(pool.submit(swell_and_die, 0).unwrap().wait().is_err());
    keeper.arrival();
    keeper.open(1);
    awaiting("the pool to end");
    drop(pool);
}

// ---- the budget ----

fn a_pool_whose_replacements_all_die_breaks_and_names_the_last() {
    let keeper = GateKeeper::new();
    let pool = one()
        .stderr(Stdio::Tee)
        .initializer(initialize_a_few_times, (keeper.log(), 1))
        .max_restarts(2)
        .build()
        .unwrap();
    let running = pool.submit(pass, (keeper.gate(), 0)).unwrap();
    let first = keeper.arrival().pid;
    let pending = (0..5).map(|n| pool.submit(double, n).unwrap()).collect();
    signal(first, libc::SIGKILL);
    assert!(matches!(running.wait(), Err(TaskError::WorkerLost(_))));
    let reason = reason_of(pending);
    let tried = keeper.log().lines();
    assert_eq!(tried.len(), 4, "the first, and three in its place");
    let BuildError::WorkersKeepDying {
        deaths: 3,
        pid,
        end: EndOfWorker::Exited(7),
        initializer: Some(ref initializer),
        last_words: Some(ref words),
    } = reason
    else {
        panic!("{reason:?}");
    };
    assert_eq!(
        (pid.to_string(), &**words),
        (tried[3].clone(), "no licence left")
    );
    let text = format!(
        "worker {pid} exited with code 7 while it ran the initializer `{initializer}`, the last of 3 that ended in a row, with no task finished or begun in between \
         (`max_restarts` allows no more) (its last words: no licence left)"
    );
    assert_eq!(reason.to_string(), text);
    assert_eq!(
        pool.submit(double, 1).unwrap_err(),
        SubmitError::Broken(text)
    );
    assert!(support::children().is_empty());
}

fn a_pool_whose_replacements_never_say_hello_breaks_and_says_so() {
    let directory = Directory::new();
    let path = directory.join("fault");
    let keeper = GateKeeper::new();
    let pool = one()
        .env("PROCESSION_TEST_PROGRAM", "starts_with_a_fault")
        .env(LEFT_AT, &path)
        .start_timeout(Duration::from_secs(1))
        .max_restarts(0)
        .build()
        .unwrap();
    let fault = Fault {
        stage: Stage::StartingAgain,
        way: Way::Stop,
        gate: Some(keeper.gate()),
    };
    fault.leave_at(&path);
    let running = pool.submit(swell_and_die, 0).unwrap();
    let pending = (0..5).map(|n| pool.submit(double, n).unwrap()).collect();
    assert!(running.wait().is_err());
    let pid = keeper.arrival().pid;
    keeper.open(1);
    let reason = reason_of(pending);
    assert!(
        matches!(reason, BuildError::NoHello { pid: of, .. } if of == pid),
        "{reason:?}"
    );
}

fn a_pool_without_restarts_breaks_with_the_first_useless_worker() {
    let pool = one().max_restarts(0).build().unwrap();
    let keeper = GateKeeper::new();
    keeper.open(1);
    let passed = pool.submit(pass, (keeper.gate(), 0)).unwrap();
    passed.wait().unwrap();
    let idle = keeper.arrival().pid;
    signal(idle, libc::SIGKILL);
    let mut refused = None;
    until("the pool to break", || {
        refused = pool.submit(double, 1).err();
        refused.is_some()
    });
    let text = format!(
        "worker {idle} was ended by SIGKILL (signal 9), the last of 1 that ended in a row, with no task finished or begun in \
         between (`max_restarts` allows no more)"
    );
    assert_eq!(refused, Some(SubmitError::Broken(text)));
}

fn deaths_of_running_tasks_use_up_no_restarts() {
    let pool = one().max_restarts(0).build().unwrap();
    for n in 0..5 {
        assert!(pool.submit(swell_and_die, 0).unwrap().wait().is_err());
        assert_eq!(pool.submit(double, n).unwrap().wait().unwrap(), 2 * n);
    }
}

// ---- what the system refuses ----

/// A pool of two of a program of its own, and that program.
fn pool_of_a_copy(directory: &Directory) -> (ProcessPoolExecutor, std::path::PathBuf) {
    let copy = directory.join("copy");
    fs::copy(this_binary(), &copy).unwrap();
    let pool = ProcessPoolExecutor::builder().max_workers(2).program(&copy);
    (pool.build().unwrap(), copy)
}

fn a_program_that_is_gone_for_a_while_is_waited_for() {
    let directory = Directory::new();
    let (pool, copy) = pool_of_a_copy(&directory);
    let before = pids(&pool);
    let aside = directory.join("aside");
    fs::rename(&copy, &aside).unwrap();
    goes_on_with_one(&pool);
    fs::rename(&aside, &copy).unwrap();
    awaiting("a worker of the program that is back");
    let now = pids(&pool);
    let old = now.iter().filter(|pid| before.contains(pid));
    assert_eq!((now.len(), old.count()), (2, 1));
}

/// One of its two workers dies; the other one does everything, and does not break however often a start fails.
fn goes_on_with_one(pool: &ProcessPoolExecutor) {
    assert!(pool.submit(swell_and_die, 0).unwrap().wait().is_err());
    let begun = std::time::Instant::now();
    // Longer than a few pauses between two starts.
    while begun.elapsed() < Duration::from_millis(200) {
        assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
    }
}

fn a_pool_whose_program_is_gone_breaks_when_its_last_worker_is() {
    let directory = Directory::new();
    let (pool, copy) = pool_of_a_copy(&directory);
    fs::remove_file(&copy).unwrap();
    let keeper = GateKeeper::new();
    let running: Vec<_> = (0..2)
        .map(|n| pool.submit(pass, (keeper.gate(), n)).unwrap())
        .collect();
    let arrivals = keeper.arrivals(2);
    let pending = (0..5).map(|n| pool.submit(double, n).unwrap()).collect();
    for arrival in arrivals {
        signal(arrival.pid, libc::SIGKILL);
    }
    for future in running {
        assert!(matches!(future.wait(), Err(TaskError::WorkerLost(_))));
    }
    let reason = reason_of(pending);
    assert!(
        matches!(&reason, BuildError::Spawn { program, .. } if *program == copy),
        "{reason:?}"
    );
}

/// Lets this process have so many of something, and then as many as before.
fn with_limit<T>(resource: Resource, limit: u64, what: impl FnOnce() -> T) -> T {
    let before = getrlimit(resource);
    let lowered = Rlimit {
        current: Some(limit),
        ..before
    };
    setrlimit(resource, lowered).expect("a lower limit");
    let result = what();
    setrlimit(resource, before).expect("the limit before");
    result
}

/// Prints what comes of lacking something: at the start, and later.
fn lacks(resource: Resource, limits: &[u64], later: u64) {
    procession::init();
    let builder = || ProcessPoolExecutor::builder().max_workers(2);
    for &limit in limits {
        let built = with_limit(resource, limit, || builder().build());
        println!("{}", describe(&built.expect_err("a pool without means")));
    }
    let pool = builder().build().expect("a pool");
    let before = pids(&pool);
    with_limit(resource, later, || goes_on_with_one(&pool));
    let now = pids(&pool);
    let old = now.iter().filter(|pid| before.contains(pid)).count();
    println!("{} workers, {old} of them old", now.len());
    // All of them at once, and nobody to go on.
    let died = with_limit(resource, later, || {
        let futures = [0; 2].map(|bytes| pool.submit(swell_and_die, bytes));
        let futures = futures.map(|future| future.expect("to be taken"));
        let died = futures.iter().filter(|future| future.wait().is_err());
        let died = died.count();
        // Taken, or refused, it says the same.
        let last = match pool.submit(double, 1) {
            Ok(future) => describe(&future.wait().expect_err("nobody to run it")),
            Err(refused) => describe(&refused),
        };
        format!("{died} died: {last}")
    });
    println!("{died}");
}

pub(crate) fn runs_out_of_descriptors() {
    procession::init();
    for limit in 3.. {
        let builder = ProcessPoolExecutor::builder().max_workers(1);
        match with_limit(Resource::Nofile, limit, || builder.build()) {
            Ok(pool) => {
                assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
                break;
            }
            Err(error) => println!("{}", describe(&error)),
        }
    }
    println!("then");
    lacks(Resource::Nofile, &[], 3);
}

fn without_descriptors_nothing_is_started_and_what_lives_goes_on() {
    let finished = finish(&mut program("runs_out_of_descriptors")).succeeded();
    let lines = finished.lines();
    let then = lines.iter().position(|line| *line == "then");
    let (first, then) = lines.split_at(then.expect("both parts"));
    // Whatever it is that cannot be had with one descriptor more, it is named.
    assert!(!first.is_empty());
    for line in first {
        let (what, why) = line.rsplit_once(": ").expect("a cause");
        assert_eq!(why, "Too many open files (os error 24)", "{lines:#?}");
        let is_named = what.starts_with("the system refused ")
            || what.starts_with("worker process could not be started from ");
        assert!(is_named, "{lines:#?}");
    }
    let [_, workers, died] = then else {
        panic!("{lines:#?}");
    };
    assert_eq!(*workers, "2 workers, 1 of them old");
    assert_eq!(
        *died,
        "2 died: the pool is broken: the system refused a worker's task pipe: Too many open files (os error 24)"
    );
}

pub(crate) fn runs_out_of_processes() {
    // This thread is one, the reactor the second.
    lacks(Resource::Nproc, &[1, 2], 1);
}

fn without_processes_nothing_is_started_and_what_lives_goes_on() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can take a user of its own, whose processes can be counted");
    }
    // A user that nobody else is: its limit binds it, as root's would not.
    let user = 3_000_000_000 + std::process::id();
    let mut command = program("runs_out_of_processes");
    let finished = finish(command.uid(user)).succeeded();
    let no_worker = format!(
        "worker process could not be started from {}: Resource temporarily unavailable (os error 11)",
        this_binary().display()
    );
    assert_eq!(
        finished.lines(),
        [
            "the system refused the reactor's thread: Resource temporarily unavailable (os error 11)",
            &no_worker,
            "2 workers, 1 of them old",
            &format!("2 died: the pool is broken: {no_worker}"),
        ]
    );
}

// ---- tasks that kill ----

fn a_task_that_kills_all_its_workers_is_given_up_after_its_retries() {
    let pool = two().max_restarts(0).build().unwrap();
    let keeper = GateKeeper::new();
    let log = keeper.log();
    let retry = Retry::times(3).backoff(Duration::from_millis(1), Duration::from_millis(2));
    let call = pool.call(note_and_end).retry(retry);
    let future = call.submit((log.clone(), Way::Segfault)).unwrap();
    let innocent: Vec<_> = (0..50).map(|n| pool.submit(double, n).unwrap()).collect();
    awaiting("the last attempt");
    let Err(TaskError::WorkerLost(lost)) = future.wait() else {
        panic!("it kills");
    };
    let mut tried = log.lines();
    assert_eq!(tried.last(), Some(&lost.pid.to_string()));
    assert_eq!(
        (lost.attempts, lost.end.clone()),
        (4, EndOfWorker::Signalled(11))
    );
    let text = lost.to_string();
    assert!(
        text.contains(" while it ran `faults::tasks::note_and_end` (task 0, ")
            && text.ends_with(", the last of 4 attempts)"),
        "{text}"
    );
    tried.sort();
    tried.dedup();
    assert_eq!(tried.len(), 4, "each in a worker of its own");
    for (n, future) in (0..).zip(innocent) {
        assert_eq!(future.wait().unwrap(), 2 * n);
    }
}

fn an_argument_that_kills_whoever_reads_it_is_given_up() {
    let pool = one()
        .stderr(Stdio::Null)
        .initializer(die_of_large_arguments, ())
        .build()
        .unwrap();
    let future = pool.submit(length, "x".repeat(64 << 20)).unwrap();
    let innocent: Vec<_> = (0..10).map(|n| pool.submit(double, n).unwrap()).collect();
    awaiting("the task to be given up");
    let Err(TaskError::WorkerLost(lost)) = future.wait() else {
        panic!("it kills");
    };
    assert_eq!((lost.attempts, lost.may_have_run), (0, false));
    assert_eq!(lost.end, EndOfWorker::Signalled(6));
    assert_eq!(
        lost.to_string(),
        format!(
            "`faults::tasks::length` was given up: one worker after another ended when it was about to \
             begin (task 0; the last, worker {}, was ended by SIGABRT (signal 6))",
            lost.pid
        )
    );
    for (n, future) in (0..).zip(innocent) {
        assert_eq!(future.wait().unwrap(), 2 * n);
    }
}
