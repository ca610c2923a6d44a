//! Shutdown and drop.

use std::panic::{self, AssertUnwindSafe};
use std::thread;
use std::time::Duration;

use ::futures::executor::block_on;
use ::futures::poll;
use procession::{
    BuildError, Executor, ExecutorExt as _, Future, ProcessPoolExecutor, Shutdown, SubmitError,
    TaskError, ThreadPoolExecutor, default_workers,
};

use super::support::{GateKeeper, awaiting};
use super::tasks::*;
use super::{On, Subject, Test};

pub(crate) fn tests() -> Vec<Test> {
    let every = super::tests![On::Every;
        a_shutdown_that_waits_lets_everything_run,
        a_shutdown_of_what_does_nothing_returns,
        a_shutdown_may_be_repeated_and_strengthened,
        what_comes_after_a_shutdown_is_refused,
        results_can_be_had_after_shutdown_and_drop,
        drop_drains,
        executors_live_side_by_side,
        a_cancelled_task_does_not_hold_up_a_shutdown,
    ];
    let background = super::tests![On::Background;
        cancel_pending_lets_what_has_begun_end,
        kill_ends_what_can_be_ended,
        a_deadline_ends_the_waiting,
        several_threads_shut_down_at_once,
        a_shutdown_sends_those_away_who_wait_for_room,
        a_drop_while_a_panic_unwinds_does_not_drain,
        a_map_ends_when_its_executor_is_shut_down,
        an_async_shutdown_that_is_dropped_goes_on,
    ];
    every.into_iter().chain(background).collect()
}

/// A form of a shutdown; the error is how many tasks had not ended.
type Form = fn(&dyn Executor, Shutdown, Option<Duration>) -> Result<(), usize>;

/// Blocking and asynchronous.
const FORMS: [Form; 2] = [
    |executor, how, deadline| {
        let ended = executor.shutdown(how, deadline);
        ended.map_err(|error| error.unfinished)
    },
    |executor, how, deadline| {
        let ended = block_on(executor.shutdown_async(how, deadline));
        ended.map_err(|error| error.unfinished)
    },
];

/// As many tasks at a gate as there are workers, all begun, and ten behind them.
fn fill(executor: &dyn Executor, keeper: &GateKeeper) -> (Vec<Future<u32>>, Vec<Future<u32>>) {
    let submit = |label| executor.submit(pass, (keeper.gate(), label)).unwrap();
    let count = executor.max_workers();
    let running = (0..count as u32).map(submit).collect();
    keeper.arrivals(count);
    (running, (100..110).map(submit).collect())
}

fn a_shutdown_that_waits_lets_everything_run(subject: Subject) {
    for shutdown in FORMS {
        let executor = subject.executor();
        let keeper = GateKeeper::new();
        let futures: Vec<_> = (0..50)
            .map(|line| executor.submit(note, (keeper.log(), line)).unwrap())
            .collect();
        awaiting("the shutdown");
        shutdown(&*executor, Shutdown::Wait, None).unwrap();
        assert!(futures.iter().all(Future::is_done));
        assert_eq!(keeper.log().lines().len(), 50);
        assert_eq!(executor.pending(), 0);
    }
}

fn a_shutdown_of_what_does_nothing_returns(subject: Subject) {
    for shutdown in FORMS {
        for how in [Shutdown::Wait, Shutdown::CancelPending, Shutdown::Kill] {
            for deadline in [None, Some(Duration::from_secs(50))] {
                shutdown(&*subject.executor(), how, deadline).unwrap();
            }
        }
    }
}

fn a_shutdown_may_be_repeated_and_strengthened(subject: Subject) {
    let executor = subject.executor();
    for how in [
        Shutdown::Wait,
        Shutdown::Wait,
        Shutdown::Kill,
        Shutdown::Wait,
    ] {
        for shutdown in FORMS {
            shutdown(&*executor, how, None).unwrap();
        }
    }
}

