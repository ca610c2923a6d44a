//! A server's process, and who has started it.

use std::fmt;
use std::time::{Duration, Instant};

use super::manager::Manager;
use super::remote::Remote;
use super::site::{Site, Way};
use crate::Process;
use crate::manager::ManagerError;
use crate::manager::secure::{Address, CONNECT_TIME};
use crate::manager::server::{Server, ServerBuilder, start_process};
use crate::manager::store::RootOp;
use crate::sys::{Home, deadline_after};

/// How long a server that is told to end may take until it is killed.
const END_TIME: Duration = Duration::from_secs(5);

/// Ends the server when it is dropped: it is told to, and killed if it does not.
pub(super) struct Owner {
    process: Process<()>,
    root: Remote,
    home: Home,
}

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
pub struct ManagerBuilder {
    server: ServerBuilder,
    address: Option<Address>,
}

impl ManagerBuilder {
    pub(super) fn new() -> Self {
        Self {
            server: Server::builder(),
            address: None,
        }
    }

    /// Where it listens. Default: at an abstract address that nobody can guess, and that is gone with it.
    pub fn address(mut self, address: &Address) -> Self {
        self.address = Some(address.clone());
        self
    }

    /// As [`ServerBuilder::max_connections`]. Default: 16,384.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.server = self.server.max_connections(count);
        self
    }

    /// As [`ServerBuilder::threads`]. Default: 32.
    pub fn threads(mut self, count: usize) -> Self {
        self.server = self.server.threads(count);
        self
    }

    /// How long a request, or an answer, may be, in bytes: at least 4096. Default: 1 GiB.
    pub fn max_frame(mut self, bytes: u64) -> Self {
        self.server = self.server.max_frame(bytes);
        self
    }

    /// Starts it: as [`Manager::start`].
    ///
    /// # Errors
    ///
    /// [`ManagerError::NotStarted`], with what is wrong in it: [`ServeError::AddressInUse`](crate::manager::ServeError::AddressInUse), for one.
    pub fn start(self) -> Result<Manager, ManagerError> {
        let (process, address, key) =
            start_process(&self.server, self.address.as_ref()).map_err(ManagerError::NotStarted)?;
        match Site::open(Way::new(address, key), CONNECT_TIME) {
            Ok(site) => Ok(Manager::owning(Owner {
                process,
                root: site.root(),
                home: Home::here(),
            })),
            Err(error) => {
                process.kill();
                let _ = process.join();
                Err(error)
            }
        }
    }
}

impl Owner {
    pub(super) fn root(&self) -> &Remote {
        &self.root
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.home.is_elsewhere() {
            return;
        }
        let deadline = deadline_after(END_TIME);
        // If it is gone already, there is nobody to be told.
        let _ = self
            .root
            .call(&RootOp::Shutdown, |()| Ok(()))
            .wait_until(deadline);
        let left = deadline.map_or(END_TIME, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        if !self.process.wait_timeout(left) {
            self.process.kill();
            let _ = self.process.join();
        }
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").finish_non_exhaustive()
    }
}
