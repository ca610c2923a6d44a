//! Objects of the server that go to the workers of its own pool.
//!
//! A client encodes a proxy among the arguments of a task as one that goes to any other process, but for the descriptor that keeps its object: in its place stands how many
//! proxies are in front of it, and the object is named beside. Here each gets a descriptor: one end of a pair of sockets, whose other end is let in as a client that
//! has been granted the object. So the object is there while the task is queued, and wherever a worker keeps the proxy; with the last copy of the descriptor it is released,
//! also when a worker is killed.
//!
//! A result comes back with descriptors: those, or connections that the worker has made to keep other objects of this server. The loop knows whose they are by
//! [what they are called](crate::sys::SocketName), and the objects are granted to the client along with the answer.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Weak};

use crate::manager::protocol::ObjectId;
use crate::manager::store::{Context, Ref, Refs};
use crate::sys;
use crate::wire::{Carried, Handles, handles};

/// So many that are not lent any more may stay.
const FEW: usize = 64;

/// The descriptors of objects that tasks have with them which are queued. All tasks share them.
#[derive(Default)]
pub(super) struct Lent {
    descriptors: HashMap<ObjectId, Weak<Carried>>,
    /// When there are so many, those that are gone are thrown out.
    prune_at: usize,
}

impl Lent {
    /// What goes with a task that has proxies of these objects.
    pub(super) fn lend(&mut self, refs: Refs, context: &mut Context<'_>) -> io::Result<Handles> {
        if refs.len() > handles::most() {
            let what = "a task has more proxies with it than descriptors travel at once";
            return Err(io::Error::other(what));
        }
        let lent = refs.into_iter().map(|holds| self.one(holds, context));
        lent.collect::<io::Result<Vec<_>>>().map(Handles::new)
    }

    fn one(&mut self, holds: Ref, context: &mut Context<'_>) -> io::Result<Arc<Carried>> {
        let object = holds.id();
        if let Some(known) = self.descriptors.get(&object).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let (ours, theirs) = sys::connected_pair()?;
        context.lend(holds, ours);
        if self.descriptors.len() >= self.prune_at {
            self.descriptors.retain(|_, known| known.strong_count() > 0);
            self.prune_at = FEW.max(2 * self.descriptors.len());
        }
        let carried = Arc::new(Carried::from(theirs));
        self.descriptors.insert(object, Arc::downgrade(&carried));
        Ok(carried)
    }
}
