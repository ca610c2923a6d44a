//! `cancel`, `kill`, and what they may not hit.

use std::sync::Barrier;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use futures::{StreamExt as _, poll};
use procession::{
    EndOfWorker, Future, InlineExecutor, Kill, ReturnWhen, Shutdown, TaskError, ThreadPoolExecutor,
    WorkerLost, as_completed, wait,
};

use super::support::{self, Case, Directory, GateKeeper, awaiting, signal, until};
use super::tasks::*;
use super::{EVER, built, make_known_as_short, ms, occupy, pid_of, pool};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        what_has_not_begun_is_cancelled_at_once,
        what_was_sent_ahead_is_cancelled_at_once,
        what_has_not_begun_does_not_wait_for_output,
        what_runs_is_asked_and_keeps_its_result,
        what_runs_is_killed_and_says_so,
        each_answer_of_kill_is_what_becomes_of_the_task,
        what_returns_in_its_grace_has_its_result_and_its_worker,
        asking_again_does_not_prolong_a_grace,
        a_kill_within_the_grace_of_a_timeout_is_a_kill,
        a_worker_is_killed_however_it_is_stuck,
        a_late_kill_does_not_hit_the_next_task,
        kills_from_everywhere_hit_nobody_else,
        the_killed_show_in_wait_and_as_completed,
        a_callback_may_cancel_and_kill,
        many_threads_may_cancel_and_kill_at_once,
        a_future_that_is_dropped_does_what_was_asked_for,
        a_map_that_is_dropped_asks_the_item_that_runs,
        what_is_killed_does_not_hold_up_a_shutdown,
        a_kill_is_awaited,
        on_threads_what_runs_is_asked,
    ]
}

fn killed<T: std::fmt::Debug>(ended: Result<T, TaskError>) -> WorkerLost {
    match ended {
        Err(TaskError::Killed(lost)) => *lost,
        other => panic!("{other:?}"),
    }
}

fn is_cancelled<T: std::fmt::Debug>(ended: &Result<T, TaskError>) -> bool {
    let never = TaskError::Cancelled {
        may_have_run: false,
    };
    matches!(ended, Err(error) if error.to_string() == never.to_string() && !error.may_have_run())
}

fn what_has_not_begun_is_cancelled_at_once() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let (running, pids) = occupy(&pool, &keeper);
    let log = keeper.log();
    let queued: Vec<_> = (0..10)
        .map(|line| pool.submit(note, (log.clone(), line)).unwrap())
        .collect();
    for future in queued.iter().step_by(2) {
        assert!(future.cancel() && future.is_cancelled());
        assert!(future.cancel(), "twice");
        assert_eq!(future.kill(), Kill::TooLate);
        assert!(is_cancelled(&future.wait()));
    }
    assert_eq!(pool.pending(), 6);
    let waited = wait(&queued, ReturnWhen::FirstCompleted, Some(Duration::ZERO));
    assert_eq!((waited.done.len(), waited.not_done.len()), (5, 5));
    assert!(as_completed(&queued).take(5).all(Future::is_cancelled));
    keeper.open(1);
    running[0].wait().unwrap();
    awaiting("those that were not cancelled");
    assert_eq!(wait(&queued, ReturnWhen::AllCompleted, None).done.len(), 10);
    assert_eq!(log.lines(), ["1", "3", "5", "7", "9"]);
    assert_eq!(pid_of(&pool), pids[0]);
}

