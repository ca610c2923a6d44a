//! What the integration tests share: a `main` that runs a table of tests one at a time, each under a
//! watchdog, and counts processes, threads, descriptors and mappings before and after.
//!
//! A test target that uses it has `harness = false` in Cargo.toml and this `main`:
//!
//! ```ignore
//! mod support;
//!
//! fn main() {
//!     support::run(|| support::tests![a_test, another_test]);
//! }
//! ```
//!
//! The command line is that of libtest, so that `cargo test NAME` and `cargo nextest run` work.
//! A test that waits for something says so first: `support::awaiting("the second task to begin")`.

#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test target uses a part of it"
)]

mod census;
mod crash;
mod files;
pub(crate) mod stress;
mod stuck;
mod terminal;
mod watchdog;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Once;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use procession::ProcessPoolExecutor;

pub(crate) use census::{
    Census, allocated_memory, children, descriptors, parent_of, segment_name, state_of, threads,
};
pub(crate) use crash::{exit_at_once, ignore, in_a_fork, segfault, signal};
pub(crate) use files::{Directory, Gate, GateKeeper, Log};
pub(crate) use stuck::{
    on_signal, signals_in, stop_this_process, wait_in_read, wait_uninterruptibly,
};
pub(crate) use terminal::{Terminal, sit_down_at};
pub(crate) use watchdog::awaiting;

/// How long a test may take, unless it says otherwise.
const LIMIT: Duration = Duration::from_secs(60);

/// How long the kernel may take to finish what a test has ended: threads that were joined,
/// descriptors that the last process holding them has just closed.
const SETTLING: Duration = Duration::from_secs(2);

/// One test.
pub(crate) struct Case {
    name: String,
    run: Box<dyn FnOnce() + Send>,
    before: fn(),
    limit: Duration,
    only_when_asked: bool,
}

impl Case {
    pub(crate) fn new(name: impl Into<String>, run: impl FnOnce() + Send + 'static) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
            before: || {},
            limit: LIMIT,
            only_when_asked: false,
        }
    }

    /// The same test, with another limit.
    pub(crate) fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// The same test, which runs only with `--ignored`.
    pub(crate) fn only_when_asked(self) -> Self {
        Self {
            only_when_asked: true,
            ..self
        }
    }

    /// The same test, with something that is done before the first census: starting threads that
    /// stay for as long as the process, as some runtimes have.
    pub(crate) fn before(self, before: fn()) -> Self {
        Self { before, ..self }
    }
}

/// The table of tests: functions, named as they are written.
macro_rules! tests {
    ($($function:path),* $(,)?) => {
        vec![$($crate::support::Case::new(stringify!($function), $function)),*]
    };
}
pub(crate) use tests;

/// `main`: a worker's, or that of the tests.
pub(crate) fn run(cases: impl FnOnce() -> Vec<Case>) {
    procession::init();
    let mut arguments = Arguments::from_args();
    // One at a time, on this thread: what is counted belongs to that test.
    arguments.test_threads = Some(1);
    let trials = cases().into_iter().map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(case: Case) -> Trial {
    let (name, only_when_asked) = (case.name.clone(), case.only_when_asked);
    Trial::test(name, move || run_one(case)).with_ignored_flag(only_when_asked)
}

fn run_one(case: Case) -> Result<(), Failed> {
    let Case {
        name,
        run,
        before,
        limit,
        only_when_asked: _,
    } = case;
    static WARM_UP: Once = Once::new();
    WARM_UP.call_once(warm_up);
    before();
    let before = Census::take();
    let watchdog = watchdog::watch(&name, limit * patience());
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    awaiting("the census after the test");
    let left = before.left_over(SETTLING);
    drop(watchdog);
    match (result, left) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(left)) => Err(format!("left behind:\n{left}").into()),
        (Err(panic), left) => {
            let left = left.map_or_else(String::new, |left| format!("\nand left behind:\n{left}"));
            Err(format!("{}{left}", text_of(&*panic)).into())
        }
    }
}

/// By how much all takes longer here, for tools that make it slow. (A test that says how long something may take says so on its own.)
fn patience() -> u32 {
    let times = std::env::var("PROCESSION_TEST_PATIENCE").ok();
    times.map_or(1, |times| times.parse().expect("a whole number"))
}

/// What the first pool opens and keeps: the descriptor of this program.
fn warm_up() {
    match ProcessPoolExecutor::builder().max_workers(1).build() {
        Ok(pool) => drop(pool),
        Err(error) => eprintln!("no pool can be built before the first test: {error}"),
    }
}

/// The text of a panic.
pub(crate) fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the test panicked")
        .to_owned()
}

/// Something is so, and is so for that long.
pub(crate) fn stays(how_long: Duration, what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < how_long {
        assert!(is_so(), "{what}");
        std::thread::yield_now();
    }
}

/// Polls until `is_so`, for what the kernel finishes by itself in a moment. The watchdog bounds it.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    awaiting(what);
    while !is_so() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
