//! What executors once got wrong, each as a test of its own: moments that meet seldom, made to meet
//! where that can be done, and tried often where it cannot.

mod support;

use std::future::Future as _;
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::Stream as _;
use procession::{
    Executor, ExecutorExt as _, InlineExecutor, Kill, OutputLine, ProcessPoolExecutor, Shutdown,
    Stdio, SubmitError, TaskError, ThreadPoolExecutor, TimeLimitKind,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};
use support::{Gate, GateKeeper, Log, awaiting, signal, state_of, until};

fn main() {
    support::run(|| {
        support::tests![
            two_shutdowns_at_once_both_return,
            a_shutdown_leaves_nothing_to_come,
            a_shutdown_waits_for_what_another_one_has_to_tell,
            a_shutdown_by_a_waker_does_not_wait_for_itself,
            a_drop_by_a_waker_does_not_wait_for_the_thread_that_called_it,
            a_shutdown_by_a_waker_for_room_does_not_wait_for_its_thread,
            a_shutdown_by_a_waker_of_another_pool_waits,
            a_shutdown_by_a_task_of_threads_does_not_wait_for_itself,
            a_shutdown_by_a_callback_waits_for_the_other_tasks,
            a_kill_ends_a_task_that_left_its_group,
            a_drop_in_a_panic_ends_a_task_that_left_its_group,
            a_kill_does_not_wait_for_an_initializer,
            a_kill_meets_a_replacement_at_any_moment,
            the_only_worker_comes_back_when_descriptors_do,
            a_waker_that_panics_harms_nobody,
            whoever_waited_finds_room,
            an_item_of_a_chunk_is_given_while_later_ones_run,
            a_death_between_two_items_costs_at_most_one,
            a_death_in_a_chunk_costs_the_item_that_ran,
            a_failed_item_fits_beside_results,
            cancelled_items_fit_into_frames,
            a_cancelled_chunk_does_not_go_on_elsewhere,
            a_late_map_says_so_with_nothing_submitted,
            an_endless_map_of_refused_items_gives_them_one_by_one,
            a_map_that_has_ended_keeps_no_room,
            items_left_out_at_a_deadline_were_not_cancelled,
            a_line_of_an_item_is_not_cut_by_the_end_of_the_one_before,
            a_line_of_a_task_is_not_cut_by_one_that_was_taken_back,
            what_has_been_cancelled_is_cancelled_whatever_is_printed,
        ]
    });
}

// ---- tasks ----

/// A hundred bytes, or a panic that says more.
#[procession::task]
fn fill_or_panic(item: u8) -> String {
    assert!(item != 20, "{}", "no ".repeat(1500));
    "x".repeat(100)
}

static GATE: std::sync::OnceLock<Gate> = std::sync::OnceLock::new();

/// What the next call of `pass_kept_gate` here waits at.
#[procession::task]
fn keep_gate(gate: Gate) -> u32 {
    GATE.get_or_init(|| gate);
    std::process::id()
}

/// Waits at the gate, the first time.
#[procession::task]
fn pass_kept_gate() {
    static IS_PASSED: std::sync::Once = std::sync::Once::new();
    IS_PASSED.call_once(|| GATE.get().expect("a gate").pass(0));
}

#[procession::task]
fn echo(n: u64) -> u64 {
    n
}

#[procession::task]
fn pid() -> u32 {
    std::process::id()
}

#[procession::task]
fn die() {
    signal(std::process::id(), libc::SIGKILL);
}

#[procession::task]
fn hang() {
    loop {
        thread::park();
    }
}

#[procession::task]
fn pass(gate: Gate, label: u32) -> u32 {
    gate.pass(label);
    label
}

/// An initializer.
#[procession::task]
fn prepare(gate: Gate) {
    gate.pass(0);
}

/// Goes over to the group of the process that started this one, and never ends by itself.
#[procession::task]
fn leave_group(gate: Gate) {
    let group = rustix::process::getpgid(rustix::process::getppid()).expect("the driver's group");
    rustix::process::setpgid(None, Some(group)).expect("to join the driver's group");
    gate.arrive(0);
    hang();
}

