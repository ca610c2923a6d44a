//! A C function that is not thread-safe, called in parallel.
//!
//! `srand` and `rand` of the C library have one state for the whole program: who calls them from two threads
//! gets a mixture. In worker processes each has a state of its own, and the same seed gives the same numbers, however many
//! run at once.
//!
//! ```sh
//! cargo run --release --example not_thread_safe
//! ```

use procession::{Executor, ExecutorExt, ProcessPoolExecutor, ThreadPoolExecutor};

const GAMES: u32 = 100;
const THROWS: usize = 100_000;

/// Throws a die, and says how often each side came up. The same for the same seed, if nobody else throws.
#[procession::task]
fn throw(seed: u32) -> [u32; 6] {
    let mut sides = [0; 6];
    // SAFETY: these functions take and return numbers. That the state behind them is not meant for several threads at once is the
    // subject here: a worker runs one task at a time, on one thread; and threads call this only where the C
    // library has a lock around each call (see `main`), so that the numbers are wrong, and nothing else.
    unsafe { libc::srand(seed) };
    for _ in 0..THROWS {
        // SAFETY: as above.
        let number = unsafe { libc::rand() };
        sides[number as usize % 6] += 1;
    }
    sides
}

/// In how many games something else came up than has to.
fn differences(
    executor: &dyn Executor,
    expected: &[[u32; 6]],
) -> Result<usize, procession::TaskError> {
    let mut differences = 0;
    for (sides, expected) in executor.map(throw, 0..GAMES).zip(expected) {
        differences += usize::from(sides? != *expected);
    }
    Ok(differences)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    procession::init();

    // One after the other, here.
    let expected: Vec<_> = (0..GAMES).map(throw).collect();

    let processes = ProcessPoolExecutor::builder().max_workers(4).build()?;
    println!(
        "4 processes: {} of {GAMES} games differ",
        differences(&processes, &expected)?
    );

    // The GNU C library locks its state for each call. Others do not.
    if cfg!(target_env = "gnu") {
        let threads = ThreadPoolExecutor::with_max_workers(4)?;
        println!(
            "4 threads: {} of {GAMES} games differ",
            differences(&threads, &expected)?
        );
    }
    Ok(())
}
