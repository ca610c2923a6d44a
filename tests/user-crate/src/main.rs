//! A program whose `main` belongs to an asynchronous runtime.

use procession::ProcessPoolExecutor;
use sieve::is_prime;

#[procession::main]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;
    let numbers = [97, 99, 112_272_535_095_293];
    for number in numbers {
        println!("{number} {}", pool.submit(is_prime, number)?.await?);
    }
    Ok(())
}
