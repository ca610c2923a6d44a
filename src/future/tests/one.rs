//! One future: its states, and waiting for it.

use super::*;

#[test]
fn a_value_arrives() {
    let (promise, future) = number();
    assert!(promise.complete(Ok(42)));
    assert_eq!(wait_soon(&future).unwrap(), 42);
}

#[test]
fn a_value_can_be_asked_for_again() {
    let (promise, future) = Promise::<String>::new();
    promise.complete(Ok("text".to_owned()));
    assert_eq!(wait_soon(&future).unwrap(), "text");
    assert_eq!(wait_soon(&future).unwrap(), "text");
}

#[test]
fn debug_tells_the_states_apart() {
    let state = |future: &Future<u64>| {
        let text = format!("{future:?}");
        text.split_once("state: ")
            .unwrap()
            .1
            .trim_end_matches(" }")
            .to_owned()
    };
    let (host, raw) = FakeHost::new();
    let future = raw.clone().typed();
    assert_eq!(state(&future), "pending");
    host.begin();
    assert_eq!(state(&future), "running");
    raw.complete(Ok(vec![1].into()));
    assert_eq!(state(&future), "finished: u64");

    let (_promise, future) = number();
    future.cancel();
    assert_eq!(state(&future), "cancelled");

    let (promise, future) = number();
    drop(promise);
    assert_eq!(
        state(&future),
        "failed: the promise was dropped without a value"
    );
}

#[test]
fn cancel_of_a_pending_future_cancels_it() {
    let (promise, future) = number();
    assert!(future.cancel());
    assert!(future.is_cancelled() && future.is_done());
    assert!(promise.is_cancelled());
    assert!(matches!(
        wait_soon(&future),
        Err(TaskError::Cancelled { .. })
    ));
    assert!(!promise.complete(Ok(1)));
    assert!(matches!(
        wait_soon(&future),
        Err(TaskError::Cancelled { .. })
    ));
}

#[test]
fn cancel_asks_the_host() {
    let (_host, raw) = FakeHost::new();
    let future: Future<u64> = raw.typed();
    assert!(future.cancel());
    assert!(future.is_cancelled());
}

#[test]
fn cancel_that_the_host_refuses_leaves_the_task_running() {
    let (host, raw) = FakeHost::new();
    host.begin();
    let future: Future<u64> = raw.typed();
    assert!(!future.cancel());
    assert!(future.is_running() && !future.is_done() && !future.is_cancelled());
}

#[test]
fn cancel_of_a_cancelled_future_is_true_and_changes_nothing() {
    let (_promise, future) = number();
    assert!(future.cancel());
    assert!(future.cancel());
    assert!(future.is_cancelled());

    let (_host, raw) = FakeHost::new();
    assert!(raw.cancel() && raw.cancel());
}

#[test]
fn cancel_of_a_finished_future_is_false_and_the_result_stays() {
    let (promise, future) = number();
    promise.complete(Ok(5));
    assert!(!future.cancel());
    assert!(!future.is_cancelled());
    assert_eq!(wait_soon(&future).unwrap(), 5);

    let (promise, future) = number();
    drop(promise);
    assert!(!future.cancel());
    assert!(matches!(future.error(), Some(TaskError::Abandoned)));
}

#[test]
fn cancel_without_its_host_does_not_leave_the_future_pending() {
    let (host, raw) = FakeHost::new();
    *host.future.lock().unwrap() = None;
    drop(host);
    assert!(raw.cancel());
    assert!(raw.is_done());
}

#[test]
fn cancelled_is_true_only_when_cancelled() {
    let (promise, future) = number();
    assert!(!future.is_cancelled());
    promise.complete(Ok(1));
    assert!(!future.is_cancelled());
    let (promise, future) = number();
    drop(promise);
    assert!(!future.is_cancelled());
}

#[test]
fn done_is_true_in_every_state_but_pending_and_running() {
    let (host, raw) = FakeHost::new();
    assert!(!raw.is_done());
    host.begin();
    assert!(!raw.is_done());
    raw.complete(Ok(vec![].into()));
    assert!(raw.is_done());

    let (_promise, future) = number();
    future.cancel();
    assert!(future.is_done());
    let (promise, future) = number();
    drop(promise);
    assert!(future.is_done());
}

