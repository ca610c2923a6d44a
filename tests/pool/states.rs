//! Begun or not, cancelled or not: exact at every moment, also for a worker that is stopped.

use std::thread;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use procession::{Future, ProcessPoolExecutor, Shutdown, TaskError, as_completed};

use super::support::{self, Case, GateKeeper, awaiting, signal};
use super::tasks::*;
use super::{occupy, pids, pool};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        a_task_runs_from_its_beginning_to_its_end,
        a_task_that_was_sent_ahead_does_not_run,
        a_task_of_a_stopped_worker_has_not_begun,
        tasks_of_a_stopped_worker_are_cancelled_at_once,
        tasks_sent_ahead_to_a_stopped_worker_are_cancelled_at_once,
        a_thread_that_waits_for_a_task_of_a_stopped_worker_is_woken_by_a_cancel,
        a_thread_that_waits_for_a_task_of_a_stopped_worker_is_woken_when_it_runs,
        a_wait_for_a_task_of_a_stopped_worker_times_out,
        a_task_of_a_stopped_worker_that_is_killed_runs_elsewhere,
        a_stopped_worker_does_not_hold_up_a_shutdown_with_a_deadline,
        a_map_that_is_dropped_ends_its_chunk_after_the_item_that_runs,
        a_chunk_that_is_to_end_does_not_go_on_in_another_worker,
        an_item_of_a_chunk_is_given_while_the_chunk_goes_on,
        an_argument_that_does_not_decode_in_the_worker_costs_one_task,
    ]
}

fn stop(pid: u32) {
    signal(pid, libc::SIGSTOP);
    support::until("the worker to be stopped", || {
        support::state_of(pid) == Some('T')
    });
}

/// The only worker of a pool, stopped while it has nothing to do.
fn stopped() -> (ProcessPoolExecutor, u32) {
    let pool = pool(1);
    let pid = pids(&pool)[0];
    stop(pid);
    (pool, pid)
}

fn a_task_runs_from_its_beginning_to_its_end() {
    let pool = pool(2);
    let keeper = GateKeeper::new();
    let (running, _) = occupy(&pool, &keeper);
    let queued = pool.submit(pass, (keeper.gate(), 9)).unwrap();
    for _ in 0..100 {
        assert!(running.iter().all(Future::is_running));
        assert!(!queued.is_running());
    }
    keeper.open(1);
    keeper.arrival();
    assert!(queued.is_running());
    let running_now = running.iter().filter(|future| future.is_running());
    assert_eq!(running_now.count(), 1);
    keeper.open(2);
    for future in running.iter().chain([&queued]) {
        future.wait().unwrap();
        assert!(!future.is_running());
    }
}

fn a_task_that_was_sent_ahead_does_not_run() {
    let pool = pool(1);
    let known = pool.map(pass_or_not, vec![(None, 0); 200]);
    assert_eq!(known.filter(Result::is_ok).count(), 200);
    let keeper = GateKeeper::new();
    let running = pool.submit(pass_or_not, (Some(keeper.gate()), 0)).unwrap();
    let ahead: Vec<_> = (0..20)
        .map(|label| pool.submit(pass_or_not, (None, label)).unwrap())
        .collect();
    keeper.arrival();
    assert!(running.is_running());
    assert!(ahead.iter().all(|future| !future.is_running()));
    assert!(ahead[10].cancel() && !running.cancel());
    keeper.open(1);
    running.wait().unwrap();
    for (index, future) in (0..).zip(&ahead) {
        match future.wait() {
            Ok(label) => assert!(label == index && index != 10),
            Err(TaskError::Cancelled { .. }) => assert_eq!(index, 10),
            other => panic!("{other:?}"),
        }
    }
}

fn a_task_of_a_stopped_worker_has_not_begun() {
    let (pool, pid) = stopped();
    let future = pool.submit(double, 4).unwrap();
    assert!(!future.is_running() && !future.is_done());
    signal(pid, libc::SIGCONT);
    assert_eq!(future.wait().unwrap(), 8);
}

