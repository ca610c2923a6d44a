//! A lock between processes, taken and released, beside `multiprocessing.Lock` and a bare futex in shared memory: when nobody else wants it,
//! and when several processes want nothing else.

use std::sync::atomic::AtomicU32;

use procession::ProcessPoolExecutor;
use procession::shared::{SharedMemory, Value};
use procession::sync::{Barrier, Lock, RLock};

use super::pool;
use crate::measure::{Contestant, Pinned, check, in_turns, seconds};
use crate::peers::futex::with_lock;
use crate::peers::python::Python;
use crate::table::{Peer, Table, Unit};
use crate::tasks::{count_by_futex, count_by_lock};
use crate::{Effort, Error};

/// The most that one process may do in one turn.
const COUNT: usize = 200_000;

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    {
        let _pinned = Pinned::new()?;
        alone(effort, table)?;
    }
    for processes in [2, 4] {
        contending(effort, table, processes)?;
    }
    Ok(())
}

fn times(count: usize, mut once: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    seconds(|| (0..count).try_for_each(|_| once()))
}

fn alone(effort: Effort, table: &mut Table) -> Result<(), Error> {
    let (count, python_count) = (effort.of(1_000_000, 1000), effort.of(100_000, 1000));
    let (lock, rlock) = (Lock::new()?, RLock::new()?);
    let value = Value::new(0_u64)?;
    let word = AtomicU32::new(0);
    let rate = |took: f64| count as f64 / took;
    let mut python = Python::start(1);
    let mut contestants: Vec<Contestant<'_>> = vec![
        (
            Peer::Procession,
            Box::new(|| {
                let lock = times(count, || lock.lock().map(drop).map_err(Into::into))?;
                let rlock = times(count, || rlock.lock().map(drop).map_err(Into::into))?;
                let value = times(count, || value.update(|n| *n += 1).map_err(Into::into))?;
                Ok([lock, rlock, value].map(rate).to_vec())
            }),
        ),
        (
            Peer::Pipe,
            Box::new(|| {
                let word = std::hint::black_box(&word);
                let took = times(count, || {
                    with_lock(word, || ());
                    Ok(())
                })?;
                Ok(vec![rate(took)])
            }),
        ),
    ];
    if let Some(python) = &mut python {
        contestants.push((
            Peer::Pool,
            Box::new(move || {
                let took = python.does(&format!("locks {python_count}"))?;
                Ok(took.iter().map(|took| python_count as f64 / took).collect())
            }),
        ));
    }
    let results = in_turns(effort.of(9, 1), contestants)?;
    let rows = [
        "lock taken and released",
        "rlock taken and released",
        "value updated under its lock",
    ];
    for (at, what) in rows.into_iter().enumerate() {
        let mut cells = vec![(Peer::Procession, results.median(Peer::Procession, at))];
        if at == 0 {
            cells.push((Peer::Pipe, results.median(Peer::Pipe, at)));
        }
        cells.push((Peer::Pool, results.median(Peer::Pool, at)));
        table.row(format!("{what}, nobody else wants it"), Unit::Rate, cells);
    }
    Ok(())
}

fn contending(effort: Effort, table: &mut Table, processes: usize) -> Result<(), Error> {
    let executor = pool(processes)?;
    let (count, python_count) = (effort.of(COUNT, 1000), effort.of(20_000, 500));
    let mut python = Python::start(1);
    let mut contestants: Vec<Contestant<'_>> = vec![
        (
            Peer::Procession,
            Box::new(|| Ok(vec![by_lock(&executor, processes, count)?])),
        ),
        (
            Peer::Pipe,
            Box::new(|| Ok(vec![by_futex(&executor, processes, count)?])),
        ),
    ];
    if let Some(python) = &mut python {
        let order = format!("contend {processes} {python_count}");
        let all = (processes * python_count) as f64;
        contestants.push((
            Peer::Pool,
            Box::new(move || Ok(vec![all / python.does(&order)?[0]])),
        ));
    }
    let results = in_turns(effort.of(5, 1), contestants)?;
    let peers = [Peer::Procession, Peer::Pipe, Peer::Pool];
    table.row(
        format!("lock taken and released, by {processes} processes"),
        Unit::Rate,
        peers.map(|peer| (peer, results.median(peer, 0))).to_vec(),
    );
    Ok(())
}

/// How often a second all of them together take a lock, and count.
fn by_lock(executor: &ProcessPoolExecutor, processes: usize, count: usize) -> Result<f64, Error> {
    let lock = Lock::new()?;
    together(processes, count, |total, start| {
        Ok(executor.submit(count_by_lock, (lock.clone(), total, start, count))?)
    })
}

fn by_futex(executor: &ProcessPoolExecutor, processes: usize, count: usize) -> Result<f64, Error> {
    let memory = SharedMemory::new(4)?;
    together(processes, count, |total, start| {
        Ok(executor.submit(count_by_futex, (memory.clone(), total, start, count))?)
    })
}

/// What they say of when they began and ended.
type Times = procession::Future<Result<(u64, u64), String>>;

fn together(
    processes: usize,
    count: usize,
    submit: impl Fn(Value<u64>, Barrier) -> Result<Times, Error>,
) -> Result<f64, Error> {
    let (total, start) = (Value::new(0_u64)?, Barrier::new(processes as u32)?);
    let futures = (0..processes).map(|_| submit(total.clone(), start.clone()));
    let futures: Vec<_> = futures.collect::<Result<_, _>>()?;
    let (mut begun, mut ended) = (u64::MAX, 0);
    for future in futures {
        let (first, last) = future.wait()??;
        (begun, ended) = (begun.min(first), ended.max(last));
    }
    check(total.get_unlocked(), (processes * count) as u64)?;
    Ok((processes * count) as f64 / (ended - begun) as f64 * 1e9)
}
