//! What the executors without processes share: running a call here, through the same bytes that
//! would have gone to a worker, so that what works here works there.

use super::core::{Call, Promises, Shape};
use super::gate::Permit;
use crate::error::TaskError;
use crate::run;
use crate::wire::ChunkReader;

/// A call, its futures and its permit.
#[derive(Debug)]
pub(super) struct LocalJob {
    pub(super) call: Call,
    pub(super) promises: Promises,
    pub(super) permit: Permit,
}

impl LocalJob {
    /// Runs it and completes its futures. `is_cancelled` is asked between the items of a chunk.
    pub(super) fn run(self, max_frame: u64, is_cancelled: impl Fn() -> bool) {
        let Self {
            call,
            promises,
            permit,
        } = self;
        let run_one = |arguments: &[u8]| {
            let mut result = Vec::new();
            let outcome = run::run(call.function, arguments, &mut result).and_then(|()| {
                let size = result.len() as u64;
                if size <= max_frame {
                    Ok(())
                } else {
                    Err(crate::wire::TaskFailure::ResultTooLarge { size })
                }
            });
            let pid = std::process::id();
            outcome
                .map(|()| result)
                .map_err(|failure| failure.into_error(call.function.name, pid, max_frame))
        };
        match (call.shape, promises) {
            (Shape::Task, promises) => {
                let outcome = run_one(call.arguments());
                // First the permit: whoever sees the end of the task may count on its room.
                drop(permit);
                if let Some(future) = promises.into_one() {
                    future.complete(outcome);
                }
            }
            (Shape::Chunk(_), promises) => {
                let items = ChunkReader::new(&call.payload).into_iter().flatten();
                let mut items = promises.into_many().into_iter().zip(items).peekable();
                let mut permit = Some(permit);
                while let Some((future, item)) = items.next() {
                    let outcome = if is_cancelled() {
                        Err(TaskError::Cancelled)
                    } else {
                        run_one(item)
                    };
                    if items.peek().is_none() {
                        drop(permit.take());
                    }
                    future.complete(outcome);
                }
            }
        }
    }

    /// Ends it without running it.
    pub(super) fn end(self, error: &TaskError) {
        drop(self.permit);
        for future in self.promises.into_many() {
            future.complete(Err(error.clone()));
        }
    }
}