/// An item of a chunk.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Step {
    /// Runs for that many microseconds. A chunk sends what it has after 1000.
    Spin(u64),
    Pass(Gate),
    Note(Log),
    /// Lets others have the processor first.
    GiveWay,
    /// Goes on until it is asked to stop.
    Heed,
    /// Prints this, with a pause before its last letter.
    Print(String),
    Nothing,
    Die,
}

/// So many bytes; no process has all of them.
#[procession::task]
fn fill_or_die(size: usize) -> Vec<u8> {
    if size == usize::MAX {
        signal(std::process::id(), libc::SIGKILL);
    }
    vec![7; size]
}

#[procession::task]
fn step(step: Step) -> u32 {
    match step {
        Step::Spin(microseconds) => spin(microseconds),
        Step::Pass(gate) => gate.pass(0),
        Step::Note(log) => log.add("ran"),
        Step::GiveWay => {
            let idle = libc::sched_param { sched_priority: 0 };
            // SAFETY: it reads what is there for the length of the call.
            let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &idle) };
            assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        }
        Step::Heed => {
            while !procession::is_cancelled() {
                thread::yield_now();
            }
        }
        Step::Print(mut text) => {
            let last = text.pop();
            eprint!("{text}");
            spin(1050);
            eprintln!("{}", last.unwrap_or_default());
        }
        Step::Nothing => {}
        Step::Die => signal(std::process::id(), libc::SIGKILL),
    }
    std::process::id()
}

fn spin(microseconds: u64) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(microseconds) {
        std::hint::spin_loop();
    }
}

static OWN: Mutex<Option<Arc<ThreadPoolExecutor>>> = Mutex::new(None);

/// Shuts down the executor that runs it; says whether it was told of an unfinished task.
#[procession::task]
fn shut_down_own_executor() -> bool {
    let own = OWN.lock().unwrap().clone().expect("an executor");
    own.shutdown(Shutdown::Wait, None).is_err()
}

// ---- helpers ----

fn pool(workers: usize) -> ProcessPoolExecutor {
    let builder = ProcessPoolExecutor::builder().max_workers(workers);
    builder.build().unwrap()
}

/// A waker that does something, the first time.
struct Call(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        let call = self.0.lock().unwrap().take();
        if let Some(call) = call {
            call();
        }
    }
}

fn waker(call: impl FnOnce() + Send + 'static) -> Waker {
    Waker::from(Arc::new(Call(Mutex::new(Some(Box::new(call))))))
}

/// A waker that panics, without a word on the standard error.
fn panicking_waker() -> Waker {
    waker(|| panic::resume_unwind(Box::new("a waker panics")))
}

fn was_shut_down<T: std::fmt::Debug>(result: Result<T, TaskError>) -> bool {
    match result {
        Err(TaskError::ShutDown { .. }) => true,
        other => panic!("{other:?}"),
    }
}

// ---- shutdown ----

fn two_shutdowns_at_once_both_return() {
    for round in 0..50 {
        awaiting(format!("both shutdowns of round {round}"));
        let pool = pool(2);
        let futures = [(); 6].map(|()| pool.submit(hang, ()).unwrap());
        thread::scope(|scope| {
            for future in &futures {
                scope.spawn(|| assert!(was_shut_down(future.wait())));
            }
            scope.spawn(|| {
                // The deadline makes a third of it. Whether it passes first is not said.
                let deadline = (round % 2 == 0).then(|| Duration::from_millis(round % 5));
                let ended = pool.shutdown(Shutdown::Wait, deadline);
                assert!(deadline.is_some() || ended.is_ok());
            });
            scope.spawn(|| pool.shutdown(Shutdown::Kill, None).unwrap());
        });
        assert_eq!(pool.pending(), 0);
    }
}

/// Whoever else waits for the tasks, and reads their results.
fn a_shutdown_leaves_nothing_to_come() {
    for round in 0..150 {
        awaiting(format!("the shutdown of round {round}"));
        let pool = pool(1);
        let futures = [0, 1, 2].map(|n| pool.submit(echo, n).unwrap());
        let called = Arc::new(AtomicUsize::new(0));
        for future in &futures {
            let called = called.clone();
            future.on_done(move |_| {
                called.fetch_add(1, Ordering::SeqCst);
            });
        }
        thread::scope(|scope| {
            for future in &futures {
                scope.spawn(|| future.wait().unwrap());
            }
            pool.shutdown(Shutdown::Wait, None).unwrap();
            let done = futures.iter().filter(|future| future.is_done()).count();
            let called = called.load(Ordering::SeqCst);
            assert_eq!((done, called, pool.pending()), (3, 3, 0), "round {round}");
        });
    }
}

