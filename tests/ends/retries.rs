//! What is tried again, when, and how often.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use futures::{FutureExt as _, StreamExt as _};
use procession::{
    Executor, ExecutorExt as _, InlineExecutor, Kill, ProcessPoolExecutor, Retry, Shutdown,
    SubmitError, TaskError, ThreadPoolExecutor, TimeLimitKind, TryMapError, WorkerLost,
};

use super::support::{self, Case, Directory, GateKeeper, awaiting, until};
use super::tasks::*;
use super::{EVER, built, ms, pid_of, pool, time_limit};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        a_task_whose_worker_is_lost_is_tried_again,
        a_task_that_kills_worker_after_worker_is_given_up_and_named,
        a_task_that_runs_for_too_long_is_tried_again,
        errors_and_panics_are_tried_again_where_that_was_asked_for,
        nothing_else_is_tried_again,
        pauses_let_others_run_and_grow,
        without_a_pause_a_task_keeps_its_place,
        a_task_that_is_tried_again_keeps_its_priority,
        items_are_tried_again_each_for_itself,
        items_that_run_for_too_long_are_tried_again,
        a_shutdown_that_waits_waits_for_further_attempts,
        a_shutdown_that_cancels_what_is_pending_cancels_further_attempts,
        a_shutdown_that_kills_ends_what_pauses,
        a_cancel_while_it_pauses_ends_a_task_at_once,
        what_was_cancelled_or_killed_while_it_ran_is_not_tried_again,
        what_has_failed_in_a_chunk_that_is_cancelled_is_not_tried_again,
        a_deadline_holds_across_attempts,
        a_deadline_in_the_grace_of_an_attempt_is_the_end,
        a_deadline_while_an_attempt_is_being_ended_is_the_end,
        a_function_that_may_not_be_repeated_is_refused,
        every_way_to_submit_retries,
        executors_without_processes_retry,
        on_a_thread_a_cancel_ends_a_pause,
        without_processes_a_deadline_ends_a_pause,
        the_calling_thread_pauses_without_being_parked,
    ]
}

/// So many more attempts, without a pause.
fn at_once(times: u32) -> Retry {
    Retry::times(times).backoff(Duration::ZERO, Duration::ZERO)
}

/// The plans of one test.
struct Plans {
    keeper: GateKeeper,
}

impl Plans {
    fn new() -> Self {
        Self {
            keeper: GateKeeper::new(),
        }
    }

    fn plan(&self, label: u32, steps: &[Step]) -> Plan {
        Plan {
            log: self.keeper.log(),
            label,
            gate: Some(self.keeper.gate()),
            steps: steps.to_vec(),
        }
    }

    fn begun(&self) -> Vec<String> {
        self.keeper.log().lines()
    }
}

fn lost<T: std::fmt::Debug>(ended: Result<T, TaskError>) -> WorkerLost {
    match ended {
        Err(TaskError::WorkerLost(lost)) => *lost,
        other => panic!("{other:?}"),
    }
}

fn a_task_whose_worker_is_lost_is_tried_again() {
    let pool = pool(2);
    let plans = Plans::new();
    let plan = plans.plan(1, &[Step::Die, Step::Die, Step::Return]);
    let future = pool.call(attempt).retries(2).submit(plan).unwrap();
    awaiting("the third attempt");
    assert_eq!(future.wait().unwrap(), Ok(3));
    assert_eq!(plans.begun(), ["1"; 3]);
}

fn a_task_that_kills_worker_after_worker_is_given_up_and_named() {
    let pool = pool(2);
    let plans = Plans::new();
    let call = pool.call(attempt).retry(at_once(6));
    let deadly = call.submit(plans.plan(1, &[Step::Die])).unwrap();
    let innocent: Vec<_> = (0..200).map(|n| pool.submit(double, n).unwrap()).collect();
    awaiting("the last attempt");
    let error = deadly.wait().unwrap_err();
    let lost = lost(deadly.wait());
    assert_eq!(lost.attempts, 7, "more than would break a pool");
    assert!(lost.may_have_run && error.may_have_run());
    let text = error.to_string();
    assert!(text.contains("`ends::tasks::attempt`"), "{text}");
    assert!(text.contains("the last of 7 attempts"), "{text}");
    for (n, future) in (0..).zip(innocent) {
        assert_eq!(future.wait().unwrap(), 2 * n);
    }
    assert_eq!(plans.begun().len(), 7);
    assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
}

