//! Resident memory: of queued tasks, of idle workers, and after many tasks.

use procession::{Future, ProcessPoolExecutor};

use super::pool;
use crate::measure::{check, median};
use crate::table::{Peer, Table, Unit};
use crate::tasks::{noop, pid};
use crate::{Effort, Error};

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    let queued = effort.of(1_000_000, 10_000);
    let executor = ProcessPoolExecutor::builder()
        .max_workers(1)
        .max_pending(2 * queued)
        .build()?;
    let worker = executor.submit(pid, ())?.wait()?;
    check(executor.submit(noop, 1)?.wait()?, 1)?;
    let before = resident("self")?;
    let mut peaks = Vec::new();
    for _ in 0..2 {
        // The worker does nothing while they are put in line.
        signal(worker, "STOP")?;
        let futures = (0..queued as u64).map(|n| executor.submit(noop, n));
        let futures: Vec<Future<u64>> = futures.collect::<Result<_, _>>()?;
        peaks.push(resident("self")?);
        signal(worker, "CONT")?;
        for (n, future) in (0..).zip(futures) {
            check(future.wait()?, n)?;
        }
    }
    let per_task = peaks[0].saturating_sub(before) as f64 / queued as f64;
    let again = peaks[1].saturating_sub(peaks[0]) as f64 / queued as f64;
    table.row(
        format!("memory of a queued no-op, its future and that one's place in a `Vec` with it ({queued} queued)"),
        Unit::Bytes,
        vec![(Peer::Procession, Some(per_task))],
    );
    table.row(
        "the same when as many are queued again: more than the first time",
        Unit::Bytes,
        vec![(Peer::Procession, Some(again))],
    );
    table.at_most("memory of a queued no-op, in bytes", per_task, 256.0);
    drop(executor);

    let executor = pool(1)?;
    let tasks = effort.of(10_000_000, 20_000) as u64;
    // What is kept for the next tasks has been taken after these.
    run_all(&executor, tasks / 10)?;
    let before = resident("self")?;
    run_all(&executor, tasks)?;
    let grown = resident("self")?.saturating_sub(before);
    table.row(
        format!("memory more after {tasks} further tasks"),
        Unit::Bytes,
        vec![(Peer::Procession, Some(grown as f64))],
    );
    drop(executor);

    let executor = pool(8)?;
    let futures: Vec<_> = (0..800)
        .map(|_| executor.submit(pid, ()))
        .collect::<Result<_, _>>()?;
    let pids = futures
        .iter()
        .map(Future::wait)
        .collect::<Result<Vec<u32>, _>>()?;
    let own = pids.iter().map(|pid| own_memory(&pid.to_string()));
    let own = own.collect::<Result<Vec<_>, _>>()?;
    table.row(
        "memory of an idle worker that nobody shares with it",
        Unit::Bytes,
        vec![(
            Peer::Procession,
            Some(median(own.into_iter().map(|bytes| bytes as f64))),
        )],
    );
    Ok(())
}

/// Half of them by `map`, half one by one.
fn run_all(executor: &ProcessPoolExecutor, tasks: u64) -> Result<(), Error> {
    let sum = executor
        .map(noop, 0..tasks / 2)
        .chunksize(1000)
        .sum::<Result<u64, _>>()?;
    check(sum, tasks / 2 * (tasks / 2 - 1) / 2)?;
    for _ in 0..(tasks / 2).div_ceil(50_000) {
        let futures = (0..50_000).map(|n| executor.submit(noop, n));
        for future in futures.collect::<Result<Vec<_>, _>>()? {
            future.wait()?;
        }
    }
    Ok(())
}

fn signal(pid: u32, name: &str) -> Result<(), Error> {
    let status = std::process::Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()?;
    check(status.success(), true)
}

/// In bytes.
pub(super) fn resident(pid: &str) -> Result<u64, Error> {
    field(
        &std::fs::read_to_string(format!("/proc/{pid}/status"))?,
        "VmRSS:",
    )
}

fn own_memory(pid: &str) -> Result<u64, Error> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    Ok(field(&text, "Private_Dirty:")? + field(&text, "Private_Clean:")?)
}

fn field(text: &str, name: &str) -> Result<u64, Error> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line
        .ok_or_else(|| format!("no {name}"))?
        .trim()
        .trim_end_matches(" kB");
    Ok(kib.parse::<u64>()? * 1024)
}
