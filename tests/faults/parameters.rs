//! What is refused before anything is started, naming the parameter.

use std::time::Duration;

use procession::{
    BuildError, InlineExecutor, ProcessPoolExecutor, ProcessPoolExecutorBuilder, Retry, Stdio,
    SubmitError, TrySubmitError,
};

use super::support::{self, Case, GateKeeper};
use super::tasks::{double, only_once, pass};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        what_cannot_be_is_refused_by_build,
        what_cannot_be_is_refused_by_resize,
        what_cannot_be_is_refused_by_submit,
        what_is_not_repeatable_is_not_retried,
        what_returns_no_result_is_not_retried_after_errors,
        the_least_that_can_be_is_accepted,
    ]
}

fn builder() -> ProcessPoolExecutorBuilder {
    ProcessPoolExecutor::builder()
}

type Change = fn(ProcessPoolExecutorBuilder) -> ProcessPoolExecutorBuilder;

/// Unsigned types and `Duration` leave no room for negative limits; what is left is below.
const REFUSED: &[(&str, &str, Change)] = &[
    ("max_workers", "from 1 to 4096, not 0", |it| {
        it.max_workers(0)
    }),
    ("max_workers", "from 1 to 4096, not 4097", |it| {
        it.max_workers(4097)
    }),
    (
        "min_workers",
        "no more than `max_workers`, not 3 with 2",
        |it| it.min_workers(3).max_workers(2),
    ),
    ("idle_timeout", "longer than zero, not 0 s", |it| {
        it.idle_timeout(Duration::ZERO)
    }),
    ("max_tasks_per_child", "at least 1, not 0", |it| {
        it.max_tasks_per_child(0)
    }),
    ("max_memory_per_child", "at least 1, not 0", |it| {
        it.max_memory_per_child(0)
    }),
    ("max_growth_per_child", "at least 1, not 0", |it| {
        it.max_growth_per_child(0)
    }),
    ("max_age_per_child", "longer than zero, not 0 s", |it| {
        it.max_age_per_child(Duration::ZERO)
    }),
    ("max_pending", "at least 1, not 0", |it| it.max_pending(0)),
    (
        "max_frame",
        "from 4096 to isize::MAX bytes, not 4095",
        |it| it.max_frame(4095),
    ),
    (
        "max_frame",
        "from 4096 to isize::MAX bytes, not 18446744073709551615",
        |it| it.max_frame(u64::MAX),
    ),
    ("timeout", "longer than zero, not 0 s", |it| {
        it.timeout(Duration::ZERO)
    }),
    ("deadline", "longer than zero, not 0 s", |it| {
        it.deadline(Duration::ZERO)
    }),
    ("start_timeout", "longer than zero, not 0 s", |it| {
        it.start_timeout(Duration::ZERO)
    }),
    ("initializer_timeout", "longer than zero, not 0 s", |it| {
        it.initializer_timeout(Duration::ZERO)
    }),
    ("exit_grace", "longer than zero, not 0 s", |it| {
        it.exit_grace(Duration::ZERO)
    }),
    (
        "terminate_signal",
        "from 1 to 31, and neither SIGKILL (9) nor SIGSTOP (19), not 0",
        |it| it.terminate_signal(0),
    ),
    (
        "terminate_signal",
        "from 1 to 31, and neither SIGKILL (9) nor SIGSTOP (19), not -15",
        |it| it.terminate_signal(-15),
    ),
    (
        "terminate_signal",
        "from 1 to 31, and neither SIGKILL (9) nor SIGSTOP (19), not 9",
        |it| it.terminate_signal(libc::SIGKILL),
    ),
    (
        "terminate_signal",
        "from 1 to 31, and neither SIGKILL (9) nor SIGSTOP (19), not 19",
        |it| it.terminate_signal(libc::SIGSTOP),
    ),
    (
        "terminate_signal",
        "from 1 to 31, and neither SIGKILL (9) nor SIGSTOP (19), not 77",
        |it| it.terminate_signal(77),
    ),
    ("address_space", "at least 1, not 0", |it| {
        it.address_space(0)
    }),
    ("open_files", "at least 1, not 0", |it| it.open_files(0)),
    ("cpu_time", "longer than zero, not 0 s", |it| {
        it.cpu_time(Duration::ZERO)
    }),
    ("nice", "from -20 to 19, not 20", |it| it.nice(20)),
    ("nice", "from -20 to 19, not -21", |it| it.nice(-21)),
    ("cpu_affinity", "at least one CPU, not none", |it| {
        it.cpu_affinity([])
    }),
    ("cpu_affinity", "CPUs from 0 to 1023, not 1024", |it| {
        it.cpu_affinity([0, 1024])
    }),
    ("current_dir", "the path of a directory, not \"\"", |it| {
        it.current_dir("")
    }),
    ("env", "the name of a variable, not \"A=B\"", |it| {
        it.env("A=B", "")
    }),
    ("env", "the name of a variable, not \"\"", |it| {
        it.env_remove("")
    }),
    ("env", "a value without a zero byte, not \"a\\0b\"", |it| {
        it.env("A", "a\0b")
    }),
    (
        "on_output",
        "set where a stream is captured, not nothing",
        |it| it.stdout(Stdio::Capture),
    ),
    (
        "on_output",
        "left alone where neither `stdout` nor `stderr` is captured, not set",
        |it| it.on_output(|_| {}),
    ),
];