#[test]
fn running_is_true_only_while_running() {
    let (host, raw) = FakeHost::new();
    assert!(!raw.is_running());
    host.begin();
    assert!(raw.is_running());
    raw.complete(Ok(vec![].into()));
    assert!(!raw.is_running());
}

#[test]
fn a_wait_without_time_tells_each_state() {
    let now = Duration::ZERO;
    let (promise, future) = number();
    assert!(future.wait_timeout(now).is_none());
    promise.complete(Ok(3));
    assert!(matches!(future.wait_timeout(now), Some(Ok(3))));

    let (host, raw) = FakeHost::new();
    host.begin();
    assert!(raw.typed::<u64>().wait_timeout(now).is_none());

    let (_promise, future) = number();
    future.cancel();
    assert!(matches!(
        future.wait_timeout(now),
        Some(Err(TaskError::Cancelled { .. }))
    ));
    let (promise, future) = number();
    drop(promise);
    assert!(matches!(
        future.wait_timeout(now),
        Some(Err(TaskError::Abandoned))
    ));
}

#[test]
fn a_time_limit_is_not_early() {
    let (_promise, future) = number();
    let begun = Instant::now();
    let limit = Duration::from_millis(30);
    assert!(future.wait_timeout(limit).is_none());
    assert!(begun.elapsed() >= limit);
}

#[test]
fn a_time_limit_may_be_longer_than_any_clock() {
    let (promise, future) = number();
    let thread = thread::spawn(move || promise.complete(Ok(1)));
    assert!(matches!(future.wait_timeout(Duration::MAX), Some(Ok(1))));
    thread.join().unwrap();
}

#[test]
fn a_blocked_thread_returns_when_the_value_is_set() {
    let (promise, future) = number();
    let thread = thread::spawn(move || wait_soon(&future));
    let_others_run();
    promise.complete(Ok(9));
    assert_eq!(thread.join().unwrap().unwrap(), 9);
}

#[test]
fn a_blocked_thread_returns_when_the_future_is_cancelled() {
    let (_promise, future) = number();
    let future = Arc::new(future);
    let blocked = Arc::clone(&future);
    let thread = thread::spawn(move || wait_soon(&blocked));
    let_others_run();
    assert!(future.cancel());
    assert!(matches!(
        thread.join().unwrap(),
        Err(TaskError::Cancelled { .. })
    ));
}

#[test]
fn a_blocked_thread_returns_when_an_error_is_set() {
    let (promise, future) = number();
    let thread = thread::spawn(move || wait_soon(&future));
    let_others_run();
    promise.complete(Err(TaskError::ShutDown { may_have_run: true }));
    let error = thread.join().unwrap().unwrap_err();
    assert!(matches!(error, TaskError::ShutDown { may_have_run: true }));
}

#[test]
fn many_threads_wait_for_one_future() {
    let (promise, future) = number();
    let future = Arc::new(future);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let future = Arc::clone(&future);
            thread::spawn(move || wait_soon(&future).unwrap())
        })
        .collect();
    let_others_run();
    promise.complete(Ok(4));
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 4);
    }
}

#[test]
fn the_error_is_told_per_state() {
    let (promise, future) = number();
    assert!(future.error().is_none());
    promise.complete(Ok(1));
    assert!(future.error().is_none());

    let (_promise, future) = number();
    future.cancel();
    assert!(matches!(future.error(), Some(TaskError::Cancelled { .. })));
    let (promise, future) = number();
    promise.complete(Err(TaskError::ShutDown {
        may_have_run: false,
    }));
    assert!(matches!(
        future.error(),
        Some(TaskError::ShutDown {
            may_have_run: false
        })
    ));
}

