//! What is done with a queue.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use procession::Queue;
use procession::queue::GetError;

use crate::step::{End, killed_at, killed_by_steps, soon_reached, system_calls};
use crate::support::{awaiting, exit_at_once, signal};

/// How long processes are killed whose ring grows, and at random.
const GROWING: Duration = Duration::from_secs(2);
const AT_RANDOM: Duration = Duration::from_secs(6);

/// Large enough to be torn.
pub(crate) fn item(of: u8) -> Vec<u8> {
    vec![of; 100 + usize::from(of)]
}

pub(crate) fn checked(item: Vec<u8>) -> u8 {
    let of = item[0];
    assert!(item == self::item(of), "torn: {item:?}");
    of
}

pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    awaiting(what);
    while !is_so() {
        thread::yield_now();
    }
}

/// A thread that waits, by its number. No other one is taken for it: a process that is forked off while this one has just begun has the
/// locks that it held then, for ever.
#[derive(Default)]
pub(crate) struct Waiter(OnceLock<u32>);

impl Waiter {
    /// On its own thread.
    pub(crate) fn begins(&self) {
        let place = std::fs::read_link("/proc/thread-self").unwrap();
        let number = place.file_name().unwrap().to_str().unwrap();
        self.0.set(number.parse().unwrap()).unwrap();
    }

    pub(crate) fn is_asleep(&self) -> bool {
        let threads = crate::support::threads();
        let mut these = threads.iter().filter(|task| Some(&task.id) == self.0.get());
        these.any(|task| task.sleeps_in("futex"))
    }
}

/// A thread that is asleep before this goes on: as far as one can see.
pub(crate) fn beside<R: Send>(
    waits: impl FnOnce() -> R + Send,
    dies: impl FnOnce() -> End,
    then: impl FnOnce(End),
) -> R {
    let who = Waiter::default();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            who.begins();
            waits()
        });
        until("the other one to sleep", || who.is_asleep());
        let end = dies();
        then(end);
        awaiting("the one that waits");
        waiter.join().expect("the one that waits")
    })
}

/// Somebody waits for an item; one that puts one is killed.
pub(crate) fn put_beside_a_waiter(at: u64) -> End {
    let queue = Queue::unbounded().unwrap();
    let mut ended = End::Killed(0);
    let came = beside(
        || {
            queue
                .iter()
                .map(|item| checked(item.unwrap()))
                .collect::<Vec<_>>()
        },
        || killed_at(at, || queue.put(item(1)).unwrap(), None),
        |end| {
            ended = end;
            // What is there is got by the one that waits, without anybody doing anything more.
            until("the item to be got", || queue.is_empty());
            queue.put(item(2)).unwrap();
            until("another item to be got", || queue.is_empty());
            queue.close().unwrap();
        },
    );
    match ended {
        End::Finished(_) => assert_eq!(came, [1, 2]),
        End::Killed(_) => assert!(came == [1, 2] || came == [2], "{came:?}"),
    }
    ended
}

/// Somebody waits for room; one that gets an item is killed.
pub(crate) fn get_beside_a_waiter(at: u64) -> End {
    let queue = Queue::bounded(1).unwrap();
    queue.put(item(1)).unwrap();
    let mut ended = End::Killed(0);
    beside(
        || queue.put(item(2)).unwrap(),
        || killed_at(at, || assert_eq!(checked(queue.get().unwrap()), 1), None),
        |end| {
            ended = end;
            awaiting("an item");
            let first = checked(queue.get().unwrap());
            if first == 1 {
                assert!(matches!(end, End::Killed(_)), "it came twice");
                assert_eq!(checked(queue.get().unwrap()), 2);
            } else {
                assert_eq!(first, 2);
            }
        },
    );
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
    queue.put(item(3)).unwrap();
    assert!(queue.is_full());
    ended
}

/// One that waits for an item, and gets it, is killed.
pub(crate) fn wait_and_get(at: u64) -> End {
    let queue = Queue::unbounded().unwrap();
    let is_put = AtomicBool::new(false);
    let put = || {
        is_put.store(true, Relaxed);
        queue.put(item(1)).unwrap();
    };
    let get = || assert_eq!(checked(queue.get().unwrap()), 1);
    let end = killed_at(at, get, Some(&put));
    queue.put(item(2)).unwrap();
    let first = checked(queue.get().unwrap());
    if first == 1 {
        assert!(matches!(end, End::Killed(_)) && is_put.load(Relaxed));
        assert_eq!(checked(queue.get().unwrap()), 2);
    } else {
        assert_eq!(first, 2);
    }
    assert!(queue.is_empty());
    // And the next one that waits is woken.
    beside(
        || assert_eq!(checked(queue.get().unwrap()), 3),
        || end,
        |_| queue.put(item(3)).unwrap(),
    );
    end
}

