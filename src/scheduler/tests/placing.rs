//! Who gets which task.

use super::*;
use crate::scheduler::WINDOW;

#[test]
fn the_most_recently_used_idle_worker_comes_first() {
    let mut pool = Pool::new(3);
    assert_eq!(pool.submit(UNKNOWN), [send(2, 0, 0)]);
    assert_eq!(pool.submit(UNKNOWN), [send(1, 0, 1)]);
    pool.finished(2, 0);
    assert_eq!(pool.submit(UNKNOWN), [send(2, 1, 2)]);
}

#[test]
fn a_worker_that_is_not_ready_gets_nothing() {
    let mut pool = Pool::starting(1);
    assert_eq!(pool.submit(UNKNOWN), []);
    assert_eq!(pool.submit(UNKNOWN), []);
    assert_eq!(pool.ready(0), [send(0, 0, 0)]);
}

#[test]
fn an_unknown_function_is_not_prefetched() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    assert_eq!(pool.submit(UNKNOWN), []);
    assert_eq!(
        pool.finished(0, 0),
        [complete(0, End::Finished), send(0, 1, 1)]
    );
}

#[test]
fn nothing_is_prefetched_behind_an_unknown_function() {
    let mut pool = Pool::new(1).learn(0);
    assert_eq!(pool.submit(UNKNOWN), [send(0, 1, 1)]);
    assert_eq!(pool.submit(SHORT), []);
}

#[test]
fn what_is_to_be_alone_is_not_prefetched_and_has_nothing_behind_it() {
    let alone = Terms {
        function: SHORT,
        is_alone: true,
        ..Terms::default()
    };
    let mut pool = Pool::new(1).learn(0);
    assert_eq!(pool.submit_with(alone), [send(0, 1, 1)]);
    assert_eq!(pool.submit(SHORT), []);
    assert_eq!(pool.submit_with(alone), []);
    assert_eq!(
        pool.finished_in(0, 1, 10 * US),
        [complete(1, End::Finished), send(0, 2, 2)],
        "and not the next one, which is to be alone"
    );
}

#[test]
fn prefetching_ends_at_the_time_limit() {
    let mut pool = Pool::new(1).learn(0);
    for task in 1..=10 {
        assert_eq!(
            pool.submit(SHORT),
            [send(0, task as u32, task)],
            "100 µs of work in all"
        );
    }
    assert_eq!(pool.submit(SHORT), [], "110 µs");
}

#[test]
fn prefetching_ends_at_the_window() {
    let mut pool = Pool::new(1);
    pool.submit(SHORT);
    pool.finished_in(0, 0, 1);
    for task in 1..=WINDOW {
        assert_eq!(pool.submit(SHORT), [send(0, task, u64::from(task))]);
    }
    assert_eq!(pool.submit(SHORT), [], "a 65th frame would share a slot");
    let next = WINDOW + 1;
    let done = complete(1, End::Finished);
    assert_eq!(
        pool.finished_in(0, 1, 1),
        [done, send(0, next, u64::from(next))]
    );
}

#[test]
fn a_recalled_frame_keeps_its_slot_until_it_is_passed() {
    let mut pool = Pool::new(1);
    pool.submit(SHORT);
    pool.finished_in(0, 0, 1);
    (0..WINDOW).for_each(|_| drop(pool.submit(SHORT)));
    for task in 1..=u64::from(WINDOW) {
        assert_eq!(
            pool.cancel(task),
            (Cancel::Cancelled, vec![complete(task, End::Cancelled)])
        );
    }
    assert_eq!(
        pool.submit(SHORT),
        [],
        "the worker has nothing to do, but no slot is free"
    );
    let next = WINDOW + 1;
    assert_eq!(pool.passed(0, WINDOW), [send(0, next, u64::from(next))]);
}

#[test]
fn a_task_is_prefetched_where_least_is_to_be_done() {
    let mut pool = Pool::new(2).learn(1);
    assert_eq!(pool.submit(SHORT), [send(1, 1, 1)]);
    assert_eq!(pool.submit(SHORT), [send(0, 0, 2)]);
    let mut workers = Vec::new();
    for _ in 0..4 {
        for action in pool.submit(SHORT) {
            let Action::Send {
                worker: WorkerId(worker),
                ..
            } = action
            else {
                panic!()
            };
            workers.push(worker);
        }
    }
    assert_eq!(workers, [0, 1, 0, 1]);
}

#[test]
fn nothing_is_prefetched_behind_a_head_without_progress() {
    let mut pool = Pool::new(1).learn(0);
    pool.submit(SHORT);
    pool.now += MS;
    assert_eq!(pool.submit(SHORT), [send(0, 2, 2)]);
    pool.now += 1;
    assert_eq!(pool.submit(SHORT), []);
}

