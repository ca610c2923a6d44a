//! A crate as a user writes it, with plain `#[test]` functions: tests/user-crate, built, tested and
//! run from outside.

mod programs;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use procession::{BuildError, ProcessPoolExecutor};
use programs::{Finished, finish, skip};
use support::{Case, Directory};

fn main() {
    support::run(|| {
        let cases = support::tests![
            its_tests_pass_under_libtest,
            its_tests_pass_under_libtest_one_at_a_time,
            its_tests_pass_under_nextest,
            its_asynchronous_main_runs,
            two_functions_of_one_name_stop_a_program_at_init,
            two_types_of_one_name_stop_a_program_at_init,
            two_names_of_one_function_stop_a_program_at_init,
            a_worker_of_another_build_is_refused,
            a_worker_with_another_signature_is_refused,
        ];
        // It is compiled first, on machines that have other things to do.
        let limit = |case: Case| case.limit(Duration::from_secs(900));
        cases.into_iter().map(limit).collect()
    });
}

/// The tests of the crate that leave a note, each once.
const NOTED: [&str; 9] = [
    "a_failing_test_leaves_nothing",
    "a_function_in_a_private_module_has_its_whole_path",
    "a_library_that_is_linked_is_found_by_name",
    "a_panic_is_an_error",
    "a_process_runs_a_function",
    "a_task_runs_in_another_process",
    "a_worker_has_the_name_of_its_program",
    "other_types_are_refused",
    "what_a_task_prints_is_seen",
];

/// All of its tests, as libtest names them.
const TESTS: [&str; 14] = [
    "a_function_in_a_private_module_has_its_whole_path",
    "a_library_that_is_linked_is_found_by_name",
    "a_library_that_is_not_linked_is_refused_with_a_hint",
    "other_types_are_refused",
    "procession_worker",
    "procession_worker",
    "procession_worker",
    "tests::a_failing_test_leaves_nothing",
    "tests::a_panic_is_an_error",
    "tests::a_process_runs_a_function",
    "tests::a_task_runs_in_another_process",
    "tests::a_worker_has_the_name_of_its_program",
    "tests::what_a_task_prints_is_seen",
    "the_line_to_add_is_named",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/user-crate")
}

/// Cargo in that crate, with a target directory of its own, and nothing from the network.
fn cargo(arguments: &[&str]) -> Command {
    static LOCK: OnceLock<()> = OnceLock::new();
    LOCK.get_or_init(|| {
        // The versions that are there already, since this repository uses them too.
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
        fs::copy(ours, folder().join("Cargo.lock")).expect("its lock file");
    });
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(arguments).arg("--offline");
    command
        .arg("--manifest-path")
        .arg(folder().join("Cargo.toml"));
    command.arg("--target-dir").arg(target());
    command
        .env("CARGO_TERM_COLOR", "never")
        .env("RUST_BACKTRACE", "0");
    // What was said to the one who runs these tests was not said to that crate's.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_outer = ["NEXTEST", "RUST_TEST_", "CARGO_PKG_", "CARGO_MANIFEST_"];
        if is_outer.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("user-crate")
}

/// A program of that crate.
fn program_of_the_crate(name: &str) -> PathBuf {
    let built = finish(&mut cargo(&["build", "--bins"]));
    assert!(built.status.success(), "{}", built.stderr);
    target().join("debug").join(name)
}

/// How often each test left a note.
fn notes(path: &Path) -> BTreeMap<String, usize> {
    let text = fs::read_to_string(path).expect("the notes");
    let mut notes = BTreeMap::new();
    for line in text.lines() {
        let name = line.split(' ').next().expect("a name");
        *notes.entry(name.to_owned()).or_default() += 1;
    }
    notes
}

#[track_caller]
fn each_ran_once(path: &Path) {
    let once: BTreeMap<String, usize> = NOTED.iter().map(|name| ((*name).into(), 1)).collect();
    assert_eq!(notes(path), once);
}

fn its_tests_pass_under_libtest() {
    libtest(&[]);
}

fn its_tests_pass_under_libtest_one_at_a_time() {
    libtest(&["--", "--test-threads=1"]);
}

fn libtest(arguments: &[&str]) {
    let directory = Directory::new();
    let path = directory.join("notes");
    let mut command = cargo(&["test", "--lib", "--tests"]);
    let finished = finish(command.args(arguments).env("USER_CRATE_NOTES", &path));
    assert!(finished.status.success(), "{finished:#?}");
    let stdout = &finished.stdout;
    let mut passed: Vec<&str> = stdout
        .lines()
        .filter_map(|line| line.strip_prefix("test "))
        .filter(|line| !line.starts_with("result: "))
        .map(|line| {
            // One at a time, what a task prints comes between the name and the result.
            let (name, _) = line.split_once(" ... ").expect("a name");
            name.strip_suffix(" - should panic").unwrap_or(name)
        })
        .collect();
    passed.sort_unstable();
    assert_eq!(passed, TESTS, "{stdout}");
    each_ran_once(&path);
    // What a worker's own libtest prints on its way to `init()` is not let through …
    let binaries = finished.stderr.matches("     Running ").count();
    assert_eq!(
        stdout.matches("\nrunning ").count(),
        binaries,
        "{finished:#?}"
    );
    assert_eq!(
        stdout.matches("\ntest result: ok. ").count(),
        binaries,
        "{stdout}"
    );
    // … and what a task prints is, also where tests' own output is held back.
    shouts_once(stdout);
}

