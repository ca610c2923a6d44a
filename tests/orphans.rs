//! Nobody is left behind: however a driver ends, whatever its workers are at, and however a worker ends, whatever it
//! has started.

mod programs;
mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use procession::{Future, Kill, Process, ProcessPoolExecutor, Shutdown, TaskError};
use programs::{
    ENDS, end_as_told, end_by, finish, prepare_to_end, program, programs, set_default_action,
};
use rustix::process::{Signal, WaitOptions, kill_process};
use support::{Case, Gate, GateKeeper, Terminal, awaiting, signal, sit_down_at, state_of, until};

/// What workers are at when their driver ends.
const KINDS: [&str; 10] = [
    "idle",
    "busy",
    "stopped",
    "sleeping_children",
    "busy_children",
    "nested",
    // The thread that built the pool has ended.
    "thread",
    // Daemons, and what they have started.
    "processes",
    "process_tree",
    // No daemons.
    "awaited_processes",
];

fn main() {
    programs::run_if_asked(&programs![drives, witnesses, is_at_a_terminal]);
    support::run(|| {
        let mut cases = support::tests![
            a_time_limit_ends_what_the_task_has_started,
            a_kill_ends_what_the_task_has_started,
            a_crash_ends_what_the_task_has_started,
            a_signal_from_outside_ends_what_the_task_has_started,
            what_ignores_the_signal_to_end_is_killed,
            the_end_of_a_worker_ends_what_earlier_tasks_have_started,
            the_end_of_a_pool_ends_what_tasks_have_started,
            an_interrupt_at_a_terminal_reaches_the_driver_once,
        ];
        for kind in KINDS {
            for (end, looks) in ENDS {
                // What would wait for them has no end.
                if kind == "awaited_processes" && matches!(end, "exit" | "panic") {
                    continue;
                }
                let name = format!("nobody_outlives::{kind}::{end}");
                cases.push(Case::new(name, move || end_a_driver(kind, end, looks)));
            }
        }
        cases
    });
}

// ---- tasks ----

/// Never ends by itself; says when it has begun.
#[procession::task]
fn spin() {
    println!("spins");
    loop {
        std::hint::spin_loop();
    }
}

/// Stops itself.
#[procession::task]
fn stop() {
    kill_process(rustix::process::getpid(), Signal::STOP).expect("to stop");
}

fn sleeper() -> Command {
    let mut command = Command::new("sleep");
    command.arg("1000000");
    command
}

fn spinner() -> Command {
    shell("while :; do :; done")
}

fn shell(text: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", text]);
    command
}

/// Starts a process that goes on by itself, and waits for it.
#[procession::task]
fn have_a_child(is_busy: bool) {
    let mut command = if is_busy { spinner() } else { sleeper() };
    let mut child = command.spawn().expect("a child");
    println!("has a child");
    let _ = child.wait();
}

/// Has a pool of its own, with a worker that never ends.
#[procession::task]
fn have_a_pool() {
    let pool = pool(1);
    let _ = pool.submit(spin, ()).unwrap().wait();
}

/// Has a process of its own that never ends, and has started another one.
#[procession::task]
fn have_a_process() {
    let process = Process::spawn(have_a_child, true).unwrap();
    let _ = process.join();
}

/// What a task does after it has started a process.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
enum Then {
    Return,
    Abort,
    Spin,
    /// The process that it has started ignores SIGTERM.
    SpinWithAStubbornChild,
}

/// Starts a process that goes on by itself, and says at the gate which.
#[expect(clippy::zombie_processes, reason = "it is to be left to its fate")]
#[procession::task]
fn start_a_child(gate: Gate, then: Then) {
    let mut command = match then {
        Then::SpinWithAStubbornChild => shell("trap '' TERM; while :; do :; done"),
        _ => spinner(),
    };
    let child = command.spawn().expect("a child");
    gate.arrive(child.id());
    match then {
        Then::Return => {}
        Then::Abort => std::process::abort(),
        Then::Spin | Then::SpinWithAStubbornChild => loop {
            std::hint::spin_loop();
        },
    }
}

#[procession::task]
fn pass(gate: Gate, label: u32) -> u32 {
    gate.pass(label);
    label
}

fn pool(workers: usize) -> ProcessPoolExecutor {
    let builder = ProcessPoolExecutor::builder().max_workers(workers);
    builder.build().unwrap_or_else(|error| panic!("{error:?}"))
}

/// Where process 1 does not reap, one that is dead may stay as a zombie.
fn is_gone(pid: u32) -> bool {
    matches!(state_of(pid), None | Some('Z'))
}

// ---- however a driver ends ----

