use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use std::io;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::core::Core;
use super::*;
use crate::sync::tests::{twin, until, watched};
use crate::sync::{Lock, WaitError};
use crate::sys::Deadline;
use crate::wire::Handle;
use crate::wire::{encode, handles};

mod awaiting;
mod memory;
mod model;

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(60);

fn some_sleep<T>(queue: &Queue<T>) -> bool {
    queue.core().putters.has_sleeper()
}

#[test]
fn handles_go_from_thread_to_thread() {
    fn goes<T: Send + Sync + 'static>() {}
    goes::<Queue<std::rc::Rc<u8>>>();
    fn is_an_error<E: std::error::Error + Send + Sync + 'static>() {}
    is_an_error::<GetError>();
    is_an_error::<PutError<String>>();
    is_an_error::<TaskDoneError>();
    fn is_sent<F: Send + 'static>() {}
    is_sent::<GetAsync<String>>();
    is_sent::<PutAsync<String>>();
    is_sent::<IntoIter<String>>();
}

#[test]
fn six_items_fill_a_queue_of_six() {
    watched(|| {
        let queue = Queue::bounded(6).unwrap();
        assert!(queue.is_empty() && !queue.is_full());
        queue.put(1).unwrap();
        queue.put_timeout(2, Duration::ZERO).unwrap();
        queue.put_timeout(3, Duration::MAX).unwrap();
        queue.try_put(4).unwrap();
        twin(&queue).put(5).unwrap();
        queue.put(6).unwrap();
        assert!(queue.is_full());
        assert!(matches!(queue.try_put(7), Err(PutError::Full(7))));
        let begun = Instant::now();
        let refused = queue.put_timeout(7, SHORT).unwrap_err();
        assert!(begun.elapsed() >= SHORT);
        assert!(refused.is_full());
        assert_eq!(refused.into_value(), 7);
        let other = twin(&queue);
        thread::spawn(move || {
            for item in 1..=6 {
                assert_eq!(other.get().unwrap(), item);
            }
        })
        .join()
        .unwrap();
        assert!(queue.is_empty() && !queue.is_full());
    });
}

#[test]
fn an_empty_queue_says_so_and_not_early() {
    watched(|| {
        let queue = Queue::<u8>::unbounded().unwrap();
        assert!(matches!(queue.try_get(), Err(GetError::Empty)));
        let begun = Instant::now();
        assert!(matches!(queue.get_timeout(SHORT), Err(GetError::Empty)));
        assert!(begun.elapsed() >= SHORT);
        assert!(queue.get_timeout(Duration::ZERO).unwrap_err().is_empty());
        for item in 0..4 {
            queue.put(item).unwrap();
        }
        assert_eq!(queue.get().unwrap(), 0);
        assert_eq!(queue.try_get().unwrap(), 1);
        assert_eq!(queue.get_timeout(Duration::ZERO).unwrap(), 2);
        assert_eq!(twin(&queue).get_timeout(Duration::MAX).unwrap(), 3);
    });
}

#[test]
fn what_was_put_before_a_handle_came_is_got_by_it_in_order() {
    watched(|| {
        let queue = Queue::unbounded().unwrap();
        for item in 0..10 {
            queue.put(item).unwrap();
        }
        let other = twin(&queue);
        let same = thread::spawn(move || {
            for item in 10..20 {
                other.put(item).unwrap();
            }
            other
        });
        let same = same.join().unwrap();
        assert!(same.is_same(&queue) && !same.is_same(&Queue::unbounded().unwrap()));
        drop(queue);
        same.close().unwrap();
        let items: Result<Vec<i32>, _> = same.into_iter().collect();
        assert_eq!(items.unwrap(), (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn the_length_follows_what_is_put_and_got() {
    watched(|| {
        let queue = Queue::unbounded().unwrap();
        let other = twin(&queue);
        assert_eq!(other.len(), 0);
        queue.put(1).unwrap();
        assert_eq!(other.len(), 1);
        queue.put(5).unwrap();
        assert_eq!((other.len(), other.capacity()), (2, None));
        other.get().unwrap();
        assert_eq!(queue.len(), 1);
        other.get().unwrap();
        assert_eq!(queue.len(), 0);
        assert_eq!(
            format!("{queue:?}"),
            "Queue { len: 0, capacity: None, is_closed: false }"
        );
    });
}

#[test]
fn a_join_waits_until_all_is_done() {
    watched(|| {
        let queue = Queue::unbounded().unwrap();
        let done = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let queue = twin(&queue);
                    for item in &queue {
                        assert!(item.unwrap() < 10);
                        done.fetch_add(1, Relaxed);
                        queue.task_done().unwrap();
                    }
                });
            }
            queue.join().unwrap();
            for item in 0..10_u64 {
                queue.put(item).unwrap();
            }
            queue.join().unwrap();
            assert_eq!(done.load(Relaxed), 10);
            queue.close().unwrap();
        });
        assert_eq!(queue.task_done(), Err(TaskDoneError::TooOften));
        let queue = Queue::unbounded().unwrap();
        queue.put(1).unwrap();
        assert_eq!(queue.unfinished(), 1);
        let begun = Instant::now();
        assert_eq!(queue.join_timeout(SHORT), Err(WaitError::TimedOut));
        assert!(begun.elapsed() >= SHORT);
        // It is got, and not done.
        queue.get().unwrap();
        let timed_out = Err(WaitError::TimedOut);
        assert_eq!(queue.join_timeout(Duration::ZERO), timed_out);
        queue.task_done().unwrap();
        queue.join_timeout(Duration::ZERO).unwrap();
    });
}

