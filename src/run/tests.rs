use std::future::poll_fn;
use std::panic::{panic_any, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::*;
use crate::registry::{TaskFunction, find};

fn shout(text: String) -> String {
    text.to_uppercase()
}

fn panic_with_text(text: String) {
    panic!("{text}");
}

fn panic_with_a_literal() {
    panic!("a literal")
}

fn panic_with_a_number() {
    panic_any(7_u32)
}

struct Spiteful(u32);

impl Drop for Spiteful {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Spiteful(self.0 - 1))
        }
    }
}

fn panic_with_a_payload_that_panics(depth: u32) {
    panic_any(Spiteful(depth))
}

#[derive(Debug)]
struct Unwilling {
    decodes: bool,
    encodes: bool,
}

impl Serialize for Unwilling {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.encodes {
            panic!("will not encode");
        }
        (self.decodes, 1_u64).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Unwilling {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (decodes, _) = <(bool, u64)>::deserialize(deserializer)?;
        assert!(decodes, "will not decode");
        Ok(Self {
            decodes,
            encodes: false,
        })
    }
}

fn unwilling(value: Unwilling) -> Unwilling {
    value
}

fn half_written() -> (u64, Unwilling) {
    (
        u64::MAX,
        Unwilling {
            decodes: true,
            encodes: false,
        },
    )
}

fn catch_then_return() -> bool {
    panic::catch_unwind(|| panic!("caught by the function")).is_err()
}

fn catch_then_resume(text: String) {
    let payload = panic::catch_unwind(|| panic!("caught by the function")).unwrap_err();
    if text.is_empty() {
        resume_unwind(payload);
    }
    resume_unwind(Box::new(text));
}

fn panic_while_panicking() {
    struct Untidy;
    impl Drop for Untidy {
        fn drop(&mut self) {
            panic!("the second panic");
        }
    }
    let _untidy = Untidy;
    panic!("the first panic");
}

fn panic_here_and_on_another_thread() {
    let other = thread::spawn(|| panic!("of a thread"));
    assert!(other.join().is_err());
    panic!("of the task");
}

fn nested(text: String) -> String {
    let failure = attempt(panic_with_text, text).unwrap_err();
    panic!("outer of {}", parts(&failure).0);
}

async fn panic_later(text: String) -> u8 {
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        context.waker().wake_by_ref();
        if polls < 3 {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    panic!("{text}")
}

async fn woken_from_another_thread() -> u8 {
    let done = Arc::new(AtomicBool::new(false));
    let mut started = false;
    poll_fn(move |context| {
        if done.load(Ordering::Acquire) {
            return Poll::Ready(7);
        }
        if !started {
            started = true;
            let (waker, done) = (context.waker().clone(), done.clone());
            thread::spawn(move || {
                done.store(true, Ordering::Release);
                waker.wake();
            });
        }
        Poll::Pending
    })
    .await
}

crate::register!(
    shout,
    panic_with_text,
    panic_with_a_literal,
    panic_with_a_number,
    panic_with_a_payload_that_panics,
    unwilling,
    half_written,
    catch_then_return,
    catch_then_resume,
    nested,
    panic_here_and_on_another_thread,
    panic_while_panicking,
    panic_later,
    woken_from_another_thread,
);

/// Runs a function as a worker does.
fn attempt<F, A, K>(_: F, args: A) -> Result<F::Output, TaskFailure>
where
    F: TaskFunction<A, K>,
{
    let mut bytes = Vec::new();
    F::encode_args(&args, &mut bytes).unwrap();
    let mut out = vec![1, 2, 3];
    let ran = run(
        find::<F, A, K>().unwrap(),
        bytes.into(),
        Handles::default(),
        &mut out,
    );
    assert_eq!(out[..3], [1, 2, 3]);
    match ran {
        Ok(_) => Ok(crate::wire::decode(&out[3..])
            .map_err(|error| error.to_string())
            .unwrap()),
        Err(failure) => {
            assert_eq!(out.len(), 3, "what was half written is taken back");
            assert!(
                (DEPTH.get() == 0 && NOTED.with_borrow(Vec::is_empty))
                    || thread_runs_a_test_of_nesting()
            );
            Err(failure)
        }
    }
}

fn thread_runs_a_test_of_nesting() -> bool {
    DEPTH.get() == 1
}

fn parts(failure: &TaskFailure) -> (&str, Option<&str>, Option<&str>) {
    match failure {
        TaskFailure::Panicked {
            message,
            location,
            backtrace,
        } => (message, location.as_deref(), backtrace.as_deref()),
        other => panic!("not a panic: {other:?}"),
    }
}

#[test]
fn a_result_is_appended() {
    assert_eq!(attempt(shout, "a".into()).unwrap(), "A");
    assert_eq!(attempt(woken_from_another_thread, ()).unwrap(), 7);
}

#[test]
fn a_panic_says_where_and_what() {
    capture_panics();
    let failure = attempt(panic_with_text, "out of cheese".into()).unwrap_err();
    let (message, location, backtrace) = parts(&failure);
    assert_eq!(message, "out of cheese");
    assert!(location.unwrap().contains("run/tests.rs:"), "{location:?}");
    let backtrace = backtrace.unwrap();
    assert!(backtrace.contains("panic_with_text"), "{backtrace}");
    if cfg!(debug_assertions) {
        assert!(backtrace.contains("run/tests.rs:"), "{backtrace}");
    }
    assert_eq!(
        parts(&attempt(panic_with_a_literal, ()).unwrap_err()).0,
        "a literal"
    );
}

#[test]
fn a_future_may_panic() {
    capture_panics();
    let failure = attempt(panic_later, "late".into()).unwrap_err();
    assert_eq!(parts(&failure).0, "late");
    assert!(parts(&failure).1.is_some());
}

#[test]
fn a_payload_that_is_not_text_keeps_its_place() {
    capture_panics();
    let failure = attempt(panic_with_a_number, ()).unwrap_err();
    assert_eq!(parts(&failure).0, NOT_TEXT);
    assert!(parts(&failure).1.is_some());
}

#[test]
fn a_payload_whose_drop_panics_costs_the_task_only() {
    capture_panics();
    for depth in [0, 1, 2, 9] {
        let failure = attempt(panic_with_a_payload_that_panics, depth).unwrap_err();
        assert_eq!(parts(&failure).0, NOT_TEXT);
    }
    assert_eq!(attempt(shout, "a".into()).unwrap(), "A");
}

#[test]
fn a_panic_while_decoding_or_encoding_is_the_tasks() {
    capture_panics();
    let mut bytes = Vec::new();
    for (value, expected) in [
        ((false, 1_u64), "will not decode"),
        ((true, 1), "will not encode"),
    ] {
        bytes.clear();
        crate::wire::encode(&value, &mut bytes)
            .map_err(|error| error.to_string())
            .unwrap();
        let mut out = vec![9];
        let failure = run(
            found(unwilling),
            bytes[..].into(),
            Handles::default(),
            &mut out,
        )
        .unwrap_err();
        assert_eq!(parts(&failure).0, expected);
        assert_eq!(out, [9]);
    }
    let failure = attempt(half_written, ()).unwrap_err();
    assert_eq!(parts(&failure).0, "will not encode");
}

fn found<F: TaskFunction<A, K>, A, K>(_: F) -> &'static Function {
    find::<F, A, K>().unwrap()
}

