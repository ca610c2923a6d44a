//! A function in a process of its own: `multiprocessing.Process`.
//!
//! It is started as workers are, by the same first steps, and then runs one call (`worker/process.rs`). Call and result
//! travel in memory that both processes have, not through pipes: nobody has to read for the other one to go on, and a
//! process that has returned is gone, whether or not anybody asks for its result.
//!
//! | file | one line |
//! |--|--|
//! | `builder` | how it is started |
//! | `shared` | one process, until it has been reaped and its result read |
//! | `children` | all of them, and what becomes of them at the end of this one |
//! | `waiters` | tasks that await the end |
//! | `watch` | a thread that waits for those who cannot |
//! | `joining` | awaiting the end |
//! | `current` | who this process is |

mod builder;
mod children;
mod current;
mod joining;
mod shared;
mod waiters;
mod watch;

use std::fmt;
use std::future::IntoFuture;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use self::shared::{Ended, Shared};
use crate::error::{ProcessError, SpawnError, TaskError};
use crate::registry::TaskFunction;
use crate::sys::{End, Signal};

pub use self::builder::{ProcessBuilder, ProcessOutput};
pub use self::current::{CurrentProcess, current_process};
pub use self::joining::Joining;

/// A registered function that runs in a process of its own, and in the end its result.
///
/// The process is this same program, started anew, which parts from it in [`init`](crate::init()): it shares no memory with this one. Descriptors
/// travel in its arguments and its result. Its standard input is `/dev/null`. When the function returns, the process
/// exits, whatever other threads it has: join those first.
///
/// | it | exit code | [`join`](Self::join) |
/// |--|--|--|
/// | returns (also an `Err`) | 0 | the value |
/// | panics; the message is on its standard error | 101 | [`ProcessError::Panicked`] |
/// | calls `exit(n)` | n | [`ProcessError::Ended`], with the code |
/// | is ended by a signal | | [`ProcessError::Ended`], with the signal |
///
/// # Caveats
///
/// Dropping the handle detaches the process, which goes on; its result is lost. When this process exits in good order
/// (`main` returns, or `exit` is called), it waits for its processes, but for [daemons](ProcessBuilder::daemon), which it kills: as in
/// Python. However else it ends, `kill -9` included, all of them end within a moment, and their process groups with them. What a process
/// has started and left running ends with it.
///
/// The process has a process group of its own: Ctrl-C in a terminal reaches this process alone, with whose end it ends.
///
/// A handle that is dropped before the end, or awaited, starts a thread, `procession-children`, that waits for the end; it
/// is there while it has something to wait for.
///
/// # Examples
///
/// ```standalone_crate
/// use procession::{Process, ProcessError};
///
/// #[procession::task]
/// fn divide(a: u64, b: u64) -> u64 {
///     a / b
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let (fine, ill) = (Process::spawn(divide, (84, 2))?, Process::spawn(divide, (1, 0))?);
///     assert_eq!(fine.join()?, 42);
///     match ill.join() {
///         Err(ProcessError::Panicked(panic)) => assert_eq!(&*panic.message, "attempt to divide by zero"),
///         other => panic!("{other:?}"),
///     }
///     assert_eq!((fine.exit_code(), ill.exit_code()), (Some(0), Some(101)));
///     Ok(())
/// }
/// ```
#[must_use = "dropping it detaches the process: `join` it, or `drop` it to say so"]
pub struct Process<R = Untyped> {
    shared: Arc<Shared>,
    /// Whether its drop detaches the process.
    is_owner: bool,
    // Makes values of `R`, holds none.
    result: PhantomData<fn() -> R>,
}

/// The result of a [`Process`] whose type is not known: one of [`active_children`].
#[derive(Debug)]
pub enum Untyped {}

impl Process {
    /// Says more about a process than its function, before it is started.
    ///
    /// ```
    /// let builder = procession::Process::builder().name("helper").daemon(true);
    /// # drop(builder);
    /// ```
    pub fn builder() -> ProcessBuilder {
        ProcessBuilder::default()
    }
}

