//! One no-op at a time, one worker.

use std::time::Instant;

use futures::executor::block_on;

use super::pool;
use crate::measure::{Contestant, Figures, Pinned, check, in_turns, percentiles, trips};
use crate::peers::pipe::Pipe;
use crate::peers::python::Python;
use crate::table::{Peer, Table, Unit};
use crate::tasks::noop;
use crate::{Effort, Error};

/// As long as the frames of a no-op, with its header: 40 bytes or so.
const FRAME: usize = 40;

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    {
        let _pinned = Pinned::new()?;
        measure(effort, table, "one CPU", true)?;
    }
    measure(effort, table, "any CPU", false)
}

fn measure(effort: Effort, table: &mut Table, place: &str, is_pinned: bool) -> Result<(), Error> {
    let (rounds, count) = (effort.of(15, 2), effort.of(2_000, 100));
    let python_count = effort.of(200, 20);
    let mut pipe = Pipe::of_frames()?;
    let executor = pool(1)?;
    let mut python = Python::start(1);
    let has_python = python.is_some();
    let procspawn = procspawn::Pool::new(1)?;
    let mut contestants: Vec<Contestant<'_>> = vec![
        (
            Peer::Procession,
            Box::new(|| trips(count, |n| check(executor.submit(noop, n)?.wait()?, n))),
        ),
        (
            Peer::Pipe,
            Box::new(|| {
                let mut frame = [7; FRAME];
                trips(count, |_| pipe.ping(&mut frame))
            }),
        ),
        (
            Peer::Procspawn,
            Box::new(|| {
                let trip = |n| check(procspawn.spawn(n, |n: u64| n).join()?, n);
                trips(python_count, trip)
            }),
        ),
    ];
    if let Some(python) = &mut python {
        contestants.push((
            Peer::Executor,
            Box::new(|| {
                // Two in one turn, since both are one process.
                let mut both = python.does(&format!("trips executor {python_count}"))?;
                both.extend(python.does(&format!("trips pool {python_count}"))?);
                Ok(both)
            }),
        ));
    }
    let results = in_turns(rounds, contestants)?;
    for (at, part) in [(0, "median"), (1, "99 %")] {
        let of = |peer, at| results.median(peer, at);
        let (executor, pool) = match has_python {
            true => (of(Peer::Executor, at), of(Peer::Executor, at + 2)),
            false => (None, None),
        };
        table.row(
            format!("round trip, `wait()`, {place}, {part}"),
            Unit::Seconds,
            vec![
                (Peer::Procession, of(Peer::Procession, at)),
                (Peer::Pipe, of(Peer::Pipe, at)),
                (Peer::Executor, executor),
                (Peer::Pool, pool),
                (Peer::Procspawn, of(Peer::Procspawn, at)),
            ],
        );
    }
    let goal = if is_pinned { 1.75 } else { 1.5 };
    if let Some(ratio) = results.ratio(Peer::Procession, Peer::Pipe, 0) {
        table.at_most(format!("round trip, `wait()`, {place} / pipe"), ratio, goal);
    }
    drop(python);
    drop(procspawn);
    awaited(effort, table, place, is_pinned)
}

/// Under three runtimes.
fn awaited(effort: Effort, table: &mut Table, place: &str, is_pinned: bool) -> Result<(), Error> {
    let (rounds, count) = (effort.of(15, 2), effort.of(2_000, 100));
    let executor = pool(1)?;
    let trip = async |count: usize| -> Result<Figures, Error> {
        let mut took = Vec::with_capacity(count);
        for n in 0..count as u64 {
            let begun = Instant::now();
            check(executor.submit(noop, n)?.await?, n)?;
            took.push(begun.elapsed());
        }
        Ok(percentiles(took))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    type Drive<'a> = Box<dyn FnMut() -> Result<Figures, Error> + 'a>;
    let drivers: [(&str, Drive<'_>); 3] = [
        ("futures", Box::new(|| block_on(trip(count)))),
        ("tokio", Box::new(|| runtime.block_on(trip(count)))),
        ("smol", Box::new(|| smol::block_on(trip(count)))),
    ];
    for (name, drive) in drivers {
        let mut pipe = Pipe::of_frames()?;
        let ping = Box::new(move || {
            let mut frame = [7; FRAME];
            trips(count, |_| pipe.ping(&mut frame))
        });
        let results = in_turns(rounds, vec![(Peer::Procession, drive), (Peer::Pipe, ping)])?;
        for (at, part) in [(0, "median"), (1, "99 %")] {
            table.row(
                format!("round trip, `.await` ({name}), {place}, {part}"),
                Unit::Seconds,
                vec![
                    (Peer::Procession, results.median(Peer::Procession, at)),
                    (Peer::Pipe, results.median(Peer::Pipe, at)),
                ],
            );
        }
        if is_pinned && let Some(ratio) = results.ratio(Peer::Procession, Peer::Pipe, 0) {
            table.at_most(
                format!("round trip, `.await` ({name}), {place} / pipe"),
                ratio,
                2.5,
            );
        }
    }
    Ok(())
}
