//! First figures: how far from a bare pipe, and how far from Python.
//!
//! ```text
//! cargo bench --bench figures
//! ```
//!
//! Everything is measured in one run and in turns, so that a machine that is slow for a while is slow
//! for all of them, and pinned to one CPU, where a hop between threads or processes costs what it
//! costs and not what the distance of two cores adds. The ratios are what counts.

use std::fs;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use procession::{ProcessPoolExecutor, as_completed};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How often it is everybody's turn.
const ROUNDS: usize = 15;

/// Round trips in one turn.
const TRIPS: usize = 2_000;

/// Bytes that go each way through the bare pipe.
const FRAME: usize = 64;

/// Tasks that are submitted one by one.
const TASKS: u64 = 100_000;

/// How often those are.
const RUNS: usize = 3;

/// The argument that makes this program the other end of the bare pipe.
const ECHO: &str = "--echo";

type Error = Box<dyn std::error::Error>;

/// Tasks of a millisecond in one turn with and without replacements.
const LONG_TASKS: u64 = 2_000;

/// How often it is the turn of each.
const LONG_ROUNDS: usize = 5;

/// The argument that measures replacements alone.
const REPLACEMENTS: &str = "--replacements";

#[procession::task]
fn noop(n: u64) -> u64 {
    n
}

/// Works for a millisecond.
#[procession::task]
fn work(n: u64) -> u64 {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1) {
        std::hint::spin_loop();
    }
    n
}

/// Is away for a millisecond.
#[procession::task]
fn nap(n: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(1));
    n
}

fn main() -> Result<(), Error> {
    procession::init();
    if std::env::args().any(|argument| argument == ECHO) {
        return Ok(echo()?);
    }
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing is measured: run `cargo bench --bench figures`");
        return Ok(());
    }
    if std::env::args().any(|argument| argument == REPLACEMENTS) {
        return replacements();
    }
    let every_cpu = sched_getaffinity(None)?;
    let one_cpu = first_of(&every_cpu);
    // Threads and processes started from here on are pinned with this one.
    sched_setaffinity(None, &one_cpu)?;
    round_trips()?;
    println!("\n{TASKS} single submits, as_completed, 2 workers; everything on one CPU");
    many_tasks()?;
    sched_setaffinity(None, &every_cpu)?;
    println!("\nthe same on {} CPUs", every_cpu.count());
    many_tasks()?;
    replacements()
}

// ---- one task at a time ----

fn round_trips() -> Result<(), Error> {
    let mut pipe = Pipe::open()?;
    let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut rows = [
        Row::new("pipe, 64 bytes each way", None),
        Row::new("submit, wait()", Some(2.0)),
        Row::new("submit, .await (block_on)", Some(3.0)),
        Row::new("submit, .await (tokio)", Some(3.0)),
    ];
    // The first turn warms everything up, and is forgotten.
    for round in 0..=ROUNDS {
        let turns = [
            turn(|_| pipe.ping())?,
            turn(|n| check(pool.submit(noop, n)?.wait()?, n))?,
            turn(|n| check(block_on(pool.submit(noop, n)?)?, n))?,
            runtime.block_on(async {
                let mut trips = Vec::with_capacity(TRIPS);
                for n in 0..TRIPS as u64 {
                    let begun = Instant::now();
                    check(pool.submit(noop, n)?.await?, n)?;
                    trips.push(begun.elapsed());
                }
                Ok::<_, Error>(median(trips))
            })?,
        ];
        if round > 0 {
            let pipe = turns[0].as_secs_f64();
            for (row, trip) in rows.iter_mut().zip(turns) {
                row.trips.push(trip);
                row.ratios.push(trip.as_secs_f64() / pipe);
            }
        }
    }
    println!("round trip of one no-op, on one CPU: medians of {ROUNDS} turns of {TRIPS}");
    for row in rows {
        row.print();
    }
    Ok(())
}

/// The median of many round trips.
fn turn(mut trip: impl FnMut(u64) -> Result<(), Error>) -> Result<Duration, Error> {
    let mut trips = Vec::with_capacity(TRIPS);
    for n in 0..TRIPS as u64 {
        let begun = Instant::now();
        trip(n)?;
        trips.push(begun.elapsed());
    }
    Ok(median(trips))
}