impl<R> Process<R> {
    /// Starts a process that runs this function with these arguments, given as to
    /// [`submit`](crate::ExecutorExt::submit).
    ///
    /// # Errors
    ///
    /// Those of [`ProcessBuilder::spawn`].
    ///
    /// ```standalone_crate
    /// use procession::Process;
    ///
    /// #[procession::task]
    /// fn add(a: u64, b: u64) -> u64 {
    ///     a + b
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     assert_eq!(Process::spawn(add, (1, 2))?.join()?, 3);
    ///     Ok(())
    /// }
    /// ```
    pub fn spawn<F, A, K>(function: F, args: A) -> Result<Self, SpawnError>
    where
        F: TaskFunction<A, K, Output = R>,
    {
        Process::builder().spawn(function, args)
    }

    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            is_owner: true,
            result: PhantomData,
        }
    }

    /// Lets it go on when this process ends, however that is; it is not one of the [`active_children`] any more. Whenever it ends before this process does, it is reaped, by the
    /// thread that waits for those whose handles are dropped. It has to have begun with its function.
    ///
    /// An error says that it has ended.
    pub(crate) fn let_go(self) -> io::Result<()> {
        self.shared.let_go()
    }

    /// Has this done by whoever reaps it, if this process kills it: what it cannot do itself then. It must not block.
    pub(crate) fn after_kill(&self, run: impl FnOnce() + Send + 'static) {
        self.shared.after_kill(Box::new(run));
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.shared.pid
    }

    /// Whether it is a [daemon](ProcessBuilder::daemon).
    pub fn is_daemon(&self) -> bool {
        self.shared.is_daemon
    }

    /// Whether it has not ended. One that has is reaped by this.
    pub fn is_alive(&self) -> bool {
        !self.shared.is_elsewhere() && self.shared.try_end().is_none()
    }

    /// Asks the process to end, with SIGTERM, which it can handle or ignore. What it has started is not asked, but ends with it.
    ///
    /// A process that has ended is left alone; so is, here and below, one that is not a child of this process, but of one
    /// that it was forked off from.
    pub fn terminate(&self) {
        self.shared.signal(Signal::TERM);
    }

    /// Interrupts the process, with SIGINT, as Ctrl-C does in a terminal. (Those go to this process alone.) It can handle or ignore it, and does ignore it where this process has
    /// since it was started, as one that a shell has started in the background.
    pub fn interrupt(&self) {
        self.shared.signal(Signal::INT);
    }

    /// Ends the process, and its process group, with SIGKILL.
    pub fn kill(&self) {
        self.shared.kill();
    }

    /// How it ended; `None` while it lives, and where something else in this program has taken its exit status.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        let raw = match self.shared.try_end()?.end {
            End::Exited(code) => (code & 0xff) << 8,
            End::Signalled(signal) => signal & 0x7f,
            End::Unknown => return None,
        };
        Some(ExitStatus::from_raw(raw))
    }

    /// The same as one number, as Python has it: the exit code, or the number of the signal that ended it, negated.
    pub fn exit_code(&self) -> Option<i32> {
        match self.shared.try_end()?.end {
            End::Exited(code) => Some(code),
            End::Signalled(signal) => Some(-signal),
            End::Unknown => None,
        }
    }

    /// Blocks until it has ended, for at most `timeout`; says whether it has. `Duration::ZERO` only looks, `Duration::MAX` waits
    /// for ever.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.shared.wait(deadline_after(timeout)).is_some()
    }
}