/// Has workers of a kind, and says so; ends as it is told, when it is told.
fn drives() {
    procession::init();
    let mut arguments = std::env::args().skip(1);
    let (kind, end) = (arguments.next().unwrap(), arguments.next().unwrap());
    if let Some(terminal) = arguments.next() {
        sit_down_at(Path::new(&terminal));
    }
    prepare_to_end();
    let pool = match &*kind {
        // The thread that has asked for the workers is gone when they begin.
        "thread" => std::thread::spawn(|| pool(2)).join().expect("a pool"),
        _ => pool(2),
    };
    // Last: they say that they are there, and whoever is about to be started when the driver's group is sent a signal gets it, too.
    let daemon = |is_daemon| Process::builder().daemon(is_daemon);
    let processes: Vec<Process<()>> = match &*kind {
        "processes" | "awaited_processes" => (0..2)
            .map(|_| daemon(kind == "processes").spawn(spin, ()).unwrap())
            .collect(),
        "process_tree" => (0..2)
            .map(|_| daemon(true).spawn(have_a_process, ()).unwrap())
            .collect(),
        _ => Vec::new(),
    };
    let two = |submit: &dyn Fn() -> Future<()>| vec![submit(), submit()];
    let futures = match &*kind {
        "idle" => {
            println!("idle\nidle");
            Vec::new()
        }
        "busy" | "thread" => two(&|| pool.submit(spin, ()).unwrap()),
        "stopped" => {
            let futures = two(&|| pool.submit(stop, ()).unwrap());
            let are_stopped = || support::children().iter().all(|child| child.state == 'T');
            until("the workers to be stopped", are_stopped);
            println!("stopped\nstopped");
            futures
        }
        "sleeping_children" => two(&|| pool.submit(have_a_child, false).unwrap()),
        "busy_children" => two(&|| pool.submit(have_a_child, true).unwrap()),
        "nested" => two(&|| pool.submit(have_a_pool, ()).unwrap()),
        "processes" | "awaited_processes" | "process_tree" => Vec::new(),
        other => panic!("{other}"),
    };
    // There is more to come than what runs.
    let more = if futures.is_empty() { 0 } else { 5 };
    let queued: Vec<_> = (0..more).map(|_| pool.submit(spin, ())).collect();
    let _ = std::io::stdin().read(&mut [0]);
    let _dropped_if_at_all = (futures, queued, processes);
    end_by(&end)
}

/// Adopts what a driver leaves, and says how each of those ended. The kernel answers when nobody is left:
/// until then this waits.
fn witnesses() {
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).expect("to adopt orphans");
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let end = &*arguments[1];
    let mut command = program("drives");
    command.args(&arguments).stdin(Stdio::piped());
    let mut driver = if end == "terminal" {
        let terminal = Terminal::new();
        let driver = command.arg(terminal.path()).spawn().expect("the driver");
        // Of each worker.
        let mut text = String::new();
        while text.lines().count() < 2 {
            text += &terminal.read_until("\n");
        }
        // What is dropped here ends the terminal.
        driver
    } else {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.process_group(0).spawn().expect("the driver");
        let lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
        assert_eq!(lines.take(2).filter(Result::is_ok).count(), 2);
        driver
    };
    end_as_told(&mut driver, end);
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::empty()) {
        let who = if pid.as_raw_nonzero().get() as u32 == driver.id() {
            "driver"
        } else {
            "other"
        };
        match (status.terminating_signal(), status.exit_status()) {
            (Some(signal), _) => println!("{who} signal {signal}"),
            (_, code) => println!("{who} code {}", code.unwrap_or(-1)),
        }
    }
}

/// Ends a driver, and waits until everybody is gone. (The watchdog of the test says if not.) At least its workers are
/// seen to end; what they had started may be killed and reaped before they are.
fn end_a_driver(kind: &str, end: &str, looks: &str) {
    let finished = finish(program("witnesses").args([kind, end]));
    assert!(finished.status.success(), "{finished:#?}");
    let (driver, others): (Vec<_>, Vec<_>) = finished
        .lines()
        .into_iter()
        .partition(|line| line.starts_with("driver"));
    assert_eq!(driver, [format!("driver {looks}")], "{finished:#?}");
    // Whoever was at something was killed. One that has nothing to do may see the end of its tasks before.
    let is_fine =
        |line: &&str| *line == "other signal 9" || (kind == "idle" && *line == "other code 0");
    assert!(others.iter().all(is_fine), "{finished:#?}");
    // A driver that drops its pool has reaped its workers.
    assert!(others.len() >= 2 || end == "panic", "{finished:#?}");
}

// ---- however a worker ends ----

/// A task that has started a process: its future, its worker, and that process.
fn with_a_child(pool: &ProcessPoolExecutor, then: Then) -> (Future<()>, u32, u32) {
    let keeper = GateKeeper::new();
    let future = pool.submit(start_a_child, (keeper.gate(), then)).unwrap();
    let arrival = keeper.arrival();
    (future, arrival.pid, arrival.label)
}

/// Waits until a process is gone, which was sent the signal for it before this was asked for: on a busy machine it may
/// take a while until it gets to die.
fn goes(child: u32) {
    until("what a task has started to be gone", || is_gone(child));
}

