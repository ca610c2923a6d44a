//! What becomes of what workers print.

use std::sync::Arc;

use super::super::output::{OutputLine, Stdio};
use super::ProcessPoolExecutorBuilder;
use crate::worker::Destination;

impl ProcessPoolExecutorBuilder {
    /// Where the workers' standard output goes. Default: where that of this process goes.
    ///
    /// ```
    /// use procession::{ProcessPoolExecutor, Stdio};
    ///
    /// let builder = ProcessPoolExecutor::builder().stdout(Stdio::Null);
    /// # drop(builder);
    /// ```
    pub fn stdout(mut self, stdout: Stdio) -> Self {
        self.stdout = stdout;
        self
    }

    /// Where the workers' standard error goes. Default: where that of this process goes.
    ///
    /// ```standalone_crate
    /// use procession::{ProcessPoolExecutor, Stdio, TaskError};
    ///
    /// #[procession::task]
    /// fn crash() {
    ///     eprintln!("so long");
    ///     std::process::abort();
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder().max_workers(1).stderr(Stdio::Tee).build()?;
    ///     match pool.submit(crash, ())?.wait() {
    ///         Err(TaskError::WorkerLost(lost)) => assert_eq!(lost.last_words.as_deref(), Some("so long")),
    ///         other => panic!("{other:?}"),
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn stderr(mut self, stderr: Stdio) -> Self {
        self.stderr = stderr;
        self
    }

    /// What is done with each line of a stream that is [captured](Stdio::Capture): in the order in which a worker
    /// printed them, and before the future of the task that printed them is completed, unless that is cancelled, which is seen at once. (Lines of the
    /// two streams come in order each; how they lie between each other is not known.)
    ///
    /// It runs on a thread of its own, `procession-output`. As long as it does not return, futures of this pool are not completed, and
    /// count as pending: so it must not wait for one, nor for [room](Self::max_pending). While a megabyte waits for it, workers wait
    /// when they print more, and begin no other tasks. A panic in it is contained.
    ///
    /// ```standalone_crate
    /// use std::sync::{Arc, Mutex};
    ///
    /// use procession::{OutputStream, ProcessPoolExecutor, Stdio};
    ///
    /// #[procession::task]
    /// fn greet(name: String) {
    ///     println!("hello,\n{name}");
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let lines = Arc::new(Mutex::new(Vec::new()));
    ///     let pool = ProcessPoolExecutor::builder()
    ///         .max_workers(1)
    ///         .stdout(Stdio::Capture)
    ///         .on_output({
    ///             let lines = lines.clone();
    ///             move |line| lines.lock().unwrap().push(line.clone())
    ///         })
    ///         .build()?;
    ///     let future = pool.submit(greet, "world".to_owned())?;
    ///     future.wait()?;
    ///     let lines = lines.lock().unwrap();
    ///     assert_eq!(lines.iter().map(|line| &*line.text).collect::<Vec<_>>(), ["hello,", "world"]);
    ///     assert!(lines.iter().all(|line| line.task == Some(future.id())));
    ///     assert!(lines.iter().all(|line| line.stream == OutputStream::Stdout));
    ///     Ok(())
    /// }
    /// ```
    pub fn on_output(mut self, handler: impl Fn(&OutputLine) + Send + Sync + 'static) -> Self {
        self.on_output = Some(Arc::new(handler));
        self
    }

