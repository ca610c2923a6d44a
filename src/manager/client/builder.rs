//! How a manager is started.

use std::sync::Arc;
use std::time::Duration;

use super::manager::Manager;
use super::owner::Owner;
use super::site::{Site, Way};
use crate::executor::InitializerOutput;
use crate::executor::initializer::Initializer;
use crate::manager::ManagerError;
use crate::manager::secure::{Address, CONNECT_TIME, Key, Pace, ServeError, at_once};
use crate::manager::server::{Plan, ServerBuilder, Started};
use crate::process::ProcessOutput;
use crate::registry::TaskFunction;

/// What is to be different about a manager. Made by [`Manager::builder`].
///
/// ```standalone_crate
/// use procession::manager::{Address, Manager};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # procession::init();
/// let address: Address = format!("unix:@shop-{}", std::process::id()).parse()?;
/// let manager = Manager::builder().address(&address).max_connections(100).start()?;
/// assert_eq!(manager.address(), &address);
/// let key = manager.key().to_hex(); // for other programs, which are told both
/// # assert_eq!(key.len(), 64);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "`start` starts the manager"]
pub struct ManagerBuilder(Plan);

impl ManagerBuilder {
    pub(super) fn new() -> Self {
        Self(Plan::default())
    }

    fn server(mut self, change: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        self.0.server = change(self.0.server);
        self
    }

    /// Where it listens. Default: at an abstract address that nobody can guess, and that is gone with it.
    ///
    /// At a path, the socket and a second file beside it, whose name ends in `.lock`, are removed when it ends, also with an owner that is killed. A server that is itself ended
    /// by a signal leaves them behind; the next one there takes them over.
    pub fn address(mut self, address: &Address) -> Self {
        self.0.address = Some(address.clone());
        self
    }

    /// The key that its clients need. Default: a new one, which [`Manager::key`] gives.
    ///
    /// ```standalone_crate
    /// use procession::manager::{Address, Key, Manager};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # procession::init();
    /// let key = Key::generate()?; // or from a file that only you can read
    /// let address: Address = format!("unix:@jobs-{}", std::process::id()).parse()?;
    /// let manager = Manager::builder().address(&address).key(&key).start()?;
    /// // In another program:
    /// assert!(Manager::connect(&address, &key)?.is_alive());
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub fn key(mut self, key: &Key) -> Self {
        self.0.key = Some(key.clone());
        self
    }

