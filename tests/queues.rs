//! Queues between processes: as arguments and results of tasks, within other values, and on to a third process.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;
use procession::queue::GetError;
use procession::{Failure, ProcessPoolExecutor, Queue, TaskError};
use serde::{Deserialize, Serialize};

fn main() {
    support::run(|| {
        support::tests![
            a_child_that_comes_later_gets_what_was_put_before_and_after,
            a_child_drains_a_full_queue,
            a_join_waits_for_children,
            a_queue_goes_to_a_child_of_a_child,
            a_queue_travels_within_values_and_as_a_result,
            a_line_of_processes_loses_nothing,
            what_waits_in_another_process_is_woken,
            one_that_is_killed_loses_what_it_held,
            one_that_is_stopped_while_it_waits_keeps_nobody_from_an_item,
            one_that_is_stopped_while_it_waits_keeps_nobody_from_room,
            a_last_try_is_made_when_the_time_is_over,
            large_items_go_through,
            an_item_is_awaited_from_another_process,
            a_forked_process_awaits_an_item_and_room,
        ]
    });
}

fn pool(workers: usize) -> ProcessPoolExecutor {
    let pool = ProcessPoolExecutor::builder().max_workers(workers).build();
    pool.expect("a pool")
}

#[procession::task]
fn get_many(queue: Queue<u64>, count: usize) -> Result<Vec<u64>, Failure> {
    Ok(queue.iter().take(count).collect::<Result<_, _>>()?)
}

#[procession::task]
fn put_many(queue: Queue<(u64, u64)>, who: u64, count: u64) -> Result<(), Failure> {
    for number in 0..count {
        queue
            .put((who, number))
            .map_err(|error| error.without_value())?;
    }
    Ok(())
}

fn a_child_that_comes_later_gets_what_was_put_before_and_after() {
    let queue = Queue::unbounded().unwrap();
    for number in 0..10 {
        queue.put(number).unwrap();
    }
    let pool = pool(1);
    let got = pool.submit(get_many, (queue.clone(), 20)).unwrap();
    for number in 10..20 {
        queue.put(number).unwrap();
    }
    assert_eq!(got.wait().unwrap().unwrap(), (0..20).collect::<Vec<_>>());
    assert!(queue.is_empty());
}

fn a_child_drains_a_full_queue() {
    let queue = Queue::bounded(6).unwrap();
    for number in 0..6 {
        queue.try_put(number).unwrap();
    }
    assert!(queue.is_full());
    let got = pool(1).submit(get_many, (queue.clone(), 6)).unwrap();
    assert_eq!(got.wait().unwrap().unwrap(), [0, 1, 2, 3, 4, 5]);
    assert!(queue.is_empty() && !queue.is_full());
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
}

#[procession::task]
fn work(queue: Queue<u64>) -> Result<u64, Failure> {
    let mut done = 0;
    for item in &queue {
        item?;
        done += 1;
        queue.task_done()?;
    }
    Ok(done)
}

fn a_join_waits_for_children() {
    let queue = Queue::unbounded().unwrap();
    let pool = pool(4);
    let workers: Vec<_> = (0..4)
        .map(|_| pool.submit(work, queue.clone()).unwrap())
        .collect();
    for number in 0..10 {
        queue.put(number).unwrap();
    }
    queue.join().unwrap();
    assert_eq!(queue.unfinished(), 0);
    queue.close().unwrap();
    let done: u64 = workers
        .into_iter()
        .map(|worker| worker.wait().unwrap().unwrap())
        .sum();
    assert_eq!(done, 10);
    assert!(queue.task_done().is_err());
}

#[procession::task]
fn pass_on(queue: Queue<u64>, depth: u64) -> Result<u32, Failure> {
    if depth > 0 {
        let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
        pool.submit(pass_on, (queue.clone(), depth - 1))?.wait()??;
    }
    queue.put(depth).map_err(|error| error.without_value())?;
    Ok(std::process::id())
}

fn a_queue_goes_to_a_child_of_a_child() {
    let queue = Queue::unbounded().unwrap();
    pool(1)
        .submit(pass_on, (queue.clone(), 2))
        .unwrap()
        .wait()
        .unwrap()
        .unwrap();
    let came: Result<Vec<u64>, _> = (0..3).map(|_| queue.try_get()).collect();
    assert_eq!(came.unwrap(), [0, 1, 2]);
}

#[derive(Serialize, Deserialize)]
struct Line {
    name: String,
    stations: Vec<Option<Queue<String>>>,
}

#[procession::task]
fn extend(mut line: Line) -> Result<Line, Failure> {
    let word = line.stations.iter().flatten().next().map(Queue::get);
    let word = word.transpose()?.unwrap_or_default();
    let fresh = Queue::bounded(3)?;
    fresh
        .put(word + "!")
        .map_err(|error| error.without_value())?;
    line.stations.push(Some(fresh));
    line.name += " and more";
    Ok(line)
}

