//! What is measured.

mod array;
mod connection;
mod echo;
mod faults;
mod growth;
mod idle;
mod lock;
mod manager;
mod map;
mod memory;
mod queue;
mod round_trip;
mod start;
mod submits;
mod work;

use procession::ProcessPoolExecutor;

use crate::table::Table;
use crate::{Effort, Error};

type Workload = fn(Effort, &mut Table) -> Result<(), Error>;

pub const ALL: [(&str, Workload); 15] = [
    ("round_trip", round_trip::run),
    ("submits", submits::run),
    ("map", map::run),
    ("echo", echo::run),
    ("connection", connection::run),
    ("queue", queue::run),
    ("manager", manager::run),
    ("lock", lock::run),
    ("array", array::run),
    ("start", start::run),
    ("work", work::run),
    ("memory", memory::run),
    ("faults", faults::run),
    ("growth", growth::run),
    ("idle", idle::run),
];

fn pool(workers: usize) -> Result<ProcessPoolExecutor, Error> {
    Ok(ProcessPoolExecutor::builder()
        .max_workers(workers)
        .build()?)
}