    /// Says again in this process what workers say through `log` and `tracing`. Default: they say it to whoever listens in
    /// the worker, which is nobody, unless a task or an initializer changes that. With the feature `log`, or `tracing`, or both,
    /// each for its own facade.
    ///
    /// A record comes with its level, target, module, file, line, message and fields (key-value pairs, in `log`), and
    /// is given three more: `worker.pid`; and, if a task was running in that worker, `worker.task` (its [`TaskId`](crate::TaskId))
    /// and `worker.function`. It goes to this process's logger, or to its global default subscriber. That happens on a thread
    /// of its own, `procession-output`, in the order in which a worker said things, and before the future of the task that said them is
    /// completed; what an initializer says, before [`build`](Self::build) returns.
    ///
    #[cfg_attr(feature = "log", doc = "```standalone_crate")]
    #[cfg_attr(not(feature = "log"), doc = "```ignore")]
    /// use std::sync::Mutex;
    ///
    /// use procession::ProcessPoolExecutor;
    ///
    /// struct Lines(Mutex<Vec<String>>);
    ///
    /// impl log::Log for Lines {
    ///     fn enabled(&self, _: &log::Metadata) -> bool {
    ///         true
    ///     }
    ///
    ///     fn log(&self, record: &log::Record) {
    ///         let n = record.key_values().get("n".into()).and_then(|n| n.to_u64());
    ///         let line = format!("{} {} n={n:?}", record.level(), record.args());
    ///         self.0.lock().unwrap().push(line);
    ///     }
    ///
    ///     fn flush(&self) {}
    /// }
    ///
    /// static LINES: Lines = Lines(Mutex::new(Vec::new()));
    ///
    /// #[procession::task]
    /// fn count(n: u64) {
    ///     log::info!(n; "counting");
    ///     log::debug!("not listened to");
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     log::set_logger(&LINES).unwrap();
    ///     log::set_max_level(log::LevelFilter::Info);
    ///     let pool = ProcessPoolExecutor::builder().max_workers(1).forward_records(true).build()?;
    ///     pool.submit(count, 3)?.wait()?;
    ///     assert_eq!(*LINES.0.lock().unwrap(), ["INFO counting n=Some(3)"]);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # What a worker sends
    ///
    /// It sends what is no more verbose than `log::max_level` and `tracing`'s `LevelFilter::current` were in this process when
    /// the worker was started: so set up logging first, and build the pool then. Whatever else this process filters by, such
    /// as targets, it filters when a record has come.
    ///
    /// `init()` puts a logger and a global subscriber into the worker for that. If the program has set its own *before* `init()`,
    /// that one stays, and nothing is sent. Where a task or an initializer tries to set one, that fails, as it does for every
    /// second one: call `try_init`, not `init`, of such a crate.
    ///
    /// # Caveats
    ///
    /// * Sending is writing to a pipe. While it is full, the thread that says something waits; it is, when a megabyte waits for a logger
    ///   here that is slower than all workers together. Time limits of tasks go on meanwhile.
    /// * A logger that does not return keeps futures of this pool from being completed, and the pool from ending: it must not
    ///   wait for either, nor for room in the pool, nor for a lock of somebody who does. A panic in it is contained.
    /// * What another thread of a worker says belongs to the task that runs meanwhile, if one does.
    /// * A record has at most 64 KiB, or `max_frame` if that is less; its message a quarter of that, a value a sixteenth, and
    ///   32 fields. Longer texts are cut and end with `…`, and so does the list of fields, with the number of those that are missing.
    /// * Of the `tracing` spans around an event there is a text, in the field `worker.spans`: `outer{a=1}:inner`. They are not spans
    ///   in this process, and that they are entered and left is not told. Layers, such as those for metrics or OpenTelemetry, see
    ///   events only; `follows_from` is lost.
    /// * A scoped subscriber (`with_default`) of this process hears nothing from workers.
    /// * For `tracing`, this process remembers up to 4096 places that events of workers come from, for as long as it runs. Beyond that,
    ///   events have the target `procession::elsewhere`, and their place in fields (`record.target` and others).
    /// * A process that a worker forks off (without exec) sends nothing.
    #[cfg(any(feature = "log", feature = "tracing"))]
    pub fn forward_records(mut self, forward: bool) -> Self {
        self.forwards = forward;
        self
    }
}

/// The same, as the worker's start has it.
pub(super) fn destination(stdio: Stdio) -> Destination {
    match stdio {
        Stdio::Inherit => Destination::Inherited,
        Stdio::Null => Destination::Nowhere,
        Stdio::Tee | Stdio::Capture => Destination::Pipe,
    }
}
