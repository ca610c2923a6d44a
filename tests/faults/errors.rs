//! What errors say, read aloud.

use std::error::Error as _;
use std::time::Duration;

use procession::{
    EndOfWorker, InlineExecutor, ProcessPoolExecutor, Retry, Shutdown, Stdio, SubmitError,
    TaskError, TrySubmitError, WorkerLost,
};

use super::support::{self, Case, GateKeeper, awaiting, signal};
use super::tasks::*;

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        a_lost_worker_is_told_in_one_line,
        a_signal_without_a_name_is_told_by_its_number,
        the_peak_of_memory_is_told_where_it_is_the_worker_s_own,
        the_last_words_are_those_of_the_worker_that_is_lost,
        the_last_words_are_told_when_a_worker_does_not_start,
        a_worker_that_dies_in_its_initializer_is_told_with_it,
        what_was_not_begun_says_so,
        what_was_refused_has_not_run,
        what_ended_with_a_value_lost_may_have_run,
    ]
}

fn one() -> procession::ProcessPoolExecutorBuilder {
    ProcessPoolExecutor::builder().max_workers(1)
}

fn lost<T: std::fmt::Debug>(outcome: Result<T, TaskError>) -> WorkerLost {
    match outcome {
        Err(TaskError::WorkerLost(lost)) => *lost,
        other => panic!("{other:?}"),
    }
}

/// The message with its times, which differ, taken out.
fn without_time(text: &str) -> String {
    let (front, rest) = text.split_once(", after ").expect("a run time");
    let end = rest.find([',', ')']).expect("its end");
    format!("{front}{}", &rest[end..])
}

fn a_lost_worker_is_told_in_one_line() {
    let pool = one().stderr(Stdio::Tee).build().unwrap();
    let ways = [
        (Way::Segfault, "was ended by SIGSEGV (signal 11)"),
        (Way::Exit(42), "exited with code 42"),
        (Way::Kill, "was ended by SIGKILL (signal 9)"),
    ];
    for (way, end) in ways {
        let future = pool.submit(say_and_end, ("about to end".to_owned(), way));
        let future = future.unwrap();
        awaiting("the news");
        let lost = lost(future.wait());
        let (pid, task) = (lost.pid, future.id());
        let peak = lost.peak_memory.map_or_else(String::new, |bytes| {
            format!(", with {} MiB at its peak", bytes.div_ceil(1 << 20))
        });
        assert_eq!(
            without_time(&lost.to_string()),
            format!(
                "worker {pid} {end} while it ran `faults::tasks::say_and_end` (task {task}{peak}); \
                 its last words: about to end"
            )
        );
        let error = TaskError::WorkerLost(Box::new(lost.clone()));
        assert_eq!(error.to_string(), lost.to_string());
        assert_eq!(format!("{error:?}"), lost.to_string(), "it has no cause");
    }
}

fn a_signal_without_a_name_is_told_by_its_number() {
    let pool = one().build().unwrap();
    let keeper = GateKeeper::new();
    let future = pool.submit(pass, (keeper.gate(), 0)).unwrap();
    signal(keeper.arrival().pid, 40);
    let lost = lost(future.wait());
    assert_eq!(lost.end, EndOfWorker::Signalled(40));
    assert!(
        lost.to_string().contains(" was ended by signal 40 while "),
        "{lost}"
    );
}

fn the_peak_of_memory_is_told_where_it_is_the_worker_s_own() {
    let pool = one().build().unwrap();
    // More than this process ever had.
    let future = pool.submit(swell_and_die, 300 << 20).unwrap();
    let lost = lost(future.wait());
    let peak = lost.peak_memory.expect("it is known");
    assert!((300 << 20..600 << 20).contains(&peak), "{peak}");
    let text = lost.to_string();
    let told = format!(", with {} MiB at its peak)", peak.div_ceil(1 << 20));
    assert!(text.ends_with(&told), "{text}");
}

