//! Waiting, awaiting, callbacks, cancelling.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use ::futures::executor::block_on;
use ::futures::{join, poll};
use procession::{
    Completes, Executor, ExecutorExt as _, Future, InlineExecutor, ProcessPoolExecutor, Promise,
    ReturnWhen, TaskError, ThreadPoolExecutor, as_completed, wait, wait_async,
};

use super::support::{self, GateKeeper, awaiting};
use super::tasks::*;
use super::{On, Subject, Test};

pub(crate) fn tests() -> Vec<Test> {
    let every = super::tests![On::Every;
        a_result_can_be_asked_for_again,
        a_callback_is_called_once_with_the_result,
        a_callback_added_after_the_end_is_called_at_once_by_the_caller,
        a_callback_that_panics_hurts_nobody,
        a_callback_may_submit,
        what_has_ended_cannot_be_cancelled,
        a_future_that_is_dropped_detaches_its_task,
        futures_can_be_awaited_in_any_runtime,
        every_error_can_be_awaited,
        the_end_of_all_is_waited_for,
        as_completed_yields_each_future_once,
        a_first_exception_ends_the_waiting,
    ];
    let background = super::tests![On::Background;
        a_timeout_of_a_wait_leaves_the_task_alone,
        a_thread_in_wait_is_woken_by_the_end,
        running_is_what_has_begun,
        a_task_that_has_not_begun_can_be_cancelled,
        a_task_that_runs_is_not_cancelled,
        a_thread_in_wait_is_woken_by_a_cancel,
        abort_on_drop_cancels,
        the_first_completed_ends_the_waiting,
        as_completed_follows_the_order_of_the_ends,
        as_completed_says_how_many_are_unfinished_when_time_is_up,
        several_tasks_await_one_future_and_leave_it_alone,
        the_last_handle_may_go_in_a_callback,
    ];
    every.into_iter().chain(background).collect()
}

/// Some runtimes start threads that stay for as long as the process.
pub(crate) fn warm_up_runtimes() {
    smol::block_on(async {
        smol::spawn(async {}).await;
        smol::Timer::after(Duration::ZERO).await;
    });
}

/// As many tasks at a gate as there are workers, all begun: what is submitted next waits.
fn occupy(executor: &dyn Executor, keeper: &GateKeeper) -> Vec<Future<u32>> {
    let count = executor.max_workers();
    let futures = (0..count as u32).map(|label| executor.submit(pass, (keeper.gate(), label)));
    let futures = futures.collect::<Result<_, _>>().unwrap();
    keeper.arrivals(count);
    futures
}

fn a_result_can_be_asked_for_again(subject: Subject) {
    let executor = subject.executor();
    let future = executor.submit(echo, "again".to_owned()).unwrap();
    assert_eq!(future.wait().unwrap(), "again");
    assert_eq!(
        future.wait_timeout(Duration::ZERO).unwrap().unwrap(),
        "again"
    );
    assert!(future.is_done() && !future.is_running() && !future.is_cancelled());
    assert_eq!(block_on(async { (&future).await }).unwrap(), "again");
    assert_eq!(block_on(future).unwrap(), "again");
}

fn a_callback_is_called_once_with_the_result(subject: Subject) {
    let executor = subject.executor();
    let (sender, receiver) = mpsc::channel();
    for argument in [8, 7] {
        let sender = sender.clone();
        let future = executor.submit(half, argument).unwrap();
        future.on_done(move |result| sender.send(result.unwrap()).unwrap());
    }
    let future = executor.submit(panics, "heard".to_owned()).unwrap();
    future.on_done(move |result| {
        let error = result.unwrap_err();
        sender.send(Err(text(error))).unwrap();
    });
    awaiting("the callbacks");
    let mut heard: Vec<_> = receiver.iter().collect();
    heard.sort();
    assert_eq!(heard.len(), 3);
    assert_eq!(heard[0], Ok(4));
    assert_eq!(heard[1], Err("7 is odd".into()));
    assert!(heard[2].as_ref().unwrap_err().contains("heard"));
}

