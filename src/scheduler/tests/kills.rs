//! Tasks that their callers want to end, wherever they are.

use super::*;
use crate::scheduler::{Grace, RESULT_GRACE_NS};

fn ending(worker: u32, seq: u32) -> Kill {
    Kill::Ending {
        worker: WorkerId(worker),
        seq,
    }
}

/// So many workers, which are asked before they are killed.
fn pool_with_grace(workers: usize) -> Pool {
    Pool::with(Policy {
        grace: Grace {
            cancel_ns: 3 * MS,
            terminate_ns: 0,
        },
        ..Policy::of(workers)
    })
}

#[test]
fn what_has_not_begun_is_cancelled() {
    let mut pool = Pool::new(1).learn(0);
    pool.submit(SHORT);
    pool.submit(SHORT);
    pool.submit(UNKNOWN);
    pool.begin(0, 1);
    for task in [3, 2] {
        let cancelled = vec![complete(task, End::Cancelled)];
        assert_eq!(pool.kill(task), (Kill::Cancelled, cancelled));
        assert_eq!(pool.kill(task), (Kill::TooLate, vec![]));
    }
    assert_eq!(pool.finished(0, 1), [complete(1, End::Finished)]);
}

#[test]
fn what_runs_is_ended() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    assert_eq!(pool.kill(0), (ending(0, 0), vec![kill(0)]));
    assert_eq!(pool.pages.asked, [(0, 0, None)]);
    assert_eq!(pool.kill(0), (ending(0, 0), vec![]), "it is coming");
    assert_eq!(pool.gone(0), [complete(0, End::Lost), spawn(1)]);
    assert_eq!(pool.pages.causes, [(0, Some(Cause::Killed))]);
    assert_eq!(pool.kill(0), (Kill::TooLate, vec![]));
}

#[test]
fn what_has_ended_is_not_hit_and_neither_is_what_follows() {
    let mut pool = Pool::new(1).learn(0);
    pool.submit(SHORT);
    pool.submit(SHORT);
    pool.begin(0, 1);
    *pool.page(0, 1) = Progress::Ended;
    pool.begin(0, 2);
    assert_eq!(pool.kill(1), (Kill::TooLate, vec![]));
    assert_eq!(pool.finished(0, 1), [complete(1, End::Finished)]);
    assert_eq!(pool.after(RESULT_GRACE_NS), []);
    assert_eq!(pool.finished(0, 2), [complete(2, End::Finished)]);
    assert_eq!(pool.after(RESULT_GRACE_NS), []);
}

#[test]
fn a_result_comes_in_time_at_each_step() {
    let mut pool = pool_with_grace(1);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    assert_eq!(pool.kill(0), (ending(0, 0), vec![]));
    assert_eq!(pool.finished(0, 0), [complete(0, End::Finished)]);
    assert_eq!(pool.after(3 * MS), [], "the worker lives on");
    pool.submit(UNKNOWN);
    pool.begin(0, 1);
    pool.kill(1);
    assert_eq!(pool.after(3 * MS), [kill(0)]);
    assert_eq!(pool.finished(0, 1), [complete(1, End::Finished)]);
    assert_eq!(pool.gone(0), [spawn(1)]);
    assert_eq!(pool.pages.causes, []);
}

#[test]
fn who_kills_again_and_again_gives_it_no_more_time() {
    let mut pool = pool_with_grace(1);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    for _ in 0..3 {
        assert_eq!(pool.kill(0), (ending(0, 0), vec![]));
        assert_eq!(pool.after(MS - 1), []);
    }
    assert_eq!(pool.after(3), [kill(0)]);
    assert_eq!(pool.pages.asked, [(0, 0, None)]);
}

#[test]
fn a_late_kill_of_what_has_ended_does_not_save_what_is_being_ended_behind_it() {
    let mut pool = pool_with_grace(1).learn(0);
    pool.submit(SHORT);
    pool.submit(SHORT);
    pool.begin(0, 1);
    *pool.page(0, 1) = Progress::Ended;
    pool.begin(0, 2);
    assert_eq!(pool.kill(2), (ending(0, 2), vec![]));
    assert_eq!(pool.kill(1), (Kill::TooLate, vec![]));
    assert_eq!(pool.finished(0, 1), [complete(1, End::Finished)]);
    assert_eq!(pool.after(3 * MS), [kill(0)]);
    assert_eq!(pool.gone(0), [complete(2, End::Lost), spawn(1)]);
    assert_eq!(pool.pages.causes, [(2, Some(Cause::Killed))]);
}

#[test]
fn what_has_begun_behind_an_unread_result_is_ended_and_the_result_counts() {
    let mut pool = Pool::new(1).learn(0);
    (1..=3).for_each(|_| drop(pool.submit(SHORT)));
    pool.begin(0, 1);
    *pool.page(0, 1) = Progress::Ended;
    pool.begin(0, 2);
    assert_eq!(pool.kill(2), (ending(0, 2), vec![kill(0)]));
    assert_eq!(pool.scheduler.queued(), 1, "the third goes elsewhere");
    assert_eq!(pool.finished(0, 1), [complete(1, End::Finished)]);
    assert_eq!(pool.gone(0), [complete(2, End::Lost), spawn(1)]);
    assert_eq!(pool.ready(1), [send(1, 0, 3)]);
}

#[test]
fn a_result_that_does_not_come_after_a_late_kill_is_waited_for_a_second() {
    let mut pool = pool_with_grace(1);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    assert_eq!(pool.kill(0), (ending(0, 0), vec![]));
    *pool.page(0, 0) = Progress::Ended;
    assert_eq!(pool.after(3 * MS), []);
    assert_eq!(
        pool.after(RESULT_GRACE_NS),
        [kill(0)],
        "the worker stands still"
    );
    assert_eq!(pool.gone(0), [complete(0, End::Lost), spawn(1)]);
    assert_eq!(pool.pages.causes, [(0, Some(Cause::Killed))]);
}

#[test]
fn a_page_that_denies_what_it_said_ends_the_worker() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    *pool.page(0, 0) = Progress::Garbage;
    assert_eq!(pool.kill(0), (ending(0, 0), vec![kill(0)]));
    assert_eq!(pool.gone(0), [complete(0, End::Lost), spawn(1)]);
}

#[test]
fn a_worker_that_is_killed_already_takes_its_task_along() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    pool.act(|it, turn| it.kill_worker(WorkerId(0), turn.out));
    assert_eq!(pool.kill(0), (ending(0, 0), vec![]));
    assert_eq!(pool.gone(0), [complete(0, End::Lost), spawn(1)]);
    assert_eq!(pool.pages.causes, [(0, None)]);
}
