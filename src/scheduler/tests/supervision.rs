//! Workers that go.

use super::*;
use crate::scheduler::{FIRST_PAUSE_NS, LONGEST_PAUSE_NS, MAX_SUSPICION};

fn broken(worker: u32, deaths: u32) -> Action<()> {
    Action::Broken {
        worker: WorkerId(worker),
        deaths,
    }
}

#[test]
fn a_worker_that_goes_is_replaced() {
    let mut pool = Pool::new(2);
    assert_eq!(pool.gone(0), [spawn(2)]);
    assert_eq!(pool.gone(0), [], "it went already");
}

#[test]
fn the_first_failure_to_start_is_told_at_once() {
    let mut pool = Pool::starting(3);
    pool.ready(0);
    assert!(pool.scheduler.is_starting());
    let failed = Action::StartFailed {
        worker: WorkerId(1),
    };
    assert_eq!(pool.gone(1), [failed, kill(0), kill(2)]);
    assert_eq!(pool.gone(2), []);
    assert_eq!(pool.gone(0), []);
    assert!(pool.scheduler.is_finished());
}

#[test]
fn the_pool_has_started_when_every_initial_worker_has_been_ready() {
    let mut pool = Pool::starting(2);
    pool.ready(0);
    assert_eq!(
        pool.gone(0),
        [spawn(2)],
        "it was ready: no failure to start"
    );
    assert!(pool.scheduler.is_starting());
    pool.ready(1);
    assert!(!pool.scheduler.is_starting());
    assert_eq!(pool.gone(2), [spawn(3)]);
}

/// A worker goes for nothing, and the next one is started after so long.
fn replaced_after(pool: &mut Pool, worker: u32, pause_ns: u64) {
    if pause_ns == 0 {
        assert_eq!(pool.gone(worker), [spawn(worker + 1)]);
        return;
    }
    assert_eq!(pool.gone(worker), []);
    assert_eq!(pool.next_tick(), Some(pause_ns));
    assert_eq!(pool.after(pause_ns - 1), []);
    assert_eq!(pool.after(1), [spawn(worker + 1)]);
}

#[test]
fn workers_that_keep_dying_are_replaced_ever_more_slowly_and_break_the_pool() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    for (worker, pause) in [0, 20, 40, 80, 160].into_iter().enumerate() {
        replaced_after(&mut pool, worker as u32, pause * MS);
    }
    let end = End::Broken {
        may_have_run: false,
    };
    assert_eq!(pool.gone(5), [broken(5, 6), complete(0, end)]);
    assert_eq!(pool.scheduler.state(), State::Broken);
    assert!(pool.scheduler.is_finished());
}

#[test]
fn a_pause_has_its_longest() {
    let mut pool = Pool::with(Policy {
        max_restarts: 100,
        ..Policy::of(1)
    });
    replaced_after(&mut pool, 0, 0);
    let mut pause_ns = FIRST_PAUSE_NS;
    for worker in 1..100 {
        replaced_after(&mut pool, worker, pause_ns.min(LONGEST_PAUSE_NS));
        pause_ns = pause_ns.saturating_mul(2);
    }
    assert_eq!(pool.gone(100), [broken(100, 101)]);
}

#[test]
fn a_pool_without_restarts_breaks_at_the_first_death_of_a_single_worker() {
    let no_restarts = |workers| Policy {
        max_restarts: 0,
        ..Policy::of(workers)
    };
    let mut pool = Pool::with(no_restarts(1));
    assert_eq!(pool.gone(0), [broken(0, 1)]);
    let mut pool = Pool::with(no_restarts(2));
    assert_eq!(pool.gone(0), [spawn(2)]);
    assert_eq!(pool.gone(1), [broken(1, 2), kill(2)]);
}

#[test]
fn an_idle_pool_survives_the_death_of_all_its_workers() {
    let mut pool = Pool::new(20);
    (0..20).for_each(|worker| assert_eq!(pool.gone(worker), [spawn(20 + worker)]));
    for (worker, pause) in (20..).zip([20, 40, 80, 160]) {
        assert_eq!(pool.gone(worker), []);
        assert_eq!(pool.after(pause * MS), [spawn(20 + worker)]);
    }
    assert_eq!(pool.gone(24)[0], broken(24, 25));
}

#[test]
fn who_dies_in_a_pause_lengthens_it() {
    let mut pool = Pool::new(2);
    pool.gone(0);
    pool.gone(1);
    assert_eq!(pool.gone(2), []);
    pool.now += 10 * MS;
    assert_eq!(pool.gone(3), []);
    assert_eq!(pool.next_tick(), Some(40 * MS));
    assert_eq!(pool.after(40 * MS), [spawn(4), spawn(5)]);
    assert_eq!(pool.next_tick(), None);
}

#[test]
fn a_finished_task_starts_the_count_again() {
    let mut pool = Pool::new(1);
    for worker in 0..50 {
        if worker > 0 {
            pool.ready(worker);
        }
        pool.submit(UNKNOWN);
        pool.finished_in(worker, 0, 5 * MS);
        assert_eq!(pool.gone(worker), [spawn(worker + 1)]);
    }
}

#[test]
fn a_task_that_kills_every_worker_does_not_break_the_pool() {
    let mut pool = Pool::new(1);
    for worker in 0..50 {
        if worker > 0 {
            pool.ready(worker);
        }
        pool.submit(UNKNOWN);
        pool.begin(worker, 0);
        assert_eq!(
            pool.gone(worker),
            [complete(worker.into(), End::Lost), spawn(worker + 1)]
        );
    }
}

