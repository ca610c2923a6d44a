use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake, Waker};

use futures::executor::block_on;
use futures::future::join_all;

use super::*;

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn an_item_is_awaited() {
    watched(|| {
        let queue = Queue::unbounded().unwrap();
        let other = twin(&queue);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| block_on(queue.get_async()).unwrap());
            until(|| some_sleep(&queue));
            other.put(7).unwrap();
            assert_eq!(waiter.join().unwrap(), 7);
        });
        // Again, with the thread that is there.
        thread::scope(|scope| {
            let waiter = scope.spawn(|| block_on(queue.get_async()).unwrap());
            until(|| some_sleep(&queue));
            other.put(8).unwrap();
            assert_eq!(waiter.join().unwrap(), 8);
        });
        other.put(9).unwrap();
        assert_eq!(block_on(queue.get_async()).unwrap(), 9);
    });
}

#[test]
fn room_is_awaited() {
    watched(|| {
        let queue = Queue::bounded(1).unwrap();
        block_on(queue.put_async(1)).unwrap();
        let other = twin(&queue);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| block_on(queue.put_async(2)).unwrap());
            until(|| queue.core().getters.has_sleeper());
            assert_eq!(other.get().unwrap(), 1);
            waiter.join().unwrap();
            assert_eq!(other.get().unwrap(), 2);
        });
        other.close().unwrap();
        let refused = block_on(queue.put_async(3)).unwrap_err();
        assert!(refused.is_closed());
        assert_eq!(refused.into_value(), 3);
        assert!(block_on(queue.get_async()).unwrap_err().is_closed());
        let tight = Queue::builder().max_bytes(8).build().unwrap();
        let refused = block_on(tight.put_async(vec![1_u8; 100])).unwrap_err();
        assert!(matches!(refused, PutError::TooLarge { .. }));
        block_on(tight.put_async(vec![])).unwrap();
        assert!(block_on(tight.put_async(vec![])).unwrap_err().is_full());
        let picky = Queue::unbounded().unwrap();
        let refused = block_on(picky.put_async(Picky(true))).unwrap_err();
        assert!(matches!(refused, PutError::Unencodable { .. }));
    });
}

#[test]
fn those_who_await_are_told_that_it_is_closed() {
    watched(|| {
        let queue = Queue::<u8>::unbounded().unwrap();
        let other = twin(&queue);
        thread::scope(|scope| {
            scope.spawn(|| {
                let ends = block_on(join_all((0..5).map(|_| queue.get_async())));
                assert!(ends.into_iter().all(|end| end.unwrap_err().is_closed()));
            });
            until(|| some_sleep(&queue));
            other.close().unwrap();
        });
    });
}

#[test]
fn a_future_that_is_dropped_loses_nothing() {
    watched(|| {
        let queue = Queue::bounded(1).unwrap();
        let mut dropped = queue.get_async();
        assert!(poll_once(&mut dropped).is_pending());
        drop(dropped);
        queue.put(1).unwrap();
        let mut dropped = queue.put_async(2);
        assert!(poll_once(&mut dropped).is_pending());
        drop(dropped);
        assert_eq!(queue.get().unwrap(), 1);
        assert!(queue.try_get().unwrap_err().is_empty());
        drop((queue.put_async(3), queue.get_async()));
        assert!(queue.is_empty());
    });
}

/// It was called for the item, and goes without it: then another one is.
#[test]
fn one_that_is_called_and_dropped_leaves_it_to_another() {
    watched(|| {
        for _ in 0..50 {
            let queue = Queue::unbounded().unwrap();
            let mut first = queue.get_async();
            assert!(poll_once(&mut first).is_pending());
            thread::scope(|scope| {
                let second = scope.spawn(|| {
                    let mut second = queue.get_async();
                    block_on(poll_fn(|context| pin!(&mut second).poll(context))).unwrap()
                });
                until(|| some_sleep(&queue));
                twin(&queue).put(4).unwrap();
                drop(first);
                assert_eq!(second.join().unwrap(), 4);
            });
        }
    });
}

