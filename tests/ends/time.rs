//! Timeouts, deadlines, and the steps of an end.

use std::thread;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use procession::{
    BuildError, EndOfWorker, Executor, ExecutorExt as _, Future, InlineExecutor,
    ProcessPoolExecutor, Shutdown, SubmitError, TaskError, ThreadPoolExecutor, TimeLimitKind,
    TryMapError,
};

use super::support::{self, Case, Directory, GateKeeper, awaiting, signal, signals_in, until};
use super::tasks::*;
use super::{EVER, built, make_known_as_short, ms, occupy, pid_of, pool, time_limit};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        a_timeout_counts_from_the_start_of_the_run,
        a_call_overrides_the_limits_of_its_pool,
        limits_of_zero_are_refused,
        a_deadline_that_passes_in_the_queue_ends_what_has_not_begun,
        a_deadline_that_passes_in_the_pipe_ends_what_has_not_begun,
        a_deadline_ends_what_runs,
        a_task_that_returns_when_it_is_asked_keeps_its_worker_and_its_result,
        a_task_that_does_not_return_when_it_is_asked_is_ended,
        a_chunk_that_returns_when_it_is_asked_goes_on,
        a_chunk_that_returns_at_its_deadline_ends_there,
        an_item_is_asked_in_time_though_the_one_before_had_its_grace,
        a_worker_is_asked_to_go_by_a_signal,
        the_signal_can_be_chosen,
        what_a_task_returns_after_the_signal_counts,
        each_grace_may_be_zero,
        grandchildren_go_too,
        a_worker_is_ended_however_it_is_stuck,
        a_worker_that_is_stopped_before_it_begins_does_not_hold_its_task,
        a_worker_that_is_stopped_in_a_result_does_not_hold_its_task,
        no_other_task_is_hit,
        no_other_item_is_hit,
        limits_hold_while_the_pool_is_shut_down,
        limits_hold_while_the_pool_is_dropped,
        limits_hold_for_every_way_to_submit,
        limits_hold_under_tokio,
        limits_say_what_they_are,
        threads_raise_the_flag_and_begin_nothing_late,
        the_calling_thread_raises_the_flag,
    ]
}

fn a_timeout_counts_from_the_start_of_the_run() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let (running, pids) = occupy(&pool, &keeper);
    let quick = pool.call(nap).timeout(ms(100)).submit(0).unwrap();
    let slow = pool.call(nap).timeout(ms(100)).submit(3_600_000).unwrap();
    let begun = Instant::now();
    until("more time to pass than the timeout", || {
        begun.elapsed() > ms(250)
    });
    assert!(!quick.is_done() && !slow.is_done());
    keeper.open(1);
    awaiting("the tasks");
    assert_eq!(quick.wait().unwrap(), 0);
    let limit = time_limit(slow.wait());
    assert_eq!((limit.kind, limit.limit), (TimeLimitKind::Timeout, ms(100)));
    assert_eq!((limit.pid, limit.attempts), (Some(pids[0]), 1));
    assert!(limit.may_have_run && limit.run_time.unwrap() >= ms(100));
    assert_eq!(limit.task, slow.id());
    running[0].wait().unwrap();
    assert_ne!(pid_of(&pool), pids[0]);
}

fn a_call_overrides_the_limits_of_its_pool() {
    let pool = built(2, |builder| builder.timeout(ms(100)).deadline(EVER));
    let ended = pool.submit(nap, 3_600_000).unwrap();
    assert_eq!(time_limit(ended.wait()).limit, ms(100));
    let items: Vec<_> = pool.map(nap, [0, 3_600_000]).collect();
    assert!(items[0].is_ok() && items[1].is_err());
    let patient = pool.call(nap).timeout(None).submit(250).unwrap();
    assert_eq!(patient.wait().unwrap(), 250);
    let other = pool.call(nap).timeout(ms(50)).submit(3_600_000).unwrap();
    assert_eq!(time_limit(other.wait()).limit, ms(50));
    drop(pool);

    let pool = built(1, |builder| builder.deadline(ms(100)));
    let ended = pool.submit(nap, 3_600_000).unwrap();
    let limit = time_limit(ended.wait());
    assert_eq!(
        (limit.kind, limit.limit),
        (TimeLimitKind::Deadline, ms(100))
    );
    let patient = pool.call(nap).deadline(None).submit(250).unwrap();
    assert_eq!(patient.wait().unwrap(), 250);
    let both = pool.call(nap).timeout(ms(50)).deadline(EVER);
    let both = both.submit(3_600_000).unwrap();
    assert_eq!(time_limit(both.wait()).kind, TimeLimitKind::Timeout);
}