fn a_task_that_runs_for_too_long_is_tried_again() {
    let pool = pool(1);
    let plans = Plans::new();
    let call = pool.call(attempt).timeout(ms(150));
    let again = call.clone().retry(at_once(1));
    awaiting("the attempts");
    let future = again.submit(plans.plan(1, &[Step::Hang, Step::Return]));
    assert_eq!(future.unwrap().wait().unwrap(), Ok(2));
    let future = again.submit(plans.plan(2, &[Step::Hang])).unwrap();
    let limit = time_limit(future.wait());
    assert_eq!((limit.kind, limit.attempts), (TimeLimitKind::Timeout, 2));
    let text = limit.to_string();
    assert!(text.contains("the last of 2 attempts"), "{text}");
    let once = call.retry(at_once(3).not_after_timeouts());
    let future = once.submit(plans.plan(3, &[Step::Hang])).unwrap();
    assert_eq!(time_limit(future.wait()).attempts, 1);
    assert_eq!(plans.begun(), ["1", "1", "2", "2", "3"]);
}

fn errors_and_panics_are_tried_again_where_that_was_asked_for() {
    let pool = pool(1);
    let pid = pid_of(&pool);
    let plans = Plans::new();
    let retry = at_once(2).after_errors().after_panics();
    let call = pool.call(attempt).retry(retry);
    let run = |label, steps: &[Step]| call.submit(plans.plan(label, steps)).unwrap().wait();
    assert_eq!(
        run(1, &[Step::Fail, Step::Panic, Step::Return]).unwrap(),
        Ok(3)
    );
    // What the last attempt said.
    let failed = run(2, &[Step::Panic, Step::Panic, Step::Fail]).unwrap();
    assert_eq!(failed, Err("attempt 3 fails".to_owned()));
    match run(3, &[Step::Fail, Step::Fail, Step::Panic]) {
        Err(TaskError::Panicked(panic)) => assert_eq!(&*panic.message, "attempt 3 panics"),
        other => panic!("{other:?}"),
    }
    assert_eq!(pid_of(&pool), pid);
    assert_eq!(
        lost(run(4, &[Step::Fail, Step::Panic, Step::Die])).attempts,
        3
    );
    assert_eq!(plans.begun().len(), 12);
}

fn nothing_else_is_tried_again() {
    let pool = pool(1);
    let plans = Plans::new();
    let call = pool.call(attempt).retry(at_once(5));
    let run = |label, steps: &[Step]| call.submit(plans.plan(label, steps)).unwrap().wait();
    assert!(run(1, &[Step::Fail]).unwrap().is_err());
    assert!(matches!(
        run(2, &[Step::Panic]),
        Err(TaskError::Panicked(_))
    ));
    assert_eq!(run(3, &[Step::Return]).unwrap(), Ok(1));
    let none = pool
        .call(attempt)
        .retries(0)
        .submit(plans.plan(4, &[Step::Die]));
    assert_eq!(lost(none.unwrap().wait()).attempts, 1);
    let none = pool.submit(attempt, plans.plan(5, &[Step::Die])).unwrap();
    assert_eq!(lost(none.wait()).attempts, 1);
    assert_eq!(plans.begun(), ["1", "2", "3", "4", "5"]);
}

fn pauses_let_others_run_and_grow() {
    let pool = pool(1);
    let plans = Plans::new();
    let retry = Retry::times(3).after_errors().backoff(ms(40), ms(80));
    let call = pool.call(attempt).retry(retry);
    let begun = Instant::now();
    let steps = [
        Step::PassAndFail,
        Step::PassAndFail,
        Step::PassAndFail,
        Step::Return,
    ];
    let again = call.submit(plans.plan(1, &steps)).unwrap();
    for other in 2..5 {
        plans.keeper.arrival();
        let future = pool.submit(note, (plans.keeper.log(), other)).unwrap();
        plans.keeper.open(1);
        awaiting("the task behind the one that pauses");
        future.wait().unwrap();
    }
    awaiting("the last attempt");
    assert_eq!(again.wait().unwrap(), Ok(4));
    assert!(begun.elapsed() >= ms(40 + 80 + 80));
    assert_eq!(plans.begun(), ["1", "2", "1", "3", "1", "4", "1"]);
}