#[test]
fn a_value_set_twice_keeps_the_first() {
    let raw = RawFuture::pending(TaskId(0), None);
    assert!(raw.complete(Ok(vec![1].into())));
    assert!(!raw.complete(Ok(vec![2].into())));
    assert!(!raw.complete(Err(TaskError::Cancelled {
        may_have_run: false
    })));
    assert_eq!(wait_soon(&raw.typed::<u8>()).unwrap(), 1);
}

#[test]
fn an_error_set_twice_keeps_the_first() {
    let raw = RawFuture::pending(TaskId(0), None);
    assert!(raw.complete(Err(TaskError::Abandoned)));
    assert!(!raw.complete(Err(TaskError::Cancelled {
        may_have_run: false
    })));
    assert!(!raw.complete(Ok(vec![2].into())));
    assert!(matches!(raw.outcome(), Some(Err(TaskError::Abandoned))));
}

#[test]
fn a_wait_that_times_out_does_not_change_the_task() {
    let (promise, future) = number();
    assert!(future.wait_timeout(Duration::from_millis(1)).is_none());
    assert!(!future.is_done());
    assert!(promise.complete(Ok(8)));
    assert_eq!(wait_soon(&future).unwrap(), 8);
}

#[test]
fn an_error_of_the_function_is_a_value_also_when_it_looks_empty() {
    let (promise, future) = Promise::<Result<(), ()>>::new();
    promise.complete(Ok(Err(())));
    assert_eq!(wait_soon(&future).unwrap(), Err(()));
    assert!(future.error().is_none());
}

#[test]
fn dropping_a_future_detaches_and_releases_the_result() {
    let (host, raw) = FakeHost::new();
    let future: Future<u64> = raw.clone().typed();
    drop(future);
    assert!(!raw.is_done());
    *host.future.lock().unwrap() = None;
    assert!(raw.complete(Ok(vec![0; 1000].into())));
    assert_eq!(raw.handles(), 1);
}

#[test]
fn abort_on_drop_cancels() {
    let (promise, future) = number();
    drop(future.abort_on_drop());
    assert!(promise.is_cancelled());
}

#[test]
fn abort_on_drop_leaves_a_finished_future_alone() {
    let (host, raw) = FakeHost::new();
    let future: Future<u64> = raw.clone().typed::<u64>().abort_on_drop();
    raw.complete(Ok(vec![1].into()));
    drop(future);
    assert!(!raw.is_cancelled());
    assert_eq!(host.drains.load(Ordering::SeqCst), 0);
}

#[test]
fn a_dropped_promise_says_so() {
    let (promise, future) = number();
    let thread = thread::spawn(move || drop(promise));
    assert!(matches!(wait_soon(&future), Err(TaskError::Abandoned)));
    thread.join().unwrap();
}

#[test]
fn a_result_that_does_not_decode_names_the_type() {
    let raw = RawFuture::ready(TaskId(0), Ok(vec![1, 2].into()));
    let error = wait_soon(&raw.typed::<u8>()).unwrap_err();
    assert!(
        matches!(
            error,
            TaskError::ResultNotDecoded {
                type_name: "u8",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_value_that_does_not_encode_is_an_error_of_the_future() {
    struct Refuses;
    impl serde::Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    let (promise, future) = Promise::<Refuses>::new();
    assert!(promise.complete(Ok(Refuses)));
    assert!(matches!(
        future.error(),
        Some(TaskError::ResultNotEncoded { .. })
    ));
}

#[test]
fn ids_of_promises_count_up() {
    let (_first, one) = number();
    let (_second, other) = number();
    assert!(one.id() < other.id());
}

#[test]
fn futures_are_send_sync_and_unpin_whatever_they_hold() {
    fn promised<T: Send + Sync + Unpin>() {}
    type NotSend = *const std::rc::Rc<u8>;
    promised::<Future<NotSend>>();
    promised::<Promise<NotSend>>();
    promised::<super::super::Awaiting<'static, NotSend>>();
    promised::<super::super::AsCompleted<Future<NotSend>>>();
    promised::<super::super::AsCompletedTimeout<Future<NotSend>>>();
    promised::<super::super::WaitAsync<Future<NotSend>>>();
    promised::<super::super::Waited<Future<NotSend>>>();
}
