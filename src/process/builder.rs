//! How a process is to be started.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::current::current_process;
use super::shared::Shared;
use super::{Process, children};
use crate::error::{BuildError, SpawnError, SubmitError};
use crate::registry::{TaskFunction, find, registry};
use crate::sys::{self, Environment, Streams};
use crate::wire::{self, PROTOCOL, ProcessSetup, Setup, Wanted, handles};
use crate::worker::{self, Allowance, Destination, KeptFds, Launch, MAX_DIRECTORY};

/// How many processes have been started here.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// The longest that encoded arguments, or an encoded result, may be unless something else is asked for, in bytes.
const DEFAULT_MAX_FRAME: u64 = 4 << 30;

/// How long a name may be, in bytes: all of a process's setup is one message.
const MAX_NAME: usize = 255;

/// A failure has to fit, with enough of its text.
const LEAST_MAX_FRAME: u64 = 4096;

/// What is to be different about a [`Process`]. Made by [`Process::builder`].
///
/// ```standalone_crate
/// use procession::Process;
///
/// #[procession::task]
/// fn greet(name: String) -> String {
///     format!("{}, {name}", std::env::var("GREETING").unwrap_or_default())
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let process = Process::builder()
///         .name("greeter")
///         .daemon(true)
///         .env("GREETING", "Hello")
///         .spawn(greet, "world".to_owned())?;
///     assert_eq!(process.name(), "greeter");
///     assert_eq!(process.join()?, "Hello, world");
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "`spawn` starts a process"]
pub struct ProcessBuilder {
    name: Option<String>,
    is_daemon: Option<bool>,
    stdout: ProcessOutput,
    stderr: ProcessOutput,
    environment: Environment,
    allowance: Allowance,
    kept: KeptFds,
    program: Option<PathBuf>,
    max_frame: Option<u64>,
}

/// Where an output stream of a [`Process`] goes: where that of this process goes, nowhere, or to a file or pipe.
///
/// ```standalone_crate
/// use std::io::Read;
///
/// use procession::{Process, ProcessOutput};
///
/// #[procession::task]
/// fn speak() {
///     println!("hello");
///     eprintln!("nobody hears this");
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let (mut reader, writer) = std::io::pipe()?;
///     let process = Process::builder()
///         .stdout(ProcessOutput::to(writer))
///         .stderr(ProcessOutput::null())
///         .spawn(speak, ())?;
///     let mut said = String::new();
///     reader.read_to_string(&mut said)?;
///     assert_eq!(said, "hello\n");
///     Ok(process.join()?)
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProcessOutput(Where);

#[derive(Clone, Debug, Default)]
enum Where {
    #[default]
    Inherited,
    Nowhere,
    File(Arc<OwnedFd>),
}

impl ProcessOutput {
    /// Where that of this process goes; the default.
    pub fn inherit() -> Self {
        Self(Where::Inherited)
    }

    /// Nowhere.
    pub fn null() -> Self {
        Self(Where::Nowhere)
    }

    /// To this file, socket, or end of a pipe; it is closed here with the builder.
    pub fn to(file: impl Into<OwnedFd>) -> Self {
        Self(Where::File(Arc::new(file.into())))
    }

    fn open(&self) -> std::io::Result<Option<OwnedFd>> {
        Ok(match &self.0 {
            Where::Inherited => None,
            Where::Nowhere => Some(sys::null()?),
            Where::File(file) => Some(sys::fork_of(file)?),
        })
    }
}

impl ProcessBuilder {
    /// What the process is called, in messages and for [`current_process`]: at most 255 bytes. Default: `Process-1`, `Process-2`, …,
    /// and for those that `Process-1` starts itself, `Process-1:1`, ….
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether it is a daemon. Default: whether this process is one.
    ///
    /// When this process exits in good order, daemons are killed; the others are waited for. However else it ends, all of
    /// them end within a moment, with what they have started. (A worker of a pool that has processes of its own is waited for, at
    /// its end, no longer than [`exit_grace`](crate::ProcessPoolExecutorBuilder::exit_grace).)
    pub fn daemon(mut self, is_daemon: bool) -> Self {
        self.is_daemon = Some(is_daemon);
        self
    }

    /// Where its standard output goes. Default: where that of this process goes.
    pub fn stdout(mut self, stdout: ProcessOutput) -> Self {
        self.stdout = stdout;
        self
    }

    /// Where its standard error goes. Default: where that of this process goes.
    pub fn stderr(mut self, stderr: ProcessOutput) -> Self {
        self.stderr = stderr;
        self
    }