/// Another thread cancels what is queued, and is held up in the first waker, while the last worker
/// ends.
fn a_shutdown_waits_for_what_another_one_has_to_tell() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let running = pool.submit(pass, (keeper.gate(), 0)).unwrap();
    let worker = keeper.arrival().pid;
    let mut first = Box::pin(pool.submit(echo, 1).unwrap());
    let rest = [2, 3].map(|n| pool.submit(echo, n).unwrap());
    let (sender, news) = mpsc::channel();
    let waker = waker(move || {
        sender.send(()).unwrap();
        until("the worker to end", || state_of(worker).is_none());
        // A shutdown that did not wait for this would return now.
        spin(20_000);
    });
    let mut context = Context::from_waker(&waker);
    assert!(first.as_mut().poll(&mut context).is_pending());
    thread::scope(|scope| {
        scope.spawn(|| pool.shutdown(Shutdown::CancelPending, None).unwrap());
        awaiting("the first waker");
        news.recv().unwrap();
        keeper.open(1);
        awaiting("the shutdown");
        pool.shutdown(Shutdown::Wait, None).unwrap();
        let are_done = first.is_done() && rest.iter().all(|future| future.is_done());
        assert!(are_done && running.is_done());
        assert_eq!(pool.pending(), 0);
    });
}

/// Nobody waits for the future: the waker is called by the thread that the pool's end needs.
fn a_shutdown_by_a_waker_does_not_wait_for_itself() {
    let pool = Arc::new(pool(1));
    let keeper = GateKeeper::new();
    let mut future = pin!(pool.submit(pass, (keeper.gate(), 0)).unwrap());
    let (sender, answers) = mpsc::channel();
    let waker = waker({
        let pool = pool.clone();
        move || {
            let answer = pool.shutdown(Shutdown::Wait, None);
            drop(pool);
            sender.send(answer).unwrap();
        }
    });
    let mut context = Context::from_waker(&waker);
    assert!(future.as_mut().poll(&mut context).is_pending());
    keeper.open(1);
    awaiting("the shutdown by a waker");
    assert!(answers.recv().unwrap().is_err());
    awaiting("the end of the pool that a waker has shut down");
    pool.shutdown(Shutdown::Wait, None).unwrap();
    assert!(matches!(pool.submit(echo, 1), Err(SubmitError::ShutDown)));
}

/// The last handle goes with a waker, on a thread that completes futures: one that cancels, or that waits for another task.
fn a_drop_by_a_waker_does_not_wait_for_the_thread_that_called_it() {
    for cancels in [true, false] {
        awaiting("the end of a pool that a waker drops");
        let pool = pool(1);
        let keeper = GateKeeper::new();
        let first = pool.submit(pass, (keeper.gate(), 0)).unwrap();
        let mut second = pool.submit(pass, (keeper.gate(), 1)).unwrap();
        keeper.arrival();
        let ended = pool.submit(echo, 3).unwrap();
        let waker = waker(move || drop(pool));
        let mut context = Context::from_waker(&waker);
        assert!(Pin::new(&mut second).poll(&mut context).is_pending());
        drop(waker);
        if cancels {
            assert!(second.cancel());
            keeper.open(1);
        } else {
            keeper.open(2);
            assert_eq!(second.wait().unwrap(), 1);
        }
        assert_eq!(first.wait().unwrap(), 0);
        assert_eq!(ended.wait().unwrap(), 3);
    }
    until("the pools to be gone", || support::children().is_empty());
}

/// The permit comes back on the thread that has read the result.
fn a_shutdown_by_a_waker_for_room_does_not_wait_for_its_thread() {
    let builder = ProcessPoolExecutor::builder().max_workers(1).max_pending(1);
    let pool = Arc::new(builder.build().unwrap());
    let first = pool.submit(echo, 1).unwrap();
    let ended = Arc::new(Mutex::new(None));
    let waker = waker({
        let (pool, ended) = (pool.clone(), ended.clone());
        move || *ended.lock().unwrap() = Some(pool.shutdown(Shutdown::Kill, None).is_err())
    });
    let mut entering = Box::pin(pool.submit_async(echo, 2));
    let mut context = Context::from_waker(&waker);
    if entering.as_mut().poll(&mut context).is_pending() {
        awaiting("the first task");
        first.wait().unwrap();
        until("the waker to be called", || ended.lock().unwrap().is_some());
    }
}

