//! Answers for which nobody comes.

use std::cell::RefCell;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::fake::Op;
use super::{ask, echo, is_idle, late, object};
use crate::manager::ManagerError;
use crate::manager::client::Calling;
use crate::manager::client::remote::Remote;
use crate::manager::store::MAX_CALLS;
use crate::primitives::plain::lock;
use crate::sync::tests::{until, watched};

/// How many calls are given up before their answers are looked for: the server has to come along.
const AT_ONCE: usize = 1000;

#[test]
fn calls_that_are_given_up_at_once_are_read_by_somebody() {
    watched(|| {
        let (remote, _) = object();
        for call in 0..MAX_CALLS + 2 * AT_ONCE {
            drop(echo(&remote, b"given up"));
            if call % AT_ONCE == 0 {
                until(|| is_idle(&remote));
            }
        }
        until(|| is_idle(&remote));
        assert_eq!(echo(&remote, b"asked").wait().unwrap(), b"asked");
    });
}

#[test]
fn calls_without_any_time_are_read_by_somebody() {
    watched(|| {
        let (remote, _) = object();
        for call in 0..3 * AT_ONCE {
            match echo(&remote, b"no time").wait_until(Some(Instant::now())) {
                Err(ManagerError::TimedOut) => {}
                end => assert_eq!(end.unwrap(), b"no time"),
            }
            if call % AT_ONCE == 0 {
                until(|| is_idle(&remote));
            }
        }
        until(|| is_idle(&remote));
    });
}

#[test]
fn a_large_answer_that_comes_too_late_is_read_by_somebody() {
    watched(|| {
        let (remote, _) = object();
        let call = echo(&remote, &vec![7; 5 << 20]);
        let end = call.wait_until(Some(Instant::now()));
        assert!(matches!(end, Err(ManagerError::TimedOut)));
        until(|| is_idle(&remote));
    });
}

#[test]
fn the_end_of_a_call_is_told_although_nobody_waits() {
    watched(|| {
        let (remote, _) = object();
        let (tell, told) = mpsc::channel();
        for turn in 0..100_u8 {
            let tell = tell.clone();
            echo(&remote, &[turn]).then(move |end| tell.send(end.unwrap()).unwrap());
            assert_eq!(told.recv().unwrap(), [turn]);
        }
    });
}

#[test]
fn what_is_given_back_arrives_behind_an_answer_that_nobody_has_come_for() {
    watched(|| {
        let (remote, seen) = object();
        // The server reads nothing more until this has been read.
        let large = vec![7; 5 << 20];
        let unread = echo(&remote, &large);
        remote.tell(&Op::Undo(7));
        until(|| lock(&seen).undone == [7]);
        assert!(unread.wait().unwrap() == large);
        until(|| is_idle(&remote));
    });
}

#[test]
fn what_is_given_back_goes_out_although_no_more_can_be_asked() {
    watched(|| {
        let (remote, seen) = object();
        let calls: Vec<_> = (0..MAX_CALLS).map(|_| ask(&remote, &Op::Wait)).collect();
        let refused = ask(&remote, &Op::Wait).wait();
        assert!(matches!(refused, Err(ManagerError::TooMany { .. })));

        remote.tell(&Op::Undo(7));
        remote.tell(&Op::Undo(8));

        until(|| lock(&seen).undone == [7, 8]);
        drop(calls);
        until(|| is_idle(&remote));
    });
}

#[test]
fn calls_that_nobody_awaits_yet_run_and_are_read() {
    watched(|| {
        let (remote, seen) = object();
        let answered = || lock(&seen).answered;
        let before = answered();
        // Alone, its answer fits into no socket.
        let large = vec![7; 5 << 20];
        let held = echo(&remote, &large);
        until(|| answered() == before + 1);
        // The server, which reads nothing while it writes, comes to those behind others as well.
        let behind: Vec<_> = (0..3).map(|_| echo(&remote, &large)).collect();
        until(|| answered() == before + 4);
        for call in behind {
            assert!(call.wait().unwrap() == large);
        }
        assert!(held.wait().unwrap() == large);
        until(|| is_idle(&remote));
    });
}

#[test]
fn threads_that_end_let_go_of_what_they_kept() {
    thread_local! {
        static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
    }
    /// Asks once more when its thread has ended.
    struct Kept(
        Remote,
        #[expect(dead_code, reason = "it is dropped")] Calling<u64>,
    );
    impl Drop for Kept {
        fn drop(&mut self) {
            assert_eq!(echo(&self.0, b"last").wait().unwrap(), b"last");
        }
    }
    watched(|| {
        let (remote, seen) = object();
        for is_first in [true, false] {
            let remote = remote.clone();
            let ends = thread::spawn(move || {
                if is_first {
                    KEPT.with_borrow_mut(|_| ());
                }
                ask(&remote, &Op::Undo(0)).wait().unwrap();
                let call = late(&remote, 1);
                KEPT.with_borrow_mut(|kept| kept.push(Kept(remote, call)));
            });
            ends.join().unwrap();
        }
        until(|| lock(&seen).undone.len() == 4);
        echo(&remote, b"").wait().unwrap();
        assert!(is_idle(&remote));
    });
}
