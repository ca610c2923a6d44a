//! A pool to which everything happens at once, for a stated time.
//!
//! Two threads submit tasks of mixed length and size, wait for some, cancel, kill and drop others; one maps; one hits workers with
//! SIGKILL, SIGSTOP and the like, and changes how many there are. Everything that is asked for has an entry in a
//! ledger, and every entry has to come out even: the right value, or an error that something which was done to that task, or to
//! that worker, explains; as many runs as that error allows, counted by the tasks themselves; each callback once. After each
//! round nothing may be left, and after all of them no memory.
//!
//! | file | one line |
//! |--|--|
//! | `random` | where decisions come from |
//! | `tasks` | the registered function, and the marks that its runs leave |
//! | `ledger` | what was asked for, what was done to it, and what came of it |
//! | `driver` | the threads that submit |
//! | `assassin` | the thread that hits workers |
//! | `round` | one pool, from its making to its end |
//! | `memory` | what this process takes |
//!
//! Three cases of three seconds each; `PROCESSION_CHAOS_SECONDS=600` is how long each of them takes instead. Every decision is a function of
//! a seed, which is printed, and again with every failure, together with the round: `PROCESSION_CHAOS_SEED=…` starts with that
//! round. When threads and processes get to run is not a function of anything, so a failure may need several tries.

#[path = "../support/mod.rs"]
mod support;
mod random;
mod tasks;
mod ledger;
mod driver;
mod assassin;
mod round;
mod memory;

use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use memory::Memory;
use support::{Case, text_of};

/// How long each case goes on in CI.
const SECONDS: u64 = 3;

/// How many rounds pass before memory counts: what allocators, arenas and stacks keep has been taken by then.
const WARM_UP: u64 = 3;

fn main() {
    support::run(|| {
        let limit = Duration::from_secs(seconds() + 120);
        let cases = [
            ("two_workers", 2),
            ("four_workers", 4),
            ("eight_workers", 8),
        ];
        cases
            .map(|(name, workers)| Case::new(name, move || chaos(name, workers)).limit(limit))
            .into()
    });
}

fn seconds() -> u64 {
    number("PROCESSION_CHAOS_SECONDS").unwrap_or(SECONDS)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.trim().parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is a number, not {text}")))
}

/// One round after another until the time is over.
fn chaos(name: &str, workers: usize) {
    let first = number("PROCESSION_CHAOS_SEED").unwrap_or_else(random::fresh_seed);
    let end = Instant::now() + Duration::from_secs(seconds());
    println!("chaos {name}: seed {first}");
    let mut warm = None;
    let mut ran = round::Tally::default();
    let mut rounds = 0;
    while rounds <= WARM_UP || Instant::now() < end {
        let seed = first.wrapping_add(rounds);
        let round = panic::catch_unwind(AssertUnwindSafe(|| round::run(seed, workers)));
        match round.unwrap_or_else(|panic| Err(text_of(&*panic))) {
            Ok(tally) => ran += tally,
            Err(wrong) => panic!(
                "{wrong}\n\nround {rounds}; again: PROCESSION_CHAOS_SEED={seed} cargo test --test chaos {name}"
            ),
        }
        rounds += 1;
        if rounds == WARM_UP {
            warm = Some(Memory::taken());
        }
    }
    println!("chaos {name}: {rounds} rounds, {ran}");
    if let Some(grown) = warm.and_then(|warm| Memory::taken().more_than(&warm)) {
        panic!("{grown} after {rounds} rounds; PROCESSION_CHAOS_SEED={first}");
    }
}