fn limits_of_zero_are_refused() {
    let pool = pool(1);
    let zero = Duration::ZERO;
    for (parameter, call) in [
        ("timeout", pool.call(double).timeout(zero)),
        ("deadline", pool.call(double).deadline(zero)),
    ] {
        let refused = [
            call.submit(1).unwrap_err(),
            call.try_submit(1).unwrap_err().reason,
            block_on(call.submit_async(1)).unwrap_err(),
        ];
        let items = call.map([1]).next();
        let Some(Err(TaskError::Refused(item))) = items else {
            panic!("{items:?}");
        };
        for refused in refused.iter().chain([&item]) {
            let text = refused.to_string();
            assert!(text.contains(parameter) && text.contains("zero"), "{text}");
        }
    }
    assert_eq!(pool.pending(), 0);
    let builders = [
        ("timeout", ProcessPoolExecutor::builder().timeout(zero)),
        ("deadline", ProcessPoolExecutor::builder().deadline(zero)),
        (
            "exit_grace",
            ProcessPoolExecutor::builder().exit_grace(zero),
        ),
    ];
    for (name, builder) in builders {
        match builder.build() {
            Err(BuildError::Parameter { parameter, .. }) => assert_eq!(parameter, name),
            other => panic!("{other:?}"),
        }
    }
    for unknown in [-1, 0, 9, 19, 65] {
        let builder = ProcessPoolExecutor::builder().terminate_signal(unknown);
        let text = builder.build().unwrap_err().to_string();
        assert!(text.contains("terminate_signal"), "{text}");
    }
}

fn a_deadline_that_passes_in_the_queue_ends_what_has_not_begun() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let (running, pids) = occupy(&pool, &keeper);
    let log = keeper.log();
    let late = pool
        .call(note)
        .deadline(ms(50))
        .submit((log.clone(), 1))
        .unwrap();
    let patient = pool
        .call(note)
        .deadline(EVER)
        .submit((log.clone(), 2))
        .unwrap();
    awaiting("the deadline");
    let limit = time_limit(late.wait());
    assert_eq!((limit.kind, limit.limit), (TimeLimitKind::Deadline, ms(50)));
    assert_eq!((limit.pid, limit.run_time, limit.attempts), (None, None, 0));
    assert!(!limit.may_have_run && running[0].is_running());
    let text = format!(
        "`ends::tasks::note` had not begun at its deadline of 50ms (task {})",
        late.id()
    );
    assert_eq!(limit.to_string(), text);
    assert_eq!(pool.pending(), 2);
    keeper.open(1);
    patient.wait().unwrap();
    assert_eq!(log.lines(), ["2"]);
    assert_eq!(pid_of(&pool), pids[0]);
}

fn a_deadline_that_passes_in_the_pipe_ends_what_has_not_begun() {
    let pool = pool(1);
    make_known_as_short(&pool);
    let keeper = GateKeeper::new();
    let running = pool.submit(pass_or_not, (Some(keeper.gate()), 0)).unwrap();
    let call = pool.call(pass_or_not);
    let futures: Vec<_> = (1..40)
        .map(|label| match label % 2 {
            0 => call.submit((None, label)).unwrap(),
            _ => call
                .clone()
                .deadline(ms(100))
                .submit((None, label))
                .unwrap(),
        })
        .collect();
    let pid = keeper.arrival().pid;
    awaiting("the deadlines");
    let mut late = futures.iter().step_by(2);
    assert!(late.all(|future| !time_limit(future.wait()).may_have_run));
    assert!(running.is_running());
    keeper.open(1);
    running.wait().unwrap();
    for (label, future) in (1..).zip(&futures).skip(1).step_by(2) {
        assert_eq!(future.wait().unwrap(), label);
    }
    assert_eq!(pid_of(&pool), pid);
}

