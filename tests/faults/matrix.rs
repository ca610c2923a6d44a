//! The table: every way to end, at every stage of a worker's life, for every caller.
//!
//! Whatever happens in a cell, innocent tasks, of which one runs in another worker meanwhile and others wait, end with their
//! values, unless the pool is being shut down in a way that ends them; and the pool goes on with as many workers as before.

use std::time::Duration;

use super::calls::{CALLERS, Caller};
use super::support::Case;
use super::tasks::{Stage, Way};
use super::{cells, halves};

/// What the caller hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Its value: nothing is lost.
    Value,
    /// The function's own error, which is a value, too.
    OwnError,
    Panicked,
    NotDecoded,
    NotEncoded,
    /// That the worker is lost: it exited with this code…
    Exited(i32),
    /// … or was ended by this signal.
    Signalled(i32),
    /// That the task was ended at its timeout.
    Timeout,
    /// That the executor was shut down, and that the function may have been called.
    ShutDown,
    /// From `build`: that the worker did not say hello in time.
    NoHello,
    /// From `build`: the initializer's own error, or panic.
    InitializerFailed,
    /// From `build`: that the initializer was not done in time.
    InitializerTimeout,
    /// Nothing, since there is no such thing; this is why.
    Never(&'static str),
}

use Heard::{
    Exited, InitializerFailed, InitializerTimeout, Never, NoHello, NotDecoded, NotEncoded,
    OwnError, Panicked, ShutDown, Signalled, Timeout, Value,
};

const ABRT: Heard = Signalled(libc::SIGABRT);
const SEGV: Heard = Signalled(libc::SIGSEGV);
const KILL: Heard = Signalled(libc::SIGKILL);

/// No code of the user's runs then on the thread that serves; and where another thread returns or panics, nobody is told.
const OURS: Heard = Never("nothing of the user's runs then that could return an error or panic");
/// As above, and there is no `exit` to return an error from.
const NO_ERROR: Heard = Never("what runs at exit returns nothing");
const TOO_LATE: Heard =
    Never("the worker is killed before it can do anything, or has ended before, as in `Running`");

/// The columns.
pub(crate) const WAYS: [Way; 11] = [
    Way::Error,
    Way::Panic,
    Way::Exit(0),
    Way::Exit(42),
    Way::ExitAtOnce(7),
    Way::Abort,
    Way::Segfault,
    Way::StackOverflow,
    Way::Kill,
    Way::KilledFromOutside,
    Way::Stop,
];

/// The rows.
#[rustfmt::skip]
const TABLE: [(Stage, [Heard; 11]); 17] = [
    //                               error              panic              exit(0)    exit(42)    _exit(7)   abort     SIGSEGV   overflow  SIGKILL   outside   SIGSTOP
    (Stage::Starting,              [ Exited(1),         Exited(101),       Exited(0), Exited(42), Exited(7), ABRT,     SEGV,     ABRT,     KILL,     KILL,     NoHello ]),
    (Stage::StartingAgain,         [ Value,             Value,             Value,     Value,      Value,     Value,    Value,    Value,    Value,    Value,    Value ]),
    (Stage::Initializer,           [ InitializerFailed, InitializerFailed, Exited(0), Exited(42), Exited(7), ABRT,     SEGV,     ABRT,     KILL,     KILL,     InitializerTimeout ]),
    (Stage::InitializerAgain,      [ Value,             Value,             Value,     Value,      Value,     Value,    Value,    Value,    Value,    Value,    Value ]),
    (Stage::Reading,               [ OURS,              OURS,              Value,     Value,      Value,     Value,    Value,    Value,    Value,    Value,    Value ]),
    (Stage::Decoding,              [ NotDecoded,        Panicked,          Exited(0), Exited(42), Exited(7), ABRT,     SEGV,     ABRT,     KILL,     KILL,     Timeout ]),
    (Stage::Running,               [ OwnError,          Panicked,          Exited(0), Exited(42), Exited(7), ABRT,     SEGV,     ABRT,     KILL,     KILL,     Timeout ]),
    (Stage::Encoding,              [ NotEncoded,        Panicked,          Exited(0), Exited(42), Exited(7), ABRT,     SEGV,     ABRT,     KILL,     KILL,     Timeout ]),
    (Stage::Writing,               [ OURS,              OURS,              Exited(0), Exited(42), Exited(7), ABRT,     SEGV,     ABRT,     KILL,     KILL,     Timeout ]),
    (Stage::Idle,                  [ OURS,              OURS,              Value,     Value,      Value,     Value,    Value,    Value,    Value,    Value,    Value ]),
    (Stage::Leaving,               [ NO_ERROR,          Value,             Value,     Value,      Value,     Value,    Value,    Value,    Value,    Value,    Value ]),
    (Stage::Successor,             [ Value,             Value,             Value,     Value,      Value,     Value,    Value,    Value,    Value,    Value,    Value ]),
    (Stage::OnHold,                [ OURS,              OURS,              Value,     Value,      Value,     Value,    Value,    Value,    Value,    Value,    Value ]),
    (Stage::ShutdownWait,          [ OwnError,          Panicked,          Exited(0), Exited(42), Exited(7), ABRT,     SEGV,     ABRT,     KILL,     KILL,     Timeout ]),
    (Stage::ShutdownCancelPending, [ OwnError,          Panicked,          Exited(0), Exited(42), Exited(7), ABRT,     SEGV,     ABRT,     KILL,     KILL,     Timeout ]),
    (Stage::ShutdownTerminate,     [ ShutDown,          ShutDown,          ShutDown,  ShutDown,   ShutDown,  ShutDown, ShutDown, ShutDown, ShutDown, ShutDown, ShutDown ]),
    (Stage::ShutdownKill,          [ TOO_LATE,          TOO_LATE,          TOO_LATE,  TOO_LATE,   TOO_LATE,  TOO_LATE, TOO_LATE, TOO_LATE, TOO_LATE, TOO_LATE, ShutDown ]),
];

/// One cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) stage: Stage,
    pub(crate) way: Way,
    pub(crate) caller: Caller,
    pub(crate) heard: Heard,
}

impl Cell {
    /// In words, for whoever reads that a test has failed.
    pub(crate) fn name(&self) -> String {
        let Self {
            stage,
            way,
            caller,
            heard,
        } = self;
        format!("{way:?} while {stage:?}, when a caller {caller:?}: to be heard is {heard:?}")
    }
}

/// The cells of a row that can be.
pub(crate) fn row(stage: Stage) -> Vec<Cell> {
    let (_, row) = TABLE.iter().find(|(of, _)| *of == stage).expect("a row");
    let mut cells = Vec::new();
    for (way, heard) in WAYS.into_iter().zip(*row) {
        if let Never(why) = heard {
            assert!(!why.is_empty());
            continue;
        }
        // There is no pool yet that a caller could have.
        let is_first = matches!(stage, Stage::Starting | Stage::Initializer);
        let callers = if is_first { &CALLERS[..1] } else { &CALLERS };
        cells.extend(callers.iter().map(|&caller| Cell {
            stage,
            way,
            caller,
            heard,
        }));
    }
    cells
}

pub(crate) fn tests() -> Vec<Case> {
    let rows = TABLE.iter().map(|&(stage, _)| {
        let play = match stage {
            Stage::Reading | Stage::Writing => halves::play,
            _ => cells::play,
        };
        let run = move || play(stage);
        Case::new(format!("every_way_to_end_while_{stage:?}"), run).limit(Duration::from_secs(120))
    });
    rows.collect()
}
