//! At once, within one another, in threads and runtimes.

use std::future::{Future as _, IntoFuture as _};
use std::io::{BufRead as _, BufReader};
use std::thread;
use std::time::Duration;

use futures::executor::block_on;
use procession::pipe::wait;
use procession::{Descriptor, EndOfWorker, Process, ProcessError, ProcessPoolExecutor, SpawnError};

use super::support::{self, Case, Gate, GateKeeper, awaiting};
use super::tasks::*;

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        a_hundred_at_once,
        a_hundred_terminated_right_after_their_start,
        processes_within_processes_run_in_order,
        they_are_not_nested_without_end,
        a_task_of_a_pool_has_processes,
        a_process_has_a_pool,
        many_threads_join_one,
        it_is_awaited,
        an_awaiting_that_is_dropped_leaves_nothing,
        it_is_awaited_in_a_runtime,
        they_are_started_by_many_threads,
        what_is_killed_takes_its_own_processes_along,
        running_out_of_descriptors_is_an_error,
        a_handle_is_sent_and_shared,
        connections_and_processes_are_waited_for_together,
        killed_at_any_moment_they_are_told_and_leave_nothing,
    ]
}

fn a_hundred_at_once() {
    let processes: Vec<_> = (0..100)
        .map(|n| Process::spawn(add, (n, 1)).unwrap())
        .collect();
    for (n, process) in (0..100).zip(&processes) {
        awaiting(format!("process {n}"));
        assert_eq!(process.join().unwrap(), n + 1);
        assert_eq!(process.exit_code(), Some(0));
    }
}

fn a_hundred_terminated_right_after_their_start() {
    let processes: Vec<_> = (0..100)
        .map(|_| {
            let process = Process::spawn(park, ()).unwrap();
            process.terminate();
            process
        })
        .collect();
    for process in &processes {
        match process.join() {
            Err(ProcessError::Ended(ended)) => assert_eq!(ended.end, EndOfWorker::Signalled(15)),
            other => panic!("{other:?}"),
        }
        assert_eq!(process.exit_code(), Some(-15));
    }
}

fn processes_within_processes_run_in_order() {
    let (reader, writer) = std::io::pipe().unwrap();
    let process = Process::spawn(recurse, (Vec::new(), Descriptor::new(writer))).unwrap();
    process.join().unwrap().unwrap();
    let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
    let expected = ["[]", "[0]", "[0, 0]", "[0, 1]", "[1]", "[1, 0]", "[1, 1]"];
    assert_eq!(lines, expected);
}

fn they_are_not_nested_without_end() {
    let (depth, refused) = Process::spawn(descend, 1).unwrap().join().unwrap().unwrap();
    assert_eq!(depth, 10);
    assert!(refused.contains("nested 11 deep"), "{refused}");
}

#[procession::task]
fn add_elsewhere(n: u64) -> Result<u64, procession::Failure> {
    Ok(Process::spawn(add, (n, 1))?.join()?)
}

fn a_task_of_a_pool_has_processes() {
    let pool = ProcessPoolExecutor::builder()
        .max_workers(2)
        .build()
        .unwrap();
    let sums = pool
        .map(add_elsewhere, 0..6)
        .map(|sum| sum.unwrap().unwrap());
    assert_eq!(sums.collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
}

#[procession::task]
fn add_in_a_pool() -> Result<Vec<u64>, procession::Failure> {
    let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;
    let sums: Result<_, _> = pool.map(add, (0..6).map(|n| (n, 1))).collect();
    Ok(sums?)
}

fn a_process_has_a_pool() {
    let process = Process::spawn(add_in_a_pool, ()).unwrap();
    assert_eq!(process.join().unwrap().unwrap(), [1, 2, 3, 4, 5, 6]);
}

fn many_threads_join_one() {
    let keeper = GateKeeper::new();
    let process = Process::spawn(pass, (keeper.gate(), 7)).unwrap();
    keeper.arrival();
    thread::scope(|scope| {
        let joins: Vec<_> = (0..8).map(|_| scope.spawn(|| process.join())).collect();
        let awaits: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| block_on(process.join_async())))
            .collect();
        keeper.open(1);
        for join in joins.into_iter().chain(awaits) {
            assert_eq!(join.join().unwrap().unwrap(), 7);
        }
    });
}

fn it_is_awaited() {
    let keeper = GateKeeper::new();
    let processes: Vec<_> = (0..10)
        .map(|n| Process::spawn(pass, (keeper.gate(), n)).unwrap())
        .collect();
    keeper.arrivals(10);
    let opener = thread::spawn(move || {
        keeper.open(10);
        keeper
    });
    let all = futures::future::join_all(processes.iter().map(Process::join_async));
    let all: Vec<_> = block_on(all).into_iter().map(Result::unwrap).collect();
    assert_eq!(all, (0..10).collect::<Vec<_>>());
    drop(opener.join().unwrap());
    let owned = Process::spawn(add, (20, 22)).unwrap();
    assert_eq!(block_on(owned.into_future()).unwrap(), 42);
    // One that has ended is ready at once; and by reference.
    assert_eq!(block_on(async { (&processes[3]).await }).unwrap(), 3);
}