fn a_shutdown_by_a_waker_of_another_pool_waits() {
    let (one, other) = (pool(1), pool(1));
    let mut future = one.submit(pid, ()).unwrap();
    let busy = other.submit(echo, 5).unwrap();
    let ended = Arc::new(Mutex::new(None));
    let waker = waker({
        let ended = ended.clone();
        move || *ended.lock().unwrap() = Some(other.shutdown(Shutdown::Wait, None).is_ok())
    });
    let mut context = Context::from_waker(&waker);
    if Pin::new(&mut future).poll(&mut context).is_pending() {
        awaiting("the waker of the other pool");
        until("the other pool to end", || ended.lock().unwrap().is_some());
        assert_eq!(*ended.lock().unwrap(), Some(true));
        assert!(busy.is_done());
    }
}

fn a_shutdown_by_a_task_of_threads_does_not_wait_for_itself() {
    let executor = Arc::new(ThreadPoolExecutor::with_max_workers(2).unwrap());
    *OWN.lock().unwrap() = Some(executor.clone());
    let future = executor.submit(shut_down_own_executor, ()).unwrap();
    awaiting("the task that shuts its executor down");
    assert!(future.wait().unwrap());
    awaiting("the end of the executor that its task has shut down");
    executor.shutdown(Shutdown::Wait, None).unwrap();
    OWN.lock().unwrap().take();
}

fn a_shutdown_by_a_callback_waits_for_the_other_tasks() {
    shut_down_by_a_callback(pool(1));
    shut_down_by_a_callback(ThreadPoolExecutor::with_max_workers(1).unwrap());
}

fn shut_down_by_a_callback(executor: impl Executor + 'static) {
    let executor = Arc::new(executor);
    let keeper = GateKeeper::new();
    let first = executor.submit(pass, (keeper.gate(), 0)).unwrap();
    let second = Arc::new(executor.submit(pass, (keeper.gate(), 1)).unwrap());
    let (sender, answers) = mpsc::channel();
    first.on_done({
        let (executor, second) = (executor.clone(), second.clone());
        move |_| {
            sender.send(second.is_done()).unwrap();
            executor.shutdown(Shutdown::Wait, None).unwrap();
            drop(executor);
            sender.send(second.is_done()).unwrap();
        }
    });
    keeper.open(1);
    awaiting("the callback to shut down");
    assert!(!answers.recv().unwrap());
    keeper.open(1);
    awaiting("the shutdown by a callback");
    assert!(answers.recv().unwrap(), "it has not waited");
    assert_eq!(second.wait().unwrap(), 1);
}

// ---- being killed ----

fn a_kill_ends_a_task_that_left_its_group() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let future = pool.submit(leave_group, keeper.gate()).unwrap();
    let worker = keeper.arrival().pid;
    awaiting("the shutdown");
    pool.shutdown(Shutdown::Kill, None).unwrap();
    assert_eq!(state_of(worker), None);
    assert!(was_shut_down(future.wait()));
}

fn a_drop_in_a_panic_ends_a_task_that_left_its_group() {
    let keeper = GateKeeper::new();
    let mut worker = 0;
    let panic = panic::catch_unwind(AssertUnwindSafe(|| {
        let pool = pool(1);
        let _future = pool.submit(leave_group, keeper.gate()).unwrap();
        worker = keeper.arrival().pid;
        awaiting("the drop");
        panic::resume_unwind(Box::new(()));
    }));
    assert!(panic.is_err());
    assert_eq!(state_of(worker), None);
}

/// A pool whose only worker has gone; its initializer, the gate, is not opened for the replacement.
fn pool_that_replaces(keeper: &GateKeeper) -> ProcessPoolExecutor {
    let builder = ProcessPoolExecutor::builder().max_workers(1);
    keeper.open(1);
    let pool = builder.initializer(prepare, keeper.gate()).build();
    let pool = pool.unwrap();
    let worker = keeper.arrival().pid;
    let lost = pool.submit(die, ()).unwrap();
    awaiting("the worker's death");
    assert!(matches!(lost.wait(), Err(TaskError::WorkerLost(lost)) if lost.pid == worker));
    pool
}