#[test]
fn bytes_that_do_not_decode_are_not_a_panic() {
    let mut out = vec![9];
    let failure = run(found(shout), [200][..].into(), Handles::default(), &mut out).unwrap_err();
    assert!(
        matches!(failure, TaskFailure::ArgumentNotDecoded(_)),
        "{failure:?}"
    );
    assert_eq!(out, [9]);
}

#[test]
fn a_panic_that_the_function_catches_is_its_own_affair() {
    capture_panics();
    assert!(attempt(catch_then_return, ()).unwrap());
}

#[test]
fn a_payload_passed_on_has_the_place_of_its_own_panic_or_none() {
    capture_panics();
    let failure = attempt(catch_then_resume, String::new()).unwrap_err();
    assert_eq!(parts(&failure).0, "caught by the function");
    assert!(parts(&failure).1.is_some());

    let failure = attempt(catch_then_resume, "another".into()).unwrap_err();
    assert_eq!(parts(&failure), ("another", None, None));
}

#[test]
fn a_task_may_run_tasks() {
    capture_panics();
    let failure = attempt(nested, "inner".into()).unwrap_err();
    assert_eq!(parts(&failure).0, "outer of inner");
    let (_, location, backtrace) = parts(&failure);
    assert!(location.is_some() && backtrace.is_some_and(|text| text.contains("nested")));
}

/// What one of the ignored tests prints, in a process of its own.
fn printed_by(test: &str) -> (std::process::ExitStatus, String) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("run::tests::{test}"),
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    (
        output.status,
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_panic_outside_of_a_task_goes_to_the_hook_before_ours() {
    let (status, printed) = printed_by("panic_here_and_there");
    assert!(status.success(), "{printed}");
    assert_eq!(
        printed.matches("the hook before ours: ").count(),
        2,
        "{printed}"
    );
    assert!(
        printed.contains("ours: of a thread") && printed.contains("ours: of no task"),
        "{printed}"
    );
}

#[test]
#[ignore = "changes the process's hook: another test runs it in a process of its own"]
fn panic_here_and_there() {
    panic::set_hook(Box::new(|info| {
        eprintln!(
            "the hook before ours: {}",
            info.payload_as_str().unwrap_or(NOT_TEXT)
        );
    }));
    capture_panics();
    capture_panics();
    let failure = attempt(panic_here_and_on_another_thread, ()).unwrap_err();
    assert_eq!(parts(&failure).0, "of the task");
    assert!(panic::catch_unwind(|| panic!("of no task")).is_err());
}

#[test]
fn a_panic_that_ends_the_process_is_printed() {
    let (status, printed) = printed_by("abort");
    assert!(!status.success());
    for said in [
        "the second panic",
        "run/tests.rs:",
        "panic in a destructor during cleanup",
    ] {
        assert!(printed.contains(said), "{said}: {printed}");
    }
}

#[test]
#[ignore = "aborts: another test runs it in a process of its own"]
fn abort() {
    capture_panics();
    let _ = attempt(panic_while_panicking, ());
}
