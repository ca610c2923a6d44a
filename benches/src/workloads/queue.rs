//! Items through a queue, from some processes to others, beside `multiprocessing.Queue`; from one to one, also beside a bare pipe.

use procession::{ProcessPoolExecutor, Queue};

use super::pool;
use crate::measure::{Contestant, check, in_turns, seconds};
use crate::peers::pipe::stream;
use crate::peers::python::Python;
use crate::table::{Peer, Table, Unit};
use crate::tasks::{get_all, put_all};
use crate::{Effort, Error};

/// The size of an item, how many may be in the queue, and how many go through, of ours and of Python's.
const SIZES: [(&str, usize, usize, usize, usize); 3] = [
    ("8 B", 8, 1_000, 1_000_000, 40_000),
    ("1 KiB", 1 << 10, 1_000, 1_000_000, 30_000),
    ("64 KiB", 64 << 10, 200, 20_000, 3_000),
];

/// How many put and how many get.
const SIDES: [(usize, usize); 5] = [(1, 1), (2, 2), (4, 4), (1, 4), (4, 1)];

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    for sides @ (putters, getters) in SIDES {
        let executor = pool(putters + getters)?;
        let mut python = Python::start(1);
        for (name, size, capacity, count, python_count) in SIZES {
            let (count, python_count) = (effort.of(count, 1000), effort.of(python_count, 100));
            let mut contestants: Vec<Contestant<'_>> = vec![(
                Peer::Procession,
                Box::new(|| Ok(vec![rate(&executor, sides, size, capacity, count)?])),
            )];
            if let Some(python) = &mut python {
                let order = format!("queue {putters} {getters} {size} {capacity} {python_count}");
                contestants.push((
                    Peer::Pool,
                    Box::new(move || Ok(vec![python_count as f64 / python.does(&order)?[0]])),
                ));
            }
            if sides == (1, 1) {
                contestants.push((
                    Peer::Pipe,
                    Box::new(|| Ok(vec![count as f64 / stream(size, count)?])),
                ));
            }
            let results = in_turns(effort.of(5, 1), contestants)?;
            let what = format!("queue of {name} items, {putters} to {getters} processes");
            let mut cells = vec![
                (Peer::Procession, results.median(Peer::Procession, 0)),
                (Peer::Pool, results.median(Peer::Pool, 0)),
            ];
            if sides == (1, 1) {
                cells.push((Peer::Pipe, results.median(Peer::Pipe, 0)));
            }
            table.row(what.clone(), Unit::Rate, cells);
            if size <= 1 << 10
                && let Some(ratio) = results.ratio(Peer::Procession, Peer::Pool, 0)
            {
                table.at_least(format!("{what}, by `multiprocessing.Queue`"), ratio, 20.0);
            }
        }
    }
    Ok(())
}

/// How many a second go through a fresh queue.
fn rate(
    executor: &ProcessPoolExecutor,
    (putters, getters): (usize, usize),
    size: usize,
    capacity: usize,
    count: usize,
) -> Result<f64, Error> {
    let queue = Queue::bounded(capacity as u64)?;
    let (put, get) = (count / putters, count / getters);
    let took = seconds(|| {
        let mut futures = Vec::new();
        for _ in 0..getters {
            futures.push((get, executor.submit(get_all, (queue.clone(), get))?));
        }
        for _ in 0..putters {
            futures.push((put, executor.submit(put_all, (queue.clone(), put, size))?));
        }
        futures
            .into_iter()
            .try_for_each(|(each, future)| check(future.wait()?, Ok(each)))
    })?;
    Ok(count as f64 / took)
}