fn a_kill_does_not_wait_for_an_initializer() {
    let keeper = GateKeeper::new();
    let pool = pool_that_replaces(&keeper);
    let queued = pool.submit(echo, 1).unwrap();
    keeper.arrival();
    awaiting("the shutdown");
    pool.shutdown(Shutdown::Kill, None).unwrap();
    assert!(was_shut_down(queued.wait()));
}

/// Also between the start of its process and the first that the pool knows of it. A replacement that
/// was only told goodbye would be waited for, ten seconds each.
fn a_kill_meets_a_replacement_at_any_moment() {
    for round in 0..200 {
        let keeper = GateKeeper::new();
        let pool = pool_that_replaces(&keeper);
        spin(round % 50 * 20);
        awaiting(format!("the shutdown of round {round}"));
        pool.shutdown(Shutdown::Kill, None).unwrap();
    }
}

// ---- too few descriptors ----

/// Holds the limit of descriptors down.
struct FewDescriptors(Rlimit);

impl FewDescriptors {
    fn new() -> Self {
        let before = getrlimit(Resource::Nofile);
        let current = Some(3);
        setrlimit(Resource::Nofile, Rlimit { current, ..before }).expect("a limit");
        Self(before)
    }
}

impl Drop for FewDescriptors {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.0).expect("the limit as it was");
    }
}

