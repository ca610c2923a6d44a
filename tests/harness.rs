//! The harness itself: what is left behind is found, and what hangs is ended and explained.

mod support;

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use support::{Case, Census};

fn main() {
    support::run(|| {
        let mut cases = support::tests![
            nothing_is_left_behind_by_nothing,
            a_child_process_left_behind_is_found,
            a_zombie_left_behind_is_found,
            a_thread_left_behind_is_found,
            a_descriptor_left_behind_is_found,
            a_test_that_hangs_is_ended_and_explained,
            a_test_that_leaves_something_behind_fails,
        ];
        cases.push(
            Case::new("hangs", hangs)
                .limit(Duration::from_millis(300))
                .only_when_asked(),
        );
        cases.push(Case::new("leaves_a_file_open", leaves_a_file_open).only_when_asked());
        cases
    });
}

fn left_since(census: &Census) -> String {
    census.left_over(Duration::ZERO).unwrap_or_default()
}

fn nothing_is_left_behind_by_nothing() {
    assert_eq!(left_since(&Census::take()), "");
}

fn a_child_process_left_behind_is_found() {
    let census = Census::take();
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let left = left_since(&census);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        left.contains(&format!("child process {}", child.id())),
        "{left}"
    );
    assert_eq!(left_since(&census), "");
}

fn a_zombie_left_behind_is_found() {
    let census = Census::take();
    let mut child = Command::new("true").spawn().unwrap();
    support::until("the child to become a zombie", || {
        support::state_of(child.id()) == Some('Z')
    });
    let left = left_since(&census);
    child.wait().unwrap();
    assert!(left.contains("[Z]"), "{left}");
}

fn a_thread_left_behind_is_found() {
    let census = Census::take();
    let (end, ended) = mpsc::channel::<()>();
    let thread = std::thread::Builder::new().name("forgotten".into());
    let thread = thread.spawn(move || ended.recv().unwrap_err()).unwrap();
    support::until("the thread to have its name", || {
        support::threads()
            .iter()
            .any(|task| task.name == "forgotten")
    });
    let left = left_since(&census);
    drop(end);
    thread.join().unwrap();
    assert!(left.contains("forgotten"), "{left}");
}

fn a_descriptor_left_behind_is_found() {
    let census = Census::take();
    let file = File::open("/dev/null").unwrap();
    let left = left_since(&census);
    drop(file);
    assert!(left.contains("/dev/null"), "{left}");
    assert_eq!(left_since(&census), "");
}

fn a_test_that_hangs_is_ended_and_explained() {
    let output = this_test("hangs");
    assert_eq!(output.status.signal(), Some(6), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    for part in [
        "test hangs has taken longer than 300ms",
        "was awaiting: what never comes",
        "threads:",
        "watchdog",
        "child processes:",
        "procession",
    ] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

fn a_test_that_leaves_something_behind_fails() {
    let output = this_test("leaves_a_file_open");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("/dev/null"), "{text}");
}

/// Runs one of the tests below, which run only when asked for.
fn this_test(name: &str) -> std::process::Output {
    support::awaiting("a test binary");
    let this = std::env::current_exe().unwrap();
    Command::new(this)
        .args(["--ignored", "--exact", name])
        .output()
        .unwrap()
}

fn hangs() {
    let _pool = procession::ProcessPoolExecutor::builder()
        .max_workers(1)
        .build()
        .unwrap();
    support::awaiting("what never comes");
    loop {
        std::thread::park();
    }
}

fn leaves_a_file_open() {
    std::mem::forget(File::open("/dev/null").unwrap());
}
