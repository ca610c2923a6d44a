//! What can be submitted, what is refused, back-pressure, and what functions end with.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ::futures::executor::block_on;
use ::futures::poll;
use procession::{ExecutorExt as _, ProcessPoolExecutor, SubmitError, TaskError};

use super::support::{GateKeeper, awaiting};
use super::tasks::{self, *};
use super::{On, Subject, Test};

pub(crate) fn tests() -> Vec<Test> {
    let every = super::tests![On::Every;
        a_call_returns_the_value_of_the_function,
        functions_have_up_to_eight_arguments,
        a_large_array_is_not_taken_for_a_deep_one,
        one_argument_that_is_a_tuple_is_one_argument,
        an_async_function_is_driven_to_its_end,
        a_result_of_a_function_is_a_value,
        an_error_of_any_kind_becomes_a_failure_with_its_text,
        instances_of_generic_functions_are_functions,
        functions_of_private_modules_and_other_crates_can_be_submitted,
        parameters_named_like_those_of_the_calls_are_passed_untouched,
        a_function_is_found_by_its_name,
        an_unknown_name_is_refused,
        a_name_asked_for_with_other_types_is_refused,
        a_function_that_is_not_registered_is_refused_with_the_line_to_add,
        arguments_that_do_not_encode_are_refused,
        arguments_that_do_not_decode_again_are_refused_or_fail_alone,
        a_result_that_does_not_encode_costs_one_task,
        a_result_that_panics_while_it_is_encoded_costs_one_task,
        a_result_that_does_not_decode_costs_one_task,
        a_panic_has_its_message_and_costs_one_task,
        a_panic_that_is_not_text_is_a_panic,
        many_threads_submit_at_once,
        memory_of_arguments_and_results_is_given_back,
    ];
    let background = super::tests![On::Background;
        try_submit_gives_the_arguments_back_when_it_is_full,
        submit_waits_for_room,
        submit_async_waits_for_room_and_is_woken,
        submit_async_that_is_dropped_submits_nothing,
    ];
    let processes = super::tests![On::Processes;
        what_is_larger_than_max_frame_is_refused,
    ];
    every
        .into_iter()
        .chain(background)
        .chain(processes)
        .collect()
}

fn a_call_returns_the_value_of_the_function(subject: Subject) {
    let executor = subject.executor();
    assert_eq!(executor.submit(power, (2, 8)).unwrap().wait().unwrap(), 256);
    // It is still a function.
    assert_eq!(power(2, 8), 256);
}

fn functions_have_up_to_eight_arguments(subject: Subject) {
    let executor = subject.executor();
    assert_eq!(executor.submit(none, ()).unwrap().wait().unwrap(), 0);
    executor.submit(unit, ()).unwrap().wait().unwrap();
    let futures = [
        executor.submit(one, 1),
        executor.submit(two, (1, 2)),
        executor.submit(three, (1, 2, 3)),
        executor.submit(four, (1, 2, 3, 4)),
        executor.submit(five, (1, 2, 3, 4, 5)),
        executor.submit(six, (1, 2, 3, 4, 5, 6)),
        executor.submit(seven, (1, 2, 3, 4, 5, 6, 7)),
        executor.submit(eight, (1, 2, 3, 4, 5, 6, 7, 8)),
    ];
    for (count, future) in (1..).zip(futures) {
        let expected: Vec<u8> = (1..=count).collect();
        assert_eq!(future.unwrap().wait().unwrap(), expected);
    }
}

/// 32 KiB, in a build without optimisation: each copy of it that is made on the way is on the stack.
fn a_large_array_is_not_taken_for_a_deep_one(subject: Subject) {
    let sum = subject.executor().submit(sum_of, [[[[1; 32]; 32]; 4]; 8]);
    assert_eq!(sum.unwrap().wait().unwrap(), 32 << 10);
}

