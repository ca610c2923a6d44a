//! Everything that can go wrong with a worker, when, and who hears what of it.
//!
//! | file | one line |
//! |--|--|
//! | `tasks` | the registered functions, and the ways to end |
//! | `matrix` | the table: every way to end, at every stage of a worker's life |
//! | `cells` | how each cell of the table is played |
//! | `halves` | the cells in which a worker ends half-way through a frame |
//! | `calls` | who may have asked for the task |
//! | `errors` | what errors say, read aloud |
//! | `supervision` | workers that cannot be started, or do not last |
//! | `parameters` | what is refused before anything is started |

#[path = "../support/mod.rs"]
mod support;
#[path = "../programs/mod.rs"]
mod programs;
mod tasks;
mod calls;
mod matrix;
mod cells;
mod halves;
mod errors;
mod supervision;
mod parameters;

use std::sync::Arc;

use halves::drives_through_half_frames;
use procession::{Future, ProcessPoolExecutor, ProcessPoolExecutorBuilder};
use supervision::{runs_out_of_descriptors, runs_out_of_processes};
use support::GateKeeper;
use tasks::{pass, starts_with_a_fault};

fn main() {
    programs::run_if_asked(&programs::programs![
        starts_with_a_fault,
        drives_through_half_frames,
        runs_out_of_descriptors,
        runs_out_of_processes,
    ]);
    support::run(|| {
        [
            matrix::tests(),
            errors::tests(),
            supervision::tests(),
            parameters::tests(),
        ]
        .into_iter()
        .flatten()
        .collect()
    });
}

/// As a caller holds it.
type Pool = Arc<ProcessPoolExecutor>;

/// A pool of two, whose workers complain to nobody.
fn two() -> ProcessPoolExecutorBuilder {
    let builder = ProcessPoolExecutor::builder().max_workers(2);
    builder.stderr(procession::Stdio::Null)
}

/// The processes of the workers, each asked while all are held up.
fn pids(pool: &ProcessPoolExecutor) -> Vec<u32> {
    let keeper = GateKeeper::new();
    let count = pool.max_workers();
    let patient = pool.call(pass).timeout(None);
    let futures: Vec<Future<u32>> = (0..count as u32)
        .map(|label| patient.submit((keeper.gate(), label)).unwrap())
        .collect();
    let mut pids: Vec<u32> = keeper
        .arrivals(count)
        .iter()
        .map(|arrival| arrival.pid)
        .collect();
    keeper.open(count);
    for future in futures {
        future.wait().unwrap();
    }
    pids.sort_unstable();
    pids
}
