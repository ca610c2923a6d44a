//! Tells a kill by the kernel, for lack of memory, from a kill by somebody else.

use std::sync::Mutex;

use crate::error::EndOfWorker;
use crate::primitives::plain::lock;
use crate::sys::OomKills;

/// The counter of this process's cgroup, and what it was when it was last looked at.
pub(super) struct Oom {
    kills: Option<OomKills>,
    seen: Mutex<u64>,
}

const SIGKILL: i32 = 9;

impl Oom {
    pub(super) fn new() -> Self {
        let kills = OomKills::of_this_process();
        let seen = kills.as_ref().and_then(OomKills::count).unwrap_or(0);
        Self {
            kills,
            seen: Mutex::new(seen),
        }
    }

    /// Says more precisely how a worker ended that nobody here has killed. The kernel counts before it sends its signal;
    /// a kill of somebody else in the group, since a worker was last killed, can be mistaken for this one.
    pub(super) fn explain(&self, end: EndOfWorker) -> EndOfWorker {
        if end != EndOfWorker::Signalled(SIGKILL) {
            return end;
        }
        let Some(count) = self.kills.as_ref().and_then(OomKills::count) else {
            return end;
        };
        let mut seen = lock(&self.seen);
        if count > std::mem::replace(&mut *seen, count) {
            EndOfWorker::OomKilled
        } else {
            end
        }
    }
}
