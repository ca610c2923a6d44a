//! How many workers there are.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use procession::{BuildError, Future, ProcessPoolExecutor, Shutdown, SubmitError, TaskError};

use super::support::{self, Case, GateKeeper, awaiting, stays, until};
use super::tasks::*;
use super::{builder, children, refused_parameter};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        it_grows_under_load_and_shrinks_when_idle,
        workers_that_are_wanted_no_more_do_not_go_without_an_idle_timeout,
        an_idle_timeout_alone_lets_all_go_but_one,
        with_no_workers_at_least_there_are_none_until_one_is_needed,
        a_pool_that_drains_to_nothing_starts_again,
        one_worker_is_enough_for_tasks_one_after_another,
        a_shutdown_while_workers_go_for_idleness_does_not_hang,
        more_workers_are_added_and_the_others_stay,
        fewer_workers_stay_when_nothing_is_to_be_done,
        fewer_workers_stay_after_their_tasks,
        bounds_are_moved_while_it_runs,
        it_is_resized_by_many_threads_while_it_works,
        a_pool_that_has_ended_is_not_resized,
        sizes_that_cannot_be_are_refused,
        killed_workers_end_every_task,
        terminated_workers_end_every_task,
        who_does_not_go_is_killed,
        who_ends_its_task_when_asked_goes_in_good_order,
        it_is_ended_by_many_threads_at_once,
    ]
}

/// Short enough for a test, long enough for a task to find its worker.
const IDLE: Duration = Duration::from_millis(50);

/// Tasks that are held up at the gate, each in its worker.
fn occupy(pool: &ProcessPoolExecutor, keeper: &GateKeeper, count: u32) -> Held {
    let futures = (0..count).map(|label| pool.submit(pass, (keeper.gate(), label)).unwrap());
    let futures = futures.collect();
    let arrivals = keeper.arrivals(count as usize).into_iter();
    (futures, arrivals.map(|arrival| arrival.pid).collect())
}

/// Those, and the processes.
type Held = (Vec<Future<u32>>, Vec<u32>);

fn let_go(keeper: &GateKeeper, (futures, _): Held) {
    keeper.open(futures.len());
    for future in futures {
        future.wait().unwrap();
    }
}

fn it_grows_under_load_and_shrinks_when_idle() {
    let pool = builder(3)
        .min_workers(1)
        .idle_timeout(IDLE)
        .build()
        .unwrap();
    assert_eq!(children().len(), 1);
    for _ in 0..2 {
        let keeper = GateKeeper::new();
        let first = occupy(&pool, &keeper, 1);
        assert_eq!(children().len(), 1, "one task, one worker");
        let second = occupy(&pool, &keeper, 1);
        assert_eq!(children().len(), 2);
        let third = occupy(&pool, &keeper, 1);
        let more: Vec<_> = (0..10)
            .map(|label| pool.submit(pass, (keeper.gate(), label)).unwrap())
            .collect();
        assert_eq!(children().len(), 3, "not more than it may have");
        keeper.open(3 + more.len());
        let held = [first, second, third].map(|(futures, _)| futures);
        for future in held.iter().flatten().chain(&more) {
            future.wait().unwrap();
        }
        until("one worker to be left", || children().len() == 1);
    }
    // The last one stays.
    let last = children();
    stays(3 * IDLE, "the last worker stays", || children() == last);
}

fn workers_that_are_wanted_no_more_do_not_go_without_an_idle_timeout() {
    let pool = builder(2).min_workers(1).build().unwrap();
    let keeper = GateKeeper::new();
    let held = occupy(&pool, &keeper, 2);
    let_go(&keeper, held);
    stays(4 * IDLE, "there are two", || children().len() == 2);
}

fn an_idle_timeout_alone_lets_all_go_but_one() {
    let pool = builder(2).idle_timeout(IDLE).build().unwrap();
    let keeper = GateKeeper::new();
    let held = occupy(&pool, &keeper, 2);
    let_go(&keeper, held);
    until("one worker to be left", || children().len() == 1);
    assert_eq!(pool.submit(double, 21).unwrap().wait().unwrap(), 42);
}

fn with_no_workers_at_least_there_are_none_until_one_is_needed() {
    let pool = builder(2).min_workers(0).build().unwrap();
    assert!(children().is_empty());
    assert_eq!(pool.submit(double, 21).unwrap().wait().unwrap(), 42);
    assert_eq!(children().len(), 1);
    drop(pool);
    // Nor does it matter if none is ever needed.
    let pool = builder(2)
        .min_workers(0)
        .idle_timeout(IDLE)
        .build()
        .unwrap();
    drop(pool);
}

