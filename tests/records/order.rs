//! What is heard before what, and what happens when nobody listens for a while.

use std::sync::mpsc;
use std::time::Duration;

use procession::{EndOfWorker, Shutdown, TaskError, as_completed};

use super::listener::{self, Heard};
use super::support::{self, Case, Directory, GateKeeper, awaiting, until};
use super::{builder, pool, tasks};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        what_a_task_says_is_heard_before_it_is_done,
        what_items_say_is_heard_before_they_are_yielded,
        short_tasks_in_a_row_are_told_apart,
        what_is_said_is_heard_while_the_task_runs,
        what_an_initializer_says_is_heard_before_the_pool_is_built,
        what_a_worker_said_before_its_end_is_heard_before_that,
        a_listener_that_is_slow_holds_workers_up,
        a_worker_behind_a_slow_listener_is_not_suspected,
        a_task_that_is_held_up_can_be_killed,
        a_pool_that_is_held_up_can_be_killed,
        a_listener_that_panics_hears_the_next_record,
        records_and_large_results_do_not_mix,
        records_beside_captured_output,
    ]
}

/// The labels and numbers of what was heard.
fn numbers(heard: &[Heard], label: u32) -> Vec<u64> {
    let of_label = |heard: &&Heard| heard.number("label") == Some(label.into());
    let of_label = heard.iter().filter(of_label);
    of_label.filter_map(|heard| heard.number("n")).collect()
}

fn what_a_task_says_is_heard_before_it_is_done() {
    let pool = pool(2);
    let count = 50;
    let futures = (0..40).map(|label| {
        let future = pool.submit(tasks::flood, (label, count, 200));
        (label, future.unwrap())
    });
    let mut first: Vec<_> = futures.collect();
    let second = first.split_off(20);
    let expected: Vec<u64> = (0..count.into()).collect();
    // Half of them are waited for by a thread that reads, the others are told.
    for (label, future) in first {
        future.wait().unwrap();
        assert_eq!(numbers(&listener::so_far(), label), expected);
    }
    for (label, future) in as_completed(second) {
        future.wait().unwrap();
        assert_eq!(numbers(&listener::so_far(), label), expected);
    }
    let (sender, told) = mpsc::channel();
    let future = pool.submit(tasks::flood, (99, count, 200)).unwrap();
    future.on_done(move |_| {
        let _ = sender.send(numbers(&listener::so_far(), 99));
    });
    awaiting("the callback");
    assert_eq!(told.recv().unwrap(), expected);
}

fn what_items_say_is_heard_before_they_are_yielded() {
    let pool = pool(2);
    let items = pool.map(tasks::say_number, 0..200).chunksize(7);
    for n in items {
        let message = format!("number {}", n.unwrap());
        let heard = listener::so_far();
        assert!(heard.iter().any(|heard| heard.message == message));
    }
    assert_eq!(listener::take().len(), 200);
}

fn short_tasks_in_a_row_are_told_apart() {
    let pool = pool(1);
    let futures = (0..300).map(|n| pool.submit(tasks::say_number, n).unwrap());
    let futures: Vec<_> = futures.collect();
    for future in &futures {
        future.wait().unwrap();
    }
    let heard = listener::take();
    assert_eq!(heard.len(), 300);
    for (n, (heard, future)) in heard.iter().zip(&futures).enumerate() {
        assert_eq!(heard.message, format!("number {n}"));
        let id = future.id().to_string();
        assert_eq!(heard.number("worker.task"), id.parse().ok());
    }
}

fn what_is_said_is_heard_while_the_task_runs() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let future = pool
        .submit(tasks::say_and_pass, (keeper.gate(), 1))
        .unwrap();
    // By the reactor,
    listener::wait_for("1 has come");
    keeper.open(1);
    future.wait().unwrap();
    // and by a thread that waits for the task.
    let future = pool
        .submit(tasks::say_and_pass, (keeper.gate(), 2))
        .unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| future.wait().unwrap());
        listener::wait_for("2 has come");
        keeper.open(1);
    });
    assert_eq!(
        listener::messages(),
        ["1 has come", "1 may go on", "2 has come", "2 may go on"]
    );
}

fn what_an_initializer_says_is_heard_before_the_pool_is_built() {
    listener::forget();
    let pool = builder(1).initializer(tasks::greet, false).build().unwrap();
    let heard = listener::take();
    let messages: Vec<&str> = heard.iter().map(|heard| &*heard.message).collect();
    assert_eq!(messages, ["good morning", "good morning, too"]);
    for heard in heard {
        assert!(heard.number("worker.pid").is_some());
        assert_eq!(heard.field("worker.task"), None);
        assert_eq!(heard.field("worker.function"), None);
    }
    drop(pool);
    let error = builder(1)
        .initializer(tasks::greet, true)
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("overslept"), "{error}");
    assert_eq!(listener::messages(), ["good morning", "good morning, too"]);
}

fn what_a_worker_said_before_its_end_is_heard_before_that() {
    let pool = pool(2);
    for n in 0..20 {
        let last = format!("last words {n}");
        let future = pool.submit(tasks::exit_after_saying, last.clone()).unwrap();
        let Err(TaskError::WorkerLost(lost)) = future.wait() else {
            panic!("it has exited");
        };
        assert_eq!(lost.end, EndOfWorker::Exited(3));
        let heard = listener::take();
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0].message, last);
        assert_eq!(heard[0].number("worker.pid"), Some(lost.pid.into()));
        let id = future.id().to_string();
        assert_eq!(heard[0].number("worker.task"), id.parse().ok());
    }
}

