//! Everything at once, by processes that are killed at any moment and replaced: everything stays usable, nothing comes twice, and nothing is
//! lost but what a process held that was killed.
//!
//! `PROCESSION_STRESS_SEED` has the same decisions made again, as far as they are ours.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use procession::pipe::{self, Receiver, RecvError, Sender};
use procession::queue::{GetError, PutError};
use procession::shared::{Array, Value};
use procession::sync::{Condition, Event, Lock, LockError, LockGuard, Semaphore, WaitError};
use procession::{Process, ProcessError, Queue};
use serde::{Deserialize, Serialize};

use super::has_here;
use super::support::stress::{self, Came, Item, item, random};
use super::support::{self, Case, awaiting};

/// How long it goes on.
const TIME: Duration = Duration::from_secs(8);
/// How many processes there are at a time.
const PROCESSES: usize = 4;
const PERMITS: u64 = 3;
/// As long as anybody waits for one thing, before he does another.
const SHORT: Duration = Duration::from_millis(1);

pub(crate) fn tests() -> Vec<Case> {
    let limit = Duration::from_secs(120);
    vec![Case::new("killed_at_random_at_everything", killed_at_random).limit(limit)]
}

/// What they all have.
#[derive(Clone, Serialize, Deserialize)]
struct Common {
    is_over: Event,
    from: Queue<Item>,
    to: Queue<Item>,
    sender: Sender<Item>,
    lock: Lock,
    changed: Condition,
    /// Equal, but while somebody has the lock.
    pair: [Value<u64>; 2],
    /// All equal, but while somebody has its lock.
    array: Array<u64>,
    semaphore: Semaphore,
    event: Event,
}

impl Common {
    fn new() -> (Self, Receiver<Item>) {
        let (sender, receiver) = pipe::one_way().unwrap();
        let lock = Lock::new().unwrap();
        let common = Self {
            is_over: Event::new().unwrap(),
            from: Queue::bounded(16).unwrap(),
            to: Queue::unbounded().unwrap(),
            sender,
            changed: Condition::new(&lock).unwrap(),
            lock,
            pair: [0, 0].map(|zero| Value::new(zero).unwrap()),
            array: Array::new(50).unwrap(),
            semaphore: Semaphore::new(PERMITS).unwrap(),
            event: Event::new().unwrap(),
        };
        (common, receiver)
    }

