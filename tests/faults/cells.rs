//! How each cell of the table is played.
//!
//! Every cell has an innocent task that runs in one worker, the task that something happens to in another, and innocent tasks
//! that wait behind it. What is to happen waits at a gate until all of that stands.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use procession::{
    BuildError, EndOfWorker, Future, ProcessPoolExecutorBuilder, Shutdown, SubmitError, TaskError,
    TimeLimitKind, WorkerLost,
};

use super::calls::{Answer, Asked, ITEMS, Outcome, innocent, until_closed};
use super::matrix::{Cell, Heard, row};
use super::support::{self, Directory, Gate, GateKeeper, awaiting, signal, until};
use super::tasks::{Fault, LEFT_AT, Stage, Way, When, double, initialize, pass, prepare};
use super::{Pool, pids, two};

/// The time of a task that is to be stopped; the others have no limit.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(300);

/// What a worker that is to be stopped has for its start, and for its initializer. The others have [`NEVER`].
const START_TIMEOUT: Duration = Duration::from_secs(1);

/// What a worker that is to be stopped has for its end.
const EXIT_GRACE: Duration = Duration::from_millis(300);

/// Longer than a test may take.
const NEVER: Duration = Duration::from_secs(3600);

/// What the tasks of the table are asked for, and give back.
const NUMBER: u32 = 7000;

/// Plays a row of the table.
pub(crate) fn play(stage: Stage) {
    let directory = Directory::new();
    let left_at = directory.join("fault");
    let of = |way: Way| builder(stage, way, &left_at);
    let play = |cells: &[Cell], how: &dyn Fn(&Cell)| {
        cells.iter().for_each(|cell| play_one(cell, how));
    };
    let cells = row(stage);
    match stage {
        Stage::Starting | Stage::Initializer => {
            play(&cells, &|cell| first_start(cell, of(cell.way), &left_at));
        }
        Stage::ShutdownWait
        | Stage::ShutdownCancelPending
        | Stage::ShutdownTerminate
        | Stage::ShutdownKill => play(&cells, &|cell| {
            let pool = Arc::new(of(cell.way).build().unwrap());
            shutdown(&pool, cell);
        }),
        _ => {
            let (stopped, others) = stopped_and_others(cells);
            let pool = Arc::new(of(others[0].way).build().unwrap());
            play(&others, &|cell| in_a_pool(&pool, cell, &left_at));
            drop(pool);
            if is_recycled(stage) {
                let pool = Arc::new(of(Way::Stop).build().unwrap());
                return play(&stopped, &|cell| in_a_pool(&pool, cell, &left_at));
            }
            // These take their time; so they take it together.
            thread::scope(|scope| {
                for cell in &stopped {
                    scope.spawn(move || {
                        let directory = Directory::new();
                        let left_at = directory.join("fault");
                        let pool = builder(stage, Way::Stop, &left_at).build();
                        let pool = Arc::new(pool.unwrap());
                        play_one(cell, &|cell| in_a_pool(&pool, cell, &left_at));
                    });
                }
            });
        }
    }
}

fn play_one(cell: &Cell, how: &dyn Fn(&Cell)) {
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| how(cell)));
    if let Err(panic) = played {
        panic!("{}: {}", cell.name(), support::text_of(&*panic));
    }
}

/// The cells in which a process is stopped, which are found out by a limit of time; and those without one.
pub(crate) fn stopped_and_others(cells: Vec<Cell>) -> (Vec<Cell>, Vec<Cell>) {
    cells.into_iter().partition(|cell| cell.way == Way::Stop)
}

/// Whether workers are replaced all the time at this stage.
fn is_recycled(stage: Stage) -> bool {
    matches!(stage, Stage::Leaving | Stage::Successor | Stage::OnHold)
}