fn tasks_of_a_stopped_worker_are_cancelled_at_once() {
    let (pool, pid) = stopped();
    let keeper = GateKeeper::new();
    for round in 0..3 {
        let futures: Vec<_> = (0..10)
            .map(|line| pool.submit(note, (keeper.log(), line)).unwrap())
            .collect();
        for future in &futures {
            assert!(future.cancel() && future.is_cancelled(), "round {round}");
        }
        assert_eq!(pool.pending(), 0);
    }
    signal(pid, libc::SIGCONT);
    assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
    assert!(keeper.log().lines().is_empty());
}

fn tasks_sent_ahead_to_a_stopped_worker_are_cancelled_at_once() {
    let pool = pool(1);
    let known = pool.map(pass_or_not, vec![(None, 0); 200]);
    assert_eq!(known.filter(Result::is_ok).count(), 200);
    let keeper = GateKeeper::new();
    let running = pool.submit(pass_or_not, (Some(keeper.gate()), 0)).unwrap();
    let ahead: Vec<_> = (1..200)
        .map(|label| pool.submit(pass_or_not, (None, label)).unwrap())
        .collect();
    let pid = keeper.arrival().pid;
    stop(pid);
    for future in ahead.iter().step_by(2) {
        assert!(future.cancel());
    }
    assert!(running.is_running() && !running.cancel());
    keeper.open(1);
    signal(pid, libc::SIGCONT);
    running.wait().unwrap();
    for (label, future) in (1..).zip(&ahead) {
        match future.wait() {
            Ok(value) => assert!(value == label && label % 2 == 0),
            Err(TaskError::Cancelled { .. }) => assert_eq!(label % 2, 1),
            other => panic!("{other:?}"),
        }
    }
}

/// Waits until the thread of this name sleeps in the kernel: it cannot be told apart from one that
/// is about to, but by asking often enough.
fn until_it_sleeps(name: &str) {
    support::until("the waiting thread to sleep in poll", || {
        support::threads()
            .iter()
            .any(|task| task.name == name && task.sleeps_in("poll"))
    });
}

fn a_thread_that_waits_for_a_task_of_a_stopped_worker_is_woken_by_a_cancel() {
    for _ in 0..20 {
        let (pool, pid) = stopped();
        let future = &pool.submit(double, 4).unwrap();
        let other = &pool.submit(double, 5).unwrap();
        thread::scope(|scope| {
            let waiter = || thread::Builder::new().name("waiter".into());
            let first = waiter().spawn_scoped(scope, || future.wait()).unwrap();
            until_it_sleeps("waiter");
            let second = scope.spawn(|| future.wait());
            assert!(future.cancel());
            awaiting("the thread that waited for the cancelled task");
            assert!(matches!(
                first.join().unwrap(),
                Err(TaskError::Cancelled { .. })
            ));
            assert!(matches!(
                second.join().unwrap(),
                Err(TaskError::Cancelled { .. })
            ));
            signal(pid, libc::SIGCONT);
            awaiting("the other task");
            assert_eq!(other.wait().unwrap(), 10);
        });
    }
}

fn a_thread_that_waits_for_a_task_of_a_stopped_worker_is_woken_when_it_runs() {
    for _ in 0..20 {
        let (pool, pid) = stopped();
        let future = &pool.submit(double, 4).unwrap();
        thread::scope(|scope| {
            let waiter = thread::Builder::new().name("waiter".into());
            let waiter = waiter.spawn_scoped(scope, || future.wait()).unwrap();
            until_it_sleeps("waiter");
            signal(pid, libc::SIGCONT);
            awaiting("the thread that waits");
            assert_eq!(waiter.join().unwrap().unwrap(), 8);
        });
    }
}

fn a_wait_for_a_task_of_a_stopped_worker_times_out() {
    let (pool, pid) = stopped();
    let future = pool.submit(double, 4).unwrap();
    for milliseconds in [0, 1, 20] {
        let timeout = Duration::from_millis(milliseconds);
        assert!(future.wait_timeout(timeout).is_none());
    }
    let mut one = as_completed([&future]).timeout(Duration::from_millis(1));
    assert!(matches!(one.next(), Some(Err(TaskError::TimedOut { .. }))));
    signal(pid, libc::SIGCONT);
    assert_eq!(block_on(future).unwrap(), 8);
}

