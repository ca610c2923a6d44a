//! What only a pool of processes has to do: initializers, workers that die in every way, the exact
//! state of a task, large frames, and whoever waits.
//!
//! | file | one line |
//! |--|--|
//! | `tasks` | the registered functions |
//! | `workers` | which process runs what |
//! | `initializer` | what runs in a worker before its first task |
//! | `states` | begun or not, cancelled or not, also in a worker that is stopped |
//! | `deaths` | one death, one failed task |
//! | `chunks` | items that take long, and workers that are idle |
//! | `load` | large frames, many waiters |

#[path = "../support/mod.rs"]
mod support;
mod tasks;
mod workers;
mod initializer;
mod states;
mod deaths;
mod chunks;
mod load;

use procession::{BuildError, Future, ProcessPoolExecutor};
use support::GateKeeper;

fn main() {
    support::run(|| {
        [
            workers::tests(),
            initializer::tests(),
            states::tests(),
            deaths::tests(),
            chunks::tests(),
            load::tests(),
        ]
        .into_iter()
        .flatten()
        .collect()
    });
}

/// A pool of that many workers.
fn pool(workers: usize) -> ProcessPoolExecutor {
    try_pool(workers).unwrap()
}

fn try_pool(workers: usize) -> Result<ProcessPoolExecutor, BuildError> {
    ProcessPoolExecutor::builder().max_workers(workers).build()
}

/// A task that is held up at the gate in each worker: the futures, and the processes.
fn occupy(pool: &ProcessPoolExecutor, keeper: &GateKeeper) -> (Vec<Future<u32>>, Vec<u32>) {
    let count = pool.max_workers();
    let futures = (0..count as u32).map(|label| pool.submit(tasks::pass, (keeper.gate(), label)));
    let futures = futures.collect::<Result<_, _>>().unwrap();
    let arrivals = keeper.arrivals(count);
    (
        futures,
        arrivals.iter().map(|arrival| arrival.pid).collect(),
    )
}

/// The processes of the workers, each asked while all are held up.
fn pids(pool: &ProcessPoolExecutor) -> Vec<u32> {
    let keeper = GateKeeper::new();
    let (futures, mut pids) = occupy(pool, &keeper);
    keeper.open(futures.len());
    for future in futures {
        future.wait().unwrap();
    }
    pids.sort_unstable();
    pids
}

/// The items in order.
fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort();
    items
}
