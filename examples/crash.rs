//! A function that takes its process with it, while others go on.
//!
//! Each task here could be a call into a C library. Those that crash cost one error each; their
//! workers are replaced.
//!
//! ```sh
//! cargo run --example crash
//! ```

use procession::{ProcessPoolExecutor, TaskError, as_completed};

#[procession::task]
fn decode(picture: String) -> Result<usize, String> {
    match picture.as_str() {
        "abort.png" => std::process::abort(),
        "exit.png" => std::process::exit(3),
        "recursion.png" => Ok(count_down(u64::MAX)),
        "panic.png" => panic!("no room for {} pixels", u64::MAX),
        "bad.png" => Err("not a picture".to_owned()),
        _ => Ok(picture.len()),
    }
}

/// Overflows the stack long before it gets anywhere.
fn count_down(n: u64) -> usize {
    if n == 0 {
        0
    } else {
        1 + std::hint::black_box(count_down(n - 1))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    procession::init();
    let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;

    let mut tasks = Vec::new();
    for picture in [
        "a.png",
        "abort.png",
        "b.png",
        "exit.png",
        "c.png",
        "recursion.png",
        "d.png",
        "panic.png",
        "bad.png",
        "e.png",
    ] {
        tasks.push((picture, pool.submit(decode, picture.to_owned())?));
    }
    for (picture, future) in as_completed(tasks) {
        match future.wait() {
            Ok(Ok(pixels)) => println!("{picture}: {pixels} pixels"),
            Ok(Err(error)) => println!("{picture}: {error} (an error of the function's own)"),
            // The process is gone. `lost` also has its pid, and how long the function had run.
            Err(TaskError::WorkerLost(lost)) => println!("{picture}: LOST: {lost}"),
            Err(error) => println!("{picture}: {error}"),
        }
    }
    Ok(())
}
