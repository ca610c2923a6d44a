//! Workers that are replaced though nothing is wrong with them.

use super::*;
use crate::scheduler::{Grace, Recycling};

fn recycled(workers: usize, recycling: Recycling) -> Policy {
    Policy {
        recycling,
        ..Policy::of(workers)
    }
}

fn after_tasks(workers: usize, max_tasks: u32) -> Policy {
    let max_tasks = Some(max_tasks);
    recycled(
        workers,
        Recycling {
            max_tasks,
            ..Recycling::default()
        },
    )
}

fn with_memory(resident_kib: u64) -> Finish {
    Finish {
        resident_kib: Some(resident_kib),
        ..Finish::default()
    }
}

#[test]
fn the_last_task_of_a_worker_has_its_successor_started() {
    let mut pool = Pool::with(after_tasks(1, 2));
    pool.now += 1_000 * MS;
    assert_eq!(pool.submit(UNKNOWN), [send(0, 0, 0)]);
    assert_eq!(pool.finished(0, 0), [complete(0, End::Finished)]);
    assert_eq!(pool.submit(UNKNOWN), [send(0, 1, 1), spawn(1)]);
    assert_eq!(pool.submit(UNKNOWN), [], "it is for the next one");
    assert_eq!(pool.ready(1), [], "which waits for its place");
    assert_eq!(
        pool.finished(0, 1),
        [complete(1, End::Finished), retire(0), send(1, 0, 2)]
    );
    assert_eq!(pool.gone(0), []);
}

#[test]
fn one_task_for_each_worker() {
    let mut pool = Pool::with(after_tasks(1, 1));
    for worker in 0..20 {
        let sent = [send(worker, 0, worker.into()), spawn(worker + 1)];
        assert_eq!(pool.submit(SHORT), sent);
        assert_eq!(pool.ready(worker + 1), []);
        let done = [complete(worker.into(), End::Finished), retire(worker)];
        assert_eq!(pool.finished_in(worker, 0, US), done);
        assert_eq!(pool.gone(worker), []);
    }
}

#[test]
fn no_more_than_the_most_run_tasks_while_successors_wait() {
    let mut pool = Pool::with(after_tasks(2, 1));
    assert_eq!(pool.submit(UNKNOWN), [send(1, 0, 0), spawn(2)]);
    assert_eq!(pool.submit(UNKNOWN), [send(0, 0, 1), spawn(3)]);
    assert_eq!(pool.ready(2), []);
    assert_eq!(pool.ready(3), []);
    assert_eq!(pool.submit(UNKNOWN), []);
    assert_eq!(pool.submit(UNKNOWN), []);
    let done = complete(1, End::Finished);
    assert_eq!(
        pool.finished(0, 0),
        [done, retire(0), send(2, 0, 2), spawn(4)]
    );
    assert_eq!(pool.scheduler.queued(), 1);
    pool.begin(1, 0);
    let actions = [complete(0, End::Lost), send(3, 0, 3), spawn(5)];
    assert_eq!(pool.gone(1), actions, "nor when one dies");
}

#[test]
fn tasks_are_prefetched_up_to_the_last_one() {
    let mut pool = Pool::with(after_tasks(1, 4));
    pool.now += MS;
    let mut pool = pool.learn(0);
    assert_eq!(pool.submit(SHORT), [send(0, 1, 1)]);
    assert_eq!(pool.submit(SHORT), [send(0, 2, 2)]);
    assert_eq!(pool.submit(SHORT), [send(0, 3, 3), spawn(1)]);
    assert_eq!(pool.submit(SHORT), []);
}

#[test]
fn what_is_taken_back_does_not_count() {
    let mut pool = Pool::with(after_tasks(1, 2));
    for task in 0..10 {
        let sent = send(0, task, task.into());
        assert_eq!(pool.submit(UNKNOWN)[0], sent);
        assert_eq!(pool.cancel(task.into()).0, Cancel::Cancelled);
    }
    pool.submit(UNKNOWN);
    assert_eq!(pool.finished(0, 10)[0], complete(10, End::Finished));
    assert_eq!(pool.submit(UNKNOWN)[0], send(0, 11, 11));
    assert!(pool.finished(0, 11).contains(&retire(0)));
}

