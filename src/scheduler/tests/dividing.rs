//! Chunks that take long, and workers that have nothing to do.

use super::*;
use crate::scheduler::{LONGEST_LOOK_NS, STUCK_NS};

impl Pool {
    /// A chunk of so many items, which its worker begins at once.
    fn submit_chunk(&mut self, items: u32, worker: u32, seq: u32, task: u64) {
        let terms = Terms {
            function: UNKNOWN,
            more_items: items - 1,
            ..Terms::default()
        };
        assert_eq!(self.submit_with(terms), [send(worker, seq, task)]);
        self.goes_on(worker, seq, 0);
        self.pages.chunks.push((WorkerId(worker), seq, items));
    }

    /// The worker is at this item from now on.
    fn goes_on(&mut self, worker: u32, seq: u32, item: u32) {
        let worker = WorkerId(worker);
        let started_ns = self.now;
        let progress = Progress::Running { item, started_ns };
        match self.pages.run(worker, seq) {
            Some(run) => run.progress = progress,
            None => self.pages.begun.push(Run {
                worker,
                seq,
                progress,
            }),
        }
    }

    /// How many items a chunk has now.
    fn items_of(&self, worker: u32, seq: u32) -> u32 {
        let mut chunks = self.pages.chunks.iter();
        let chunk = chunks.find(|(of, number, _)| (*of, *number) == (WorkerId(worker), seq));
        chunk.unwrap().2
    }

    /// The next timer, at its time.
    fn tick_next(&mut self) -> Vec<Action<()>> {
        self.now = self.scheduler.next_tick_ns().expect("a timer");
        self.act(Scheduler::tick)
    }
}

#[test]
fn what_waits_behind_a_long_item_goes_to_who_is_idle() {
    let mut pool = Pool::new(3);
    pool.submit_chunk(10, 2, 0, 0);
    pool.now += STUCK_NS;
    assert_eq!(pool.act(Scheduler::tick), [], "it has not taken long");
    assert_eq!(pool.tick_next(), [send(1, 0, 1), send(0, 0, 2)]);
    assert_eq!(pool.items_of(2, 0), 1, "and it keeps what it has begun");
    assert_eq!(pool.scheduler.parts_of(TaskId(0)), [TaskId(1), TaskId(2)]);
    assert_eq!(pool.tick_next(), []);
    assert_eq!(pool.scheduler.next_tick_ns(), None, "nobody is idle");
}

#[test]
fn a_worker_that_gets_along_keeps_its_share() {
    let mut pool = Pool::new(2);
    pool.submit_chunk(100, 1, 0, 0);
    pool.now += STUCK_NS;
    pool.goes_on(1, 0, 19);
    assert_eq!(pool.tick_next(), [send(0, 0, 1)]);
    assert_eq!(pool.items_of(1, 0), 60);
}

#[test]
fn a_worker_that_falls_idle_gets_something_at_once_of_what_takes_long() {
    let mut pool = Pool::new(2);
    pool.submit_chunk(10, 1, 0, 0);
    assert_eq!(pool.submit(UNKNOWN), [send(0, 0, 1)]);
    pool.goes_on(0, 0, 0);
    pool.now += 2 * STUCK_NS;
    assert_eq!(pool.act(Scheduler::tick), [], "nobody is idle");
    let actions = [complete(1, End::Finished), send(0, 1, 2)];
    assert_eq!(pool.finished(0, 0), actions);
}

#[test]
fn nobody_looks_after_a_chunk_from_which_nothing_can_be_taken() {
    let mut pool = Pool::new(2);
    pool.submit_chunk(3, 1, 0, 0);
    pool.now += STUCK_NS;
    pool.goes_on(1, 0, 2);
    assert_eq!(pool.tick_next(), []);
    assert_eq!(pool.scheduler.next_tick_ns(), None);
}

#[test]
fn nobody_looks_after_single_tasks() {
    let mut pool = Pool::new(2);
    pool.submit(UNKNOWN);
    assert_eq!(pool.scheduler.next_tick_ns(), None);
}

#[test]
fn a_worker_that_does_not_begin_is_looked_at_less_and_less_often() {
    let mut pool = Pool::new(2);
    let terms = Terms {
        function: UNKNOWN,
        more_items: 9,
        ..Terms::default()
    };
    assert_eq!(pool.submit_with(terms), [send(1, 0, 0)]);
    let mut looks = Vec::new();
    for _ in 0..10 {
        let before = pool.now;
        assert_eq!(pool.tick_next(), []);
        looks.push((pool.now - before) / STUCK_NS);
    }
    assert_eq!(looks, [1, 1, 2, 4, 8, 16, 32, 64, 128, 128]);
    assert_eq!(LONGEST_LOOK_NS, 128 * STUCK_NS);
    // Another one is looked at in its time.
    pool.submit_chunk(4, 0, 0, 1);
    assert_eq!(pool.act(Scheduler::tick), []);
}

