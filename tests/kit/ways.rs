//! To workers, from workers, between workers, to workers of workers.

use procession::pipe;
use procession::shared::Value;
use procession::{Executor, ExecutorExt, InlineExecutor, TaskError, ThreadPoolExecutor};

use super::support::{Case, segment_name, tests};
use super::tasks::*;
use super::values::Kit;
use super::{has_here, has_there, pool};

pub(crate) fn tests() -> Vec<Case> {
    tests![
        everything_goes_to_a_worker_and_comes_back,
        what_does_not_come_back_is_left_nowhere,
        the_same_is_used_in_threads,
        what_a_worker_makes_is_used_here_and_by_others,
        through_a_connection_and_down_to_a_worker_of_a_worker,
        from_a_worker_to_one_of_another_pool,
        a_map_has_them_in_its_items,
        a_task_that_panics_leaves_none,
        a_type_that_does_not_fit_is_refused,
    ]
}

fn everything_goes_to_a_worker_and_comes_back() {
    let pool = pool(1);
    let before = has_there(&pool);
    for _ in 0..3 {
        let (kit, others) = Kit::new(&segment_name("kit"));
        let back = pool.submit(use_it, kit.clone()).unwrap().wait().unwrap();
        kit.has_traces();
        back.has_traces();
        back.is_the_same_as(&kit);
        drop(kit);
        others.are_connected_to(back);
        assert_eq!(has_there(&pool), before);
    }
}

fn what_does_not_come_back_is_left_nowhere() {
    let pool = pool(1);
    let before = (has_here(), has_there(&pool));
    let (kit, others) = Kit::new(&segment_name("kit"));
    let task = pool.submit(use_without_answer, kit.clone()).unwrap();
    task.wait().unwrap();
    kit.has_traces();
    others.are_connected_to(kit);
    assert_eq!((has_here(), has_there(&pool)), before);
}

fn the_same_is_used_in_threads() {
    let executors: [&dyn Executor; 2] = [
        &ThreadPoolExecutor::with_max_workers(1).unwrap(),
        &InlineExecutor::new(),
    ];
    for (n, executor) in executors.into_iter().enumerate() {
        let (kit, others) = Kit::new(&segment_name(&format!("kit-{n}")));
        let back = executor.submit(use_it, kit.clone()).unwrap().wait();
        let back = back.unwrap();
        kit.has_traces();
        back.is_the_same_as(&kit);
        drop(kit);
        others.are_connected_to(back);
    }
}

fn what_a_worker_makes_is_used_here_and_by_others() {
    let (maker, user) = (pool(1), pool(1));
    let before = has_there(&maker);
    let (value, locks, receiver) = maker.submit(make, ()).unwrap().wait().unwrap();
    let made_by = maker.submit(pid, ()).unwrap().wait().unwrap();
    assert_eq!(value.get().unwrap(), made_by);
    assert_eq!(receiver.unwrap().recv().unwrap(), "from the maker");
    assert_eq!(has_there(&maker), before);
    drop(maker);
    let primitive = Primitive::Lock(locks[0].clone());
    let _guard = locks[0].lock().unwrap();
    let taken = user.submit(take, primitive).unwrap();
    assert!(!taken.is_done());
    drop(_guard);
    assert_eq!(taken.wait().unwrap(), Found::Free);
}

fn through_a_connection_and_down_to_a_worker_of_a_worker() {
    let pool = pool(1);
    let second = pool.submit(pid, ()).unwrap().wait().unwrap();
    let before = (has_here(), has_there(&pool));
    let (sender, receiver) = pipe::one_way().unwrap();
    let handed = pool.submit(hand_down, receiver).unwrap();
    let (kit, others) = Kit::new(&segment_name("kit"));
    sender.send(&kit).unwrap();
    let (third, back) = handed.wait().unwrap().unwrap();
    assert!(third != second && third != std::process::id());
    kit.has_traces();
    back.is_the_same_as(&kit);
    drop((kit, handed)); // a future keeps what came with its result
    others.are_connected_to(back);
    drop(sender);
    // The worker's pool has opened what the first pool of a process keeps: the program.
    let (descriptors, mappings) = has_there(&pool);
    assert!(descriptors <= before.1.0 + 1);
    assert_eq!(mappings, before.1.1);
    assert_eq!(has_here(), before.0);
}

fn from_a_worker_to_one_of_another_pool() {
    let (first, second) = (pool(1), pool(1));
    let before = (has_there(&first), has_there(&second));
    let (kit, others) = Kit::new(&segment_name("kit"));
    let (sender, receiver) = pipe::one_way().unwrap();
    let received = second.submit(receive, receiver).unwrap();
    let sent = first.submit(send, (kit.clone(), sender)).unwrap();
    sent.wait().unwrap().unwrap();
    let back = received.wait().unwrap().unwrap().unwrap();
    back.is_the_same_as(&kit);
    back.leave_traces();
    kit.has_traces();
    drop((kit, received));
    others.are_connected_to(back);
    assert_eq!((has_there(&first), has_there(&second)), before);
}

fn a_map_has_them_in_its_items() {
    let pool = pool(2);
    let values: Vec<_> = (0..5).map(|_| Value::new(0).unwrap()).collect();
    let items = (1..=100).map(|addend| (values.clone(), addend));
    for done in pool.map(add_to_all, items).chunksize(7) {
        done.unwrap();
    }
    for value in values {
        assert_eq!(value.get().unwrap(), 5050);
    }
}

fn a_task_that_panics_leaves_none() {
    let pool = pool(1);
    let before = (has_here(), has_there(&pool));
    let (kit, others) = Kit::new(&segment_name("kit"));
    let panicked = pool.submit(panic_with, kit).unwrap().wait();
    assert!(matches!(panicked, Err(TaskError::Panicked(_))));
    drop((panicked, others));
    assert_eq!((has_here(), has_there(&pool)), before);
}

/// By its name, with arguments of other types.
fn a_type_that_does_not_fit_is_refused() {
    let pool = pool(1);
    let before = (has_here(), has_there(&pool));
    let small = Value::new(1_u8).unwrap();
    let name = concat!(module_path!(), "::unused");
    assert!(pool.submit_by_name::<()>(name, &small).is_err());
    drop(small);
    assert_eq!((has_here(), has_there(&pool)), before);
}
