//! How long things may take.

use std::time::Duration;

use super::ProcessPoolExecutorBuilder;

impl ProcessPoolExecutorBuilder {
    /// How long the function of a task may run, unless the [call](crate::Call::timeout) says otherwise. Default: for ever. Zero
    /// is refused.
    ///
    /// ```standalone_crate
    /// use std::time::Duration;
    ///
    /// use procession::{ProcessPoolExecutor, TaskError};
    ///
    /// #[procession::task]
    /// fn nap(milliseconds: u64) {
    ///     std::thread::sleep(Duration::from_millis(milliseconds));
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder()
    ///         .max_workers(1)
    ///         .timeout(Duration::from_millis(100))
    ///         .build()?;
    ///     let (long, patient) = (pool.submit(nap, 3_600_000)?, pool.call(nap).timeout(None).submit(200)?);
    ///     assert!(matches!(long.wait(), Err(TaskError::TimeLimit(_))));
    ///     patient.wait()?;
    ///     Ok(())
    /// }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// By when a task must have ended after its submission, unless the [call](crate::Call::deadline) says otherwise. Default:
    /// never. Zero is refused.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = procession::ProcessPoolExecutor::builder().deadline(Duration::from_secs(60));
    /// # drop(builder);
    /// ```
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long a worker may take from its start until it has reached [`init`](crate::init). Default: 10 s; zero is refused.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = procession::ProcessPoolExecutor::builder().start_timeout(Duration::from_secs(60));
    /// # drop(builder);
    /// ```
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.start_timeout = timeout;
        self
    }

    /// How long an [`initializer`](Self::initializer) may take. Default: for ever; zero is refused. Past it,
    /// [`build`](Self::build) returns [`BuildError::InitializerTimeout`](crate::BuildError::InitializerTimeout).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = procession::ProcessPoolExecutor::builder().initializer_timeout(Duration::from_secs(60));
    /// # drop(builder);
    /// ```
    pub fn initializer_timeout(mut self, timeout: Duration) -> Self {
        self.initializer_timeout = Some(timeout);
        self
    }

    /// How long a task may go on when its time is up, or [`Future::kill`](crate::Future::kill) was called, before its worker is
    /// ended. Default: zero.
    ///
    /// The end of a task that runs has these steps, each of which is left out when its time is zero:
    ///
    /// 1. [`is_cancelled`](crate::is_cancelled) becomes true in the task, which has `cancel_grace` to return. What it returns is
    ///    its result, and its worker lives on.
    /// 2. The worker and its process group are sent [`terminate_signal`](Self::terminate_signal), and have
    ///    [`terminate_grace`](Self::terminate_grace) to end. From here on the worker begins nothing else. What the task still
    ///    returns counts.
    /// 3. They are killed.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = procession::ProcessPoolExecutor::builder().cancel_grace(Duration::from_millis(200));
    /// # drop(builder);
    /// ```
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.cancel_grace = grace;
        self
    }

    /// How long a worker may take to end after it was sent [`terminate_signal`](Self::terminate_signal), before it is killed: the
    /// second of the steps described at [`cancel_grace`](Self::cancel_grace). Default: zero, which sends none.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = procession::ProcessPoolExecutor::builder().terminate_grace(Duration::from_secs(2));
    /// # drop(builder);
    /// ```
    pub fn terminate_grace(mut self, grace: Duration) -> Self {
        self.terminate_grace = grace;
        self
    }

    /// The signal by which a worker and its process group are asked to end, by number. Default: 15, SIGTERM. One that is unknown, or
    /// that no process can handle, is refused.
    ///
    /// ```
    /// use procession::{BuildError, ProcessPoolExecutor};
    ///
    /// let error = ProcessPoolExecutor::builder().terminate_signal(77).build().unwrap_err();
    /// assert!(matches!(error, BuildError::Parameter { parameter: "terminate_signal", .. }));
    /// ```
    pub fn terminate_signal(mut self, signal: i32) -> Self {
        self.terminate_signal = signal;
        self
    }

    /// How long a worker may take to end when it has been told to, in good order or by
    /// [`terminate_workers`](crate::ProcessPoolExecutor::terminate_workers), before it is killed: for what runs at exit. Default:
    /// 10 s. Zero is refused.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = procession::ProcessPoolExecutor::builder().exit_grace(Duration::from_secs(1));
    /// # drop(builder);
    /// ```
    pub fn exit_grace(mut self, grace: Duration) -> Self {
        self.exit_grace = grace;
        self
    }
}