fn a_time_limit_ends_what_the_task_has_started() {
    let builder = ProcessPoolExecutor::builder().max_workers(1);
    let pool = builder.timeout(Duration::from_millis(200)).build().unwrap();
    let (future, _, child) = with_a_child(&pool, Then::Spin);
    assert!(matches!(future.wait(), Err(TaskError::TimeLimit(_))));
    goes(child);
}

fn a_kill_ends_what_the_task_has_started() {
    let pool = pool(1);
    let (future, _, child) = with_a_child(&pool, Then::Spin);
    assert_eq!(future.kill(), Kill::Killing);
    assert!(matches!(future.wait(), Err(TaskError::Killed(_))));
    goes(child);
}

fn a_crash_ends_what_the_task_has_started() {
    let pool = pool(1);
    let (future, _, child) = with_a_child(&pool, Then::Abort);
    assert!(matches!(future.wait(), Err(TaskError::WorkerLost(_))));
    goes(child);
}

fn a_signal_from_outside_ends_what_the_task_has_started() {
    // `nohup` ignores one of them, and workers do as this process does.
    for number in [libc::SIGTERM, libc::SIGHUP] {
        set_default_action(number);
    }
    let pool = pool(1);
    for number in [libc::SIGKILL, libc::SIGTERM, libc::SIGHUP, libc::SIGABRT] {
        let (future, worker, child) = with_a_child(&pool, Then::Spin);
        assert!(!is_gone(child));
        signal(worker, number);
        assert!(matches!(future.wait(), Err(TaskError::WorkerLost(_))));
        goes(child);
    }
}

/// The worker heeds the signal, and what it has started does not.
fn what_ignores_the_signal_to_end_is_killed() {
    let builder = ProcessPoolExecutor::builder().max_workers(1);
    let builder = builder.terminate_grace(Duration::from_secs(3600));
    let pool = builder.build().unwrap();
    let (future, _, child) = with_a_child(&pool, Then::SpinWithAStubbornChild);
    assert_eq!(future.kill(), Kill::Killing);
    assert!(matches!(future.wait(), Err(TaskError::Killed(_))));
    goes(child);
}

fn the_end_of_a_worker_ends_what_earlier_tasks_have_started() {
    let builder = ProcessPoolExecutor::builder().max_workers(1);
    let pool = builder.max_tasks_per_child(2).build().unwrap();
    let (first, worker, child) = with_a_child(&pool, Then::Return);
    first.wait().unwrap();
    assert!(!is_gone(child), "its worker is still there");
    let (second, again, sibling) = with_a_child(&pool, Then::Return);
    second.wait().unwrap();
    assert_eq!(again, worker);
    goes(child);
    goes(sibling);
}

fn the_end_of_a_pool_ends_what_tasks_have_started() {
    for how in [
        Shutdown::Wait,
        Shutdown::CancelPending,
        Shutdown::Terminate,
        Shutdown::Kill,
    ] {
        let pool = pool(1);
        let (future, _, child) = with_a_child(&pool, Then::Return);
        future.wait().unwrap();
        awaiting(format!("a shutdown, {how:?}"));
        pool.shutdown(how, None).unwrap();
        goes(child);
    }
}

// ---- at a terminal ----

/// Counts what is typed to interrupt it, and lets its tasks end all the same.
fn is_at_a_terminal() {
    static INTERRUPTS: AtomicU32 = AtomicU32::new(0);
    extern "C" fn count(_: libc::c_int) {
        INTERRUPTS.fetch_add(1, Ordering::SeqCst);
    }
    procession::init();
    sit_down_at(Path::new(&std::env::args().nth(1).unwrap()));
    let count: extern "C" fn(libc::c_int) = count;
    // SAFETY: the handler does nothing but add to an atomic number.
    unsafe { libc::signal(libc::SIGINT, count as libc::sighandler_t) };
    let pool = pool(2);
    let keeper = GateKeeper::new();
    let tasks = [1, 2].map(|label| pool.submit(pass, (keeper.gate(), label)).unwrap());
    keeper.arrivals(2);
    println!("ready");
    until("an interrupt", || INTERRUPTS.load(Ordering::SeqCst) > 0);
    keeper.open(2);
    let values = tasks.map(|task| task.wait().unwrap());
    drop(pool);
    let interrupts = INTERRUPTS.load(Ordering::SeqCst);
    println!("interrupted {interrupts} time, but got {values:?}");
}

fn an_interrupt_at_a_terminal_reaches_the_driver_once() {
    let terminal = Terminal::new();
    let mut command = program("is_at_a_terminal");
    let mut driver = command.arg(terminal.path()).spawn().expect("the driver");
    assert_eq!(terminal.read_until("ready\r\n"), "ready\r\n");
    terminal.press(b'C' & 0x1f);
    let text = terminal.read_until("got [1, 2]\r\n");
    // The terminal shows what was typed.
    let said = text.replace("^C", "");
    assert_eq!(said, "interrupted 1 time, but got [1, 2]\r\n");
    awaiting("the driver");
    assert!(driver.wait().expect("its end").success());
    assert_eq!(terminal.read_until("more"), "");
}