fn a_queue_travels_within_values_and_as_a_result() {
    let first = Queue::unbounded().unwrap();
    first.put("so".to_owned()).unwrap();
    let line = Line {
        name: "one".into(),
        stations: vec![Some(first.clone()), None],
    };
    let line = pool(1)
        .submit(extend, line)
        .unwrap()
        .wait()
        .unwrap()
        .unwrap();
    assert_eq!(line.name, "one and more");
    assert!(line.stations[0].as_ref().unwrap().is_same(&first));
    let fresh = line.stations[2].as_ref().unwrap();
    assert_eq!(fresh.capacity(), Some(3));
    assert_eq!(fresh.get().unwrap(), "so!");
}

#[procession::task]
fn carry(from: Queue<(u64, u64)>, to: Queue<(u64, u64)>) -> Result<(), Failure> {
    for item in &from {
        to.put(item?).map_err(|error| error.without_value())?;
    }
    Ok(())
}

fn a_line_of_processes_loses_nothing() {
    let (from, to) = (Queue::bounded(5).unwrap(), Queue::bounded(7).unwrap());
    let pool = pool(6);
    let carriers: Vec<_> = (0..3)
        .map(|_| pool.submit(carry, (from.clone(), to.clone())).unwrap())
        .collect();
    let putters: Vec<_> = (0..3)
        .map(|who| pool.submit(put_many, (from.clone(), who, 500)).unwrap())
        .collect();
    let mut seen = BTreeMap::<u64, BTreeSet<u64>>::new();
    for _ in 0..1500 {
        let (who, number) = to.get().unwrap();
        assert!(seen.entry(who).or_default().insert(number), "twice");
    }
    assert!(seen.values().all(|numbers| numbers.len() == 500) && seen.len() == 3);
    from.close().unwrap();
    for future in putters.into_iter().chain(carriers) {
        future.wait().unwrap().unwrap();
    }
    assert!(to.is_empty());
}

#[procession::task]
fn wait_for_the_end(queue: Queue<u64>) -> bool {
    matches!(queue.get(), Err(GetError::Closed))
}

fn what_waits_in_another_process_is_woken() {
    let queue = Queue::unbounded().unwrap();
    let pool = pool(3);
    let waiters: Vec<_> = (0..3)
        .map(|_| pool.submit(wait_for_the_end, queue.clone()).unwrap())
        .collect();
    support::until("them to run", || {
        waiters.iter().all(|waiter| waiter.is_running())
    });
    queue.close().unwrap();
    assert!(waiters.into_iter().all(|waiter| waiter.wait().unwrap()));
}

#[procession::task]
fn get_and_die(queue: Queue<u64>) -> u64 {
    let item = queue.get();
    support::signal(std::process::id(), libc::SIGKILL);
    item.unwrap_or(0)
}

fn one_that_is_killed_loses_what_it_held() {
    let queue = Queue::unbounded().unwrap();
    let pool = pool(2);
    let dies = pool.submit(get_and_die, queue.clone()).unwrap();
    support::until("it to run", || dies.is_running());
    queue.put(1).unwrap();
    assert!(matches!(dies.wait(), Err(TaskError::WorkerLost(_))));
    queue.put(2).unwrap();
    let got = pool.submit(get_many, (queue.clone(), 1)).unwrap();
    assert_eq!(got.wait().unwrap().unwrap(), [2]);
    // One that waits, and is killed there.
    let waits = pool.submit(wait_for_the_end, queue.clone()).unwrap();
    support::until("it to run", || waits.is_running());
    waits.kill();
    assert!(waits.wait().is_err());
    queue.put(3).unwrap();
    assert_eq!(queue.get_timeout(Duration::from_secs(30)).unwrap(), 3);
}

#[procession::task]
fn get_one(pids: Queue<u32>, queue: Queue<u64>) -> Result<u64, Failure> {
    pids.put(std::process::id())
        .map_err(|error| error.without_value())?;
    Ok(queue.get()?)
}

#[procession::task]
fn put_one(pids: Queue<u32>, queue: Queue<u64>, item: u64) -> Result<(), Failure> {
    pids.put(std::process::id())
        .map_err(|error| error.without_value())?;
    queue.put(item).map_err(|error| error.without_value())?;
    Ok(())
}

/// Until the main thread of a process sleeps on a word of memory: here, until it waits at a queue.
fn until_it_sleeps(pid: u32) {
    support::until("it to sleep", || {
        std::fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|at| at.contains("futex"))
    });
}

fn stop(pid: u32) {
    support::signal(pid, libc::SIGSTOP);
    support::until("it to stop", || support::state_of(pid) == Some('T'));
}

fn one_that_is_stopped_while_it_waits_keeps_nobody_from_an_item() {
    let (pids, queue) = (Queue::unbounded().unwrap(), Queue::unbounded().unwrap());
    let pool = pool(2);
    let first = pool.submit(get_one, (pids.clone(), queue.clone())).unwrap();
    let stopped = pids.get().unwrap();
    until_it_sleeps(stopped);
    stop(stopped);
    let second = pool.submit(get_one, (pids.clone(), queue.clone())).unwrap();
    until_it_sleeps(pids.get().unwrap());
    queue.put(1).unwrap();
    support::awaiting("the one that runs");
    assert_eq!(second.wait().unwrap().unwrap(), 1);
    assert!(matches!(
        queue.get_timeout(Duration::from_millis(1)),
        Err(GetError::Empty)
    ));
    queue.put(2).unwrap();
    assert_eq!(queue.get().unwrap(), 2);
    queue.put(3).unwrap();
    support::signal(stopped, libc::SIGCONT);
    support::awaiting("the one that was stopped");
    assert_eq!(first.wait().unwrap().unwrap(), 3);
}

