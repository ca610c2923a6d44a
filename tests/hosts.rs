//! What becomes of workers when something happens to the program that holds the pool, and what
//! becomes of the pool when that program is not kind to its children.

mod programs;
mod support;

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use procession::{
    BuildError, EndOfWorker, Future, ProcessPoolExecutor, Shutdown, SubmitError, TaskError,
    WorkerLost,
};
use programs::{begin, describe, finish, program, programs};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, kill_process, kill_process_group, setrlimit,
};
use support::{Gate, GateKeeper, allocated_memory, awaiting, children, until};

fn main() {
    programs::run_if_asked(&programs![
        builds_many_pools,
        drops_nothing,
        goes_on_with_fewer,
        has_few_descriptors,
        ignores_its_children,
        is_interrupted,
        is_killed,
        lives_with_sigpipe,
        panics,
        reaps_everything,
        returns_at_once,
        runs_out_while_replacing,
        witnesses_a_kill,
        forks,
        uses_its_terminal,
    ]);
    support::run(|| {
        support::tests![
            nobody_outlives_a_killed_driver_with_idle_workers,
            nobody_outlives_a_killed_driver_with_busy_workers,
            nobody_outlives_a_killed_driver_with_stopped_workers,
            nobody_outlives_a_killed_driver_with_grandchildren,
            nobody_outlives_a_killed_driver_with_nested_pools,
            nobody_outlives_a_killed_driver_with_starting_workers,
            a_process_that_is_forked_off_keeps_no_worker_alive,
            a_process_that_is_forked_off_leaves_the_pool_alone,
            workers_may_use_the_terminal_from_the_background,
            a_driver_does_not_die_of_writing_to_a_dead_worker,
            ignored_children_cost_their_status_and_nothing_else,
            a_host_that_reaps_everything_costs_the_status_and_nothing_else,
            too_few_descriptors_are_a_typed_error_and_leave_nothing,
            running_out_of_descriptors_while_replacing_is_a_typed_error,
            a_pool_goes_on_with_fewer_workers_while_none_can_be_started,
            main_may_return_with_work_in_flight,
            a_process_may_exit_with_a_pool_in_a_static,
            a_panic_kills_the_workers_instead_of_waiting,
            an_interrupt_from_the_terminal_is_not_the_workers_affair,
            two_pools_know_nothing_of_each_other,
            many_pools_one_after_another_leave_nothing,
        ]
    });
}

// ---- tasks ----

#[procession::task]
fn answer() -> u32 {
    42
}

#[procession::task]
fn pid() -> u32 {
    std::process::id()
}

#[procession::task]
fn die() {
    std::process::abort()
}

#[procession::task]
fn leave(code: i32) {
    std::process::exit(code)
}

/// Never ends by itself; says when it has begun.
#[procession::task]
fn spin(note: String) {
    println!("{note}");
    loop {
        std::hint::spin_loop();
    }
}

/// Stops itself.
#[procession::task]
fn stop() {
    kill_process(rustix::process::getpid(), Signal::STOP).expect("to stop");
}

/// Starts a process that goes on by itself, and waits for it.
#[procession::task]
fn have_a_child() {
    let mut child = Command::new("sleep").arg("1000000").spawn().expect("sleep");
    println!("has a child");
    let _ = child.wait();
}

/// Has a pool of its own, with a worker that never ends.
#[procession::task]
fn have_a_pool() {
    let pool = pool(1);
    let _ = pool.submit(spin, "nested".into()).unwrap().wait();
}

/// Still runs when the program comes to its end.
#[procession::task]
fn slow(value: u32) -> u32 {
    std::thread::sleep(Duration::from_millis(200));
    println!("slow {value}");
    value
}

fn pool(workers: usize) -> ProcessPoolExecutor {
    let builder = ProcessPoolExecutor::builder().max_workers(workers);
    let pool = builder.build();
    pool.unwrap_or_else(|error| panic!("{}", describe(&error)))
}

