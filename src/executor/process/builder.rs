//! What can be chosen about a process pool.

use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::handle::ProcessPoolExecutor;
use super::link::Payload;
use super::pool::{Initializer, Pool, Settings};
use super::reactor;
use crate::error::BuildError;
use crate::executor::core::{Call, Core, Shutdown};
use crate::executor::defaults::{DEFAULT_MAX_FRAME, DEFAULT_MAX_PENDING, default_workers};
use crate::registry::{TaskFunction, find, registry};
use crate::sys::{self, Program};
use crate::wire::{self, PROTOCOL, Setup};
use crate::worker::{self, Launch};

/// How long a worker may take from its start to its hello.
const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(10);

/// The most workers that one pool may have.
const MAX_WORKERS: usize = 4096;

/// Chooses how a [`ProcessPoolExecutor`] works. Made by [`ProcessPoolExecutor::builder`].
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
#[derive(Debug)]
#[must_use = "`build` starts the pool"]
pub struct ProcessPoolExecutorBuilder {
    max_workers: Option<usize>,
    max_pending: usize,
    max_frame: u64,
    start_timeout: Duration,
    program: Option<PathBuf>,
    kept: Vec<(RawFd, std::io::Result<OwnedFd>)>,
    initializer: Option<Result<Initializer, BuildError>>,
}

impl ProcessPoolExecutorBuilder {
    pub(super) fn new() -> Self {
        Self {
            max_workers: None,
            max_pending: DEFAULT_MAX_PENDING,
            max_frame: DEFAULT_MAX_FRAME,
            start_timeout: DEFAULT_START_TIMEOUT,
            program: None,
            kept: Vec::new(),
            initializer: None,
        }
    }

    /// How many worker processes there are: 1 to 4096. Default: [`default_workers`].
    ///
    /// Anything else is refused by [`build`](Self::build).
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

    /// How long a worker may take from its start until it has reached [`init`](crate::init). An
    /// initializer may take as long as it needs. Default: 10 s; zero is refused.
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
        self.kept.push((worker::number(&fd), sys::fork_of(fd)));
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
        let _ = function;
        let initializer = find::<F, A, K>().and_then(|function| {
            let call = Call::task(function, |out| F::encode_args(&args, out))?;
            Ok(Initializer {
                function: function.name,
                payload: Payload::new(call.payload),
                check: |bytes| match wire::decode::<F::Output>(bytes) {
                    Ok(output) => output.into_result(),
                    Err(error) => Err(error.to_string()),
                },
            })
        });
        self.initializer = Some(initializer.map_err(BuildError::InitializerRefused));
        self
    }

    /// Starts the workers, and waits until every one of them is ready: has said hello and run the
    /// initializer.
    ///
    /// Starts one thread, the reactor.
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
        let workers = self.max_workers.unwrap_or_else(default_workers);
        let parameter = |parameter, must_be, value: &dyn ToString| {
            Err(BuildError::Parameter {
                parameter,
                must_be,
                value: value.to_string(),
            })
        };
        if workers == 0 || workers > MAX_WORKERS {
            return parameter("max_workers", "from 1 to 4096", &workers);
        }
        if self.max_pending == 0 {
            return parameter("max_pending", "at least 1", &0);
        }
        if self.max_frame < MIN_FRAME || self.max_frame > isize::MAX as u64 {
            return parameter("max_frame", "from 4096 to isize::MAX", &self.max_frame);
        }
        if self.start_timeout.is_zero() {
            return parameter("start_timeout", "longer than zero", &"0 s");
        }
        if self.kept.len() > MAX_KEPT {
            return parameter("keep_fd", "at most 200 descriptors", &self.kept.len());
        }
        let initialised = worker::check_this_process(self.program.is_none())?;
        let initializer = self.initializer.transpose()?;
        let own_binary = self.program.is_none();
        // Workers that are started later are started from where this process then is.
        let program = self
            .program
            .map(|path| std::path::absolute(&path).unwrap_or(path));
        let program = program.map_or(Program::ThisProgram, Program::At);
        program.check().map_err(|source| match &program {
            Program::ThisProgram => BuildError::NoProgram(Arc::new(source)),
            Program::At(path) => BuildError::Spawn {
                program: path.clone(),
                source: Arc::new(source),
            },
        })?;
        let system = |what| {
            move |source| BuildError::System {
                what,
                source: Arc::new(source),
            }
        };
        let mut kept = Vec::new();
        for (number, fd) in self.kept {
            kept.push((
                number,
                Arc::new(fd.map_err(system("a duplicate of a kept descriptor"))?),
            ));
        }
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
        };
        let launch = Launch {
            program,
            test_binary: initialised.test_arguments.is_some(),
            arguments: initialised.test_arguments.unwrap_or_default(),
            depth: initialised.depth,
            kept,
        };
        let settings = Settings {
            workers,
            launch,
            setup,
            start_timeout: self.start_timeout,
            initializer,
        };
        let pool =
            Pool::new(settings, self.max_pending).map_err(system("the reactor's descriptors"))?;
        start(&pool)?;
        Ok(ProcessPoolExecutor::from_pool(pool))
    }
}

/// `max_frame` may not be so small that an error message does not fit.
const MIN_FRAME: u64 = 4096;

/// How many descriptors can be kept: one message carries 253, some of which are ours.
const MAX_KEPT: usize = 200;

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
    let Some(reason) = pool.broken() else {
        return Ok(());
    };
    pool.begin_shutdown(Shutdown::Kill);
    pool.ended().wait(None);
    pool.join();
    Err(BuildError::clone(&reason))
}

/// What an initializer may return: `()`, or `Result<(), E>` with `E: Display`.
///
/// It is sealed. See [`ProcessPoolExecutorBuilder::initializer`].
pub trait InitializerOutput: sealed::Sealed {
    /// The failure as text.
    #[doc(hidden)]
    fn into_result(self) -> Result<(), String>;
}

impl InitializerOutput for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: std::fmt::Display> InitializerOutput for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| format!("{error:#}"))
    }
}

/// Sealed, so that more can be allowed later.
mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<E> Sealed for Result<(), E> {}
}