fn without_a_pause_a_task_keeps_its_place() {
    let pool = pool(1);
    let plans = Plans::new();
    let call = pool.call(attempt).retry(at_once(3).after_errors());
    let steps = [Step::PassAndFail, Step::Fail, Step::Die, Step::Return];
    let again = call.submit(plans.plan(1, &steps)).unwrap();
    plans.keeper.arrival();
    let behind: Vec<_> = (2..5)
        .map(|line| pool.submit(note, (plans.keeper.log(), line)).unwrap())
        .collect();
    plans.keeper.open(1);
    awaiting("the attempts, and those behind");
    assert_eq!(again.wait().unwrap(), Ok(4));
    assert!(behind.iter().all(|future| future.wait().is_ok()));
    assert_eq!(plans.begun(), ["1", "1", "1", "1", "2", "3", "4"]);
}

fn a_task_that_is_tried_again_keeps_its_priority() {
    // Among: a more urgent one, one that is as urgent, one that is less so.
    for (priority, step) in [(5, Step::PassAndDie), (-5, Step::PassAndFail)] {
        let pool = pool(1);
        let plans = Plans::new();
        let call = pool.call(attempt).retry(at_once(1).after_errors());
        let call = call.priority(priority);
        let again = call.submit(plans.plan(1, &[step, Step::Return])).unwrap();
        plans.keeper.arrival();
        let others = [(2, priority - 1), (3, priority), (4, priority + 1)];
        let others = others.map(|(line, priority)| {
            let call = pool.call(note).priority(priority);
            call.submit((plans.keeper.log(), line)).unwrap()
        });
        plans.keeper.open(1);
        awaiting("all of them");
        assert_eq!(again.wait().unwrap(), Ok(2));
        assert!(others.iter().all(|future| future.wait().is_ok()));
        assert_eq!(plans.begun(), ["1", "4", "1", "3", "2"]);
    }
}

