//! Time that is up: the looks at a head, the steps of an end, and deadlines.

use super::*;
use crate::scheduler::{Grace, RESULT_GRACE_NS};

/// One worker, that is given so much time to end what it runs.
fn pool_with(cancel_ns: u64, terminate_ns: u64) -> Pool {
    Pool::with(Policy {
        grace: Grace {
            cancel_ns,
            terminate_ns,
        },
        ..Policy::of(1)
    })
}

fn deadline(at_ns: u64) -> Terms {
    Terms {
        function: UNKNOWN,
        deadline_ns: NonZeroU64::new(at_ns),
        ..Terms::default()
    }
}

#[test]
fn without_limits_nobody_looks_at_the_clock() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    assert_eq!(pool.next_tick(), None);
    assert_eq!(pool.after(u64::MAX / 2), []);
}

#[test]
fn a_head_that_has_not_begun_is_looked_at_later() {
    let mut pool = Pool::new(1);
    assert_eq!(pool.submit_with(timeout(5 * MS)), [send(0, 0, 0)]);
    assert_eq!(pool.next_tick(), Some(5 * MS));
    assert_eq!(pool.after(5 * MS), [], "its time has not begun");
    assert_eq!(pool.next_tick(), Some(5 * MS));
    pool.now += 2 * MS;
    pool.begin(0, 0);
    assert_eq!(pool.after(3 * MS), [], "it has run for three milliseconds");
    assert_eq!(pool.next_tick(), Some(2 * MS));
    assert_eq!(pool.after(2 * MS), [kill(0)]);
    assert_eq!(pool.pages.asked, [(0, 0, Some(0))]);
    assert_eq!(pool.gone(0), [complete(0, End::Lost), spawn(1)]);
    assert_eq!(pool.pages.causes, [(0, Some(Cause::Timeout))]);
}

#[test]
fn a_task_that_ends_in_time_costs_one_look() {
    let mut pool = Pool::new(1);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    pool.finished(0, 0);
    assert_eq!(pool.after(5 * MS), []);
    assert_eq!(pool.next_tick(), None);
    assert_eq!(pool.pages.asked, []);
}

#[test]
fn each_step_of_an_end_has_its_grace() {
    let mut pool = pool_with(3 * MS, 7 * MS);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    assert_eq!(pool.after(5 * MS), [], "asked");
    assert_eq!(pool.pages.asked, [(0, 0, Some(0))]);
    assert_eq!(pool.next_tick(), Some(3 * MS));
    assert_eq!(
        pool.after(3 * MS),
        [terminate(0), spawn(1)],
        "condemned; its successor is started meanwhile"
    );
    assert_eq!(*pool.page(0, 0), Progress::Condemned { item: 0 });
    assert_eq!(pool.next_tick(), Some(7 * MS));
    assert_eq!(pool.ready(1), [], "it has no place yet");
    pool.submit(UNKNOWN);
    assert_eq!(pool.after(7 * MS), [kill(0)]);
    assert_eq!(pool.next_tick(), None);
    assert_eq!(pool.gone(0), [complete(0, End::Lost), send(1, 0, 1)]);
    assert_eq!(pool.pages.causes, [(0, Some(Cause::Timeout))]);
}

#[test]
fn without_grace_for_asking_the_first_signal_comes_at_once() {
    let mut pool = pool_with(0, 7 * MS);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    assert_eq!(pool.after(5 * MS), [terminate(0), spawn(1)]);
    assert_eq!(pool.after(7 * MS), [kill(0)]);
}

#[test]
fn without_grace_for_the_first_signal_the_last_one_follows_the_asking() {
    let mut pool = pool_with(3 * MS, 0);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    assert_eq!(pool.after(5 * MS), []);
    assert_eq!(pool.after(3 * MS), [kill(0)]);
    assert_eq!(pool.gone(0), [complete(0, End::Lost), spawn(1)]);
}

#[test]
fn who_goes_by_the_first_signal_is_not_killed() {
    let mut pool = pool_with(0, 7 * MS);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    pool.after(5 * MS);
    assert_eq!(pool.gone(0), [complete(0, End::Lost)]);
    assert_eq!(pool.next_tick(), None);
    assert_eq!(pool.pages.causes, [(0, Some(Cause::Timeout))]);
}

#[test]
fn a_result_after_the_asking_keeps_the_worker() {
    let mut pool = pool_with(3 * MS, 7 * MS);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    pool.after(5 * MS);
    assert_eq!(pool.finished(0, 0), [complete(0, End::Finished)]);
    assert_eq!(pool.submit_with(timeout(50 * MS)), [send(0, 1, 1)]);
    pool.begin(0, 1);
    assert_eq!(pool.after(3 * MS), [], "the asking was the other's");
    assert_eq!(pool.after(46 * MS), []);
    assert_eq!(pool.after(MS), []);
    assert_eq!(pool.pages.asked, [(0, 0, Some(0)), (0, 1, Some(0))]);
}

