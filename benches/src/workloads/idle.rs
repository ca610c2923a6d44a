//! Nothing to do, for ten seconds.

use std::time::Duration;

use procession::Future;

use super::pool;
use crate::table::{Peer, Table, Unit};
use crate::tasks::pid;
use crate::{Effort, Error};

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    let executor = pool(4)?;
    let futures: Vec<_> = (0..400)
        .map(|_| executor.submit(pid, ()))
        .collect::<Result<_, _>>()?;
    let mut pids = futures
        .iter()
        .map(Future::wait)
        .collect::<Result<Vec<u32>, _>>()?;
    pids.sort_unstable();
    pids.dedup();
    // Whatever was to be done after the last task has been.
    std::thread::sleep(Duration::from_millis(200));
    let own = std::process::id();
    let main_thread = format!("/proc/{own}/task/{own}");
    let all = || {
        let mut all = vec![totals(own, Some(&main_thread))?];
        for pid in &pids {
            all.push(totals(*pid, None)?);
        }
        Ok::<_, Error>(all)
    };
    let before = all()?;
    std::thread::sleep(Duration::from_millis(effort.of(10_000, 500) as u64));
    let after = all()?;
    let difference = |of: &[Totals], to: &[Totals], what: fn(&Totals) -> u64| {
        to.iter()
            .zip(of)
            .map(|(to, of)| what(to) - what(of))
            .sum::<u64>() as f64
    };
    let (of, to) = (&before[..1], &after[..1]);
    let wakes = difference(of, to, |totals| totals.wakes);
    table.row(
        "wake-ups of the driver's threads, idle for 10 s",
        Unit::Count,
        vec![(Peer::Procession, Some(wakes))],
    );
    let (of, to) = (&before[1..], &after[1..]);
    let wakes = wakes + difference(of, to, |totals| totals.wakes);
    table.row(
        "wake-ups of four workers",
        Unit::Count,
        vec![(
            Peer::Procession,
            Some(difference(of, to, |totals| totals.wakes)),
        )],
    );
    let cpu = difference(&before, &after, |totals| totals.cpu_ns) / 1e9;
    table.row(
        "CPU time of all of them",
        Unit::Seconds,
        vec![(Peer::Procession, Some(cpu))],
    );
    table.at_most("wake-ups while idle", wakes, 0.0);
    Ok(())
}

struct Totals {
    cpu_ns: u64,
    wakes: u64,
}

/// Of all threads of a process but one: the one that measures.
fn totals(pid: u32, without: Option<&str>) -> Result<Totals, Error> {
    let mut totals = Totals {
        cpu_ns: 0,
        wakes: 0,
    };
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let place = thread?.path();
        if without.is_some_and(|without| place == std::path::Path::new(without)) {
            continue;
        }
        let schedstat = std::fs::read_to_string(place.join("schedstat"))?;
        let mut fields = schedstat.split_whitespace().map(str::parse::<u64>);
        totals.cpu_ns += fields.next().ok_or("no time")??;
        // Each time that it ran, after it had slept.
        totals.wakes += fields.nth(1).ok_or("no count")??;
    }
    Ok(totals)
}