fn a_deadline_ends_what_runs() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let future = pool
        .call(sleep_for_ever)
        .deadline(ms(100))
        .timeout(EVER)
        .submit(Some(keeper.gate()))
        .unwrap();
    let pid = keeper.arrival().pid;
    let limit = time_limit(future.wait());
    assert_eq!(
        (limit.kind, limit.limit),
        (TimeLimitKind::Deadline, ms(100))
    );
    assert_eq!((limit.pid, limit.attempts), (Some(pid), 1));
    assert!(limit.may_have_run && limit.run_time.is_some());
    assert_ne!(pid_of(&pool), pid);
}

fn a_task_that_returns_when_it_is_asked_keeps_its_worker_and_its_result() {
    let pool = built(1, |builder| builder.cancel_grace(EVER));
    let pid = pid_of(&pool);
    for round in 0..10 {
        let call = pool.call(work_until_asked);
        let call = match round % 2 {
            0 => call.timeout(ms(10)),
            _ => call.deadline(ms(30)),
        };
        awaiting("the task that is asked");
        // The flag of the one before is not that of this one.
        assert_eq!(call.submit(None).unwrap().wait().unwrap(), (pid, false));
    }
}

fn a_task_that_does_not_return_when_it_is_asked_is_ended() {
    let pool = built(1, |builder| builder.cancel_grace(ms(100)));
    let future = pool.call(nap).timeout(ms(50)).submit(3_600_000).unwrap();
    awaiting("the end of the task");
    let limit = time_limit(future.wait());
    assert_eq!((limit.kind, limit.limit), (TimeLimitKind::Timeout, ms(50)));
    assert!(limit.run_time.unwrap() >= ms(150));
    assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
}

fn a_chunk_that_returns_when_it_is_asked_goes_on() {
    let pool = built(1, |builder| builder.cancel_grace(EVER));
    let pid = pid_of(&pool);
    let log = GateKeeper::new();
    let inputs = (0..8).map(|item| (None, item % 3 == 0, log.log(), item));
    let map = pool.call(work_until_asked_if).timeout(ms(20)).map(inputs);
    awaiting("the items");
    // Each is asked for itself.
    let asked: Vec<_> = map.chunksize(8).collect::<Result<_, _>>().unwrap();
    assert_eq!(asked, [false; 8]);
    assert_eq!(pid_of(&pool), pid);
    assert_eq!(log.log().lines().len(), 8);
}

fn a_chunk_that_returns_at_its_deadline_ends_there() {
    let pool = built(1, |builder| builder.cancel_grace(EVER));
    let pid = pid_of(&pool);
    let log = GateKeeper::new();
    let inputs = (0..8).map(|item| (None, item == 3, log.log(), item));
    let map = pool.call(work_until_asked_if).deadline(ms(200)).map(inputs);
    awaiting("the items");
    let ended: Vec<_> = map.chunksize(8).collect();
    assert!(ended[..4].iter().all(|item| matches!(item, Ok(false))));
    for item in &ended[4..] {
        let limit = time_limit(item.clone());
        assert_eq!(
            (limit.kind, limit.may_have_run),
            (TimeLimitKind::Deadline, false)
        );
    }
    assert_eq!(log.log().lines(), ["0", "1", "2", "3"]);
    assert_eq!(pid_of(&pool), pid);
}

fn an_item_is_asked_in_time_though_the_one_before_had_its_grace() {
    let pool = built(1, |builder| builder.cancel_grace(EVER));
    let keeper = GateKeeper::new();
    let inputs = (0..3).map(|item| (None, item < 2, keeper.log(), item));
    let map = pool.call(work_until_asked_if).timeout(ms(50)).map(inputs);
    awaiting("the items");
    assert!(map.chunksize(3).all(|item| item.is_ok()));
}

