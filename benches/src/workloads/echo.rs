//! Bytes there and back.

use serde_bytes::ByteBuf;

use super::pool;
use crate::measure::{Contestant, check, in_turns, seconds};
use crate::peers::pipe::Pipe;
use crate::peers::python::Python;
use crate::table::{Peer, Table, Unit};
use crate::tasks::{echo, echo_buffer};
use crate::{Effort, Error};

const SIZES: [(&str, usize, usize); 5] = [
    ("1 KiB", 1 << 10, 1000),
    ("64 KiB", 64 << 10, 300),
    ("1 MiB", 1 << 20, 50),
    ("16 MiB", 16 << 20, 5),
    ("256 MiB", 256 << 20, 1),
];

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    let executor = pool(1)?;
    let mut pipe = Pipe::of_bytes()?;
    let mut python = Python::start(1);
    let has_python = python.is_some();
    let procspawn = procspawn::Pool::new(1)?;
    for (name, size, count) in SIZES {
        let count = effort.of(count, 1);
        let slow_count = count.div_ceil(10);
        let bytes = vec![7_u8; size];
        let mut contestants: Vec<Contestant<'_>> = vec![
            (
                Peer::Procession,
                Box::new(|| {
                    let mut arguments: Vec<_> = (0..count).map(|_| bytes.clone()).collect();
                    let took = seconds(|| {
                        while let Some(bytes) = arguments.pop() {
                            check(executor.submit(echo, bytes)?.wait()?.len(), size)?;
                        }
                        Ok(())
                    })?;
                    Ok(vec![both_ways(size) * count as f64 / took])
                }),
            ),
            (
                Peer::Pipe,
                Box::new(|| {
                    let took = seconds(|| {
                        (0..count).try_for_each(|_| check(pipe.echo(&bytes)?.len(), size))
                    })?;
                    Ok(vec![both_ways(size) * count as f64 / took])
                }),
            ),
        ];
        // Above that it takes minutes.
        let has_procspawn = size <= 16 << 20;
        if has_procspawn {
            contestants.push((
                Peer::Procspawn,
                Box::new(|| {
                    let took = seconds(|| {
                        for _ in 0..slow_count {
                            let bytes = ByteBuf::from(bytes.clone());
                            check(procspawn.spawn(bytes, echo_buffer).join()?.len(), size)?;
                        }
                        Ok(())
                    })?;
                    Ok(vec![both_ways(size) * slow_count as f64 / took])
                }),
            ));
        }
        if let Some(python) = &mut python {
            contestants.push((
                Peer::Executor,
                Box::new(|| {
                    let mut rate = |which| {
                        let took = python.does(&format!("echo {which} {size} {slow_count}"))?;
                        Ok::<_, Error>(both_ways(size) / took[0])
                    };
                    Ok(vec![rate("executor")?, rate("pool")?])
                }),
            ));
        }
        let rounds = if size > 16 << 20 {
            effort.of(3, 1)
        } else {
            effort.of(7, 1)
        };
        let results = in_turns(rounds, contestants)?;
        let python = |at| {
            if has_python {
                results.median(Peer::Executor, at)
            } else {
                None
            }
        };
        let mut cells = vec![
            (Peer::Procession, results.median(Peer::Procession, 0)),
            (Peer::Pipe, results.median(Peer::Pipe, 0)),
            (Peer::Executor, python(0)),
            (Peer::Pool, python(1)),
        ];
        if has_procspawn {
            cells.push((Peer::Procspawn, results.median(Peer::Procspawn, 0)));
        }
        table.row(
            format!("echo of {name}, both ways together"),
            Unit::Throughput,
            cells,
        );
        if size == 16 << 20 {
            if let Some(ratio) = results.ratio(Peer::Procession, Peer::Executor, 0) {
                table.at_least("echo of 16 MiB, by CPython's pool", ratio, 3.0);
            }
            if let Some(ratio) = results.ratio(Peer::Procession, Peer::Pipe, 0) {
                table.at_least("echo of 16 MiB, by bare pipes of 1 MiB", ratio, 0.6);
            }
        }
    }
    Ok(())
}

fn both_ways(size: usize) -> f64 {
    2.0 * size as f64
}
