//! What is let go of, and how that is told.

use super::{grant, is_idle, object};
use crate::manager::client::remote::Remote;
use crate::primitives::plain::lock;
use crate::sync::tests::{until, watched};

const OBJECTS: u64 = 5000;

fn granted(remote: &Remote, count: u64) -> Vec<Remote> {
    let calls: Vec<_> = (2..2 + count).map(|id| grant(remote, id)).collect();
    calls.into_iter().map(|call| call.wait().unwrap()).collect()
}

#[test]
fn what_is_let_go_of_at_once_is_told_by_few_frames() {
    watched(|| {
        let (remote, seen) = object();
        let mut objects = granted(&remote, OBJECTS);
        // Some have been granted more than once.
        objects.extend(granted(&remote, OBJECTS / 10));
        let all: u64 = lock(&seen).granted.values().sum();
        assert_eq!(all, OBJECTS + OBJECTS / 10);
        drop(objects);
        until(|| lock(&seen).granted.values().all(|count| *count == 0));
        let frames = lock(&seen).releases;
        assert!((1..OBJECTS as usize / 10).contains(&frames), "{frames}");
        until(|| is_idle(&remote));
    });
}

#[test]
fn what_is_let_go_of_is_told_although_nothing_else_is_sent() {
    watched(|| {
        let (remote, seen) = object();
        for count in [1, 2, 3] {
            let objects = granted(&remote, count);
            for object in objects {
                drop(object);
            }
            until(|| lock(&seen).granted.values().all(|count| *count == 0));
        }
    });
}
