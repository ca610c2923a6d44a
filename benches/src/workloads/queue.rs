//! Items through a queue, from some processes to as many others, beside `multiprocessing.Queue`.

use procession::{ProcessPoolExecutor, Queue};

use super::pool;
use crate::measure::{Contestant, check, in_turns, seconds};
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

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    for sides in [1, 2, 4] {
        let executor = pool(2 * sides)?;
        let mut python = Python::start(1);
        for (name, size, capacity, count, python_count) in SIZES {
            let (count, python_count) = (effort.of(count, 1000), effort.of(python_count, 100));
            let mut contestants: Vec<Contestant<'_>> = vec![(
                Peer::Procession,
                Box::new(|| Ok(vec![rate(&executor, sides, size, capacity, count)?])),
            )];
            if let Some(python) = &mut python {
                let order = format!("queue {sides} {size} {capacity} {python_count}");
                contestants.push((
                    Peer::Pool,
                    Box::new(move || Ok(vec![python_count as f64 / python.does(&order)?[0]])),
                ));
            }
            let results = in_turns(effort.of(5, 1), contestants)?;
            let what = format!("queue of {name} items, {sides} to {sides} processes");
            table.row(
                what.clone(),
                Unit::Rate,
                vec![
                    (Peer::Procession, results.median(Peer::Procession, 0)),
                    (Peer::Pool, results.median(Peer::Pool, 0)),
                ],
            );
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
    sides: usize,
    size: usize,
    capacity: usize,
    count: usize,
) -> Result<f64, Error> {
    let queue = Queue::bounded(capacity as u64)?;
    let each = count / sides;
    let took = seconds(|| {
        let mut futures = Vec::new();
        for _ in 0..sides {
            futures.push(executor.submit(get_all, (queue.clone(), each))?);
            futures.push(executor.submit(put_all, (queue.clone(), each, size))?);
        }
        futures
            .into_iter()
            .try_for_each(|future| check(future.wait()?, Ok(each)))
    })?;
    Ok((each * sides) as f64 / took)
}