    /// Has the lock, and what it guards is as it should be.
    fn has(&self, locked: Result<LockGuard, LockError<LockGuard>>) -> Option<LockGuard> {
        let [one, other] = &self.pair;
        match locked {
            Ok(guard) => {
                assert_eq!(one.get_unlocked(), other.get_unlocked(), "half done");
                Some(guard)
            }
            Err(LockError::OwnerDied(guard)) => {
                other.set_unlocked(one.get_unlocked());
                Some(guard)
            }
            Err(LockError::TimedOut) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    fn count(&self) {
        let Some(guard) = self.has(self.lock.lock()) else {
            return;
        };
        for value in &self.pair {
            value.set_unlocked(value.get_unlocked() + 1);
        }
        self.changed.notify_one(&guard).unwrap();
    }

    fn wait_for_a_count(&self) {
        let Some(guard) = self.has(self.lock.lock()) else {
            return;
        };
        let waited = self.changed.wait_timeout(guard, SHORT);
        drop(self.has(waited.map(|(guard, _)| guard)));
    }

    fn fill(&self) {
        let (array, is_whole) = match self.array.lock() {
            Ok(array) => (array, true),
            Err(LockError::OwnerDied(array)) => (array, false),
            Err(error) => panic!("{error:?}"),
        };
        let first = array.get(0).unwrap();
        let is_equal = array.to_vec().iter().all(|value| *value == first);
        assert!(is_equal || !is_whole, "half done");
        for place in 0..array.len() {
            array.set(place, first + 1).unwrap();
        }
    }

    fn have_a_permit(&self) {
        match self.semaphore.acquire_timeout(SHORT) {
            Ok(permit) => {
                assert!(self.semaphore.value() < PERMITS);
                drop(permit);
            }
            Err(WaitError::TimedOut) => {}
            Err(error) => panic!("{error:?}"),
        }
    }

    fn signal(&self, number: u64) {
        match number % 3 {
            0 => self.event.set().unwrap(),
            1 => self.event.clear().unwrap(),
            _ => drop(self.event.wait_timeout(SHORT)),
        }
    }

    /// False if there was no room.
    fn put(&self, item: Item) -> bool {
        match self.from.put_timeout(item, SHORT) {
            Ok(()) => true,
            Err(PutError::Full(_)) => false,
            Err(error) => panic!("{error:?}"),
        }
    }

    fn carry(&self) {
        match self.from.get_timeout(SHORT) {
            Ok(item) => self.to.put(item).unwrap(),
            Err(GetError::Empty) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Does this and that until it is over. How many items it has put, and sent.
#[procession::task]
fn labour(common: Common, who: u64, seed: u64) -> (u64, u64) {
    let mut state = seed ^ who << 20;
    let (mut put, mut sent) = (0, 0);
    while !common.is_over.is_set() {
        match random(&mut state) % 12 {
            0..=2 => put += u64::from(common.put(item(who, put))),
            3..=5 => common.carry(),
            6 => {
                common.sender.send(&item(who, sent)).unwrap();
                sent += 1;
            }
            7 => common.count(),
            8 => common.wait_for_a_count(),
            9 => common.fill(),
            10 => common.have_a_permit(),
            _ => common.signal(random(&mut state)),
        }
    }
    (put, sent)
}

fn start(common: &Common, who: &mut u64, seed: u64) -> (u64, Process<(u64, u64)>) {
    let process = Process::spawn(labour, (common.clone(), *who, seed)).unwrap();
    *who += 1;
    (*who - 1, process)
}

/// Takes what there is of both, for so long.
fn take(common: &Common, receiver: &Receiver<Item>, came: &mut [Came; 2], moment: Duration) {
    let end = Instant::now() + moment;
    loop {
        match common.to.get_timeout(Duration::from_micros(100)) {
            Ok(item) => came[0].note(item),
            Err(GetError::Empty) => {}
            Err(error) => panic!("{error:?}"),
        }
        while let Some(item) = receiver.try_recv().unwrap() {
            came[1].note(item);
        }
        if Instant::now() >= end {
            return;
        }
    }
}

fn killed_at_random() {
    let seed = stress::seed();
    let before = has_here();
    let (common, receiver) = Common::new();
    let (mut state, mut next, mut killed) = (seed, 0, 0);
    let mut came = [Came::default(), Came::default()];
    let mut processes: Vec<_> = (0..PROCESSES)
        .map(|_| start(&common, &mut next, seed))
        .collect();
    let begun = Instant::now();
    while begun.elapsed() < TIME {
        let moment = Duration::from_micros(random(&mut state) % 30_000);
        awaiting("what they make");
        take(&common, &receiver, &mut came, moment);
        let place = random(&mut state) as usize % PROCESSES;
        let (_, process) = &processes[place];
        if random(&mut state).is_multiple_of(4) {
            // The others go on beside one that is stopped, unless it has something that they need.
            support::signal(process.pid(), libc::SIGSTOP);
            let moment = Duration::from_micros(random(&mut state) % 10_000);
            take(&common, &receiver, &mut came, moment);
        }
        support::signal(process.pid(), libc::SIGKILL);
        awaiting("the end of one that was killed");
        let ended = process.join();
        assert!(
            matches!(
                ended,
                Err(ProcessError::Ended(_) | ProcessError::NotStarted(_))
            ),
            "{ended:?}"
        );
        killed += 1;
        processes[place] = start(&common, &mut next, seed);
    }
    common.is_over.set().unwrap();
    let mut known = BTreeMap::new();
    for (who, process) in processes {
        awaiting("the end of one that goes by itself");
        while !process.wait_timeout(Duration::ZERO) {
            take(&common, &receiver, &mut came, SHORT);
        }
        known.insert(who, process.join().unwrap());
    }
    awaiting("what is left");
    while !common.from.is_empty() {
        common.carry();
    }
    while !common.to.is_empty() {
        take(&common, &receiver, &mut came, Duration::ZERO);
    }
    // Everything is usable.
    common.count();
    common.fill();
    common.event.set().unwrap();
    common.event.wait().unwrap();
    let lost_permits = PERMITS - common.semaphore.value();
    common.semaphore.release_many(lost_permits).unwrap();
    let permits = [(); PERMITS as usize].map(|()| common.semaphore.acquire().unwrap());
    drop(permits);
    assert!(common.from.is_empty() && common.put(item(next, 0)));
    assert_eq!(common.from.get().unwrap(), item(next, 0));
    // Nothing is lost but what somebody held.
    let lost: u64 = (0..next)
        .map(|who| came[0].missing(who, known.get(&who).map(|(put, _)| *put)))
        .sum();
    for who in 0..next {
        let sent = known.get(&who).map(|(_, sent)| *sent);
        assert_eq!(came[1].missing(who, sent), 0, "sent by {who}");
    }
    let items = came.each_ref().map(Came::len);
    eprintln!(
        "{killed} killed; {} items and {} messages came, {lost} were lost, and {lost_permits} permits",
        items[0], items[1]
    );
    assert!(lost <= killed && lost_permits <= killed);
    assert!(items.iter().all(|count| *count > 0));
    drop(common);
    assert!(matches!(
        receiver.recv(),
        Err(RecvError::Closed | RecvError::Cut { .. })
    ));
    drop(receiver);
    assert_eq!(has_here(), before);
}
