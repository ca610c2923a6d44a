//! Tasks in private modules of a library.

mod arithmetic {
    pub mod primes {
        #[procession::task]
        pub fn is_prime(n: u64) -> bool {
            n > 1 && (2..).take_while(|d| d * d <= n).all(|d| n % d != 0)
        }
    }
}

pub use arithmetic::primes::is_prime;

/// Counts in worker processes, with a function that nobody outside can name.
pub fn count_primes(
    pool: &procession::ProcessPoolExecutor,
    below: u64,
) -> Result<u64, procession::TaskError> {
    #[procession::task]
    fn count_between(start: u64, end: u64) -> u64 {
        (start..end).filter(|n| is_prime(*n)).count() as u64
    }
    let starts = (0..below).step_by(100);
    let counts = pool.map(
        count_between,
        starts.map(|start| (start, (start + 100).min(below))),
    );
    counts.sum()
}