    /// Sets a variable of its environment, which otherwise is that of this process.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let value = Some(value.as_ref().to_owned());
        let changes = &mut self.environment.changes;
        changes.push((name.as_ref().to_owned(), value));
        self
    }

    /// Removes a variable from its environment.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment
            .changes
            .push((name.as_ref().to_owned(), None));
        self
    }

    /// The directory in which it works. Default: that of this process.
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.allowance.directory = Some(directory.into().into_os_string());
        self
    }

    /// Lets it have this descriptor, under the same number, open across exec; the builder keeps a duplicate until then. Every other one above
    /// 2 is closed in it. At most 200 can be kept. (A descriptor that is an argument, a [`Descriptor`](crate::Descriptor), needs no such thing.)
    ///
    /// ```standalone_crate
    /// use std::os::fd::AsRawFd;
    ///
    /// use procession::Process;
    ///
    /// #[procession::task]
    /// fn is_open(number: i32) -> bool {
    ///     std::path::Path::new(&format!("/proc/self/fd/{number}")).exists()
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let file = std::fs::File::open("/dev/zero")?;
    ///     let process = Process::builder().keep_fd(&file).spawn(is_open, file.as_raw_fd())?;
    ///     assert!(process.join()?);
    ///     Ok(())
    /// }
    /// ```
    pub fn keep_fd(mut self, fd: impl AsFd) -> Self {
        self.kept.keep(fd);
        self
    }

    /// How much address space it may have, in bytes (`RLIMIT_AS`). Default: what it inherits. As for
    /// [a pool](crate::ProcessPoolExecutorBuilder::address_space), which says more: an allocation that fails and is not looked at ends it with
    /// [`EndOfWorker::MemoryLimit`](crate::EndOfWorker::MemoryLimit).
    ///
    /// ```
    /// let builder = procession::Process::builder().address_space(1 << 30);
    /// # drop(builder);
    /// ```
    pub fn address_space(mut self, bytes: u64) -> Self {
        self.allowance.address_space = Some(bytes);
        self
    }

    /// How much CPU time its function may use, of all its threads together (`RLIMIT_CPU`); rounded up to whole seconds, and up to one more. Default:
    /// unlimited. Zero is refused.
    ///
    /// Past it the process is ended by SIGXCPU: [`EndOfWorker::CpuLimit`](crate::EndOfWorker::CpuLimit).
    ///
    /// ```
    /// let minute = std::time::Duration::from_secs(60);
    /// let builder = procession::Process::builder().cpu_time(minute);
    /// # drop(builder);
    /// ```
    pub fn cpu_time(mut self, time: Duration) -> Self {
        self.allowance.cpu_time = Some(time);
        self
    }

    /// How many descriptors it may have open (`RLIMIT_NOFILE`). Default: what it inherits. Zero is refused.
    ///
    /// ```
    /// let builder = procession::Process::builder().open_files(256);
    /// # drop(builder);
    /// ```
    pub fn open_files(mut self, count: u64) -> Self {
        self.allowance.open_files = Some(count);
        self
    }

    /// How large a core dump of it may be, in bytes (`RLIMIT_CORE`). Default: what it inherits. Zero is none.
    ///
    /// ```
    /// let builder = procession::Process::builder().core_size(0);
    /// # drop(builder);
    /// ```
    pub fn core_size(mut self, bytes: u64) -> Self {
        self.allowance.core_size = Some(bytes);
        self
    }

    /// Its niceness, from -20 to 19: one of a higher one leaves the CPU to others. Default: what it inherits. A lower one than this process
    /// has needs a privilege.
    ///
    /// ```
    /// let builder = procession::Process::builder().nice(10);
    /// # drop(builder);
    /// ```
    pub fn nice(mut self, niceness: i32) -> Self {
        self.allowance.niceness = Some(niceness);
        self
    }

    /// The CPUs that it may run on, by number. Default: those that it inherits.
    ///
    /// ```
    /// let builder = procession::Process::builder().cpu_affinity([0]);
    /// # drop(builder);
    /// ```
    pub fn cpu_affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.allowance.cpus = Some(cpus.into_iter().collect());
        self
    }

    /// The program to start, which must have the same functions registered. Default: this program, as it was when it was started.
    ///
    /// It is for hosts that are not the program to run: a library in an interpreter, for one.
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// The longest that the encoded arguments, or the encoded result, may be, in bytes: at least 4096. Default: 4 GiB.
    pub fn max_frame(mut self, bytes: u64) -> Self {
        self.max_frame = Some(bytes);
        self
    }

    /// Starts the process, and does not wait for it to come to the function.
    ///
    /// # Errors
    ///
    /// The function is not registered; its arguments do not encode or are too large; what was chosen cannot be; [`init`](crate::init) has not been called; processes are nested more
    /// than ten deep; or the system refuses a process, memory or descriptors.
    pub fn spawn<F, A, K>(self, function: F, args: A) -> Result<Process<F::Output>, SpawnError>
    where
        F: TaskFunction<A, K>,
    {
        let _ = function;
        let function = find::<F, A, K>().map_err(SpawnError::Function)?;
        let mut call = Vec::new();
        let (encoded, handles) = handles::collect(|| F::encode_owned_args(args, &mut call));
        call.extend(wire::encode_function(function.index));
        encoded.map_err(|message| {
            let function = function.name;
            SpawnError::Function(SubmitError::NotEncoded { function, message })
        })?;
        let max_frame = self.max_frame.unwrap_or(DEFAULT_MAX_FRAME);
        if call.len() as u64 > max_frame {
            return Err(SpawnError::Function(SubmitError::TooLarge {
                function: function.name,
                size: call.len() as u64,
                max_frame,
            }));
        }

        let number = STARTED.fetch_add(1, Ordering::Relaxed) + 1;
        let name = self.name.clone().unwrap_or_else(|| default_name(number));
        let is_daemon = self
            .is_daemon
            .unwrap_or_else(|| current_process().is_daemon);
        let process = ProcessSetup {
            name: name.clone(),
            is_daemon,
            len: call.len() as u64,
            handles: handles.len(),
        };
        let (launch, setup, streams) = self.plan(process, max_frame).map_err(SpawnError::Start)?;
        let started = worker::start_process(&launch, &setup, &call, &handles, streams)
            .map_err(|error| SpawnError::Start(error.into_build_error(&launch)))?;
        let limits = setup.limits;
        let shared = Shared::new(
            number,
            name.into(),
            is_daemon,
            function,
            max_frame,
            limits,
            started,
        );
        children::add(shared.clone());
        Ok(Process::new(shared))
    }

    /// How it is started, as workers are.
    fn plan(
        self,
        process: ProcessSetup,
        max_frame: u64,
    ) -> Result<(Launch, Setup, Streams), BuildError> {
        self.check(max_frame)?;
        let limits = self.allowance.limits()?;
        let kept = self.kept.take()?;
        let is_own_program = self.program.is_none();
        let initialised = worker::check_this_process(is_own_program)?;
        let program = worker::program_at(self.program)?;
        let system = |what| {
            move |source| BuildError::System {
                what,
                source: Arc::new(source),
            }
        };
        let streams = Streams {
            stdout: self.stdout.open().map_err(system("a process's stdout"))?,
            stderr: self.stderr.open().map_err(system("a process's stderr"))?,
        };
        let registry = registry().map_err(|error| BuildError::Registry(error.to_string()))?;
        let setup = Setup {
            protocol: PROTOCOL,
            registry: registry.fingerprint(),
            worker: 0,
            depth: initialised.depth,
            max_frame,
            initializer: false,
            own_binary: is_own_program,
            kept: Vec::new(),
            stdout: false,
            tells_memory: false,
            is_captured: false,
            records: Wanted::default(),
            limits,
            process: Some(process),
        };
        let launch = Launch {
            program,
            test_binary: initialised.test_arguments.is_some(),
            arguments: initialised.test_arguments.unwrap_or_default(),
            depth: initialised.depth,
            kept,
            environment: self.environment,
            stdout: Destination::Inherited,
            stderr: Destination::Inherited,
        };
        Ok((launch, setup, streams))
    }

    /// Refuses what no process can be given.
    fn check(&self, max_frame: u64) -> Result<(), BuildError> {
        if max_frame < LEAST_MAX_FRAME {
            return BuildError::refuse("max_frame", "at least 4096 bytes", max_frame);
        }
        let name = self.name.as_ref().map_or(0, String::len);
        if name > MAX_NAME {
            return BuildError::refuse("name", "at most 255 bytes long", format!("{name} bytes"));
        }
        let directory = self.allowance.directory.as_ref();
        let directory = directory.map_or(&[][..], |path| path.as_bytes());
        if directory.len() > MAX_DIRECTORY || directory.contains(&0) {
            let must_be = "a path of at most 4096 bytes without a zero byte";
            let value = format!("{} bytes", directory.len());
            return BuildError::refuse("current_dir", must_be, value);
        }
        worker::check_environment(&self.environment)
    }
}

/// As Python calls them.
fn default_name(number: u64) -> String {
    match worker::identity() {
        Some(identity) => format!("{}:{number}", identity.name),
        None => format!("Process-{number}"),
    }
}