/// A pool of two as a stage needs it.
fn builder(stage: Stage, way: Way, left_at: &Path) -> ProcessPoolExecutorBuilder {
    let is_stop = way == Way::Stop;
    let start_timeout = if is_stop { START_TIMEOUT } else { NEVER };
    // A worker that ignores the signal, and ends its task well, does not end either.
    let stays = stage == Stage::ShutdownTerminate && matches!(way, Way::Error | Way::Panic);
    let exit_grace = if is_stop || stays { EXIT_GRACE } else { NEVER };
    let builder = two().exit_grace(exit_grace);
    // One that is stopped before it begins a task is found out by the limit of that task, whichever it is.
    let stops_idle = is_stop && matches!(stage, Stage::Idle | Stage::OnHold);
    let builder = if stops_idle {
        builder.timeout(TIMEOUT)
    } else {
        builder
    };
    match stage {
        Stage::Starting | Stage::StartingAgain => builder
            .env("PROCESSION_TEST_PROGRAM", "starts_with_a_fault")
            .env(LEFT_AT, left_at)
            .start_timeout(start_timeout),
        Stage::Initializer | Stage::InitializerAgain => builder
            .initializer(initialize, left_at.to_owned())
            .initializer_timeout(start_timeout),
        Stage::Leaving => builder.max_tasks_per_child(1),
        Stage::Successor => builder
            .env("PROCESSION_TEST_PROGRAM", "starts_with_a_fault")
            .env(LEFT_AT, left_at)
            .start_timeout(start_timeout)
            .max_tasks_per_child(1),
        Stage::OnHold => builder
            .initializer(initialize, left_at.to_owned())
            .max_tasks_per_child(1),
        _ => builder,
    }
}

fn fault(cell: &Cell, gate: Gate) -> Fault {
    Fault {
        stage: cell.stage,
        way: cell.way,
        gate: Some(gate),
    }
}

fn asked(cell: &Cell, fault: Fault) -> Asked {
    let is_stop = cell.way == Way::Stop;
    Asked {
        fault,
        number: NUMBER,
        bulk: 0,
        timeout: is_stop.then_some(TIMEOUT),
    }
}

/// What is at the gate goes on, or is killed before it.
pub(crate) fn release(way: Way, keeper: &GateKeeper, pid: u32) {
    if way == Way::KilledFromOutside {
        signal(pid, libc::SIGKILL);
    } else {
        keeper.open(1);
    }
}

// ---- the pool is there, and goes on ----

/// The innocents of a cell.
pub(crate) struct Innocents {
    keeper: GateKeeper,
    running: Future<u32>,
    /// The worker that runs it.
    pub(crate) pid: u32,
    queued: Vec<Future<u64>>,
}

impl Innocents {
    /// One that runs, and one that has ended.
    pub(crate) fn begin(pool: &Pool) -> (Self, Future<u64>) {
        let keeper = GateKeeper::new();
        let patient = pool.call(pass).timeout(None);
        let running = patient.submit((keeper.gate(), 3)).unwrap();
        let pid = keeper.arrival().pid;
        let ended = pool.submit(double, 1).unwrap();
        assert_eq!(ended.wait().unwrap(), 2);
        let innocents = Self {
            keeper,
            running,
            pid,
            queued: Vec::new(),
        };
        (innocents, ended)
    }

    /// More that wait.
    pub(crate) fn queue(&mut self, pool: &Pool) {
        let queued = (0..3).map(|n| pool.submit(double, n).unwrap());
        self.queued.extend(queued);
    }

    /// All of them end with their values: those that waited while the other still runs.
    pub(crate) fn end(self) {
        self.end_queued();
        assert!(!self.running.is_done());
        self.end_running();
    }

    fn end_queued(&self) {
        awaiting("the innocent tasks that wait");
        for (n, future) in (0..).zip(&self.queued) {
            assert_eq!(future.wait().unwrap(), 2 * n);
        }
    }

    fn end_running(&self) {
        self.keeper.open(1);
        awaiting("the innocent task that runs");
        assert_eq!(self.running.wait().unwrap(), 3);
    }
}