/// Somebody waits for an item; one that closes the queue is killed.
pub(crate) fn close(at: u64) -> End {
    let queue = Queue::<Vec<u8>>::bounded(1).unwrap();
    let mut ended = End::Killed(0);
    beside(
        || assert!(matches!(queue.get(), Err(GetError::Closed))),
        || killed_at(at, || queue.close().unwrap(), None),
        |end| {
            ended = end;
            if !queue.is_closed() {
                assert!(matches!(end, End::Killed(_)));
                queue.close().unwrap();
            }
        },
    );
    ended
}

/// Somebody waits until all is done; one that has done it is killed.
pub(crate) fn task_done(at: u64) -> End {
    let queue = Queue::unbounded().unwrap();
    queue.put(item(1)).unwrap();
    queue.get().unwrap();
    let mut ended = End::Killed(0);
    beside(
        || queue.join().unwrap(),
        || killed_at(at, || queue.task_done().unwrap(), None),
        |end| {
            ended = end;
            if queue.unfinished() > 0 {
                assert!(matches!(end, End::Killed(_)));
                queue.task_done().unwrap();
            }
        },
    );
    ended
}

/// One that puts what has no room in the ring, so that it moves all there is into a larger one.
pub(crate) fn growing() {
    let large = |of: u8| vec![of; 40_000];
    let one = |at| {
        let queue = Queue::unbounded().unwrap();
        queue.put(large(1)).unwrap();
        let value = large(2);
        let end = killed_at(at, || queue.put(value).unwrap(), None);
        queue.put(large(3)).unwrap();
        queue.close().unwrap();
        let came: Vec<Vec<u8>> = queue.iter().map(Result::unwrap).collect();
        let is_whole = |came: &Vec<u8>| *came == large(came[0]);
        assert!(came.iter().all(is_whole));
        let came: Vec<u8> = came.iter().map(|item| item[0]).collect();
        match end {
            End::Finished(_) => assert_eq!(came, [1, 2, 3]),
            End::Killed(_) => assert!(came == [1, 2, 3] || came == [1, 3], "{came:?}"),
        }
        end
    };
    let End::Finished(length) = one(u64::MAX) else {
        panic!("it was killed by nobody");
    };
    let begun = Instant::now();
    let instructions = soon_reached();
    let mut killed = 0;
    // By turns from everywhere, the later ones first.
    for first in 0..64 {
        for at in instructions.iter().rev().skip(first * 37 % 64).step_by(64) {
            if begun.elapsed() < GROWING {
                one(*at);
                killed += 1;
            }
        }
    }
    eprintln!("a growing ring: killed at {killed} of {length} instructions");
}

/// One that finds a queue empty that has been large, and gives its memory back, is killed.
pub(crate) fn shrinking(at: u64) -> End {
    let queue = emptied();
    let end = killed_at(at, || look_in_vain(&queue), None);
    queue.put(item(1)).unwrap();
    queue.put(vec![2; 100_000]).unwrap();
    assert_eq!(checked(queue.get().unwrap()), 1);
    assert!(queue.get().unwrap() == [2; 100_000]);
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
    assert!(taken() < 1 << 20, "{} bytes are left", taken());
    end
}

/// How much memory the queues of this process take, in bytes: there is one.
fn taken() -> u64 {
    let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let is_queue = |path: &std::path::PathBuf| {
        let to = std::fs::read_link(path).unwrap_or_default();
        to.to_string_lossy().contains("memfd:procession-queue")
    };
    let blocks = files
        .map(|entry| entry.path())
        .filter(is_queue)
        .map(|path| std::fs::metadata(path).unwrap().blocks());
    blocks.sum::<u64>() * 512
}

/// One that has been large, and is empty.
fn emptied() -> Queue<Vec<u8>> {
    let queue = Queue::unbounded().unwrap();
    queue.put(vec![1_u8; 17 << 20]).unwrap();
    assert_eq!(queue.get().unwrap().len(), 17 << 20);
    queue
}

fn look_in_vain(queue: &Queue<Vec<u8>>) {
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
}

/// One that comes after another which was killed while it gave memory back, and gives it back in its place, is killed, too.
pub(crate) fn shrinking_after_another(at: u64) -> End {
    static LAST: OnceLock<u64> = OnceLock::new();
    let last = *LAST.get_or_init(last_with_memory);
    let queue = emptied();
    killed_by_steps(last, || look_in_vain(&queue));
    assert!(
        taken() > 1 << 20,
        "the first one has given it back at {last}"
    );
    let end = killed_at(at, || queue.put(item(1)).unwrap(), None);
    queue.put(item(2)).unwrap();
    let first = checked(queue.get().unwrap());
    if first == 1 {
        assert_eq!(checked(queue.get().unwrap()), 2);
    } else {
        assert!(first == 2 && matches!(end, End::Killed(_)));
    }
    look_in_vain(&queue);
    assert!(taken() < 1 << 20, "{} bytes are left", taken());
    end
}

