//! Managers and what is in them. One suite, run wherever a server can be: in this process, in one of its own, at the other end of a
//! TCP connection, and in another network.
//!
//! | file | one line |
//! |--|--|
//! | `place` | where the server is |
//! | `containers` | every call of what keeps values |
//! | `locks` | every call of what is waited for, and the pool |
//! | `children` | made here, changed in another process, seen here |
//! | `counting` | ten processes, one number |
//! | `deaths` | clients that are killed while they hold, wait and write |
//! | `loss` | the server is killed |
//! | `crowd` | hundreds of clients at once |
//! | `stress` | everything at once, and random kills |
//! | `travel` | proxies within values, by every way |
//! | `strangers` | a second program, which has the address and the key |
//! | `handles` | managers themselves, where it does not matter where they are |

#[path = "../support/mod.rs"]
mod support;
#[path = "../programs/mod.rs"]
mod programs;
mod place;
mod containers;
mod locks;
mod children;
mod counting;
mod deaths;
mod loss;
mod crowd;
mod stress;
mod travel;
mod strangers;
mod handles;

use std::task::{Context, Waker};
use std::time::Duration;

use place::Place;
use procession::ProcessPoolExecutor;
use programs::programs;
use support::Case;

use place::serves_another_network;
use strangers::puts_values;

/// A behaviour, and where it is seen.
struct Test {
    name: &'static str,
    run: fn(Place),
    on: On,
    limit: Duration,
}

/// Where a test is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// Everywhere.
    Every,
    /// Where it does not take long: not in another network, which TCP stands for.
    ThisMachine,
    /// Where the server is a process on this machine that can be stopped and killed.
    Processes,
}

/// The tests of a module: `tests![On::Every; a_test, another_test]`.
macro_rules! tests {
    ($on:expr; $($name:ident),* $(,)?) => {
        vec![$($crate::Test {
            name: concat!(module_path!(), "::", stringify!($name)),
            run: $name,
            on: $on,
            limit: std::time::Duration::from_secs(60),
        }),*]
    };
}
use tests;

fn main() {
    programs::run_if_asked(&programs![serves_another_network, puts_values]);
    support::run(|| {
        let tests: Vec<Test> = [
            containers::tests(),
            locks::tests(),
            children::tests(),
            counting::tests(),
            deaths::tests(),
            loss::tests(),
            crowd::tests(),
            stress::tests(),
            travel::tests(),
            strangers::tests(),
        ]
        .into_iter()
        .flatten()
        .collect();
        let mut cases = Vec::new();
        for place in Place::all() {
            for test in tests.iter().filter(|test| place.is_of(test.on)) {
                let (_, name) = test.name.split_once("::").expect("a name in a module");
                let run = test.run;
                let case = Case::new(format!("{}::{name}", place.name()), move || run(place));
                cases.push(case.limit(test.limit));
            }
        }
        cases.extend(handles::tests());
        cases
    });
}

fn pool(workers: usize) -> ProcessPoolExecutor {
    let pool = ProcessPoolExecutor::builder().max_workers(workers).build();
    pool.expect("a pool")
}

fn kill_this_process() -> ! {
    let this = rustix::process::getpid();
    rustix::process::kill_process(this, rustix::process::Signal::KILL).unwrap();
    unreachable!("it was killed");
}

/// Polls it once.
fn begin<F: Future>(future: std::pin::Pin<&mut F>) {
    let polled = future.poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
}

/// Sends a manager, without any object, on a journey. What holds it then stays, and is a connection.
fn let_travel(manager: &procession::manager::Manager) {
    let (sender, receiver) = procession::pipe::one_way().unwrap();
    sender.send(manager).unwrap();
    assert!(receiver.recv().unwrap().is_same(manager));
}