fn a_worker_is_asked_to_go_by_a_signal() {
    let pool = built(1, |builder| builder.terminate_grace(EVER));
    let keeper = GateKeeper::new();
    let directory = Directory::new();
    let seen = directory.join("seen");
    let exits = (keeper.gate(), seen.clone(), libc::SIGTERM, When::Exits(7));
    let future = pool
        .call(work_until_signalled)
        .timeout(ms(100))
        .submit(exits)
        .unwrap();
    let pid = keeper.arrival().pid;
    awaiting("the worker that ends itself");
    assert_eq!(time_limit(future.wait()).pid, Some(pid));
    assert_eq!(signals_in(&seen), [15]);
    // Without a handler it has the system's.
    let future = pool.call(nap).timeout(ms(50)).submit(3_600_000).unwrap();
    awaiting("the worker that is ended by the signal");
    time_limit(future.wait());
    assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
}

fn the_signal_can_be_chosen() {
    let pool = built(1, |builder| {
        let builder = builder.terminate_signal(libc::SIGUSR1);
        builder.terminate_grace(EVER)
    });
    let keeper = GateKeeper::new();
    let directory = Directory::new();
    let seen = directory.join("seen");
    let exits = (keeper.gate(), seen.clone(), libc::SIGUSR1, When::Exits(0));
    let future = pool.submit(work_until_signalled, exits).unwrap();
    keeper.arrival();
    assert_eq!(future.kill(), procession::Kill::Killing);
    awaiting("the worker that ends itself");
    match future.wait() {
        Err(TaskError::Killed(lost)) => assert_eq!(lost.end, EndOfWorker::Exited(0)),
        other => panic!("{other:?}"),
    }
    assert_eq!(signals_in(&seen), [libc::SIGUSR1 as u8]);
}

fn what_a_task_returns_after_the_signal_counts() {
    let pool = built(1, |builder| builder.terminate_grace(EVER));
    make_known_as_short(&pool);
    let pid = pid_of(&pool);
    let keeper = GateKeeper::new();
    let directory = Directory::new();
    let seen = directory.join("seen");
    let returns = (keeper.gate(), seen.clone(), libc::SIGTERM, When::Returns);
    let call = pool.call(work_until_signalled).timeout(ms(100));
    let future = call.submit(returns).unwrap();
    let behind: Vec<_> = (0..20)
        .map(|label| pool.submit(pass_or_not, (None, label)).unwrap())
        .collect();
    awaiting("the task that returns in time");
    future.wait().unwrap();
    assert_eq!(signals_in(&seen), [15]);
    // The worker was to end, and does.
    assert_ne!(pid_of(&pool), pid);
    for (label, future) in (0..).zip(behind) {
        assert_eq!(future.wait().unwrap(), label);
    }
}

fn each_grace_may_be_zero() {
    let grace = ms(150);
    for (cancel, terminate) in [
        (Duration::ZERO, Duration::ZERO),
        (grace, Duration::ZERO),
        (Duration::ZERO, grace),
        (grace, grace),
    ] {
        let pool = built(1, |builder| {
            builder.cancel_grace(cancel).terminate_grace(terminate)
        });
        let keeper = GateKeeper::new();
        let directory = Directory::new();
        let seen = directory.join("seen");
        let goes_on = (keeper.gate(), seen.clone(), libc::SIGTERM, When::GoesOn);
        let call = pool.call(work_until_signalled).timeout(ms(100));
        let future = call.submit(goes_on).unwrap();
        awaiting("the end of the task");
        let limit = time_limit(future.wait());
        assert!(limit.run_time.unwrap() >= ms(100) + cancel + terminate);
        let expected: &[u8] = if terminate.is_zero() { &[] } else { &[15] };
        assert_eq!(signals_in(&seen), expected, "{cancel:?} {terminate:?}");
        // That it began; and that it saw the flag, if it had any time for that.
        let arrived = keeper.arrived();
        assert!((1..=2).contains(&arrived) && (arrived == 2 || (cancel + terminate).is_zero()));
        assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
    }
}

fn grandchildren_go_too() {
    for terminate in [Duration::ZERO, EVER] {
        let pool = built(1, |builder| builder.terminate_grace(terminate));
        let keeper = GateKeeper::new();
        let log = keeper.log();
        let call = pool.call(hang_with_a_child).timeout(ms(100));
        let future = call.submit((keeper.gate(), log.clone())).unwrap();
        keeper.arrival();
        time_limit(future.wait());
        let grandchild = log.lines()[0].parse().unwrap();
        until("the grandchild to be gone", || {
            // Process 1 may leave it a zombie.
            matches!(support::state_of(grandchild), None | Some('Z'))
        });
    }
}

