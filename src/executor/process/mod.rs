//! The process pool.
//!
//! | file | one line |
//! |--|--|
//! | `builder` | what can be chosen, and [`Builder::build`](ProcessPoolExecutorBuilder::build) |
//! | `handle` | [`ProcessPoolExecutor`] |
//! | `pool` | the one lock; carries out what the scheduler decides |
//! | `reactor` | the one thread |
//! | `reading` | reads what workers send; buries them |
//! | `token` | who may read |
//! | `link` | the driver's end of one worker |
//! | `message` | what a worker says, decoded |
//! | `job` | a task from submission to its end |
//! | `output` | what workers print and say |
//! | `callbacks` | a thread for callbacks |

mod builder;
pub(crate) mod callbacks;
mod handle;
mod job;
mod link;
mod message;
mod output;
mod pool;
mod reactor;
mod reading;
mod token;

pub use builder::ProcessPoolExecutorBuilder;
pub use handle::ProcessPoolExecutor;
pub use output::{OutputLine, OutputStream, Stdio};