#[test]
fn a_task_before_which_worker_after_worker_goes_is_given_up() {
    let mut pool = Pool::new(2).learn(1);
    // The third worker is kept busy, so that nothing else counts as futile.
    pool.submit(UNKNOWN);
    pool.begin(1, 1);
    assert_eq!(pool.submit(SHORT), [send(0, 0, 2)]);
    assert_eq!(pool.submit(SHORT), [send(0, 1, 3)]);
    let mut worker = 0;
    for next in 2..=u32::from(MAX_SUSPICION) {
        assert_eq!(pool.gone(worker), [spawn(next)]);
        assert_eq!(pool.ready(next), [send(next, 0, 2), send(next, 1, 3)]);
        worker = next;
    }
    let actions = pool.gone(worker);
    assert_eq!(actions[0], complete(2, End::GivenUp));
    assert_eq!(pool.pages.given_up, [2]);
    assert_eq!(pool.scheduler.queued(), 1, "the one behind it is innocent");
}

#[test]
fn nobody_is_suspected_of_what_was_done_from_here() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    for worker in 0..5 {
        let actions = pool.act(|it, turn| it.kill_worker(WorkerId(worker), turn.out));
        assert_eq!(actions, [kill(worker)]);
        pool.gone(worker);
        pool.after(LONGEST_PAUSE_NS);
        assert_eq!(pool.ready(worker + 1), [send(worker + 1, 0, 0)]);
    }
    assert!(pool.pages.given_up.is_empty());
}

#[test]
fn nobody_is_suspected_of_what_happened_while_another_ran() {
    let mut pool = Pool::new(1).learn(0);
    (1..=5).for_each(|_| drop(pool.submit(SHORT)));
    pool.begin(0, 1);
    pool.gone(0);
    for worker in 1..=3 {
        pool.ready(worker);
        pool.begin(worker, 0);
        let lost = complete(u64::from(worker) + 1, End::Lost);
        assert_eq!(pool.gone(worker), [lost, spawn(worker + 1)]);
    }
    assert_eq!(pool.ready(4), [send(4, 0, 5)]);
    assert!(pool.pages.given_up.is_empty());
}

#[test]
fn an_initial_worker_that_cannot_be_started_is_told_at_once() {
    let mut pool = Pool::starting(2);
    pool.ready(0);
    let failed = Action::StartFailed {
        worker: WorkerId(1),
    };
    assert_eq!(pool.start_failed(1), [failed, kill(0)]);
    assert!(!pool.scheduler.is_starting());
}

#[test]
fn a_start_that_fails_while_others_serve_is_tried_again_ever_more_slowly_and_breaks_nothing() {
    let mut pool = Pool::new(2);
    pool.gone(1);
    let mut pause_ns = FIRST_PAUSE_NS;
    for worker in 2..30 {
        assert_eq!(pool.start_failed(worker), []);
        assert_eq!(pool.next_tick(), Some(pause_ns.min(LONGEST_PAUSE_NS)));
        assert_eq!(pool.after(pause_ns), [spawn(worker + 1)]);
        pause_ns *= 2;
    }
    pool.ready(30);
    pool.gone(30);
    assert_eq!(pool.start_failed(31), []);
    assert_eq!(
        pool.next_tick(),
        Some(FIRST_PAUSE_NS),
        "one has started since"
    );
}

#[test]
fn starts_that_fail_while_nobody_serves_break_the_pool() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    assert_eq!(pool.gone(0), [spawn(1)]);
    for (worker, pause) in (1..).zip([20, 40, 80, 160]) {
        assert_eq!(pool.start_failed(worker), []);
        assert_eq!(pool.after(pause * MS), [spawn(worker + 1)]);
    }
    let end = End::Broken {
        may_have_run: false,
    };
    assert_eq!(pool.start_failed(5), [broken(5, 6), complete(0, end)]);
}

#[test]
fn who_is_not_started_because_nobody_wants_it_any_more_is_no_failure() {
    let mut pool = Pool::new(1);
    assert_eq!(pool.resize(3, 3), [spawn(1), spawn(2)]);
    assert_eq!(pool.resize(1, 1).len(), 2);
    assert_eq!(pool.start_failed(1), []);
    assert_eq!(pool.start_failed(2), []);
    assert_eq!(pool.next_tick(), None);
    let mut pool = Pool::starting(1);
    pool.shutdown(Shutdown::Terminate);
    assert_eq!(pool.start_failed(0), []);
    assert!(pool.scheduler.is_finished() && !pool.scheduler.is_starting());
}

#[test]
fn a_broken_pool_has_nothing_pending_and_takes_nothing() {
    let mut pool = Pool::new(2);
    (0..3).for_each(|_| drop(pool.submit(UNKNOWN)));
    pool.begin(1, 0);
    let end = |may_have_run| End::Broken { may_have_run };
    let actions = pool.act(Scheduler::break_pool);
    let ends = [
        complete(0, end(true)),
        complete(1, end(false)),
        complete(2, end(false)),
    ];
    assert_eq!(actions[..3], ends);
    assert_eq!(actions[3..], [kill(0), kill(1)]);
    assert_eq!(pool.act(Scheduler::break_pool), []);
    assert!(pool.refuses());
    assert_eq!(pool.shutdown(Shutdown::Drain), []);
    assert_eq!(pool.gone(0), []);
}
