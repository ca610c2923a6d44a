//! One death, one failed task.

use std::thread;

use procession::{EndOfWorker, Future, Shutdown, TaskError, WorkerLost};

use super::support::{self, Case, Directory, GateKeeper, awaiting, signal};
use super::tasks::*;
use super::{occupy, pids, pool};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        every_way_to_die_is_told,
        a_worker_killed_from_outside_loses_the_task_that_runs,
        a_thread_in_wait_is_woken_by_the_death,
        tasks_behind_the_one_that_kills_run_elsewhere,
        a_worker_killed_while_idle_loses_nothing,
        all_workers_killed_at_once_are_replaced,
        a_death_while_an_argument_is_decoded_costs_one_task,
        a_death_while_a_result_is_encoded_costs_one_task,
        a_chunk_loses_the_item_that_runs,
        a_chunk_gives_what_has_ended_while_an_item_takes_for_ever,
        a_chunk_runs_no_item_twice,
        a_map_goes_on_through_deaths,
        a_death_amid_a_large_argument_costs_one_task,
        a_deadly_task_does_not_hold_up_a_shutdown,
    ]
}

fn lost(future: &Future<u32>) -> WorkerLost {
    awaiting("the news of the worker's death");
    match future.wait() {
        Err(TaskError::WorkerLost(lost)) => *lost,
        other => panic!("{other:?}"),
    }
}

fn every_way_to_die_is_told() {
    let ways = [
        (Way::Kill, EndOfWorker::Signalled(9), "SIGKILL"),
        (Way::Exit(0), EndOfWorker::Exited(0), "exited with code 0"),
        (
            Way::Exit(42),
            EndOfWorker::Exited(42),
            "exited with code 42",
        ),
        (
            Way::ExitAtOnce(0),
            EndOfWorker::Exited(0),
            "exited with code 0",
        ),
        (Way::ExitAtOnce(42), EndOfWorker::Exited(42), "code 42"),
        (Way::Abort, EndOfWorker::Signalled(6), "SIGABRT"),
        (Way::Segfault, EndOfWorker::Signalled(11), "SIGSEGV"),
        (Way::StackOverflow, EndOfWorker::Signalled(6), "SIGABRT"),
        (Way::PanicInAPanic, EndOfWorker::Signalled(6), "SIGABRT"),
    ];
    let pool = pool(1);
    for (way, end, words) in ways {
        let pid_before = pids(&pool)[0];
        let future = pool.submit(die, way).unwrap();
        let innocent = pool.submit(double, 4).unwrap();
        let lost = lost(&future);
        assert_eq!(lost.end, end, "{way:?}");
        assert_eq!(lost.pid, pid_before);
        assert_eq!(&*lost.function, "pool::tasks::die");
        assert_eq!(lost.task, future.id());
        assert!(lost.may_have_run && lost.run_time.is_some());
        let text = lost.to_string();
        assert!(
            text.contains(words) && text.contains("pool::tasks::die"),
            "{text}"
        );
        awaiting("the task behind the one that killed the worker");
        assert_eq!(innocent.wait().unwrap(), 8);
        assert_ne!(pids(&pool)[0], pid_before);
    }
}

fn a_worker_killed_from_outside_loses_the_task_that_runs() {
    let pool = pool(3);
    let keeper = GateKeeper::new();
    let (running, workers) = occupy(&pool, &keeper);
    let queued: Vec<_> = (0..20).map(|n| pool.submit(double, n).unwrap()).collect();
    let killed = workers[1];
    signal(killed, libc::SIGKILL);
    let waited = procession::wait(&running, procession::ReturnWhen::FirstCompleted, None);
    let [failed] = waited.done[..] else {
        panic!("{waited:?}");
    };
    let lost = lost(failed);
    assert_eq!((lost.pid, lost.end), (killed, EndOfWorker::Signalled(9)));
    for (n, future) in (0..).zip(queued) {
        // The replacement takes these, while the others are held up.
        assert_eq!(future.wait().unwrap(), 2 * n);
    }
    assert_eq!(
        running.iter().filter(|future| future.is_running()).count(),
        2
    );
    keeper.open(2);
    assert_eq!(
        running
            .iter()
            .filter(|future| future.wait().is_ok())
            .count(),
        2
    );
    let now = pids(&pool);
    assert!(now.len() == 3 && !now.contains(&killed));
}