fn a_callback_added_after_the_end_is_called_at_once_by_the_caller(subject: Subject) {
    let executor = subject.executor();
    let future = executor.submit(double, 4).unwrap();
    future.wait().unwrap();
    let called_by = Arc::new(Mutex::new(None));
    future.on_done({
        let called_by = called_by.clone();
        move |result| *called_by.lock().unwrap() = Some((thread::current().id(), result.unwrap()))
    });
    assert_eq!(
        *called_by.lock().unwrap(),
        Some((thread::current().id(), 8))
    );
}

fn a_callback_that_panics_hurts_nobody(subject: Subject) {
    let executor = subject.executor();
    let (sender, receiver) = mpsc::channel();
    let future = executor.submit(double, 4).unwrap();
    future.on_done(|_| panic!("in a callback"));
    future.on_done(move |result| sender.send(result.unwrap()).unwrap());
    awaiting("the second callback");
    assert_eq!(receiver.recv(), Ok(8));
    assert_eq!(future.wait().unwrap(), 8);
    assert_eq!(executor.submit(double, 5).unwrap().wait().unwrap(), 10);
}

fn a_callback_may_submit(subject: Subject) {
    let executor: Arc<dyn Executor> = subject.executor().into();
    let (sender, receiver) = mpsc::channel();
    let future = executor.submit(double, 4).unwrap();
    future.on_done({
        let executor = executor.clone();
        move |result| {
            let next = executor.submit(double, result.unwrap()).unwrap();
            // It may even wait for it: other threads bring the result.
            sender.send(next.wait().unwrap()).unwrap();
        }
    });
    awaiting("the callback's task");
    assert_eq!(receiver.recv(), Ok(16));
    support::until("the callback to let the executor go", || {
        Arc::strong_count(&executor) == 1
    });
}

fn the_last_handle_may_go_in_a_callback(subject: Subject) {
    let executor: Arc<dyn Executor> = subject.executor().into();
    let keeper = GateKeeper::new();
    let (sender, receiver) = mpsc::channel();
    let future = executor.submit(pass, (keeper.gate(), 1)).unwrap();
    let last = executor.submit(double, 21).unwrap();
    future.on_done({
        let executor = executor.clone();
        move |_| {
            drop(executor);
            sender.send(()).unwrap();
        }
    });
    drop(executor);
    keeper.open(1);
    awaiting("the callback");
    receiver.recv().unwrap();
    assert_eq!(last.wait().unwrap(), 42);
    support::until("the workers to end", || support::children().is_empty());
}

fn what_has_ended_cannot_be_cancelled(subject: Subject) {
    let executor = subject.executor();
    let value = executor.submit(double, 4).unwrap();
    value.wait().unwrap();
    assert!(!value.cancel() && !value.is_cancelled());
    assert_eq!(value.wait().unwrap(), 8);
    let failed = executor.submit(panics, "kept".to_owned()).unwrap();
    failed.wait().unwrap_err();
    assert!(!failed.cancel());
    assert!(matches!(failed.error(), Some(TaskError::Panicked(_))));
}

fn a_future_that_is_dropped_detaches_its_task(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    for line in 0..20 {
        drop(executor.submit(note, (keeper.log(), line)).unwrap());
    }
    drop(executor);
    assert_eq!(keeper.log().lines().len(), 20);
}

fn futures_can_be_awaited_in_any_runtime(subject: Subject) {
    let executor = &*subject.executor();
    let sum = || async {
        let futures: Vec<_> = (0..10)
            .map(|n| executor.submit(double, n).unwrap())
            .collect();
        let mut sum = 0;
        for future in futures {
            sum += future.await.unwrap();
        }
        let other = executor.submit_async(asynchronous, 1).await.unwrap();
        sum + u64::from(other.await.unwrap())
    };
    awaiting("block_on of futures");
    assert_eq!(block_on(sum()), 92);
    awaiting("tokio with one thread");
    let tokio = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    assert_eq!(tokio.block_on(sum()), 92);
    drop(tokio);
    awaiting("tokio with two threads");
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let spawned: Vec<_> = (0..10)
        .map(|n| tokio.spawn(executor.submit(double, n).unwrap()))
        .collect();
    for (n, task) in (0..).zip(spawned) {
        assert_eq!(tokio.block_on(task).unwrap().unwrap(), 2 * n);
    }
    drop(tokio);
    awaiting("smol");
    assert_eq!(smol::block_on(sum()), 92);
    let future = executor.submit(double, 4).unwrap();
    let spawned = smol::spawn(future);
    assert_eq!(smol::block_on(spawned).unwrap(), 8);
}