#[test]
fn a_result_on_its_way_when_the_task_is_condemned_keeps_the_worker() {
    let mut pool = pool_with(3 * MS, 7 * MS);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    pool.after(5 * MS);
    *pool.page(0, 0) = Progress::Ended;
    assert_eq!(pool.after(3 * MS), []);
    assert_eq!(pool.next_tick(), Some(RESULT_GRACE_NS));
    assert_eq!(pool.finished(0, 0), [complete(0, End::Finished)]);
    assert_eq!(pool.after(2 * RESULT_GRACE_NS), []);
    assert_eq!(pool.next_tick(), None);
}

#[test]
fn a_result_of_a_condemned_task_counts_and_the_worker_goes() {
    let mut pool = pool_with(0, 7 * MS);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    pool.after(5 * MS);
    assert_eq!(
        pool.finished(0, 0),
        [complete(0, End::Finished), kill(0)],
        "it would begin nothing any more"
    );
    assert_eq!(pool.gone(0), []);
}

#[test]
fn prefetched_tasks_come_back_before_the_signal() {
    let mut pool = pool_with(0, 7 * MS).learn(0);
    let short = Terms {
        function: SHORT,
        ..timeout(5 * MS)
    };
    (1..=3).for_each(|_| drop(pool.submit_with(short)));
    pool.begin(0, 1);
    assert_eq!(pool.after(5 * MS), [terminate(0), spawn(1)]);
    assert_eq!(pool.scheduler.queued(), 2);
    assert_eq!(pool.gone(0), [complete(1, End::Lost)]);
    assert_eq!(pool.ready(1), [send(1, 0, 2), send(1, 1, 3)]);
    assert_eq!(pool.next_tick(), Some(5 * MS), "the new head's");
}

#[test]
fn the_time_of_a_prefetched_task_is_looked_at_when_it_is_the_head() {
    let mut pool = Pool::new(1).learn(0);
    let short = |ns| Terms {
        function: SHORT,
        ..timeout(ns)
    };
    pool.submit(SHORT);
    pool.submit_with(short(5 * MS));
    assert_eq!(pool.next_tick(), None);
    pool.begin(0, 1);
    pool.now += MS;
    pool.begin(0, 2);
    pool.finished(0, 1);
    assert_eq!(pool.next_tick(), Some(5 * MS));
    assert_eq!(pool.after(5 * MS), [kill(0)]);
}

#[test]
fn a_new_head_is_watched_when_the_one_ahead_of_it_is_cancelled() {
    for by_shutdown in [false, true] {
        let mut pool = Pool::new(1).learn(0);
        pool.submit(SHORT);
        let short = Terms {
            function: SHORT,
            ..timeout(5 * MS)
        };
        pool.submit_with(short);
        // The worker skips the first, the moment that it is recalled.
        pool.begin(0, 2);
        if by_shutdown {
            let cancelled = [complete(1, End::Cancelled)];
            assert_eq!(pool.shutdown(Shutdown::CancelPending), cancelled);
        } else {
            pool.cancel(1);
        }
        assert_eq!(pool.next_tick(), Some(5 * MS));
        assert_eq!(pool.after(5 * MS), [kill(0)]);
    }
}

#[test]
fn each_item_of_a_chunk_has_its_own_time() {
    let mut pool = Pool::new(1);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    let started_ns = pool.now + 4 * MS;
    *pool.page(0, 0) = Progress::Running {
        item: 7,
        started_ns,
    };
    assert_eq!(pool.after(5 * MS), []);
    assert_eq!(pool.next_tick(), Some(4 * MS));
    assert_eq!(pool.after(4 * MS), [kill(0)]);
    assert_eq!(pool.pages.asked, [(0, 0, Some(7))]);
}

#[test]
fn an_item_that_ends_while_it_is_asked_leaves_its_time_to_the_next() {
    let mut pool = pool_with(3 * MS, 0);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    pool.after(5 * MS);
    let started_ns = pool.now + MS;
    *pool.page(0, 0) = Progress::Running {
        item: 1,
        started_ns,
    };
    assert_eq!(pool.after(3 * MS), [], "the item that was asked has ended");
    assert_eq!(pool.next_tick(), Some(3 * MS));
    assert_eq!(pool.after(3 * MS), []);
    assert_eq!(pool.pages.asked, [(0, 0, Some(0)), (0, 0, Some(1))]);
    assert_eq!(pool.after(3 * MS), [kill(0)]);
}