fn the_last_words_are_those_of_the_worker_that_is_lost() {
    let pool = one().max_workers(2).stderr(Stdio::Tee).build().unwrap();
    let keeper = GateKeeper::new();
    let other = pool.submit(say_and_pass, ("not these".to_owned(), keeper.gate()));
    keeper.arrival();
    for round in 0..3 {
        let words = format!("one\ntwo\nround {round}");
        let future = pool
            .submit(say_and_end, (words.clone(), Way::Kill))
            .unwrap();
        assert_eq!(lost(future.wait()).last_words.as_deref(), Some(&*words));
    }
    // Without a word, there are none; what Rust itself says counts.
    let future = pool.submit(say_and_end, (String::new(), Way::Kill));
    assert_eq!(lost(future.unwrap().wait()).last_words, None);
    let future = pool.submit(say_and_end, (String::new(), Way::StackOverflow));
    let words = lost(future.unwrap().wait()).last_words.unwrap();
    assert!(words.contains("has overflowed its stack"), "{words}");
    keeper.open(1);
    other.unwrap().wait().unwrap();
}

fn the_last_words_are_told_when_a_worker_does_not_start() {
    let directory = support::Directory::new();
    let path = super::programs::script(&directory, "fails", "echo no licence >&2\nexit 3");
    let error = one().program(path).stderr(Stdio::Tee).build().unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(" exited with code 3 ") && text.ends_with("(its last words: no licence)"),
        "{text}"
    );
}

fn a_worker_that_dies_in_its_initializer_is_told_with_it() {
    let error = one()
        .stderr(Stdio::Tee)
        .initializer(say_and_end, ("no luck".to_owned(), Way::Exit(42)))
        .build()
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.ends_with(
            " exited with code 42 while it ran the initializer `faults::tasks::say_and_end` \
             (its last words: no luck)"
        ),
        "{text}"
    );
}

// ---- whether it may have run ----

fn what_was_not_begun_says_so() {
    let pool = one().build().unwrap();
    let keeper = GateKeeper::new();
    let running = pool.submit(pass, (keeper.gate(), 0)).unwrap();
    keeper.arrival();
    let cancelled = pool.submit(double, 1).unwrap();
    assert!(cancelled.cancel());
    assert!(!cancelled.wait().unwrap_err().may_have_run());
    let late = pool.call(double).deadline(Duration::from_millis(20));
    let late = late.submit(1).unwrap().wait().unwrap_err();
    assert!(matches!(late, TaskError::TimeLimit(_)), "{late:?}");
    assert!(!late.may_have_run());
    let queued = pool.submit(double, 1).unwrap();
    pool.shutdown(Shutdown::Kill, None).unwrap();
    assert!(!queued.wait().unwrap_err().may_have_run());
    assert!(running.wait().unwrap_err().may_have_run());
}

fn what_was_refused_has_not_run() {
    let pool = one().max_pending(1).build().unwrap();
    let keeper = GateKeeper::new();
    let running = pool.submit(pass, (keeper.gate(), 0)).unwrap();
    let full: TrySubmitError<u64> = pool.try_submit(double, 7).unwrap_err();
    assert!(matches!(full.reason, SubmitError::Full { max_pending: 1 }));
    assert!(!full.may_have_run() && !full.reason.may_have_run());
    keeper.open(1);
    running.wait().unwrap();
    pool.shutdown(Shutdown::Wait, None).unwrap();
    assert!(!pool.submit(double, 7).unwrap_err().may_have_run());
    let refused = pool.map(double, [7]).next().unwrap().unwrap_err();
    assert!(matches!(refused, TaskError::Refused(_)), "{refused:?}");
    assert!(!refused.may_have_run());
    let inputs = ["four".parse::<u64>()];
    let input = InlineExecutor::new().try_map(double, inputs).next();
    assert!(!input.unwrap().unwrap_err().may_have_run());
}

fn what_ended_with_a_value_lost_may_have_run() {
    let pool = one().max_frame(1 << 20).build().unwrap();
    let large = pool.submit(as_long_as, 2 << 20).unwrap().wait();
    let large = large.unwrap_err();
    assert!(matches!(large, TaskError::ResultTooLarge { .. }));
    assert!(large.may_have_run());
    let panicked = pool.submit(say_and_end, (String::new(), Way::Panic));
    assert!(panicked.unwrap().wait().unwrap_err().may_have_run());
    let retry = Retry::times(1).backoff(Duration::ZERO, Duration::ZERO);
    let call = pool.call(say_and_end).retry(retry);
    let tried = call.submit((String::new(), Way::Kill)).unwrap().wait();
    let tried = lost(tried);
    assert_eq!((tried.attempts, tried.may_have_run), (2, true));
    assert!(
        tried.to_string().contains(", the last of 2 attempts)"),
        "{tried}"
    );
    assert!(TaskError::WorkerLost(Box::new(tried)).source().is_none());
}
