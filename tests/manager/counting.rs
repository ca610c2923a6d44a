//! Ten processes count to a thousand each: under a lock, and by calls that are one step.

use procession::manager::{EventProxy, LockError, LockProxy, ValueProxy};
use procession::{Failure, Process};
use serde::{Deserialize, Serialize};

use super::{On, Place, Test, tests};

const PROCESSES: u64 = 10;
const TIMES: u64 = 1_000;

pub(crate) fn tests() -> Vec<Test> {
    tests![On::ThisMachine;
        ten_processes_count_under_a_lock,
        ten_processes_count_by_fetch_add,
        ten_processes_count_by_update,
    ]
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum How {
    Lock,
    FetchAdd,
    Update,
}

#[procession::task]
fn count(
    how: How,
    value: ValueProxy<u64>,
    lock: LockProxy,
    begin: EventProxy,
) -> Result<(), Failure> {
    begin.wait()?;
    for _ in 0..TIMES {
        match how {
            How::Lock => {
                let _guard = lock.lock().map_err(LockError::without_guard)?;
                value.set(value.get()? + 1)?;
            }
            How::FetchAdd => drop(value.fetch_add(1)?),
            How::Update => value.update(|value| *value += 1)?,
        }
    }
    Ok(())
}

fn all_count(place: Place, how: How) {
    let manager = place.manager();
    let value = manager.value(0_u64).unwrap();
    let lock = manager.lock().unwrap();
    let begin = manager.event().unwrap();
    let processes: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let all = (how, value.clone(), lock.clone(), begin.clone());
            Process::spawn(count, all).unwrap()
        })
        .collect();
    begin.set().unwrap();
    for process in processes {
        process.join().unwrap().unwrap();
    }
    assert_eq!(value.get().unwrap(), PROCESSES * TIMES);
}

fn ten_processes_count_under_a_lock(place: Place) {
    all_count(place, How::Lock);
}

fn ten_processes_count_by_fetch_add(place: Place) {
    all_count(place, How::FetchAdd);
}

fn ten_processes_count_by_update(place: Place) {
    all_count(place, How::Update);
}