fn a_task_of_a_stopped_worker_that_is_killed_runs_elsewhere() {
    let (pool, pid) = stopped();
    let keeper = GateKeeper::new();
    let futures: Vec<_> = (0..10)
        .map(|line| pool.submit(note, (keeper.log(), line)).unwrap())
        .collect();
    signal(pid, libc::SIGKILL);
    for (line, future) in (0..).zip(futures) {
        assert_eq!(future.wait().unwrap(), line);
    }
    assert_eq!(keeper.log().lines().len(), 10);
}

fn a_stopped_worker_does_not_hold_up_a_shutdown_with_a_deadline() {
    for how in [Shutdown::Wait, Shutdown::CancelPending, Shutdown::Kill] {
        let (pool, _) = stopped();
        let futures: Vec<_> = (0..10).map(|n| pool.submit(double, n).unwrap()).collect();
        let ended = pool.shutdown(how, Some(Duration::from_millis(20)));
        assert!(how != Shutdown::Wait || ended.is_err());
        for future in futures {
            match future.wait_timeout(Duration::ZERO) {
                Some(Err(error @ (TaskError::ShutDown { .. } | TaskError::Cancelled { .. }))) => {
                    assert!(!error.may_have_run());
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn a_map_that_is_dropped_ends_its_chunk_after_the_item_that_runs() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let log = keeper.log();
    // Item 2 takes long enough for what was finished to be sent; item 3 is held up.
    let inputs = (0..10).map(|item| match item {
        2 => (log.clone(), item, Wait::AMoment),
        3 => (log.clone(), item, Wait::AtTheGate(keeper.gate())),
        _ => (log.clone(), item, Wait::Not),
    });
    let mut map = pool.map(note_and_wait, inputs).chunksize(10);
    for item in 0..3 {
        assert_eq!(map.next().unwrap().unwrap(), item);
    }
    keeper.arrival();
    drop(map);
    keeper.open(1);
    assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
    assert_eq!(log.lines(), ["0", "1", "2", "3"]);
}

fn a_chunk_that_is_to_end_does_not_go_on_in_another_worker() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let log = keeper.log();
    let inputs = (0..10).map(|item| match item {
        2 => (log.clone(), item, Wait::AMoment),
        3 => (log.clone(), item, Wait::AtTheGateForEver(keeper.gate())),
        _ => (log.clone(), item, Wait::Not),
    });
    let mut map = pool.map(note_and_wait, inputs).chunksize(10);
    assert_eq!(map.next().unwrap().unwrap(), 0);
    keeper.arrival();
    drop(map);
    keeper.open(1);
    assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
    assert_eq!(pool.pending(), 0);
    assert_eq!(log.lines(), ["0", "1", "2", "3"]);
}

/// Who waits for an item must not be put to sleep by the chunk that goes on behind it: also who
/// begins to wait in the moment in which the item comes.
fn an_item_of_a_chunk_is_given_while_the_chunk_goes_on() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let log = keeper.log();
    for round in (0..400).step_by(2) {
        let inputs = [
            (log.clone(), 0, Wait::Not),
            (log.clone(), 1, Wait::Not),
            (log.clone(), 2, Wait::AMoment),
            (log.clone(), 3, Wait::AtTheGate(keeper.gate())),
        ];
        let mut map = pool.map(note_and_wait, inputs).chunksize(2);
        awaiting("the first chunk");
        assert_eq!(map.next().unwrap().unwrap(), 0);
        assert_eq!(map.next().unwrap().unwrap(), 1);
        let begun = Instant::now();
        while begun.elapsed() < MOMENT + Duration::from_micros(round) {
            std::hint::spin_loop();
        }
        awaiting("the first item of the second chunk");
        assert_eq!(map.next().unwrap().unwrap(), 2);
        keeper.open(1);
        awaiting("the second item of the second chunk");
        assert_eq!(map.next().unwrap().unwrap(), 3);
    }
}

fn an_argument_that_does_not_decode_in_the_worker_costs_one_task() {
    let pool = pool(1);
    let before = pids(&pool);
    for number in 0..20 {
        match pool.submit(take_home, AtHome(number)).unwrap().wait() {
            Err(error @ TaskError::ArgumentNotDecoded { .. }) => {
                assert!(!error.may_have_run());
                let text = error.to_string();
                assert!(text.contains("pool::tasks::take_home"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pids(&pool), before);
}
