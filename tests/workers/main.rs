//! The workers as processes: how long they last, how many there are, what they may take, and what becomes of what
//! they print.
//!
//! | file | one line |
//! |--|--|
//! | `tasks` | the registered functions |
//! | `recycling` | workers that are replaced though nothing is wrong with them |
//! | `size` | how many there are |
//! | `resources` | what they allow themselves, and what they find around them |
//! | `memory` | how much they had, and who ended them for it |
//! | `output` | what they print |

#[path = "../programs/mod.rs"]
mod programs;
#[path = "../support/mod.rs"]
mod support;
mod tasks;
mod recycling;
mod size;
mod resources;
mod memory;
mod output;

use procession::{
    BuildError, Future, ProcessPoolExecutor, ProcessPoolExecutorBuilder, TaskError, WorkerLost,
};
use serde::de::DeserializeOwned;

fn main() {
    output::print_before_init();
    let programs = [
        resources::programs(),
        memory::programs(),
        output::programs(),
    ];
    programs::run_if_asked(&programs.concat());
    support::run(|| {
        [
            recycling::tests(),
            size::tests(),
            resources::tests(),
            memory::tests(),
            output::tests(),
        ]
        .into_iter()
        .flatten()
        .collect()
    });
}

/// A pool of that many workers, with more to be chosen.
fn builder(workers: usize) -> ProcessPoolExecutorBuilder {
    ProcessPoolExecutor::builder().max_workers(workers)
}

/// The error of a task whose worker went.
#[track_caller]
fn lost<T: std::fmt::Debug + DeserializeOwned + Send + 'static>(future: &Future<T>) -> WorkerLost {
    match future.wait() {
        Err(TaskError::WorkerLost(lost)) => *lost,
        other => panic!("{other:?}"),
    }
}

/// What a pool is refused with.
#[track_caller]
fn refused(builder: ProcessPoolExecutorBuilder) -> BuildError {
    builder.build().map(drop).unwrap_err()
}

/// The parameter that a refusal names.
#[track_caller]
fn refused_parameter(builder: ProcessPoolExecutorBuilder) -> &'static str {
    match refused(builder) {
        BuildError::Parameter { parameter, .. } => parameter,
        other => panic!("{other:?}"),
    }
}

/// The processes of this process.
fn children() -> Vec<u32> {
    let children = support::children().into_iter();
    children.map(|child| child.pid).collect()
}