fn lost<T: std::fmt::Debug + serde::de::DeserializeOwned + 'static>(
    future: Future<T>,
) -> WorkerLost {
    match future.wait() {
        Err(TaskError::WorkerLost(lost)) => *lost,
        other => panic!("{other:?}"),
    }
}

// ---- a driver that is killed ----

/// Has workers of a kind, and says so; then waits to be killed.
fn is_killed() {
    procession::init();
    let kind = std::env::args().nth(1).expect("what its workers do");
    let pool = pool(2);
    let futures: Vec<Future<()>> = match &*kind {
        "idle" => {
            println!("idle");
            println!("idle");
            Vec::new()
        }
        "busy" => (0..2)
            .map(|_| pool.submit(spin, "busy".into()).unwrap())
            .collect(),
        "stopped" => {
            let futures = [(); 2].map(|()| pool.submit(stop, ()).unwrap());
            let are_stopped = || children().iter().all(|child| child.state == 'T');
            until("the workers to be stopped", are_stopped);
            println!("stopped");
            println!("stopped");
            futures.into()
        }
        "grandchildren" => (0..2)
            .map(|_| pool.submit(have_a_child, ()).unwrap())
            .collect(),
        "nested" => (0..2)
            .map(|_| pool.submit(have_a_pool, ()).unwrap())
            .collect(),
        "starting" => {
            // Its workers are told to go before they have heard anything.
            let _ = pool.submit(die, ()).unwrap().wait();
            let _ = pool.submit(die, ()).unwrap().wait();
            println!("starting");
            println!("starting");
            Vec::new()
        }
        other => panic!("{other}"),
    };
    for future in futures {
        let _ = future.wait();
    }
    loop {
        std::thread::park();
    }
}

/// Adopts what a killed driver leaves, and says how each of those ended. The kernel answers when
/// nobody is left: until then this waits.
fn witnesses_a_kill() {
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).expect("to adopt orphans");
    let kind = std::env::args().nth(1).expect("what its workers do");
    let mut driver = begin(program("is_killed").arg(kind));
    for _ in 0..2 {
        eprintln!("{}", driver.line().expect("a line of each worker"));
    }
    driver.child.kill().expect("to kill the driver");
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::empty()) {
        let who = if pid.as_raw_nonzero().get() as u32 == driver.child.id() {
            "driver"
        } else {
            "other"
        };
        println!("{who} {:?}", status.terminating_signal());
    }
}

/// Kills a driver, and waits until everybody is gone. (The watchdog of the test says if not.) At least
/// its workers are seen to end; what they had started may be killed and reaped before they are.
fn kill_a_driver(kind: &str, others: usize) {
    let finished = finish(program("witnesses_a_kill").arg(kind));
    assert!(finished.status.success(), "{finished:#?}");
    let mut lines = finished.lines();
    lines.sort_unstable();
    // Everybody was killed: nobody came to an end of their own.
    let driver = lines
        .iter()
        .filter(|line| **line == "driver Some(9)")
        .count();
    assert_eq!(driver, 1, "{finished:#?}");
    let killed = lines
        .iter()
        .filter(|line| **line == "other Some(9)")
        .count();
    assert_eq!(killed, lines.len() - 1, "{finished:#?}");
    assert!(killed >= others, "{finished:#?}");
}

fn nobody_outlives_a_killed_driver_with_idle_workers() {
    kill_a_driver("idle", 2);
}

fn nobody_outlives_a_killed_driver_with_busy_workers() {
    kill_a_driver("busy", 2);
}

/// They cannot notice anything while they are stopped.
fn nobody_outlives_a_killed_driver_with_stopped_workers() {
    kill_a_driver("stopped", 2);
}

fn nobody_outlives_a_killed_driver_with_grandchildren() {
    kill_a_driver("grandchildren", 2);
}

fn nobody_outlives_a_killed_driver_with_nested_pools() {
    kill_a_driver("nested", 2);
}

