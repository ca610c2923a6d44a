//! More workers when they are needed, fewer when they are not, and other bounds.

use super::*;

fn between(min_workers: usize, max_workers: usize) -> Policy {
    Policy {
        max_workers,
        ..Policy::of(min_workers)
    }
}

fn with_idle_timeout(min_workers: usize, max_workers: usize, idle_timeout_ns: u64) -> Policy {
    Policy {
        idle_timeout_ns: Some(idle_timeout_ns),
        ..between(min_workers, max_workers)
    }
}

#[test]
fn workers_are_started_for_what_is_queued_up_to_the_most() {
    let mut pool = Pool::with(between(0, 2));
    assert!(!pool.scheduler.is_starting());
    assert_eq!(pool.submit(UNKNOWN), [spawn(0)]);
    assert_eq!(pool.submit(UNKNOWN), [spawn(1)]);
    assert_eq!(pool.submit(UNKNOWN), []);
    assert_eq!(pool.ready(1), [send(1, 0, 0)]);
    assert_eq!(pool.ready(0), [send(0, 0, 1)]);
}

#[test]
fn no_worker_is_started_while_one_is_idle_or_a_start_is_enough() {
    let mut pool = Pool::with(between(1, 4));
    assert_eq!(pool.submit(UNKNOWN), [send(0, 0, 0)]);
    pool.finished_in(0, 0, 5 * MS);
    assert_eq!(pool.submit(UNKNOWN), [send(0, 1, 1)]);
    assert_eq!(pool.submit(UNKNOWN), [spawn(1)]);
    assert_eq!(pool.cancel(2).0, Cancel::Cancelled);
    assert_eq!(pool.submit(UNKNOWN), [], "it is starting for this one");
}

#[test]
fn short_tasks_are_prefetched_before_the_pool_grows() {
    let mut pool = Pool::with(between(1, 4)).learn(0);
    for task in 1..=10 {
        assert_eq!(pool.submit(SHORT), [send(0, task as u32, task)]);
    }
    assert_eq!(pool.submit(SHORT), [spawn(1)]);
}

#[test]
fn who_waits_behind_a_head_that_turns_out_long_makes_the_pool_grow() {
    let mut pool = Pool::with(between(2, 3)).learn(1);
    // Both have 100 µs of work.
    (0..20).for_each(|_| drop(pool.submit(SHORT)));
    pool.now += 2 * MS;
    let (_, seq) = pool.scheduler.head_of(WorkerId(1)).unwrap();
    let actions = pool.finished(1, seq);
    assert_eq!(actions.last(), Some(&spawn(2)));
}

#[test]
fn a_worker_beyond_the_least_goes_when_it_has_been_idle_for_long_enough() {
    let mut pool = Pool::with(with_idle_timeout(1, 2, 5 * MS));
    assert_eq!(pool.next_tick(), None, "nobody is to go");
    pool.submit(UNKNOWN);
    pool.submit(UNKNOWN);
    assert_eq!(pool.ready(1), [send(1, 0, 1)]);
    pool.finished(0, 0);
    pool.now += 2 * MS;
    pool.finished(1, 0);
    assert_eq!(pool.next_tick(), Some(3 * MS));
    assert_eq!(
        pool.after(3 * MS),
        [retire(0)],
        "who has been idle for longest"
    );
    assert_eq!(pool.after(100 * MS), [], "the last one stays");
    assert_eq!(pool.next_tick(), None);
    assert_eq!(pool.gone(0), []);
}

#[test]
fn a_worker_that_is_used_again_starts_to_be_idle_anew() {
    let mut pool = Pool::with(with_idle_timeout(0, 1, 5 * MS));
    pool.submit(UNKNOWN);
    pool.ready(0);
    pool.finished(0, 0);
    pool.now += 4 * MS;
    pool.submit(UNKNOWN);
    pool.finished(0, 1);
    assert_eq!(pool.after(MS), [], "the look was for before");
    assert_eq!(pool.next_tick(), Some(4 * MS));
    assert_eq!(pool.after(4 * MS), [retire(0)]);
    assert_eq!(
        pool.submit(UNKNOWN),
        [spawn(1)],
        "and starts again from nothing"
    );
}

#[test]
fn a_worker_that_was_never_needed_goes_too() {
    let mut pool = Pool::with(with_idle_timeout(0, 2, 5 * MS));
    pool.submit(UNKNOWN);
    pool.submit(UNKNOWN);
    pool.cancel(0);
    pool.cancel(1);
    pool.ready(0);
    pool.ready(1);
    assert_eq!(pool.after(5 * MS), [retire(0), retire(1)]);
}

