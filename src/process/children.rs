//! The processes that this one has started, and what becomes of them at its end.

use std::sync::{Arc, Once};

use super::shared::Shared;
use crate::sys::{self, PerProcess};

/// Those that this process has started, and that have not been seen to have ended.
static CHILDREN: PerProcess<Vec<Arc<Shared>>> = PerProcess::new(Vec::new);

/// Takes on one that has been started.
pub(super) fn add(child: Arc<Shared>) {
    static AT_EXIT: Once = Once::new();
    AT_EXIT.call_once(|| sys::at_exit(end_all));
    CHILDREN.lock().push(child);
}

/// It has ended.
pub(super) fn remove(child: &Shared) {
    let removed = {
        let mut children = CHILDREN.lock();
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
    living.retain(|child| child.try_end().is_none());
    living.retain(|child| !child.is_let_go());
    living.sort_by_key(|child| child.number);
    living
}

fn all() -> Vec<Arc<Shared>> {
    CHILDREN.lock().clone()
}

/// This process exits in good order: daemons are killed, and the others waited for. (After any other end they notice it.)
fn end_all() {
    loop {
        let children = all();
        let mut children = children.iter().filter(|child| !child.is_let_go());
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_forked_off_while_the_list_is_in_use_has_no_children() {
        let held = CHILDREN.lock();
        let status = sys::in_a_fork(|| {
            end_all();
            living().is_empty()
        });
        drop(held);
        assert_eq!(status, 0);
    }
}
