//! A counter of one's own: a value of a type of this program lives in a manager, and tasks in several processes call it.
//!
//! `#[procession::managed]` makes the proxy. A call of `&mut self` runs alone, so nothing is lost, however many add at once; and what
//! takes several steps is a method, where it is one step for everybody else.
//!
//! ```sh
//! cargo run --release --example managed_counter
//! ```

use std::collections::BTreeMap;

use procession::manager::{Manager, ManagerError};
use procession::{Failure, ProcessPoolExecutor, as_completed};

const TASKS: u64 = 8;
const ADDITIONS: u64 = 1_000;

/// Counts, and remembers who has added how often.
struct Counter {
    n: u64,
    by_adder: BTreeMap<u64, u64>,
}

#[procession::managed]
impl Counter {
    /// One that begins at `start`.
    pub fn new(start: u64) -> Self {
        Self {
            n: start,
            by_adder: BTreeMap::new(),
        }
    }

    /// Adds one, and gives what it is then.
    pub fn add(&mut self, adder: u64) -> u64 {
        self.n += 1;
        *self.by_adder.entry(adder).or_default() += 1;
        self.n
    }

    /// What it is.
    pub fn get(&self) -> u64 {
        self.n
    }

    /// How often `adder` has added.
    pub fn of(&self, adder: u64) -> u64 {
        assert!(adder < TASKS, "there is no task {adder}");
        self.by_adder.get(&adder).copied().unwrap_or(0)
    }
}

/// Adds in another process, and gives the greatest that it has seen.
#[procession::task]
fn add_often(counter: CounterProxy, adder: u64) -> Result<u64, Failure> {
    let mut greatest = 0;
    for _ in 0..ADDITIONS {
        greatest = counter.add(adder)?;
    }
    Ok(greatest)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    procession::init();
    let manager = Manager::start()?;
    let counter = CounterProxy::new(&manager, 0)?;

    let pool = ProcessPoolExecutor::builder().max_workers(4).build()?;
    let mut tasks = Vec::new();
    for adder in 0..TASKS {
        tasks.push((adder, pool.submit(add_often, (counter.clone(), adder))?));
    }
    for (adder, task) in as_completed(tasks) {
        println!("task {adder} was done when the count was {}", task.wait()??);
    }
    assert_eq!(counter.get()?, TASKS * ADDITIONS);
    for adder in 0..TASKS {
        assert_eq!(counter.of(adder)?, ADDITIONS);
    }
    println!("{} in all", counter.get()?);

    // A panic ends its call, and nothing else.
    match counter.of(TASKS) {
        Err(ManagerError::Panicked { message, .. }) => println!("the manager says: {message}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(counter.get()?, TASKS * ADDITIONS);
    Ok(())
}