fn every_error_can_be_awaited(subject: Subject) {
    let executor = subject.executor();
    block_on(async {
        let panicked = executor.submit(panics, "awaited".to_owned()).unwrap().await;
        assert!(matches!(panicked, Err(TaskError::Panicked(_))));
        let lost = executor.submit(make_lost, true).unwrap().await;
        assert!(matches!(lost, Err(TaskError::ResultNotDecoded { .. })));
        let unencoded = executor.submit(make_stubborn, true).unwrap().await;
        assert!(matches!(unencoded, Err(TaskError::ResultNotEncoded { .. })));
    });
}

fn the_end_of_all_is_waited_for(subject: Subject) {
    let executor = subject.executor();
    let futures: Vec<_> = (0..20).map(|n| executor.submit(half, n).unwrap()).collect();
    let twice = futures.iter().chain(&futures);
    let waited = wait(twice, ReturnWhen::AllCompleted, None);
    assert_eq!((waited.done.len(), waited.not_done.len()), (20, 0));
    assert!(futures.iter().all(Future::is_done));
    let waited = block_on(wait_async(&futures, ReturnWhen::AllCompleted, None));
    assert_eq!(waited.done.len(), 20);
    let none = wait(Vec::<Future<u8>>::new(), ReturnWhen::AllCompleted, None);
    assert_eq!((none.done.len(), none.not_done.len()), (0, 0));
}

fn as_completed_yields_each_future_once(subject: Subject) {
    let executor = subject.executor();
    let ended = executor.submit(double, 100).unwrap();
    ended.wait().unwrap();
    let futures: Vec<_> = (0..20)
        .map(|n| executor.submit(double, n).unwrap())
        .collect();
    let all = || futures.iter().chain([&ended]).chain(&futures);
    let mut values: Vec<u64> = as_completed(all())
        .map(|future| future.wait().unwrap())
        .collect();
    values.sort_unstable();
    let expected: Vec<u64> = (0..20).map(|n| 2 * n).chain([200]).collect();
    assert_eq!(values, expected);
    // The stream, with keys.
    let keyed = (0..20).map(|n| (n, executor.submit(double, n).unwrap()));
    let stream = as_completed(keyed.collect::<Vec<_>>()).stream();
    let pairs: Vec<_> = {
        use ::futures::StreamExt as _;
        block_on(stream.then(async |(n, future)| (n, future.await)).collect())
    };
    assert_eq!(pairs.len(), 20);
    assert!(pairs.into_iter().all(|(n, value)| value.unwrap() == 2 * n));
}

fn a_first_exception_ends_the_waiting(subject: Subject) {
    let executor = subject.executor();
    let fine = executor.submit(double, 4).unwrap();
    fine.wait().unwrap();
    let failed = executor.submit(panics, "first".to_owned()).unwrap();
    let (_promise, pending) = Promise::<u8>::new();
    let all: [&dyn Completes; 3] = [&fine, &failed, &pending];
    let waited = wait(all, ReturnWhen::FirstException, None);
    assert_eq!((waited.done.len(), waited.not_done.len()), (2, 1));
    // At once, where one has failed already.
    let waited = wait(all, ReturnWhen::FirstException, None);
    assert_eq!(waited.done.len(), 2);
}

