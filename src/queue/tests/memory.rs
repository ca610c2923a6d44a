use proptest::prelude::*;

use super::*;
use crate::sys::Arena;

fn taken<T>(queue: &Queue<T>) -> u64 {
    let file = rustix::fs::fstat(queue.core().arena.memory()).unwrap();
    file.st_blocks as u64 * 512
}

#[test]
fn items_of_all_sizes_go_through() {
    watched(|| {
        let queue = Queue::unbounded().unwrap();
        let other = twin(&queue);
        for len in (0..20).chain([65_518, 65_519, 65_520, 65_521, 70_000, 3 << 20, 9]) {
            let item: Vec<u8> = (0..len).map(|at| at as u8).collect();
            queue.put(item.clone()).unwrap();
            queue.put(vec![1, 2, 3]).unwrap();
            assert!(other.get().unwrap() == item, "{len}");
            assert_eq!(other.get().unwrap(), [1, 2, 3]);
        }
    });
}

#[test]
fn a_queue_takes_memory_when_it_is_used_and_gives_it_back_when_it_is_empty() {
    watched(|| {
        let queue = Queue::unbounded().unwrap();
        let other = twin(&queue);
        assert!(taken(&queue) <= 64 << 10);
        for round in 0..3 {
            for number in 0..600_u32 {
                queue.put(vec![number as u8; 50_000]).unwrap();
            }
            assert!(taken(&queue) > 30_000_000);
            for number in 0..600_u32 {
                assert_eq!(other.get().unwrap(), [number as u8; 50_000]);
            }
            match round {
                0 => assert!(other.try_get().unwrap_err().is_empty()),
                _ => assert!(other.get_timeout(SHORT).unwrap_err().is_empty()),
            }
            assert!(taken(&queue) < 1 << 20, "{round}: {}", taken(&queue));
        }
    });
}

#[test]
fn more_bytes_than_may_be_are_refused_or_waited_for() {
    watched(|| {
        let queue = Queue::<Vec<u8>>::builder().max_bytes(1000).build().unwrap();
        match queue.put(vec![0; 1000]) {
            Err(PutError::TooLarge {
                value,
                bytes: 1008,
                max_bytes: 1000,
            }) => assert_eq!(value.len(), 1000),
            other => panic!("{other:?}"),
        }
        queue.put(vec![1; 900]).unwrap();
        // Not bounded in items, so that nobody expects to wait.
        assert!(queue.put(vec![2; 100]).unwrap_err().is_full());
        queue.put(vec![2; 50]).unwrap();
        queue.get().unwrap();
        queue.put(vec![3; 900]).unwrap();

        let bounded = Queue::builder()
            .capacity(10)
            .max_bytes(1000)
            .build()
            .unwrap();
        bounded.put(vec![1; 900]).unwrap();
        assert!(bounded.try_put(vec![2; 100]).unwrap_err().is_full());
        thread::scope(|scope| {
            scope.spawn(|| twin(&bounded).put(vec![2; 100]).unwrap());
            until(|| bounded.core().getters.has_sleeper());
            assert_eq!(bounded.get().unwrap(), [1; 900]);
        });
        assert_eq!(bounded.get().unwrap(), [2; 100]);
    });
}

#[test]
fn what_makes_no_sense_is_refused() {
    let kind = |built: io::Result<Queue<u8>>| built.unwrap_err().kind();
    assert_eq!(kind(Queue::bounded(0)), io::ErrorKind::InvalidInput);
    for max_bytes in [0, 7, u64::MAX, (1 << 40) + 1] {
        let built = Queue::builder().max_bytes(max_bytes).build();
        assert_eq!(kind(built), io::ErrorKind::InvalidInput, "{max_bytes}");
    }
}

#[test]
fn what_is_no_queue_is_refused() {
    let attach = |memory: Handle| Core::attach(memory).map(drop).unwrap_err();
    attach(std::os::fd::OwnedFd::from(std::fs::File::open("/dev/null").unwrap()).into());
    let zeros = Arena::create("procession-test", 1 << 20, 4).unwrap();
    attach(zeros.into_memory().into());
    let one = Queue::<u8>::unbounded().unwrap();
    let memory = one.core().arena.memory();
    let page = Arena::open(memory).unwrap().lock(0).unwrap();
    for (at, value) in [(0, 1), (8, 1), (24, 1 << 41), (24, 1 << 20), (24, u64::MAX)] {
        let word = page.u64_at(at).unwrap();
        let before = word.swap(value, Relaxed);
        attach(memory.clone());
        word.store(before, Relaxed);
    }
    Core::attach(memory.clone()).unwrap();
    let mut bytes = Vec::new();
    assert!(encode(&one, &mut bytes).is_err());
}

