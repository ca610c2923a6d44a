//! From `build()` to the first answers, and from the drop to the end of the last worker.

use std::collections::HashSet;

use super::pool;
use crate::measure::{Contestant, in_turns, seconds};
use crate::peers::pipe::bare_processes;
use crate::peers::python::Python;
use crate::table::{Peer, Table, Unit};
use crate::tasks::stay;
use crate::{Effort, Error};

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    let mut python = Python::start(1);
    let has_python = python.is_some();
    for workers in [1, 2, 8, 32] {
        let mut contestants: Vec<Contestant<'_>> = vec![
            (
                Peer::Procession,
                Box::new(|| {
                    let mut started = None;
                    let up = seconds(|| {
                        let executor = pool(workers)?;
                        let mut pids = HashSet::new();
                        while pids.len() < workers {
                            // A millisecond is counted with it.
                            let futures = (0..workers).map(|_| executor.submit(stay, 1));
                            for future in futures.collect::<Result<Vec<_>, _>>()? {
                                pids.insert(future.wait()?);
                            }
                        }
                        started = Some(executor);
                        Ok(())
                    })?;
                    let down = seconds(|| {
                        drop(started);
                        Ok(())
                    })?;
                    Ok(vec![up, down])
                }),
            ),
            (
                Peer::Pipe,
                Box::new(|| {
                    let mut started = Vec::new();
                    let up = seconds(|| {
                        started = bare_processes(workers)?;
                        Ok(())
                    })?;
                    let down = seconds(|| {
                        drop(started);
                        Ok(())
                    })?;
                    Ok(vec![up, down])
                }),
            ),
        ];
        if let Some(python) = &mut python {
            contestants.push((
                Peer::Executor,
                Box::new(|| {
                    let mut figures = python.does(&format!("start executor {workers}"))?;
                    figures.extend(python.does(&format!("start pool {workers}"))?);
                    Ok(figures)
                }),
            ));
        }
        let results = in_turns(
            effort.of(if workers == 32 { 5 } else { 11 }, 1),
            contestants,
        )?;
        let python = |at| {
            if has_python {
                results.median(Peer::Executor, at)
            } else {
                None
            }
        };
        for (at, what) in [(0, "start, until each has answered"), (1, "end")] {
            table.row(
                format!("{what}, {workers} workers"),
                Unit::Seconds,
                vec![
                    (Peer::Procession, results.median(Peer::Procession, at)),
                    (Peer::Pipe, results.median(Peer::Pipe, at)),
                    (Peer::Executor, python(at)),
                    (Peer::Pool, python(at + 2)),
                ],
            );
        }
        if workers == 8
            && let Some(ratio) = results.ratio(Peer::Procession, Peer::Pipe, 0)
        {
            table.at_most("start of 8 workers / 8 bare processes", ratio, 2.0);
        }
    }
    Ok(())
}