/// Waits until a counter has stopped.
fn wait_until_it_stands(counter: &support::Log) -> usize {
    awaiting("a worker to be held up");
    let (mut before, mut unchanged) = (0, 0);
    until("a worker to be held up", || {
        let now = counter.lines().len();
        unchanged = if now == before && now > 0 {
            unchanged + 1
        } else {
            0
        };
        before = now;
        unchanged == 100
    });
    before
}

fn a_listener_that_is_slow_holds_workers_up() {
    let pool = pool(1);
    let directory = Directory::new();
    let counter = directory.log("counter");
    let (count, length) = (10_000u32, 1000);
    let held = listener::hold();
    let future = pool.submit(tasks::flood_and_count, (counter.clone(), count, length));
    let future = future.unwrap();
    let said = 10 * wait_until_it_stands(&counter);
    // A megabyte waits here, what was read with its last record, and what the pipe holds.
    assert!(said < 2500, "{said} were said");
    assert!(future.is_running());
    drop(held);
    future.wait().unwrap();
    let heard = listener::take();
    let numbers: Vec<u64> = heard.iter().filter_map(|heard| heard.number("n")).collect();
    assert_eq!(numbers, (0..count.into()).collect::<Vec<_>>());
}

fn a_worker_behind_a_slow_listener_is_not_suspected() {
    let pool = pool(2);
    let directory = Directory::new();
    let counter = directory.log("counter");
    let held = listener::hold();
    let flood = pool.submit(tasks::flood_and_count, (counter.clone(), 5000, 1000));
    let flood = flood.unwrap();
    wait_until_it_stands(&counter);
    // It ends at once, and nobody reads its result for longer than a worker is trusted with it.
    let call = pool.call(tasks::log_one);
    let short = call.timeout(Duration::from_millis(50)).submit(()).unwrap();
    let waited = short.wait_timeout(Duration::from_millis(2500));
    assert!(waited.is_none());
    drop(held);
    let (pid, _) = short.wait().unwrap();
    flood.wait().unwrap();
    assert!(support::children().iter().any(|child| child.pid == pid));
}

fn a_task_that_is_held_up_can_be_killed() {
    let pool = pool(1);
    let directory = Directory::new();
    let counter = directory.log("counter");
    let held = listener::hold();
    let call = pool
        .call(tasks::flood_and_count)
        .timeout(Duration::from_millis(200));
    let flood = call.submit((counter.clone(), 1_000_000, 1000)).unwrap();
    wait_until_it_stands(&counter);
    let next = pool.submit(tasks::say_number, 7).unwrap();
    drop(held);
    let error = flood.wait().unwrap_err();
    assert!(matches!(error, TaskError::TimeLimit(_)), "{error}");
    assert_eq!(next.wait().unwrap(), 7);
}

fn a_pool_that_is_held_up_can_be_killed() {
    let pool = pool(2);
    let directory = Directory::new();
    let counter = directory.log("counter");
    let held = listener::hold();
    let floods = (0..2).map(|_| {
        let flood = pool.submit(tasks::flood_and_count, (counter.clone(), 1_000_000, 1000));
        flood.unwrap()
    });
    let floods: Vec<_> = floods.collect();
    wait_until_it_stands(&counter);
    std::thread::scope(|scope| {
        scope.spawn(|| pool.shutdown(Shutdown::Kill, None).unwrap());
        until("the workers to be gone", || support::children().is_empty());
        // What was read is still to be said, and before the tasks that said it are told to have ended.
        assert!(floods.iter().all(|flood| !flood.is_done()));
        drop(held);
    });
    for flood in floods {
        assert!(matches!(flood.wait(), Err(TaskError::ShutDown { .. })));
    }
}

fn a_listener_that_panics_hears_the_next_record() {
    let pool = pool(1);
    for message in ["panic, please", "next"] {
        let said = pool.submit(tasks::say, message.to_owned()).unwrap();
        said.wait().unwrap();
    }
    assert_eq!(listener::messages(), ["panic, please", "next"]);
}

fn records_and_large_results_do_not_mix() {
    let pool = pool(2);
    let length = 3_000_000;
    let futures = (0..4).map(|_| pool.submit(tasks::talk_beside_a_large_result, length));
    for future in futures.collect::<Result<Vec<_>, _>>().unwrap() {
        let result = future.wait().unwrap();
        assert!(result.len() == length && result.iter().all(|byte| *byte == 7));
    }
    // Threads that have outlived their task go on for as long as they are heard.
    pool.shutdown(Shutdown::Kill, None).unwrap();
    for heard in listener::take() {
        assert!(heard.message.starts_with("thread "), "{heard:?}");
    }
}

fn records_beside_captured_output() {
    let (sender, lines) = mpsc::channel();
    listener::forget();
    let pool = builder(1)
        .stdout(procession::Stdio::Capture)
        .on_output(move |line| {
            let _ = sender.send(line.text.clone());
        })
        .build()
        .unwrap();
    let keeper = GateKeeper::new();
    let future = pool.submit(super::processes::print_and_say, keeper.gate());
    let future = future.unwrap();
    // A record is no end of a line.
    listener::wait_for("said");
    keeper.open(1);
    future.wait().unwrap();
    assert_eq!(lines.try_iter().collect::<Vec<_>>(), ["one line"]);
}