/// What one that is killed in the middle leaves: the lock taken, and all but the last store done.
#[test]
fn whoever_dies_before_the_last_store_has_done_nothing() {
    watched(|| {
        let queue = Queue::bounded(2).unwrap();
        queue.put(1).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let core = queue.core();
                let inside = core.putters.enter(Deadline::NEVER).unwrap();
                let put = core.putters.cursor();
                core.ring().unwrap().write_item(put.place, &[77]).unwrap();
                core.putters.announce();
                core.putters
                    .word(1 + (put.count as usize + 1) % 2)
                    .store(999, Relaxed);
                std::mem::forget(inside);
            });
        });
        let other = twin(&queue);
        assert_eq!(other.len(), 1);
        other.put(2).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let core = queue.core();
                let inside = core.getters.enter(Deadline::NEVER).unwrap();
                core.getters.announce();
                core.getters
                    .word(1 + (core.getters.count() as usize + 1) % 2)
                    .store(999, Relaxed);
                std::mem::forget(inside);
            });
        });
        assert_eq!(other.get().unwrap(), 1);
        assert_eq!(other.get().unwrap(), 2);
        assert!(other.try_get().unwrap_err().is_empty());
    });
}

#[test]
fn what_one_leaves_that_dies_between_two_rings_is_given_back() {
    watched(|| {
        let queue = Queue::unbounded().unwrap();
        queue.put(vec![1_u8; 60_000]).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let core = queue.core();
                let inside = core.putters.enter(Deadline::NEVER).unwrap();
                let ring = core.arena.map(1 << 21, 1 << 21).unwrap();
                ring.copy_in(0, &vec![9; 1 << 21]).unwrap();
                std::mem::forget(inside);
            });
        });
        assert!(taken(&queue) > 2 << 20);
        let other = twin(&queue);
        other.put(vec![2]).unwrap();
        assert!(taken(&queue) < 200 << 10);
        assert_eq!(other.get().unwrap(), [1; 60_000]);
        assert_eq!(other.get().unwrap(), [2]);
    });
}

/// What it leaves when it is killed asleep, or about to be: a note that it sleeps, and the lock of the other side.
#[test]
fn one_that_dies_when_it_falls_asleep_takes_nothing_along() {
    watched(|| {
        let queue = Queue::unbounded().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let core = queue.core();
                std::mem::forget(core.putters.enter(Deadline::NEVER).unwrap());
                core.putters.fall_asleep();
            });
        });
        thread::scope(|scope| {
            let waiters: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| twin(&queue).get().unwrap()))
                .collect();
            until(|| some_sleep(&queue));
            queue.put(5).unwrap();
            queue.put(5).unwrap();
            assert!(
                waiters
                    .into_iter()
                    .all(|waiter| waiter.join().unwrap() == 5)
            );
        });
    });
}

fn scribbles() -> impl Strategy<Value = Vec<(usize, bool, u64)>> {
    let value = prop_oneof![
        any::<u64>(),
        0..100_u64,
        Just(u64::MAX),
        Just(1 << 63),
        (0..64_u32).prop_map(|bit| 1 << bit)
    ];
    prop::collection::vec((0..11_usize, any::<bool>(), value), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_queue_that_has_been_scribbled_over_harms_nobody(
        scribbles in scribbles(),
        items in 0..5_usize,
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        watched(move || {
            let queue = Queue::<Vec<u8>>::builder().max_bytes(1 << 20).build().unwrap();
            for item in 0..items {
                queue.put(vec![7; item * 9]).unwrap();
            }
            let core = queue.core();
            core.ring().unwrap();
            let ring = core.arena.map(1 << 16, 1 << 16).unwrap();
            ring.copy_in(0, &bytes).unwrap();
            for (word, is_putters, value) in scribbles {
                let side = if is_putters { &core.putters } else { &core.getters };
                if word < 9 {
                    side.word(word).store(value, Relaxed);
                } else if let Ok(at) = side.mapping().u64_at((word - 9) * 8) {
                    at.store(value, Relaxed);
                }
            }
            for _ in 0..10 {
                let other = Core::attach(core.arena.memory().clone()).map(Queue::<Vec<u8>>::of);
                for queue in [Some(&queue), other.as_ref().ok()].into_iter().flatten() {
                    let _ = queue.put_timeout(vec![1; 100], Duration::ZERO);
                    let _ = queue.try_get();
                    let _ = queue.get_timeout(Duration::from_micros(10));
                    let _ = queue.task_done();
                    let _ = queue.join_timeout(Duration::ZERO);
                    let _ = (queue.len(), queue.is_full(), queue.is_closed(), queue.unfinished());
                    let _ = format!("{queue:?}");
                }
            }
            let _ = queue.close();
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_steps_and_scribbles_come_to_their_end(data in prop::collection::vec(prop_oneof![0..9_u8, any::<u8>()], 0..300)) {
        watched(move || crate::queue::fuzz(&data));
    }
}