fn one_that_is_stopped_while_it_waits_keeps_nobody_from_room() {
    let (pids, queue) = (Queue::unbounded().unwrap(), Queue::bounded(1).unwrap());
    queue.put(0).unwrap();
    let pool = pool(2);
    let first = pool
        .submit(put_one, (pids.clone(), queue.clone(), 1))
        .unwrap();
    let stopped = pids.get().unwrap();
    until_it_sleeps(stopped);
    stop(stopped);
    let second = pool
        .submit(put_one, (pids.clone(), queue.clone(), 2))
        .unwrap();
    until_it_sleeps(pids.get().unwrap());
    assert_eq!(queue.get().unwrap(), 0);
    support::awaiting("the one that runs");
    second.wait().unwrap().unwrap();
    assert_eq!(queue.get().unwrap(), 2);
    support::signal(stopped, libc::SIGCONT);
    support::awaiting("the one that was stopped");
    first.wait().unwrap().unwrap();
    assert_eq!(queue.get().unwrap(), 1);
}

/// Somebody waits, is stopped, and something comes: whoever has a time limit gets it, or puts it.
fn a_last_try_is_made_when_the_time_is_over() {
    let (pids, queue) = (Queue::unbounded().unwrap(), Queue::bounded(1).unwrap());
    let pool = pool(1);
    let first = pool.submit(get_one, (pids.clone(), queue.clone())).unwrap();
    let stopped = pids.get().unwrap();
    until_it_sleeps(stopped);
    stop(stopped);
    let sleepers = || {
        let threads = support::threads();
        let sleep = threads.iter().filter(|thread| thread.sleeps_in("futex"));
        sleep.count()
    };
    let before = sleepers();
    let waiter = std::thread::spawn({
        let queue = queue.clone();
        move || queue.get_timeout(Duration::from_millis(500))
    });
    support::until("the thread to sleep", || sleepers() > before);
    queue.put(1).unwrap();
    assert_eq!(waiter.join().unwrap().unwrap(), 1);
    queue.put(2).unwrap();
    support::signal(stopped, libc::SIGCONT);
    assert_eq!(first.wait().unwrap().unwrap(), 2);
}

#[procession::task]
fn reverse(from: Queue<Vec<u8>>, to: Queue<Vec<u8>>) -> Result<(), Failure> {
    for item in &from {
        let mut item = item?;
        item.reverse();
        to.put(item).map_err(|error| error.without_value())?;
    }
    Ok(())
}

fn large_items_go_through() {
    let (from, to) = (Queue::bounded(2).unwrap(), Queue::bounded(2).unwrap());
    let pool = pool(1);
    let worker = pool.submit(reverse, (from.clone(), to.clone())).unwrap();
    for len in [1 << 20, 5, 24 << 20, (1 << 16) - 8, 1] {
        let item: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        from.put(item.clone()).unwrap();
        let mut back = to.get().unwrap();
        back.reverse();
        assert!(back == item, "{len}");
    }
    from.close().unwrap();
    worker.wait().unwrap().unwrap();
}

fn an_item_is_awaited_from_another_process() {
    let queue = Queue::bounded(1).unwrap();
    let pool = pool(1);
    let putter = pool.submit(put_many, (queue.clone(), 9, 50)).unwrap();
    for number in 0..50 {
        assert_eq!(block_on(queue.get_async()).unwrap(), (9, number));
    }
    putter.wait().unwrap().unwrap();
    drop(queue);
}

/// Both have to wait first.
fn awaits(queue: &Queue<u64>) {
    block_on(async {
        let get = async { queue.get_async().await.unwrap() };
        let put = async { queue.put_async(7).await.unwrap() };
        assert_eq!(futures::join!(get, put).0, 7);
        queue.put_async(8).await.unwrap();
        let put = async { queue.put_async(9).await.unwrap() };
        let get = async { queue.get_async().await.unwrap() };
        assert_eq!(futures::join!(put, get).1, 8);
        assert_eq!(queue.get_async().await.unwrap(), 9);
    });
}

fn a_forked_process_awaits_an_item_and_room() {
    let queue = Queue::bounded(1).unwrap();
    awaits(&queue);
    let mut waits = Some(Box::pin(queue.get_async()));
    assert!(waits.as_mut().unwrap().now_or_never().is_none());
    support::awaiting("a process that was forked off, and awaits");
    let code = support::in_a_fork(|| {
        awaits(&queue);
        drop(waits.take());
    });
    assert_eq!(code, 0);
    queue.put(1).unwrap();
    assert_eq!(block_on(waits.unwrap()).unwrap(), 1);
    awaits(&queue);
}