const STUCK: [Stuck; 5] = [
    Stuck::Asleep,
    Stuck::BusyLoop,
    Stuck::Read,
    Stuck::Stopped,
    Stuck::Uninterruptible,
];

fn a_worker_is_ended_however_it_is_stuck() {
    let directory = Directory::new();
    let pipe = directory.pipe("never");
    for grace in [Duration::ZERO, ms(50)] {
        let pool = built(1, |builder| {
            builder.cancel_grace(grace).terminate_grace(grace)
        });
        for how in STUCK {
            let keeper = GateKeeper::new();
            let call = pool.call(hang).timeout(ms(100));
            let stuck = (Some(keeper.gate()), how, pipe.clone());
            let future = call.submit(stuck).unwrap();
            let innocent = pool.submit(double, 4).unwrap();
            let pid = keeper.arrival().pid;
            awaiting(format!("the end of a worker that is stuck: {how:?}"));
            assert_eq!(time_limit(future.wait()).pid, Some(pid), "{how:?}");
            assert_eq!(innocent.wait().unwrap(), 8);
        }
    }
}

/// A worker may be stopped at any moment: also between two tasks.
fn a_worker_that_is_stopped_before_it_begins_does_not_hold_its_task() {
    let pool = pool(1);
    let pid = pid_of(&pool);
    signal(pid, libc::SIGSTOP);
    until("the worker to be stopped", || {
        support::state_of(pid) == Some('T')
    });
    let late = pool.call(double).deadline(ms(50)).submit(1).unwrap();
    awaiting("the deadline");
    assert!(!time_limit(late.wait()).may_have_run);
    let limited = pool.call(double).timeout(ms(100)).submit(2).unwrap();
    let behind = pool.submit(double, 3).unwrap();
    awaiting("the task that a stopped worker did not begin");
    assert_eq!(limited.wait().unwrap(), 4);
    assert_eq!(behind.wait().unwrap(), 6);
    assert_ne!(pid_of(&pool), pid);
}

fn a_worker_that_is_stopped_in_a_result_does_not_hold_its_task() {
    let pool = pool(1);
    let length = 32 << 20;
    let call = pool.call(stop_in_the_result);
    let calls = [
        (TimeLimitKind::Timeout, call.clone().timeout(ms(300))),
        (TimeLimitKind::Deadline, call.deadline(ms(300))),
    ];
    for (kind, call) in calls {
        let future = call.submit(length).unwrap();
        let innocent = pool.submit(double, 4).unwrap();
        awaiting("the end of a worker that is stopped in its result");
        assert_eq!(time_limit(future.wait()).kind, kind);
        assert_eq!(innocent.wait().unwrap(), 8);
    }
}