/// Refuses to be encoded, if it says so.
#[derive(Debug, PartialEq)]
struct Picky(bool);

impl Serialize for Picky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 {
            return Err(serde::ser::Error::custom("not me"));
        }
        ().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self(false))
    }
}

#[test]
fn an_item_that_cannot_be_encoded_is_given_back_and_takes_no_room() {
    watched(|| {
        let queue = Queue::bounded(1).unwrap();
        match queue.put(Picky(true)) {
            Err(PutError::Unencodable {
                value: Picky(true),
                reason,
            }) => assert!(reason.contains("Serialize"), "{reason}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(queue.len(), 0);
        queue.try_put(Picky(false)).unwrap();
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.get().unwrap(), Picky(false));
        assert!(queue.is_empty());
    });
}

#[test]
fn a_handle_is_refused_also_where_others_could_travel() {
    watched(|| {
        let queue = Queue::unbounded().unwrap();
        let lock = Lock::new().unwrap();
        let refused = |queue: &Queue<Vec<Lock>>| {
            let refused = queue.put(vec![lock.clone()]).unwrap_err();
            assert!(refused.to_string().contains("handle"), "{refused}");
            assert_eq!(refused.into_value().len(), 1);
        };
        refused(&queue);
        let ((), held) = handles::collect(|| refused(&queue));
        assert!(held.is_empty() && queue.is_empty());
        // And none is taken from those who have one just now.
        let bytes =
            Queue::<Vec<u16>>::of(Core::attach(queue.core().arena.memory().clone()).unwrap());
        bytes.put(vec![0]).unwrap();
        let mut payload = Vec::new();
        let (_, held) = handles::collect(|| encode(&lock, &mut payload));
        let got = handles::provide(&held, || queue.try_get());
        assert!(matches!(got, Err(GetError::Undecodable(_))));
    });
}

#[test]
fn an_item_of_another_type_is_an_error_and_the_next_one_comes() {
    watched(|| {
        let queue = Queue::<String>::unbounded().unwrap();
        let other = Queue::<u64>::of(Core::attach(queue.core().arena.memory().clone()).unwrap());
        other.put(u64::MAX).unwrap();
        queue.put("text".to_owned()).unwrap();
        assert!(matches!(queue.get(), Err(GetError::Undecodable(_))));
        assert_eq!(queue.get().unwrap(), "text");
    });
}

#[test]
fn a_closed_queue_takes_nothing_more_and_gives_what_it_has() {
    watched(|| {
        let queue = Queue::bounded(2).unwrap();
        let other = twin(&queue);
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        assert!(!other.is_closed());
        queue.close().unwrap();
        assert!(other.is_closed());
        for refused in [other.put(3), other.try_put(3), other.put_timeout(3, LONG)] {
            let refused = refused.unwrap_err();
            assert!(refused.is_closed());
            assert_eq!(refused.to_string(), "the queue is closed");
            assert_eq!(refused.into_value(), 3);
        }
        assert_eq!(other.get().unwrap(), 1);
        assert_eq!(other.try_get().unwrap(), 2);
        assert!(other.is_empty());
        for end in [other.get(), other.try_get(), other.get_timeout(LONG)] {
            assert_eq!(end.unwrap_err().to_string(), "the queue is closed");
        }
        // Again, and by another handle.
        queue.close().unwrap();
        other.close().unwrap();
        assert!(other.iter().next().is_none());
    });
}

#[test]
fn those_who_wait_are_told_that_it_is_closed() {
    watched(|| {
        let queue = Queue::<u32>::unbounded().unwrap();
        let full = Queue::bounded(1).unwrap();
        full.put(0).unwrap();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| assert!(twin(&queue).get().unwrap_err().is_closed()));
                scope.spawn(|| assert!(twin(&full).put(1).unwrap_err().is_closed()));
            }
            until(|| some_sleep(&queue) && full.core().getters.has_sleeper());
            queue.close().unwrap();
            full.close().unwrap();
        });
    });
}

#[test]
fn each_item_lets_one_go_on_who_waits() {
    watched(|| {
        let queue = Queue::unbounded().unwrap();
        let got = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let _: u64 = twin(&queue).get().unwrap();
                    got.fetch_add(1, Relaxed);
                });
            }
            for item in 1..=10 {
                until(|| some_sleep(&queue));
                queue.put(item).unwrap();
                until(|| got.load(Relaxed) == item);
            }
            // And many at once.
            for item in 0..10 {
                queue.put(item).unwrap();
            }
        });
        assert_eq!(got.load(Relaxed), 20);
        assert!(queue.is_empty());
    });
}