fn one_argument_that_is_a_tuple_is_one_argument(subject: Subject) {
    let executor = subject.executor();
    let future = executor.submit(pair, (7, "seven".to_owned())).unwrap();
    assert_eq!(future.wait().unwrap(), "seven 7");
}

fn an_async_function_is_driven_to_its_end(subject: Subject) {
    let executor = subject.executor();
    let future = executor.submit(asynchronous, 41).unwrap();
    assert_eq!(future.wait().unwrap(), 42);
    let future = executor.submit(asynchronous_panic, "late".to_owned());
    match future.unwrap().wait() {
        Err(TaskError::Panicked(panic)) => assert_eq!(&*panic.message, "late"),
        other => panic!("{other:?}"),
    }
}

fn a_result_of_a_function_is_a_value(subject: Subject) {
    let executor = subject.executor();
    assert_eq!(executor.submit(half, 8).unwrap().wait().unwrap(), Ok(4));
    let future = executor.submit(half, 7).unwrap();
    assert_eq!(future.wait().unwrap(), Err("7 is odd".into()));
    assert!(future.error().is_none());
}

fn an_error_of_any_kind_becomes_a_failure_with_its_text(subject: Subject) {
    let executor = subject.executor();
    let future = executor.submit(read_file, "/no/such/file".to_owned());
    let failure = future.unwrap().wait().unwrap().unwrap_err();
    assert!(text(&failure).contains("No such file"), "{failure}");
}

fn instances_of_generic_functions_are_functions(subject: Subject) {
    let executor = subject.executor();
    let whole = executor.submit(total::<u32>, vec![1, 2, 3]).unwrap();
    let parts = executor.submit(total::<f64>, vec![0.5, 0.25]).unwrap();
    assert_eq!(whole.wait().unwrap(), 6);
    assert_eq!(parts.wait().unwrap(), 0.75);
    let named = executor.submit_by_name::<f64>("a total of floats", &vec![1.5f64, 1.0]);
    assert_eq!(named.unwrap().wait().unwrap(), 2.5);
}

fn functions_of_private_modules_and_other_crates_can_be_submitted(subject: Subject) {
    let executor = subject.executor();
    assert_eq!(private::submit_hidden(&*executor, 2), 42);
    let rotated = executor.submit(u64::rotate_left, (1, 4)).unwrap();
    assert_eq!(rotated.wait().unwrap(), 16);
    let area = executor.submit(<Square as Shape>::area, Square(3.0));
    assert_eq!(area.unwrap().wait().unwrap(), 9.0);
}

fn parameters_named_like_those_of_the_calls_are_passed_untouched(subject: Subject) {
    let executor = subject.executor();
    let future = executor.submit(function, (1, 2, 3, 4)).unwrap();
    assert_eq!(future.wait().unwrap(), [1, 2, 3, 4]);
    let future = executor.submit(tasks::submit, (5, 6, 7)).unwrap();
    assert_eq!(future.wait().unwrap(), [5, 6, 7]);
}

fn a_function_is_found_by_its_name(subject: Subject) {
    let executor = subject.executor();
    let future = executor.submit_by_name::<u64>("conformance::tasks::power", &(3u64, 4u32));
    assert_eq!(future.unwrap().wait().unwrap(), 81);
    let future = executor.submit_by_name::<u64>("rotate", &(1u64, 1u32));
    assert_eq!(future.unwrap().wait().unwrap(), 2);
}

fn an_unknown_name_is_refused(subject: Subject) {
    let executor = subject.executor();
    match executor.submit_by_name::<u64>("conformance::nothing", &()) {
        Err(SubmitError::UnknownName { name }) => assert_eq!(name, "conformance::nothing"),
        other => panic!("{other:?}"),
    }
    assert_eq!(executor.pending(), 0);
}