/// Its answer comes before the page says that the next one has begun.
#[test]
fn an_item_that_has_been_answered_is_not_asked_again() {
    let mut pool = pool_with(3 * MS, 0);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    pool.after(5 * MS);
    assert_eq!(pool.went_on(0, 0, 1), []);
    assert_eq!(pool.next_tick(), Some(5 * MS));
    pool.now += 2 * MS;
    *pool.page(0, 0) = Progress::Running {
        item: 1,
        started_ns: pool.now,
    };
    assert_eq!(pool.after(3 * MS), [], "it has run for three milliseconds");
    assert_eq!(pool.after(2 * MS), []);
    assert_eq!(pool.pages.asked, [(0, 0, Some(0)), (0, 0, Some(1))]);
    assert_eq!(pool.after(3 * MS), [kill(0)]);
}

/// It has been stopped there, and nothing of it moves.
#[test]
fn a_worker_that_stays_between_two_items_is_ended_after_a_second() {
    let mut pool = pool_with(3 * MS, 0);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    pool.after(5 * MS);
    pool.went_on(0, 0, 1);
    let mut waited_ns = 0;
    let ended = loop {
        let next_ns = pool.next_tick().expect("a look");
        waited_ns += next_ns;
        let actions = pool.after(next_ns);
        if !actions.is_empty() {
            break actions;
        }
    };
    assert_eq!(ended, [kill(0)]);
    assert!((RESULT_GRACE_NS..RESULT_GRACE_NS + 10 * MS).contains(&waited_ns));
}

#[test]
fn a_start_time_neither_lies_in_the_future_nor_becomes_a_later_one() {
    let mut pool = Pool::new(1);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    let running = |item, started_ns| Progress::Running { item, started_ns };
    *pool.page(0, 0) = running(0, u64::MAX);
    assert_eq!(pool.after(5 * MS), []);
    assert_eq!(pool.next_tick(), Some(5 * MS));
    *pool.page(0, 0) = running(0, pool.now + 5 * MS);
    assert_eq!(pool.after(5 * MS), [kill(0)]);
}

#[test]
fn a_later_item_cannot_have_begun_before_an_earlier_one_was_seen_and_none_runs_again() {
    let mut pool = Pool::new(1);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    let running = |item, started_ns| Progress::Running { item, started_ns };
    *pool.page(0, 0) = running(3, pool.now + 4 * MS);
    pool.after(5 * MS);
    *pool.page(0, 0) = running(4, 1);
    assert_eq!(pool.after(4 * MS), []);
    assert_eq!(
        pool.next_tick(),
        Some(MS),
        "not before it was last looked at"
    );
    *pool.page(0, 0) = running(2, pool.now + MS);
    assert_eq!(pool.after(MS), [kill(0)]);
    assert_eq!(pool.pages.asked, [(0, 0, Some(4))]);
}

#[test]
fn a_page_that_cannot_be_ends_the_worker_when_it_is_looked_at() {
    for garbage in [Progress::Garbage, Progress::Condemned { item: 0 }] {
        let mut pool = pool_with(3 * MS, 7 * MS);
        pool.submit_with(timeout(5 * MS));
        pool.begin(0, 0);
        *pool.page(0, 0) = garbage;
        assert_eq!(pool.after(5 * MS), [kill(0)], "without ado");
    }
}

#[test]
fn a_result_that_does_not_come_is_waited_for_a_second() {
    let mut pool = pool_with(3 * MS, 7 * MS);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    *pool.page(0, 0) = Progress::Ended;
    pool.pages.has_moved = true;
    assert_eq!(pool.after(5 * MS), []);
    assert_eq!(pool.next_tick(), Some(RESULT_GRACE_NS));
    assert_eq!(pool.after(RESULT_GRACE_NS), [kill(0)]);
    assert_eq!(pool.pages.asked, [], "there is nobody to ask");
    assert_eq!(pool.gone(0), [complete(0, End::Lost), spawn(1)]);
    assert_eq!(pool.pages.causes, [(0, Some(Cause::Timeout))]);
}

#[test]
fn a_result_that_is_coming_is_waited_for() {
    let mut pool = Pool::new(1);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    *pool.page(0, 0) = Progress::Ended;
    assert_eq!(pool.after(5 * MS), []);
    for _ in 0..100 {
        pool.pages.has_moved = true;
        assert_eq!(pool.after(RESULT_GRACE_NS), []);
    }
    assert_eq!(pool.after(RESULT_GRACE_NS), [kill(0)]);
}

#[test]
fn a_result_that_does_not_come_is_not_waited_for_without_a_limit() {
    let mut pool = Pool::new(1);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    pool.finished(0, 0);
    pool.submit(UNKNOWN);
    pool.begin(0, 1);
    *pool.page(0, 1) = Progress::Ended;
    assert_eq!(pool.after(5 * MS), [], "the look was for the other");
    assert_eq!(pool.after(2 * RESULT_GRACE_NS), []);
    assert_eq!(pool.next_tick(), None);
}