fn an_awaiting_that_is_dropped_leaves_nothing() {
    let keeper = GateKeeper::new();
    let process = Process::spawn(pass, (keeper.gate(), 7)).unwrap();
    keeper.arrival();
    for _ in 0..100 {
        let mut joining = Box::pin(process.join_async());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(joining.as_mut().poll(&mut context).is_pending());
        assert!(joining.as_mut().poll(&mut context).is_pending());
    }
    keeper.open(1);
    assert_eq!(process.join().unwrap(), 7);
}

fn it_is_awaited_in_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let process = Process::spawn(park, ()).unwrap();
        let soon = tokio::time::timeout(Duration::from_millis(10), process.join_async());
        assert!(soon.await.is_err());
        process.kill();
        assert!(process.join_async().await.is_err());
    });
}

fn they_are_started_by_many_threads() {
    let adders: Vec<_> = (0..8)
        .map(|n| {
            thread::spawn(move || {
                (0..5)
                    .map(|m| Process::spawn(add, (n, m)).unwrap().join().unwrap())
                    .sum::<u64>()
            })
        })
        .collect();
    for (n, adder) in (0..8).zip(adders) {
        assert_eq!(adder.join().unwrap(), 5 * n + 10);
    }
}

#[procession::task]
fn have_one_and_wait(gate: Gate) {
    let process = Process::spawn(pass, (gate, 1)).unwrap();
    let _ = process.join();
}

fn what_is_killed_takes_its_own_processes_along() {
    let keeper = GateKeeper::new();
    let process = Process::spawn(have_one_and_wait, keeper.gate()).unwrap();
    let pool = ProcessPoolExecutor::builder()
        .max_workers(1)
        .build()
        .unwrap();
    let task = pool.submit(have_one_and_wait, keeper.gate()).unwrap();
    let children = keeper.arrivals(2);
    process.kill();
    task.kill();
    assert!(process.join().is_err() && task.wait().is_err());
    for child in children {
        support::until("the child of what was killed to be gone", || {
            matches!(support::state_of(child.pid), None | Some('Z'))
        });
    }
}

fn running_out_of_descriptors_is_an_error() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: Some(support::descriptors().len() as u64 + 20),
        ..before
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut processes = Vec::new();
    let refused = loop {
        match Process::spawn(park, ()) {
            Ok(process) => processes.push(process),
            Err(refused) => break refused,
        }
    };
    setrlimit(Resource::Nofile, before).unwrap();
    assert!(!processes.is_empty() && processes.len() < 20);
    assert!(matches!(refused, SpawnError::Start(_)), "{refused:?}");
    for process in processes {
        process.kill();
        assert!(process.join().is_err());
    }
    assert_eq!(Process::spawn(add, (1, 2)).unwrap().join().unwrap(), 3);
}

fn a_handle_is_sent_and_shared() {
    fn is_sent_and_shared<T: Send + Sync>() {}
    // Whatever its result is.
    is_sent_and_shared::<Process<std::rc::Rc<u8>>>();
    is_sent_and_shared::<procession::Joining<'static, std::rc::Rc<u8>>>();
    is_sent_and_shared::<procession::ProcessBuilder>();
}

/// From before its hello to behind its result: it has one of these, or was killed.
fn killed_at_any_moment_they_are_told_and_leave_nothing() {
    let files = |count: usize| -> Vec<Descriptor> {
        let file = || std::fs::File::open("/dev/null").unwrap();
        (0..count).map(|_| Descriptor::new(file())).collect()
    };
    let mut ends = [0, 0];
    for n in 0..120 {
        let process = Process::spawn(read_all, files(n % 3 * 200)).unwrap();
        for _ in 0..n * 2000 {
            std::hint::spin_loop();
        }
        process.kill();
        match process.join() {
            Ok(came) => {
                ends[0] += 1;
                assert_eq!(came.unwrap().1.len(), n % 3 * 200);
            }
            Err(ProcessError::Ended(ended)) => {
                ends[1] += 1;
                assert_eq!(ended.end, EndOfWorker::Signalled(9));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(ends[1] > 0, "{ends:?}");
}

/// Connections and processes together: exactly those that are ready.
fn connections_and_processes_are_waited_for_together() {
    let (here, there) = procession::pipe::duplex::<u64, u64>().unwrap();
    let process = Process::spawn(answer, there).unwrap();
    let (idle, _other) = procession::pipe::pipe::<u64>().unwrap();
    let all: [&dyn procession::pipe::Waitable; 3] = [&idle, &here, &process];
    assert!(wait(&all, Some(Duration::ZERO)).unwrap().is_empty());
    here.send(&7).unwrap();
    awaiting("an answer through a connection");
    assert_eq!(wait(&all, None).unwrap(), [1]);
    assert_eq!(here.recv().unwrap(), 8);
    process.kill();
    awaiting("the end of a process");
    // Its end of the connection ends with it: at once, or a moment before or after.
    let ready = wait(&[&idle as &dyn procession::pipe::Waitable, &process], None).unwrap();
    assert_eq!(ready, [1]);
    assert!(process.join().is_err());
    assert!(here.recv().is_err());
}
