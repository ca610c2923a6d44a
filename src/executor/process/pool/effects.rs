//! What an event leaves to be done when the lock has been released.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::error::SubmitError;
use crate::executor::process::job::{Endings, Job};
use crate::executor::process::link::Link;
use crate::executor::process::output::Said;

/// Those that have ended.
pub(super) type Jobs = SmallVec<[Job; 1]>;

/// What is left to do when the lock has been released.
#[derive(Default)]
pub(in crate::executor::process) struct Effects {
    pub(super) endings: Endings,
    /// Dropped before the endings are told: their permits come back.
    pub(super) jobs: Jobs,
    /// The same for those that were cancelled, whose ends wait for no output.
    pub(super) cancelled: Jobs,
    pub(super) flush: SmallVec<[Arc<Link>; 2]>,
    pub(super) wake_reactor: bool,
    pub(super) is_ready: bool,
    pub(super) close_gate: Option<SubmitError>,
    /// Counted in the pool's `carrying`.
    pub(super) is_noted: bool,
    /// What workers have said, in its order.
    pub(super) records: Vec<Said>,
    /// Workers from which nothing was expected until this frame was sent.
    pub(super) fresh: SmallVec<[(Arc<Link>, u32); 1]>,
    /// The calling thread may read what such a worker has answered already.
    pub(super) may_read: bool,
}

impl Effects {
    /// The thread that leaves this worker's token arms its pipe anyway.
    pub(in crate::executor::process) fn leaves(&mut self, link: &Arc<Link>) {
        self.fresh.retain(|(fresh, _)| !Arc::ptr_eq(fresh, link));
    }

    /// Takes out what a worker has said, to be said again before its token is left: in the order of its pipe.
    pub(in crate::executor::process) fn take_records(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.records)
    }

    pub(super) fn flush(&mut self, link: &Arc<Link>) {
        if !self.flush.iter().any(|other| Arc::ptr_eq(other, link)) {
            self.flush.push(link.clone());
        }
    }
}