/// A pool that has tried often enough to start its only worker is broken: how long it tries is not
/// for a test to say. But it does not forget to try, and says so when it gives up.
fn the_only_worker_comes_back_when_descriptors_do() {
    let mut came_back = 0;
    for round in 0..10 {
        let pool = pool(1);
        let few = FewDescriptors::new();
        let lost = pool.submit(die, ()).unwrap();
        awaiting("the worker's death");
        assert!(matches!(lost.wait(), Err(TaskError::WorkerLost(_))));
        // Long enough for the first attempt, most of the time.
        spin(1000);
        drop(few);
        awaiting(format!("the replacement of round {round}"));
        match pool.submit(echo, round).map(|future| future.wait()) {
            Ok(Ok(value)) if value == round => came_back += 1,
            Ok(Err(TaskError::Broken { .. })) | Err(SubmitError::Broken(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_ne!(came_back, 0);
}

// ---- wakers and permits ----

fn a_waker_that_panics_harms_nobody() {
    for is_waited_for in [false, true] {
        let builder = ProcessPoolExecutor::builder().max_workers(1).max_pending(1);
        let pool = builder.build().unwrap();
        let keeper = GateKeeper::new();
        let future = pool.submit(pass, (keeper.gate(), 0)).unwrap();
        let mut first = Box::pin(pool.submit_async(echo, 1));
        let mut second = Box::pin(pool.submit_async(echo, 2));
        for entering in [&mut first, &mut second] {
            let waker = panicking_waker();
            let mut context = Context::from_waker(&waker);
            assert!(entering.as_mut().poll(&mut context).is_pending());
        }
        keeper.open(1);
        if is_waited_for {
            // Then it is on this thread that the waker panics, which is none of its business.
            awaiting("the task whose end wakes");
            assert_eq!(future.wait().unwrap(), 0);
        } else {
            until("the task whose end wakes", || future.is_done());
        }
        drop(first);
        awaiting("the others");
        let second = futures::executor::block_on(second).unwrap();
        assert_eq!(second.wait().unwrap(), 2);
        assert_eq!(pool.submit(echo, 3).unwrap().wait().unwrap(), 3);
        pool.shutdown(Shutdown::Wait, None).unwrap();
    }
}

/// A permit is back before the end of its task is told.
fn whoever_waited_finds_room() {
    let builder = ProcessPoolExecutor::builder().max_workers(2).max_pending(1);
    wait_and_submit(&builder.build().unwrap());
    wait_and_submit(&ThreadPoolExecutor::with_limits(2, 1).unwrap());
}

fn wait_and_submit(executor: &dyn Executor) {
    for n in 0..20_000 {
        let Ok(future) = executor.try_submit(echo, n) else {
            panic!("no room for task {n}");
        };
        if n % 2 == 0 {
            assert_eq!(future.wait().unwrap(), n);
        } else {
            while !future.is_done() {
                thread::yield_now();
            }
        }
    }
}

// ---- chunks ----

/// Whoever begins to wait for an item just as its result comes, read by another thread, does not
/// wait for the next one: that would be held up for ever.
fn an_item_of_a_chunk_is_given_while_later_ones_run() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    for round in 0..400 {
        awaiting(format!("an item that has ended, in round {round}"));
        let steps = [
            Step::Spin(1050),
            Step::Spin(1050),
            Step::Pass(keeper.gate()),
            Step::Spin(0),
        ];
        let mut map = pool.map(step, steps).chunksize(4);
        map.next().unwrap().unwrap();
        // Somewhere about the end of the second.
        spin(1000 + 5 * (round % 40));
        map.next().unwrap().unwrap();
        keeper.open(1);
        assert_eq!(map.filter(Result::is_ok).count(), 2);
        keeper.arrival();
    }
}

/// The pool and its workers have one processor, which workers give up to anybody else: the thread that reads the
/// result of an item, and kills, comes before the next item does.
/// What had ended before is not sent yet: all of it takes much less than a millisecond.
fn a_death_in_a_chunk_costs_the_item_that_ran() {
    const ITEMS: usize = 1000;
    let pool = pool(1);
    for dies in [0, 1, 500, ITEMS - 1] {
        let steps = (0..ITEMS).map(|item| match item == dies {
            true => Step::Die,
            false => Step::Nothing,
        });
        awaiting("the chunk");
        let results: Vec<_> = pool.map(step, steps).chunksize(ITEMS).collect();
        let lost = results.iter().map(Result::is_err);
        let lost: Vec<usize> = lost
            .enumerate()
            .filter(|(_, lost)| *lost)
            .map(|(at, _)| at)
            .collect();
        assert_eq!(lost, [dies]);
    }
    // Results that are larger, of which few fit beside each other.
    for size in [1_000, 40_000, 70_000] {
        let sizes = (0..20).map(|item| if item == 15 { usize::MAX } else { size });
        let results: Vec<_> = pool.map(fill_or_die, sizes).chunksize(20).collect();
        for (item, result) in results.iter().enumerate() {
            match result {
                Ok(bytes) => assert!(item != 15 && bytes.len() == size),
                Err(_) => assert_eq!(item, 15, "of {size} bytes"),
            }
        }
    }
}

fn a_death_between_two_items_costs_at_most_one() {
    const ITEMS: usize = 12;
    let all = sched_getaffinity(None).expect("the processors");
    let mut one = CpuSet::new();
    let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu));
    one.set(first.expect("a processor"));
    sched_setaffinity(None, &one).expect("to use one processor");
    let pool = pool(1);
    sched_setaffinity(None, &all).expect("to use all processors");
    for round in 0..40 {
        awaiting(format!("the chunk of round {round}"));
        let worker = pool.submit(pid, ()).unwrap().wait().unwrap();
        let steps = std::iter::once(Step::GiveWay).chain([const { Step::Spin(1050) }; ITEMS - 1]);
        let mut map = pool.map(step, steps).chunksize(ITEMS).stream();
        let (sender, killed) = mpsc::channel();
        let kill = waker(move || {
            signal(worker, libc::SIGKILL);
            sender.send(()).unwrap();
        });
        let mut results = Vec::new();
        // What has come meanwhile is taken without waiting; then the next that comes kills.
        while let Poll::Ready(Some(result)) =
            Pin::new(&mut map).poll_next(&mut Context::from_waker(&kill))
        {
            results.push(result);
        }
        if results.len() < ITEMS {
            killed.recv().unwrap();
        }
        results.extend(futures::executor::block_on_stream(map));
        assert_eq!(results.len(), ITEMS);
        let lost = results.iter().filter(|result| result.is_err()).count();
        assert!(lost <= 1, "round {round}: {results:#?}");
    }
}

/// What says why an item has failed counts for the length of a frame, as a result does.
fn a_failed_item_fits_beside_results() {
    let builder = ProcessPoolExecutor::builder().max_workers(1);
    let pool = builder.max_frame(4096).build().unwrap();
    let mut map = pool.map(fill_or_panic, 0..40).chunksize(40);
    for item in 0..40 {
        awaiting("an item");
        match map.next().unwrap() {
            Ok(text) => assert_eq!((item != 20, text.len()), (true, 100)),
            Err(error) => assert!(
                matches!(error, TaskError::Panicked(_)) && item == 20,
                "{error}"
            ),
        }
    }
    assert!(map.next().is_none());
}

/// And so do those that have been cancelled.
fn cancelled_items_fit_into_frames() {
    let keeper = GateKeeper::new();
    let builder = ProcessPoolExecutor::builder().max_workers(1);
    let pool = builder.max_frame(4096).build().unwrap();
    let worker = pool.submit(keep_gate, keeper.gate()).unwrap().wait();
    let mut map = pool
        .map(pass_kept_gate, std::iter::repeat_n((), 3000))
        .chunksize(3000)
        .timeout(Duration::from_secs(2));
    awaiting("the end of the map's time");
    assert!(matches!(map.next(), Some(Err(TaskError::TimedOut { .. }))));
    keeper.arrival();
    keeper.open(1);
    awaiting("the same worker");
    let now = pool.submit(keep_gate, keeper.gate()).unwrap().wait();
    assert_eq!(now.unwrap(), worker.unwrap());
}

fn a_cancelled_chunk_does_not_go_on_elsewhere() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let log = keeper.log();
    let steps = [
        Step::Pass(keeper.gate()),
        Step::Note(log.clone()),
        Step::Note(log.clone()),
    ];
    let mut map = Box::pin(pool.map(step, steps).chunksize(3).stream());
    let mut context = Context::from_waker(Waker::noop());
    assert!(map.as_mut().poll_next(&mut context).is_pending());
    let worker = keeper.arrival().pid;
    drop(map);
    signal(worker, libc::SIGKILL);
    awaiting("the replacement");
    assert_eq!(pool.submit(echo, 1).unwrap().wait().unwrap(), 1);
    awaiting("the shutdown");
    pool.shutdown(Shutdown::Wait, None).unwrap();
    assert_eq!(log.lines(), [""; 0]);
}