fn a_name_asked_for_with_other_types_is_refused(subject: Subject) {
    let executor = subject.executor();
    let name = "conformance::tasks::power";
    let refused = [
        executor.submit_by_name::<u64>(name, &(3u64, 4u64)),
        executor.submit_by_name::<u64>(name, &()),
    ];
    for refused in refused {
        match refused {
            Err(error @ SubmitError::OtherTypes { .. }) => {
                let text = text(error);
                assert!(text.contains(name) && text.contains("u32"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
    let refused = executor.submit_by_name::<String>(name, &(3u64, 4u32));
    assert!(matches!(refused, Err(SubmitError::OtherTypes { .. })));
}

fn a_function_that_is_not_registered_is_refused_with_the_line_to_add(subject: Subject) {
    let executor = subject.executor();
    let error = executor.submit(forgotten, 1).unwrap_err();
    let text = text(error);
    assert!(text.contains("#[procession::task]"), "{text}");
    let line = "procession::register!(conformance::tasks::forgotten);";
    assert!(text.contains(line), "{text}");
    let refused = executor.try_submit(forgotten, 5).unwrap_err();
    assert_eq!(refused.args, 5);
    let mut map = executor.map(forgotten, 0..3);
    match map.next() {
        Some(Err(TaskError::Refused(SubmitError::NotRegistered { .. }))) => {}
        other => panic!("{other:?}"),
    }
    assert!(map.next().is_none());
}

fn arguments_that_do_not_encode_are_refused(subject: Subject) {
    let executor = subject.executor();
    match executor.submit(take_stubborn, Stubborn(true)) {
        Err(SubmitError::NotEncoded { function, message }) => {
            assert_eq!(function, "conformance::tasks::take_stubborn");
            assert!(message.contains("refused the value"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    let refused = executor
        .try_submit(take_stubborn, Stubborn(true))
        .unwrap_err();
    assert_eq!(refused.args, Stubborn(true));
    assert_eq!(executor.pending(), 0);
    let future = executor.submit(take_stubborn, Stubborn(false)).unwrap();
    assert!(!future.wait().unwrap());
}

fn arguments_that_do_not_decode_again_are_refused_or_fail_alone(subject: Subject) {
    let executor = subject.executor();
    let submitted = executor.submit(take_lost, Lost(true));
    if cfg!(debug_assertions) {
        match submitted {
            Err(SubmitError::NotDecodable { function, message }) => {
                assert_eq!(function, "conformance::tasks::take_lost");
                assert!(message.contains("refused the value"), "{message}");
            }
            other => panic!("{other:?}"),
        }
        let refused = executor.submit(take_untagged, Untagged::Number(1));
        assert!(matches!(refused, Err(SubmitError::NotDecodable { .. })));
    } else {
        match submitted.unwrap().wait() {
            Err(TaskError::ArgumentNotDecoded { function, .. }) => {
                assert_eq!(&*function, "conformance::tasks::take_lost");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(
        !executor
            .submit(take_lost, Lost(false))
            .unwrap()
            .wait()
            .unwrap()
    );
}

fn a_result_that_does_not_encode_costs_one_task(subject: Subject) {
    let executor = subject.executor();
    let before = executor.submit(pid, ()).unwrap().wait().unwrap();
    for _ in 0..20 {
        match executor.submit(make_stubborn, true).unwrap().wait() {
            Err(TaskError::ResultNotEncoded { function, message }) => {
                assert_eq!(&*function, "conformance::tasks::make_stubborn");
                assert!(message.contains("refused the value"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        executor
            .submit(make_stubborn, false)
            .unwrap()
            .wait()
            .unwrap(),
        Stubborn(false)
    );
    if subject.workers() == 1 {
        // The worker is the same.
        assert_eq!(executor.submit(pid, ()).unwrap().wait().unwrap(), before);
    }
}

fn a_result_that_panics_while_it_is_encoded_costs_one_task(subject: Subject) {
    let executor = subject.executor();
    let error = executor.submit(make_explosive, ()).unwrap().wait();
    match error {
        Err(error @ (TaskError::Panicked(_) | TaskError::ResultNotEncoded { .. })) => {
            assert!(text(&error).contains("encoding panicked"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(executor.submit(double, 4).unwrap().wait().unwrap(), 8);
}

fn a_result_that_does_not_decode_costs_one_task(subject: Subject) {
    let executor = subject.executor();
    match executor.submit(make_lost, true).unwrap().wait() {
        Err(TaskError::ResultNotDecoded { type_name, message }) => {
            assert!(type_name.ends_with("Lost"), "{type_name}");
            assert!(message.contains("refused the value"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        executor.submit(make_lost, false).unwrap().wait().unwrap(),
        Lost(false)
    );
}

fn a_panic_has_its_message_and_costs_one_task(subject: Subject) {
    let executor = subject.executor();
    let future = executor.submit(panics, "on purpose".to_owned()).unwrap();
    match future.wait() {
        Err(error @ TaskError::Panicked(_)) => {
            assert!(error.may_have_run());
            let TaskError::Panicked(panic) = error else {
                return;
            };
            assert_eq!(&*panic.message, "on purpose");
            assert_eq!(&*panic.function, "conformance::tasks::panics");
            assert_eq!(
                panic.pid == std::process::id(),
                !subject.has_processes(),
                "{panic}"
            );
            if subject.has_processes() {
                let location = panic.location.as_deref().unwrap_or_default();
                let here = format!("tests/conformance/tasks.rs:{LINE_OF_PANIC}:");
                assert!(location.starts_with(&here), "{location} is not {here}");
                assert!(text(&panic).contains(location));
            }
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(executor.submit(double, 4).unwrap().wait().unwrap(), 8);
}

fn a_panic_that_is_not_text_is_a_panic(subject: Subject) {
    let executor = subject.executor();
    let future = executor.submit(panics_with_a_number, 7).unwrap();
    assert!(matches!(future.wait(), Err(TaskError::Panicked(_))));
}

fn many_threads_submit_at_once(subject: Subject) {
    let executor = &*subject.executor();
    thread::scope(|scope| {
        for first in 0..8u64 {
            scope.spawn(move || {
                let futures = (0..50u64).map(|n| executor.submit(double, first * 100 + n).unwrap());
                for (n, future) in (0..).zip(futures.collect::<Vec<_>>()) {
                    assert_eq!(future.wait().unwrap(), 2 * (first * 100 + n));
                }
            });
        }
    });
    assert_eq!(executor.pending(), 0);
}

fn memory_of_arguments_and_results_is_given_back(subject: Subject) {
    /// Larger than what an allocator keeps to itself.
    const LENGTH: usize = 36 << 20;
    let executor = subject.executor();
    let once = |executor: &dyn procession::Executor| {
        let future = executor.submit(echo, "x".repeat(LENGTH)).unwrap();
        assert_eq!(future.wait().unwrap().len(), LENGTH);
    };
    once(&*executor);
    let before = resident();
    for _ in 0..6 {
        once(&*executor);
    }
    let after = resident();
    // An allocator keeps something, but not what grows with every task.
    assert!(
        after < before + 4 * LENGTH,
        "{after} bytes are resident, {before} were before"
    );
}

/// The memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: usize = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib * 1024
}

fn try_submit_gives_the_arguments_back_when_it_is_full(subject: Subject) {
    let executor = subject.with_max_pending(3);
    let keeper = GateKeeper::new();
    let futures: Vec<_> = (0..3)
        .map(|label| executor.try_submit(pass, (keeper.gate(), label)).unwrap())
        .collect();
    let refused = executor
        .try_submit(echo, "precious".to_owned())
        .unwrap_err();
    assert_eq!(refused.args, "precious");
    assert_eq!(refused.reason, SubmitError::Full { max_pending: 3 });
    assert_eq!(executor.pending(), 3);
    keeper.open(3);
    for future in &futures {
        future.wait().unwrap();
    }
    // Whoever has seen the end of a task may count on its room.
    let future = executor.try_submit(echo, refused.args).unwrap();
    assert_eq!(future.wait().unwrap(), "precious");
}

fn submit_waits_for_room(subject: Subject) {
    let executor = &*subject.with_max_pending(1);
    let keeper = GateKeeper::new();
    let first = executor.submit(pass, (keeper.gate(), 1)).unwrap();
    keeper.arrival();
    let opened = AtomicBool::new(false);
    thread::scope(|scope| {
        let second = scope.spawn(|| {
            let future = executor.submit(double, 21).unwrap();
            assert!(opened.load(Ordering::SeqCst), "there was no room before");
            // Its end is told a moment after its room is given on: whoever sees it may count on that.
            assert_eq!(first.wait().unwrap(), 1);
            future.wait().unwrap()
        });
        opened.store(true, Ordering::SeqCst);
        keeper.open(1);
        awaiting("the second submit");
        assert_eq!(second.join().unwrap(), 42);
    });
    assert_eq!(first.wait().unwrap(), 1);
}

fn submit_async_waits_for_room_and_is_woken(subject: Subject) {
    let executor = subject.with_max_pending(1);
    let keeper = GateKeeper::new();
    block_on(async {
        let gate = keeper.gate();
        let first = executor.submit_async(pass, (gate, 1)).await.unwrap();
        let mut second = Box::pin(executor.submit_async(double, 21));
        assert!(poll!(&mut second).is_pending());
        assert!(poll!(&mut second).is_pending());
        keeper.open(1);
        let second = second.await.unwrap();
        assert_eq!(second.await.unwrap(), 42);
        assert_eq!(first.await.unwrap(), 1);
    });
}

fn submit_async_that_is_dropped_submits_nothing(subject: Subject) {
    let executor = subject.with_max_pending(1);
    let keeper = GateKeeper::new();
    let log = keeper.log();
    block_on(async {
        let first = executor.submit(pass, (keeper.gate(), 1)).unwrap();
        let mut second = Box::pin(executor.submit_async(note, (log.clone(), 2)));
        let mut third = Box::pin(executor.submit_async(note, (log.clone(), 3)));
        assert!(poll!(&mut second).is_pending());
        assert!(poll!(&mut third).is_pending());
        drop(second);
        keeper.open(1);
        // The room goes to the next in line.
        third.await.unwrap().await.unwrap();
        first.await.unwrap();
    });
    assert_eq!(log.lines(), ["3"]);
}

fn what_is_larger_than_max_frame_is_refused(subject: Subject) {
    let executor = ProcessPoolExecutor::builder()
        .max_workers(subject.workers())
        .max_frame(1 << 20)
        .build()
        .unwrap();
    match executor.submit(echo, "x".repeat(2 << 20)) {
        Err(SubmitError::TooLarge {
            function,
            size,
            max_frame,
        }) => {
            assert_eq!(function, "conformance::tasks::echo");
            assert_eq!(max_frame, 1 << 20);
            assert!(size > 2 << 20);
        }
        other => panic!("{other:?}"),
    }
    let before = executor.submit(pid, ()).unwrap().wait().unwrap();
    match executor.submit(as_long_as, 2 << 20).unwrap().wait() {
        Err(TaskError::ResultTooLarge {
            function,
            size,
            max_frame,
        }) => {
            assert_eq!(&*function, "conformance::tasks::as_long_as");
            assert_eq!(max_frame, 1 << 20);
            assert!(size > 2 << 20);
        }
        other => panic!("{other:?}"),
    }
    let lengths: Vec<_> = executor
        .map(as_long_as, [1, 2 << 20, 3])
        .chunksize(3)
        .collect();
    assert!(matches!(
        &lengths[..],
        [Ok(_), Err(TaskError::ResultTooLarge { .. }), Ok(_)]
    ));
    // Just below the limit.
    let length = (1 << 20) - 8;
    let future = executor.submit(as_long_as, length).unwrap();
    assert_eq!(future.wait().unwrap().len(), length);
    if subject.workers() == 1 {
        assert_eq!(executor.submit(pid, ()).unwrap().wait().unwrap(), before);
    }
}