/// Thousands of tasks that end at about their limit, and as many beside them that have none.
fn no_other_task_is_hit() {
    let pool = pool(2);
    let limit = Duration::from_micros(1500);
    let call = pool.call(spin).timeout(limit);
    let mut ended_in_time = 0;
    for round in 0..40 {
        let futures: Vec<_> = (0..50)
            .map(|n| {
                // A few of them too long.
                let microseconds = if n == round {
                    1600
                } else {
                    1000 + 12 * (n * 7 % 41)
                };
                let limited = call.submit(microseconds).unwrap();
                (limited, pool.submit(double, n).unwrap())
            })
            .collect();
        awaiting("a round of tasks");
        for (n, (limited, innocent)) in (0..).zip(futures) {
            match limited.wait() {
                Ok(_) => ended_in_time += 1,
                Err(TaskError::TimeLimit(hit)) => {
                    assert!(hit.may_have_run && hit.kind == TimeLimitKind::Timeout);
                    assert!(hit.run_time.unwrap() >= limit);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(innocent.wait().unwrap(), 2 * n);
        }
    }
    assert!(ended_in_time > 0);
}

fn no_other_item_is_hit() {
    let pool = pool(2);
    let keeper = GateKeeper::new();
    let log = keeper.log();
    for chunksize in [1, 7, 40] {
        let inputs = (0..40).map(|item| Plan {
            log: log.clone(),
            label: chunksize * 1000 + item,
            gate: None,
            steps: vec![if item % 10 == 8 {
                Step::Hang
            } else {
                Step::Return
            }],
        });
        let map = pool.call(attempt).timeout(ms(100)).map(inputs);
        awaiting("the items");
        for (item, ended) in map.chunksize(chunksize as usize).enumerate() {
            match ended {
                Ok(ended) => assert!(ended == Ok(1) && item % 10 != 8),
                ended => {
                    assert_eq!(item % 10, 8, "{ended:?} with chunks of {chunksize}");
                    assert_eq!(time_limit(ended).kind, TimeLimitKind::Timeout);
                }
            }
        }
    }
    assert_eq!(log.lines().len(), 120, "each began once");
}

fn limits_hold_while_the_pool_is_shut_down() {
    for (kind, how) in [
        (TimeLimitKind::Timeout, Shutdown::Wait),
        (TimeLimitKind::Deadline, Shutdown::Wait),
        (TimeLimitKind::Timeout, Shutdown::CancelPending),
        (TimeLimitKind::Deadline, Shutdown::CancelPending),
    ] {
        let pool = built(1, |builder| {
            builder.cancel_grace(ms(20)).terminate_grace(ms(20))
        });
        let keeper = GateKeeper::new();
        let call = pool.call(sleep_for_ever);
        let call = match kind {
            TimeLimitKind::Timeout => call.timeout(ms(100)),
            TimeLimitKind::Deadline => call.deadline(ms(300)),
        };
        let running = call.submit(Some(keeper.gate())).unwrap();
        keeper.arrival();
        let queued = [call.submit(None).unwrap(), call.submit(None).unwrap()];
        let innocent = pool.submit(double, 4).unwrap();
        awaiting("the shutdown");
        pool.shutdown(how, None).unwrap();
        assert_eq!(time_limit(running.wait()).kind, kind);
        if how == Shutdown::Wait {
            queued
                .iter()
                .for_each(|future| assert_eq!(time_limit(future.wait()).kind, kind));
            assert_eq!(innocent.wait().unwrap(), 8);
        } else {
            assert!(queued.iter().all(Future::is_cancelled) && innocent.is_cancelled());
        }
    }
}

fn limits_hold_while_the_pool_is_dropped() {
    let pool = pool(1);
    let call = pool.call(sleep_for_ever).timeout(ms(50));
    let futures = [(); 3].map(|()| call.submit(None).unwrap());
    awaiting("the drop");
    drop(pool);
    for future in &futures {
        assert!(future.is_done());
        time_limit(future.wait());
    }
}

fn limits_hold_for_every_way_to_submit() {
    let pool = pool(2);
    let call = pool.call(nap).timeout(ms(50));
    awaiting("the tasks");
    time_limit(call.try_submit(3_600_000).unwrap().wait());
    block_on(async {
        let future = call.submit_async(3_600_000).await.unwrap();
        time_limit(future.await);
    });
    let items: Vec<_> = call.map([1, 3_600_000, 2]).collect();
    assert!(items[0].is_ok() && items[2].is_ok());
    time_limit(items[1].clone());
    let inputs = [Ok(1), Err("no input"), Ok(3_600_000), Ok(2)];
    let items: Vec<_> = call.try_map(inputs).collect();
    match items.as_slice() {
        [
            Ok(1),
            Err(TryMapError::Input("no input")),
            Err(TryMapError::Task(late)),
            Ok(2),
        ] => {
            time_limit::<u64>(Err(late.clone()));
        }
        other => panic!("{other:?}"),
    }
    let items: Vec<_> = call.map([1, 3_600_000, 2]).unordered().collect();
    assert_eq!(items.iter().filter(|item| item.is_ok()).count(), 2);
}

fn limits_hold_under_tokio() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let pool = pool(2);
    awaiting("the tasks");
    runtime.unwrap().block_on(async {
        let call = pool.call(nap).timeout(ms(500));
        let (slow, quick) = tokio::join!(call.submit_async(3_600_000), call.submit_async(0));
        let (slow, quick) = tokio::join!(slow.unwrap(), quick.unwrap());
        time_limit(slow);
        assert_eq!(quick.unwrap(), 0);
        // The caller's patience is another thing.
        let future = pool.call(nap).deadline(ms(300)).submit(3_600_000).unwrap();
        assert!(tokio::time::timeout(ms(50), &future).await.is_err());
        assert_eq!(time_limit(future.await).kind, TimeLimitKind::Deadline);
    });
}

fn limits_say_what_they_are() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let call = pool.call(sleep_for_ever).timeout(ms(50));
    let future = call.submit(Some(keeper.gate())).unwrap();
    let pid = keeper.arrival().pid;
    let error = future.wait().unwrap_err();
    let text = error.to_string();
    let (begin, end) = text.split_once(", after running ").unwrap();
    let id = future.id();
    assert_eq!(
        begin,
        format!(
            "`ends::tasks::sleep_for_ever` was ended at its timeout of 50ms (task {id}, worker {pid}"
        )
    );
    assert!(end.ends_with("ms)"), "{text}");
    assert_eq!(format!("{error:?}"), text);
    assert!(error.may_have_run());
}

