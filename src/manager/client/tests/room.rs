//! Calls that wait until there is room to send them.

use std::thread;
use std::time::Instant;

use futures::executor::block_on;
use futures::future::join_all;

use super::fake::{Op, Seen};
use super::{ask, echo, grant, is_idle, is_lost, object};
use crate::manager::ManagerError;
use crate::manager::client::Calling;
use crate::manager::client::connection::sending::MAX_QUEUED;
use crate::manager::client::remote::Remote;
use crate::primitives::plain::lock;
use crate::sync::tests::{until, watched};

const LARGE: usize = 1 << 20;

/// An object of a server that does not read, with as much on its way as may be.
fn stopped() -> (Remote, Seen, Vec<Calling<Vec<u8>>>) {
    let (remote, seen) = object();
    ask(&remote, &Op::Stop).then(|_| ());
    let calls: Vec<_> = (0..3 * MAX_QUEUED / LARGE)
        .map(|_| echo(&remote, &[7; LARGE]))
        .collect();
    (remote, seen, calls)
}

fn queued(remote: &Remote) -> usize {
    remote.site().connected().unwrap().queued()
}

#[test]
fn what_is_queued_is_bounded_and_everything_runs() {
    watched(|| {
        let (remote, seen, calls) = stopped();
        let most = MAX_QUEUED + LARGE + 4096;
        assert!(queued(&remote) > MAX_QUEUED && queued(&remote) <= most);
        let late = echo(&remote, b"late").wait_until(Some(Instant::now()));
        assert!(matches!(late, Err(ManagerError::TimedOut)));
        let late = echo(&remote, b"late").wait_verdict(Some(Instant::now()));
        assert!(matches!(late, Err(ManagerError::TimedOut)));
        drop(echo(&remote, b"given up"));

        thread::scope(|scope| {
            let threads: Vec<_> = (0..4_u8)
                .map(|thread| {
                    let remote = &remote;
                    scope.spawn(move || {
                        for turn in 0..20 {
                            let asked = vec![thread + turn; LARGE / 4];
                            assert!(echo(remote, &asked).wait().unwrap() == asked);
                        }
                    })
                })
                .collect();
            // What is told does not wait.
            remote.tell(&Op::Undo(7));
            assert!(queued(&remote) <= most + 4 * LARGE);
            lock(&seen).goes_on = true;
            let answers = block_on(join_all(calls));
            assert!(
                answers
                    .into_iter()
                    .all(|answer| answer.unwrap() == [7; LARGE])
            );
            threads
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
        });
        assert_eq!(lock(&seen).undone, [7]);
        until(|| is_idle(&remote));
    });
}

#[test]
fn a_callback_of_the_reactor_is_not_kept_waiting() {
    watched(|| {
        let (remote, seen) = object();
        let (tell, told) = std::sync::mpsc::channel();
        let other = remote.clone();
        // The callback runs where room is made.
        grant(&remote, 2).then(move |granted| {
            for _ in 0..2 * MAX_QUEUED / LARGE {
                let tell = tell.clone();
                let granted = granted.as_ref().unwrap().clone();
                echo(&other, &[7; LARGE]).then(move |end| {
                    tell.send(end.unwrap().len()).unwrap();
                    drop(granted);
                });
            }
        });
        for _ in 0..2 * MAX_QUEUED / LARGE {
            assert_eq!(told.recv().unwrap(), LARGE);
        }
        until(|| is_idle(&remote));
        until(|| lock(&seen).granted.values().all(|count| *count == 0));
    });
}

#[test]
fn whoever_waits_for_room_is_told_that_there_will_be_none() {
    watched(|| {
        let (remote, seen, calls) = stopped();
        let waits = thread::spawn({
            let remote = remote.clone();
            move || echo(&remote, &[7; LARGE]).wait()
        });
        remote.tell(&Op::Write(Vec::new()));
        lock(&seen).goes_on = true;
        // Those that were sent are answered. The server goes before the last.
        let answers = block_on(join_all(calls));
        let lost = is_lost(waits.join().unwrap());
        assert!(lost || answers.into_iter().all(|answer| answer.is_ok()));
        until(|| remote.site().connected().unwrap().is_lost());
        assert!(is_lost(echo(&remote, &[7; LARGE]).wait()));
    });
}
