//! One suite, run on every executor: what code that is written for `&dyn Executor` may rely on.
//!
//! | file | one line |
//! |--|--|
//! | `tasks` | the registered functions |
//! | `submit` | what can be submitted, what is refused, back-pressure, what functions end with |
//! | `futures` | waiting, awaiting, callbacks, cancelling |
//! | `map` | maps |
//! | `ending` | shutdown and drop |

#[path = "../support/mod.rs"]
mod support;
mod tasks;
mod submit;
mod futures;
mod map;
mod ending;

use procession::{Executor, InlineExecutor, ProcessPoolExecutor, ThreadPoolExecutor};
use support::Case;

/// An executor to test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Processes(usize),
    Threads(usize),
    Inline,
}

const SUBJECTS: [Subject; 5] = [
    Subject::Processes(1),
    Subject::Processes(2),
    Subject::Processes(4),
    Subject::Threads(2),
    Subject::Inline,
];

/// A behaviour, and who has it.
struct Test {
    name: &'static str,
    run: fn(Subject),
    on: On,
}

/// Which executors a test is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// All of them.
    Every,
    /// Those that run tasks while the caller goes on.
    Background,
    /// Those of processes.
    Processes,
}

/// The tests of a module: `tests![On::Every: a_test, another_test]`.
macro_rules! tests {
    ($on:expr; $($name:ident),* $(,)?) => {
        [$($crate::Test {
            name: concat!(module_path!(), "::", stringify!($name)),
            run: $name,
            on: $on,
        }),*]
    };
}
use tests;

fn main() {
    support::run(|| {
        let tests = [
            submit::tests(),
            futures::tests(),
            map::tests(),
            ending::tests(),
        ];
        let mut cases = Vec::new();
        for test in tests.into_iter().flatten() {
            for subject in SUBJECTS
                .into_iter()
                .filter(|subject| subject.is_of(test.on))
            {
                let name = test.name.trim_start_matches("conformance::");
                let name = format!("{name}::{}", subject.name());
                let run = test.run;
                cases.push(Case::new(name, move || run(subject)).before(futures::warm_up_runtimes));
            }
        }
        cases.extend(support::tests![
            ending::parameters_that_are_zero_are_refused_by_name,
            ending::there_is_at_least_one_default_worker,
            futures::futures_of_several_executors_go_together,
        ]);
        cases
    });
}

impl Subject {
    /// A fresh executor.
    fn executor(self) -> Box<dyn Executor> {
        match self {
            Self::Processes(workers) => Box::new(
                ProcessPoolExecutor::builder()
                    .max_workers(workers)
                    .build()
                    .unwrap(),
            ),
            Self::Threads(workers) => {
                Box::new(ThreadPoolExecutor::with_max_workers(workers).unwrap())
            }
            Self::Inline => Box::new(InlineExecutor::new()),
        }
    }

    /// A fresh executor with room for that many tasks.
    fn with_max_pending(self, max_pending: usize) -> Box<dyn Executor> {
        match self {
            Self::Processes(workers) => Box::new(
                ProcessPoolExecutor::builder()
                    .max_workers(workers)
                    .max_pending(max_pending)
                    .build()
                    .unwrap(),
            ),
            Self::Threads(workers) => {
                Box::new(ThreadPoolExecutor::with_limits(workers, max_pending).unwrap())
            }
            Self::Inline => panic!("nothing is ever pending in an inline executor"),
        }
    }

    fn workers(self) -> usize {
        match self {
            Self::Processes(workers) | Self::Threads(workers) => workers,
            Self::Inline => 1,
        }
    }

    fn has_processes(self) -> bool {
        matches!(self, Self::Processes(_))
    }

    fn is_of(self, on: On) -> bool {
        match on {
            On::Every => true,
            On::Background => self != Self::Inline,
            On::Processes => self.has_processes(),
        }
    }

    fn name(self) -> String {
        match self {
            Self::Processes(workers) => format!("processes_{workers}"),
            Self::Threads(workers) => format!("threads_{workers}"),
            Self::Inline => "inline".into(),
        }
    }
}
