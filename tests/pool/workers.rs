//! Which process runs what.

use procession::{Shutdown, as_completed};

use super::support::{self, Case, GateKeeper, awaiting};
use super::tasks::*;
use super::{occupy, pids, pool, sorted};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        workers_are_started_by_build_and_never_more,
        tasks_of_a_worker_run_one_after_another,
        a_worker_is_used_again,
        a_pool_of_many_workers_ends_clean,
        a_task_is_not_parked_behind_a_long_one,
        a_task_is_not_parked_behind_one_that_turns_out_long,
        fifty_tasks_are_done_at_the_end_of_a_shutdown,
    ]
}

fn workers_are_started_by_build_and_never_more() {
    let pool = pool(3);
    assert_eq!(support::children().len(), 3);
    let keeper = GateKeeper::new();
    let (running, _) = occupy(&pool, &keeper);
    let queued: Vec<_> = (0..45)
        .map(|label| pool.submit(pass, (keeper.gate(), label)).unwrap())
        .collect();
    assert_eq!(support::children().len(), 3);
    keeper.open(running.len() + queued.len());
    for future in running.iter().chain(&queued) {
        future.wait().unwrap();
    }
    assert_eq!(support::children().len(), 3);
}

fn tasks_of_a_worker_run_one_after_another() {
    let pool = pool(2);
    let keeper = GateKeeper::new();
    let futures: Vec<_> = (0..5)
        .map(|label| pool.submit(pass, (keeper.gate(), label)).unwrap())
        .collect();
    let first = keeper.arrivals(2);
    assert_ne!(first[0].pid, first[1].pid);
    assert_eq!(sorted(first.iter().map(|arrival| arrival.label)), [0, 1]);
    assert_eq!(keeper.arrived(), 0);
    // One that goes on lets one more come.
    keeper.open(1);
    assert_eq!(keeper.arrival().label, 2);
    assert_eq!(keeper.arrived(), 0);
    keeper.open(4);
    let rest = keeper.arrivals(2);
    let workers = [first[0].pid, first[1].pid];
    assert!(rest.iter().all(|arrival| workers.contains(&arrival.pid)));
    for future in futures {
        future.wait().unwrap();
    }
}

fn a_worker_is_used_again() {
    let pool = pool(1);
    let first = pool.submit(pid, ()).unwrap().wait().unwrap();
    assert_ne!(first, std::process::id());
    for other in pool.map(pid, [(); 100]) {
        assert_eq!(other.unwrap(), first);
    }
}

fn a_pool_of_many_workers_ends_clean() {
    let pool = pool(40);
    assert_eq!(pids(&pool).len(), 40);
    let sum: u64 = pool.map(double, 0..400).map(Result::unwrap).sum();
    assert_eq!(sum, 399 * 400);
    drop(pool);
    assert!(support::children().is_empty());
}

fn a_task_is_not_parked_behind_a_long_one() {
    let pool = pool(2);
    let keeper = GateKeeper::new();
    let long = pool.submit(pass, (keeper.gate(), 0)).unwrap();
    let short: Vec<_> = (0..50).map(|n| pool.submit(double, n).unwrap()).collect();
    awaiting("the short tasks, while the long one goes on");
    for future in as_completed(short) {
        future.wait().unwrap();
    }
    assert!(!long.is_done());
    keeper.open(1);
    long.wait().unwrap();
}

/// Short tasks are sent ahead. When the one before them takes long for once, they run elsewhere.
fn a_task_is_not_parked_behind_one_that_turns_out_long() {
    let pool = pool(2);
    for _ in 0..5 {
        let known = pool.map(pass_or_not, vec![(None, 0); 200]);
        assert_eq!(known.filter(Result::is_ok).count(), 200);
        let keeper = GateKeeper::new();
        let long = pool.submit(pass_or_not, (Some(keeper.gate()), 0)).unwrap();
        let short: Vec<_> = (0..100)
            .map(|label| pool.submit(pass_or_not, (None, label)).unwrap())
            .collect();
        awaiting("the short tasks, while the one that turned out long goes on");
        for future in as_completed(short) {
            future.wait().unwrap();
        }
        assert!(!long.is_done());
        keeper.open(1);
        long.wait().unwrap();
    }
}

fn fifty_tasks_are_done_at_the_end_of_a_shutdown() {
    let pool = pool(4);
    let keeper = GateKeeper::new();
    let futures: Vec<_> = (0..50)
        .map(|line| pool.submit(note, (keeper.log(), line)).unwrap())
        .collect();
    pool.shutdown(Shutdown::Wait, None).unwrap();
    assert!(support::children().is_empty(), "also before the drop");
    assert_eq!(keeper.log().lines().len(), 50);
    for (line, future) in (0..).zip(futures) {
        assert_eq!(future.wait().unwrap(), line);
    }
}