fn what_cannot_be_is_refused_by_build() {
    for &(named, words, change) in REFUSED {
        let error = change(builder()).build().unwrap_err();
        let BuildError::Parameter { parameter, .. } = error else {
            panic!("{named}: {error:?}");
        };
        assert_eq!(parameter, named);
        assert_eq!(error.to_string(), format!("`{named}` must be {words}"));
        assert!(support::children().is_empty());
    }
}

fn what_cannot_be_is_refused_by_resize() {
    let pool = builder().max_workers(1).build().unwrap();
    for (min, max, named) in [
        (0, 0, "max_workers"),
        (1, 4097, "max_workers"),
        (3, 2, "min_workers"),
    ] {
        match pool.resize_between(min, max) {
            Err(BuildError::Parameter { parameter, .. }) => assert_eq!(parameter, named),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        pool.resize(0),
        Err(BuildError::Parameter {
            parameter: "max_workers",
            ..
        })
    ));
    assert_eq!(pool.max_workers(), 1);
    assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
}

fn what_cannot_be_is_refused_by_submit() {
    let pool = builder().max_workers(1).build().unwrap();
    let refused = |error: SubmitError, named: &str| {
        let SubmitError::Parameter { parameter, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(parameter, named);
        assert_eq!(
            error.to_string(),
            format!("`{named}` must be longer than zero, not 0 s")
        );
    };
    for (call, named) in [
        (pool.call(double).timeout(Duration::ZERO), "timeout"),
        (pool.call(double).deadline(Duration::ZERO), "deadline"),
    ] {
        refused(call.submit(4).unwrap_err(), named);
        let TrySubmitError { args, reason, .. } = call.try_submit(4).unwrap_err();
        assert_eq!(args, 4, "they are given back");
        refused(reason, named);
        match call.map([4]).next() {
            Some(Err(procession::TaskError::Refused(error))) => refused(error, named),
            other => panic!("{other:?}"),
        }
        assert_eq!(pool.pending(), 0);
    }
    assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
}

fn what_is_not_repeatable_is_not_retried() {
    let pool = builder().max_workers(1).build().unwrap();
    let call = pool.call(only_once);
    call.clone().retries(0).submit(()).unwrap().wait().unwrap();
    for times in [1, u32::MAX] {
        let error = call.clone().retries(times).submit(()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "`retries` must be 0 for `faults::tasks::only_once`, which is registered with \
                 `repeatable = false`, not {times}"
            )
        );
        let inline = InlineExecutor::new();
        let elsewhere = inline.call(only_once).retries(times).submit(());
        assert_eq!(elsewhere.unwrap_err(), error, "on every executor");
    }
    assert_eq!(pool.pending(), 0);
}

fn what_returns_no_result_is_not_retried_after_errors() {
    let pool = builder().max_workers(1).build().unwrap();
    let retry = Retry::times(1).after_errors();
    let error = pool.call(double).retry(retry).submit(1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`after_errors` needs a function that returns a `Result`, which `faults::tasks::double` does not"
    );
}

fn the_least_that_can_be_is_accepted() {
    let pool = builder()
        .max_workers(1)
        .min_workers(0)
        .max_pending(1)
        .max_frame(4096)
        .max_restarts(0)
        .max_tasks_per_child(1)
        .cancel_grace(Duration::ZERO)
        .terminate_grace(Duration::ZERO)
        .terminate_signal(libc::SIGUSR1)
        .nice(19)
        .core_size(0)
        .build()
        .unwrap();
    for n in 0..3 {
        assert_eq!(pool.submit(double, n).unwrap().wait().unwrap(), 2 * n);
    }
    let keeper = GateKeeper::new();
    let patient = pool
        .call(pass)
        .timeout(Duration::MAX)
        .deadline(Duration::MAX);
    keeper.open(1);
    assert_eq!(
        patient.submit((keeper.gate(), 5)).unwrap().wait().unwrap(),
        5
    );
}