fn what_was_sent_ahead_is_cancelled_at_once() {
    let pool = pool(1);
    make_known_as_short(&pool);
    let keeper = GateKeeper::new();
    let running = pool.submit(pass_or_not, (Some(keeper.gate()), 0)).unwrap();
    let ahead: Vec<_> = (0..30)
        .map(|label| pool.submit(pass_or_not, (None, label)).unwrap())
        .collect();
    let pid = keeper.arrival().pid;
    for (label, future) in ahead.iter().enumerate() {
        match label % 3 {
            0 => assert!(future.cancel()),
            1 => assert_eq!(future.kill(), Kill::Cancelled),
            _ => continue,
        }
        assert!(future.is_cancelled() && is_cancelled(&future.wait()));
    }
    keeper.open(1);
    running.wait().unwrap();
    for (label, future) in (0..).zip(&ahead).skip(2).step_by(3) {
        assert_eq!(future.wait().unwrap(), label);
    }
    assert_eq!(pid_of(&pool), pid);
}

/// Also where results wait for what was printed before them.
fn what_has_not_begun_does_not_wait_for_output() {
    let (enter, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel();
    let left = std::sync::Mutex::new(left);
    let pool = built(1, |builder| {
        let builder = builder.stdout(procession::Stdio::Capture);
        builder.on_output(move |_| {
            enter.send(()).unwrap();
            left.lock().unwrap().recv().unwrap();
        })
    });
    let printing = pool.submit(print, "a line".to_owned()).unwrap();
    let keeper = GateKeeper::new();
    awaiting("the line");
    entered.recv().unwrap();
    let running = pool.submit(pass, (keeper.gate(), 0)).unwrap();
    let queued = pool.submit(double, 4).unwrap();
    keeper.arrival();
    assert!(queued.cancel() && queued.is_cancelled());
    assert!(!printing.is_done());
    leave.send(()).unwrap();
    keeper.open(1);
    awaiting("the tasks");
    printing.wait().unwrap();
    running.wait().unwrap();
}

fn what_runs_is_asked_and_keeps_its_result() {
    let pool = pool(1);
    let pid = pid_of(&pool);
    for _ in 0..20 {
        let keeper = GateKeeper::new();
        let running = pool.submit(work_until_asked, Some(keeper.gate())).unwrap();
        keeper.arrival();
        assert!(!running.cancel() && !running.is_cancelled());
        awaiting("the task that was asked");
        assert_eq!(running.wait().unwrap(), (pid, false));
        assert!(!running.cancel(), "it has ended");
    }
    assert_eq!(pid_of(&pool), pid);
}

fn what_runs_is_killed_and_says_so() {
    let pool = pool(2);
    let keeper = GateKeeper::new();
    let running = pool.submit(sleep_for_ever, Some(keeper.gate())).unwrap();
    let pid = keeper.arrival().pid;
    let innocent = pool.submit(double, 4).unwrap();
    assert_eq!(running.kill(), Kill::Killing);
    awaiting("the end of the task");
    let error = running.wait().unwrap_err();
    let lost = killed(running.wait());
    assert_eq!((lost.pid, lost.attempts), (pid, 1));
    assert_eq!(lost.end, EndOfWorker::Signalled(libc::SIGKILL));
    assert!(lost.may_have_run && error.may_have_run() && lost.run_time.is_some());
    assert!(running.is_cancelled() && running.is_done() && !running.is_running());
    let text = error.to_string();
    let begin = format!(
        "killed as its caller asked: worker {pid} was ended by SIGKILL (signal 9) while it ran \
         `ends::tasks::sleep_for_ever` (task {}",
        running.id()
    );
    assert!(text.starts_with(&begin), "{text}");
    assert_eq!(innocent.wait().unwrap(), 8);
}

fn each_answer_of_kill_is_what_becomes_of_the_task() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let ended = pool.submit(double, 4).unwrap();
    ended.wait().unwrap();
    let running = pool.submit(sleep_for_ever, Some(keeper.gate())).unwrap();
    keeper.arrival();
    let queued = pool.submit(double, 5).unwrap();
    assert_eq!(ended.kill(), Kill::TooLate);
    assert_eq!(queued.kill(), Kill::Cancelled);
    assert_eq!(running.kill(), Kill::Killing);
    assert_eq!(ended.wait().unwrap(), 8);
    assert!(is_cancelled(&queued.wait()));
    killed(running.wait());
    assert_eq!(running.kill(), Kill::TooLate);
}

