//! What a running task can know about itself.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

/// Says whether the task that asks should stop.
type Asked = dyn Fn() -> bool + Send + Sync;

/// In a worker: every thread of it belongs to the one task that runs.
static PROCESS: OnceLock<Box<Asked>> = OnceLock::new();

thread_local! {
    /// In an executor without processes: the tasks that this thread runs, one inside the other.
    static THREAD: RefCell<Vec<Arc<Asked>>> = const { RefCell::new(Vec::new()) };
}

/// Whether the task that runs here should come to its end: its time is up, or it was cancelled.
///
/// A task is not stopped by this; it may look, and return early with what it has. What it returns is its result, like any
/// other. In a worker, all threads see the same; in an executor of threads, only the thread that runs the
/// task does. Outside of tasks it is always `false`.
///
/// It is raised
///
/// * when the task's timeout or deadline has passed. The worker is ended
///   [`cancel_grace`](crate::ProcessPoolExecutorBuilder::cancel_grace) later, which is zero unless it is set: set it, if tasks
///   are to have a chance to look;
/// * when [`Future::kill`](crate::Future::kill) is called, likewise;
/// * when [`Future::cancel`](crate::Future::cancel) comes too late to keep it from running, or the future that
///   [`abort_on_drop`](crate::Future::abort_on_drop) made is dropped, or the [`Map`](crate::Map) that it is an item of.
///
/// It costs three loads from memory.
///
/// ```standalone_crate
/// use std::time::Duration;
///
/// use procession::ProcessPoolExecutor;
///
/// #[procession::task]
/// fn digits_of_pi() -> String {
///     let mut digits = String::from("3.");
///     while !procession::is_cancelled() {
///         digits.push_str("14"); // more or less
///     }
///     digits
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let pool = ProcessPoolExecutor::builder()
///         .max_workers(1)
///         .cancel_grace(Duration::from_secs(10))
///         .build()?;
///     let future = pool.call(digits_of_pi).timeout(Duration::from_millis(5)).submit(())?;
///     assert!(future.wait()?.starts_with("3.14"));
///     Ok(())
/// }
/// ```
pub fn is_cancelled() -> bool {
    if let Some(asked) = PROCESS.get() {
        return asked();
    }
    // Taken out, so that nothing of ours is borrowed while it is asked.
    let innermost = THREAD.try_with(|tasks| tasks.borrow().last().cloned());
    innermost.ok().flatten().is_some_and(|asked| asked())
}

/// Lets tasks of this process, which is a worker, ask.
pub(crate) fn answer_in_this_process(asked: impl Fn() -> bool + Send + Sync + 'static) {
    // A process becomes a worker once.
    let _ = PROCESS.set(Box::new(asked));
}

/// Runs a task on this thread, which can ask meanwhile.
pub(crate) fn run_asking<T>(asked: Arc<Asked>, task: impl FnOnce() -> T) -> T {
    struct Running;
    impl Drop for Running {
        fn drop(&mut self) {
            let ended = THREAD.with_borrow_mut(Vec::pop);
            drop(ended);
        }
    }
    THREAD.with_borrow_mut(|tasks| tasks.push(asked));
    let _running = Running;
    task()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_task_is_the_one_that_asks() {
        assert!(!is_cancelled());
        run_asking(Arc::new(|| true), || {
            assert!(is_cancelled());
            run_asking(Arc::new(|| false), || assert!(!is_cancelled()));
            assert!(is_cancelled());
        });
        assert!(!is_cancelled());
    }
}
