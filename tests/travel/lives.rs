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
        deaths_at_any_moment_leave_none,
        what_finds_no_room_on_the_way_waits,
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

fn deaths_at_any_moment_leave_none() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let before = open_here();
    let pool = ProcessPoolExecutor::builder()
        .max_workers(2)
        .max_restarts(u32::MAX)
        .build()
        .unwrap();
    let is_over = AtomicBool::new(false);
    let mut ends = [0, 0];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut wait = 0;
            while !is_over.load(Ordering::Relaxed) {
                // A little later each time.
                wait = (wait + 37) % 1000;
                (0..wait * 100).for_each(|_| std::hint::spin_loop());
                let workers = support::children();
                if let Some(worker) = workers.get(wait % workers.len().max(1)) {
                    // Whoever reaps it does so in this process, perhaps by now.
                    let pid = rustix::process::Pid::from_raw(worker.pid as i32).unwrap();
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
            }
        });
        for n in 0..150 {
            let sent = numbered([1, 3, 254, 600][n % 4]);
            let (count, future) = (sent.len(), pool.submit(echo, sent).unwrap());
            match future.wait() {
                Ok(came) => {
                    ends[0] += 1;
                    assert_eq!(came.len(), count);
                    assert_eq!(text_of(&came[count - 1]), (count - 1).to_string());
                }
                Err(TaskError::WorkerLost(_)) => ends[1] += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    awaiting("the end of the pool");
    drop(pool);
    support::until("all of them to be closed", || open_here() <= before);
    assert!(ends[0] > 0, "{ends:?}");
}

/// More messages than a socket holds, beside frames that are taken back: the worker takes out all of them.
fn what_finds_no_room_on_the_way_waits() {
    const COUNT: usize = 9 * 253;
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: the system lets no more of a user's descriptors be on their way");
        return;
    }
    // The system counts these for the user, and others in these tests see what happens where there are too many.
    let _alone = super::limits::one_at_a_time();
    #[procession::task]
    fn length(bytes: Vec<u8>) -> usize {
        bytes.len()
    }
    let pool = pool(1);
    let open = || pool.submit(count, ()).unwrap().wait().unwrap();
    // A large frame gets a large pipe, which is not what has no room then.
    pool.submit(length, vec![0; 1 << 20])
        .unwrap()
        .wait()
        .unwrap();
    let (worker, before) = (pool.submit(pid, ()).unwrap().wait().unwrap(), open());
    signal(worker, 19);
    support::until("the worker to be stopped", || {
        support::state_of(worker) == Some('T')
    });
    let here = open_here();
    let one = super::said("many");
    let many = || -> Vec<_> {
        let duplicate = || Descriptor::new(one.try_clone_to_owned().unwrap());
        (0..COUNT).map(|_| duplicate()).collect()
    };
    for _ in 0..60 {
        let sent = pool.submit(echo, many()).unwrap();
        assert!(sent.cancel());
    }
    assert!(open_here() > here + COUNT, "some wait in line");
    let last = pool.submit(echo, many()).unwrap();
    let behind = pool.submit(count, ()).unwrap();
    signal(worker, 18);
    awaiting("what was sent last");
    assert_eq!(text_of(&last.wait().unwrap()[COUNT - 1]), "many");
    assert_eq!(behind.wait().unwrap(), before);
    drop((last, one));
    support::until("all of them to be closed", || open_here() <= here);
}
