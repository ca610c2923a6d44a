//! Who begins first.

use futures::executor::block_on;
use procession::{Executor, ExecutorExt as _, ThreadPoolExecutor};

use super::support::{self, Case, GateKeeper, awaiting, until};
use super::tasks::*;
use super::{EVER, pool};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        the_more_urgent_begins_first_and_then_the_older,
        every_way_to_submit_has_a_priority,
        what_was_sent_ahead_is_not_overtaken_for_long,
    ]
}

fn the_more_urgent_begins_first_and_then_the_older() {
    let pool = pool(1);
    let threads = ThreadPoolExecutor::with_max_workers(1).unwrap();
    let executors: [&dyn Executor; 2] = [&pool, &threads];
    for executor in executors {
        let keeper = GateKeeper::new();
        let running = executor.submit(pass, (keeper.gate(), 0)).unwrap();
        keeper.arrival();
        let priorities = [0, 3, -1, 0, i32::MAX, 3, i32::MIN, -1, 0];
        let futures: Vec<_> = (0..)
            .zip(priorities)
            .map(|(line, priority)| {
                let call = executor.call(note).priority(priority);
                call.submit((keeper.log(), line)).unwrap()
            })
            .collect();
        assert!(futures[3].cancel());
        keeper.open(1);
        running.wait().unwrap();
        awaiting("the tasks");
        let ended = futures.iter().filter(|future| future.wait().is_ok());
        assert_eq!(ended.count(), 8);
        assert_eq!(
            keeper.log().lines(),
            ["4", "1", "5", "0", "8", "2", "7", "6"]
        );
    }
}

fn every_way_to_submit_has_a_priority() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let running = pool.submit(pass, (keeper.gate(), 0)).unwrap();
    keeper.arrival();
    let call = pool.call(note).timeout(EVER);
    let line = |line| (keeper.log(), line);
    let plain = pool.submit(note, line(1)).unwrap();
    let low = call.clone().priority(-1).try_submit(line(2)).unwrap();
    let high = block_on(call.clone().priority(2).submit_async(line(3))).unwrap();
    let map = call.clone().priority(1).map([line(4), line(5)]);
    let try_map = call
        .priority(3)
        .try_map([Ok::<_, ()>(line(6)), Ok(line(7))]);
    std::thread::scope(|scope| {
        awaiting("the items");
        let map = scope.spawn(|| map.chunksize(2).filter(Result::is_ok).count());
        until("the items to be submitted", || pool.pending() == 5);
        let try_map = scope.spawn(|| try_map.filter(Result::is_ok).count());
        until("the items to be submitted", || pool.pending() == 7);
        keeper.open(1);
        assert_eq!((map.join().unwrap(), try_map.join().unwrap()), (2, 2));
    });
    awaiting("the tasks");
    for future in [running, plain, low, high] {
        future.wait().unwrap();
    }
    assert_eq!(keeper.log().lines(), ["6", "7", "3", "4", "5", "1", "2"]);
}

/// One that is more urgent waits for the few that are in the pipe already, and for nothing else.
fn what_was_sent_ahead_is_not_overtaken_for_long() {
    let pool = pool(1);
    super::make_known_as_short(&pool);
    let keeper = GateKeeper::new();
    let running = pool.submit(pass_or_not, (Some(keeper.gate()), 0)).unwrap();
    let ordinary: Vec<_> = (0..500)
        .map(|label| pool.submit(pass_or_not, (None, label)).unwrap())
        .collect();
    keeper.arrival();
    let call = pool.call(pass).priority(1);
    let urgent = call.submit((keeper.gate(), 9)).unwrap();
    keeper.open(1);
    running.wait().unwrap();
    assert_eq!(keeper.arrival().label, 9);
    let done = ordinary.iter().filter(|future| future.is_done()).count();
    assert!(done <= 64, "{done}");
    keeper.open(1);
    urgent.wait().unwrap();
    awaiting("the others");
    assert!(ordinary.iter().all(|future| future.wait().is_ok()));
}
