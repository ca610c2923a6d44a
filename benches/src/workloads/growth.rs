//! What a task costs as the work grows: more tasks, and more workers.

use procession::Future;

use super::pool;
use super::submits::submit_all;
use crate::measure::{Contestant, Results, check, in_turns, seconds};
use crate::table::{Peer, Table, Unit};
use crate::tasks::noop;
use crate::{Effort, Error};

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    let sizes: &[u64] = match effort.of(1, 0) {
        0 => &[100, 1_000],
        _ => &[1_000, 10_000, 100_000, 1_000_000],
    };
    let executor = pool(2)?;
    // The smallest is repeated, so that all take about as long.
    let least = *sizes.last().unwrap_or(&1) / 10;
    let turn = || {
        let mut rates = Vec::new();
        for &tasks in sizes {
            let times = (least / tasks).max(1);
            let mut took = 0.0;
            for _ in 0..times {
                took += submit_all(&executor, tasks)?;
            }
            rates.push((tasks * times) as f64 / took);
        }
        Ok(rates)
    };
    let contestants: Vec<Contestant<'_>> = vec![(Peer::Procession, Box::new(turn))];
    let results = in_turns(effort.of(9, 1), contestants)?;
    let names = sizes
        .iter()
        .map(|tasks| format!("{tasks} single submits, 2 workers"));
    let goal = "single submits, rate by that of the best smaller number";
    rates(table, &results, names, goal);

    let tasks = effort.of(100_000, 1_000) as u64;
    let counts: &[usize] = match effort.of(1, 0) {
        0 => &[1, 4],
        _ => &[1, 2, 4, 8, 16, 32, 64],
    };
    let pools = counts
        .iter()
        .map(|count| pool(*count))
        .collect::<Result<Vec<_>, _>>()?;
    let turn = || {
        let mut rates = Vec::new();
        for executor in &pools {
            rates.push(tasks as f64 / submit_all(executor, tasks)?);
        }
        Ok(rates)
    };
    let contestants: Vec<Contestant<'_>> = vec![(Peer::Procession, Box::new(turn))];
    let results = in_turns(effort.of(15, 1), contestants)?;
    let names = counts
        .iter()
        .map(|count| format!("{tasks} single submits, {count} workers"));
    let goal = "single submits, rate by that of the best smaller pool";
    rates(table, &results, names, goal);
    drop(pools);

    // One after the other, each waited for: what a task of an idle pool costs.
    let pools = counts
        .iter()
        .map(|count| pool(*count))
        .collect::<Result<Vec<_>, _>>()?;
    let trips = effort.of(5_000, 100) as u64;
    let turn = || {
        let mut took = Vec::new();
        for executor in &pools {
            let seconds = seconds(|| {
                (0..trips).try_for_each(|n| {
                    check(executor.submit(noop, n).map(|f: Future<u64>| f)?.wait()?, n)
                })
            })?;
            took.push(seconds / trips as f64);
        }
        Ok(took)
    };
    let contestants: Vec<Contestant<'_>> = vec![(Peer::Procession, Box::new(turn))];
    let results = in_turns(effort.of(5, 1), contestants)?;
    for (at, count) in counts.iter().enumerate() {
        table.row(
            format!("round trip in an idle pool of {count} workers"),
            Unit::Seconds,
            vec![(Peer::Procession, results.median(Peer::Procession, at))],
        );
    }
    Ok(())
}

/// A row for each size, and the worst beside the best of those that are smaller.
fn rates(table: &mut Table, results: &Results, names: impl Iterator<Item = String>, goal: &str) {
    let (mut best, mut worst) = (0.0_f64, f64::INFINITY);
    for (at, name) in names.enumerate() {
        let rate = results.median(Peer::Procession, at);
        table.row(name, Unit::Rate, vec![(Peer::Procession, rate)]);
        let rate = rate.unwrap_or(0.0);
        worst = worst.min(rate / rate.max(best));
        best = best.max(rate);
    }
    table.at_least(goal, worst, 1.0 / 1.2);
}
