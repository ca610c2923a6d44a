//! Elements and slices of an array that processes share, beside `multiprocessing.Array`, which takes its lock for each of them, and `RawArray`,
//! which has none. In Python, the interpreter's own loop is in all of it.

use std::hint::black_box;

use procession::shared::Array;

use crate::measure::{Contestant, Pinned, in_turns, seconds};
use crate::peers::python::Python;
use crate::table::{Peer, Table, Unit};
use crate::{Effort, Error};

/// How many elements of 8 bytes it has: more than a cache of the first level.
const LEN: usize = 16 * 1024;

/// How many are read at once.
const SLICE: usize = 1024;

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    let _pinned = Pinned::new()?;
    let (count, python_count) = (effort.of(1_000_000, 1000), effort.of(100_000, 1000));
    let (slices, python_slices) = (effort.of(100_000, 10), effort.of(2_000, 10));
    let array = Array::<f64>::new(LEN)?;
    let mut python = Python::start(1);
    let mut contestants: Vec<Contestant<'_>> =
        vec![(Peer::Procession, Box::new(|| ours(&array, count, slices)))];
    if let Some(python) = &mut python {
        let order = format!("array {LEN} {SLICE} {python_count} {python_slices}");
        contestants.push((
            Peer::Pool,
            Box::new(move || {
                let took = python.does(&order)?;
                let slice = [2, 5];
                let done = |at| {
                    if slice.contains(&at) {
                        python_slices * SLICE * 8
                    } else {
                        python_count
                    }
                };
                Ok(took
                    .iter()
                    .enumerate()
                    .map(|(at, took)| done(at) as f64 / took)
                    .collect())
            }),
        ));
    }
    contestants.push((Peer::Pipe, Box::new(|| Ok(vec![copied(slices)?; 6]))));
    let results = in_turns(effort.of(9, 1), contestants)?;
    let rows = [
        ("array, an element read under its lock", Unit::Rate),
        ("array, an element written under its lock", Unit::Rate),
        ("array, 8 KiB read under its lock", Unit::Throughput),
        ("array without its lock, an element read", Unit::Rate),
        ("array without its lock, an element written", Unit::Rate),
        ("array without its lock, 8 KiB read", Unit::Throughput),
    ];
    for (at, (what, unit)) in rows.into_iter().enumerate() {
        let peers = [Peer::Procession, Peer::Pool];
        let mut cells = peers.map(|peer| (peer, results.median(peer, at))).to_vec();
        if at == UNLOCKED_SLICE {
            cells.push((Peer::Pipe, results.median(Peer::Pipe, at)));
        }
        table.row(what, unit, cells);
    }
    let by_copy = results.ratio(Peer::Procession, Peer::Pipe, UNLOCKED_SLICE);
    if let Some(ratio) = by_copy {
        let what = "array without its lock, 8 KiB read, by a copy between slices";
        table.at_least(what, ratio, 0.95);
    }
    Ok(())
}

/// Where the rows have that.
const UNLOCKED_SLICE: usize = 5;

/// The same from one slice of a process to another: bytes in a second.
fn copied(slices: usize) -> Result<f64, Error> {
    let from = black_box(vec![1.0_f64; LEN]);
    let mut room = vec![0.0; SLICE];
    let took = seconds(|| {
        for n in 0..slices {
            let at = n * 31 % LEN % (LEN - SLICE);
            black_box(&mut room).copy_from_slice(&from[at..at + SLICE]);
        }
        Ok(())
    })?;
    Ok((slices * SLICE * 8) as f64 / took)
}

/// What a second has of each: in the order of the rows.
fn ours(array: &Array<f64>, count: usize, slices: usize) -> Result<Vec<f64>, Error> {
    let array = black_box(array);
    let mut room = vec![0.0; SLICE];
    let some = |of: usize| of * 31 % LEN;
    let locked_get = seconds(|| {
        for n in 0..count {
            black_box(array.lock()?.get(some(n)));
        }
        Ok(())
    })?;
    let locked_set = seconds(|| {
        for n in 0..count {
            array.lock()?.set(some(n), n as f64)?;
        }
        Ok(())
    })?;
    let locked_slice = seconds(|| {
        for n in 0..slices {
            array
                .lock()?
                .read(some(n) % (LEN - SLICE), black_box(&mut room))?;
        }
        Ok(())
    })?;
    let get = seconds(|| {
        for n in 0..count {
            black_box(array.unlocked().get(some(n)));
        }
        Ok(())
    })?;
    let set = seconds(|| {
        for n in 0..count {
            array.unlocked().set(some(n), n as f64)?;
        }
        Ok(())
    })?;
    let slice = seconds(|| {
        for n in 0..slices {
            let at = some(n) % (LEN - SLICE);
            array.unlocked().read(at, black_box(&mut room))?;
        }
        Ok(())
    })?;
    let (count, bytes) = (count as f64, (slices * SLICE * 8) as f64);
    Ok(vec![
        count / locked_get,
        count / locked_set,
        bytes / locked_slice,
        count / get,
        count / set,
        bytes / slice,
    ])
}
