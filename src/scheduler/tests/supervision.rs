//! Workers that go.

use super::*;
use crate::scheduler::MAX_FUTILE_DEATHS;

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

#[test]
fn workers_that_keep_dying_break_the_pool() {
    let mut pool = Pool::new(1);
    pool.submit(UNKNOWN);
    for worker in 0..MAX_FUTILE_DEATHS - 1 {
        assert_eq!(pool.gone(worker), [spawn(worker + 1)]);
    }
    let end = End::Broken {
        may_have_run: false,
    };
    let last = MAX_FUTILE_DEATHS - 1;
    assert_eq!(
        pool.gone(last),
        [broken(last, MAX_FUTILE_DEATHS), complete(0, end)]
    );
    assert_eq!(pool.scheduler.state(), State::Broken);
    assert!(pool.scheduler.is_finished());
}

#[test]
fn an_idle_pool_survives_the_death_of_all_its_workers() {
    let mut pool = Pool::new(20);
    (0..20).for_each(|worker| assert_eq!(pool.gone(worker), [spawn(20 + worker)]));
    (20..23).for_each(|worker| assert_eq!(pool.gone(worker), [spawn(20 + worker)]));
    assert_eq!(pool.gone(23)[0], broken(23, MAX_FUTILE_DEATHS + 19));
}

#[test]
fn a_finished_task_starts_the_count_again() {
    let mut pool = Pool::new(1);
    for worker in 0..10 * MAX_FUTILE_DEATHS {
        if worker > 0 {
            pool.ready(worker);
        }
        if worker % 4 == 3 {
            let seq = 0;
            pool.submit(UNKNOWN);
            pool.finished_in(worker, seq, 5 * MS);
        }
        assert_eq!(pool.gone(worker), [spawn(worker + 1)]);
    }
}

#[test]
fn a_task_that_kills_every_worker_does_not_break_the_pool() {
    let mut pool = Pool::new(1);
    for worker in 0..10 * MAX_FUTILE_DEATHS {
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
fn a_broken_pool_has_nothing_pending_and_takes_nothing() {
    let mut pool = Pool::new(2);
    (0..3).for_each(|_| drop(pool.submit(UNKNOWN)));
    pool.begin(1, 0);
    let end = |may_have_run| End::Broken { may_have_run };
    let actions = pool.act(|it, _, pages, out| it.break_pool(pages, out));
    let ends = [
        complete(0, end(true)),
        complete(1, end(false)),
        complete(2, end(false)),
    ];
    assert_eq!(actions[..3], ends);
    assert_eq!(actions[3..], [kill(0), kill(1)]);
    assert_eq!(pool.act(|it, _, pages, out| it.break_pool(pages, out)), []);
    assert_eq!(
        pool.scheduler.submit(UNKNOWN, (), 0, &mut Vec::new()),
        Err(())
    );
    assert_eq!(pool.shutdown(Shutdown::Drain), []);
    assert_eq!(pool.gone(0), []);
}