#[track_caller]
fn shouts_once(stdout: &str) {
    let shouted = stdout
        .matches("a worker of the unit tests shouts\n")
        .count();
    assert_eq!(shouted, 1, "{stdout}");
}

fn its_tests_pass_under_nextest() {
    let version = Command::new("cargo-nextest")
        .args(["nextest", "--version"])
        .output();
    if !version.is_ok_and(|output| output.status.success()) {
        return skip("there is no cargo-nextest");
    }
    let directory = Directory::new();
    let path = directory.join("notes");
    let mut command = cargo(&["nextest", "run", "--no-fail-fast"]);
    let finished = finish(command.env("USER_CRATE_NOTES", &path));
    assert!(finished.status.success(), "{finished:#?}");
    let summary = format!("{0} tests run: {0} passed", TESTS.len());
    assert!(finished.stderr.contains(&summary), "{finished:#?}");
    each_ran_once(&path);
}

fn its_asynchronous_main_runs() {
    let program = program_of_the_crate("user-crate");
    let finished = finish(&mut Command::new(program)).succeeded();
    assert_eq!(
        finished.lines(),
        ["97 true", "99 false", "112272535095293 true"]
    );
}

/// A program that must not come past `init()`.
fn stopped(name: &str) -> Finished {
    let program = program_of_the_crate(name);
    let finished = finish(Command::new(program).env("RUST_BACKTRACE", "0"));
    assert_eq!(finished.status.code(), Some(101), "{finished:#?}");
    assert_eq!(finished.stdout, "");
    finished
}

fn two_functions_of_one_name_stop_a_program_at_init() {
    let stderr = stopped("one_name_for_two").stderr;
    for part in [
        "src/bin/one_name_for_two.rs:14:5:\n",
        "procession: two functions are registered under the name `the name`, ",
        "at src/bin/one_name_for_two.rs:4 and at src/bin/one_name_for_two.rs:9: ",
    ] {
        assert!(stderr.contains(part), "{stderr}");
    }
}

fn two_types_of_one_name_stop_a_program_at_init() {
    let stderr = stopped("one_name_for_two_types").stderr;
    for part in [
        "src/bin/one_name_for_two_types.rs:22:5:\n",
        "procession: two types are managed under the name `the type`, ",
        "at src/bin/one_name_for_two_types.rs:5 and at src/bin/one_name_for_two_types.rs:14: ",
    ] {
        assert!(stderr.contains(part), "{stderr}");
    }
}

fn two_names_of_one_function_stop_a_program_at_init() {
    let stderr = stopped("two_names_for_one").stderr;
    for part in [
        "the function `two_names_for_one::one` is registered under two names, ",
        "as `another name` at src/bin/two_names_for_one.rs:6 ",
        "and as `two_names_for_one::one` at src/bin/two_names_for_one.rs:3: ",
    ] {
        assert!(stderr.contains(part), "{stderr}");
    }
}

fn a_worker_of_another_build_is_refused() {
    // This very program has functions that the other one has not …
    let program = program_of_the_crate("one_function_less");
    let builder = ProcessPoolExecutor::builder().max_workers(2);
    let error = builder.program(&program).build().unwrap_err();
    let BuildError::OtherBuild { pid, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        error.to_string(),
        format!(
            "worker {pid} runs another build: it does not know the function `user_crate::only_in_the_tests`"
        )
    );
    // … and the other way round: its workers are those of the user's own program.
    let host = finish(Command::new(program_of_the_crate("host")).arg(&program)).succeeded();
    assert!(
        host.stdout
            .contains(" runs another build: it does not know the function `host::only_here`\n"),
        "{host:#?}"
    );
}

#[procession::task]
fn only_in_the_tests() {}

fn a_worker_with_another_signature_is_refused() {
    let program = program_of_the_crate("other_signature");
    let host = finish(Command::new(program_of_the_crate("host")).arg(program)).succeeded();
    assert!(
        host.stdout
            .contains(" runs another build: its `host::only_here` is not `() -> ()`\n"),
        "{host:#?}"
    );
    let itself = program_of_the_crate("host");
    let host = finish(Command::new(&itself).arg(&itself)).succeeded();
    assert_eq!(host.lines(), ["a pool of 2"]);
}