fn a_pool_that_drains_to_nothing_starts_again() {
    let pool = builder(4)
        .min_workers(0)
        .idle_timeout(Duration::from_millis(10))
        .build()
        .unwrap();
    for _ in 0..5 {
        let sum: u64 = pool.map(double, 0..50).map(Result::unwrap).sum();
        assert_eq!(sum, 49 * 50);
        until("every worker to go", || children().is_empty());
    }
}

fn one_worker_is_enough_for_tasks_one_after_another() {
    let pool = builder(4).min_workers(0).build().unwrap();
    for n in 0..3 {
        assert_eq!(pool.submit(double, n).unwrap().wait().unwrap(), 2 * n);
    }
    assert_eq!(children().len(), 1);
}

fn a_shutdown_while_workers_go_for_idleness_does_not_hang() {
    for round in 0..20 {
        let pool = builder(2)
            .min_workers(0)
            .idle_timeout(Duration::from_millis(1))
            .build()
            .unwrap();
        let (first, second) = (
            pool.submit(double, round).unwrap(),
            pool.submit(double, 1).unwrap(),
        );
        first.wait().unwrap();
        if round % 2 == 0 {
            std::thread::sleep(Duration::from_millis(round % 4));
        }
        let last = pool.submit(double, 21).unwrap();
        drop(pool);
        assert_eq!((second.wait().unwrap(), last.wait().unwrap()), (2, 42));
    }
}

fn more_workers_are_added_and_the_others_stay() {
    let pool = builder(1).build().unwrap();
    let before = children();
    pool.resize(3).unwrap();
    assert_eq!(pool.max_workers(), 3);
    let keeper = GateKeeper::new();
    let held = occupy(&pool, &keeper, 3);
    let now = children();
    assert_eq!(now.len(), 3);
    assert!(now.contains(&before[0]));
    let_go(&keeper, held);
}

fn fewer_workers_stay_when_nothing_is_to_be_done() {
    let pool = builder(4).build().unwrap();
    let before = children();
    pool.resize(2).unwrap();
    until("two workers to be left", || children().len() == 2);
    assert!(children().iter().all(|pid| before.contains(pid)));
    let keeper = GateKeeper::new();
    let held = occupy(&pool, &keeper, 2);
    let third = pool.submit(double, 9).unwrap();
    assert!(!third.is_running() && children().len() == 2);
    let_go(&keeper, held);
    assert_eq!(third.wait().unwrap(), 18);
}

fn fewer_workers_stay_after_their_tasks() {
    let pool = builder(3).build().unwrap();
    let keeper = GateKeeper::new();
    let (futures, before) = occupy(&pool, &keeper, 3);
    let second = GateKeeper::new();
    let queued: Vec<_> = (0..6)
        .map(|label| pool.submit(pass, (second.gate(), label)).unwrap())
        .collect();
    pool.resize(1).unwrap();
    assert!(
        futures.iter().all(|future| !future.is_done()),
        "nobody is interrupted"
    );
    assert_eq!(children().len(), 3);
    // Whoever comes next is alone.
    keeper.open(3);
    for future in &futures {
        future.wait().unwrap();
    }
    let mut pids = Vec::new();
    for _ in 0..queued.len() {
        pids.push(second.arrival().pid);
        assert_eq!(second.arrived(), 0);
        second.open(1);
    }
    for future in queued {
        future.wait().unwrap();
    }
    pids.dedup();
    assert_eq!(pids.len(), 1, "{pids:?}");
    assert!(before.contains(&pids[0]), "a survivor");
    until("one worker to be left", || children().len() == 1);
    assert_eq!(children(), pids);
}

fn bounds_are_moved_while_it_runs() {
    let pool = builder(1).idle_timeout(IDLE).build().unwrap();
    pool.resize_between(0, 3).unwrap();
    until("the only worker to go", || children().is_empty());
    let keeper = GateKeeper::new();
    let held = occupy(&pool, &keeper, 3);
    assert_eq!(children().len(), 3);
    pool.resize_between(2, 2).unwrap();
    let_go(&keeper, held);
    until("two workers to be left", || children().len() == 2);
    pool.resize_between(4, 4).unwrap();
    until("four workers", || children().len() == 4);
}

fn it_is_resized_by_many_threads_while_it_works() {
    let pool = builder(2).build().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let (pool, is_over) = (&pool, &is_over);
            scope.spawn(move || {
                for size in (thread..).map(|round| round % 4 + 1) {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    pool.resize_between(size / 2, size).unwrap();
                    std::thread::sleep(Duration::from_millis(3));
                }
            });
        }
        awaiting("results, while the pool is resized");
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let pool = &pool;
                scope.spawn(move || {
                    for _ in 0..5 {
                        let sum: u64 = pool.map(double, 0..200).map(Result::unwrap).sum();
                        assert_eq!(sum, 199 * 200);
                    }
                })
            })
            .collect();
        let results: Vec<_> = workers.into_iter().map(|thread| thread.join()).collect();
        is_over.store(true, Ordering::SeqCst);
        assert!(results.iter().all(Result::is_ok));
    });
    pool.resize(2).unwrap();
    until("two workers to be left", || children().len() == 2);
    assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
}

