//! A server in this process, as who has started it sees it.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Limits;
use super::turn::{Shared, Turn};
use crate::future::contain::contain;
use crate::manager::secure::{Address, Key, ServeError, listen};
use crate::primitives::plain::{Mutex, lock};
use crate::sys::{self, Home};

/// A manager's server that runs in this process, on a thread of its own, `procession-manager`.
///
/// Dropping it ends it, as [`shutdown`](Self::shutdown) does: its objects are gone, and who calls them is told that the manager is lost.
///
/// ```no_run
/// use procession::manager::{Address, Key, Server};
///
/// let key = Key::generate()?;
/// let server = Server::builder().serve(&"tcp:0.0.0.0:4711".parse()?, &key)?;
/// println!("serving at {}", server.address());
/// server.wait();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping it ends the server: `wait` for its end"]
pub struct Server {
    shared: Arc<Shared>,
    address: Address,
    ended: Arc<Ended>,
    thread: Option<JoinHandle<()>>,
    home: Home,
}

/// Whether the loop has ended.
#[derive(Default)]
struct Ended(Mutex<bool>, Condvar);

/// What is to be different about a manager's server. Made by [`Server::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "`serve` starts a server"]
pub struct ServerBuilder {
    limits: Limits,
}

impl Server {
    /// Says more about a server than its address and its key.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Where it is: for clients on other hosts, with the port that it got where any was asked for (`tcp:host:0`).
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Blocks until it has been shut down, by a client or from another thread, or has ended since [nobody uses it](ServerBuilder::idle_timeout).
    pub fn wait(&self) {
        let mut ended = lock(&self.ended.0);
        while !*ended {
            ended = self
                .ended
                .1
                .wait(ended)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Ends it: its clients' connections, and all objects. Blocks until that is done; what users' methods still do on other threads is not waited for.
    ///
    /// In a process that was forked off from the one that has the server this does nothing.
    pub fn shutdown(&self) {
        if !self.home.is_elsewhere() {
            self.shared.end();
            self.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.home.is_elsewhere() {
            return;
        }
        self.shutdown();
        if let Some(thread) = self.thread.take() {
            // What it has panicked with has been said.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl ServerBuilder {
    /// How many clients there may be at once: another one is told that the server is full. Default: 16,384. Each takes a descriptor, of which a
    /// process often may have 1024; where there is none left, clients are told the same. At least one.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.limits.max_connections = count;
        self
    }

    /// How many threads there may be for what blocks, or takes long: methods of types of your own. They are started when they are needed. A method that waits for a call of this same
    /// server is not counted meanwhile; up to 1024 may, each with its thread. Default: 32; at least one.
    pub fn threads(mut self, count: usize) -> Self {
        self.limits.threads = count;
        self
    }

    /// How long a request, or an answer, may be, in bytes: at least 4096, or it is [refused](ServeError::Parameter). Default: 1 GiB.
    pub fn max_frame(mut self, bytes: u64) -> Self {
        self.limits.max_frame = bytes;
        self
    }

    /// Ends the server when it has had no client for so long. Default: never.
    ///
    /// A client is whoever is connected, or has a proxy, or one that is on its way: so with `Duration::ZERO` it ends with the last one. Objects that nobody has but by their names
    /// do not keep it, and are gone with it; nor do methods of your own types that run for nobody. Until the first client has come it waits for a minute at least.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle_timeout = Some(timeout);
        self
    }

    /// How long a client may take to prove the key.
    #[cfg(all(test, not(loom)))]
    pub(super) fn handshake_time(mut self, time: Duration) -> Self {
        self.limits.handshake_time = time;
        self
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn of(limits: Limits) -> Self {
        Self { limits }
    }

    /// Starts a server in this process. It listens when this returns.
    ///
    /// At a path, it makes a second file beside the socket, whose name ends in `.lock`; both are removed at its end. A socket that a server of this user has
    /// left behind, because it was killed, is taken over.
    ///
    /// # Errors
    ///
    /// A [parameter](ServeError::Parameter) is one that no server can work with; the address is none, is in use, is not one of this host, or needs the feature `network`; or the system has no thread or no descriptor.
    pub fn serve(self, address: &Address, key: &Key) -> Result<Server, ServeError> {
        self.limits.check()?;
        let listener = listen(address)?;
        let address = listener.address().clone();
        let failed = |error: io::Error| ServeError::NotStarted(Arc::new(error));
        let shared = Arc::new(Shared::new().map_err(failed)?);
        let mut turn =
            Turn::new(shared.clone(), listener, key.clone(), self.limits).map_err(failed)?;
        let ended = Arc::<Ended>::default();
        let of_thread = ended.clone();
        let run = move || {
            // Whatever happens, nobody waits for ever: its sockets close when it is dropped.
            let ran = contain(|| {
                if let Err(error) = turn.run() {
                    sys::tell_user(format_args!("a manager's server has ended: {error}"));
                }
            });
            if let Err(message) = ran {
                sys::tell_user(format_args!("a manager's server has panicked: {message}"));
            }
            let _ = contain(|| drop(turn));
            *lock(&of_thread.0) = true;
            of_thread.1.notify_all();
        };
        let thread = thread::Builder::new().name("procession-manager".to_owned());
        let thread = sys::with_signals_blocked(|| thread.spawn(run)).map_err(failed)?;
        Ok(Server {
            shared,
            address,
            ended,
            thread: Some(thread),
            home: Home::here(),
        })
    }
}