#[test]
fn each_place_lets_one_go_on_who_wants_to_put() {
    watched(|| {
        let queue = Queue::bounded(2).unwrap();
        let put = AtomicU64::new(0);
        thread::scope(|scope| {
            for number in 0..20_u64 {
                let (queue, put) = (&queue, &put);
                scope.spawn(move || {
                    twin(queue).put(number).unwrap();
                    put.fetch_add(1, Relaxed);
                });
            }
            let mut came: Vec<u64> = (0..20)
                .map(|_| {
                    assert!(queue.len() <= 2);
                    queue.get().unwrap()
                })
                .collect();
            came.sort_unstable();
            assert_eq!(came, (0..20).collect::<Vec<_>>());
        });
        assert_eq!(put.load(Relaxed), 20);
    });
}

#[test]
fn a_time_limit_is_one_of_the_lock_too() {
    watched(|| {
        let queue = Queue::<u32>::bounded(1).unwrap();
        let (held, is_held) = mpsc::channel();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // A process that is stopped where it should not be.
                let _putters = queue.core().putters.enter(Deadline::NEVER).unwrap();
                let _getters = queue.core().getters.enter(Deadline::NEVER).unwrap();
                held.send(()).unwrap();
                until(|| over.load(Relaxed));
            });
            is_held.recv().unwrap();
            let begun = Instant::now();
            assert!(queue.get_timeout(SHORT).unwrap_err().is_empty());
            assert!(queue.put_timeout(1, SHORT).unwrap_err().is_full());
            assert_eq!(queue.join_timeout(SHORT), Err(WaitError::TimedOut));
            assert!(begun.elapsed() >= 3 * SHORT);
            over.store(true, Relaxed);
        });
        queue.put(1).unwrap();
    });
}

/// Producers and consumers, each with a handle of its own: everything comes once, and in the order of its producer.
fn hammered(queue: &Queue<(u64, u64, Vec<u8>)>, sides: (u64, u64), count: u64) {
    let (putters, getters) = sides;
    let seen: Vec<BTreeMap<u64, Vec<u64>>> = thread::scope(|scope| {
        let putters: Vec<_> = (0..putters)
            .map(|me| {
                let queue = twin(queue);
                scope.spawn(move || {
                    for number in 0..count {
                        let len = (number * 7919 + me * 31) % 300;
                        queue
                            .put((me, number, vec![number as u8; len as usize]))
                            .unwrap();
                    }
                })
            })
            .collect();
        let getters: Vec<_> = (0..getters)
            .map(|_| {
                let queue = twin(queue);
                scope.spawn(move || {
                    let mut seen = BTreeMap::<u64, Vec<u64>>::new();
                    for item in &queue {
                        let (of, number, bytes) = item.unwrap();
                        assert!(bytes.iter().all(|byte| *byte == number as u8));
                        seen.entry(of).or_default().push(number);
                    }
                    seen
                })
            })
            .collect();
        putters.into_iter().for_each(|t| t.join().unwrap());
        queue.close().unwrap();
        getters.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for me in 0..putters {
        let mut all = Vec::new();
        for seen in &seen {
            let of = seen.get(&me).map_or(&[][..], |of| of);
            assert!(of.is_sorted());
            all.extend_from_slice(of);
        }
        all.sort_unstable();
        assert_eq!(all, (0..count).collect::<Vec<_>>());
    }
    assert!(queue.is_empty());
}

#[test]
fn many_threads_lose_nothing_and_get_nothing_twice() {
    watched(|| {
        for sides in [(1, 1), (4, 4), (1, 4), (4, 1)] {
            hammered(&Queue::bounded(3).unwrap(), sides, 1000);
            hammered(&Queue::unbounded().unwrap(), sides, 3000);
            let tight = Queue::builder().capacity(1000).max_bytes(1000).build();
            hammered(&tight.unwrap(), sides, 1000);
        }
    });
}

/// A thread uses the queue, whose process forks; what was forked off tries it once, and is there, while the others go on.
#[test]
fn a_process_that_is_forked_off_keeps_nobody_out() {
    watched(|| {
        let queue = Queue::<u64>::bounded(1000).unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    queue.put(1).unwrap();
                    queue.get().unwrap();
                }
            });
            for _ in 0..100 {
                let tried = crate::sync::Event::new().unwrap();
                let forked = crate::sys::Forked::new(|| {
                    let _ = queue.put_timeout(2, Duration::from_secs(2));
                    tried.set().unwrap();
                });
                tried.wait().unwrap();
                queue.put(3).unwrap();
                drop(forked);
                while queue.len() > 500 {
                    queue.get().unwrap();
                }
            }
            is_over.store(true, Relaxed);
        });
    });
}