fn what_returns_in_its_grace_has_its_result_and_its_worker() {
    let pool = built(1, |builder| builder.cancel_grace(EVER));
    let pid = pid_of(&pool);
    for _ in 0..20 {
        let keeper = GateKeeper::new();
        let running = pool.submit(work_until_asked, Some(keeper.gate())).unwrap();
        let next = pool.submit(work_until_asked, Some(keeper.gate())).unwrap();
        keeper.arrival();
        assert_eq!(running.kill(), Kill::Killing);
        awaiting("the task that was asked");
        assert_eq!(running.wait().unwrap(), (pid, false));
        keeper.arrival();
        assert!(!next.is_done(), "the flag was not its own");
        assert_eq!(next.kill(), Kill::Killing);
        assert_eq!(next.wait().unwrap(), (pid, false));
    }
}

fn asking_again_does_not_prolong_a_grace() {
    let pool = built(1, |builder| builder.cancel_grace(ms(100)));
    let keeper = GateKeeper::new();
    let running = pool.submit(sleep_for_ever, Some(keeper.gate())).unwrap();
    keeper.arrival();
    until("the end of a task that is killed again and again", || {
        matches!(running.kill(), Kill::TooLate)
    });
    killed(running.wait());
}

fn a_kill_within_the_grace_of_a_timeout_is_a_kill() {
    let pool = built(1, |builder| builder.cancel_grace(ms(500)));
    let directory = Directory::new();
    for limit in [ms(50), EVER] {
        let keeper = GateKeeper::new();
        let seen = directory.join("seen");
        let stubborn = (keeper.gate(), seen, libc::SIGTERM, When::GoesOn);
        let call = pool.call(work_until_signalled).timeout(limit).retries(5);
        let running = call.submit(stubborn).unwrap();
        keeper.arrival();
        if limit != EVER {
            awaiting("the flag");
            assert_eq!(keeper.arrival().label, 1);
        }
        assert_eq!(running.kill(), Kill::Killing);
        awaiting("the end of the task");
        assert_eq!(killed(running.wait()).attempts, 1);
    }
}

fn a_worker_is_killed_however_it_is_stuck() {
    let directory = Directory::new();
    let pipe = directory.pipe("never");
    let pool = pool(1);
    for how in [
        Stuck::BusyLoop,
        Stuck::Read,
        Stuck::Stopped,
        Stuck::Uninterruptible,
    ] {
        let keeper = GateKeeper::new();
        let stuck = (Some(keeper.gate()), how, pipe.clone());
        let running = pool.submit(hang, stuck).unwrap();
        let pid = keeper.arrival().pid;
        let state = match how {
            Stuck::BusyLoop => 'R',
            Stuck::Read => 'S',
            Stuck::Stopped => 'T',
            _ => 'D',
        };
        until("the worker to be stuck", || {
            support::state_of(pid) == Some(state)
        });
        assert_eq!(running.kill(), Kill::Killing);
        awaiting(format!("the end of a worker that is stuck: {how:?}"));
        assert_eq!(killed(running.wait()).pid, pid);
        assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
    }
    // One that is stopped before it begins has begun nothing.
    let pid = pid_of(&pool);
    signal(pid, libc::SIGSTOP);
    until("the worker to be stopped", || {
        support::state_of(pid) == Some('T')
    });
    let sent = pool.submit(double, 1).unwrap();
    assert_eq!(sent.kill(), Kill::Cancelled);
    signal(pid, libc::SIGCONT);
    assert_eq!(pid_of(&pool), pid);
}

