//! Tasks that await the end of a process, and whether the thread that watches knows of it.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use crate::future::contain::contain;
use crate::primitives::plain::{Mutex, lock};

#[derive(Default)]
pub(super) struct Waiters {
    wakers: Mutex<Wakers>,
    is_watched: AtomicBool,
}

#[derive(Default)]
struct Wakers {
    next: u64,
    list: Vec<(u64, Waker)>,
}

impl Waiters {
    /// Takes a waker, in the place of an earlier one; false if it `is_over`, which is looked at with the list locked.
    pub(super) fn sit(
        &self,
        seat: &mut Option<u64>,
        waker: Waker,
        is_over: impl FnOnce() -> bool,
    ) -> bool {
        let mut wakers = lock(&self.wakers);
        if is_over() {
            return false;
        }
        let number = *seat.get_or_insert_with(|| {
            wakers.next += 1;
            wakers.next
        });
        let old = match wakers.list.iter_mut().find(|(of, _)| *of == number) {
            Some((_, place)) => Some(mem::replace(place, waker)),
            None => {
                wakers.list.push((number, waker));
                None
            }
        };
        drop(wakers);
        // The runtime's code, too.
        drop(old);
        true
    }

    pub(super) fn stand_up(&self, seat: u64) {
        let mut wakers = lock(&self.wakers);
        let place = wakers.list.iter().position(|(of, _)| *of == seat);
        let left = place.map(|place| wakers.list.swap_remove(place));
        drop(wakers);
        drop(left);
    }

    pub(super) fn wake_all(&self) {
        let wakers = mem::take(&mut lock(&self.wakers).list);
        for (_, waker) in wakers {
            // The runtime's code: it has nobody to tell, and the others are still to be woken.
            let _ = contain(|| waker.wake());
        }
    }

    /// Says whether the caller has to see to it that the end is watched for. Who has to, and cannot, says so with
    /// [`give_up`](Self::give_up).
    pub(super) fn begin_watch(&self) -> bool {
        !self.is_watched.swap(true, Ordering::AcqRel)
    }

    /// It is not watched for after all: those who have relied on that see to it themselves.
    pub(super) fn give_up(&self) {
        self.is_watched.store(false, Ordering::Release);
        self.wake_all();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn who_relied_on_a_watch_that_failed_looks_again() {
        let waiters = Waiters::default();
        let count = Arc::new(Count::default());
        let (mut first, mut second) = (None, None);
        waiters.sit(&mut first, Waker::noop().clone(), || false);
        assert!(waiters.begin_watch());
        waiters.sit(&mut second, count.clone().into(), || false);
        assert!(!waiters.begin_watch(), "the first one sees to it");
        waiters.give_up();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        waiters.sit(&mut second, count.clone().into(), || false);
        assert!(waiters.begin_watch(), "now it is the second one's to do");
    }

    #[test]
    fn a_waker_may_drop_another_future() {
        struct Drops(Arc<Waiters>, u64);
        impl Wake for Drops {
            fn wake(self: Arc<Self>) {
                self.0.stand_up(self.1);
            }
        }
        let waiters = Arc::new(Waiters::default());
        let (mut first, mut second) = (None, None);
        waiters.sit(&mut second, Waker::noop().clone(), || false);
        let drops = Drops(waiters.clone(), second.unwrap());
        waiters.sit(&mut first, Arc::new(drops).into(), || false);
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            waiters.wake_all();
            tell.send(()).unwrap();
        });
        let told = told.recv_timeout(std::time::Duration::from_secs(60));
        assert!(told.is_ok(), "it calls wakers with its lock held");
    }
}
