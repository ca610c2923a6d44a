//! What runs in a worker before its first task.

use std::error::Error as _;

use procession::{BuildError, ProcessPoolExecutor, SubmitError, TaskError};

use super::support::{self, Case, Directory, GateKeeper, awaiting, signal};
use super::tasks::*;
use super::{pids, sorted};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        it_runs_once_in_every_worker_before_the_first_task,
        it_may_be_asynchronous,
        its_failure_is_returned_by_build_in_its_own_words,
        its_panic_is_returned_by_build,
        an_error_that_cannot_be_shown_is_one_of_build,
        its_death_is_returned_by_build,
        a_replaced_worker_runs_it_too,
        a_pool_breaks_when_it_fails_in_every_replacement,
        one_that_is_not_registered_is_refused,
    ]
}

fn it_runs_once_in_every_worker_before_the_first_task() {
    let directory = Directory::new();
    let log = directory.log("initialized");
    let pool = ProcessPoolExecutor::builder()
        .max_workers(3)
        .initializer(initialize, (log.clone(), 5))
        .build()
        .unwrap();
    let initialized_in = || sorted(log.lines().iter().map(|pid| pid.parse::<u32>().unwrap()));
    assert_eq!(initialized_in().len(), 3, "before build returns");
    assert_eq!(initialized_in(), pids(&pool));
    for seen in pool.map(initialized, [(); 100]) {
        let (pid, value) = seen.unwrap();
        assert_eq!(value, 5);
        assert!(initialized_in().contains(&pid));
    }
    assert_eq!(initialized_in().len(), 3);
}

fn it_may_be_asynchronous() {
    let pool = ProcessPoolExecutor::builder()
        .max_workers(1)
        .initializer(initialize_later, ())
        .build()
        .unwrap();
    assert_eq!(pool.submit(initialized, ()).unwrap().wait().unwrap().1, 7);
}

fn its_failure_is_returned_by_build_in_its_own_words() {
    for workers in [1, 3] {
        let built = ProcessPoolExecutor::builder()
            .max_workers(workers)
            .initializer(initialize_or_fail, Some("no licence".to_owned()))
            .build();
        match built {
            Err(BuildError::Initializer {
                function,
                pid,
                message,
            }) => {
                assert_eq!(function, "pool::tasks::initialize_or_fail");
                assert_ne!(pid, std::process::id());
                assert_eq!(message, "no licence");
            }
            other => panic!("{other:?}"),
        }
        assert!(support::children().is_empty());
    }
    let built = ProcessPoolExecutor::builder()
        .max_workers(1)
        .initializer(initialize_or_fail, None);
    assert!(built.build().is_ok());
}

fn its_panic_is_returned_by_build() {
    let built = ProcessPoolExecutor::builder()
        .max_workers(2)
        .initializer(initialize_with_a_panic, "no database".to_owned())
        .build();
    match built {
        Err(error @ BuildError::Initializer { .. }) => {
            let text = error.to_string();
            assert!(text.contains("no database"), "{text}");
            assert!(text.contains("initialize_with_a_panic"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

fn an_error_that_cannot_be_shown_is_one_of_build() {
    let builder = ProcessPoolExecutor::builder().max_workers(2);
    match builder.initializer(fail_unspeakably, ()).build() {
        Err(BuildError::Initializer { message, .. }) => {
            assert_eq!(message, "what it returned panicked when it was read");
        }
        other => panic!("{other:?}"),
    }
}

fn its_death_is_returned_by_build() {
    let ways = [
        (Way::Exit(3), "exited with code 3"),
        (Way::Kill, "SIGKILL"),
        (Way::Abort, "SIGABRT"),
    ];
    for (way, words) in ways {
        let built = ProcessPoolExecutor::builder()
            .max_workers(2)
            .initializer(initialize_and_die, way)
            .build();
        let error = built.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words), "{text}");
    }
}

fn a_replaced_worker_runs_it_too() {
    let directory = Directory::new();
    let log = directory.log("initialized");
    let pool = ProcessPoolExecutor::builder()
        .max_workers(2)
        .initializer(initialize, (log.clone(), 5))
        .build()
        .unwrap();
    let killed = pids(&pool)[0];
    signal(killed, libc::SIGKILL);
    support::until("the replacement to have run its initializer", || {
        log.lines().len() == 3
    });
    let now = pids(&pool);
    assert!(!now.contains(&killed) && now.len() == 2);
    let seen = pool.map(initialized, [(); 50]).map(Result::unwrap);
    assert!(
        seen.into_iter()
            .all(|(pid, value)| value == 5 && now.contains(&pid))
    );
    assert_eq!(log.lines().len(), 3);
}

fn a_pool_breaks_when_it_fails_in_every_replacement() {
    let keeper = GateKeeper::new();
    let pool = ProcessPoolExecutor::builder()
        .max_workers(1)
        .initializer(initialize_a_few_times, (keeper.log(), 1))
        .build()
        .unwrap();
    let running = pool
        .submit(pass_and_die, (keeper.gate(), 0, Way::Kill))
        .unwrap();
    keeper.arrival();
    let pending: Vec<_> = (0..10).map(|n| pool.submit(double, n).unwrap()).collect();
    keeper.open(1);
    assert!(matches!(running.wait(), Err(TaskError::WorkerLost(_))));
    awaiting("the pool to break");
    for future in pending {
        match future.wait() {
            Err(error @ TaskError::Broken { .. }) => {
                assert!(!error.may_have_run());
                let reason = error.source().unwrap().to_string();
                assert!(reason.contains("enough is enough"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
    match pool.submit(double, 1) {
        Err(error @ SubmitError::Broken(_)) => {
            let text = error.to_string();
            assert!(text.contains("enough is enough"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    let attempts = keeper.log().lines().len();
    assert!(attempts < 20, "{attempts} attempts");
}

fn not_registered() {}

fn one_that_is_not_registered_is_refused() {
    let built = ProcessPoolExecutor::builder()
        .initializer(not_registered, ())
        .build();
    match built {
        Err(error @ BuildError::InitializerRefused(SubmitError::NotRegistered { .. })) => {
            let text = error.source().unwrap().to_string();
            assert!(text.contains("pool::initializer::not_registered"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}