/// The kill comes at about the moment in which its task ends.
fn a_late_kill_does_not_hit_the_next_task() {
    let pool = pool(1);
    let mut delay = Duration::from_micros(100);
    let mut answers = [0; 3];
    for round in 0..1500 {
        let task = pool.submit(spin, 30).unwrap();
        let next: Vec<_> = (0..3).map(|n| pool.submit(double, n).unwrap()).collect();
        let begun = Instant::now();
        while begun.elapsed() < delay {
            std::hint::spin_loop();
        }
        let answer = task.kill();
        awaiting("the task that was killed, or was not");
        let ended = task.wait();
        match (answer, &ended) {
            (Kill::Cancelled, ended) if is_cancelled(ended) => answers[0] += 1,
            (Kill::Killing, Ok(30) | Err(TaskError::Killed(_))) => answers[1] += 1,
            (Kill::TooLate, Ok(30)) => answers[2] += 1,
            other => panic!("{other:?} in round {round}"),
        }
        // Towards that moment.
        let step = delay / 16 + Duration::from_nanos(100);
        delay = match answer {
            Kill::TooLate => delay.saturating_sub(step),
            _ => (delay + step).min(ms(1)),
        };
        awaiting("the tasks behind it");
        for (n, next) in (0..).zip(next) {
            assert_eq!(
                next.wait().unwrap(),
                2 * n,
                "in round {round} after {answer:?}"
            );
        }
    }
    assert!(answers[2] > 0 && answers[0] + answers[1] > 0, "{answers:?}");
}

fn kills_from_everywhere_hit_nobody_else() {
    let pool = pool(2);
    let futures: Vec<_> = (0..2000)
        .map(|n| match n % 4 {
            0 => (pool.submit(spin, 200).unwrap(), true),
            _ => pool.submit(spin, n).map(|it| (it, false)).unwrap(),
        })
        .collect();
    thread::scope(|scope| {
        for part in futures.chunks(500) {
            scope.spawn(move || {
                for (n, (future, is_meant)) in part.iter().enumerate() {
                    if *is_meant && n % 8 == 0 {
                        future.kill();
                    } else if *is_meant {
                        future.cancel();
                    }
                    if n % 50 == 0 {
                        thread::yield_now();
                    }
                }
            });
        }
        for (future, is_meant) in &futures {
            awaiting("a task");
            let ended = future.wait();
            let is_fine = match &ended {
                Ok(_) => true,
                Err(TaskError::Killed(_)) => *is_meant,
                ended => {
                    *is_meant
                        && matches!(
                            ended,
                            Err(TaskError::Cancelled {
                                may_have_run: false
                            })
                        )
                }
            };
            assert!(is_fine, "{ended:?}");
        }
    });
    assert_eq!(pool.pending(), 0);
}

fn the_killed_show_in_wait_and_as_completed() {
    let pool = pool(2);
    let keeper = GateKeeper::new();
    let hanging = || pool.submit(sleep_for_ever, Some(keeper.gate())).unwrap();
    let futures = [hanging(), hanging(), hanging()];
    keeper.arrivals(2);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            awaiting("the first that is killed");
            wait(&futures, ReturnWhen::FirstCompleted, None).done.len()
        });
        scope.spawn(|| {
            awaiting("those that are killed, as they end");
            for future in as_completed(&futures) {
                tell.send(future.id()).unwrap();
            }
        });
        for (at, answer) in [(2, Kill::Cancelled), (1, Kill::Killing), (0, Kill::Killing)] {
            let future: &Future<u32> = &futures[at];
            assert_eq!(future.kill(), answer);
            awaiting("a killed future to be seen");
            assert_eq!(told.recv().unwrap(), future.id());
        }
        assert!(first.join().unwrap() >= 1);
    });
    killed(futures[0].wait());
    killed(futures[1].wait());
}

