//! Who has started a server's process.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use super::remote::Remote;
use crate::Process;
use crate::manager::server::Unowned;
use crate::manager::store::RootOp;
use crate::sys::{Home, deadline_after};

/// How long a server that is told to end may take until it is killed.
const END_TIME: Duration = Duration::from_secs(5);

/// Ends the server when it is dropped, unless that has been let go: it is told to, and killed if it does not.
pub(super) struct Owner {
    /// Until it is let go.
    process: Option<Process<()>>,
    pid: u32,
    root: Remote,
    home: Home,
}

impl Owner {
    pub(super) fn new(process: Unowned, root: Remote) -> Self {
        Self {
            pid: process.pid,
            process: process.take(),
            root,
            home: Home::here(),
        }
    }

    /// Lets the server go on without it, and without this process. An error says that it has ended.
    pub(super) fn let_go(&mut self) -> io::Result<()> {
        self.process.take().map_or(Ok(()), Process::let_go)
    }

    pub(super) fn root(&self) -> &Remote {
        &self.root
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let Some(process) = &self.process else {
            return;
        };
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
        if !process.wait_timeout(left) {
            process.kill();
            let _ = process.join();
        }
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").finish_non_exhaustive()
    }
}