fn check(answer: u64, expected: u64) -> Result<(), Error> {
    if answer == expected {
        Ok(())
    } else {
        Err(format!("a task gave {answer} instead of {expected}").into())
    }
}

/// One line of figures.
struct Row {
    name: &'static str,
    goal: Option<f64>,
    trips: Vec<Duration>,
    ratios: Vec<f64>,
}

impl Row {
    fn new(name: &'static str, goal: Option<f64>) -> Self {
        Self {
            name,
            goal,
            trips: Vec::new(),
            ratios: Vec::new(),
        }
    }

    fn print(self) {
        let us = median(self.trips).as_secs_f64() * 1e6;
        let mut ratios = self.ratios;
        ratios.sort_by(f64::total_cmp);
        let ratio = ratios[ratios.len() / 2];
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        print!("  {:<27} {us:>7.2} µs", self.name);
        if let Some(goal) = self.goal {
            let verdict = verdict(ratio <= goal);
            print!("  {ratio:.2} × pipe ({least:.2} to {most:.2}), goal ≤ {goal:.1} ×: {verdict}");
        }
        println!();
    }
}

/// Two pipes to a process that sends back what it gets, and does nothing else.
struct Pipe {
    child: Child,
    tasks: Option<ChildStdin>,
    results: ChildStdout,
}

impl Pipe {
    fn open() -> Result<Self, Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ECHO)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let tasks = child.stdin.take();
        let results = child.stdout.take().ok_or("a pipe was asked for")?;
        Ok(Self {
            child,
            tasks,
            results,
        })
    }

    fn ping(&mut self) -> Result<(), Error> {
        let mut frame = [7; FRAME];
        let tasks = self.tasks.as_mut().ok_or("a pipe was asked for")?;
        tasks.write_all(&frame)?;
        self.results.read_exact(&mut frame)?;
        Ok(())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // The child ends when its input does.
        self.tasks = None;
        let _ = self.child.wait();
    }
}

/// The other end of [`Pipe`].
fn echo() -> io::Result<()> {
    // Below `Stdin` and `Stdout`, which would add a buffer and a lock.
    let (tasks, results) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    let mut frame = [0; FRAME];
    loop {
        let count = rustix::io::read(tasks, &mut frame)?;
        if count == 0 {
            return Ok(());
        }
        rustix::io::write(results, &frame[..count])?;
    }
}

// ---- many tasks at a time ----

fn many_tasks() -> Result<(), Error> {
    let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;
    let python = Python::find();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(submit_all(&pool)?);
        if let Some(python) = &python {
            theirs.push(python.run("pool")?);
        }
    }
    let ours = median(ours);
    print_rate("procession", ours, TASKS);
    let Some(python) = python else {
        println!("  SKIPPED: no python3 on PATH to compare with");
        return Ok(());
    };
    let theirs = median(theirs);
    print_rate("multiprocessing.Pool", theirs, TASKS);
    let executor = python.run("executor")?;
    print_rate("Python's ProcessPoolExecutor", executor, TASKS);
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    let verdict = verdict(ratio >= 10.0);
    println!("  {ratio:.1} × multiprocessing.Pool with chunksize 1, goal ≥ 10 ×: {verdict}");
    Ok(())
}

fn submit_all(pool: &ProcessPoolExecutor) -> Result<Duration, Error> {
    let begun = Instant::now();
    let futures = (0..TASKS).map(|n| pool.submit(noop, n));
    let futures = futures.collect::<Result<Vec<_>, _>>()?;
    let mut sum = 0;
    for done in as_completed(futures) {
        sum += done.wait()?;
    }
    let took = begun.elapsed();
    check(sum, TASKS * (TASKS - 1) / 2)?;
    Ok(took)
}

fn print_rate(name: &str, took: Duration, tasks: u64) {
    let seconds = took.as_secs_f64();
    println!(
        "  {name:<29} {seconds:>7.3} s {:>9.0} tasks/s",
        tasks as f64 / seconds
    );
}

// ---- workers that are replaced ----

