//! Calls whose time is over, of which the server says what has come of them.

use std::time::Instant;

use super::fake::Op;
use super::{ask, is_idle, is_lost, late, object};
use crate::manager::ManagerError;
use crate::primitives::plain::lock;
use crate::sync::tests::{until, watched};

#[test]
fn what_was_done_at_the_last_moment_is_done() {
    watched(|| {
        let (remote, seen) = object();
        let end = late(&remote, 7).wait_verdict(Some(Instant::now()));
        assert_eq!(end.unwrap(), 7);
        let end = ask(&remote, &Op::Wait).wait_verdict(Some(Instant::now()));
        assert!(matches!(end, Err(ManagerError::TimedOut)), "{end:?}");
        assert!(is_idle(&remote));
        assert_eq!(lock(&seen).undone, [0; 0]);
        assert_eq!(lock(&seen).cancelled, 2);
    });
}

#[test]
fn a_server_that_goes_says_nothing_more() {
    watched(|| {
        let (remote, seen) = object();
        let waits = ask(&remote, &Op::Wait);
        until(|| lock(&seen).waiting == 1);
        let goes = ask(&remote, &Op::Write(Vec::new()));
        assert!(is_lost(waits.wait_verdict(Some(Instant::now()))));
        drop(goes);
    });
}
