//! A message there and back through a connection, beside a bare Unix socket pair. The other end is a thread here, for both: a
//! change of threads is less than one of processes, so that what is ours counts for more.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use futures::executor::block_on;
use procession::pipe::{Connection, RecvError};

use crate::measure::{Contestant, Pinned, check, in_turns, seconds, trips};
use crate::peers::python::Python;
use crate::table::{Peer, Table, Unit};
use crate::{Effort, Error};

/// As long as a short message, with what stands before it.
const FRAME: usize = 40;

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    {
        let _pinned = Pinned::new()?;
        round_trip(effort, table, "one CPU", true)?;
    }
    round_trip(effort, table, "any CPU", false)?;
    for (name, size, count) in [
        ("1 KiB", 1 << 10, 5000),
        ("64 KiB", 64 << 10, 2000),
        ("16 MiB", 16 << 20, 10),
    ] {
        one_way(effort, table, name, size, count)?;
    }
    Ok(())
}

fn round_trip(
    effort: Effort,
    table: &mut Table,
    place: &str,
    is_pinned: bool,
) -> Result<(), Error> {
    let (rounds, count) = (effort.of(15, 2), effort.of(5_000, 100));
    let python_count = effort.of(1_000, 20);
    let (ours, theirs) = procession::pipe::<u64>()?;
    let (awaited, awaiting) = procession::pipe::<u64>()?;
    let (mut socket, mut peer) = UnixStream::pair()?;
    let echoes = [
        thread::spawn(move || echo(&theirs)),
        thread::spawn(move || block_on(echo_awaited(&awaiting))),
        thread::spawn(move || {
            let mut frame = [0; FRAME];
            while peer.read_exact(&mut frame).is_ok() && peer.write_all(&frame).is_ok() {}
        }),
    ];
    let mut python = Python::start(1);
    {
        let mut contestants: Vec<Contestant<'_>> = vec![
            (
                Peer::Procession,
                Box::new(|| {
                    let mut both = trips(count, |n| {
                        ours.send(&n)?;
                        check(ours.recv()?, n)
                    })?;
                    both.extend(trips(count, |n| {
                        block_on(async {
                            awaited.send_async(&n).await?;
                            check(awaited.recv_async().await?, n)
                        })
                    })?);
                    Ok(both)
                }),
            ),
            (
                Peer::Pipe,
                Box::new(|| {
                    let mut frame = [7; FRAME];
                    trips(count, |_| {
                        socket.write_all(&frame)?;
                        Ok(socket.read_exact(&mut frame)?)
                    })
                }),
            ),
        ];
        if let Some(python) = &mut python {
            contestants.push((
                Peer::Pool,
                Box::new(|| python.does(&format!("connection {python_count}"))),
            ));
        }
        let results = in_turns(rounds, contestants)?;
        for (at, part) in [(0, "median"), (1, "99 %")] {
            table.row(
                format!("connection, there and back, {place}, {part}"),
                Unit::Seconds,
                vec![
                    (Peer::Procession, results.median(Peer::Procession, at)),
                    (Peer::Pipe, results.median(Peer::Pipe, at)),
                    (Peer::Pool, results.median(Peer::Pool, at)),
                ],
            );
            table.row(
                format!("connection, there and back, awaited, {place}, {part}"),
                Unit::Seconds,
                vec![(Peer::Procession, results.median(Peer::Procession, at + 2))],
            );
        }
        if is_pinned && let Some(ratio) = results.ratio(Peer::Procession, Peer::Pipe, 0) {
            table.at_most(
                format!("connection, there and back, {place} / socket pair"),
                ratio,
                1.5,
            );
        }
    }
    drop((ours, awaited, socket));
    for echo in echoes {
        echo.join().map_err(|_| "an echo panicked")?;
    }
    Ok(())
}

fn echo(end: &Connection<u64>) {
    while let Ok(n) = end.recv()
        && end.send(&n).is_ok()
    {}
}

async fn echo_awaited(end: &Connection<u64>) {
    while let Ok(n) = end.recv_async().await
        && end.send_async(&n).await.is_ok()
    {}
}

/// Bytes that somebody sends and nobody answers.
fn one_way(
    effort: Effort,
    table: &mut Table,
    name: &str,
    size: usize,
    count: usize,
) -> Result<(), Error> {
    let count = effort.of(count, 2);
    let bytes = vec![7_u8; size];
    let throughput = |took: f64| vec![(size * count) as f64 / took];
    let contestants: Vec<Contestant<'_>> = vec![
        (
            Peer::Procession,
            Box::new(|| {
                let (sender, receiver) = procession::pipe::one_way::<()>()?;
                let bytes = &bytes;
                let took = seconds(|| {
                    thread::scope(|scope| {
                        scope.spawn(move || (0..count).try_for_each(|_| sender.send_bytes(bytes)));
                        loop {
                            match receiver.recv_bytes() {
                                Ok(came) => check(came.len(), size)?,
                                Err(RecvError::Closed) => return Ok(()),
                                Err(error) => return Err(error.into()),
                            }
                        }
                    })
                })?;
                Ok(throughput(took))
            }),
        ),
        (
            Peer::Pipe,
            Box::new(|| {
                let (mut sender, mut receiver) = UnixStream::pair()?;
                let bytes = &bytes;
                let took = seconds(|| {
                    thread::scope(|scope| {
                        scope.spawn(move || (0..count).try_for_each(|_| sender.write_all(bytes)));
                        for _ in 0..count {
                            let mut came = vec![0; size];
                            receiver.read_exact(&mut came)?;
                            check(came.len(), size)?;
                        }
                        Ok(())
                    })
                })?;
                Ok(throughput(took))
            }),
        ),
    ];
    let results = in_turns(effort.of(9, 1), contestants)?;
    table.row(
        format!("bytes through a connection, {name} at a time"),
        Unit::Throughput,
        vec![
            (Peer::Procession, results.median(Peer::Procession, 0)),
            (Peer::Pipe, results.median(Peer::Pipe, 0)),
        ],
    );
    Ok(())
}