fn a_timeout_of_a_wait_leaves_the_task_alone(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let future = executor.submit(pass, (keeper.gate(), 7)).unwrap();
    assert!(future.wait_timeout(Duration::ZERO).is_none());
    assert!(future.wait_timeout(Duration::from_millis(20)).is_none());
    let waited = wait(
        [&future],
        ReturnWhen::AllCompleted,
        Duration::from_millis(20),
    );
    assert_eq!((waited.done.len(), waited.not_done.len()), (0, 1));
    keeper.open(1);
    assert_eq!(future.wait().unwrap(), 7);
    assert_eq!(future.wait_timeout(Duration::MAX).unwrap().unwrap(), 7);
}

fn a_thread_in_wait_is_woken_by_the_end(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let future = &executor.submit(pass, (keeper.gate(), 7)).unwrap();
    keeper.arrival();
    thread::scope(|scope| {
        let waiting = [(); 4].map(|()| scope.spawn(|| future.wait().unwrap()));
        keeper.open(1);
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), 7);
        }
    });
}

fn running_is_what_has_begun(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let running = occupy(&*executor, &keeper);
    let queued = executor.submit(double, 4).unwrap();
    assert!(running.iter().all(Future::is_running));
    assert!(!queued.is_running() && !queued.is_done());
    keeper.open(running.len());
    assert_eq!(queued.wait().unwrap(), 8);
    for future in &running {
        future.wait().unwrap();
        assert!(!future.is_running());
    }
}

fn a_task_that_has_not_begun_can_be_cancelled(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let running = occupy(&*executor, &keeper);
    let queued: Vec<_> = (0..10)
        .map(|line| executor.submit(note, (keeper.log(), line)).unwrap())
        .collect();
    let (sender, receiver) = mpsc::channel();
    queued[3].on_done(move |result| sender.send(result).unwrap());
    for future in queued.iter().skip(1).step_by(2) {
        assert!(future.cancel());
        assert!(future.is_cancelled() && future.is_done());
        assert!(matches!(future.wait(), Err(TaskError::Cancelled { .. })));
        assert!(future.cancel(), "it is cancelled, so this says so again");
    }
    awaiting("the callback of the cancelled one");
    assert!(matches!(
        receiver.recv(),
        Ok(Err(TaskError::Cancelled { .. }))
    ));
    keeper.open(running.len());
    for future in queued.iter().step_by(2) {
        future.wait().unwrap();
    }
    drop(executor);
    assert_eq!(keeper.log().sorted(), ["0", "2", "4", "6", "8"]);
}

fn a_task_that_runs_is_not_cancelled(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let future = executor.submit(pass, (keeper.gate(), 7)).unwrap();
    keeper.arrival();
    assert!(!future.cancel());
    assert!(future.is_running() && !future.is_cancelled());
    keeper.open(1);
    assert_eq!(future.wait().unwrap(), 7);
}

fn a_thread_in_wait_is_woken_by_a_cancel(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let running = occupy(&*executor, &keeper);
    let queued = &executor.submit(double, 4).unwrap();
    thread::scope(|scope| {
        let waiting = [(); 4].map(|()| scope.spawn(|| queued.wait()));
        assert!(queued.cancel());
        awaiting("the waiters of the cancelled task");
        for thread in waiting {
            assert!(matches!(
                thread.join().unwrap(),
                Err(TaskError::Cancelled { .. })
            ));
        }
    });
    keeper.open(running.len());
}

fn abort_on_drop_cancels(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let running = occupy(&*executor, &keeper);
    let queued = executor.submit(note, (keeper.log(), 1)).unwrap();
    drop(queued.abort_on_drop());
    keeper.open(running.len());
    drop(executor);
    assert!(keeper.log().lines().is_empty());
}

fn the_first_completed_ends_the_waiting(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let blocked = executor.submit(pass, (keeper.gate(), 1)).unwrap();
    keeper.arrival();
    let (promise, other) = Promise::<u64>::new();
    let all: [&(dyn Completes + Sync); 2] = [&blocked, &other];
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(all, ReturnWhen::FirstCompleted, None).done.len());
        assert!(promise.complete(Ok(1)));
        awaiting("the wait for the first");
        assert_eq!(waiting.join().unwrap(), 1);
    });
    let waited = wait(all, ReturnWhen::FirstCompleted, None);
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    keeper.open(1);
    let waited = wait([&blocked], ReturnWhen::FirstCompleted, None);
    assert_eq!(waited.done.len(), 1);
}

