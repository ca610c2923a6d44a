//! What an event leaves to be done when the lock has been released.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::error::SubmitError;
use crate::executor::process::job::{Endings, Job};
use crate::executor::process::link::Link;

/// What is left to do when the lock has been released.
#[derive(Default)]
pub(in crate::executor::process) struct Effects {
    pub(super) endings: Endings,
    /// Dropped before the endings are told: their permits come back.
    pub(super) jobs: SmallVec<[Job; 1]>,
    pub(super) flush: SmallVec<[Arc<Link>; 2]>,
    pub(super) wake_reactor: bool,
    pub(super) is_ready: bool,
    pub(super) close_gate: Option<SubmitError>,
    /// Counted in the pool's `carrying`.
    pub(super) is_noted: bool,
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

    pub(super) fn flush(&mut self, link: &Arc<Link>) {
        if !self.flush.iter().any(|other| Arc::ptr_eq(other, link)) {
            self.flush.push(link.clone());
        }
    }
}