fn a_thread_in_wait_is_woken_by_the_death() {
    for _ in 0..10 {
        let pool = pool(1);
        let keeper = GateKeeper::new();
        let (running, workers) = occupy(&pool, &keeper);
        thread::scope(|scope| {
            let waiting = [(); 3].map(|()| scope.spawn(|| lost(&running[0]).end));
            signal(workers[0], libc::SIGKILL);
            for thread in waiting {
                assert_eq!(thread.join().unwrap(), EndOfWorker::Signalled(9));
            }
        });
        awaiting("the replacement");
        assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
    }
}

fn tasks_behind_the_one_that_kills_run_elsewhere() {
    let pool = pool(1);
    let directory = Directory::new();
    for round in 0..3 {
        let log = directory.log(&round.to_string());
        // Known to be short, so that the pipe is filled behind the one that kills.
        let short = |item| (log.clone(), item, Wait::Not);
        let known = pool.map(note_and_wait, (0..100).map(short));
        assert_eq!(known.filter(Result::is_ok).count(), 100);
        let mut futures = Vec::new();
        for item in 100..200 {
            let wait = if item == 110 {
                Wait::ForEver
            } else {
                Wait::Not
            };
            futures.push(
                pool.submit(note_and_wait, (log.clone(), item, wait))
                    .unwrap(),
            );
        }
        for (item, future) in (100..).zip(&futures) {
            match future.wait() {
                Ok(value) => assert!(value == item && item != 110),
                Err(TaskError::WorkerLost(_)) => assert_eq!(item, 110),
                other => panic!("{other:?}"),
            }
        }
        let mut lines: Vec<u32> = log
            .lines()
            .iter()
            .map(|line| line.parse().unwrap())
            .collect();
        lines.sort_unstable();
        assert_eq!(lines, (0..200).collect::<Vec<_>>(), "each has run once");
    }
}

fn a_worker_killed_while_idle_loses_nothing() {
    for workers in [1, 2] {
        let pool = pool(workers);
        for n in 0..20 {
            let pid = pool.submit(pid, ()).unwrap().wait().unwrap();
            signal(pid, libc::SIGKILL);
            awaiting("a task after the death of an idle worker");
            assert_eq!(pool.submit(double, n).unwrap().wait().unwrap(), 2 * n);
        }
    }
}

fn all_workers_killed_at_once_are_replaced() {
    let pool = pool(3);
    for _ in 0..3 {
        let before = pids(&pool);
        for &pid in &before {
            signal(pid, libc::SIGKILL);
        }
        let sum: u64 = pool.map(double, 0..100).map(Result::unwrap).sum();
        assert_eq!(sum, 9900);
        let now = pids(&pool);
        assert_eq!(now.len(), 3);
        assert!(now.iter().all(|pid| !before.contains(pid)));
    }
}

fn a_death_while_an_argument_is_decoded_costs_one_task() {
    let pool = pool(1);
    for (way, end) in [
        (Way::Exit(5), EndOfWorker::Exited(5)),
        (Way::Kill, EndOfWorker::Signalled(9)),
    ] {
        let future = pool.submit(take_poison, Poison(way)).unwrap();
        let innocent = pool.submit(double, 4).unwrap();
        assert_eq!(lost(&future).end, end);
        assert_eq!(innocent.wait().unwrap(), 8);
    }
}

fn a_death_while_a_result_is_encoded_costs_one_task() {
    let pool = pool(1);
    for (way, end) in [
        (Way::Exit(5), EndOfWorker::Exited(5)),
        (Way::Segfault, EndOfWorker::Signalled(11)),
    ] {
        let future = pool.submit(make_last_words, way).unwrap();
        let innocent = pool.submit(double, 4).unwrap();
        match future.wait() {
            Err(TaskError::WorkerLost(lost)) => assert_eq!(lost.end, end),
            other => panic!("{:?}", other.err()),
        }
        assert_eq!(innocent.wait().unwrap(), 8);
    }
}

/// Those before are finished and sent, those after run elsewhere.
fn a_chunk_loses_the_item_that_runs() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let log = keeper.log();
    let pid = pids(&pool)[0];
    let inputs = (0..10).map(|item| match item {
        3 => (log.clone(), item, Wait::AMoment),
        4 => (log.clone(), item, Wait::AtTheGateForEver(keeper.gate())),
        _ => (log.clone(), item, Wait::Not),
    });
    let mut map = pool.map(note_and_wait, inputs).chunksize(10);
    for item in 0..4 {
        assert_eq!(map.next().unwrap().unwrap(), item);
    }
    assert_eq!(keeper.arrival().label, 4);
    keeper.open(1);
    match map.next() {
        Some(Err(TaskError::WorkerLost(lost))) => {
            assert_eq!((lost.pid, lost.end), (pid, EndOfWorker::Signalled(9)));
            assert!(lost.may_have_run);
        }
        other => panic!("{other:?}"),
    }
    for item in 5..10 {
        assert_eq!(map.next().unwrap().unwrap(), item);
    }
    assert!(map.next().is_none());
    let expected: Vec<String> = (0..10).map(|item| item.to_string()).collect();
    assert_eq!(log.lines(), expected);
}

