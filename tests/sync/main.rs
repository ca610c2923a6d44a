//! Locks and shared memory between processes: that all of them see the same, and what is left when one is killed.
//!
//! | file | one line |
//! |--|--|
//! | `tasks` | the registered functions |
//! | `together` | several processes do something together |
//! | `deaths` | one of them is killed |
//! | `memory` | values, arrays, bytes, and memory with a name |

#[path = "../support/mod.rs"]
mod support;
mod deaths;
mod memory;
mod tasks;
mod together;

use procession::{EndOfWorker, Future, ProcessPoolExecutor, TaskError};

fn main() {
    support::run(|| {
        [together::tests(), deaths::tests(), memory::tests()]
            .into_iter()
            .flatten()
            .collect()
    });
}

fn pool(workers: usize) -> ProcessPoolExecutor {
    let pool = ProcessPoolExecutor::builder().max_workers(workers).build();
    pool.expect("a pool")
}

/// Its worker was killed.
fn expect_killed<T: serde::de::DeserializeOwned + 'static>(future: Future<T>) {
    match future.wait() {
        Err(TaskError::WorkerLost(lost)) => assert_eq!(lost.end, EndOfWorker::Signalled(9)),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was to be killed"),
    }
}
