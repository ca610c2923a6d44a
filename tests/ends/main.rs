//! How tasks end against their will, or begin again: time limits, cancellation, retries; and in which order they begin.
//!
//! | file | one line |
//! |--|--|
//! | `tasks` | the registered functions |
//! | `time` | timeouts, deadlines, and the steps of an end |
//! | `cancel` | `cancel`, `kill`, and what they may not hit |
//! | `retries` | what is tried again, when, and how often |
//! | `priority` | who begins first |

#[path = "../support/mod.rs"]
mod support;
mod tasks;
mod time;
mod cancel;
mod retries;
mod priority;

use std::time::Duration;

use procession::{Future, ProcessPoolExecutor, ProcessPoolExecutorBuilder, TaskError, TimeLimit};
use support::GateKeeper;

fn main() {
    support::run(|| {
        [
            time::tests(),
            cancel::tests(),
            retries::tests(),
            priority::tests(),
        ]
        .into_iter()
        .flatten()
        .collect()
    });
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Longer than any test may take.
const EVER: Duration = Duration::from_secs(1000);

/// A pool of that many workers.
fn pool(workers: usize) -> ProcessPoolExecutor {
    built(workers, |builder| builder)
}

fn built(
    workers: usize,
    choose: impl FnOnce(ProcessPoolExecutorBuilder) -> ProcessPoolExecutorBuilder,
) -> ProcessPoolExecutor {
    choose(ProcessPoolExecutor::builder().max_workers(workers))
        .build()
        .unwrap()
}

fn time_limit<T: std::fmt::Debug>(ended: Result<T, TaskError>) -> TimeLimit {
    match ended {
        Err(TaskError::TimeLimit(limit)) => *limit,
        other => panic!("{other:?}"),
    }
}

/// The process of a pool's only worker.
fn pid_of(pool: &ProcessPoolExecutor) -> u32 {
    pool.submit(tasks::pid, ()).unwrap().wait().unwrap()
}

/// A task that is held up at the gate in each worker: the futures, and the processes.
fn occupy(pool: &ProcessPoolExecutor, keeper: &GateKeeper) -> (Vec<Future<u32>>, Vec<u32>) {
    let count = pool.max_workers();
    let futures = (0..count as u32).map(|label| pool.submit(tasks::pass, (keeper.gate(), label)));
    let futures = futures.collect::<Result<_, _>>().unwrap();
    let arrivals = keeper.arrivals(count);
    let pids = arrivals.iter().map(|arrival| arrival.pid).collect();
    (futures, pids)
}

/// Has the pool learn that `pass_or_not` is short, so that it is sent ahead.
fn make_known_as_short(pool: &ProcessPoolExecutor) {
    let known = pool.map(tasks::pass_or_not, vec![(None, 0); 200]);
    assert_eq!(known.filter(Result::is_ok).count(), 200);
}
