//! Awaiting tasks from tokio. Any other runtime would do: nothing here is tied to one.
//!
//! ```sh
//! cargo run --release --example async_tokio
//! ```

use std::time::Duration;

use futures::StreamExt;
use procession::ProcessPoolExecutor;

#[procession::task]
fn fibonacci(n: u32) -> u64 {
    if n < 2 {
        n.into()
    } else {
        fibonacci(n - 1) + fibonacci(n - 2)
    }
}

// `procession::main` stands first: a worker must not start a runtime and its threads.
#[procession::main]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ProcessPoolExecutor::new()?;

    // One task: a future.
    let future = pool.submit_async(fibonacci, 30).await?;
    println!("fibonacci(30) = {}", future.await?);

    // Side by side with everything else that the runtime does.
    let slow = pool.submit_async(fibonacci, 42).await?;
    tokio::select! {
        result = &slow => println!("fibonacci(42) = {}", result?),
        () = tokio::time::sleep(Duration::from_millis(50)) => println!("… 42 takes longer than 50 ms"),
    }
    println!("fibonacci(42) = {}", slow.await?);

    // Many tasks: a stream.
    let mut results = pool.map(fibonacci, 1..=10).stream();
    while let Some(number) = results.next().await {
        print!("{} ", number?);
    }
    println!();

    // Dropping the pool would block this thread until all is done; this does not.
    pool.shutdown_async(procession::Shutdown::Wait, None)
        .await?;
    Ok(())
}
