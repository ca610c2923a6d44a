//! Shutting down.

use super::*;

#[test]
fn an_idle_pool_retires_at_once() {
    let mut pool = Pool::new(2);
    assert_eq!(pool.shutdown(Shutdown::Drain), [retire(0), retire(1)]);
    assert_eq!(pool.gone(0), [], "a retired worker is not replaced");
    assert_eq!(pool.gone(1), []);
    assert!(pool.scheduler.is_finished());
}

#[test]
fn a_shut_down_pool_gives_the_job_back() {
    let mut pool = Pool::new(1);
    pool.shutdown(Shutdown::Drain);
    assert!(pool.refuses());
    assert_eq!(pool.scheduler.state(), State::ShutDown(Shutdown::Drain));
}

#[test]
fn draining_runs_what_was_submitted() {
    let mut pool = Pool::new(2);
    (0..3).for_each(|_| drop(pool.submit(UNKNOWN)));
    assert_eq!(pool.shutdown(Shutdown::Drain), []);
    assert_eq!(
        pool.finished_in(1, 0, 5 * MS),
        [complete(0, End::Finished), send(1, 1, 2)]
    );
    assert_eq!(
        pool.finished_in(0, 0, 5 * MS),
        [complete(1, End::Finished), retire(0)]
    );
    assert_eq!(
        pool.finished_in(1, 1, 5 * MS),
        [complete(2, End::Finished), retire(1)]
    );
}

#[test]
fn draining_replaces_the_last_worker_while_something_is_queued() {
    let mut pool = Pool::new(2).learn(1);
    pool.submit(SHORT);
    assert_eq!(pool.shutdown(Shutdown::Drain), [retire(0)]);
    assert_eq!(pool.gone(1), [spawn(2)], "its task had not begun");
    assert_eq!(pool.ready(2), [send(2, 0, 1)]);
    assert_eq!(pool.finished(2, 0), [complete(1, End::Finished), retire(2)]);
}

#[test]
fn draining_starts_no_more_workers_than_there_are_queued_tasks() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    pool.shutdown(Shutdown::Drain);
    assert_eq!(pool.gone(0), [complete(0, End::Lost)]);
    assert!(pool.scheduler.is_finished());
}

#[test]
fn what_has_begun_ends_and_the_rest_is_cancelled() {
    let mut pool = Pool::new(1).learn(0);
    (1..=2).for_each(|_| drop(pool.submit(SHORT)));
    pool.submit(UNKNOWN);
    pool.begin(0, 1);
    let cancelled = [complete(2, End::Cancelled), complete(3, End::Cancelled)];
    assert_eq!(pool.shutdown(Shutdown::CancelPending), cancelled);
    assert_eq!(pool.finished(0, 1), [complete(1, End::Finished), retire(0)]);
    assert_eq!(pool.passed(0, 2), []);
    assert_eq!(pool.gone(0), []);
    assert!(pool.scheduler.is_finished());
}

#[test]
fn the_rest_of_a_chunk_does_not_run_when_the_pending_are_cancelled() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    pool.pages.continued.push(TaskId(0));
    assert_eq!(pool.shutdown(Shutdown::CancelPending), []);
    assert_eq!(pool.gone(0), [complete(0, End::Cancelled)]);
}

#[test]
fn a_stronger_mode_follows_a_weaker_one_and_not_the_reverse() {
    let mut pool = Pool::new(1);
    (0..3).for_each(|_| drop(pool.submit(UNKNOWN)));
    pool.begin(0, 0);
    assert_eq!(pool.shutdown(Shutdown::Drain), []);
    assert_eq!(pool.shutdown(Shutdown::CancelPending).len(), 2);
    assert_eq!(pool.shutdown(Shutdown::Drain), []);
    let end = End::ShutDown { may_have_run: true };
    assert_eq!(pool.shutdown(Shutdown::Kill), [complete(0, end), kill(0)]);
    assert_eq!(pool.shutdown(Shutdown::Kill), []);
    assert_eq!(pool.scheduler.state(), State::ShutDown(Shutdown::Kill));
}

#[test]
fn a_worker_that_is_still_starting_is_retired_too() {
    let mut pool = Pool::starting(1);
    assert_eq!(pool.shutdown(Shutdown::Drain), [retire(0)]);
    assert_eq!(pool.ready(0), []);
    assert_eq!(pool.gone(0), []);
    assert!(pool.scheduler.is_finished());
}

#[test]
fn terminated_workers_are_asked_and_can_still_be_killed() {
    let mut pool = Pool::new(2);
    (0..3).for_each(|_| drop(pool.submit_with(timeout(5 * MS))));
    pool.begin(1, 0);
    let end = |may_have_run| End::ShutDown { may_have_run };
    let actions = [
        complete(0, end(true)),
        complete(1, end(false)),
        complete(2, end(false)),
        terminate(0),
        terminate(1),
    ];
    assert_eq!(pool.shutdown(Shutdown::Terminate), actions);
    assert_eq!(pool.next_tick(), None, "its time limit went with the task");
    assert_eq!(pool.finished(1, 0), [], "too late, and no violation");
    assert_eq!(pool.shutdown(Shutdown::Terminate), []);
    assert_eq!(pool.gone(0), []);
    assert!(!pool.scheduler.is_finished());
    assert_eq!(pool.shutdown(Shutdown::Kill), [kill(1)]);
    assert_eq!(pool.gone(1), []);
    assert!(pool.scheduler.is_finished());
}

#[test]
fn a_retired_worker_is_terminated_and_one_that_is_killed_already_is_not() {
    let mut pool = Pool::new(2);
    pool.submit(UNKNOWN);
    pool.begin(1, 0);
    assert_eq!(pool.shutdown(Shutdown::Drain), [retire(0)]);
    pool.act(|it, turn| it.kill_worker(WorkerId(1), turn.out));
    let end = End::ShutDown { may_have_run: true };
    assert_eq!(
        pool.shutdown(Shutdown::Terminate),
        [complete(0, end), terminate(0)]
    );
}

#[test]
fn who_is_terminated_while_it_starts_is_not_needed_any_more() {
    let mut pool = Pool::starting(1);
    assert_eq!(pool.shutdown(Shutdown::Terminate), [terminate(0)]);
    assert_eq!(pool.ready(0), []);
    assert_eq!(pool.gone(0), []);
    assert!(pool.scheduler.is_finished());
}

#[test]
fn whoever_is_retired_and_does_not_go_breaks_nothing() {
    let mut pool = Pool::with(Policy {
        max_restarts: 0,
        ..Policy::of(3)
    });
    pool.submit(UNKNOWN);
    pool.begin(2, 0);
    assert_eq!(pool.shutdown(Shutdown::Drain), [retire(0), retire(1)]);
    for worker in [0, 1] {
        pool.act(|it, turn| it.kill_worker(WorkerId(worker), turn.out));
        assert_eq!(pool.gone(worker), []);
    }
    assert_eq!(pool.resize(1, 1), []);
    assert_eq!(pool.finished(2, 0), [complete(0, End::Finished), retire(2)]);
}