fn what_comes_after_a_shutdown_is_refused(subject: Subject) {
    let executor = subject.executor();
    executor.shutdown(Shutdown::Wait, None).unwrap();
    let refused = executor.submit(double, 1).unwrap_err();
    assert_eq!(refused, SubmitError::ShutDown);
    assert_eq!(text(refused), "the executor has been shut down");
    let refused = executor.try_submit(echo, "back".into()).unwrap_err();
    assert_eq!(
        (&*refused.args, refused.reason),
        ("back", SubmitError::ShutDown)
    );
    let refused = block_on(executor.submit_async(double, 1)).unwrap_err();
    assert_eq!(refused, SubmitError::ShutDown);
    let refused = executor.submit_by_name::<u64>("conformance::tasks::double", &1u64);
    assert!(matches!(refused, Err(SubmitError::ShutDown)));
    for chunksize in [1, 3] {
        let mut map = executor.map(double, 0..).chunksize(chunksize);
        match map.next() {
            Some(Err(TaskError::Refused(SubmitError::ShutDown))) => {}
            other => panic!("{other:?}"),
        }
        // It says so for what it had pulled, and ends.
        assert!(map.count() < chunksize);
    }
}

fn results_can_be_had_after_shutdown_and_drop(subject: Subject) {
    let executor = subject.executor();
    let before: Vec<_> = (0..10)
        .map(|n| executor.submit(double, n).unwrap())
        .collect();
    let failed = executor.submit(panics, "kept".to_owned()).unwrap();
    executor.shutdown(Shutdown::Wait, None).unwrap();
    assert_eq!(before[3].wait().unwrap(), 6);
    drop(executor);
    for (n, future) in (0..).zip(before) {
        assert_eq!(future.wait().unwrap(), 2 * n);
    }
    assert!(matches!(failed.wait(), Err(TaskError::Panicked(_))));
    assert!(!failed.cancel() && !failed.is_running());
}

fn drop_drains(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let futures: Vec<_> = (0..50)
        .map(|line| executor.submit(note, (keeper.log(), line)).unwrap())
        .collect();
    awaiting("the drop");
    drop(executor);
    assert!(futures.iter().all(Future::is_done));
    assert_eq!(keeper.log().lines().len(), 50);
}

fn executors_live_side_by_side(subject: Subject) {
    let executors = [(); 3].map(|()| subject.executor());
    let futures: Vec<_> = (0..30)
        .map(|n| executors[n as usize % 3].submit(double, n).unwrap())
        .collect();
    let [one, other, third] = executors;
    one.shutdown(Shutdown::Kill, None).unwrap();
    drop(one);
    for (n, future) in (0..).zip(&futures) {
        if n % 3 != 0 {
            assert_eq!(future.wait().unwrap(), 2 * n);
        }
        assert!(future.is_done() || n % 3 != 0);
    }
    drop(third);
    assert_eq!(other.submit(double, 4).unwrap().wait().unwrap(), 8);
}

fn a_cancelled_task_does_not_hold_up_a_shutdown(subject: Subject) {
    for _ in 0..5 {
        let executor = subject.executor();
        let future = executor.submit(double, 4).unwrap();
        // It may have begun, or ended.
        future.cancel();
        awaiting("the shutdown");
        executor.shutdown(Shutdown::Wait, None).unwrap();
        assert!(future.is_done());
    }
}

fn cancel_pending_lets_what_has_begun_end(subject: Subject) {
    for shutdown in FORMS {
        let executor = subject.executor();
        let keeper = GateKeeper::new();
        let (running, queued) = fill(&*executor, &keeper);
        thread::scope(|scope| {
            let shutdown = scope.spawn(|| shutdown(&*executor, Shutdown::CancelPending, None));
            awaiting("the queued tasks to be cancelled");
            for future in &queued {
                assert!(matches!(future.wait(), Err(TaskError::Cancelled { .. })));
            }
            assert!(running.iter().all(|future| !future.is_done()));
            keeper.open(running.len());
            awaiting("the shutdown");
            shutdown.join().unwrap().unwrap();
        });
        assert!(running.iter().all(|future| future.is_done()));
        for (label, future) in (0..).zip(running) {
            assert_eq!(future.wait().unwrap(), label);
        }
        assert_eq!(keeper.arrived(), 0);
    }
}

