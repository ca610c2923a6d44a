//! Managers and their clients that end, or stand still, while something is on its way.

mod support;

use std::process::exit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, OnceLock};
use std::thread;

use futures::executor::block_on;
use procession::Process;
use procession::manager::{DictProxy, ListProxy, LockProxy, Manager, ManagerError, QueueProxy};
use procession::pipe::{self, Sender};
use support::until;

procession::register!(takes_a_lock_and_waits, ends_with_proxies, asks_once);

fn main() {
    support::run(|| {
        support::tests![
            a_manager_that_is_killed_while_much_is_on_its_way,
            a_manager_that_is_killed_at_any_moment,
            a_client_that_stands_still_with_a_lock_keeps_only_those_who_want_it,
            a_program_that_ends_with_proxies_in_statics,
            proxies_that_are_dropped_while_their_objects_come_again,
            calls_that_are_dropped_while_they_are_answered,
            many_clients_at_once,
            a_value_that_is_large_comes_and_goes,
            a_manager_that_was_shut_down_is_dropped_in_any_order,
        ]
    });
}

fn is_lost<T>(end: Result<T, ManagerError>) -> bool {
    matches!(end, Err(ManagerError::Lost { .. }))
}

fn a_manager_that_is_killed_while_much_is_on_its_way() {
    for is_stopped in [false, true] {
        let manager = Manager::start().unwrap();
        let list = manager.list::<Vec<u8>>().unwrap();
        let pid = manager.pid().unwrap();
        if is_stopped {
            support::signal(pid, 19);
        }
        let begun = Barrier::new(5);
        thread::scope(|scope| {
            let (list, begun) = (&list, &begun);
            let calls: Vec<_> = (0..4)
                .map(|thread| {
                    scope.spawn(move || {
                        let call = list.push_async(vec![thread; 8 << 20]);
                        begun.wait();
                        match thread % 2 {
                            0 => block_on(call).is_err(),
                            _ => {
                                drop(call);
                                is_lost(list.len())
                            }
                        }
                    })
                })
                .collect();
            begun.wait();
            support::signal(pid, 9);
            for call in calls {
                // One may have been done before.
                let was_lost = call.join().unwrap();
                assert!(was_lost || !is_stopped);
            }
        });
        assert!(is_lost(list.len()));
    }
}

fn a_manager_that_is_killed_at_any_moment() {
    for turn in 0..60_usize {
        let manager = Manager::start().unwrap();
        let pid = manager.pid().unwrap();
        let (list, queue) = (
            manager.list::<u64>().unwrap(),
            manager.queue::<u64>().unwrap(),
        );
        let done = AtomicUsize::new(0);
        thread::scope(|scope| {
            for thread in 0..3_u64 {
                let (list, queue, done, manager) = (&list, &queue, &done, &manager);
                scope.spawn(move || {
                    loop {
                        let end = match thread {
                            0 => list.push(1).map_err(drop),
                            1 => block_on(queue.get_timeout_async(std::time::Duration::ZERO))
                                .map(drop)
                                .map_err(drop)
                                .or_else(|()| list.len().map(drop).map_err(drop)),
                            _ => manager.list::<u64>().map(drop).map_err(drop),
                        };
                        done.fetch_add(1, Ordering::Relaxed);
                        if end.is_err() {
                            break;
                        }
                    }
                });
            }
            until("some calls", || done.load(Ordering::Relaxed) > turn * 3);
            support::signal(pid, 9);
        });
        assert!(is_lost(list.len()));
    }
}

/// Has a lock until it is killed.
fn takes_a_lock_and_waits(lock: LockProxy, has_it: Sender<()>) {
    let _guard = lock.lock().unwrap();
    has_it.send(&()).unwrap();
    loop {
        thread::park();
    }
}

fn a_client_that_stands_still_with_a_lock_keeps_only_those_who_want_it() {
    let manager = Manager::start().unwrap();
    let (lock, list) = (manager.lock().unwrap(), manager.list::<u64>().unwrap());
    let (has, has_it) = pipe::one_way::<()>().unwrap();
    let process = Process::spawn(takes_a_lock_and_waits, (lock.clone(), has)).unwrap();
    has_it.recv().unwrap();
    support::signal(process.pid(), 19);
    for turn in 0..100 {
        list.push(turn).unwrap();
    }
    let soon = std::time::Duration::from_millis(10);
    assert!(lock.lock_timeout(soon).is_err());
    process.kill();
    assert!(process.join().is_err());
    // Its lock is free, and says that its owner died.
    let _ = lock.lock();
    assert!(manager.is_alive());
}