fn as_completed_follows_the_order_of_the_ends(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let first = executor.submit(pass, (keeper.gate(), 1)).unwrap();
    keeper.arrival();
    let second = if subject.workers() > 1 {
        executor.submit(pass_or_not, (None, 2)).unwrap()
    } else {
        let second = executor.submit(pass_or_not, (None, 2)).unwrap();
        second.cancel();
        second
    };
    let mut ended = as_completed([("first", first), ("second", second)]);
    awaiting("the second to come first");
    assert_eq!(ended.next().unwrap().0, "second");
    keeper.open(1);
    assert_eq!(ended.next().unwrap().0, "first");
    assert!(ended.next().is_none() && ended.next().is_none());
}

fn as_completed_says_how_many_are_unfinished_when_time_is_up(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let mut futures: Vec<_> = (0..2)
        .map(|label| executor.submit(pass_or_not, (None, label)).unwrap())
        .collect();
    for future in &futures {
        future.wait().unwrap();
    }
    for label in 2..4 {
        futures.push(
            executor
                .submit(pass_or_not, (Some(keeper.gate()), label))
                .unwrap(),
        );
    }
    for timeout in [Duration::ZERO, Duration::from_millis(20)] {
        let mut ended = as_completed(&futures).timeout(timeout);
        assert!(ended.next().unwrap().is_ok());
        assert!(ended.next().unwrap().is_ok());
        let error = ended.next().unwrap().unwrap_err();
        assert_eq!(text(error), "2 (of 4) futures unfinished");
        assert!(ended.next().is_none());
    }
    let stream = as_completed(&futures)
        .timeout(Duration::from_millis(20))
        .stream();
    let items: Vec<_> = block_on(::futures::StreamExt::collect(stream));
    assert_eq!(items.len(), 3);
    assert!(matches!(
        items[2],
        Err(TaskError::TimedOut {
            unfinished: 2,
            total: 4
        })
    ));
    keeper.open(2);
}

fn several_tasks_await_one_future_and_leave_it_alone(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let future = executor.submit(pass, (keeper.gate(), 7)).unwrap();
    block_on(async {
        let mut leaving = Box::pin(async { (&future).await });
        assert!(poll!(&mut leaving).is_pending());
        drop(leaving);
        keeper.open(1);
        let (one, other) = join!(async { (&future).await }, async { (&future).await });
        assert_eq!((one.unwrap(), other.unwrap()), (7, 7));
    });
}

pub(crate) fn futures_of_several_executors_go_together() {
    let processes = ProcessPoolExecutor::builder()
        .max_workers(2)
        .build()
        .unwrap();
    let threads = ThreadPoolExecutor::with_max_workers(2).unwrap();
    let inline = InlineExecutor::new();
    let executors: [&dyn Executor; 3] = [&processes, &threads, &inline];
    let futures: Vec<_> = (0..30)
        .map(|n| executors[n as usize % 3].submit(double, n).unwrap())
        .collect();
    let waited = wait(&futures, ReturnWhen::AllCompleted, None);
    assert_eq!(waited.done.len(), 30);
    let (promise, by_hand) = Promise::new();
    promise.complete(Ok(1000));
    let futures = (0..30).map(|n| executors[n as usize % 3].submit(double, n).unwrap());
    let called = Arc::new(AtomicUsize::new(0));
    let sum: u64 = as_completed(futures.chain([by_hand]))
        .map(|future| {
            let called = called.clone();
            future.on_done(move |_| {
                called.fetch_add(1, Ordering::SeqCst);
            });
            future.wait().unwrap()
        })
        .sum();
    assert_eq!(sum, 2 * (29 * 30 / 2) + 1000);
    assert_eq!(called.load(Ordering::SeqCst), 31);
    let both = async {
        let one = processes.submit(double, 1).unwrap();
        let other = threads.submit(double, 2).unwrap();
        let (one, other) = join!(one, other);
        one.unwrap() + other.unwrap()
    };
    assert_eq!(block_on(both), 6);
}
