//! What can be chosen about a process pool.

mod checks;
mod environment;
mod output;
mod time;
mod workers;

pub(super) use self::checks::check_workers;

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::handle::ProcessPoolExecutor;
use super::link::Payload;
use super::output::{Handler, Stdio};
use super::pool::{Pool, Settings};
use super::reactor;
use crate::error::BuildError;
use crate::executor::core::{Core, Shutdown};
use crate::executor::defaults::{DEFAULT_MAX_FRAME, DEFAULT_MAX_PENDING};
use crate::executor::initializer::{Initializer, InitializerOutput};
use crate::registry::{TaskFunction, registry};
use crate::sys::Environment;
use crate::wire::{PROTOCOL, Setup, Wanted};
use crate::worker::{self, Allowance, KeptFds, Launch};

/// How long a worker may take from its start to its hello.
const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a worker may take to end when it is to: for handlers that run at exit.
const DEFAULT_EXIT_GRACE: Duration = Duration::from_secs(10);

/// How many workers in a row may be replaced before any of them has achieved anything.
const DEFAULT_MAX_RESTARTS: u32 = 4;

/// SIGTERM.
const DEFAULT_TERMINATE_SIGNAL: i32 = 15;

/// Chooses how a [`ProcessPoolExecutor`] works. Made by [`ProcessPoolExecutor::builder`].
///
/// | of | methods |
/// |--|--|
/// | workers | [`max_workers`](Self::max_workers), [`min_workers`](Self::min_workers), [`idle_timeout`](Self::idle_timeout), [`max_restarts`](Self::max_restarts) |
/// | their replacement | [`max_tasks_per_child`](Self::max_tasks_per_child), [`max_memory_per_child`](Self::max_memory_per_child), [`max_growth_per_child`](Self::max_growth_per_child), [`max_age_per_child`](Self::max_age_per_child) |
/// | tasks | [`max_pending`](Self::max_pending), [`max_frame`](Self::max_frame), [`timeout`](Self::timeout), [`deadline`](Self::deadline) |
/// | patience | [`start_timeout`](Self::start_timeout), [`initializer_timeout`](Self::initializer_timeout), [`cancel_grace`](Self::cancel_grace), [`terminate_grace`](Self::terminate_grace), [`terminate_signal`](Self::terminate_signal), [`exit_grace`](Self::exit_grace) |
/// | what a worker is | [`program`](Self::program), [`keep_fd`](Self::keep_fd), [`initializer`](Self::initializer), [`env`](Self::env), [`env_remove`](Self::env_remove), [`env_clear`](Self::env_clear), [`current_dir`](Self::current_dir) |
/// | what it may | [`address_space`](Self::address_space), [`cpu_time`](Self::cpu_time), [`open_files`](Self::open_files), [`core_size`](Self::core_size), [`nice`](Self::nice), [`cpu_affinity`](Self::cpu_affinity) |
/// | what it prints and says | [`stdout`](Self::stdout), [`stderr`](Self::stderr), [`on_output`](Self::on_output), `forward_records` |
///
/// ```standalone_crate
/// use procession::ProcessPoolExecutor;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let pool = ProcessPoolExecutor::builder().max_workers(2).max_pending(1000).build()?;
///     assert_eq!(pool.max_workers(), 2);
///     Ok(())
/// }
/// ```
#[must_use = "`build` starts the pool"]
pub struct ProcessPoolExecutorBuilder {
    max_workers: Option<usize>,
    min_workers: Option<usize>,
    idle_timeout: Option<Duration>,
    max_restarts: u32,
    max_tasks_per_child: Option<u32>,
    max_memory_per_child: Option<u64>,
    max_growth_per_child: Option<u64>,
    max_age_per_child: Option<Duration>,
    max_pending: usize,
    max_frame: u64,
    timeout: Option<Duration>,
    deadline: Option<Duration>,
    start_timeout: Duration,
    initializer_timeout: Option<Duration>,
    cancel_grace: Duration,
    terminate_grace: Duration,
    terminate_signal: i32,
    exit_grace: Duration,
    program: Option<PathBuf>,
    kept: KeptFds,
    initializer: Option<Result<Initializer<Payload>, BuildError>>,
    environment: Environment,
    allowance: Allowance,
    stdout: Stdio,
    stderr: Stdio,
    on_output: Option<Handler>,
    forwards: bool,
}

impl std::fmt::Debug for ProcessPoolExecutorBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessPoolExecutorBuilder")
            .field("min_workers", &self.min_workers)
            .field("max_workers", &self.max_workers)
            .finish_non_exhaustive()
    }
}