fn nobody_outlives_a_killed_driver_with_starting_workers() {
    kill_a_driver("starting", 0);
}

// ---- hosts that fork ----

/// Forks, as a daemon that it starts would be, which lives on for ever; says who is who, and is killed.
fn forks() {
    procession::init();
    let pool = pool(1);
    let worker = pool.submit(pid, ()).unwrap().wait().unwrap();
    // SAFETY: the new process has this thread alone, which does nothing but wait.
    let forked = unsafe { libc::fork() };
    if forked == 0 {
        loop {
            std::thread::park();
        }
    }
    println!("{worker}\n{forked}");
    loop {
        std::thread::park();
    }
}

/// Whose descriptors are copies of the driver's.
fn a_process_that_is_forked_off_keeps_no_worker_alive() {
    let mut driver = begin(&mut program("forks"));
    let mut number = || driver.line().expect("a pid").parse::<u32>().expect("a pid");
    let (worker, forked) = (number(), number());
    driver.child.kill().expect("to kill the driver");
    driver.child.wait().expect("its end");
    until("the worker to end", || {
        matches!(support::state_of(worker), None | Some('Z'))
    });
    support::signal(forked, libc::SIGKILL);
}

fn a_process_that_is_forked_off_leaves_the_pool_alone() {
    let pool = pool(1);
    let future = pool.submit(answer, ()).unwrap();
    let worker = pool.submit(pid, ()).unwrap().wait().unwrap();
    awaiting("the process that is forked off");
    let mut held = Some(pool);
    let code = support::in_a_fork(|| {
        let pool = held.take().expect("the pool");
        let refused = pool.submit(answer, ());
        let is_refused = matches!(refused, Err(SubmitError::Forked));
        let is_left = !future.cancel() && pool.shutdown(Shutdown::Kill, None).is_err();
        drop(pool);
        support::exit_at_once(if is_refused && is_left { 3 } else { 4 });
    });
    assert_eq!(code, 3);
    let pool = held.expect("the pool");
    assert_eq!(future.wait().unwrap(), 42);
    assert_eq!(pool.submit(pid, ()).unwrap().wait().unwrap(), worker);
}

// ---- hosts at a terminal ----

/// Changes the settings of the terminal, from the background, and reads what is typed. Says how both went.
#[procession::task]
fn use_the_terminal() -> (bool, Option<i32>) {
    let mut terminal = std::fs::File::open("/dev/tty").expect("the terminal");
    let settings = rustix::termios::tcgetattr(&terminal).expect("its settings");
    let changed =
        rustix::termios::tcsetattr(&terminal, rustix::termios::OptionalActions::Now, &settings);
    let read = std::io::Read::read(&mut terminal, &mut [0]);
    (
        changed.is_ok(),
        read.err().and_then(|error| error.raw_os_error()),
    )
}

fn uses_its_terminal() {
    procession::init();
    support::sit_down_at(Path::new(&std::env::args().nth(1).unwrap()));
    let pool = pool(1);
    let used = pool.submit(use_the_terminal, ()).unwrap().wait();
    println!("{used:?}.");
}

fn workers_may_use_the_terminal_from_the_background() {
    let terminal = support::Terminal::new();
    let mut command = program("uses_its_terminal");
    let mut driver = command.arg(terminal.path()).spawn().expect("the driver");
    let said = terminal.read_until(".\r\n");
    assert_eq!(said, format!("Ok((true, Some({}))).\r\n", libc::EIO));
    awaiting("the driver");
    assert!(driver.wait().expect("its end").success());
}

// ---- hosts that are not kind to their children ----

/// Lives with the default action of SIGPIPE, as a program in C does.
fn lives_with_sigpipe() {
    procession::init();
    set_default_action(libc::SIGPIPE);
    let pool = pool(2);
    for round in 0..20 {
        // The second is in the pipe, or about to be written to it, when the worker dies; it is more
        // than a pipe holds.
        let first: Vec<_> = (0..2).map(|_| pool.submit(leave, round).unwrap()).collect();
        let second = pool.submit(length, vec![7; 1 << 20]).unwrap();
        for future in first {
            assert_eq!(lost(future).end, EndOfWorker::Exited(round));
        }
        assert_eq!(second.wait().unwrap(), 1 << 20);
    }
    println!("lived");
}

