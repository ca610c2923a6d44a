//! One that uses a queue is stopped, and not killed: then nobody is told of it. Whoever runs gets on without it, or, if it has the lock that he
//! needs, gives up at the end of his time.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use procession::Queue;
use procession::queue::{GetError, PutError};

use crate::queue::{beside, checked, item, until};
use crate::step::{End, stopped_at};

/// How long one tries beside one that is stopped, which may have the lock.
const TIME: Duration = Duration::from_millis(2);

/// Somebody waits for an item; one that puts one is stopped, and another one puts one, too.
pub(crate) fn a_putter(at: u64) -> End {
    let queue = Queue::unbounded().unwrap();
    let mut ended = End::Killed(0);
    let mut expected = vec![1];
    let mut came = beside(
        || {
            let items = queue.iter().map(|item| checked(item.unwrap()));
            items.collect::<Vec<_>>()
        },
        || {
            let put = || queue.put(item(1)).unwrap();
            stopped_at(at, put, &|| {}, || match queue.put_timeout(item(2), TIME) {
                Ok(()) => {
                    expected.push(2);
                    // So it has not the lock of those who put, and never that of those who get.
                    until("all to be got beside one that is stopped", || {
                        queue.is_empty()
                    });
                }
                Err(PutError::Full(_)) => {}
                Err(other) => panic!("{other:?}"),
            })
        },
        |end| {
            ended = end;
            queue.close().unwrap();
        },
    );
    came.sort_unstable();
    assert_eq!(came, expected);
    ended
}

/// Somebody waits for room; one that gets an item is stopped, and another one gets one, too.
pub(crate) fn a_getter(at: u64) -> End {
    let queue = Queue::bounded(1).unwrap();
    queue.put(item(1)).unwrap();
    let mut ended = End::Killed(0);
    let mut came = Vec::new();
    beside(
        || queue.put(item(2)).unwrap(),
        || {
            let get = || assert!([1, 2].contains(&checked(queue.get().unwrap())));
            stopped_at(at, get, &|| {}, || match queue.get_timeout(TIME) {
                Ok(item) => {
                    came.push(checked(item));
                    if came == [1] {
                        until("room to be taken beside one that is stopped", || {
                            queue.is_full()
                        });
                    }
                }
                Err(GetError::Empty) => {}
                Err(other) => panic!("{other:?}"),
            })
        },
        |end| ended = end,
    );
    came.extend(queue.try_get().map(checked));
    // The other one has come to the one that was stopped.
    assert!(came == [1] || came == [2], "{came:?}");
    ended
}

/// Two wait for items; one of them is stopped, after it was woken or before, and others put and get.
pub(crate) fn one_that_waits(at: u64) -> End {
    let queue = Queue::unbounded().unwrap();
    let mut ended = End::Killed(0);
    let count = AtomicU8::new(0);
    let next = || item(count.fetch_add(1, Relaxed) + 1);
    let mut came = Vec::new();
    let others = beside(
        || {
            let items = queue.iter().map(|item| checked(item.unwrap()));
            items.collect::<Vec<_>>()
        },
        || {
            let get = || match queue.get() {
                Ok(item) => assert!(checked(item) > 0),
                Err(error) => assert!(error.is_closed(), "{error}"),
            };
            // The other one is quicker, mostly.
            let awake = || match count.load(Relaxed) < 4 {
                true => queue.put(next()).unwrap(),
                false => queue.close().unwrap(),
            };
            stopped_at(at, get, &awake, || {
                for _ in 0..2 {
                    let put = queue.put_timeout(next(), TIME);
                    if put.is_err() {
                        count.fetch_sub(1, Relaxed);
                        return; // It has the lock; or the queue was closed before.
                    }
                }
                if let Ok(item) = queue.get_timeout(TIME) {
                    came.push(checked(item));
                    // So it has neither of the locks.
                    until("all to be got beside one that is stopped", || {
                        queue.is_empty()
                    });
                }
            })
        },
        |end| {
            ended = end;
            queue.close().unwrap();
        },
    );
    came.extend(others);
    came.sort_unstable();
    let all = came.len();
    came.dedup();
    assert_eq!(all, came.len(), "something came twice");
    // One may have come to the one that was stopped.
    let count = usize::from(count.load(Relaxed));
    assert!(all == count || all + 1 == count, "{came:?} of {count}");
    ended
}