fn a_pool_that_has_ended_is_not_resized() {
    let pool = builder(1).build().unwrap();
    pool.kill_workers();
    pool.resize(3).unwrap();
    until("its worker to go", || children().is_empty());
    pool.resize_between(0, 5).unwrap();
    stays(6 * IDLE, "none is started", || children().is_empty());
}

fn sizes_that_cannot_be_are_refused() {
    let refusals = [
        builder(0),
        builder(4097),
        builder(2).min_workers(3),
        builder(2).idle_timeout(Duration::ZERO),
    ];
    let named = refusals.map(refused_parameter);
    assert_eq!(
        named,
        ["max_workers", "max_workers", "min_workers", "idle_timeout"]
    );
    let pool = builder(1).build().unwrap();
    for (min_workers, max_workers, named) in [
        (0, 0, "max_workers"),
        (0, 4097, "max_workers"),
        (3, 2, "min_workers"),
    ] {
        match pool.resize_between(min_workers, max_workers) {
            Err(BuildError::Parameter { parameter, .. }) => assert_eq!(parameter, named),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((pool.max_workers(), children().len()), (1, 1));
}

// ---- ended by force ----

/// What becomes of tasks that run, and of those that have not begun.
fn ends_every_task(pool: &ProcessPoolExecutor, end: impl FnOnce(&ProcessPoolExecutor)) {
    let keeper = GateKeeper::new();
    let (running, _) = occupy(pool, &keeper, 2);
    let queued: Vec<_> = (0..20).map(|n| pool.submit(double, n).unwrap()).collect();
    end(pool);
    awaiting("the ends of the tasks");
    for future in &running {
        match future.wait() {
            Err(TaskError::ShutDown { may_have_run: true }) => {}
            other => panic!("{other:?}"),
        }
    }
    for future in &queued {
        match future.wait() {
            Err(TaskError::ShutDown {
                may_have_run: false,
            }) => {}
            other => panic!("{other:?}"),
        }
    }
    match pool.submit(double, 1) {
        Err(SubmitError::ShutDown) => {}
        other => panic!("{other:?}"),
    }
    until("the workers to go", || children().is_empty());
}

fn killed_workers_end_every_task() {
    ends_every_task(
        &builder(2).build().unwrap(),
        ProcessPoolExecutor::kill_workers,
    );
}

fn terminated_workers_end_every_task() {
    ends_every_task(
        &builder(2).build().unwrap(),
        ProcessPoolExecutor::terminate_workers,
    );
}

/// SIGCONT ends nobody.
fn who_does_not_go_is_killed() {
    let pool = builder(2)
        .terminate_signal(libc::SIGCONT)
        .exit_grace(Duration::from_millis(100))
        .build()
        .unwrap();
    ends_every_task(&pool, ProcessPoolExecutor::terminate_workers);
    // Or at once, if somebody has no patience.
    let pool = builder(2).terminate_signal(libc::SIGCONT).build().unwrap();
    ends_every_task(&pool, |pool| {
        pool.terminate_workers();
        pool.kill_workers();
    });
}

/// Nobody would kill it within the patience of this test.
fn who_ends_its_task_when_asked_goes_in_good_order() {
    let pool = builder(1)
        .exit_grace(Duration::from_secs(3600))
        .build()
        .unwrap();
    let directory = support::Directory::new();
    let keeper = GateKeeper::new();
    let log = keeper.log();
    let arguments = (keeper.gate(), directory.join("seen"), log.clone());
    let future = pool.submit(end_when_asked, arguments).unwrap();
    keeper.arrival();
    awaiting("the worker to end its task and go");
    pool.shutdown(Shutdown::Terminate, None).unwrap();
    match future.wait() {
        Err(TaskError::ShutDown { may_have_run: true }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(log.lines(), ["ended"]);
    assert!(children().is_empty());
}

fn it_is_ended_by_many_threads_at_once() {
    let pool = builder(2).build().unwrap();
    ends_every_task(&pool, |pool| {
        let barrier = Barrier::new(6);
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    match thread % 3 {
                        0 => pool.kill_workers(),
                        1 => pool.terminate_workers(),
                        _ => drop(pool.submit(double, 3)),
                    }
                });
            }
        });
    });
}