fn in_a_pool(pool: &Pool, cell: &Cell, left_at: &Path) {
    let (mut innocents, before) = Innocents::begin(pool);
    let other = innocents.pid;
    let keeper = GateKeeper::new();
    let fault = fault(cell, keeper.gate());
    let pid = match cell.stage {
        Stage::Decoding | Stage::Running | Stage::Encoding => {
            let call = cell.caller.asks(pool, asked(cell, fault), before);
            let pid = keeper.arrival().pid;
            call.until_asked(pool);
            innocents.queue(pool);
            release(cell.way, &keeper, pid);
            check(cell, &call.answer(), pid);
            pid
        }
        Stage::StartingAgain | Stage::InitializerAgain => {
            // Once it is known to be there, its worker can be killed.
            fault.leave_at(left_at);
            let first_keeper = GateKeeper::new();
            let first = pool.submit(pass, (first_keeper.gate(), 0)).unwrap();
            signal(first_keeper.arrival().pid, libc::SIGKILL);
            assert!(matches!(first.wait(), Err(TaskError::WorkerLost(_))));
            let pid = keeper.arrival().pid;
            let call = cell.caller.asks(pool, asked(cell, innocent()), before);
            innocents.queue(pool);
            release(cell.way, &keeper, pid);
            check(cell, &call.answer(), pid);
            pid
        }
        Stage::Idle => {
            let prepared = pool.submit(prepare, (fault, When::Idle)).unwrap();
            let pid = prepared.wait().unwrap();
            assert_eq!(keeper.arrival().pid, pid);
            release(cell.way, &keeper, pid);
            let stopped = (cell.way == Way::Stop).then_some('T');
            until("the worker to be gone", || {
                support::state_of(pid) == stopped
            });
            let call = cell.caller.asks(pool, asked(cell, innocent()), before);
            innocents.queue(pool);
            check(cell, &call.answer(), pid);
            pid
        }
        Stage::Leaving => {
            let call = cell.caller.asks(pool, asked(cell, fault), before);
            check(cell, &call.answer(), 0);
            let pid = keeper.arrival().pid;
            innocents.queue(pool);
            release(cell.way, &keeper, pid);
            innocents.end_queued();
            until("the worker to be gone", || support::state_of(pid).is_none());
            pid
        }
        Stage::Successor | Stage::OnHold => {
            // One that is idle, one that runs, and its successor: nobody else starts.
            until("the workers to have started", || {
                let workers = support::children();
                workers.len() == 3 && workers.iter().all(|worker| is_reading(worker.pid))
            });
            fault.leave_at(left_at);
            // The successor of the worker that gets this task is started now.
            let task_keeper = GateKeeper::new();
            let task = Fault {
                way: Way::Not,
                gate: Some(task_keeper.gate()),
                ..fault
            };
            let call = cell.caller.asks(pool, asked(cell, task), before);
            let leaving = task_keeper.arrival().pid;
            let pid = keeper.arrival().pid;
            assert_ne!(pid, leaving);
            innocents.queue(pool);
            release(cell.way, &keeper, pid);
            if cell.way != Way::Stop {
                until("the successor to be gone", || {
                    support::state_of(pid).is_none()
                });
            }
            task_keeper.open(1);
            check(cell, &call.answer(), leaving);
            pid
        }
        stage => unreachable!("{stage:?} is played elsewhere"),
    };
    assert_ne!(pid, other);
    innocents.end();
    let now = pids(pool);
    assert_eq!(now.len(), 2);
    assert!(is_recycled(cell.stage) || now.contains(&other));
    assert_eq!(now.contains(&pid), lives_on(cell.heard));
}

/// Whether the main thread of a process waits for something to read.
fn is_reading(pid: u32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    text.split(' ').next() == Some(&*libc::SYS_read.to_string())
}

/// Whether the worker lives on of whose task this is heard.
fn lives_on(heard: Heard) -> bool {
    matches!(
        heard,
        Heard::OwnError | Heard::Panicked | Heard::NotDecoded | Heard::NotEncoded
    )
}

// ---- there is no pool yet ----

const INITIALIZER: &str = "faults::tasks::initialize";

