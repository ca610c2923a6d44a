//! `init()`: the fork in the road between a program and its workers.

use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::{MAX_DEPTH, take_over};
use crate::error::BuildError;
use crate::registry;
use crate::sys;
use crate::wire;

/// The variable that marks a worker. `init()` removes it, so that a grandchild never sees it.
const MARKER: &str = "PROCESSION_WORKER";

/// Worker numbers start above standard error.
const FIRST_FREE_DESCRIPTOR: i32 = 3;

static INITIALISED: AtomicBool = AtomicBool::new(false);
static DEPTH: AtomicU32 = AtomicU32::new(0);

/// In a worker, serves tasks and never returns; in any other process, returns at once.
///
/// Make it the first line of `main`, before threads are started, arguments are parsed or anything is
/// printed: a worker is this same program, started anew, and everything before this line happens in
/// every worker too. `#[procession::main]` does it for you; in test crates it is
/// [`init_in_tests!`](crate::init_in_tests).
///
/// It also removes from the environment the variable by which a worker is recognised.
///
/// # Panics
///
/// When two functions are registered under one name, or one function under two names, or two managed types under one name. The
/// message names both places.
///
/// # Example
///
/// ```standalone_crate
/// procession::init();
/// // … the program …
/// ```
#[track_caller]
pub fn init() {
    if let Err(error) = registry::check() {
        panic!("procession: {error}");
    }
    if INITIALISED.swap(true, Ordering::SeqCst) {
        return;
    }
    let Some(marker) = Marker::take() else { return };
    match sys::take_standard_input(FIRST_FREE_DESCRIPTOR) {
        Ok(Some(control)) => {
            DEPTH.store(marker.depth, Ordering::Relaxed);
            take_over::take_over(control)
        }
        // The variable had been left by a program that never called `init()`, and was inherited by
        // this one, which is nobody's worker.
        Ok(None) => {}
        Err(error) => {
            sys::tell_user(format_args!(
                "this worker cannot take its control socket: {error}"
            ));
            sys::end_now(1)
        }
    }
}

/// Whether this process is a worker, or a [`Process`](crate::Process).
///
/// ```
/// assert!(!procession::in_worker());
/// ```
pub fn in_worker() -> bool {
    DEPTH.load(Ordering::Relaxed) > 0
}

/// Proof that workers may be started from this process, and how.
#[derive(Clone, Debug)]
pub(crate) struct Initialised {
    /// The depth of the workers to start.
    pub(crate) depth: u32,
    /// In a test binary: the arguments that lead a worker to `init()`.
    pub(crate) test_arguments: Option<Vec<OsString>>,
}

/// Refuses a process whose workers would not reach `init()`, and a worker that did not.
pub(crate) fn check_this_process(own_program: bool) -> Result<Initialised, BuildError> {
    if Marker::take().is_some() {
        // Started as a worker, and here before `init()`: going on would start workers without end.
        sys::say_on_standard_input(wire::NEVER_INITIALISED);
        return Err(BuildError::WorkerWithoutInit);
    }
    registry::check().map_err(BuildError::Registry)?;
    let depth = DEPTH.load(Ordering::Relaxed) + 1;
    if depth > MAX_DEPTH {
        return Err(BuildError::TooDeep {
            depth,
            max_depth: MAX_DEPTH,
        });
    }
    let test_arguments = own_program.then(TestEntry::arguments).flatten();
    if own_program && test_arguments.is_none() && !INITIALISED.load(Ordering::SeqCst) {
        return Err(BuildError::NotInitialised);
    }
    Ok(Initialised {
        depth,
        test_arguments,
    })
}

/// What the marker says.
pub(crate) struct Marker {
    depth: u32,
}

impl Marker {
    /// The variable and its value for a worker at `depth`.
    pub(super) fn for_worker(depth: u32) -> (&'static OsStr, OsString) {
        (OsStr::new(MARKER), OsString::from(depth.to_string()))
    }

    /// Reads and removes the marker of this process.
    fn take() -> Option<Self> {
        let value = sys::environment(MARKER)?;
        sys::remove_from_environment(MARKER);
        // A value that is not ours still marks a process that must not start workers by accident;
        // the control socket decides whether it is one.
        let depth = value
            .to_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or(1);
        Some(Self {
            depth: u32::max(depth, 1),
        })
    }
}

/// The `#[test]` through which workers of a test binary reach `init()`.
#[doc(hidden)]
#[derive(Debug)]
pub struct TestEntry {
    path: &'static str,
}

inventory::collect!(TestEntry);

impl TestEntry {
    /// `path` is `module_path!()` and the test's name.
    #[doc(hidden)]
    pub const fn new(path: &'static str) -> Self {
        Self { path }
    }

    /// The arguments with which libtest runs that test alone, in its own process, at once.
    fn arguments() -> Option<Vec<OsString>> {
        let entry = inventory::iter::<Self>.into_iter().next()?;
        // libtest leaves the name of the crate out.
        let name = entry
            .path
            .split_once("::")
            .map_or(entry.path, |(_, name)| name);
        let arguments = [name, "--exact", "--nocapture", "--test-threads=1"];
        Some(arguments.into_iter().map(OsString::from).collect())
    }
}

/// Lets ordinary `#[test]` functions of this test crate use process pools.
///
/// A test crate has no `main` to call [`init`](crate::init()) in. This adds a test of the name
/// `procession_worker` that calls it; workers are started to run that test and nothing else. Write it
/// once in a test crate, at any place. Works with `cargo test` and with `cargo nextest run`.
///
/// ```
/// procession::init_in_tests!();
///
/// #[procession::task]
/// fn double(n: u64) -> u64 {
///     2 * n
/// }
///
/// #[test]
/// fn doubles() {
///     let pool = procession::ProcessPoolExecutor::new().unwrap();
///     assert_eq!(pool.submit(double, 21).unwrap().wait().unwrap(), 42);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! init_in_tests {
    () => {
        #[cfg(test)]
        #[test]
        fn procession_worker() {
            $crate::init();
        }

        #[cfg(test)]
        $crate::__private::inventory::submit! {
            $crate::__private::TestEntry::new(concat!(module_path!(), "::procession_worker"))
        }
    };
}
