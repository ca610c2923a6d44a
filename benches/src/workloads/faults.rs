//! Workers that are replaced, and workers that are killed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use procession::{ProcessPoolExecutor, Retry};
use rustix::process::{Pid, Signal, kill_process};

use super::pool;
use super::work::calibrate;
use crate::measure::{Contestant, check, cpus, in_turns, median, percentiles, seconds};
use crate::table::{Peer, Table, Unit};
use crate::tasks::{burn, nap, pid};
use crate::{Effort, Error};

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    recycling(effort, table)?;
    killing(effort, table)
}

/// Tasks of a millisecond, with and without: `Pipe` stands for "without".
fn recycling(effort: Effort, table: &mut Table) -> Result<(), Error> {
    let tasks = effort.of(2_000, 100);
    let ms = (1_000.0 * calibrate()) as u64;
    let free = cpus().saturating_sub(1).max(1);
    let cases = [
        ("that wait", cpus(), false, Some(0.9)),
        ("that work, a core free", free, true, Some(0.9)),
        ("that work, on all cores", cpus(), true, Some(0.9)),
    ];
    for (what, workers, works, goal) in cases {
        let lasting = pool(workers)?;
        let replaced = ProcessPoolExecutor::builder()
            .max_workers(workers)
            .max_tasks_per_child(25)
            .build()?;
        let turn = |executor: &ProcessPoolExecutor| {
            let took = seconds(|| match works {
                true => {
                    let futures = (0..tasks).map(|_| executor.submit(burn, ms));
                    let futures = futures.collect::<Result<Vec<_>, _>>()?;
                    check(futures.iter().all(|future| future.wait().is_ok()), true)
                }
                false => {
                    let futures = (0..tasks).map(|_| executor.submit(nap, 1));
                    let futures = futures.collect::<Result<Vec<_>, _>>()?;
                    check(futures.iter().all(|future| future.wait().is_ok()), true)
                }
            })?;
            Ok(vec![tasks as f64 / took])
        };
        let contestants: Vec<Contestant<'_>> = vec![
            (Peer::Procession, Box::new(|| turn(&replaced))),
            (Peer::Pipe, Box::new(|| turn(&lasting))),
        ];
        let results = in_turns(effort.of(7, 1), contestants)?;
        let Some(ratio) = results.ratio(Peer::Procession, Peer::Pipe, 0) else {
            continue;
        };
        table.row(
            format!("tasks of 1 ms {what}, recycled after 25"),
            Unit::Rate,
            vec![(Peer::Procession, results.median(Peer::Procession, 0))],
        );
        if let Some(goal) = goal {
            table.at_least(
                format!("tasks of 1 ms {what}, recycled after 25, by without"),
                ratio,
                goal,
            );
        }
    }
    Ok(())
}

/// Somebody kills a worker every 100 ms: every task is tried again, and none is lost.
fn killing(effort: Effort, table: &mut Table) -> Result<(), Error> {
    let tasks = effort.of(2_000, 100);
    let ms = (1_000.0 * calibrate()) as u64;
    let executor = pool(cpus())?;
    let turn = |kills: bool| {
        let is_over = AtomicBool::new(false);
        let took = Mutex::new(Vec::with_capacity(tasks));
        let begun = Instant::now();
        std::thread::scope(|scope| {
            if kills {
                scope.spawn(|| kill_workers(&executor, &is_over));
            }
            let ended = run_with_retries(&executor, tasks, ms, &took);
            is_over.store(true, Ordering::SeqCst);
            ended
        })?;
        let rate = tasks as f64 / begun.elapsed().as_secs_f64();
        let took = took.into_inner().map_err(|_| "a thread panicked")?;
        Ok::<_, Error>(vec![rate, percentiles(took)[1]])
    };
    let mut killed = Vec::new();
    let mut quiet = Vec::new();
    for round in 0..=effort.of(5, 1) {
        let (with, without) = (turn(true)?, turn(false)?);
        if round > 0 {
            killed.push(with);
            quiet.push(without);
        }
    }
    for (what, turns) in [
        ("nobody is killed", &quiet),
        ("a worker is killed every 100 ms", &killed),
    ] {
        let at = |at: usize| median(turns.iter().map(|turn| turn[at]));
        table.row(
            format!("tasks of 1 ms, ten at a time, with retries; {what}"),
            Unit::Rate,
            vec![(Peer::Procession, Some(at(0)))],
        );
        table.row(
            "the same, 99 % from submission to end",
            Unit::Seconds,
            vec![(Peer::Procession, Some(at(1)))],
        );
    }
    Ok(())
}

/// Ten are pending at a time.
fn run_with_retries(
    executor: &ProcessPoolExecutor,
    tasks: usize,
    steps: u64,
    took: &Mutex<Vec<Duration>>,
) -> Result<(), Error> {
    let mut pending = std::collections::VecDeque::new();
    for n in 0..tasks + 10 {
        if pending.len() == 10 || n >= tasks {
            let Some((begun, future)) = pending.pop_front() else {
                break;
            };
            let begun: Instant = begun;
            let future: procession::Future<u64> = future;
            future.wait()?;
            took.lock()
                .map_err(|_| "a thread panicked")?
                .push(begun.elapsed());
        }
        if n < tasks {
            let call = executor.call(burn).retry(Retry::times(100));
            pending.push_back((Instant::now(), call.submit(steps)?));
        }
    }
    Ok(())
}

/// Kills one of this process's children every 100 ms.
fn kill_workers(executor: &ProcessPoolExecutor, is_over: &AtomicBool) {
    while !is_over.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(100));
        // Which one it is, a worker says itself.
        let worker = executor.call(pid).retry(Retry::times(100)).submit(());
        let Ok(Ok(worker)) = worker.map(|future| future.wait()) else {
            continue;
        };
        if let Some(worker) = i32::try_from(worker).ok().and_then(Pid::from_raw) {
            let _ = kill_process(worker, Signal::KILL);
        }
    }
}
