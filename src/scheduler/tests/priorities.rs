//! Who begins first.

use super::*;

fn of_priority(priority: i32) -> Terms {
    Terms {
        function: UNKNOWN,
        priority,
        ..Terms::default()
    }
}

/// Ends the heads of a single worker until nothing is left; says in which order they came.
fn order_of(pool: &mut Pool) -> Vec<u64> {
    let mut order = Vec::new();
    while let Some((TaskId(task), seq)) = pool.scheduler.head_of(WorkerId(0)) {
        order.push(task);
        pool.finished_in(0, seq, 5 * MS);
    }
    order
}

#[test]
fn a_higher_priority_begins_first_and_within_one_the_oldest() {
    let mut pool = Pool::new(1);
    for priority in [0, 0, -1, 7, 0, 7, -1, i32::MIN, i32::MAX] {
        pool.submit_with(of_priority(priority));
    }
    assert_eq!(order_of(&mut pool), [0, 8, 3, 5, 1, 4, 2, 6, 7]);
}

#[test]
fn what_runs_is_not_interrupted_for_a_higher_priority() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.begin(0, 0);
    assert_eq!(pool.submit_with(of_priority(9)), []);
}

#[test]
fn a_short_task_of_a_higher_priority_overtakes_what_found_no_place() {
    let mut pool = Pool::new(1).learn(0);
    pool.submit(SHORT);
    assert_eq!(pool.submit(UNKNOWN), []);
    let urgent = Terms {
        priority: 1,
        ..Terms::default()
    };
    assert_eq!(pool.submit_with(urgent), [send(0, 2, 3)]);
    let patient = Terms {
        priority: -1,
        ..Terms::default()
    };
    assert_eq!(pool.submit_with(patient), []);
}

#[test]
fn a_task_that_comes_back_takes_its_place_by_its_priority() {
    let mut pool = Pool::new(1);
    pool.submit_with(of_priority(1));
    pool.submit_with(of_priority(1));
    pool.submit_with(of_priority(2));
    pool.submit(UNKNOWN);
    assert_eq!(pool.gone(0), [spawn(1)]);
    assert_eq!(pool.ready(1), [send(1, 0, 2)]);
    assert_eq!(pool.finished_in(1, 0, MS)[1], send(1, 1, 0));
    assert_eq!(pool.finished_in(1, 1, MS)[1], send(1, 2, 1));
    assert_eq!(pool.finished_in(1, 2, MS)[1], send(1, 3, 3));
}

#[test]
fn cancelling_takes_a_task_out_of_any_priority() {
    let mut pool = Pool::starting(1);
    for priority in [3, 0, -3, 3, 0, -3] {
        pool.submit_with(of_priority(priority));
    }
    for task in [0, 4, 5] {
        assert_eq!(pool.cancel(task).1, [complete(task, End::Cancelled)]);
    }
    assert_eq!(pool.ready(0), [send(0, 0, 3)]);
    assert_eq!(order_of(&mut pool), [3, 1, 2]);
}