fn a_late_map_says_so_with_nothing_submitted() {
    let executors: [&dyn Executor; 3] = [
        &InlineExecutor::new(),
        &ThreadPoolExecutor::with_max_workers(1).unwrap(),
        &pool(1),
    ];
    for executor in executors {
        let mut late = executor.map(echo, 0..10).timeout(Duration::ZERO);
        assert!(matches!(late.next(), Some(Err(TaskError::TimedOut { .. }))));
        assert!(late.next().is_none());

        let mut map = executor.map(echo, 0..10).buffersize(1);
        assert!(matches!(map.next(), Some(Ok(0))));
        let mut late = map.timeout(Duration::ZERO);
        assert!(matches!(late.next(), Some(Err(TaskError::TimedOut { .. }))));
        assert!(late.next().is_none());

        let mut none = executor.map(echo, 0..0).timeout(Duration::ZERO);
        assert!(
            none.next().is_none(),
            "nothing is late where nothing is to come"
        );
    }
}

/// None of them gets a task, so that no number of tasks ends the pulling.
fn an_endless_map_of_refused_items_gives_them_one_by_one() {
    let builder = ProcessPoolExecutor::builder().max_workers(1);
    let pool = builder.max_frame(4096).build().unwrap();
    let pulled = AtomicUsize::new(0);
    let inputs = std::iter::repeat_with(|| {
        pulled.fetch_add(1, Ordering::SeqCst);
        Step::Print("x".repeat(5000))
    });
    let mut map = pool.map(step, inputs).buffersize(2);
    for given in 1..=10 {
        awaiting("an item that is refused");
        match map.next() {
            Some(Err(TaskError::Refused(SubmitError::TooLarge { .. }))) => {}
            other => panic!("{other:?}"),
        }
        assert!(pulled.load(Ordering::SeqCst) <= given + 2);
    }
}