fn kill_ends_what_can_be_ended(subject: Subject) {
    for shutdown in FORMS {
        let executor = subject.executor();
        let keeper = GateKeeper::new();
        let (running, queued) = fill(&*executor, &keeper);
        thread::scope(|scope| {
            let shutdown = scope.spawn(|| shutdown(&*executor, Shutdown::Kill, None));
            awaiting("the queued tasks to end");
            for future in &queued {
                let error = future.wait().unwrap_err();
                assert!(matches!(error, TaskError::ShutDown { .. }));
                assert!(!error.may_have_run());
            }
            if !subject.has_processes() {
                // Threads cannot be killed.
                keeper.open(running.len());
            }
            awaiting("the shutdown");
            shutdown.join().unwrap().unwrap();
        });
        for future in running {
            match future.wait_timeout(Duration::ZERO).unwrap() {
                Ok(_) => assert!(!subject.has_processes()),
                Err(error @ TaskError::ShutDown { .. }) => {
                    assert!(subject.has_processes() && error.may_have_run());
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((keeper.arrived(), executor.pending()), (0, 0));
    }
}

fn a_deadline_ends_the_waiting(subject: Subject) {
    for shutdown in FORMS {
        for how in [Shutdown::Wait, Shutdown::CancelPending] {
            let executor = subject.executor();
            let keeper = GateKeeper::new();
            let (running, queued) = fill(&*executor, &keeper);
            awaiting("the deadline of the shutdown");
            let unfinished = shutdown(&*executor, how, Some(Duration::from_millis(20)));
            let left = match how {
                Shutdown::Wait => running.len() + queued.len(),
                _ => running.len(),
            };
            assert_eq!(unfinished, Err(left));
            assert!(queued.iter().all(Future::is_done));
            if subject.has_processes() {
                for future in &running {
                    let ended = future.wait_timeout(Duration::ZERO).unwrap();
                    assert!(matches!(ended, Err(TaskError::ShutDown { .. })));
                }
            } else {
                keeper.open(running.len());
            }
        }
    }
}

fn several_threads_shut_down_at_once(subject: Subject) {
    let executor = &*subject.executor();
    let keeper = GateKeeper::new();
    let (running, queued) = fill(executor, &keeper);
    keeper.open(running.len() + queued.len());
    thread::scope(|scope| {
        for shutdown in FORMS.into_iter().chain(FORMS) {
            scope.spawn(move || shutdown(executor, Shutdown::Wait, None).unwrap());
        }
    });
    for future in running.iter().chain(&queued) {
        future.wait_timeout(Duration::ZERO).unwrap().unwrap();
    }
}

fn a_shutdown_sends_those_away_who_wait_for_room(subject: Subject) {
    let executor = &*subject.with_max_pending(1);
    let keeper = GateKeeper::new();
    let running = executor.submit(pass, (keeper.gate(), 1)).unwrap();
    keeper.arrival();
    let mut waiting = Box::pin(executor.submit_async(double, 2));
    assert!(block_on(async { poll!(&mut waiting).is_pending() }));
    thread::scope(|scope| {
        let submit = scope.spawn(|| executor.submit(double, 1));
        let shutdown = scope.spawn(|| executor.shutdown(Shutdown::Wait, None));
        awaiting("the submit that cannot be");
        let refused = submit.join().unwrap().unwrap_err();
        assert_eq!(refused, SubmitError::ShutDown);
        let refused = block_on(waiting).unwrap_err();
        assert_eq!(refused, SubmitError::ShutDown);
        keeper.open(1);
        awaiting("the shutdown");
        shutdown.join().unwrap().unwrap();
    });
    assert_eq!(running.wait().unwrap(), 1);
}

fn a_drop_while_a_panic_unwinds_does_not_drain(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let (running, queued) = fill(&*executor, &keeper);
    if !subject.has_processes() {
        keeper.open(running.len() + queued.len());
    }
    awaiting("the drop");
    let unwound = panic::catch_unwind(AssertUnwindSafe(move || {
        let _executor = executor;
        panic!("while an executor is there");
    }));
    assert!(unwound.is_err());
    for future in &running {
        let ended = future.wait_timeout(Duration::ZERO).unwrap();
        assert_eq!(ended.is_ok(), !subject.has_processes(), "{ended:?}");
    }
    for future in &queued {
        match future.wait_timeout(Duration::ZERO).unwrap() {
            Err(error @ TaskError::ShutDown { .. }) => assert!(!error.may_have_run()),
            Ok(_) if !subject.has_processes() => {}
            other => panic!("{other:?}"),
        }
    }
}

fn a_map_ends_when_its_executor_is_shut_down(subject: Subject) {
    let executor = &*subject.executor();
    let keeper = GateKeeper::new();
    let inputs = (0..).map(|label| (keeper.gate(), label));
    let mut map = executor.map(pass, inputs).buffersize(20);
    thread::scope(|scope| {
        let shutdown = scope.spawn(|| {
            keeper.arrivals(subject.workers());
            if !subject.has_processes() {
                keeper.open(1000);
            }
            executor.shutdown(Shutdown::Kill, None).unwrap();
        });
        awaiting("the end of the map");
        let mut others = 0;
        for item in &mut map {
            match item {
                Ok(_) => assert!(!subject.has_processes()),
                Err(TaskError::ShutDown { .. }) => {}
                Err(TaskError::Refused(SubmitError::ShutDown)) => others += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(others <= 20);
        shutdown.join().unwrap();
    });
    assert!(map.next().is_none());
}

fn an_async_shutdown_that_is_dropped_goes_on(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let (running, queued) = fill(&*executor, &keeper);
    block_on(async {
        let mut shutdown = executor.shutdown_async(Shutdown::CancelPending, None);
        assert!(poll!(&mut shutdown).is_pending());
    });
    assert!(queued.iter().all(Future::is_cancelled));
    assert_eq!(
        executor.submit(double, 1).unwrap_err(),
        SubmitError::ShutDown
    );
    keeper.open(running.len());
    awaiting("the second shutdown");
    executor.shutdown(Shutdown::Wait, None).unwrap();
    assert!(running.iter().all(Future::is_done));
}

pub(crate) fn parameters_that_are_zero_are_refused_by_name() {
    let builder = ProcessPoolExecutor::builder;
    let refused = [
        ("max_workers", builder().max_workers(0).build().err()),
        ("max_workers", builder().max_workers(1 << 20).build().err()),
        ("max_pending", builder().max_pending(0).build().err()),
        ("max_frame", builder().max_frame(0).build().err()),
        (
            "start_timeout",
            builder().start_timeout(Duration::ZERO).build().err(),
        ),
        ("max_workers", ThreadPoolExecutor::with_max_workers(0).err()),
        ("max_pending", ThreadPoolExecutor::with_limits(1, 0).err()),
    ];
    for (name, error) in refused {
        match error {
            Some(error @ BuildError::Parameter { .. }) => {
                let text = text(error);
                assert!(text.starts_with(&format!("`{name}` must be ")), "{text}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

pub(crate) fn there_is_at_least_one_default_worker() {
    assert!(default_workers() >= 1);
    let pool = ProcessPoolExecutor::new().unwrap();
    assert_eq!(pool.max_workers(), default_workers());
    assert_eq!(
        ThreadPoolExecutor::new().unwrap().max_workers(),
        default_workers()
    );
}