#[test]
fn nothing_overtakes_what_is_queued() {
    let mut pool = Pool::new(1).learn(0);
    pool.submit(SHORT);
    assert_eq!(pool.submit(UNKNOWN), []);
    assert_eq!(pool.submit(SHORT), [], "it would fit");
    assert_eq!(
        pool.finished(0, 1),
        [complete(1, End::Finished), send(0, 2, 2)]
    );
}

#[test]
fn cancelling_the_first_of_the_queue_lets_the_next_be_prefetched() {
    let mut pool = Pool::new(1).learn(0);
    pool.submit(SHORT);
    pool.submit(UNKNOWN);
    pool.submit(SHORT);
    let actions = vec![complete(2, End::Cancelled), send(0, 2, 3)];
    assert_eq!(pool.cancel(2), (Cancel::Cancelled, actions));
}

#[test]
fn an_idle_worker_takes_half_of_what_waits_behind_another_head() {
    let mut pool = Pool::new(2).learn(1);
    assert_eq!(pool.submit(UNKNOWN), [send(1, 1, 1)]);
    (2..=7).for_each(|task| assert_eq!(pool.submit(SHORT), [send(0, task - 2, task.into())]));
    pool.begin(0, 0);
    let actions = pool.finished(1, 1);
    let done = complete(1, End::Finished);
    assert_eq!(
        actions,
        [done, send(1, 2, 5), send(1, 3, 6), send(1, 4, 7)],
        "three of five"
    );
    assert_eq!(pool.scheduler.head_of(WorkerId(0)), Some((TaskId(2), 0)));
}

#[test]
fn a_new_worker_takes_what_waits_behind_a_head() {
    let mut pool = Pool::starting(2);
    pool.ready(0);
    pool = pool.learn(0);
    pool.submit(SHORT);
    pool.submit(SHORT);
    pool.begin(0, 1);
    assert_eq!(pool.ready(1), [send(1, 0, 2)]);
    assert_eq!(pool.finished(0, 1), [complete(1, End::Finished)]);
    assert_eq!(pool.passed(0, 2), []);
}

#[test]
fn a_lost_recall_is_not_tried_again_and_again() {
    let mut pool = Pool::new(2).learn(1);
    pool.submit(UNKNOWN);
    pool.submit(SHORT);
    pool.submit(SHORT);
    pool.begin(0, 0);
    pool.begin(0, 1);
    assert_eq!(
        pool.finished(1, 1),
        [complete(1, End::Finished)],
        "both have begun"
    );
    assert_eq!(pool.submit(SHORT), [send(1, 2, 4)]);
}

#[test]
fn what_waits_behind_a_stuck_head_goes_to_a_worker_with_room_before_the_queue() {
    let mut pool = Pool::new(2).learn(1);
    // Both have 100 µs of work; eleven more wait.
    (0..31).for_each(|_| drop(pool.submit(SHORT)));
    assert_eq!(pool.scheduler.queued(), 11);
    pool.begin(0, 0);
    pool.now += 2 * MS;
    let head = pool.scheduler.head_of(WorkerId(1)).unwrap();
    let stuck: Vec<_> = (1..=31)
        .map(TaskId)
        .filter(|task| match pool.scheduler.place_of(*task) {
            Some(Place::Sent {
                worker, is_head, ..
            }) => worker == WorkerId(0) && !is_head,
            _ => false,
        })
        .collect();
    assert_eq!(stuck.len(), 9);
    let actions = pool.finished(1, head.1);
    assert_eq!(actions.len(), 2);
    let Action::Send {
        worker: WorkerId(1),
        task,
        ..
    } = actions[1]
    else {
        panic!("{actions:?}")
    };
    assert_eq!(task, stuck[0]);
    assert_eq!(pool.scheduler.queued(), 11 + 8);
}

#[test]
fn a_single_worker_begins_in_the_order_of_submission() {
    let mut pool = Pool::new(1).learn(0);
    let mut order = Vec::new();
    let mut seen = |actions: Vec<Action<()>>| {
        for action in actions {
            if let Action::Send { task, .. } = action {
                order.push(task.0);
            }
        }
    };
    for task in 0..200 {
        seen(pool.submit(task % 2));
        pool.now += 100 * US;
        if task % 3 == 0 {
            let (_, seq) = pool.scheduler.head_of(WorkerId(0)).unwrap();
            seen(pool.finished(0, seq));
        }
    }
    while let Some((_, seq)) = pool.scheduler.head_of(WorkerId(0)) {
        seen(pool.finished(0, seq));
    }
    assert_eq!(order, (1..=200).collect::<Vec<_>>());
}

#[test]
fn any_of_a_hundred_thousand_queued_tasks_can_be_cancelled() {
    let mut pool = Pool::starting(1);
    (0..100_000).for_each(|_| drop(pool.submit(UNKNOWN)));
    for task in (0..100_000).map(|n| n * 7_919 % 100_000) {
        assert_eq!(pool.cancel(task).0, Cancel::Cancelled);
    }
    assert_eq!((pool.scheduler.pending(), pool.scheduler.queued()), (0, 0));
}