/// What replacements cost. On machines with as many CPUs as workers, a task that works leaves no CPU to start a worker on: what
/// is measured then is the machine, too.
fn replacements() -> Result<(), Error> {
    println!(
        "\n{LONG_TASKS} tasks of 1 ms, 2 workers, replaced after 25 tasks: medians of {LONG_ROUNDS} turns"
    );
    let lasting = ProcessPoolExecutor::builder().max_workers(2).build()?;
    let replaced = ProcessPoolExecutor::builder()
        .max_workers(2)
        .max_tasks_per_child(25)
        .build()?;
    let mut ratios = [Vec::new(), Vec::new()];
    for round in 0..=LONG_ROUNDS {
        for (ratios, is_work) in ratios.iter_mut().zip([false, true]) {
            let without = run_all(&lasting, is_work)?;
            let with = run_all(&replaced, is_work)?;
            if round > 0 {
                ratios.push(without.as_secs_f64() / with.as_secs_f64());
            }
        }
    }
    for (mut ratios, name) in ratios.into_iter().zip(["that wait", "that work"]) {
        ratios.sort_by(f64::total_cmp);
        let ratio = 100.0 * ratios[ratios.len() / 2];
        let (least, most) = (100.0 * ratios[0], 100.0 * ratios[ratios.len() - 1]);
        let verdict = verdict(ratio >= 90.0);
        println!(
            "  tasks {name:<22} {ratio:>6.1} % of the throughput without ({least:.0} to {most:.0}), goal ≥ 90 %: {verdict}"
        );
    }
    Ok(())
}

fn run_all(pool: &ProcessPoolExecutor, is_work: bool) -> Result<Duration, Error> {
    let begun = Instant::now();
    let futures = (0..LONG_TASKS).map(|n| match is_work {
        true => pool.submit(work, n),
        false => pool.submit(nap, n),
    });
    let futures = futures.collect::<Result<Vec<_>, _>>()?;
    for (n, future) in (0..).zip(futures) {
        check(future.wait()?, n)?;
    }
    Ok(begun.elapsed())
}

/// The same work in Python.
struct Python {
    script: std::path::PathBuf,
}

impl Python {
    /// `None` if there is none.
    fn find() -> Option<Self> {
        let version = Command::new("python3").arg("--version").output().ok()?;
        if !version.status.success() {
            return None;
        }
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        println!("  beside {}", version.trim());
        // A file, since its workers may have to import it.
        let name = format!("procession-figures-{}.py", std::process::id());
        let script = std::env::temp_dir().join(name);
        fs::write(&script, SCRIPT).ok()?;
        Some(Self { script })
    }

    /// How long it takes by its own clock, without its start.
    fn run(&self, what: &str) -> Result<Duration, Error> {
        let arguments = [what, &TASKS.to_string()];
        let output = Command::new("python3")
            .arg(&self.script)
            .args(arguments)
            .stderr(Stdio::inherit())
            .output()?;
        let seconds: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
        Ok(Duration::from_secs_f64(seconds))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.script);
    }
}

const SCRIPT: &str = r#"
import sys, time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import Pool

def noop(n):
    return n

def pool(tasks):
    with Pool(2) as pool:
        pool.map(noop, range(2))
        begun = time.perf_counter()
        total = sum(pool.imap_unordered(noop, range(tasks), chunksize=1))
        return time.perf_counter() - begun, total

def executor(tasks):
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(noop, range(2)))
        begun = time.perf_counter()
        futures = [pool.submit(noop, n) for n in range(tasks)]
        total = sum(future.result() for future in as_completed(futures))
        return time.perf_counter() - begun, total

if __name__ == "__main__":
    tasks = int(sys.argv[2])
    took, total = {"pool": pool, "executor": executor}[sys.argv[1]](tasks)
    assert total == tasks * (tasks - 1) // 2
    print(took)
"#;

// ---- numbers ----

fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}

fn verdict(is_reached: bool) -> &'static str {
    if is_reached { "reached" } else { "MISSED" }
}

fn first_of(cpus: &CpuSet) -> CpuSet {
    let mut one = CpuSet::new();
    if let Some(cpu) = (0..CpuSet::MAX_CPU).find(|cpu| cpus.is_set(*cpu)) {
        one.set(cpu);
    }
    one
}
