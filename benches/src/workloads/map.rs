//! `map` from number to number.

use rayon::prelude::*;

use super::pool;
use crate::measure::{Contestant, check, in_turns, seconds};
use crate::peers::python::Python;
use crate::table::{Peer, Table, Unit};
use crate::tasks::noop;
use crate::{Effort, Error};

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    let items = effort.of(10_000_000, 20_000) as u64;
    let single = effort.of(200_000, 2_000) as u64;
    let few = effort.of(1_000_000, 5_000) as u64;
    let few_single = effort.of(20_000, 500) as u64;
    let executor = pool(2)?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build()?;
    let mut python = Python::start(2);
    let has_python = python.is_some();
    let sum_of = |items: u64| items * (items - 1) / 2;
    let mut contestants: Vec<Contestant<'_>> = vec![
        (
            Peer::Procession,
            Box::new(|| {
                let automatic = seconds(|| {
                    let sum = executor.map(noop, 0..items).sum::<Result<u64, _>>()?;
                    check(sum, sum_of(items))
                })?;
                let unordered = seconds(|| {
                    let sum = executor
                        .map(noop, 0..items)
                        .unordered()
                        .sum::<Result<u64, _>>()?;
                    check(sum, sum_of(items))
                })?;
                let one_by_one = seconds(|| {
                    let map = executor.map(noop, 0..single).chunksize(1);
                    check(map.sum::<Result<u64, _>>()?, sum_of(single))
                })?;
                let rates = [items as f64 / automatic, items as f64 / unordered];
                Ok([rates[0], rates[1], single as f64 / one_by_one].into())
            }),
        ),
        (
            Peer::Rayon,
            Box::new(|| {
                let took = seconds(|| {
                    let all: Vec<u64> = threads.install(|| {
                        (0..items)
                            .into_par_iter()
                            .map(std::hint::black_box)
                            .collect()
                    });
                    check(all.iter().sum(), sum_of(items))
                })?;
                Ok(vec![items as f64 / took])
            }),
        ),
    ];
    if let Some(python) = &mut python {
        contestants.push((
            Peer::Executor,
            Box::new(|| {
                let mut rates = Vec::new();
                for (which, items, chunk) in [
                    ("executor", few, 1000),
                    ("pool", few, 1000),
                    ("executor", few_single, 1),
                    ("pool", few_single, 1),
                ] {
                    let took = python.does(&format!("map {which} {items} {chunk}"))?;
                    rates.push(items as f64 / took[0]);
                }
                Ok(rates)
            }),
        ));
    }
    let results = in_turns(effort.of(5, 1), contestants)?;
    let ours = |at| results.median(Peer::Procession, at);
    let python = |at| {
        if has_python {
            results.median(Peer::Executor, at)
        } else {
            None
        }
    };
    table.row(
        "`map` of u64 (Python: chunksize 1000)",
        Unit::Rate,
        vec![
            (Peer::Procession, ours(0)),
            (Peer::Executor, python(0)),
            (Peer::Pool, python(1)),
            (Peer::Rayon, results.median(Peer::Rayon, 0)),
        ],
    );
    table.row(
        "the same, unordered",
        Unit::Rate,
        vec![(Peer::Procession, ours(1))],
    );
    table.row(
        "`map` of u64, chunksize 1",
        Unit::Rate,
        vec![
            (Peer::Procession, ours(2)),
            (Peer::Executor, python(2)),
            (Peer::Pool, python(3)),
        ],
    );
    if let (Some(ours), Some(theirs)) = (ours(0), python(1)) {
        table.at_least(
            "`map`, by `imap_unordered` with chunksize 1000",
            ours / theirs,
            3.0,
        );
    }
    Ok(())
}
