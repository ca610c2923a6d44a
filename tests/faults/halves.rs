//! The cells in which a worker ends half-way through a frame that is larger than the pipe.
//!
//! That the frame is not through can be said for sure only while the driver does not move. So the driver is a program of its
//! own here, which its worker stops when it has come so far, and which the test lets go on when the worker has ended.

use std::sync::Arc;
use std::thread;

use super::calls::innocent;
use super::cells::{Innocents, asked_with_bulk, check, release, stopped_and_others};
use super::matrix::{Cell, row};
use super::programs::{begin, program};
use super::support::{self, Gate, GateKeeper, signal, until};
use super::tasks::{Fault, LARGE, Stage, When, prepare};
use super::{Pool, pids, two};

/// Names the stage, the part of its cells, and the gate.
const CHOSEN: &str = "PROCESSION_TEST_CHOSEN";

/// Plays a row of the table: one driver for most of it, and one for each of the cells that take their time.
pub(crate) fn play(stage: Stage) {
    thread::scope(|scope| {
        for (index, part) in (0..).zip(parts(stage)) {
            scope.spawn(move || play_part(stage, index, &part));
        }
    });
}

fn parts(stage: Stage) -> Vec<Vec<Cell>> {
    let (stopped, others) = stopped_and_others(row(stage));
    let mut parts: Vec<Vec<Cell>> = stopped.into_iter().map(|cell| vec![cell]).collect();
    parts.push(others);
    parts
}

fn play_part(stage: Stage, index: usize, part: &[Cell]) {
    let keeper = GateKeeper::new();
    let mut command = program("drives_through_half_frames");
    let chosen = (stage, index, keeper.gate());
    command.env(CHOSEN, serde_json::to_string(&chosen).unwrap());
    let mut driver = begin(&mut command);
    for cell in part {
        let pid = keeper.arrival().pid;
        release(cell.way, &keeper, pid);
        until("the worker to have ended", || {
            matches!(support::state_of(pid), None | Some('Z' | 'T'))
        });
        signal(driver.child.id(), libc::SIGCONT);
        assert_eq!(driver.line(), Some(cell.name()), "{}", cell.name());
    }
    assert_eq!(driver.line(), None);
    assert!(driver.child.wait().unwrap().success());
}

/// The driver: prints the name of each cell that was as it should be.
pub(crate) fn drives_through_half_frames() {
    procession::init();
    let chosen = std::env::var(CHOSEN).expect("what the test has chosen");
    let (stage, index, gate): (Stage, usize, Gate) =
        serde_json::from_str(&chosen).expect("what the test has chosen");
    let pool = Arc::new(two().build().unwrap());
    for cell in parts(stage).swap_remove(index) {
        let fault = Fault {
            stage,
            way: cell.way,
            gate: Some(gate.clone()),
        };
        let tries = (0..100).take_while(|_| !play_here(&pool, &cell, fault.clone()));
        assert!(tries.count() < 100, "never half-way");
        println!("{}", cell.name());
    }
}

/// Says whether the worker was half-way through a frame in time.
fn play_here(pool: &Pool, cell: &Cell, fault: Fault) -> bool {
    let workers = pids(pool);
    let (mut innocents, before) = Innocents::begin(pool);
    let is_other = |pid: &&u32| **pid != innocents.pid;
    let pid = *workers.iter().find(is_other).expect("two workers");
    let call = match cell.stage {
        Stage::Reading => {
            let prepared = pool.submit(prepare, (fault, When::Reading)).unwrap();
            assert_eq!(prepared.wait().unwrap(), pid);
            let asked = asked_with_bulk(cell, innocent(), LARGE);
            cell.caller.asks(pool, asked, before)
        }
        _ => cell
            .caller
            .asks(pool, asked_with_bulk(cell, fault, 0), before),
    };
    call.until_asked(pool);
    innocents.queue(pool);
    check(cell, &call.answer(), pid);
    let other = innocents.pid;
    innocents.end();
    let now = pids(pool);
    assert!(now.len() == 2 && now.contains(&other));
    !now.contains(&pid)
}