/// Threads cannot be ended.
fn threads_raise_the_flag_and_begin_nothing_late() {
    let executor = ThreadPoolExecutor::with_max_workers(1).unwrap();
    let own = std::process::id();
    awaiting("the tasks that are asked");
    let asked = executor
        .call(work_until_asked)
        .timeout(ms(20))
        .submit(None)
        .unwrap();
    assert_eq!(asked.wait().unwrap(), (own, false));
    let asked = executor
        .call(work_until_asked)
        .deadline(ms(20))
        .submit(None)
        .unwrap();
    assert_eq!(asked.wait().unwrap(), (own, false));
    let keeper = GateKeeper::new();
    let running = executor.submit(pass, (keeper.gate(), 0)).unwrap();
    keeper.arrival();
    let call = executor.call(note);
    let late = call
        .clone()
        .deadline(ms(20))
        .submit((keeper.log(), 1))
        .unwrap();
    let items: Vec<_> = (2..5).map(|line| (keeper.log(), line)).collect();
    let mut map = call.clone().deadline(ms(20)).map(items).chunksize(3);
    thread::scope(|scope| {
        let map = scope.spawn(|| map.by_ref().collect::<Vec<_>>());
        until("the chunk to be submitted", || executor.pending() == 3);
        let patient = call.deadline(EVER).submit((keeper.log(), 9)).unwrap();
        let begun = Instant::now();
        until("the deadlines to pass", || begun.elapsed() > ms(50));
        keeper.open(1);
        running.wait().unwrap();
        awaiting("the late tasks");
        let limit = time_limit(late.wait());
        assert_eq!((limit.kind, limit.limit), (TimeLimitKind::Deadline, ms(20)));
        assert_eq!((limit.pid, limit.attempts), (None, 0));
        assert!(!limit.may_have_run);
        for item in map.join().unwrap() {
            assert!(!time_limit(item).may_have_run);
        }
        patient.wait().unwrap();
    });
    assert_eq!(keeper.log().lines(), ["9"]);
    let text = executor.call(double).timeout(Duration::ZERO).submit(1);
    assert!(matches!(
        text,
        Err(SubmitError::Parameter {
            parameter: "timeout",
            ..
        })
    ));
}

fn the_calling_thread_raises_the_flag() {
    let executor = InlineExecutor::new();
    for asked in [
        executor.call(work_until_asked).timeout(ms(20)),
        executor.call(work_until_asked).deadline(ms(20)),
    ] {
        let (_, was_asked) = asked.submit(None).unwrap().wait().unwrap();
        assert!(!was_asked);
    }
    let executor: &dyn Executor = &executor;
    let zero = executor.call(double).deadline(Duration::ZERO).submit(1);
    assert!(matches!(
        zero,
        Err(SubmitError::Parameter {
            parameter: "deadline",
            ..
        })
    ));
    assert!(!procession::is_cancelled());
}
