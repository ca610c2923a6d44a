//! Deaths, retries, what is taken back.

use std::fs::File;
use std::time::Duration;

use procession::{Descriptor, ProcessPoolExecutor, Shutdown, TaskError};

use super::support::{self, Case, GateKeeper, awaiting, signal};
use super::tasks::*;
use super::{numbered, open_here, pool, text_of};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        a_task_that_is_tried_again_has_them_again,
        a_task_that_is_cancelled_leaves_none,
        what_was_sent_to_a_stopped_worker_and_taken_back_leaves_none,
        a_worker_that_is_killed_with_some_leaves_none,
        tasks_of_a_killed_worker_run_elsewhere_with_theirs,
        a_pool_that_is_killed_leaves_none,
        an_argument_that_finds_no_memory_leaves_none,
    ]
}

fn append_only() -> Descriptor {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let memory = rustix::fs::memfd_create("procession-test", flags).unwrap();
    Descriptor::new(File::from(memory))
}

fn a_task_that_is_tried_again_has_them_again() {
    let pool = pool(1);
    let log = append_only();
    let future = pool.call(die_until).retries(3);
    let future = future.submit((3, log.clone())).unwrap();
    assert_eq!(text_of(&future.wait().unwrap()), "xxx");
    assert_eq!(text_of(&log), "xxx");
}

fn a_task_that_is_cancelled_leaves_none() {
    let (pool, keeper) = (pool(1), GateKeeper::new());
    let running = pool.submit(pass, (keeper.gate(), 1)).unwrap();
    keeper.arrivals(1);
    let before = open_here();
    let waiting: Vec<_> = (0..20)
        .map(|_| pool.submit(echo, numbered(10)).unwrap())
        .collect();
    assert_eq!(open_here(), before + 200);
    for future in &waiting {
        assert!(future.cancel());
    }
    assert_eq!(open_here(), before);
    keeper.open(1);
    running.wait().unwrap();
}

fn what_was_sent_to_a_stopped_worker_and_taken_back_leaves_none() {
    let pool = pool(1);
    let open = || pool.submit(count, ()).unwrap().wait().unwrap();
    let (worker, before) = (pool.submit(pid, ()).unwrap().wait().unwrap(), open());
    for count in [1, 300] {
        signal(worker, 19);
        support::until("the worker to be stopped", || {
            support::state_of(worker) == Some('T')
        });
        let here = open_here();
        let sent = pool.submit(echo, numbered(count)).unwrap();
        assert!(sent.cancel(), "it has not begun");
        assert_eq!(open_here(), here);
        signal(worker, 18);
        assert_eq!(open(), before, "what came beside the frame was closed");
    }
}

fn a_worker_that_is_killed_with_some_leaves_none() {
    let (pool, keeper) = (pool(1), GateKeeper::new());
    let before = open_here();
    let future = pool.submit(pass_with, (keeper.gate(), 1, numbered(300)));
    let future = future.unwrap();
    let worker = keeper.arrivals(1)[0].pid;
    signal(worker, 9);
    let lost = future.wait().unwrap_err();
    assert!(matches!(lost, TaskError::WorkerLost(_)), "{lost}");
    // The next one has as many as the last one had.
    pool.submit(pid, ()).unwrap().wait().unwrap();
    support::until("all of them to be closed", || open_here() <= before);
}

fn tasks_of_a_killed_worker_run_elsewhere_with_theirs() {
    let pool = pool(1);
    let worker = pool.submit(pid, ()).unwrap().wait().unwrap();
    signal(worker, 19);
    support::until("the worker to be stopped", || {
        support::state_of(worker) == Some('T')
    });
    // In its socket and its pipe, and not begun.
    let future = pool.submit(echo, numbered(300)).unwrap();
    signal(worker, 9);
    awaiting("another worker's answer");
    let echoed = future.wait().unwrap();
    assert_eq!(text_of(&echoed[299]), "299");
}

fn a_pool_that_is_killed_leaves_none() {
    let before = open_here();
    let (pool, keeper) = (pool(2), GateKeeper::new());
    let futures: Vec<_> = (0..6)
        .map(|n| {
            pool.submit(pass_with, (keeper.gate(), n, numbered(50)))
                .unwrap()
        })
        .collect();
    keeper.arrivals(2);
    pool.shutdown(Shutdown::Kill, Some(Duration::from_secs(30)))
        .unwrap();
    for future in futures {
        assert!(future.wait().is_err());
    }
    drop((pool, keeper));
    support::until("all of them to be closed", || open_here() <= before);
}

fn an_argument_that_finds_no_memory_leaves_none() {
    #[procession::task]
    fn weigh(bytes: Vec<u8>, _from: Descriptor) -> usize {
        bytes.len()
    }
    let pool = ProcessPoolExecutor::builder()
        .max_workers(1)
        .address_space(512 << 20)
        .build()
        .unwrap();
    let open = || pool.submit(count, ()).unwrap().wait().unwrap();
    let before = open();
    let huge = pool.submit(weigh, (vec![0; 600 << 20], super::said("x")));
    let refused = huge.unwrap().wait().unwrap_err();
    assert!(
        matches!(refused, TaskError::ArgumentNotDecoded { .. }),
        "{refused:?}"
    );
    assert_eq!(open(), before);
}