/// Without as much as a moment between the items that end and the one that does not.
fn a_chunk_gives_what_has_ended_while_an_item_takes_for_ever() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let log = keeper.log();
    let inputs = (0..10).map(|item| match item {
        4 | 7 => (log.clone(), item, Wait::AtTheGateForEver(keeper.gate())),
        _ => (log.clone(), item, Wait::Not),
    });
    let mut map = pool.map(note_and_wait, inputs).chunksize(10);
    for (fatal, before) in [(4, 0..4), (7, 5..7)] {
        for item in before {
            awaiting("what ended before the item that does not");
            assert_eq!(map.next().unwrap().unwrap(), item);
        }
        assert_eq!(keeper.arrival().label, fatal);
        keeper.open(1);
        let end = map.next();
        assert!(
            matches!(end, Some(Err(TaskError::WorkerLost(_)))),
            "{end:?}"
        );
    }
    for item in 8..10 {
        assert_eq!(map.next().unwrap().unwrap(), item);
    }
    assert!(map.next().is_none());
    let expected: Vec<String> = (0..10).map(|item| item.to_string()).collect();
    assert_eq!(log.lines(), expected);
}

/// What was finished, but not yet sent, may be lost with the item that kills; it does not run again.
fn a_chunk_runs_no_item_twice() {
    let pool = pool(2);
    let directory = Directory::new();
    for (round, fatal) in [0, 1, 5, 9].into_iter().enumerate() {
        let log = directory.log(&round.to_string());
        let inputs = (0..10).map(|item| {
            let wait = if item == fatal {
                Wait::ForEver
            } else {
                Wait::Not
            };
            (log.clone(), item, wait)
        });
        let items: Vec<_> = pool.map(note_and_wait, inputs).chunksize(10).collect();
        for (index, item) in (0..).zip(items) {
            match item {
                Ok(value) => assert!(value == index && index != fatal),
                Err(TaskError::WorkerLost(lost)) => assert!(index <= fatal && lost.may_have_run),
                other => panic!("{other:?}"),
            }
        }
        let expected: Vec<String> = (0..10).map(|item| item.to_string()).collect();
        assert_eq!(log.sorted(), expected);
    }
}

fn a_map_goes_on_through_deaths() {
    let pool = pool(2);
    let directory = Directory::new();
    for chunksize in [1, 4] {
        let log = directory.log(&chunksize.to_string());
        let inputs = (0..100).map(|item| match item % 25 {
            // So that those before have been sent.
            6 => (log.clone(), item, Wait::AMoment),
            7 => (log.clone(), item, Wait::ForEver),
            _ => (log.clone(), item, Wait::Not),
        });
        let map = pool.map(note_and_wait, inputs).chunksize(chunksize);
        for (index, item) in (0..).zip(map) {
            match item {
                Ok(value) => assert!(value == index && index % 25 != 7),
                Err(TaskError::WorkerLost(_)) => assert_eq!(index % 25, 7),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(log.lines().len(), 100);
    }
}

fn a_death_amid_a_large_argument_costs_one_task() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let (running, workers) = occupy(&pool, &keeper);
    // More than the pipe holds, so that the rest waits for the worker, which never reads it.
    let large: Vec<_> = (0..2)
        .map(|_| pool.submit(length, "x".repeat(4 << 20)).unwrap())
        .collect();
    signal(workers[0], libc::SIGKILL);
    assert_eq!(lost(&running[0]).pid, workers[0]);
    for future in large {
        assert_eq!(future.wait().unwrap(), 4 << 20);
    }
}

fn a_deadly_task_does_not_hold_up_a_shutdown() {
    for how in [Shutdown::Wait, Shutdown::CancelPending, Shutdown::Kill] {
        let pool = pool(2);
        let futures: Vec<_> = (0..6)
            .map(|_| pool.submit(die, Way::Kill).unwrap())
            .collect();
        awaiting("the shutdown");
        pool.shutdown(how, None).unwrap();
        for future in futures {
            assert!(future.error().is_some());
        }
    }
}
