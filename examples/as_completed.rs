//! Results in the order in which they come, each with what it belongs to.
//!
//! ```sh
//! cargo run --release --example as_completed
//! ```

use std::time::{Duration, Instant};

use procession::{ProcessPoolExecutor, as_completed};

#[procession::task]
fn nap(time: Duration) -> u32 {
    std::thread::sleep(time);
    std::process::id()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    procession::init();
    let pool = ProcessPoolExecutor::builder().max_workers(4).build()?;
    let begun = Instant::now();

    // A pair of a key and a future goes in, and the same pair comes out.
    let mut naps = Vec::new();
    for length in [400, 100, 300, 200, 2000] {
        naps.push((length, pool.submit(nap, Duration::from_millis(length))?));
    }
    for next in as_completed(naps).timeout(Duration::from_secs(1)) {
        match next {
            Ok((length, future)) => {
                let pid = future.wait()?;
                println!(
                    "{:>8.1?}: the nap of {length} ms in process {pid}",
                    begun.elapsed()
                );
            }
            // Time is up: the last item says what is missing.
            Err(error) => println!("{:>8.1?}: {error}", begun.elapsed()),
        }
    }
    // The last nap is not waited for.
    pool.shutdown(procession::Shutdown::Kill, None)?;
    Ok(())
}
