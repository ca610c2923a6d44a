//! The processes that this one has started, and what becomes of them at its end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Once};

use super::shared::Shared;
use crate::primitives::plain::{Mutex, lock};
use crate::sys;

/// Those that have not been seen to have ended.
static CHILDREN: Mutex<Vec<Arc<Shared>>> = Mutex::new(Vec::new());

/// Which process has started one, the last that did: one that was forked off from that has started none itself.
static PARENT: AtomicU32 = AtomicU32::new(0);

/// Takes on one that has been started.
pub(super) fn add(child: Arc<Shared>) {
    static AT_EXIT: Once = Once::new();
    AT_EXIT.call_once(|| sys::at_exit(end_all));
    PARENT.store(std::process::id(), Ordering::Relaxed);
    lock(&CHILDREN).push(child);
}

/// It has ended.
pub(super) fn remove(child: &Shared) {
    let removed = {
        let mut children = lock(&CHILDREN);
        let place = children
            .iter()
            .position(|other| std::ptr::eq(Arc::as_ptr(other), child));
        place.map(|place| children.swap_remove(place))
    };
    // Not under the lock: it may be the last.
    drop(removed);
}

/// Those that live, and end with this process, by their start.
pub(super) fn living() -> Vec<Arc<Shared>> {
    // Those that have ended take themselves off the list.
    let mut living = all();
    living.retain(|child| !child.is_elsewhere() && child.try_end().is_none());
    living.retain(|child| !child.is_let_go());
    living.sort_by_key(|child| child.number);
    living
}

fn all() -> Vec<Arc<Shared>> {
    lock(&CHILDREN).clone()
}

/// This process exits in good order: daemons are killed, and the others waited for. (After any other end they notice it.)
fn end_all() {
    if PARENT.load(Ordering::Relaxed) != std::process::id() {
        // Forked off, and perhaps while another thread had the lock, which nobody gives back here.
        return;
    }
    loop {
        let children = all();
        let mut children = children
            .iter()
            .filter(|child| !child.is_elsewhere() && !child.is_let_go());
        let Some(first) = children.next() else {
            return;
        };
        let of_kind = |is_daemon| {
            let children = std::iter::once(first).chain(children.clone());
            children.filter(move |child| child.is_daemon == is_daemon)
        };
        of_kind(true).for_each(|child| child.kill());
        of_kind(true).chain(of_kind(false)).for_each(|child| {
            // It takes itself off the list.
            child.wait(None);
        });
    }
}
