//! What a future asks of its host, and what it keeps.

use super::*;
use crate::future::waiting::Seat;
use std::task::Context;

#[test]
fn a_thread_that_waits_is_offered_to_the_host_first() {
    let (host, raw) = FakeHost::new();
    *host.drained.lock().unwrap() = Some(Ok(vec![7].into()));
    assert_eq!(wait_soon(&raw.typed::<u8>()).unwrap(), 7);
    assert_eq!(host.drains.load(Ordering::SeqCst), 1);
}

#[test]
fn a_thread_that_the_host_has_no_use_for_parks() {
    let (host, raw) = FakeHost::new();
    let waiter = {
        let raw = raw.clone();
        thread::spawn(move || wait_soon(&raw.typed::<u8>()).unwrap())
    };
    while host.drains.load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
    raw.complete(Ok(vec![7].into()));
    assert_eq!(waiter.join().unwrap(), 7);
}

#[test]
fn a_finished_future_does_not_bother_the_host() {
    let (host, raw) = FakeHost::new();
    raw.complete(Ok(vec![7].into()));
    assert_eq!(wait_soon(&raw.typed::<u8>()).unwrap(), 7);
    assert_eq!(host.drains.load(Ordering::SeqCst), 0);
}

#[test]
fn a_look_without_time_does_not_bother_the_host() {
    let (host, raw) = FakeHost::new();
    assert!(raw.typed::<u8>().wait_timeout(Duration::ZERO).is_none());
    assert_eq!(host.drains.load(Ordering::SeqCst), 0);
}

#[test]
fn a_future_does_not_keep_its_host() {
    let (host, raw) = FakeHost::new();
    *host.future.lock().unwrap() = None;
    assert_eq!(Arc::strong_count(&host), 1);
    drop(host);
    assert!(!raw.is_running());
    assert!(
        raw.wait(Some(Instant::now() + Duration::from_millis(1)))
            .is_none()
    );
}

#[test]
fn a_task_that_polls_again_takes_no_second_seat() {
    let raw = RawFuture::pending(TaskId(0), None);
    let (old, old_waker) = CountingWaker::new();
    let (new, new_waker) = CountingWaker::new();
    let mut seat = Seat::default();
    for waker in [&old_waker, &old_waker, &new_waker] {
        assert!(
            raw.poll(&mut seat, &mut Context::from_waker(waker))
                .is_pending()
        );
        assert_eq!(raw.waiters(), 1);
    }
    drop(old_waker);
    assert_eq!(Arc::strong_count(&old), 1, "the replaced waker is not kept");
    raw.complete(Ok(vec![].into()));
    assert_eq!((old.count(), new.count()), (0, 1));
    assert_eq!(raw.waiters(), 0);
}

#[test]
fn a_dropped_future_leaves_no_waker() {
    let raw = RawFuture::pending(TaskId(0), None);
    let (counter, waker) = CountingWaker::new();
    let mut future = raw.clone().typed::<u8>();
    let pinned = std::pin::Pin::new(&mut future);
    assert!(std::future::Future::poll(pinned, &mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert_eq!(Arc::strong_count(&counter), 2);
    drop(future);
    assert_eq!(Arc::strong_count(&counter), 1);
    assert_eq!(raw.waiters(), 0);
}

#[test]
fn waits_that_are_over_do_not_pile_up_in_a_pending_future() {
    let (_promise, future) = number();
    for _ in 0..1000 {
        let waited = crate::wait(
            [&future],
            crate::ReturnWhen::FirstCompleted,
            Duration::from_nanos(1),
        );
        assert_eq!(waited.not_done.len(), 1);
        drop(crate::as_completed([&future]));
    }
    assert!(
        future.raw().waiters() < 20,
        "{} waiters",
        future.raw().waiters()
    );
}

#[test]
fn a_waker_that_panics_stops_nobody_else() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker's panic, which the test expects");
        }
    }
    let raw = RawFuture::pending(TaskId(0), None);
    let (counter, waker) = CountingWaker::new();
    let (mut first, mut second) = (Seat::default(), Seat::default());
    let panics = Waker::from(Arc::new(Panics));
    assert!(
        raw.poll(&mut first, &mut Context::from_waker(&panics))
            .is_pending()
    );
    assert!(
        raw.poll(&mut second, &mut Context::from_waker(&waker))
            .is_pending()
    );
    assert!(raw.complete(Ok(vec![].into())));
    assert_eq!(counter.count(), 1);
}

#[test]
fn a_waker_may_use_the_future_that_wakes_it() {
    struct Looks(RawFuture);
    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            // Any of these would deadlock under a lock of the future's.
            assert!(self.0.is_done());
            assert!(self.0.wait(None).is_some());
            self.0.on_done(Box::new(|_| ()));
        }
    }
    let raw = RawFuture::pending(TaskId(0), None);
    let mut seat = Seat::default();
    let waker = Waker::from(Arc::new(Looks(raw.clone())));
    assert!(
        raw.poll(&mut seat, &mut Context::from_waker(&waker))
            .is_pending()
    );
    assert!(raw.complete(Ok(vec![].into())));
}
