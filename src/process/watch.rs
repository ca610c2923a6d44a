//! A thread that waits for the ends of processes for those who cannot: tasks that await one, and handles that were dropped
//! before the end.
//!
//! The first of them starts it, `procession-children`; it ends when there are none left.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::shared::Shared;
use crate::sys::{self, PerProcess, Poller};

static WATCH: PerProcess<Option<Watch>> = PerProcess::new(|| None);

/// What the thread has to do; `None` when there is no thread. It says that it goes under the same lock under which it finds nothing
/// to do, so that nobody is left without it.
struct Watch {
    poller: Arc<Poller>,
    watched: HashMap<u64, Arc<Shared>>,
    next: u64,
}

/// Sees to it that the end of a process is noticed.
pub(super) fn watch(child: &Arc<Shared>) -> io::Result<()> {
    if !child.has_pidfd() {
        // Nothing that a poller would tell of.
        return Err(io::ErrorKind::Unsupported.into());
    }
    if !child.waiters.begin_watch() {
        return Ok(());
    }
    let watched = enter(child);
    if watched.is_err() {
        child.waiters.give_up();
    }
    watched
}

fn enter(child: &Arc<Shared>) -> io::Result<()> {
    let mut state = WATCH.lock();
    let watch = match &mut *state {
        Some(watch) => watch,
        none => {
            let poller = Arc::new(Poller::new()?);
            let thread = std::thread::Builder::new().name("procession-children".into());
            let of_thread = poller.clone();
            sys::with_signals_blocked(|| thread.spawn(move || run(&of_thread)))?;
            none.insert(Watch {
                poller,
                watched: HashMap::new(),
                next: 0,
            })
        }
    };
    let key = watch.next;
    watch.next += 1;
    let armed = watch
        .poller
        .add(child.sentinel(), key)
        .and_then(|()| watch.poller.arm_read(child.sentinel(), key));
    match armed {
        Ok(()) => {
            watch.watched.insert(key, child.clone());
            Ok(())
        }
        Err(error) => {
            // The thread may have nothing to do.
            watch.poller.notify();
            Err(error)
        }
    }
}

fn run(poller: &Poller) {
    let mut ready = Vec::new();
    loop {
        {
            let mut state = WATCH.lock();
            let has_some = state
                .as_ref()
                .is_some_and(|watch| !watch.watched.is_empty());
            if !has_some {
                *state = None;
                return;
            }
        }
        if poller.wait(&mut ready, None).is_err() {
            // epoll_wait fails for bad arguments only. Whoever awaits is woken, and asks again.
            let state = WATCH.lock().take();
            for child in state
                .into_iter()
                .flat_map(|watch| watch.watched.into_values())
            {
                child.waiters.give_up();
                child.wait(None);
            }
            return;
        }
        for event in &ready {
            let ended = {
                let mut state = WATCH.lock();
                let watch = state.as_mut();
                watch.and_then(|watch| {
                    let child = watch.watched.remove(&event.key)?;
                    watch.poller.remove(child.sentinel());
                    Some(child)
                })
            };
            if let Some(child) = ended {
                // Reaps it, and wakes everyone who awaits it.
                child.wait(None);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_forked_off_while_the_list_is_in_use_has_one_of_its_own() {
        let held = WATCH.lock();
        assert_eq!(sys::in_a_fork(|| WATCH.lock().is_none()), 0);
        drop(held);
    }
}