fn first_start(cell: &Cell, builder: ProcessPoolExecutorBuilder, left_at: &Path) {
    let keeper = GateKeeper::new();
    fault(cell, keeper.gate()).leave_at(left_at);
    let built = thread::spawn(move || builder.build());
    let pid = keeper.arrival().pid;
    release(cell.way, &keeper, pid);
    awaiting("the pool to say that a worker is of no use");
    let error = built.join().unwrap().unwrap_err();
    let is_so = match (&error, cell.heard) {
        (
            BuildError::WorkerEnded {
                pid: of,
                end,
                initializer,
                last_words: None,
            },
            heard,
        ) => {
            let is_end = match heard {
                Heard::Exited(code) => *end == EndOfWorker::Exited(code),
                Heard::Signalled(signal) => *end == EndOfWorker::Signalled(signal),
                _ => false,
            };
            let function = (cell.stage == Stage::Initializer).then_some(INITIALIZER);
            is_end && *of == pid && initializer.as_deref() == function
        }
        (
            BuildError::NoHello {
                pid: of,
                start_timeout,
            },
            Heard::NoHello,
        ) => *of == pid && *start_timeout == START_TIMEOUT,
        (
            BuildError::Initializer {
                function,
                pid: of,
                message,
            },
            Heard::InitializerFailed,
        ) => {
            let own = match cell.way {
                Way::Error => message == "an error",
                _ => message.starts_with("panicked at ") && message.ends_with(": a panic"),
            };
            *of == pid && function == INITIALIZER && own
        }
        (
            BuildError::InitializerTimeout {
                function,
                pid: of,
                initializer_timeout,
            },
            Heard::InitializerTimeout,
        ) => *of == pid && function == INITIALIZER && *initializer_timeout == START_TIMEOUT,
        _ => false,
    };
    assert!(is_so, "{error:?}");
    assert!(error.to_string().contains(&pid.to_string()), "{error:?}");
    assert!(support::children().is_empty());
}

// ---- the pool is being shut down ----

fn shutdown(pool: &Pool, cell: &Cell) {
    let how = match cell.stage {
        Stage::ShutdownWait => Shutdown::Wait,
        Stage::ShutdownCancelPending => Shutdown::CancelPending,
        Stage::ShutdownTerminate => Shutdown::Terminate,
        _ => Shutdown::Kill,
    };
    let (mut innocents, before) = Innocents::begin(pool);
    let keeper = GateKeeper::new();
    let fault = fault(cell, keeper.gate());
    let call = cell.caller.asks(pool, asked(cell, fault), before);
    let pid = keeper.arrival().pid;
    call.until_asked(pool);
    innocents.queue(pool);
    if how == Shutdown::Kill {
        keeper.open(1);
        until("the worker to be stopped", || {
            support::state_of(pid) == Some('T')
        });
    }
    let ending = thread::spawn({
        let pool = pool.clone();
        move || pool.shutdown(how, None)
    });
    until_closed(pool);
    if matches!(how, Shutdown::Wait | Shutdown::CancelPending) {
        release(cell.way, &keeper, pid);
    }
    let answer = call.answer();
    if how == Shutdown::Terminate {
        // Nobody has to wait for the worker to hear of it.
        release(cell.way, &keeper, pid);
    }
    check(cell, &answer, pid);
    match how {
        Shutdown::Wait => innocents.end(),
        Shutdown::CancelPending => {
            awaiting("the innocent tasks that are cancelled");
            for future in &innocents.queued {
                let error = future.wait().unwrap_err();
                assert!(matches!(error, TaskError::Cancelled { .. }), "{error:?}");
                assert!(!error.may_have_run());
            }
            innocents.end_running();
        }
        _ => {
            awaiting("the innocent tasks that are ended");
            let running = innocents.running.wait().unwrap_err();
            assert!(
                matches!(running, TaskError::ShutDown { may_have_run: true }),
                "{running:?}"
            );
            for future in &innocents.queued {
                let error = future.wait().unwrap_err();
                assert!(matches!(error, TaskError::ShutDown { .. }), "{error:?}");
                assert!(!error.may_have_run());
            }
        }
    }
    awaiting("the shutdown");
    ending.join().unwrap().unwrap();
    assert!(support::children().is_empty());
    assert_eq!(pool.submit(double, 1).unwrap_err(), SubmitError::ShutDown);
}

// ---- what is heard ----