/// Ends with the program, in whatever state that is.
fn ends_with_proxies(list: ListProxy<u64>, queue: QueueProxy<u64>) {
    static LIST: OnceLock<ListProxy<u64>> = OnceLock::new();
    static QUEUE: Mutex<Option<QueueProxy<u64>>> = Mutex::new(None);
    thread_local! {
        static CLONES: std::cell::RefCell<Vec<ListProxy<u64>>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    CLONES.with_borrow_mut(|clones| clones.push(list.clone()));
    let waits = queue.clone();
    thread::spawn(move || waits.get());
    let awaits = queue.clone();
    thread::spawn(move || block_on(awaits.get_async()));
    block_on(list.push_async(1)).unwrap();
    let _ = LIST.set(list);
    *QUEUE.lock().unwrap() = Some(queue);
    exit(0);
}

fn a_program_that_ends_with_proxies_in_statics() {
    let manager = Manager::start().unwrap();
    for _ in 0..20 {
        let (list, queue) = (manager.list::<u64>().unwrap(), manager.queue().unwrap());
        let process = Process::spawn(ends_with_proxies, (list, queue)).unwrap();
        let end = process.join();
        let text = format!("{end:?}");
        assert!(
            end.is_ok() || text.contains("status 0") || text.contains("exit"),
            "{text}"
        );
    }
    until("nothing to be left", || {
        manager.status().unwrap().objects == 0
    });
}

fn proxies_that_are_dropped_while_their_objects_come_again() {
    let manager = Manager::start().unwrap();
    let list = manager.list::<u64>().unwrap();
    list.push(7).unwrap();
    manager.publish("list", &list).unwrap();
    drop(list);
    thread::scope(|scope| {
        for thread in 0..4 {
            let manager = &manager;
            scope.spawn(move || {
                for _ in 0..300 {
                    let list: ListProxy<u64> = match thread % 2 {
                        0 => manager.get("list").unwrap(),
                        _ => block_on(manager.get_async("list")).unwrap(),
                    };
                    assert_eq!(list.get(0).unwrap(), Some(7));
                }
            });
        }
    });
    manager.unpublish("list").unwrap();
    until("the list to be gone", || {
        manager.status().unwrap().objects == 0
    });
}

fn calls_that_are_dropped_while_they_are_answered() {
    let manager = Manager::start().unwrap();
    let queue = manager.queue::<u64>().unwrap();
    let turns = 2000;
    for turn in 0..turns {
        queue.put(turn).unwrap();
    }
    // Each takes an item, or gives it back.
    let taken = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..4 {
            let (queue, taken) = (&queue, &taken);
            scope.spawn(move || {
                for turn in 0..200 {
                    let call = queue.get_async();
                    match (turn + thread) % 2 {
                        0 => drop(call),
                        _ => {
                            block_on(call).unwrap();
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let left = turns as usize - taken.load(Ordering::Relaxed);
    until("what was given up to be back", || {
        queue.len().unwrap() == left
    });
}

/// Says whether it has been answered, and stays connected until it is told.
fn asks_once(dict: DictProxy<u64, u64>, number: u64, asked: Sender<u64>) {
    dict.insert(number, number).unwrap();
    asked.send(&number).unwrap();
}

fn many_clients_at_once() {
    let manager = Manager::start().unwrap();
    let dict = manager.dict::<u64, u64>().unwrap();
    let (asked, are_asked) = pipe::one_way::<u64>().unwrap();
    let processes: Vec<_> = (0..12)
        .map(|number| Process::spawn(asks_once, (dict.clone(), number, asked.clone())).unwrap())
        .collect();
    for _ in 0..12 {
        are_asked.recv().unwrap();
    }
    for process in processes {
        process.join().unwrap();
    }
    assert_eq!(dict.len().unwrap(), 12);
    until("one connection, and what holds the dictionary", || {
        manager.status().unwrap().connections <= 2
    });
}

fn a_value_that_is_large_comes_and_goes() {
    let manager = Manager::start().unwrap();
    let value = manager.list::<String>().unwrap();
    let large = "x".repeat(200 << 20);
    value.push(large.clone()).unwrap();
    // It is given up while it comes: what follows is read all the same.
    drop(value.get_async(0));
    assert_eq!(value.len().unwrap(), 1);
    assert!(value.get(0).unwrap().unwrap() == large);
}

fn a_manager_that_was_shut_down_is_dropped_in_any_order() {
    let manager = Manager::start().unwrap();
    let (list, lock) = (manager.list::<u64>().unwrap(), manager.lock().unwrap());
    let queue = manager.queue::<u64>().unwrap();
    let guard = lock.lock().unwrap();
    let waits = queue.get_async();
    manager.shutdown().unwrap();
    assert!(block_on(waits).is_err());
    drop(guard);
    assert!(is_lost(list.push(1)));
    assert!(lock.lock().is_err());
    drop(manager);
    assert!(is_lost(list.push(1)));
    drop((list, lock, queue));
}
