//! What a worker finds around it, and how much of it it may have.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::ProcessPoolExecutorBuilder;

impl ProcessPoolExecutorBuilder {
    /// Sets a variable of the workers' environment. That of this process stays as it is.
    ///
    /// A name that is empty or contains `=`, and a zero byte in either, are refused by [`build`](Self::build).
    ///
    /// ```standalone_crate
    /// use procession::ProcessPoolExecutor;
    ///
    /// #[procession::task]
    /// fn variable(name: String) -> Option<String> {
    ///     std::env::var(name).ok()
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder().max_workers(1).env("OMP_NUM_THREADS", "1").build()?;
    ///     let value = pool.submit(variable, "OMP_NUM_THREADS".to_owned())?.wait()?;
    ///     assert_eq!(value.as_deref(), Some("1"));
    ///     Ok(())
    /// }
    /// ```
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let change = (name.into(), Some(value.into()));
        self.environment.changes.push(change);
        self
    }

    /// Removes a variable from the workers' environment.
    ///
    /// ```
    /// let builder = procession::ProcessPoolExecutor::builder().env_remove("LD_PRELOAD");
    /// # drop(builder);
    /// ```
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.environment.changes.push((name.into(), None));
        self
    }

    /// Lets the workers' environment begin empty: with what [`env`](Self::env) sets after this, and nothing else.
    ///
    /// ```
    /// let builder = procession::ProcessPoolExecutor::builder().env_clear().env("PATH", "/usr/bin");
    /// # drop(builder);
    /// ```
    pub fn env_clear(mut self) -> Self {
        self.environment.is_cleared = true;
        self.environment.changes.clear();
        self
    }

    /// The workers' working directory; a relative path counts from where this process is when the pool is built. Default: where
    /// this process is when a worker is started.
    ///
    /// A worker that cannot enter it cannot start, and says so: [`BuildError::CannotStart`](crate::BuildError::CannotStart).
    ///
    /// ```
    /// let builder = procession::ProcessPoolExecutor::builder().current_dir("/tmp");
    /// # drop(builder);
    /// ```
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.allowance.directory = Some(directory.into().into_os_string());
        self
    }

    /// How much address space each worker may have, in bytes (`RLIMIT_AS`). Default: what it inherits.
    ///
    /// A task that asks for more gets an error from the allocator. Where it does not look, as ordinary Rust does not, the worker
    /// ends, and the error says why: [`EndOfWorker::MemoryLimit`](crate::EndOfWorker::MemoryLimit). (For that, workers of such a pool have handlers
    /// for SIGABRT, SIGSEGV and SIGBUS, which step aside after they have taken a note; and the standard library prints no backtrace in them when it aborts, which
    /// would cover up why. Panics have theirs all the same.)
    ///
    /// It counts everything that is mapped, also the program itself, the stacks of threads, and memory that is never touched. What a
    /// program takes from the start, and 16 MiB more, is the least that works; a worker with less cannot start.
    ///
    /// ```standalone_crate
    /// use procession::{EndOfWorker, ProcessPoolExecutor, TaskError};
    ///
    /// #[procession::task]
    /// fn length(bytes: usize) -> usize {
    ///     std::hint::black_box(vec![1_u8; bytes]).len()
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder().max_workers(1).address_space(1 << 30).build()?;
    ///     assert_eq!(pool.submit(length, 1000)?.wait()?, 1000);
    ///     match pool.submit(length, 2 << 30)?.wait() {
    ///         Err(TaskError::WorkerLost(lost)) => {
    ///             assert!(matches!(lost.end, EndOfWorker::MemoryLimit { .. }), "{lost}");
    ///         }
    ///         other => panic!("{other:?}"),
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn address_space(mut self, bytes: u64) -> Self {
        self.allowance.address_space = Some(bytes);
        self
    }

    /// How much CPU time each task (a chunk of [`map`](crate::ProcessPoolExecutor::map) is one) may use, of all its threads together (`RLIMIT_CPU`); rounded up to whole seconds, and up to one more. Default:
    /// unlimited. Zero is refused.
    ///
    /// Past it the worker is ended by SIGXCPU: [`EndOfWorker::CpuLimit`](crate::EndOfWorker::CpuLimit).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = procession::ProcessPoolExecutor::builder().cpu_time(Duration::from_secs(60));
    /// # drop(builder);
    /// ```
    pub fn cpu_time(mut self, time: Duration) -> Self {
        self.allowance.cpu_time = Some(time);
        self
    }

    /// How many descriptors each worker may have open (`RLIMIT_NOFILE`). Default: what it inherits. Zero is refused.
    ///
    /// ```
    /// let builder = procession::ProcessPoolExecutor::builder().open_files(256);
    /// # drop(builder);
    /// ```
    pub fn open_files(mut self, count: u64) -> Self {
        self.allowance.open_files = Some(count);
        self
    }

    /// How large a core dump of a worker may be, in bytes (`RLIMIT_CORE`). Default: what it inherits. Zero is none.
    ///
    /// ```
    /// let builder = procession::ProcessPoolExecutor::builder().core_size(0);
    /// # drop(builder);
    /// ```
    pub fn core_size(mut self, bytes: u64) -> Self {
        self.allowance.core_size = Some(bytes);
        self
    }

    /// The niceness of the workers, from -20 to 19: those of a higher one leave the CPU to others. Default: what they inherit.
    ///
    /// A lower one than this process has needs a privilege: a worker that cannot have it cannot start, and says so.
    ///
    /// ```
    /// let builder = procession::ProcessPoolExecutor::builder().nice(10);
    /// # drop(builder);
    /// ```
    pub fn nice(mut self, niceness: i32) -> Self {
        self.allowance.niceness = Some(niceness);
        self
    }

    /// The CPUs that workers may run on, by number. Default: those that they inherit. A CPU that is not there is refused, by
    /// [`build`](Self::build) or by the worker, which cannot start then.
    ///
    /// ```
    /// let builder = procession::ProcessPoolExecutor::builder().cpu_affinity([0]);
    /// # drop(builder);
    /// ```
    pub fn cpu_affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.allowance.cpus = Some(cpus.into_iter().collect());
        self
    }
}
