//! Which of these numbers are prime? The example of Python's `concurrent.futures`, in worker processes.
//!
//! ```sh
//! cargo run --release --example primes
//! ```

use std::time::Instant;

use procession::ProcessPoolExecutor;

const NUMBERS: [u64; 6] = [
    112_272_535_095_293,
    112_582_705_942_171,
    112_272_535_095_293,
    115_280_095_190_773,
    115_797_848_077_099,
    1_099_726_899_285_419,
];

#[procession::task]
fn is_prime(n: u64) -> bool {
    if n < 2 || n.is_multiple_of(2) {
        return n == 2;
    }
    (3..=n.isqrt()).step_by(2).all(|d| !n.is_multiple_of(d))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    procession::init();
    let pool = ProcessPoolExecutor::new()?;
    let begun = Instant::now();
    for (n, is_prime) in NUMBERS.iter().zip(pool.map(is_prime, NUMBERS)) {
        println!(
            "{n:>16} is {}",
            if is_prime? { "prime" } else { "not prime" }
        );
    }
    println!("workers: {}, {:.1?}", pool.max_workers(), begun.elapsed());
    Ok(())
}