#[procession::task]
fn length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

fn set_default_action(signal: i32) {
    // SAFETY: the default action runs no code of this program's.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

fn a_driver_does_not_die_of_writing_to_a_dead_worker() {
    assert_eq!(
        finish(&mut program("lives_with_sigpipe"))
            .succeeded()
            .lines(),
        ["lived"]
    );
}

/// The kernel throws the status of its children away.
fn ignores_its_children() {
    procession::init();
    // SAFETY: to ignore a signal runs no code of this program's.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    loses_workers();
}

/// A thread of the program's takes every status that there is.
fn reaps_everything() {
    procession::init();
    std::thread::spawn(|| {
        loop {
            if rustix::process::wait(WaitOptions::empty()).is_err() {
                std::thread::yield_now();
            }
        }
    });
    loses_workers();
}

fn loses_workers() {
    for _ in 0..3 {
        let pool = pool(2);
        for _ in 0..5 {
            let dying = pool.submit(leave, 7).unwrap();
            let fine = pool.submit(answer, ()).unwrap();
            let lost = lost(dying);
            // Who comes first is a race where somebody else reaps.
            assert!(
                matches!(lost.end, EndOfWorker::Unknown | EndOfWorker::Exited(7)),
                "{lost}"
            );
            if lost.end == EndOfWorker::Unknown {
                let text = lost.to_string();
                assert!(text.contains("ended (how is unknown"), "{text}");
            }
            assert_eq!(fine.wait().unwrap(), 42);
        }
    }
    println!("lost and replaced");
}

fn ignored_children_cost_their_status_and_nothing_else() {
    let finished = finish(&mut program("ignores_its_children")).succeeded();
    assert_eq!(finished.lines(), ["lost and replaced"]);
}

fn a_host_that_reaps_everything_costs_the_status_and_nothing_else() {
    let finished = finish(&mut program("reaps_everything")).succeeded();
    assert_eq!(finished.lines(), ["lost and replaced"]);
}

// ---- too few descriptors ----

fn limit_descriptors(limit: u64) {
    let limit = Rlimit {
        current: Some(limit),
        maximum: rustix::process::getrlimit(Resource::Nofile).maximum,
    };
    setrlimit(Resource::Nofile, limit).expect("a limit");
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .expect("/proc/self/fd")
        .count()
}

fn has_few_descriptors() {
    procession::init();
    drop(pool(1));
    let before = open_descriptors();
    limit_descriptors(64);
    let error = ProcessPoolExecutor::builder()
        .max_workers(200)
        .build()
        .unwrap_err();
    assert!(
        matches!(error, BuildError::System { .. } | BuildError::Spawn { .. }),
        "{error:?}"
    );
    println!("{}", describe(&error));
    assert_eq!(open_descriptors(), before);
    assert!(
        rustix::process::wait(WaitOptions::NOHANG).is_err(),
        "a child was left"
    );
    let pool = pool(3);
    println!("{}", pool.submit(answer, ()).unwrap().wait().unwrap());
}

fn too_few_descriptors_are_a_typed_error_and_leave_nothing() {
    let finished = finish(&mut program("has_few_descriptors")).succeeded();
    let lines = finished.lines();
    assert_eq!(lines.len(), 2, "{finished:#?}");
    assert!(lines[0].ends_with("(os error 24)"), "{finished:#?}");
    assert_eq!(lines[1], "42");
}

/// The only worker dies, and there are no descriptors for another one.
fn runs_out_while_replacing() {
    procession::init();
    let pool = pool(1);
    limit_descriptors(3);
    let dying = pool.submit(die, ()).unwrap();
    let queued: Vec<_> = (0..3).map(|_| pool.submit(answer, ()).unwrap()).collect();
    assert_eq!(lost(dying).end, EndOfWorker::Signalled(6));
    for future in queued {
        let error = future.wait().unwrap_err();
        assert!(matches!(&error, TaskError::Broken { .. }), "{error:?}");
        assert!(!error.may_have_run());
        println!("{}", describe(&error));
    }
    let refused = pool.submit(answer, ()).unwrap_err();
    assert!(matches!(refused, SubmitError::Broken(_)), "{refused:?}");
    println!("{refused}");
    drop(pool);
    limit_descriptors(1024);
    let pool = self::pool(2);
    println!("{}", pool.submit(answer, ()).unwrap().wait().unwrap());
}

fn running_out_of_descriptors_while_replacing_is_a_typed_error() {
    let finished = finish(&mut program("runs_out_while_replacing")).succeeded();
    let lines = finished.lines();
    assert_eq!(lines.len(), 5, "{finished:#?}");
    for line in &lines[..4] {
        assert!(
            line.starts_with("the pool is broken: the system refused "),
            "{line}"
        );
    }
    assert!(lines[0].ends_with("(os error 24)"), "{}", lines[0]);
    assert_eq!(lines[4], "42");
}

/// One of two workers dies, and for a while there are no descriptors for another one.
fn goes_on_with_fewer() {
    procession::init();
    let pool = pool(2);
    let before = pids_of_two(&pool);
    let limit = rustix::process::getrlimit(Resource::Nofile)
        .current
        .expect("a limit");
    limit_descriptors(3);
    assert_eq!(
        lost(pool.submit(die, ()).unwrap()).end,
        EndOfWorker::Signalled(6)
    );
    for _ in 0..100 {
        let pid = pool.submit(pid, ()).unwrap().wait().unwrap();
        assert!(before.contains(&pid));
    }
    limit_descriptors(limit);
    // Two at a time again, one of them new.
    let after = pids_of_two(&pool);
    assert_eq!(before.intersection(&after).count(), 1);
    println!("two again");
}

/// Runs two tasks at the same time, each of which ends only when the other has begun.
fn pids_of_two(pool: &ProcessPoolExecutor) -> BTreeSet<u32> {
    let meeting = GateKeeper::new();
    let tasks: Vec<_> = (0..2)
        .map(|label| pool.submit(meet, (meeting.gate(), label)).unwrap())
        .collect();
    meeting.arrivals(2);
    meeting.open(2);
    tasks.into_iter().map(|task| task.wait().unwrap()).collect()
}

#[procession::task]
fn meet(gate: Gate, label: u32) -> u32 {
    gate.pass(label);
    std::process::id()
}

fn a_pool_goes_on_with_fewer_workers_while_none_can_be_started() {
    let finished = finish(&mut program("goes_on_with_fewer")).succeeded();
    assert_eq!(finished.lines(), ["two again"]);
}

// ---- ends of a program ----

fn returns_at_once() {
    procession::init();
    let pool = pool(2);
    for value in 0..6 {
        // Nobody waits for it.
        drop(pool.submit(slow, value).unwrap());
    }
    println!("main returns");
}

fn main_may_return_with_work_in_flight() {
    let finished = finish(&mut program("returns_at_once")).succeeded();
    let mut lines = finished.lines();
    lines.sort_unstable();
    let all = [
        "main returns",
        "slow 0",
        "slow 1",
        "slow 2",
        "slow 3",
        "slow 4",
        "slow 5",
    ];
    assert_eq!(lines, all);
}

/// Statics are not dropped.
fn drops_nothing() {
    static POOL: OnceLock<ProcessPoolExecutor> = OnceLock::new();
    procession::init();
    let pool = POOL.get_or_init(|| pool(2));
    println!("{}", pool.submit(answer, ()).unwrap().wait().unwrap());
    let _spinning = pool.submit(spin, "spins".into()).unwrap();
    // The task prints when it has begun.
    std::process::exit(5)
}

fn a_process_may_exit_with_a_pool_in_a_static() {
    let finished = finish(&mut program("drops_nothing"));
    // `finish` reads to the end of the output, which workers hold too: so they have ended.
    assert_eq!(finished.status.code(), Some(5), "{finished:#?}");
    assert_eq!(finished.lines()[0], "42");
    assert_eq!(finished.stderr, "");
}

fn panics() {
    procession::init();
    let pool = pool(2);
    for _ in 0..4 {
        drop(pool.submit(spin, String::new()).unwrap());
    }
    assert_eq!(pool.max_workers(), 3, "the reason");
}

fn a_panic_kills_the_workers_instead_of_waiting() {
    let finished = finish(&mut program("panics"));
    assert_eq!(finished.status.code(), Some(101), "{finished:#?}");
    assert!(finished.stderr.contains("the reason"), "{finished:#?}");
    assert_eq!(
        finished.stderr.matches("panicked").count(),
        1,
        "{finished:#?}"
    );
}

/// Is the leader of what a terminal would take for the group in its foreground.
fn is_interrupted() {
    procession::init();
    // A shell starts what runs in its background with this ignored.
    set_default_action(libc::SIGINT);
    let pool = pool(2);
    let futures = [(); 2].map(|()| pool.submit(spin, "spins".into()).unwrap());
    for future in futures {
        let _ = future.wait();
    }
}

fn an_interrupt_from_the_terminal_is_not_the_workers_affair() {
    let mut command = program("is_interrupted");
    command
        .process_group(0)
        .stderr(std::process::Stdio::piped());
    let mut running = begin(&mut command);
    assert_eq!(running.line().as_deref(), Some("spins"));
    assert_eq!(running.line().as_deref(), Some("spins"));
    let group = Pid::from_child(&running.child);
    kill_process_group(group, Signal::INT).expect("to interrupt");
    // The workers have the other end too: the output ends when they have.
    assert_eq!(running.line(), None);
    awaiting("the interrupted program");
    let output = running.child.wait_with_output().expect("its end");
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&output.status),
        Some(2)
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

// ---- more than one pool ----

fn two_pools_know_nothing_of_each_other() {
    let (first, second) = (pool(2), pool(1));
    let other = second.submit(pid, ()).unwrap().wait().unwrap();
    for _ in 0..3 {
        let dying = first.submit(die, ()).unwrap();
        let fine = second.submit(pid, ()).unwrap();
        assert_eq!(lost(dying).end, EndOfWorker::Signalled(6));
        assert_eq!(fine.wait().unwrap(), other);
    }
    drop(first);
    assert_eq!(second.submit(pid, ()).unwrap().wait().unwrap(), other);
}

fn builds_many_pools() {
    procession::init();
    drop(pool(1));
    let before = open_descriptors();
    let mut memory = None;
    for round in 0..200 {
        let pool = pool(2);
        assert_eq!(pool.submit(answer, ()).unwrap().wait().unwrap(), 42);
        drop(pool);
        assert_eq!(open_descriptors(), before, "round {round}");
        assert!(
            rustix::process::wait(WaitOptions::NOHANG).is_err(),
            "a child was left"
        );
        if round == 20 {
            memory = allocated_memory();
        }
    }
    // A pool takes more than that.
    let more = allocated_memory()
        .unwrap_or(0)
        .saturating_sub(memory.unwrap_or(0));
    assert!(more < 180 * 64, "{more} bytes more");
    let threads = std::fs::read_dir("/proc/self/task")
        .expect("/proc/self/task")
        .count();
    println!("{threads} thread");
}

fn many_pools_one_after_another_leave_nothing() {
    let mut program = program("builds_many_pools");
    // What threads keep for themselves would count as allocated.
    program.env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
    let finished = finish(&mut program).succeeded();
    assert_eq!(finished.lines(), ["1 thread"]);
}