impl<R: DeserializeOwned + 'static> Process<R> {
    /// Blocks until the process has ended, and gives the function's result. It can be asked for again.
    ///
    /// # Errors
    ///
    /// The function panicked; the process ended before it returned; or arguments or result did not arrive.
    pub fn join(&self) -> Result<R, ProcessError> {
        outcome(self.shared.wait(None))
    }

    /// The same, for at most `timeout`; `None` says that it goes on. `Duration::ZERO` only looks.
    ///
    /// ```standalone_crate
    /// use std::time::Duration;
    ///
    /// use procession::Process;
    ///
    /// #[procession::task]
    /// fn ponder() {
    ///     loop {
    ///         std::thread::park();
    ///     }
    /// }
    ///
    /// fn main() -> Result<(), procession::SpawnError> {
    ///     procession::init();
    ///     let process = Process::spawn(ponder, ())?;
    ///     assert!(process.join_timeout(Duration::from_millis(10)).is_none());
    ///     process.terminate();
    ///     assert!(process.join().is_err());
    ///     assert_eq!(process.exit_code(), Some(-15));
    ///     Ok(())
    /// }
    /// ```
    pub fn join_timeout(&self, timeout: Duration) -> Option<Result<R, ProcessError>> {
        match self.shared.wait(deadline_after(timeout)) {
            None if !self.shared.is_elsewhere() => None,
            ended => Some(outcome(ended)),
        }
    }

    /// Awaits its end, in any runtime; so does `(&process).await`.
    ///
    /// ```standalone_crate
    /// use procession::Process;
    ///
    /// #[procession::task]
    /// fn double(n: u64) -> u64 {
    ///     2 * n
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let (one, other) = (Process::spawn(double, 1)?, Process::spawn(double, 2)?);
    ///     let both = async { futures::join!(one.join_async(), other.join_async()) };
    ///     let (one, other) = futures::executor::block_on(both);
    ///     assert_eq!((one?, other?), (2, 4));
    ///     Ok(())
    /// }
    /// ```
    pub fn join_async(&self) -> Joining<'_, R> {
        Joining::borrow(self)
    }
}

impl<'a, R: DeserializeOwned + 'static> IntoFuture for &'a Process<R> {
    type Output = Result<R, ProcessError>;
    type IntoFuture = Joining<'a, R>;

    fn into_future(self) -> Joining<'a, R> {
        self.join_async()
    }
}

/// Dropping the future before the end detaches the process, as dropping the handle does.
impl<R: DeserializeOwned + 'static> IntoFuture for Process<R> {
    type Output = Result<R, ProcessError>;
    type IntoFuture = Joining<'static, R>;

    fn into_future(self) -> Joining<'static, R> {
        Joining::own(self)
    }
}

/// A descriptor that becomes readable when the process has ended, to be waited for together with others: a pidfd, where the
/// system has those (Linux 5.3). Python's `sentinel`.
impl<R> AsFd for Process<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.sentinel()
    }
}

impl<R> Drop for Process<R> {
    fn drop(&mut self) {
        if self.is_owner && !self.shared.is_elsewhere() && self.shared.try_end().is_none() {
            // If there is no thread for it, it is reaped when somebody asks for the living, or at the end of this process.
            let _ = watch::watch(&self.shared);
        }
    }
}

impl<R> fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Process");
        shown
            .field("name", &self.name())
            .field("pid", &self.pid())
            .field("is_daemon", &self.is_daemon())
            .field("exit_code", &self.exit_code());
        shown.finish_non_exhaustive()
    }
}

/// The processes that this one has started and that live, in the order of their starts, with those whose handles have been dropped.
/// Those that have ended are reaped by this.
///
/// ```standalone_crate
/// use procession::{Process, active_children};
///
/// #[procession::task]
/// fn ponder() {
///     loop {
///         std::thread::park();
///     }
/// }
///
/// fn main() -> Result<(), procession::SpawnError> {
///     procession::init();
///     drop(Process::builder().name("thinker").spawn(ponder, ())?);
///     for child in active_children() {
///         assert_eq!(child.name(), "thinker");
///         child.kill();
///         child.wait_timeout(std::time::Duration::MAX);
///     }
///     assert!(active_children().is_empty());
///     Ok(())
/// }
/// ```
pub fn active_children() -> Vec<Process> {
    let living = children::living().into_iter();
    let untyped = living.map(|shared| Process {
        shared,
        is_owner: false,
        result: PhantomData,
    });
    untyped.collect()
}

/// What `join` says of how it ended; `None` is said in a process that was forked off.
fn outcome<R: DeserializeOwned + 'static>(ended: Option<&Ended>) -> Result<R, ProcessError> {
    let Some(ended) = ended else {
        return Err(ProcessError::Forked);
    };
    let encoded = ended.outcome.as_ref().map_err(Clone::clone)?;
    encoded.decode().map_err(|error| {
        ProcessError::NotDelivered(TaskError::ResultNotDecoded {
            type_name: std::any::type_name::<R>(),
            message: error.to_string().into(),
        })
    })
}

/// `None` is never, also for what no clock can say.
fn deadline_after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}