fn a_callback_may_cancel_and_kill() {
    let pool = pool(2);
    let keeper = GateKeeper::new();
    let (tell, told) = mpsc::channel();
    let running = pool.submit(sleep_for_ever, Some(keeper.gate())).unwrap();
    keeper.arrival();
    let held = pool.submit(pass, (keeper.gate(), 1)).unwrap();
    keeper.arrival();
    let queued = pool.submit(double, 1).unwrap();
    let first = pool.submit(double, 2).unwrap();
    let others = (running.id(), queued.id());
    first.on_done(move |_| {
        let answers = (queued.cancel(), queued.kill(), running.kill());
        tell.send((answers, running, queued)).unwrap();
    });
    assert!(first.cancel());
    awaiting("the callback");
    let (answers, running, queued) = told.recv().unwrap();
    assert_eq!(answers, (true, Kill::TooLate, Kill::Killing));
    assert_eq!(others, (running.id(), queued.id()));
    killed(running.wait());
    assert!(is_cancelled(&queued.wait()));
    keeper.open(1);
    held.wait().unwrap();
}

fn many_threads_may_cancel_and_kill_at_once() {
    let pool = pool(1);
    for _ in 0..20 {
        let keeper = GateKeeper::new();
        let running = &pool.submit(sleep_for_ever, Some(keeper.gate())).unwrap();
        let queued = &pool.submit(double, 3).unwrap();
        let next = pool.submit(double, 4).unwrap();
        keeper.arrival();
        let barrier = &Barrier::new(8);
        thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || {
                    barrier.wait();
                    if number % 2 == 0 {
                        assert!(queued.cancel());
                        assert!(matches!(running.kill(), Kill::Killing | Kill::TooLate));
                    } else {
                        assert!(matches!(queued.kill(), Kill::Cancelled | Kill::TooLate));
                        running.cancel();
                    }
                });
            }
        });
        awaiting("the end of the task");
        killed(running.wait());
        assert!(is_cancelled(&queued.wait()));
        assert_eq!(next.wait().unwrap(), 8);
    }
}

fn a_future_that_is_dropped_does_what_was_asked_for() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let log = keeper.log();
    // Detached: it goes on.
    drop(pool.submit(pass, (keeper.gate(), 1)).unwrap());
    keeper.arrival();
    drop(pool.submit(note, (log.clone(), 1)).unwrap());
    drop(pool.submit(note, (log.clone(), 2)).unwrap().abort_on_drop());
    drop(pool.submit(note, (log.clone(), 3)).unwrap().kill_on_drop());
    assert_eq!(pool.pending(), 2);
    keeper.open(1);
    let pid = pid_of(&pool);
    assert_eq!(log.lines(), ["1"]);
    // What runs is asked to stop,
    let asked = pool.submit(work_until_asked, Some(keeper.gate())).unwrap();
    keeper.arrival();
    drop(asked.abort_on_drop());
    assert_eq!(pid_of(&pool), pid);
    // or ended.
    let ended = pool.submit(sleep_for_ever, Some(keeper.gate())).unwrap();
    keeper.arrival();
    drop(ended.kill_on_drop());
    assert_ne!(pid_of(&pool), pid);
    let done = pool.submit(double, 4).unwrap().kill_on_drop();
    done.wait().unwrap();
    let pid = pid_of(&pool);
    drop(done);
    assert_eq!(pid_of(&pool), pid);
}

fn a_map_that_is_dropped_asks_the_item_that_runs() {
    let pool = pool(1);
    let pid = pid_of(&pool);
    for chunksize in [1, 5] {
        let keeper = GateKeeper::new();
        let log = keeper.log();
        let inputs = (0..5).map(|item| (Some(keeper.gate()), item == 1, log.clone(), item));
        let inputs: Vec<_> = inputs.collect();
        let map = pool.map(work_until_asked_if, inputs).chunksize(chunksize);
        let mut map = map.stream();
        // The first item may have come at once.
        let first = block_on(async { poll!(map.next()) });
        keeper.arrivals(2);
        drop((first, map));
        awaiting("the worker to be free");
        assert_eq!(pid_of(&pool), pid);
        assert_eq!(log.lines(), ["0", "1"]);
        assert_eq!(pool.pending(), 0);
    }
}