#[test]
fn a_successor_is_started_when_the_pace_says_that_it_is_time() {
    let mut pool = Pool::starting_with(after_tasks(1, 100));
    pool.now += 10 * MS;
    pool.ready(0);
    let ready_ns = pool.now;
    for task in 0..100_u32 {
        pool.submit(UNKNOWN);
        pool.now += MS;
        let actions = pool.finished_in(0, task, MS);
        if actions.contains(&spawn(1)) {
            let age_ms = (pool.now - ready_ns) / MS;
            assert_eq!(age_ms, 80, "twice the ten milliseconds of a start are left");
            return;
        }
    }
    panic!("nobody was started");
}

#[test]
fn a_pace_is_no_overflow() {
    let mut pool = Pool::with(after_tasks(1, u32::MAX));
    pool.submit(UNKNOWN);
    pool.now += u64::MAX / 2;
    assert_eq!(pool.finished(0, 0), [complete(0, End::Finished)]);
}

#[test]
fn an_old_worker_goes_after_its_task() {
    let mut pool = Pool::starting_with(recycled(
        1,
        Recycling {
            max_age_ns: Some(100 * MS),
            ..Recycling::default()
        },
    ));
    pool.now += 5 * MS;
    pool.ready(0);
    pool.submit(UNKNOWN);
    pool.now += 89 * MS;
    assert_eq!(pool.finished_in(0, 0, 5 * MS), [complete(0, End::Finished)]);
    pool.submit(UNKNOWN);
    pool.now += MS;
    assert_eq!(
        pool.finished_in(0, 1, 5 * MS),
        [complete(1, End::Finished), spawn(1)],
        "twice the five milliseconds of a start are left"
    );
    pool.submit(UNKNOWN);
    assert_eq!(pool.ready(1), []);
    pool.submit(UNKNOWN);
    pool.now += 10 * MS;
    assert_eq!(
        pool.finished_in(0, 2, 10 * MS),
        [complete(2, End::Finished), retire(0), send(1, 0, 3)]
    );
}

#[test]
fn an_old_worker_that_is_idle_makes_room_for_its_successor() {
    let mut pool = Pool::starting_with(recycled(
        1,
        Recycling {
            max_age_ns: Some(100 * MS),
            ..Recycling::default()
        },
    ));
    pool.now += 5 * MS;
    pool.ready(0);
    pool.submit(UNKNOWN);
    pool.now += 95 * MS;
    assert_eq!(
        pool.finished_in(0, 0, 95 * MS),
        [complete(0, End::Finished), spawn(1)]
    );
    assert_eq!(pool.ready(1), [retire(0)]);
    assert_eq!(pool.submit(UNKNOWN), [send(1, 0, 1)]);
}

#[test]
fn an_idle_worker_is_left_alone_however_old_it_is() {
    let mut pool = Pool::with(recycled(
        1,
        Recycling {
            max_age_ns: Some(100 * MS),
            ..Recycling::default()
        },
    ));
    assert_eq!(pool.next_tick(), None);
    pool.now += 1_000 * MS;
    assert_eq!(pool.submit(UNKNOWN), [send(0, 0, 0)]);
    assert_eq!(
        pool.finished(0, 0),
        [complete(0, End::Finished), retire(0), spawn(1)]
    );
}

#[test]
fn a_large_worker_goes_after_its_task() {
    let mut pool = Pool::with(recycled(
        1,
        Recycling {
            max_resident_kib: Some(500),
            ..Recycling::default()
        },
    ));
    pool.submit(UNKNOWN);
    let done = complete(0, End::Finished);
    assert_eq!(pool.finished_with(0, 0, with_memory(499)), [done]);
    pool.submit(UNKNOWN);
    let gone = [complete(1, End::Finished), retire(0), spawn(1)];
    assert_eq!(pool.finished_with(0, 1, with_memory(500)), gone);
}

