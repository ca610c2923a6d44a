//! Real work on all cores, beside threads.

use std::time::Instant;

use rayon::prelude::*;

use super::pool;
use crate::measure::{Contestant, check, cpus, in_turns, median, seconds};
use crate::table::{Peer, Table, Unit};
use crate::tasks::burn;
use crate::{Effort, Error};

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    let workers = cpus();
    let executor = pool(workers)?;
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .build()?;
    let steps_per_us = calibrate();
    let total_us = effort.of(1_000_000, 20_000) as u64;
    for (name, us) in [
        ("10 µs", 10),
        ("100 µs", 100),
        ("1 ms", 1_000),
        ("10 ms", 10_000),
    ] {
        let (tasks, steps) = ((total_us / us) as usize, (us as f64 * steps_per_us) as u64);
        let contestants: Vec<Contestant<'_>> = vec![
            (
                Peer::Procession,
                Box::new(|| {
                    let took = seconds(|| {
                        let map = executor.map(burn, std::iter::repeat_n(steps, tasks));
                        check(map.filter(Result::is_ok).count(), tasks)
                    })?;
                    Ok(vec![tasks as f64 / took])
                }),
            ),
            (
                Peer::Rayon,
                Box::new(|| {
                    let took = seconds(|| {
                        let done: Vec<u64> = threads
                            .install(|| (0..tasks).into_par_iter().map(|_| burn(steps)).collect());
                        check(done.len(), tasks)
                    })?;
                    Ok(vec![tasks as f64 / took])
                }),
            ),
        ];
        let results = in_turns(effort.of(9, 1), contestants)?;
        table.row(
            format!("tasks of {name} on {workers} cores"),
            Unit::Rate,
            vec![
                (Peer::Procession, results.median(Peer::Procession, 0)),
                (Peer::Rayon, results.median(Peer::Rayon, 0)),
            ],
        );
        if us == 1_000
            && let Some(ratio) = results.ratio(Peer::Procession, Peer::Rayon, 0)
        {
            table.at_least("tasks of 1 ms, by rayon", ratio, 0.97);
        }
    }
    mixed(effort, table, steps_per_us)
}

/// One long task, and as much in short ones for each further worker: by how much it takes longer than the ideal.
fn mixed(effort: Effort, table: &mut Table, steps_per_us: f64) -> Result<(), Error> {
    let workers = cpus();
    let executor = pool(workers)?;
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .build()?;
    let long_us = effort.of(200_000, 10_000) as u64;
    let short_us = 500;
    let steps = |us: u64| (us as f64 * steps_per_us) as u64;
    let shorts = (long_us / short_us) as usize * (workers - 1).max(1);
    // The long one comes in the middle, where nothing is known of it.
    let mut tasks = vec![steps(short_us); shorts];
    tasks.insert(shorts / 4, steps(long_us));
    let tasks = &tasks;
    let ideal = (long_us + shorts as u64 * short_us) as f64 / 1e6 / workers as f64;
    let ideal = ideal.max((long_us + shorts as u64 / 4 / workers as u64 * short_us) as f64 / 1e6);
    let contestants: Vec<Contestant<'_>> = vec![
        (
            Peer::Procession,
            Box::new(|| {
                let took = seconds(|| {
                    let map = executor.map(burn, tasks.iter().copied());
                    check(map.filter(Result::is_ok).count(), tasks.len())
                })?;
                Ok(vec![took / ideal])
            }),
        ),
        (
            Peer::Rayon,
            Box::new(|| {
                let took = seconds(|| {
                    let burnt = || {
                        tasks
                            .par_iter()
                            .with_max_len(1)
                            .map(|steps| burn(*steps))
                            .collect()
                    };
                    let done: Vec<u64> = threads.install(burnt);
                    check(done.len(), tasks.len())
                })?;
                Ok(vec![took / ideal])
            }),
        ),
    ];
    let results = in_turns(effort.of(9, 1), contestants)?;
    table.row(
        "one long among many short tasks: time by the ideal",
        Unit::Count,
        vec![
            (Peer::Procession, results.median(Peer::Procession, 0)),
            (Peer::Rayon, results.median(Peer::Rayon, 0)),
        ],
    );
    Ok(())
}

/// How many steps this machine makes in a microsecond.
pub fn calibrate() -> f64 {
    median((0..9).map(|_| {
        let begun = Instant::now();
        std::hint::black_box(burn(1_000_000));
        1_000_000.0 / begun.elapsed().as_micros() as f64
    }))
}
