//! How many workers there are, and how long they last.

use std::time::Duration;

use super::ProcessPoolExecutorBuilder;

impl ProcessPoolExecutorBuilder {
    /// How many worker processes run tasks at a time: 1 to 4096. Default: [`default_workers`](crate::default_workers).
    ///
    /// Anything else is refused by [`build`](Self::build). Workers that are about to be replaced, and their successors that are
    /// still starting or wait for their place, come on top for a moment.
    ///
    /// ```
    /// use procession::{BuildError, ProcessPoolExecutor};
    ///
    /// let error = ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err();
    /// assert_eq!(error.to_string(), "`max_workers` must be from 1 to 4096, not 0");
    /// ```
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.max_workers = Some(max_workers);
        self
    }

    /// How many there are at least, from the start. Default: as many as [`max_workers`](Self::max_workers).
    ///
    /// With fewer, more are started when tasks wait for a worker, one for each of those tasks; they stay, unless there is an
    /// [`idle_timeout`](Self::idle_timeout). With zero, [`build`](Self::build) starts none, and cannot tell what
    /// is wrong with them.
    ///
    /// More than `max_workers` is refused.
    ///
    /// ```standalone_crate
    /// use procession::ProcessPoolExecutor;
    ///
    /// #[procession::task]
    /// fn pid() -> u32 {
    ///     std::process::id()
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder().min_workers(0).max_workers(4).build()?;
    ///     // One after another: one worker is enough.
    ///     assert_eq!(pool.submit(pid, ())?.wait()?, pool.submit(pid, ())?.wait()?);
    ///     Ok(())
    /// }
    /// ```
    pub fn min_workers(mut self, min_workers: usize) -> Self {
        self.min_workers = Some(min_workers);
        self
    }

    /// How long a worker beyond [`min_workers`](Self::min_workers) may be without a task before it ends. Default: for ever. Zero
    /// is refused. Where it is set, and `min_workers` is not, that is 1: one worker stays.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use procession::ProcessPoolExecutor;
    ///
    /// let builder = ProcessPoolExecutor::builder().min_workers(1).idle_timeout(Duration::from_secs(30));
    /// # drop(builder);
    /// ```
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// How many workers of this pool may be replaced that ended one after the other, with no task finished or begun in between,
    /// however long that takes: one more is the end of the pool. Default: 4. For every worker beyond the first it is one more, so that a pool survives when
    /// all of its idle workers are killed at once.
    ///
    /// From the second such death of a single worker on there is a pause before the next start: 20 ms, twice as long each time, a
    /// second at most. A task that was running when its worker ended counts as begun: tasks that crash, however many, do not
    /// break a pool. A task that three workers died of before they had begun it is given up, and that they died counts here:
    /// with less than 3 restarts such a task may break the pool.
    ///
    /// ```
    /// let builder = procession::ProcessPoolExecutor::builder().max_restarts(20);
    /// # drop(builder);
    /// ```
    pub fn max_restarts(mut self, max_restarts: u32) -> Self {
        self.max_restarts = max_restarts;
        self
    }

    /// After how many tasks a worker is replaced, for functions that leak. Default: never. Zero is refused.
    ///
    /// A chunk of `map` counts as one, as in Python. The next worker is started in time, so that nobody waits
    /// for it.
    ///
    /// ```standalone_crate
    /// use procession::ProcessPoolExecutor;
    ///
    /// #[procession::task]
    /// fn pid() -> u32 {
    ///     std::process::id()
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder().max_workers(1).max_tasks_per_child(2).build()?;
    ///     let pids: Result<Vec<u32>, _> = pool.map(pid, [(); 4]).collect();
    ///     let pids = pids?;
    ///     assert!(pids[0] == pids[1] && pids[1] != pids[2] && pids[2] == pids[3]);
    ///     Ok(())
    /// }
    /// ```
    pub fn max_tasks_per_child(mut self, max_tasks: u32) -> Self {
        self.max_tasks_per_child = Some(max_tasks);
        self
    }

    /// With how much resident memory, in bytes, a worker is replaced after the task that it runs. Default: never. Zero is
    /// refused.
    ///
    /// It is measured by the worker when a task has ended, at most once in a millisecond. It bounds what leaks from task to
    /// task; what a single task takes is bounded by [`address_space`](Self::address_space).
    ///
    /// ```
    /// let builder = procession::ProcessPoolExecutor::builder().max_memory_per_child(1 << 30);
    /// # drop(builder);
    /// ```
    pub fn max_memory_per_child(mut self, bytes: u64) -> Self {
        self.max_memory_per_child = Some(bytes);
        self
    }

    /// By how much resident memory, in bytes, a worker may have grown since the end of its first task; with more it is replaced
    /// after the task that it runs. Default: any. Zero is refused.
    ///
    /// Measured as for [`max_memory_per_child`](Self::max_memory_per_child).
    ///
    /// ```
    /// let builder = procession::ProcessPoolExecutor::builder().max_growth_per_child(300 << 20);
    /// # drop(builder);
    /// ```
    pub fn max_growth_per_child(mut self, bytes: u64) -> Self {
        self.max_growth_per_child = Some(bytes);
        self
    }

    /// How long after it became ready a worker is replaced, after the task that it runs then. Default: never. Zero is refused.
    ///
    /// One that has nothing to do stays as it is until after its next task.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use procession::ProcessPoolExecutor;
    ///
    /// let builder = ProcessPoolExecutor::builder().max_age_per_child(Duration::from_secs(3600));
    /// # drop(builder);
    /// ```
    pub fn max_age_per_child(mut self, age: Duration) -> Self {
        self.max_age_per_child = Some(age);
        self
    }
}
