//! Locks, shared memory and connections as arguments and results of tasks: they arrive, wherever they are in a value and by
//! whatever way; they do what they are for between processes; a process that is killed with one, at whatever moment, leaves
//! the others theirs; and nothing is left behind, here, in a worker, or in `/dev/shm`.
//!
//! | file | one line |
//! |--|--|
//! | `tasks` | the registered functions |
//! | `values` | one of everything, in one value |
//! | `ways` | to workers, from workers, between workers, to workers of workers |
//! | `counting` | many processes, one number |
//! | `owners` | who had a lock is killed |
//! | `waiters` | who waits is killed |
//! | `messages` | who sends or receives is killed |
//! | `segments` | memory with a name |
//! | `stress` | everything at once, and random kills |

#[path = "../support/mod.rs"]
mod support;
mod tasks;
mod values;
mod ways;
mod counting;
mod owners;
mod waiters;
mod messages;
mod segments;
mod stress;

use std::fmt::Debug;

use procession::{Future, ProcessPoolExecutor, TaskError};
use serde::de::DeserializeOwned;
use support::GateKeeper;

fn main() {
    support::run(|| {
        [
            ways::tests(),
            counting::tests(),
            owners::tests(),
            waiters::tests(),
            messages::tests(),
            segments::tests(),
            stress::tests(),
        ]
        .into_iter()
        .flatten()
        .collect()
    });
}

fn pool(workers: usize) -> ProcessPoolExecutor {
    let pool = ProcessPoolExecutor::builder().max_workers(workers).build();
    pool.expect("a pool")
}

/// How many descriptors this process has, and how many pieces of shared memory.
fn has_here() -> (usize, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc/self/maps");
    let mappings = maps.lines().filter(|line| line.contains("procession-"));
    (support::descriptors().len(), mappings.count())
}

/// The same of the only worker of this pool.
fn has_there(pool: &ProcessPoolExecutor) -> (usize, usize) {
    pool.submit(tasks::has, ()).unwrap().wait().unwrap()
}

/// Kills the worker that has come to the gate with this task, and waits until the task has ended by that.
#[track_caller]
fn kill_at<T: Debug + DeserializeOwned + Send + 'static>(keeper: &GateKeeper, task: Future<T>) {
    kill(keeper.arrival().pid, task);
}

#[track_caller]
fn kill<T: Debug + DeserializeOwned + Send + 'static>(worker: u32, task: Future<T>) {
    support::signal(worker, 9);
    support::awaiting("a task to be lost");
    match task.wait() {
        Err(TaskError::WorkerLost(_)) => {}
        other => panic!("{other:?}"),
    }
}

/// Waits until the main thread of this worker sleeps. What it had to say it has said, so it sleeps in what it came to wait for.
fn asleep(worker: u32) {
    support::until("a worker to sleep", || {
        support::state_of(worker) == Some('S')
    });
}