#[test]
fn one_that_cannot_look_is_woken_when_it_can() {
    watched(|| {
        let queue = Queue::unbounded().unwrap();
        queue.put(3).unwrap();
        let (held, is_held) = mpsc::channel();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let _getters = queue.core().getters.enter(Deadline::NEVER).unwrap();
                held.send(()).unwrap();
                until(|| over.load(Relaxed));
            });
            is_held.recv().unwrap();
            let mut get = queue.get_async();
            let mut polls = 0;
            let got = block_on(poll_fn(|context| {
                polls += 1;
                let polled = pin!(&mut get).poll(context);
                over.store(true, Relaxed);
                polled
            }));
            assert_eq!(got.unwrap(), 3);
            assert!(polls > 1);
        });
    });
}

#[test]
fn many_await_at_once() {
    watched(|| {
        let queue = Queue::bounded(3).unwrap();
        let other = twin(&queue);
        thread::scope(|scope| {
            scope.spawn(|| {
                block_on(join_all((0..100).map(|item| queue.put_async(item))))
                    .into_iter()
                    .for_each(|put| put.unwrap());
            });
            let mut came: Vec<u32> = block_on(join_all((0..100).map(|_| other.get_async())))
                .into_iter()
                .map(|item| item.unwrap())
                .collect();
            came.sort_unstable();
            assert_eq!(came, (0..100).collect::<Vec<_>>());
        });
        assert!(queue.is_empty());
    });
}

#[derive(Default)]
struct Called(AtomicBool);

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl Called {
    fn until(&self) {
        crate::sync::tests::until(|| self.0.load(SeqCst));
    }
}

#[test]
fn memory_that_was_overwritten_ends_what_is_awaited() {
    watched(|| {
        let queue = Queue::<u32>::unbounded().unwrap();
        let core = queue.core();
        let page = core.arena.map(0, 4096).unwrap();
        let held = core.as_putter(crate::sys::Deadline::NEVER).unwrap();
        // What another process may do at any moment: that of the others' lock. Those who get do not take it before they have to wait.
        page.u32_at(4088).unwrap().store(0, SeqCst);
        drop(held);
        assert!(matches!(
            block_on(queue.get_async()),
            Err(GetError::Corrupt)
        ));
        assert!(matches!(
            block_on(queue.get_async()),
            Err(GetError::Corrupt)
        ));
    });
}

/// One that was called for room does not find enough for its item: another one, whose item fits, is called in its place.
#[test]
fn a_small_item_is_put_where_there_is_no_room_for_a_large_one() {
    watched(|| {
        for round in 0..100 {
            let builder = Queue::<Vec<u8>>::builder().capacity(3).max_bytes(1 << 16);
            let queue = builder.build().unwrap();
            for len in [30_000, 8, 8] {
                queue.put(vec![0; len]).unwrap();
            }
            let (large, small) = (Arc::new(Called::default()), Arc::new(Called::default()));
            let (of_large, of_small) = (Waker::from(large.clone()), Waker::from(small.clone()));
            let mut put_large = queue.put_async(vec![1; 40_000]);
            let mut put_small = queue.put_async(vec![2; 8]);
            let mut poll_large = || pin!(&mut put_large).poll(&mut Context::from_waker(&of_large));
            assert!(poll_large().is_pending());
            let polled = pin!(&mut put_small).poll(&mut Context::from_waker(&of_small));
            assert!(polled.is_pending());
            // Room for one, and enough for the large one: that is called.
            queue.get().unwrap();
            large.until();
            // Before it looks, somebody else is quicker, with much; and a small one goes.
            queue.put(vec![3; 30_000]).unwrap();
            queue.get().unwrap();
            // The thread looks meanwhile, in most rounds.
            (0..round * 10_000).for_each(|_| std::hint::spin_loop());
            assert!(poll_large().is_pending());
            small.until();
        }
    });
}
