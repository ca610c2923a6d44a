//! Maps, initializers, pools within pools.

use std::sync::Mutex;

use procession::{Descriptor, ProcessPoolExecutor};

use super::support::Case;
use super::tasks::*;
use super::{numbered, pool, said, text_of};

pub(crate) fn tests() -> Vec<Case> {
    super::support::tests![
        a_map_takes_items_with_and_without,
        a_map_gives_results_with_and_without,
        an_unordered_map_gives_every_one,
        an_initializer_brings_one_to_every_worker,
        a_worker_hands_one_on_to_a_worker_of_its_own,
        nothing_is_left_in_a_worker,
    ]
}

#[procession::task]
fn read_if(number: u32, from: Option<Descriptor>) -> (u32, Option<String>) {
    (number, from.as_ref().map(text_of))
}

fn a_map_takes_items_with_and_without() {
    let pool = pool(2);
    for chunksize in [1, 2, 7, 100] {
        let items = (0..50).map(|n| {
            let has_one = n % 5 == 3 || n % 7 == 0;
            (n, has_one.then(|| said(&n.to_string())))
        });
        let map = pool.map(read_if, items).chunksize(chunksize);
        for (n, read) in (0..50).zip(map) {
            let has_one = n % 5 == 3 || n % 7 == 0;
            let expected = has_one.then(|| n.to_string());
            assert_eq!(read.unwrap(), (n, expected), "{chunksize}");
        }
    }
}

fn a_map_gives_results_with_and_without() {
    let pool = pool(2);
    for chunksize in [1, 4, 100] {
        let before = super::open_here();
        let made: Vec<_> = pool.map(make_if_even, 0..60).chunksize(chunksize).collect();
        for (n, made) in (0..60).zip(&made) {
            let text = made.as_ref().unwrap().as_ref().map(text_of);
            assert_eq!(text, (n % 2 == 0).then(|| n.to_string()), "{chunksize}");
        }
        drop(made);
        super::support::until("every one to be closed", || super::open_here() <= before);
    }
}

fn an_unordered_map_gives_every_one() {
    let pool = pool(2);
    let made = pool.map(make_if_even, 0..60).chunksize(7).unordered();
    let mut texts: Vec<u32> = made
        .filter_map(|made| text_of(&made.unwrap()?).parse().ok())
        .collect();
    texts.sort_unstable();
    assert_eq!(texts, (0..60).step_by(2).collect::<Vec<u32>>());
}

static BROUGHT: Mutex<Vec<Descriptor>> = Mutex::new(Vec::new());

#[procession::task]
fn bring(descriptors: Vec<Descriptor>) {
    *BROUGHT.lock().unwrap() = descriptors;
}

#[procession::task]
fn brought() -> (u32, Vec<String>) {
    let brought = BROUGHT.lock().unwrap();
    (std::process::id(), brought.iter().map(text_of).collect())
}

fn an_initializer_brings_one_to_every_worker() {
    let pool = ProcessPoolExecutor::builder()
        .max_workers(2)
        .max_tasks_per_child(1)
        .initializer(bring, numbered(300))
        .build()
        .unwrap();
    let expected: Vec<_> = (0..300).map(|n| n.to_string()).collect();
    let mut pids = Vec::new();
    for _ in 0..4 {
        let (pid, texts) = pool.submit(brought, ()).unwrap().wait().unwrap();
        assert_eq!(texts, expected);
        pids.push(pid);
    }
    pids.dedup();
    assert_eq!(pids.len(), 4, "a worker each");
}

fn a_worker_hands_one_on_to_a_worker_of_its_own() {
    let pool = pool(1);
    let own = pool.submit(pid, ()).unwrap().wait().unwrap();
    let handed = pool.submit(hand_on, (said("far"), 2)).unwrap().wait();
    let (descriptor, last) = handed.unwrap().unwrap();
    assert_eq!(text_of(&descriptor), "far");
    assert_ne!(last, own);
}

fn nothing_is_left_in_a_worker() {
    let pool = pool(1);
    let open = || pool.submit(count, ()).unwrap().wait().unwrap();
    let before = open();
    for _ in 0..3 {
        let echoed = pool.submit(echo, numbered(300)).unwrap();
        assert_eq!(echoed.wait().unwrap().len(), 300);
        assert!(
            pool.submit(panic_with, numbered(10))
                .unwrap()
                .wait()
                .is_err()
        );
        let made: usize = pool.map(make_if_even, 0..20).chunksize(6).count();
        assert_eq!(made, 20);
    }
    assert_eq!(open(), before);
}