#[test]
fn a_larger_pool_is_filled_up_to_its_least() {
    let mut pool = Pool::new(1);
    assert_eq!(pool.resize(2, 3), [spawn(1)]);
    pool.submit(UNKNOWN);
    pool.ready(1);
    pool.submit(UNKNOWN);
    assert_eq!(pool.submit(UNKNOWN), [spawn(2)]);
    assert_eq!(pool.submit(UNKNOWN), []);
}

#[test]
fn a_larger_pool_starts_workers_for_what_is_queued() {
    let mut pool = Pool::new(1);
    (0..3).for_each(|_| drop(pool.submit(UNKNOWN)));
    assert_eq!(pool.resize(1, 8), [spawn(1), spawn(2)]);
}

#[test]
fn a_smaller_pool_first_loses_who_starts_then_who_is_idle_then_who_has_least_to_do() {
    let mut pool = Pool::new(3).learn(2);
    pool.submit(UNKNOWN);
    pool.submit(SHORT);
    pool.begin(2, 1);
    pool.begin(1, 0);
    assert_eq!(pool.resize(4, 4), [spawn(3)]);
    assert_eq!(pool.resize(3, 3), [retire(3)]);
    assert_eq!(pool.resize(2, 2), [retire(0)]);
    assert_eq!(
        pool.resize(1, 1),
        [],
        "it goes when it has ended what it has"
    );
    assert_eq!(pool.submit(UNKNOWN), []);
    assert_eq!(pool.finished(1, 0), [complete(2, End::Finished), retire(1)]);
    assert_eq!(pool.finished(2, 1)[1], send(2, 2, 3));
    for worker in [0, 1, 3] {
        assert_eq!(pool.gone(worker), []);
    }
}

#[test]
fn what_leaving_workers_have_not_begun_goes_to_those_that_stay() {
    let mut pool = Pool::new(3).learn(2);
    // 30 µs for each.
    for task in 1..=9 {
        assert_eq!(pool.submit(SHORT).len(), 1, "{task}");
    }
    (0..3).for_each(|worker| {
        let (_, seq) = pool.scheduler.head_of(WorkerId(worker)).unwrap();
        pool.begin(worker, seq);
    });
    let mut workers: Vec<_> = pool
        .resize(1, 1)
        .into_iter()
        .map(|action| match action {
            Action::Send { worker, .. } => worker,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(workers.len(), 4, "two of each");
    workers.dedup();
    assert_eq!(workers.len(), 1, "none to one that leaves as well");
}

#[test]
fn a_smaller_pool_runs_no_more_than_it_may() {
    let mut pool = Pool::new(2);
    pool.submit(UNKNOWN);
    pool.begin(1, 0);
    assert_eq!(pool.resize(1, 1), [retire(0)]);
    assert_eq!(pool.submit(UNKNOWN), []);
    assert_eq!(pool.resize(2, 2), [spawn(2)]);
    assert_eq!(pool.ready(2), [send(2, 0, 1)]);
}

#[test]
fn who_stays_when_the_least_becomes_less_goes_after_a_while() {
    let mut pool = Pool::with(with_idle_timeout(2, 2, 5 * MS));
    pool.now += MS;
    assert_eq!(pool.resize(0, 2), []);
    assert_eq!(pool.next_tick(), Some(4 * MS));
    assert_eq!(pool.after(4 * MS), [retire(0), retire(1)]);
}

#[test]
fn the_bounds_of_a_pool_that_is_shut_down_start_nobody() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    pool.shutdown(Shutdown::Drain);
    assert_eq!(pool.resize(4, 4), []);
    assert_eq!(pool.finished(0, 0), [complete(0, End::Finished), retire(0)]);
}

#[test]
fn what_is_stuck_behind_the_only_head_makes_the_pool_grow_by_itself() {
    let mut pool = Pool::with(between(1, 2)).learn(0);
    (0..3).for_each(|_| drop(pool.submit(SHORT)));
    pool.begin(0, 1);
    let due_ns = pool.next_tick().expect("it will be looked at");
    assert!(due_ns <= 2 * MS);
    assert_eq!(pool.after(due_ns), [spawn(1)]);
    assert_eq!(pool.scheduler.queued(), 2);
    assert_eq!(pool.ready(1), [send(1, 0, 2), send(1, 1, 3)]);
}
