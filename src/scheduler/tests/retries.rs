//! Tasks that failed, or lost their worker, and are tried again.

use super::*;
use crate::scheduler::Grace;

fn failed(pause_ns: u64) -> Finish {
    Finish {
        run_ns: Some(5 * MS),
        again: Some(Again { pause_ns, items: 1 }),
        ..Finish::default()
    }
}

#[test]
fn a_failed_task_takes_its_old_place_at_once() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.submit(UNKNOWN);
    assert_eq!(pool.finished_with(0, 0, failed(0)), [send(0, 1, 0)]);
    let actions = [complete(0, End::Finished), send(0, 2, 1)];
    assert_eq!(pool.finished_in(0, 1, 5 * MS), actions);
}

#[test]
fn a_failed_task_waits_for_its_pause_and_lets_others_go_first() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.submit(UNKNOWN);
    assert_eq!(pool.finished_with(0, 0, failed(9 * MS)), [send(0, 1, 1)]);
    assert_eq!(pool.next_tick(), Some(9 * MS));
    assert_eq!(pool.finished_in(0, 1, MS), [complete(1, End::Finished)]);
    assert_eq!(pool.scheduler.queued(), 0);
    assert_eq!(pool.scheduler.place_of(TaskId(0)), Some(Place::Queued));
    assert_eq!(pool.after(9 * MS - 1), []);
    assert_eq!(pool.after(1), [send(0, 2, 0)]);
    assert_eq!(pool.next_tick(), None);
}

#[test]
fn a_lost_task_waits_for_its_pause_too() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    pool.pages.continued.push(TaskId(0));
    pool.pages.pause_ns = 9 * MS;
    assert_eq!(pool.gone(0), [spawn(1)]);
    assert_eq!(pool.ready(1), []);
    assert_eq!(pool.after(9 * MS), [send(1, 0, 0)]);
}

#[test]
fn what_pauses_is_cancelled_or_killed_at_once() {
    for by_kill in [false, true] {
        let mut pool = Pool::new(1);
        pool.submit(UNKNOWN);
        pool.finished_with(0, 0, failed(9 * MS));
        let actions = if by_kill {
            pool.kill(0).1
        } else {
            pool.cancel(0).1
        };
        assert_eq!(actions, [complete(0, End::Cancelled)]);
        assert_eq!(pool.next_tick(), None);
    }
}

#[test]
fn a_deadline_ends_a_pause() {
    let mut pool = Pool::new(1);
    pool.submit_with(Terms {
        deadline_ns: NonZeroU64::new(pool.now + 4 * MS),
        ..Terms::default()
    });
    pool.finished_with(0, 0, failed(9 * MS));
    assert_eq!(pool.after(4 * MS), [complete(0, End::Overdue)]);
    assert_eq!(pool.next_tick(), None);
}

#[test]
fn nothing_is_tried_again_after_its_deadline() {
    for (pause_ns, by_death) in [(0, false), (9 * MS, false), (0, true), (9 * MS, true)] {
        let mut pool = Pool::with(Policy {
            grace: Grace {
                cancel_ns: 3 * MS,
                terminate_ns: 0,
            },
            ..Policy::of(1)
        });
        pool.submit_with(Terms {
            deadline_ns: NonZeroU64::new(pool.now + 4 * MS),
            ..Terms::default()
        });
        pool.begin(0, 0);
        assert_eq!(pool.after(4 * MS), [], "asked, and ends by itself");
        let overdue = complete(0, End::Overdue);
        if by_death {
            pool.pages.continued.push(TaskId(0));
            pool.pages.pause_ns = pause_ns;
            assert_eq!(pool.gone(0), [overdue, spawn(1)]);
        } else {
            assert_eq!(pool.finished_with(0, 0, failed(pause_ns)), [overdue]);
        }
        assert_eq!(pool.scheduler.pending(), 0);
    }
}

#[test]
fn a_drained_pool_waits_for_what_pauses() {
    let mut pool = Pool::new(2);
    pool.submit(UNKNOWN);
    assert_eq!(pool.finished_with(1, 0, failed(9 * MS)), []);
    assert_eq!(pool.shutdown(Shutdown::Drain), []);
    assert_eq!(pool.after(9 * MS), [send(1, 1, 0), retire(0)]);
    assert_eq!(pool.finished(1, 1), [complete(0, End::Finished), retire(1)]);
}

#[test]
fn a_drained_pool_starts_a_worker_for_what_pauses() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.finished_with(0, 0, failed(9 * MS));
    pool.shutdown(Shutdown::Drain);
    assert_eq!(pool.gone(0), [], "not before it is needed");
    assert_eq!(pool.after(9 * MS), [spawn(1)]);
    assert_eq!(pool.ready(1), [send(1, 0, 0)]);
}

#[test]
fn nothing_is_tried_again_when_the_pending_are_cancelled() {
    let mut pool = Pool::new(2);
    pool.submit(UNKNOWN);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    pool.finished_with(1, 0, failed(9 * MS));
    let actions = pool.shutdown(Shutdown::CancelPending);
    assert_eq!(actions, [complete(0, End::Cancelled), retire(1)]);
    let actions = pool.finished_with(0, 0, failed(9 * MS));
    assert_eq!(actions, [complete(1, End::Cancelled), retire(0)]);
    assert_eq!(pool.next_tick(), None);
}

#[test]
fn the_failure_of_a_condemned_task_is_tried_again_by_an_idle_worker() {
    let mut pool = Pool::with(Policy {
        grace: Grace {
            cancel_ns: 0,
            terminate_ns: 7 * MS,
        },
        ..Policy::of(2)
    });
    pool.submit_with(timeout(5 * MS));
    pool.begin(1, 0);
    assert_eq!(pool.after(5 * MS), [terminate(1), spawn(2)]);
    let actions = pool.finished_with(1, 0, failed(0));
    assert_eq!(actions, [kill(1), send(0, 0, 0)]);
}

#[test]
fn an_elastic_pool_grows_for_what_has_paused() {
    let mut pool = Pool::with(Policy {
        max_workers: 2,
        ..Policy::of(1)
    });
    pool.submit(UNKNOWN);
    pool.finished_with(0, 0, failed(9 * MS));
    pool.submit(UNKNOWN);
    pool.begin(0, 1);
    assert_eq!(pool.after(9 * MS), [spawn(1)]);
}
