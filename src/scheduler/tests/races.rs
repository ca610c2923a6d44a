//! What two sides do at once, in each order in which the scheduler can hear of it.

use super::*;
use crate::scheduler::Violation;

#[test]
fn cancelled_before_it_begins_then_skipped() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    assert_eq!(
        pool.cancel(0),
        (Cancel::Cancelled, vec![complete(0, End::Cancelled)])
    );
    assert_eq!(pool.cancel(0).0, Cancel::Unknown);
    assert_eq!(pool.submit(UNKNOWN), [send(0, 1, 1)]);
    assert_eq!(
        pool.finished(0, 1),
        [complete(1, End::Finished)],
        "passes the recalled one too"
    );
}

#[test]
fn cancelled_after_it_has_begun() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    assert_eq!(
        pool.cancel(0),
        (
            Cancel::Running {
                worker: WorkerId(0),
                seq: 0
            },
            vec![]
        )
    );
    assert_eq!(pool.finished(0, 0), [complete(0, End::Finished)]);
    assert_eq!(pool.cancel(0).0, Cancel::Unknown);
}

#[test]
fn a_result_that_came_before_the_death_counts() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    assert_eq!(pool.finished(0, 0), [complete(0, End::Finished)]);
    assert_eq!(pool.gone(0), [spawn(1)]);
}

#[test]
fn a_result_that_comes_after_the_kill_counts() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    let mut kill_it = || pool.act(|it, turn| it.kill_worker(WorkerId(0), turn.out));
    assert_eq!(kill_it(), [kill(0)]);
    assert_eq!(kill_it(), []);
    assert_eq!(pool.submit(UNKNOWN), [], "it gets nothing more");
    assert_eq!(pool.finished(0, 0), [complete(0, End::Finished)]);
    assert_eq!(pool.gone(0), [spawn(1)]);
    assert_eq!(pool.ready(1), [send(1, 0, 1)]);
}

#[test]
fn only_what_had_begun_is_lost_and_the_rest_keeps_its_order() {
    let mut pool = Pool::new(1).learn(0);
    (1..=4).for_each(|_| drop(pool.submit(SHORT)));
    pool.submit(UNKNOWN);
    pool.begin(0, 1);
    assert_eq!(pool.gone(0), [complete(1, End::Lost), spawn(1)]);
    let order = [send(1, 0, 2), send(1, 1, 3), send(1, 2, 4)];
    assert_eq!(pool.ready(1), order);
}

#[test]
fn the_rest_of_a_chunk_runs_elsewhere_in_its_old_place() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    pool.pages.continued.push(TaskId(0));
    assert_eq!(pool.gone(0), [spawn(1)]);
    assert_eq!(pool.ready(1), [send(1, 0, 0)]);
}

#[test]
fn a_death_with_another_worker_idle() {
    let mut pool = Pool::new(2);
    pool.submit(UNKNOWN);
    assert_eq!(
        pool.gone(1),
        [send(0, 0, 0), spawn(2)],
        "the idle one first, a start takes long"
    );
}

#[test]
fn shut_down_at_once_says_what_may_have_run() {
    let mut pool = Pool::new(1).learn(0);
    pool.submit(SHORT);
    pool.submit(SHORT);
    pool.submit(UNKNOWN);
    pool.begin(0, 1);
    let end = |may_have_run| End::ShutDown { may_have_run };
    let ends = [
        complete(1, end(true)),
        complete(2, end(false)),
        complete(3, end(false)),
        kill(0),
    ];
    assert_eq!(pool.shutdown(Shutdown::Kill), ends);
    assert_eq!(pool.finished(0, 1), [], "too late, and no violation");
    assert!(!pool.scheduler.is_finished());
    assert_eq!(pool.gone(0), []);
    assert!(pool.scheduler.is_finished());
}

#[test]
fn what_cannot_be_changes_nothing() {
    let mut pool = Pool::new(1).learn(0);
    (1..=3).for_each(|_| drop(pool.submit(SHORT)));
    pool.cancel(2);
    let out = pool.act(|it, turn| {
        let id = WorkerId(0);
        for seq in [0, 2, 3, 4, 64, u32::MAX] {
            let said = it.finished(id, seq, Finish::default(), turn);
            assert_eq!(said, Err(Violation::NotTheHead { seq }));
        }
        for seq in [0, 1, 2, 3, 4, u32::MAX] {
            let said = it.passed(id, seq, turn);
            assert_eq!(said, Err(Violation::NotRecalled { seq }));
        }
        assert_eq!(it.worker_ready(id, turn), Err(Violation::ReadyTwice));
        let said = it.finished(WorkerId(9), 0, Finish::default(), turn);
        assert_eq!(said, Err(Violation::UnknownWorker));
    });
    assert_eq!(out, []);
    assert_eq!(pool.finished(0, 1), [complete(1, End::Finished)]);
    assert_eq!(pool.passed(0, 2), []);
    assert_eq!(pool.finished(0, 3), [complete(3, End::Finished)]);
}

#[test]
fn a_worker_that_is_not_ready_has_no_results() {
    let mut pool = Pool::starting(1);
    let out = pool.act(|it, turn| {
        let said = it.finished(WorkerId(0), 0, Finish::default(), turn);
        assert_eq!(said, Err(Violation::NotReady));
    });
    assert_eq!(out, []);
}
