//! A server's process, before anybody owns it.

use std::time::Duration;

use crate::error::ProcessError;
use crate::manager::secure::{Pace, within};
use crate::{Process, sys};

/// How long it may take to end, when it has let go of what it reports through.
const END_TIME: Duration = Duration::from_secs(5);

/// A server's process that nobody owns yet: dropping this kills it, and nothing of it is left. Who blocks waits for its end; for who awaits, the thread does that waits for
/// processes whose handles are dropped.
pub(crate) struct Unowned {
    /// Until it is taken.
    process: Option<Process<()>>,
    pub(crate) pid: u32,
    pub(super) pace: Pace,
}

impl Unowned {
    pub(super) fn new(process: Process<()>, pace: Pace) -> Self {
        Self {
            pid: process.pid(),
            process: Some(process),
            pace,
        }
    }

    /// It is somebody's from now on.
    pub(crate) fn take(mut self) -> Option<Process<()>> {
        self.process.take()
    }

    /// How it ends, which it is about to do by itself; else it is killed.
    pub(super) async fn end(&self) -> Result<(), ProcessError> {
        let Some(process) = &self.process else {
            return Ok(());
        };
        match self.pace {
            Pace::Blocks => {
                if !process.wait_timeout(END_TIME) {
                    process.kill();
                }
                process.join()
            }
            Pace::Awaits => {
                let deadline = sys::deadline_after(END_TIME);
                if let Some(ended) = within(deadline, process.join_async()).await {
                    return ended;
                }
                process.kill();
                process.join_async().await
            }
        }
    }
}

impl Drop for Unowned {
    fn drop(&mut self) {
        let Some(process) = self.process.take() else {
            return;
        };
        process.kill();
        match self.pace {
            Pace::Blocks => drop(process.join()),
            Pace::Awaits => drop(process),
        }
    }
}