impl ProcessPoolExecutorBuilder {
    pub(super) fn new() -> Self {
        Self {
            max_workers: None,
            min_workers: None,
            idle_timeout: None,
            max_restarts: DEFAULT_MAX_RESTARTS,
            max_tasks_per_child: None,
            max_memory_per_child: None,
            max_growth_per_child: None,
            max_age_per_child: None,
            max_pending: DEFAULT_MAX_PENDING,
            max_frame: DEFAULT_MAX_FRAME,
            timeout: None,
            deadline: None,
            start_timeout: DEFAULT_START_TIMEOUT,
            initializer_timeout: None,
            cancel_grace: Duration::ZERO,
            terminate_grace: Duration::ZERO,
            terminate_signal: DEFAULT_TERMINATE_SIGNAL,
            exit_grace: DEFAULT_EXIT_GRACE,
            program: None,
            kept: KeptFds::default(),
            initializer: None,
            environment: Environment::default(),
            allowance: Allowance::default(),
            stdout: Stdio::Inherit,
            stderr: Stdio::Inherit,
            on_output: None,
            forwards: false,
        }
    }

    /// How many tasks may be pending, queued and running together; `submit` waits for room, and
    /// `try_submit` gives its arguments back. Default: 65 536; 0 is refused by [`build`](Self::build).
    /// A chunk of `map` counts as one.
    ///
    /// ```
    /// let builder = procession::ProcessPoolExecutor::builder().max_pending(100);
    /// # drop(builder);
    /// ```
    pub fn max_pending(mut self, max_pending: usize) -> Self {
        self.max_pending = max_pending;
        self
    }

    /// The longest that the encoded arguments of a task, or its encoded result, may be, in bytes.
    /// Default: 4 GiB. Memory is only taken for bytes that have come, whatever length was claimed.
    ///
    /// Past it, arguments are [`SubmitError::TooLarge`](crate::SubmitError::TooLarge), and a result is
    /// [`TaskError::ResultTooLarge`](crate::TaskError::ResultTooLarge). Less than 4096 is refused by
    /// [`build`](Self::build).
    ///
    /// ```standalone_crate
    /// use procession::{ProcessPoolExecutor, SubmitError};
    ///
    /// #[procession::task]
    /// fn length(bytes: Vec<u8>) -> usize {
    ///     bytes.len()
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder().max_workers(1).max_frame(64 * 1024).build()?;
    ///     let refused = pool.submit(length, vec![0; 100_000]);
    ///     assert!(matches!(refused, Err(SubmitError::TooLarge { max_frame: 65_536, .. })));
    ///     Ok(())
    /// }
    /// ```
    pub fn max_frame(mut self, bytes: u64) -> Self {
        self.max_frame = bytes;
        self
    }

    /// What to run as worker, instead of this program: for hosts that are not the program to run,
    /// such as an extension module in an interpreter, or where there is no `/proc`. A relative path
    /// is relative to the directory that this process is in when it builds the pool.
    ///
    /// It must call [`init`](crate::init) first, and register the same functions: put them into a
    /// library that both link. Another set of functions is refused with [`BuildError::OtherBuild`].
    ///
    /// ```
    /// use procession::{BuildError, ProcessPoolExecutor};
    ///
    /// let built = ProcessPoolExecutor::builder().program("/no/such/program").build();
    /// assert!(matches!(built, Err(BuildError::Spawn { .. })));
    /// ```
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Lets workers have this descriptor, under the same number, open across exec.
    ///
    /// Every other descriptor above 2 that would come across exec is closed in the worker. The pool
    /// keeps a duplicate of its own, so that workers that are started later get it too. At most 200
    /// can be kept; more are refused by [`build`](Self::build).
    ///
    /// ```standalone_crate
    /// use std::fs::File;
    /// use std::os::fd::AsRawFd;
    ///
    /// use procession::ProcessPoolExecutor;
    ///
    /// #[procession::task]
    /// fn is_open(number: i32) -> bool {
    ///     std::path::Path::new(&format!("/proc/self/fd/{number}")).exists()
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let file = File::open("/dev/zero")?;
    ///     let pool = ProcessPoolExecutor::builder().max_workers(1).keep_fd(&file).build()?;
    ///     assert!(pool.submit(is_open, file.as_raw_fd())?.wait()?);
    ///     Ok(())
    /// }
    /// ```
    pub fn keep_fd(mut self, fd: impl AsFd) -> Self {
        self.kept.keep(fd);
        self
    }

    /// Runs `function` once in every worker, before its first task.
    ///
    /// It is a registered function that returns `()` or `Result<(), E>` where `E: Display`. When it
    /// fails, [`build`](Self::build) returns [`BuildError::Initializer`] with its message; when it
    /// fails later, in the replacement of a worker that died, the pool breaks with the same error
    /// after a few attempts.
    ///
    /// ```standalone_crate
    /// use std::sync::OnceLock;
    ///
    /// use procession::ProcessPoolExecutor;
    ///
    /// static GREETING: OnceLock<String> = OnceLock::new();
    ///
    /// #[procession::task]
    /// fn load(greeting: String) -> Result<(), String> {
    ///     GREETING.set(greeting)
    /// }
    ///
    /// #[procession::task]
    /// fn greet(name: String) -> String {
    ///     format!("{}, {name}", GREETING.get().map_or("", |greeting| greeting))
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder()
    ///         .max_workers(1)
    ///         .initializer(load, "Hello".to_owned())
    ///         .build()?;
    ///     assert_eq!(pool.submit(greet, "world".to_owned())?.wait()?, "Hello, world");
    ///     Ok(())
    /// }
    /// ```
    pub fn initializer<F, A, K>(mut self, function: F, args: A) -> Self
    where
        F: TaskFunction<A, K>,
        F::Output: InitializerOutput,
    {
        let initializer = Initializer::new(function, args)
            .map(|initializer| initializer.keeping(|of| Payload::new(of.bytes, of.handles)));
        self.initializer = Some(initializer.map_err(BuildError::InitializerRefused));
        self
    }