fn items_are_tried_again_each_for_itself() {
    for (workers, chunksize) in [(1, 1), (1, 9), (2, 4), (2, 30)] {
        let pool = pool(workers);
        let plans = Plans::new();
        let inputs = (0..30).map(|item| {
            let steps: &[Step] = match item % 10 {
                2 => &[Step::Die, Step::Return],
                4 => &[Step::Fail, Step::Panic, Step::Return],
                6 => &[Step::Die],
                8 => &[Step::Fail],
                _ => &[Step::Return],
            };
            plans.plan(item, steps)
        });
        let retry = Retry::times(2)
            .backoff(ms(1), ms(1))
            .after_errors()
            .after_panics();
        let map = pool
            .call(attempt)
            .retry(retry)
            .map(inputs)
            .chunksize(chunksize);
        awaiting("the items");
        let ended: Vec<_> = map.collect();
        assert_eq!(ended.len(), 30);
        let log = plans.begun();
        for (item, ended) in ended.into_iter().enumerate() {
            let line = item.to_string();
            let begun = log.iter().filter(|begun| **begun == line).count();
            assert!(begun <= 3, "item {item} began {begun} times");
            match (item % 10, ended) {
                (6, ended) => assert_eq!((lost(ended).attempts, begun), (3, 3)),
                (8, Ok(Err(text))) => assert!(text.ends_with("fails") && begun == 3),
                (2, Ok(Ok(2))) | (4, Ok(Ok(3))) | (0..2 | 3 | 5 | 7 | 9, Ok(Ok(1))) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn items_that_run_for_too_long_are_tried_again() {
    let pool = pool(1);
    let plans = Plans::new();
    let inputs = (0..12).map(|item| {
        let steps: &[Step] = match item {
            3 => &[Step::Hang, Step::Return],
            7 => &[Step::Hang],
            _ => &[Step::Return],
        };
        plans.plan(item, steps)
    });
    let call = pool.call(attempt).timeout(ms(150)).retry(at_once(1));
    awaiting("the items");
    for (item, ended) in call.map(inputs).chunksize(12).enumerate() {
        match item {
            3 => assert_eq!(ended.unwrap(), Ok(2)),
            7 => assert_eq!(time_limit(ended).attempts, 2),
            _ => assert_eq!(ended.unwrap(), Ok(1), "item {item}"),
        }
    }
    assert_eq!(plans.begun().len(), 14);
}

fn a_shutdown_that_waits_waits_for_further_attempts() {
    for step in [Step::PassAndDie, Step::PassAndFail] {
        let pool = pool(1);
        let plans = Plans::new();
        let retry = Retry::times(1).after_errors().backoff(ms(50), ms(50));
        let call = pool.call(attempt).retry(retry);
        let future = call.submit(plans.plan(1, &[step, Step::Return])).unwrap();
        plans.keeper.arrival();
        std::thread::scope(|scope| {
            let shutdown = scope.spawn(|| {
                awaiting("the shutdown");
                pool.shutdown(Shutdown::Wait, None).unwrap();
            });
            until("the pool to take no more", || {
                pool.try_submit(double, 1).is_err()
            });
            plans.keeper.open(1);
            shutdown.join().unwrap();
        });
        assert!(future.is_done());
        assert_eq!(future.wait().unwrap(), Ok(2));
    }
}

fn a_shutdown_that_cancels_what_is_pending_cancels_further_attempts() {
    // What fails after the shutdown has begun.
    for step in [Step::PassAndDie, Step::PassAndFail] {
        let pool = pool(1);
        let plans = Plans::new();
        let call = pool.call(attempt).retry(at_once(9).after_errors());
        let future = call.submit(plans.plan(1, &[step, Step::Return])).unwrap();
        plans.keeper.arrival();
        std::thread::scope(|scope| {
            let shutdown = scope.spawn(|| {
                awaiting("the shutdown");
                pool.shutdown(Shutdown::CancelPending, None).unwrap();
            });
            until("the pool to take no more", || {
                pool.try_submit(double, 1).is_err()
            });
            plans.keeper.open(1);
            shutdown.join().unwrap();
        });
        assert!(matches!(
            future.wait(),
            Err(TaskError::Cancelled { may_have_run: true })
        ));
    }
    // What pauses.
    let (pool, plans) = (pool(1), Plans::new());
    let future = pausing(&pool, &plans);
    awaiting("the shutdown");
    pool.shutdown(Shutdown::CancelPending, None).unwrap();
    assert!(matches!(
        future.wait(),
        Err(TaskError::Cancelled { may_have_run: true })
    ));
}

/// A task that has failed once, and pauses for longer than any test.
fn pausing(pool: &ProcessPoolExecutor, plans: &Plans) -> procession::Future<Result<usize, String>> {
    let retry = Retry::times(9).after_errors().backoff(EVER, EVER);
    let call = pool.call(attempt).retry(retry).timeout(EVER);
    let future = call.submit(plans.plan(1, &[Step::Fail])).unwrap();
    // Whatever is behind it has run when it pauses.
    awaiting("the first attempt");
    pid_of(pool);
    until("the task to pause", || {
        !future.is_running() && plans.begun().len() == 1
    });
    future
}

fn a_shutdown_that_kills_ends_what_pauses() {
    for how in [Shutdown::Terminate, Shutdown::Kill] {
        let (pool, plans) = (pool(1), Plans::new());
        let future = pausing(&pool, &plans);
        awaiting("the shutdown");
        pool.shutdown(how, None).unwrap();
        assert!(matches!(
            future.wait(),
            Err(TaskError::ShutDown { may_have_run: true })
        ));
    }
}

fn a_cancel_while_it_pauses_ends_a_task_at_once() {
    let (pool, plans) = (pool(1), Plans::new());
    let future = pausing(&pool, &plans);
    assert!(future.cancel() && future.is_cancelled());
    assert!(matches!(
        future.wait(),
        Err(TaskError::Cancelled { may_have_run: true })
    ));
    let plans = Plans::new();
    let future = pausing(&pool, &plans);
    assert_eq!(future.kill(), Kill::Cancelled);
    assert!(matches!(
        future.wait(),
        Err(TaskError::Cancelled { may_have_run: true })
    ));
    assert_eq!(pool.pending(), 0);
    assert_eq!(plans.begun().len(), 1);
}

fn what_was_cancelled_or_killed_while_it_ran_is_not_tried_again() {
    let pool = built(1, |builder| builder.cancel_grace(EVER));
    let plans = Plans::new();
    let call = pool.call(attempt).retry(at_once(9).after_errors());
    let steps = [Step::PassAndFail, Step::Return];
    let failed = Err("attempt 1 fails".to_owned());
    let future = call.submit(plans.plan(1, &steps)).unwrap();
    plans.keeper.arrival();
    assert!(!future.cancel());
    plans.keeper.open(1);
    assert_eq!(future.wait().unwrap(), failed);
    let future = call.submit(plans.plan(2, &steps)).unwrap();
    plans.keeper.arrival();
    assert_eq!(future.kill(), Kill::Killing);
    plans.keeper.open(1);
    assert_eq!(future.wait().unwrap(), failed);
    let future = call.submit(plans.plan(3, &[Step::PassAndDie, Step::Return]));
    let future = future.unwrap();
    plans.keeper.arrival();
    assert!(!future.cancel());
    plans.keeper.open(1);
    assert_eq!(lost(future.wait()).attempts, 1);
}

fn what_has_failed_in_a_chunk_that_is_cancelled_is_not_tried_again() {
    let pool = built(1, |builder| builder.cancel_grace(EVER));
    let plans = Plans::new();
    let steps = [
        [Step::Fail, Step::Return],
        [Step::PassAndFail, Step::Return],
    ];
    let items: Vec<_> = (1..)
        .zip(&steps)
        .map(|(label, steps)| plans.plan(label, steps))
        .collect();
    let call = pool.call(attempt).retry(at_once(9).after_errors());
    let mut map = call.map(items).chunksize(2).stream();
    assert!(map.next().now_or_never().is_none());
    plans.keeper.arrival();
    drop(map);
    plans.keeper.open(2);
    pool.shutdown(Shutdown::Wait, None).unwrap();
    assert_eq!(plans.begun().len(), 2, "{:?}", plans.begun());
}

fn a_deadline_holds_across_attempts() {
    let pool = pool(1);
    let plans = Plans::new();
    let many = Retry::times(1_000_000)
        .after_errors()
        .backoff(ms(1), ms(20));
    let call = pool.call(attempt).deadline(ms(2000)).retry(many);
    for (label, step) in [(1, Step::Fail), (2, Step::Die), (3, Step::Hang)] {
        let call = call.clone().timeout(ms(60));
        let future = call.submit(plans.plan(label, &[step])).unwrap();
        awaiting("the deadline");
        let error = future.wait().unwrap_err();
        let limit = time_limit(future.wait());
        assert_eq!(
            (limit.kind, limit.limit),
            (TimeLimitKind::Deadline, ms(2000))
        );
        assert!(limit.may_have_run && error.may_have_run() && limit.attempts >= 2);
        let text = error.to_string();
        let line = label.to_string();
        let begun = plans.begun().iter().filter(|begun| **begun == line).count();
        assert_eq!(limit.attempts as usize, begun);
        if limit.pid.is_none() {
            let end = format!("after {begun} attempts)");
            assert!(
                text.contains("had not begun anew at its deadline of 2s"),
                "{text}"
            );
            assert!(text.ends_with(&end), "{text}");
        }
    }
    // The worker is there, and takes it at once.
    pid_of(&pool);
    let future = pool
        .call(attempt)
        .deadline(ms(1000))
        .retry(Retry::times(1).backoff(EVER, EVER));
    let future = future.submit(plans.plan(4, &[Step::Die])).unwrap();
    let limit = time_limit(future.wait());
    assert_eq!((limit.attempts, limit.pid), (1, None));
    assert!(limit.to_string().ends_with("after 1 attempt)"), "{limit}");
}

fn a_deadline_in_the_grace_of_an_attempt_is_the_end() {
    let pool = built(1, |builder| builder.cancel_grace(EVER));
    let pid = pid_of(&pool);
    let plans = Plans::new();
    let call = pool.call(attempt).retry(at_once(9).after_errors());
    let steps = [Step::FailWhenAsked, Step::Hang];
    let future = call.clone().deadline(ms(100)).submit(plans.plan(1, &steps));
    awaiting("the end of the task");
    let limit = time_limit(future.unwrap().wait());
    assert_eq!((limit.kind, limit.attempts), (TimeLimitKind::Deadline, 1));
    // The same within a chunk.
    let inputs =
        [(2, &steps[..]), (3, &[Step::Return])].map(|(label, steps)| plans.plan(label, steps));
    let map = call.deadline(ms(100)).map(inputs).chunksize(2);
    let ended: Vec<_> = map.map(time_limit).collect();
    assert_eq!([ended[0].attempts, ended[1].attempts], [1, 0]);
    assert!(ended[0].may_have_run && !ended[1].may_have_run);
    assert_eq!(plans.begun(), ["1", "2"]);
    assert_eq!(pid_of(&pool), pid);
}

fn a_deadline_while_an_attempt_is_being_ended_is_the_end() {
    let pool = built(1, |builder| builder.terminate_grace(ms(200)));
    let (keeper, directory) = (GateKeeper::new(), Directory::new());
    let seen = directory.join("seen");
    let stubborn = (keeper.gate(), seen, libc::SIGTERM, When::GoesOn);
    let call = pool
        .call(work_until_signalled)
        .timeout(ms(50))
        .deadline(ms(150));
    let future = call.retry(at_once(9)).submit(stubborn).unwrap();
    awaiting("the end of the task");
    let limit = time_limit(future.wait());
    assert_eq!((limit.kind, limit.attempts), (TimeLimitKind::Deadline, 1));
    assert_eq!(pool.submit(double, 4).unwrap().wait().unwrap(), 8);
}

fn a_function_that_may_not_be_repeated_is_refused() {
    let pool = pool(1);
    let threads = ThreadPoolExecutor::with_max_workers(1).unwrap();
    let inline = InlineExecutor::new();
    let executors: [&dyn Executor; 3] = [&pool, &threads, &inline];
    for executor in executors {
        let call = executor.call(send_money).retries(3);
        let refused = [
            call.submit(1).unwrap_err(),
            call.try_submit(1).unwrap_err().reason,
            block_on(call.submit_async(1)).unwrap_err(),
        ];
        let Some(Err(TaskError::Refused(item))) = call.map([1]).next() else {
            panic!("an item was not refused");
        };
        let Some(Err(TryMapError::Task(TaskError::Refused(other)))) =
            call.try_map([Ok::<_, ()>(1)]).next()
        else {
            panic!("an item was not refused");
        };
        for refused in refused.iter().chain([&item, &other]) {
            let text = refused.to_string();
            assert!(text.contains("ends::tasks::send_money"), "{text}");
            assert!(matches!(
                refused,
                SubmitError::NotRepeatable { retries: 3, .. }
            ));
        }
        let once = executor.call(send_money).retries(0).submit(7).unwrap();
        assert_eq!(once.wait().unwrap(), Ok(7));
        let nonsense = executor.call(double).retry(Retry::times(1).after_errors());
        match nonsense.submit(1) {
            Err(SubmitError::ReturnsNoResult { function }) => {
                assert_eq!(function, "ends::tasks::double");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(executor.pending(), 0);
    }
}

fn every_way_to_submit_retries() {
    let pool = pool(2);
    let plans = Plans::new();
    let call = pool.call(attempt).retry(at_once(1));
    let plan = |label| plans.plan(label, &[Step::Die, Step::Return]);
    awaiting("the tasks");
    assert_eq!(call.try_submit(plan(1)).unwrap().wait().unwrap(), Ok(2));
    block_on(async {
        let future = call.submit_async(plan(2)).await.unwrap();
        assert_eq!(future.await.unwrap(), Ok(2));
    });
    let items = call.map([plan(3), plan(4)]).map(|item| item.unwrap());
    assert_eq!(items.collect::<Vec<_>>(), [Ok(2), Ok(2)]);
    let inputs = [Ok(plan(5)), Err(()), Ok(plan(6))];
    let items: Vec<_> = call.try_map(inputs).collect();
    assert!(matches!(
        items[..],
        [Ok(Ok(2)), Err(TryMapError::Input(())), Ok(Ok(2))]
    ));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (one, other) = tokio::join!(call.submit_async(plan(7)), call.submit_async(plan(8)));
        let (one, other) = tokio::join!(one.unwrap(), other.unwrap());
        assert_eq!((one.unwrap(), other.unwrap()), (Ok(2), Ok(2)));
    });
    assert_eq!(plans.begun().len(), 16);
}

fn executors_without_processes_retry() {
    let threads = ThreadPoolExecutor::with_max_workers(2).unwrap();
    let inline = InlineExecutor::new();
    let executors: [&dyn Executor; 2] = [&threads, &inline];
    for executor in executors {
        let plans = Plans::new();
        let retry = Retry::times(2).after_errors().after_panics();
        let call = executor.call(attempt).retry(retry.backoff(ms(1), ms(2)));
        awaiting("the attempts");
        let steps = [Step::Fail, Step::Panic, Step::Return];
        assert_eq!(
            call.submit(plans.plan(1, &steps)).unwrap().wait().unwrap(),
            Ok(3)
        );
        let failed = call.submit(plans.plan(2, &[Step::Fail])).unwrap().wait();
        assert_eq!(failed.unwrap(), Err("attempt 3 fails".to_owned()));
        match call.submit(plans.plan(3, &[Step::Panic])).unwrap().wait() {
            Err(TaskError::Panicked(panic)) => assert_eq!(&*panic.message, "attempt 3 panics"),
            other => panic!("{other:?}"),
        }
        let inputs = (4..10).map(|label| plans.plan(label, &[Step::Fail, Step::Return]));
        let items: Vec<_> = call.map(inputs).chunksize(3).map(Result::unwrap).collect();
        assert_eq!(items, [(); 6].map(|()| Ok(2)));
        let many = Retry::times(1_000_000).after_errors().backoff(ms(1), ms(1));
        let late = executor.call(attempt).retry(many).deadline(ms(30));
        let limit = time_limit(late.submit(plans.plan(10, &[Step::Fail])).unwrap().wait());
        assert_eq!(limit.kind, TimeLimitKind::Deadline);
        assert!(limit.may_have_run && limit.attempts > 0);
        let labels: BTreeSet<_> = plans.begun().into_iter().collect();
        assert_eq!(labels.len(), 10);
    }
}

fn on_a_thread_a_cancel_ends_a_pause() {
    let executor = ThreadPoolExecutor::with_max_workers(1).unwrap();
    let plans = Plans::new();
    let retry = Retry::times(9).after_errors();
    let call = executor.call(attempt).retry(retry.backoff(EVER, EVER));
    // Either it is cancelled while it runs, or while it pauses.
    let failed = Err("attempt 1 fails".to_owned());
    let running = call.submit(plans.plan(1, &[Step::PassAndFail])).unwrap();
    plans.keeper.arrival();
    assert!(!running.cancel());
    plans.keeper.open(1);
    awaiting("the task that was cancelled while it ran");
    assert_eq!(running.wait().unwrap(), failed);
    let pausing = call.submit(plans.plan(2, &[Step::Fail])).unwrap();
    let next = executor.submit(double, 4).unwrap();
    until("the attempt to have begun", || plans.begun().len() == 2);
    assert!(!pausing.is_done());
    pausing.cancel();
    awaiting("the task that was cancelled while it paused");
    match pausing.wait() {
        Ok(ended) => assert_eq!(ended, failed),
        Err(error) => {
            assert!(
                matches!(error, TaskError::Cancelled { may_have_run: true }),
                "{error:?}"
            );
        }
    }
    assert_eq!(next.wait().unwrap(), 8);
    // A shutdown that cancels does not wait for a pause either.
    let last = call.submit(plans.plan(3, &[Step::Fail])).unwrap();
    until("the attempt to have begun", || plans.begun().len() == 3);
    awaiting("the shutdown");
    executor.shutdown(Shutdown::CancelPending, None).unwrap();
    assert!(last.is_done());
}

fn without_processes_a_deadline_ends_a_pause() {
    let threads = ThreadPoolExecutor::with_max_workers(1).unwrap();
    let inline = InlineExecutor::new();
    let executors: [&dyn Executor; 2] = [&threads, &inline];
    for executor in executors {
        let plans = Plans::new();
        let retry = Retry::times(9).after_errors().backoff(EVER, EVER);
        let call = executor.call(attempt).retry(retry).deadline(ms(50));
        awaiting("the deadline");
        let future = call.submit(plans.plan(1, &[Step::Fail])).unwrap();
        let limit = time_limit(future.wait());
        assert_eq!((limit.kind, limit.attempts), (TimeLimitKind::Deadline, 1));
        assert!(limit.may_have_run);
    }
}

fn the_calling_thread_pauses_without_being_parked() {
    let executor = InlineExecutor::new();
    let plans = Plans::new();
    let retry = Retry::times(1).after_errors().backoff(ms(50), ms(50));
    let call = executor.call(attempt).retry(retry);
    std::thread::current().unpark();
    let begun = Instant::now();
    let future = call.submit(plans.plan(1, &[Step::Fail, Step::Return]));
    assert_eq!(future.unwrap().wait().unwrap(), Ok(2));
    assert!(begun.elapsed() >= ms(50));
    awaiting("the permit that this thread was given before");
    std::thread::park();
}