#[test]
fn a_chunk_that_is_cancelled_ends_with_the_item_that_runs() {
    let mut pool = Pool::new(1);
    pool.submit_chunk(10, 0, 0, 0);
    let mut found = None;
    let actions = pool.act(|it, turn| found = Some(it.cancel(TaskId(0), turn)));
    assert_eq!(actions, [complete(1, End::Cancelled)]);
    let running = Cancel::Running {
        worker: WorkerId(0),
        seq: 0,
    };
    assert_eq!((found, pool.items_of(0, 0)), (Some(running), 1));
    assert!(pool.scheduler.parts_of(TaskId(0)).is_empty());
}

#[test]
fn a_chunk_that_is_cancelled_ends_so_also_before_the_result_of_the_task_ahead_has_come() {
    let mut pool = Pool::new(1).learn(0);
    assert_eq!(pool.submit(SHORT), [send(0, 1, 1)]);
    let terms = Terms {
        function: SHORT,
        more_items: 4,
        ..Terms::default()
    };
    assert_eq!(pool.submit_with(terms), [send(0, 2, 2)]);
    // The one ahead has ended by now.
    pool.goes_on(0, 2, 0);
    pool.pages.chunks.push((WorkerId(0), 2, 5));
    let (found, actions) = pool.cancel(2);
    let running = Cancel::Running {
        worker: WorkerId(0),
        seq: 2,
    };
    assert_eq!(actions, [complete(3, End::Cancelled)]);
    assert_eq!((found, pool.items_of(0, 2)), (running, 1));
}

#[test]
fn what_is_taken_back_from_one_is_not_given_to_another_in_the_same_event() {
    let mut pool = Pool::new(2);
    pool.submit_chunk(10, 1, 0, 0);
    assert_eq!(pool.submit(UNKNOWN), [send(0, 0, 1)]);
    pool.now += 2 * STUCK_NS;
    let actions = pool.act(|it, turn| {
        it.cancel(TaskId(1), turn);
    });
    assert_eq!(actions, [complete(1, End::Cancelled)]);
    assert_eq!(pool.tick_next(), [send(0, 1, 2)]);
}

#[test]
fn a_pool_grows_for_a_chunk_that_takes_long() {
    let policy = Policy {
        max_workers: 2,
        ..Policy::of(1)
    };
    let mut pool = Pool::with(policy);
    pool.submit_chunk(10, 0, 0, 0);
    assert_eq!(pool.tick_next(), [spawn(1)]);
    assert_eq!(pool.items_of(0, 0), 1);
    assert_eq!(pool.ready(1), [send(1, 0, 1)]);
}

#[test]
fn a_shutdown_that_cancels_what_is_pending_cancels_items_too() {
    let mut pool = Pool::new(1);
    pool.submit_chunk(10, 0, 0, 0);
    let actions = pool.act(|it, turn| it.shutdown(Shutdown::CancelPending, turn));
    assert_eq!(actions, [complete(1, End::Cancelled)]);
    assert_eq!(
        pool.finished(0, 0),
        [
            complete(0, End::Finished),
            Action::Retire {
                worker: WorkerId(0)
            }
        ]
    );
}

#[test]
fn a_part_has_the_limits_of_its_chunk() {
    let mut pool = Pool::new(2);
    let deadline_ns = NonZeroU64::new(pool.now + 5 * MS);
    let terms = Terms {
        function: UNKNOWN,
        more_items: 9,
        deadline_ns,
        ..Terms::default()
    };
    assert_eq!(pool.submit_with(terms), [send(1, 0, 0)]);
    pool.goes_on(1, 0, 0);
    pool.pages.chunks.push((WorkerId(1), 0, 10));
    assert_eq!(pool.tick_next(), [send(0, 0, 1)]);
    pool.now += 5 * MS;
    pool.act(Scheduler::tick);
    assert_eq!(pool.act(Scheduler::tick), [complete(1, End::Overdue)]);
}

#[test]
fn nobody_looks_after_the_last_item_of_a_chunk_whose_worker_has_gone() {
    let mut pool = Pool::new(2);
    pool.submit_chunk(2, 1, 0, 0);
    pool.pages.continued.push(TaskId(0));
    assert_eq!(pool.gone(1), [send(0, 0, 0), spawn(2)]);
    // The first item is lost, the second runs.
    pool.goes_on(0, 0, 0);
    pool.pages.chunks.push((WorkerId(0), 0, 1));
    assert_eq!(pool.ready(2), []);
    pool.now += STUCK_NS;
    assert_eq!(pool.tick_next(), []);
    assert_eq!(
        pool.scheduler.next_tick_ns(),
        None,
        "nothing is to be taken from it, ever"
    );
}