    /// Starts [`min_workers`](Self::min_workers) workers, and waits until every one of them is ready: has said hello and
    /// run the initializer.
    ///
    /// Starts one thread, the reactor; and the one for output, where that is captured or records are forwarded.
    ///
    /// # Errors
    ///
    /// What is wrong with a parameter; that [`init`](crate::init) was not called; that a worker could
    /// not be started, or ended, or whose initializer failed: then those already started are killed.
    ///
    /// ```standalone_crate
    /// use procession::{BuildError, ProcessPoolExecutor};
    ///
    /// #[procession::task]
    /// fn connect(address: String) -> Result<(), String> {
    ///     Err(format!("nobody answers at {address}"))
    /// }
    ///
    /// fn main() {
    ///     procession::init();
    ///     let built = ProcessPoolExecutor::builder().initializer(connect, "here".to_owned()).build();
    ///     match built {
    ///         Err(BuildError::Initializer { message, .. }) => assert_eq!(message, "nobody answers at here"),
    ///         other => panic!("{other:?}"),
    ///     }
    /// }
    /// ```
    pub fn build(self) -> Result<ProcessPoolExecutor, BuildError> {
        let policy = self.policy()?;
        let limits = self.allowance.limits()?;
        let is_captured = self.is_captured();
        self.check()?;
        let initialised = worker::check_this_process(self.program.is_none())?;
        let initializer = self.initializer.transpose()?;
        let own_binary = self.program.is_none();
        let program = worker::program_at(self.program)?;
        let system = |what| {
            move |source| BuildError::System {
                what,
                source: Arc::new(source),
            }
        };
        let kept = self.kept.take()?;
        let setup = Setup {
            protocol: PROTOCOL,
            registry: registry()
                .map_err(|error| BuildError::Registry(error.to_string()))?
                .fingerprint(),
            worker: 0,
            depth: initialised.depth,
            max_frame: self.max_frame,
            initializer: initializer.is_some(),
            own_binary,
            kept: Vec::new(),
            stdout: false,
            tells_memory: self.max_memory_per_child.is_some()
                || self.max_growth_per_child.is_some(),
            is_captured,
            records: Wanted::default(),
            limits,
            process: None,
        };
        let launch = Launch {
            program,
            test_binary: initialised.test_arguments.is_some(),
            arguments: initialised.test_arguments.unwrap_or_default(),
            depth: initialised.depth,
            kept,
            environment: self.environment,
            stdout: output::destination(self.stdout),
            stderr: output::destination(self.stderr),
        };
        let settings = Settings {
            policy,
            launch,
            setup,
            start_timeout: self.start_timeout,
            initializer,
            initializer_timeout: self.initializer_timeout,
            timeout: self.timeout,
            deadline: self.deadline,
            exit_grace: self.exit_grace,
            terminate_signal: self.terminate_signal,
            captured: [self.stdout, self.stderr].map(|stdio| stdio == Stdio::Capture),
            forwards: self.forwards,
        };
        let pool = Pool::new(settings, self.max_pending, self.on_output)
            .map_err(system("the reactor's descriptors"))?;
        pool.output
            .start()
            .map_err(system("the thread for output"))?;
        start(&pool)?;
        Ok(ProcessPoolExecutor::from_pool(pool))
    }
}

fn start(pool: &Arc<Pool>) -> Result<(), BuildError> {
    let thread = {
        let pool = pool.clone();
        std::thread::Builder::new()
            .name("procession-reactor".into())
            .spawn(move || reactor::run(&pool))
    };
    let thread = thread.map_err(|source| BuildError::System {
        what: "the reactor's thread",
        source: Arc::new(source),
    })?;
    pool.set_reactor(thread);
    pool.start();
    pool.poller.notify();
    pool.ready.wait(None);
    let reason = match pool.broken() {
        Some(reason) => reason,
        None if pool.ended().is_done() => Arc::new(BuildError::System {
            what: "the reactor's thread",
            source: Arc::new(io::Error::other("it has ended")),
        }),
        None => return Ok(()),
    };
    pool.begin_shutdown(Shutdown::Kill);
    pool.ended().wait(None);
    pool.join();
    pool.join_callbacks();
    Err(BuildError::clone(&reason))
}