fn what_is_killed_does_not_hold_up_a_shutdown() {
    for how in [Shutdown::Wait, Shutdown::CancelPending] {
        let pool = pool(1);
        let keeper = GateKeeper::new();
        let running = pool.submit(sleep_for_ever, Some(keeper.gate())).unwrap();
        let queued = pool.submit(double, 4).unwrap();
        keeper.arrival();
        assert!(pool.shutdown(how, Some(Duration::ZERO)).is_err());
        let (killed_or_not, queued) = (running.kill(), queued);
        awaiting("the shutdown");
        pool.shutdown(how, None).unwrap();
        // A shutdown whose time is up ends what is left.
        assert_eq!(killed_or_not, Kill::TooLate);
        assert!(running.error().is_some() && queued.error().is_some());
    }
    for how in [Shutdown::Wait, Shutdown::CancelPending] {
        let pool = pool(1);
        let keeper = GateKeeper::new();
        let running = pool.submit(sleep_for_ever, Some(keeper.gate())).unwrap();
        let queued = pool.submit(double, 4).unwrap();
        keeper.arrival();
        thread::scope(|scope| {
            let shutdown = scope.spawn(|| {
                awaiting("the shutdown");
                pool.shutdown(how, None).unwrap();
            });
            until("the pool to take no more", || {
                pool.try_submit(double, 1).is_err()
            });
            assert_eq!(running.kill(), Kill::Killing);
            shutdown.join().unwrap();
        });
        killed(running.wait());
        match how {
            Shutdown::Wait => assert_eq!(queued.wait().unwrap(), 8),
            _ => assert!(is_cancelled(&queued.wait())),
        }
    }
}

fn a_kill_is_awaited() {
    let pool = pool(2);
    let keeper = GateKeeper::new();
    let call = pool.call(sleep_for_ever).timeout(EVER);
    block_on(async {
        let running = call.submit_async(Some(keeper.gate())).await.unwrap();
        let other = call.try_submit(Some(keeper.gate())).unwrap();
        keeper.arrivals(2);
        let mut awaited = std::pin::pin!(async { (&running).await });
        assert!(poll!(&mut awaited).is_pending());
        assert_eq!(running.kill(), Kill::Killing);
        awaiting("the end of the task");
        killed(awaited.await);
        assert_eq!(other.kill(), Kill::Killing);
        killed(other.await);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build();
    runtime.unwrap().block_on(async {
        let running = call.submit_async(Some(keeper.gate())).await.unwrap();
        keeper.arrival();
        tokio::select! {
            biased;
            ended = &running => panic!("{ended:?}"),
            () = async {} => {}
        }
        assert_eq!(running.kill(), Kill::Killing);
        awaiting("the end of the task");
        killed(running.await);
    });
}

fn on_threads_what_runs_is_asked() {
    let executor = ThreadPoolExecutor::with_max_workers(1).unwrap();
    let keeper = GateKeeper::new();
    let running = executor
        .submit(work_until_asked, Some(keeper.gate()))
        .unwrap();
    let queued = executor.submit(double, 4).unwrap();
    keeper.arrival();
    assert_eq!(queued.kill(), Kill::Cancelled);
    assert!(queued.is_cancelled());
    assert_eq!(running.kill(), Kill::Asked);
    awaiting("the task that was asked");
    assert!(!running.wait().unwrap().1);
    assert_eq!(running.kill(), Kill::TooLate);
    let dropped = executor
        .submit(work_until_asked, Some(keeper.gate()))
        .unwrap();
    keeper.arrival();
    drop(dropped.kill_on_drop());
    assert_eq!(executor.submit(double, 5).unwrap().wait().unwrap(), 10);
    let ended = InlineExecutor::new().submit(double, 1).unwrap();
    assert_eq!((ended.kill(), ended.cancel()), (Kill::TooLate, false));
}
