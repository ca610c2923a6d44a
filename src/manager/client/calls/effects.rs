//! What comes of answers, for whoever has left the lock.

use std::task::Waker;

use super::{Callback, Lost};
use crate::future::contain::contain;

/// What is to be done when the lock has been left.
pub(super) struct Effects<A> {
    pub(super) wakers: Vec<Waker>,
    pub(super) callbacks: Vec<(Callback<A>, Result<A, Lost>)>,
    pub(super) thrown_away: Vec<A>,
}

impl<A> Effects<A> {
    pub(super) fn new() -> Self {
        Self {
            wakers: Vec::new(),
            callbacks: Vec::new(),
            thrown_away: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wakers.is_empty() && self.callbacks.is_empty() && self.thrown_away.is_empty()
    }

    pub(super) fn run(self) {
        drop(self.thrown_away);
        for waker in self.wakers {
            let _ = contain(|| waker.wake());
        }
        for (callback, end) in self.callbacks {
            let _ = contain(|| callback(end));
        }
    }
}