#[test]
fn a_worker_that_has_grown_goes_after_its_task() {
    let mut pool = Pool::with(recycled(
        1,
        Recycling {
            max_growth_kib: Some(100),
            ..Recycling::default()
        },
    ));
    let memory = [1_000, 900, 1_099, 1_100];
    for (task, resident_kib) in memory.into_iter().enumerate() {
        pool.submit(UNKNOWN);
        let actions = pool.finished_with(0, task as u32, with_memory(resident_kib));
        assert_eq!(actions.contains(&retire(0)), resident_kib == 1_100);
    }
}

#[test]
fn a_worker_that_leaves_gives_back_what_it_has_not_begun() {
    let mut pool = Pool::with(recycled(
        1,
        Recycling {
            max_resident_kib: Some(500),
            ..Recycling::default()
        },
    ))
    .learn(0);
    (1..=4).for_each(|_| drop(pool.submit(SHORT)));
    pool.begin(0, 1);
    pool.begin(0, 2);
    let actions = pool.finished_with(0, 1, with_memory(500));
    assert_eq!(actions, [complete(1, End::Finished), spawn(1)]);
    assert_eq!(pool.ready(1), [], "two would run");
    assert_eq!(
        pool.finished(0, 2),
        [
            complete(2, End::Finished),
            retire(0),
            send(1, 0, 3),
            send(1, 1, 4)
        ]
    );
}

#[test]
fn a_successor_that_dies_is_replaced() {
    let mut pool = Pool::with(after_tasks(1, 1));
    assert_eq!(pool.submit(UNKNOWN), [send(0, 0, 0), spawn(1)]);
    assert_eq!(pool.gone(1), [spawn(2)]);
    pool.ready(2);
    assert_eq!(pool.gone(2), [], "after a pause");
    pool.begin(0, 0);
    assert_eq!(pool.finished(0, 0), [complete(0, End::Finished), retire(0)]);
    assert_eq!(pool.after(20 * MS), [spawn(3)]);
}

#[test]
fn who_is_recycled_is_not_a_futile_death() {
    let mut pool = Pool::with(Policy {
        max_restarts: 0,
        ..after_tasks(1, 1)
    });
    pool.submit(UNKNOWN);
    pool.finished(0, 0);
    assert_eq!(pool.scheduler.state(), State::Open);
    // It does not go by itself.
    let actions = pool.act(|it, turn| it.kill_worker(WorkerId(0), turn.out));
    assert_eq!(actions, [kill(0)]);
    assert_eq!(pool.gone(0), []);
    assert_eq!(pool.scheduler.state(), State::Open);
}

#[test]
fn a_smaller_pool_does_not_keep_those_that_wait_for_their_successors() {
    let mut pool = Pool::with(after_tasks(2, 3));
    pool.now += 1_000 * MS;
    pool.submit(UNKNOWN);
    pool.finished_in(1, 0, 5 * MS);
    pool.submit(UNKNOWN);
    pool.finished_in(1, 1, 5 * MS);
    assert_eq!(pool.submit(UNKNOWN), [send(1, 2, 2), spawn(2)]);
    assert_eq!(pool.cancel(2).0, Cancel::Cancelled);
    pool.ready(2);
    assert_eq!(
        pool.resize(1, 1),
        [retire(2), retire(1)],
        "who waits, and whom it would have replaced"
    );
    assert_eq!(pool.submit(UNKNOWN), [send(0, 0, 3)]);
    assert_eq!(pool.submit(UNKNOWN), []);
}

#[test]
fn the_end_of_a_condemned_worker_is_its_successors_place() {
    let mut pool = Pool::with(Policy {
        grace: Grace {
            cancel_ns: 0,
            terminate_ns: 7 * MS,
        },
        ..after_tasks(1, 1)
    });
    assert_eq!(pool.submit_with(timeout(5 * MS)), [send(0, 0, 0), spawn(1)]);
    pool.begin(0, 0);
    assert_eq!(pool.after(5 * MS), [terminate(0)], "there is one already");
    pool.ready(1);
    assert_eq!(pool.submit(UNKNOWN), []);
    assert_eq!(
        pool.gone(0),
        [complete(0, End::Lost), send(1, 0, 1), spawn(2)]
    );
}