fn a_map_that_has_ended_keeps_no_room() {
    let builder = ProcessPoolExecutor::builder().max_workers(1);
    let pool = builder.max_pending(2).build().unwrap();
    let keeper = GateKeeper::new();
    let full = [0, 1].map(|label| pool.submit(pass, (keeper.gate(), label)).unwrap());
    let mut stream = pin!(pool.map(echo, [1]).stream());
    let mut context = Context::from_waker(Waker::noop());
    assert!(stream.as_mut().poll_next(&mut context).is_pending());
    keeper.open(2);
    assert!(full.iter().all(|future| future.wait().is_ok()));
    awaiting("the item of the map");
    let item = futures::executor::block_on(std::future::poll_fn(|context| {
        stream.as_mut().poll_next(context)
    }));
    assert_eq!(item.unwrap().unwrap(), 1);
    assert!(matches!(
        stream.as_mut().poll_next(&mut context),
        Poll::Ready(None)
    ));
    let held = [2, 3].map(|label| pool.try_submit(pass, (keeper.gate(), label)).unwrap());
    keeper.open(2);
    assert!(held.iter().all(|future| future.wait().is_ok()));
}

/// A chunk whose worker has been asked to stop, because of the deadline, ends by itself in good order: what it left
/// out was not cancelled by anybody.
fn items_left_out_at_a_deadline_were_not_cancelled() {
    let pool = ProcessPoolExecutor::builder()
        .max_workers(1)
        .cancel_grace(Duration::from_secs(3600))
        .build()
        .unwrap();
    let call = pool.call(step).deadline(Duration::from_millis(50));
    let steps = [Step::Heed, Step::Spin(0), Step::Spin(0)];
    let results: Vec<_> = call.map(steps).chunksize(3).collect();
    assert!(results[0].is_ok(), "{results:#?}");
    for result in &results[1..] {
        match result {
            Err(TaskError::TimeLimit(limit)) => {
                assert_eq!(limit.kind, TimeLimitKind::Deadline);
                assert_eq!(limit.limit, Duration::from_millis(50));
                assert!(!limit.may_have_run && limit.attempts == 0, "{limit:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

// ---- output ----

/// A pool of one worker whose standard error is captured.
fn capturing(handler: impl Fn(&OutputLine) + Send + Sync + 'static) -> ProcessPoolExecutor {
    let builder = ProcessPoolExecutor::builder().max_workers(1);
    let builder = builder.stderr(Stdio::Capture).on_output(handler);
    builder.build().unwrap()
}

/// When results of a chunk's first items come, the next one may be in the middle of a line.
fn a_line_of_an_item_is_not_cut_by_the_end_of_the_one_before() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let pool = capturing({
        let lines = lines.clone();
        move |line| lines.lock().unwrap().push(line.text.clone())
    });
    let texts: Vec<String> = (0..200).map(|item| format!("line {item}.")).collect();
    let steps = texts.iter().cloned().map(Step::Print);
    let ended = pool.map(step, steps).chunksize(200).filter(Result::is_ok);
    assert_eq!(ended.count(), 200);
    assert_eq!(*lines.lock().unwrap(), texts);
}

/// The worker says that it has passed that one, and the driver may read it when the next has begun.
fn a_line_of_a_task_is_not_cut_by_one_that_was_taken_back() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let pool = capturing({
        let lines = lines.clone();
        move |line| lines.lock().unwrap().push(line.text.clone())
    });
    for round in 0..1000 {
        let text = format!("line {round}.");
        pool.submit(step, Step::GiveWay).unwrap().cancel();
        let printing = pool.submit(step, Step::Print(text.clone())).unwrap();
        printing.wait().unwrap();
        assert_eq!(std::mem::take(&mut *lines.lock().unwrap()), [text]);
    }
}

/// The futures of a pool that captures are completed after the handler, which may take its time.
fn what_has_been_cancelled_is_cancelled_whatever_is_printed() {
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let pool = capturing(move |_| {
        let _ = held.lock().unwrap().recv();
    });
    // Dropped before the pool, which waits for the handler.
    let hold = hold;
    let keeper = GateKeeper::new();
    let printing = pool.submit(step, Step::Print("held.".into())).unwrap();
    let running = pool.submit(pass, (keeper.gate(), 0)).unwrap();
    let queued = [(); 2].map(|()| pool.submit(echo, 1).unwrap());
    keeper.arrival();
    assert!(!printing.is_done(), "its line has yet to be handled");
    assert!(queued[0].cancel());
    assert!(queued[0].is_done() && queued[0].cancel());
    assert_eq!(queued[1].kill(), Kill::Cancelled);
    assert!(queued[1].is_cancelled());
    assert_eq!(queued[1].kill(), Kill::TooLate);
    drop(hold);
    keeper.open(1);
    printing.wait().unwrap();
    running.wait().unwrap();
}