#[test]
fn a_worker_that_unsays_its_end_is_ended() {
    let mut pool = Pool::new(1);
    pool.submit_with(timeout(5 * MS));
    pool.begin(0, 0);
    *pool.page(0, 0) = Progress::Ended;
    pool.after(5 * MS);
    *pool.page(0, 0) = Progress::Running {
        item: 0,
        started_ns: pool.now,
    };
    assert_eq!(pool.after(RESULT_GRACE_NS), [kill(0)]);
}

#[test]
fn a_deadline_ends_what_is_queued() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.submit_with(deadline(pool.now + 5 * MS));
    assert_eq!(pool.next_tick(), Some(5 * MS));
    assert_eq!(pool.after(5 * MS - 1), []);
    assert_eq!(pool.after(1), [complete(1, End::Overdue)]);
    assert_eq!(pool.next_tick(), None);
}

#[test]
fn a_deadline_takes_back_what_is_prefetched_or_not_begun() {
    for has_head in [true, false] {
        let mut pool = Pool::new(1).learn(0);
        if has_head {
            pool.submit(SHORT);
            pool.begin(0, 1);
        }
        let terms = Terms {
            function: SHORT,
            ..deadline(pool.now + 5 * MS)
        };
        assert_eq!(pool.submit_with(terms).len(), 1);
        let task = 1 + u64::from(has_head);
        assert_eq!(pool.after(5 * MS), [complete(task, End::Overdue)]);
        assert_eq!(pool.pages.asked, []);
    }
}

#[test]
fn a_deadline_ends_what_runs() {
    let mut pool = pool_with(3 * MS, 0);
    pool.submit_with(deadline(pool.now + 5 * MS));
    pool.now += 4 * MS;
    pool.begin(0, 0);
    assert_eq!(pool.after(MS), []);
    assert_eq!(pool.pages.asked, [(0, 0, None)], "all of it");
    assert_eq!(pool.after(3 * MS), [kill(0)]);
    assert_eq!(pool.gone(0), [complete(0, End::Lost), spawn(1)]);
    assert_eq!(pool.pages.causes, [(0, Some(Cause::Deadline))]);
}

#[test]
fn a_deadline_is_forgotten_with_its_task() {
    let mut pool = Pool::new(1);
    pool.submit_with(deadline(pool.now + 5 * MS));
    pool.begin(0, 0);
    assert_eq!(pool.finished(0, 0), [complete(0, End::Finished)]);
    assert_eq!(pool.next_tick(), None);
    pool.submit_with(deadline(pool.now + 5 * MS));
    assert_eq!(pool.shutdown(Shutdown::Kill).len(), 2);
    assert_eq!(pool.next_tick(), None);
}

#[test]
fn a_task_that_ended_at_its_deadline_has_its_result_waited_for() {
    let mut pool = pool_with(0, 7 * MS);
    pool.submit_with(deadline(pool.now + 5 * MS));
    pool.begin(0, 0);
    *pool.page(0, 0) = Progress::Ended;
    assert_eq!(pool.after(5 * MS), []);
    assert_eq!(pool.next_tick(), Some(RESULT_GRACE_NS));
    assert_eq!(
        pool.after(RESULT_GRACE_NS),
        [kill(0)],
        "the worker stands still"
    );
    pool.gone(0);
    assert_eq!(pool.pages.causes, [(0, Some(Cause::Deadline))]);
}

#[test]
fn a_deadline_beats_a_time_limit_of_the_same_task_once() {
    let mut pool = pool_with(10 * MS, 0);
    let terms = Terms {
        timeout_ns: NonZeroU64::new(5 * MS),
        ..deadline(pool.now + 8 * MS)
    };
    pool.submit_with(terms);
    pool.begin(0, 0);
    assert_eq!(pool.after(5 * MS), []);
    assert_eq!(pool.after(3 * MS), []);
    assert_eq!(pool.pages.asked, [(0, 0, Some(0)), (0, 0, None)]);
    assert_eq!(pool.after(10 * MS), [kill(0)]);
    pool.gone(0);
    assert_eq!(pool.pages.causes, [(0, Some(Cause::Deadline))]);
}

#[test]
fn what_is_due_at_once_is_done_one_after_the_other() {
    let mut pool = Pool::new(1);
    pool.pages.continued.push(TaskId(0));
    pool.pages.pause_ns = 5 * MS;
    pool.submit_with(deadline(pool.now + 10 * MS));
    pool.begin(0, 0);
    assert_eq!(pool.gone(0), [spawn(1)]);
    pool.ready(1);
    assert_eq!(
        pool.after(10 * MS),
        [send(1, 0, 0)],
        "its pause was over before"
    );
    assert_eq!(pool.next_tick(), Some(0));
    assert_eq!(pool.after(0), [complete(0, End::Overdue)]);
    assert_eq!(pool.next_tick(), None);
}
