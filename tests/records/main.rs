//! What workers say through `log` and `tracing`, said again in this process.
//!
//! | file | one line |
//! |--|--|
//! | `listener` | the logger and the subscriber of this process |
//! | `tasks` | the registered functions |
//! | `logging` | records of `log` |
//! | `events` | events and spans of `tracing` |
//! | `order` | what is heard before what, and when nobody listens for a while |
//! | `processes` | workers that fork, panic, run threads, have loggers of their own, or lie |

#[path = "../support/mod.rs"]
mod support;
#[path = "../programs/mod.rs"]
mod programs;
mod listener;
mod tasks;
mod logging;
mod events;
mod order;
mod processes;

use processes::with_a_logger_before_init;
use procession::{ProcessPoolExecutor, ProcessPoolExecutorBuilder};

fn main() {
    programs::run_if_asked(&programs::programs![with_a_logger_before_init]);
    support::run(|| {
        listener::install();
        [
            logging::tests(),
            events::tests(),
            order::tests(),
            processes::tests(),
        ]
        .into_iter()
        .flatten()
        .collect()
    });
}

fn builder(workers: usize) -> ProcessPoolExecutorBuilder {
    ProcessPoolExecutor::builder()
        .max_workers(workers)
        .forward_records(true)
}

/// A pool of that many workers, whose records are said again here.
fn pool(workers: usize) -> ProcessPoolExecutor {
    listener::forget();
    builder(workers).build().unwrap()
}