    /// Whether the server goes on when the [`Manager`] is dropped, and when this process ends, however it does. Default: it does not.
    ///
    /// A detached server serves whoever has its address and its key, until somebody calls [`shutdown`](Manager::shutdown), or sends it a signal (its number is in
    /// its [status](crate::manager::ManagerStatus), for every client), or [nobody uses it](Self::idle_timeout) any more. **Write the address and the key down
    /// before you need them**, or give [ones of your own](Self::key): nothing else ends it by itself.
    ///
    /// | a detached server | |
    /// |--|--|
    /// | until [`start`](Self::start) has returned | it ends with this process, as any other |
    /// | its session | is its own, without a terminal: neither Ctrl-C nor a terminal that is closed reaches it, nor what ends this process's group |
    /// | its output | goes nowhere, unless [`stdout`](Self::stdout) and [`stderr`](Self::stderr) say otherwise |
    /// | its directory, environment, user and limits | are those of this process |
    /// | this process | reaps it if it ends first: a thread, `procession-children`, waits for that, with three descriptors. It is none of the [`active_children`](crate::active_children) |
    /// | its pools and their workers | end with it |
    ///
    /// ```standalone_crate
    /// use procession::manager::{Manager, QueueProxy};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// procession::init();
    /// let manager = Manager::builder().detached(true).start()?;
    /// let (address, key) = (manager.address().clone(), manager.key());
    /// manager.publish("jobs", &manager.queue::<String>()?)?;
    /// drop(manager);
    ///
    /// // Later, and in any program that has been told both:
    /// let manager = Manager::connect(&address, &key)?;
    /// let jobs: QueueProxy<String> = manager.get("jobs")?;
    /// jobs.put("sweep".to_owned())?;
    /// manager.shutdown()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn detached(mut self, is_detached: bool) -> Self {
        self.0.is_detached = is_detached;
        self
    }

    /// As [`ServerBuilder::idle_timeout`]. Default: never. For a [detached](Self::detached) one: whatever becomes of those who know it, it is not there for ever.
    pub fn idle_timeout(self, timeout: Duration) -> Self {
        self.server(|server| server.idle_timeout(timeout))
    }

    /// Runs `function` once in the server's process, before anybody is served: to set up what methods of types of your own need there.
    ///
    /// It is a registered function that returns `()` or `Result<(), E>` where `E: Display`, as a [pool's](crate::ProcessPoolExecutorBuilder::initializer).
    /// When it fails or panics, [`start`](Self::start) says so: [`ServeError::Initializer`], with its message. It may take any time.
    ///
    /// ```standalone_crate
    /// use procession::manager::{Manager, ManagerError, ServeError};
    ///
    /// #[procession::task]
    /// fn open_log(path: String) -> Result<(), String> {
    ///     Err(format!("no log at {path}"))
    /// }
    ///
    /// fn main() {
    ///     procession::init();
    ///     match Manager::builder().initializer(open_log, "/no/such/place".to_owned()).start() {
    ///         Err(ManagerError::NotStarted(ServeError::Initializer { message, .. })) => {
    ///             assert_eq!(message, "no log at /no/such/place");
    ///         }
    ///         other => panic!("{other:?}"),
    ///     }
    /// }
    /// ```
    pub fn initializer<F, A, K>(mut self, function: F, args: A) -> Self
    where
        F: TaskFunction<A, K>,
        F::Output: InitializerOutput,
    {
        self.0.initializer = Some(Initializer::new(function, args));
        self
    }

    /// Where the standard output of the server's process goes. Default: where that of this process goes; nowhere, if it is [detached](Self::detached).
    pub fn stdout(mut self, stdout: ProcessOutput) -> Self {
        self.0.stdout = Some(stdout);
        self
    }

    /// Where its standard error goes: panics of threads that methods of your own types start, and why it has ended if that was the system's fault. Default: as of
    /// [`stdout`](Self::stdout).
    pub fn stderr(mut self, stderr: ProcessOutput) -> Self {
        self.0.stderr = Some(stderr);
        self
    }

    /// As [`ServerBuilder::max_connections`]. Default: 16,384.
    pub fn max_connections(self, count: usize) -> Self {
        self.server(|server| server.max_connections(count))
    }

    /// As [`ServerBuilder::threads`]. Default: 32.
    pub fn threads(self, count: usize) -> Self {
        self.server(|server| server.threads(count))
    }

    /// How long a request, or an answer, may be, in bytes: at least 4096, or it is [refused](ServeError::Parameter). Default: 1 GiB.
    pub fn max_frame(self, bytes: u64) -> Self {
        self.server(|server| server.max_frame(bytes))
    }

    /// Starts it: as [`Manager::start`]. Blocks until it can be called: a minute at most, and what the [initializer](Self::initializer) takes.
    ///
    /// # Errors
    ///
    /// [`ManagerError::NotStarted`], with what is wrong in it: [`ServeError::AddressInUse`], for one. Then nothing of it is left.
    pub fn start(self) -> Result<Manager, ManagerError> {
        at_once(self.start_at(Pace::Blocks))
    }

    /// [`start`](Self::start), to be awaited from any runtime. Nothing is done before it is polled; then the process is started in the first poll, as a [`Process`](crate::Process)
    /// is, which does not wait for it.
    ///
    /// Dropped before its end, it leaves nothing behind: the process is killed, and a thread, `procession-children`, waits for its end, and removes its socket where that is a path.
    /// Awaiting it may start that thread, and `procession-connections` and `procession-timer`. (The [`Manager`] that it gives is dropped as any other: that blocks until
    /// the server has ended. Await [`shutdown_async`](Manager::shutdown_async) before, and little is left to wait for.)
    pub fn start_async(self) -> impl Future<Output = Result<Manager, ManagerError>> + Send {
        self.start_at(Pace::Awaits)
    }

    async fn start_at(self, pace: Pace) -> Result<Manager, ManagerError> {
        let is_detached = self.0.is_detached;
        let started = self.0.start(pace).await;
        let Started {
            process,
            address,
            key,
        } = started.map_err(ManagerError::NotStarted)?;
        let site = Site::open(Way::new(address, key), CONNECT_TIME, pace).await?;
        let mut owner = Owner::new(process, site.root());
        if is_detached {
            // By now whoever called knows where it is.
            let is_gone = |error| ManagerError::NotStarted(ServeError::NotStarted(Arc::new(error)));
            owner.let_go().map_err(is_gone)?;
        }
        Ok(Manager::owning(owner))
    }
}