/// The answer is what the table says, about this worker; other items of a map have their values.
#[track_caller]
pub(crate) fn check(cell: &Cell, answer: &Answer, pid: u32) {
    check_outcome(cell, answer, pid);
    for (index, item) in (1..).zip(&answer.items) {
        match (cell.stage, item) {
            (Stage::ShutdownCancelPending, Err(error)) => {
                assert!(matches!(error, TaskError::Cancelled { .. }), "{error:?}");
                assert!(!error.may_have_run());
            }
            (Stage::ShutdownTerminate | Stage::ShutdownKill, Err(error)) => {
                assert!(matches!(error, TaskError::ShutDown { .. }), "{error:?}");
                assert!(!error.may_have_run());
            }
            _ => assert_eq!(value_of(item), Some(NUMBER + index), "{item:?}"),
        }
    }
    assert!(answer.items.is_empty() || answer.items.len() == ITEMS as usize);
}

fn value_of(outcome: &Outcome) -> Option<u32> {
    let told = outcome.as_ref().ok()?.as_ref().ok()?;
    Some(told.number)
}

#[track_caller]
fn check_outcome(cell: &Cell, answer: &Answer, pid: u32) {
    const FUNCTION: &str = "faults::tasks::suffer";
    let outcome = &answer.outcome;
    let lost = |lost: &WorkerLost, end: EndOfWorker| {
        assert_eq!((lost.pid, &lost.end), (pid, &end));
        assert_eq!(
            (&*lost.function, lost.task.to_string()),
            (FUNCTION, answer.task.clone())
        );
        assert_eq!((lost.attempts, lost.may_have_run), (1, true));
        assert!(lost.run_time.is_some());
        assert!(lost.peak_memory.is_none_or(|bytes| bytes > 1 << 20));
        assert_eq!(lost.last_words, None);
        let text = lost.to_string();
        let names = [pid.to_string(), end.to_string(), FUNCTION.to_owned()];
        assert!(names.iter().all(|name| text.contains(name)), "{text}");
    };
    let may_have_run = match (outcome, cell.heard) {
        (Ok(_), Heard::Value) => {
            assert_eq!(value_of(outcome), Some(NUMBER));
            return;
        }
        (Ok(Err(error)), Heard::OwnError) => return assert_eq!(error, "an error"),
        (Err(TaskError::Panicked(panic)), Heard::Panicked) => {
            assert_eq!((&*panic.function, panic.pid), (FUNCTION, pid));
            assert_eq!(&*panic.message, "a panic");
            let location = panic.location.as_deref().unwrap_or_default();
            assert!(location.starts_with("tests/faults/tasks.rs:"), "{location}");
            true
        }
        (Err(TaskError::ArgumentNotDecoded { function, message }), Heard::NotDecoded) => {
            assert_eq!(&**function, FUNCTION);
            let own = "the type's own `Deserialize` refused the value";
            assert_eq!(&**message, own);
            false
        }
        (Err(TaskError::ResultNotEncoded { function, message }), Heard::NotEncoded) => {
            assert_eq!(&**function, FUNCTION);
            assert_eq!(&**message, "the type's own `Serialize` refused the value");
            true
        }
        (Err(TaskError::WorkerLost(it)), Heard::Exited(code)) => {
            lost(it, EndOfWorker::Exited(code));
            true
        }
        (Err(TaskError::WorkerLost(it)), Heard::Signalled(signal)) => {
            lost(it, EndOfWorker::Signalled(signal));
            true
        }
        (Err(TaskError::TimeLimit(limit)), Heard::Timeout) => {
            assert_eq!((limit.kind, limit.limit), (TimeLimitKind::Timeout, TIMEOUT));
            assert_eq!((&*limit.function, limit.pid), (FUNCTION, Some(pid)));
            assert_eq!(limit.task.to_string(), answer.task);
            assert_eq!(limit.attempts, 1);
            assert!(limit.run_time.is_some_and(|time| time >= TIMEOUT));
            true
        }
        (Err(TaskError::ShutDown { .. }), Heard::ShutDown) => true,
        _ => panic!("{outcome:?}"),
    };
    let error = outcome.as_ref().unwrap_err();
    assert_eq!(error.may_have_run(), may_have_run, "{error:?}");
}

/// For those that look elsewhere.
pub(crate) fn asked_with_bulk(cell: &Cell, fault: Fault, bulk: usize) -> Asked {
    Asked {
        bulk,
        ..asked(cell, fault)
    }
}