/// The last instruction before which one can be killed that gives memory back, and has not: it has both locks, and the queue goes on in a
/// small ring.
fn last_with_memory() -> u64 {
    let queue = emptied();
    let End::Finished(length) = killed_at(u64::MAX, || look_in_vain(&queue), None) else {
        panic!("it was killed by nobody");
    };
    drop(queue);
    let (mut with, mut without) = (0, length);
    while with + 1 < without {
        let middle = with.midpoint(without);
        let queue = emptied();
        killed_by_steps(middle, || look_in_vain(&queue));
        match taken() > 1 << 20 {
            true => with = middle,
            false => without = middle,
        }
    }
    with
}

/// Nobody waits: then nobody has to ask the system for anything.
pub(crate) fn no_system_call() {
    let queue = Queue::bounded(100).unwrap();
    let both = || {
        for number in 0..50 {
            queue.put(number).unwrap();
        }
        for number in 0..50 {
            assert_eq!(queue.get().unwrap(), number);
        }
    };
    // What is done for the first time: memory and a thread's own things.
    both();
    assert_eq!(system_calls(both), 0);
}

/// So many items of one that puts, and who it is: of all sizes, with a sum.
type Numbered = (u32, u64, Vec<u8>);

fn numbered(who: u32, number: u64) -> Numbered {
    let len = match number % 50 {
        0 => 30_000,
        7 => 200_000,
        _ => (number * 37 % 700) as usize,
    };
    (who, number, vec![(number as u8) ^ (who as u8); len])
}

/// Processes that put, and some that carry items from one queue to another, are killed at any time, and replaced.
pub(crate) fn at_random() {
    let (from, to) = (
        Queue::bounded(64).unwrap(),
        Queue::<Numbered>::unbounded().unwrap(),
    );
    let begun = Instant::now();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut seen = BTreeMap::<u32, Vec<u64>>::new();
    let (mut putters, mut carriers) = (0, 0_usize);
    while begun.elapsed() < AT_RANDOM {
        let mut children = Vec::new();
        for kind in 0..4 {
            let (from, to, who) = (&from, &to, putters);
            children.push(fork(move || match kind % 2 {
                0 => (0..u64::MAX).for_each(|number| from.put(numbered(who, number)).unwrap()),
                _ => from.iter().for_each(|item| to.put(item.unwrap()).unwrap()),
            }));
            putters += u32::from(kind % 2 == 0);
            carriers += usize::from(kind % 2 == 1);
        }
        for child in children {
            // For some moments, it is all real.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let moment = Duration::from_micros(random >> 33 & 0x3fff);
            awaiting("an item");
            let its_end = Instant::now() + moment;
            while Instant::now() < its_end {
                take(&to, &mut seen);
            }
            signal(child, libc::SIGKILL);
            reap(child);
        }
    }
    // Those who are left get all the rest.
    awaiting("the rest");
    from.close().unwrap();
    for item in &from {
        to.put(item.unwrap()).unwrap();
    }
    to.close().unwrap();
    while !matches!(
        to.try_get().map(|item| note(item, &mut seen)),
        Err(GetError::Closed)
    ) {}
    let mut lost = 0;
    let mut all = 0;
    for (who, mut numbers) in seen {
        numbers.sort_unstable();
        let count = numbers.len();
        all += count;
        numbers.dedup();
        assert_eq!(numbers.len(), count, "something of {who} came twice");
        let last = *numbers.last().unwrap();
        lost += (last + 1) as usize - count;
    }
    eprintln!(
        "{putters} that put and {carriers} that carried were killed: {lost} of {all} items were lost"
    );
    assert!(lost <= carriers);
}

fn take(to: &Queue<Numbered>, seen: &mut BTreeMap<u32, Vec<u64>>) {
    match to.get_timeout(Duration::from_micros(200)) {
        Ok(item) => note(item, seen),
        Err(GetError::Empty) => {}
        Err(other) => panic!("{other:?}"),
    }
}

fn note(item: Numbered, seen: &mut BTreeMap<u32, Vec<u64>>) {
    assert!(item == numbered(item.0, item.1), "torn");
    seen.entry(item.0).or_default().push(item.1);
}

fn fork(what: impl FnOnce()) -> u32 {
    // SAFETY: as in `step.rs`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    if pid == 0 {
        what();
        exit_at_once(0);
    }
    pid as u32
}

fn reap(pid: u32) {
    let mut status = 0;
    // SAFETY: a child of ours that nobody else waits for; the place is there.
    let waited = unsafe { libc::waitpid(pid as i32, &mut status, 0) };
    assert_eq!(waited, pid as i32, "{}", std::io::Error::last_os_error());
    assert!(libc::WIFSIGNALED(status), "it ended with {status:#x}");
}
