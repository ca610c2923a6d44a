//! Many no-ops, submitted one by one.

use procession::{Future, ProcessPoolExecutor, as_completed};

use super::pool;
use crate::measure::{Contestant, check, in_turns, seconds};
use crate::peers::python::Python;
use crate::table::{Peer, Table, Unit};
use crate::tasks::noop;
use crate::{Effort, Error};

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    let tasks = effort.of(100_000, 2_000) as u64;
    let few = effort.of(10_000, 500) as u64;
    for workers in [1, 2, 4] {
        let executor = pool(workers)?;
        let mut python = Python::start(workers);
        let has_python = python.is_some();
        let procspawn = procspawn::Pool::new(workers)?;
        // Rates, so that those who take longer may do less.
        let mut contestants: Vec<Contestant<'_>> = vec![
            (
                Peer::Procession,
                Box::new(|| Ok(vec![tasks as f64 / submit_all(&executor, tasks)?])),
            ),
            (
                Peer::Procspawn,
                Box::new(|| Ok(vec![few as f64 / spawn_all(&procspawn, few)?])),
            ),
        ];
        if let Some(python) = &mut python {
            contestants.push((
                Peer::Executor,
                Box::new(|| {
                    let rate = |took: Vec<f64>| few as f64 / took[0];
                    let executor = rate(python.does(&format!("submits executor {few}"))?);
                    let pool = rate(python.does(&format!("submits pool {few}"))?);
                    Ok(vec![executor, pool])
                }),
            ));
        }
        let results = in_turns(effort.of(7, 1), contestants)?;
        let python = |at| match has_python {
            true => results.median(Peer::Executor, at),
            false => None,
        };
        table.row(
            format!("single submits, `as_completed`, {workers} workers"),
            Unit::Rate,
            vec![
                (Peer::Procession, results.median(Peer::Procession, 0)),
                (Peer::Executor, python(0)),
                (Peer::Pool, python(1)),
                (Peer::Procspawn, results.median(Peer::Procspawn, 0)),
            ],
        );
        if workers == 2 && has_python {
            let ours = results.median(Peer::Procession, 0).unwrap_or(0.0);
            let ratio = |theirs: Option<f64>| ours / theirs.unwrap_or(f64::NAN);
            table.at_least(
                "single submits, 2 workers, by CPython's pool",
                ratio(python(0)),
                30.0,
            );
            table.at_least(
                "single submits, 2 workers, by `multiprocessing.Pool`",
                ratio(python(1)),
                12.0,
            );
        }
    }
    let executor = pool(2)?;
    let part = tasks / 4;
    let turn = || {
        let took = seconds(|| {
            std::thread::scope(|scope| {
                let submit = || submit_all(&executor, part).map_err(|error| error.to_string());
                let threads = [(); 4].map(|()| scope.spawn(submit));
                for thread in threads {
                    thread.join().map_err(|_| "a thread panicked")??;
                }
                Ok(())
            })
        })?;
        Ok(vec![tasks as f64 / took])
    };
    let results = in_turns(effort.of(7, 1), vec![(Peer::Procession, Box::new(turn))])?;
    table.row(
        "single submits from 4 threads, 2 workers",
        Unit::Rate,
        vec![(Peer::Procession, results.median(Peer::Procession, 0))],
    );
    Ok(())
}

/// How long it takes, in seconds.
pub fn submit_all(executor: &ProcessPoolExecutor, tasks: u64) -> Result<f64, Error> {
    seconds(|| {
        let futures = (0..tasks).map(|n| executor.submit(noop, n));
        let futures: Vec<Future<u64>> = futures.collect::<Result<_, _>>()?;
        let mut sum = 0;
        for done in as_completed(futures) {
            sum += done.wait()?;
        }
        check(sum, tasks * (tasks - 1) / 2)
    })
}

/// Not more than a hundred at a time: each takes three descriptors.
fn spawn_all(pool: &procspawn::Pool, tasks: u64) -> Result<f64, Error> {
    seconds(|| {
        let mut sum = 0;
        let mut next = 0;
        while next < tasks {
            let end = tasks.min(next + 100);
            let handles: Vec<_> = (next..end).map(|n| pool.spawn(n, |n: u64| n)).collect();
            for handle in handles {
                sum += handle.join()?;
            }
            next = end;
        }
        check(sum, tasks * (tasks - 1) / 2)
    })
}
