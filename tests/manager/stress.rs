//! Everything at once, by clients that are killed at any moment and replaced: everything stays usable, nothing comes twice, and nothing is lost
//! but what a client held that was killed.
//!
//! `PROCESSION_STRESS_SEED` has the same decisions made again, as far as they are ours.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use procession::manager::{
    ArrayProxy, BoundedSemaphoreProxy, ConditionGuard, ConditionProxy, DictProxy, EventProxy,
    GetError, ListProxy, LockError, ManagerError, PutError, QueueProxy, ValueProxy,
};
use procession::{Failure, Process, ProcessError};
use serde::{Deserialize, Serialize};

use super::place::There;
use super::support::stress::{self, Came, Item, item, random};
use super::support::{self, awaiting, until};
use super::{On, Place, Test, let_travel, tests};

/// How long it goes on.
const TIME: Duration = Duration::from_secs(2);
/// How many clients there are at a time.
const CLIENTS: usize = 4;
const PERMITS: u64 = 3;
/// As long as anybody waits for one thing, before he does another.
const SHORT: Duration = Duration::from_millis(1);

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = tests![On::ThisMachine; clients_are_killed_at_random];
    for test in &mut tests {
        test.limit = Duration::from_secs(120);
    }
    tests
}

/// What they all have.
#[derive(Clone, Serialize, Deserialize)]
struct Common {
    is_over: EventProxy,
    from: QueueProxy<Item>,
    to: QueueProxy<Item>,
    condition: ConditionProxy,
    /// Equal, but while somebody has the condition's lock.
    pair: [ValueProxy<u64>; 2],
    /// All equal.
    array: ArrayProxy<u64>,
    semaphore: BoundedSemaphoreProxy,
    event: EventProxy,
    lists: DictProxy<u64, ListProxy<u64>>,
    manager: procession::manager::Manager,
}

type Done<T = ()> = Result<T, Failure>;

impl Common {
    fn new(manager: &There) -> Self {
        Self {
            is_over: manager.event().unwrap(),
            from: manager.bounded_queue(16).unwrap(),
            to: manager.queue().unwrap(),
            condition: manager.condition().unwrap(),
            pair: [0, 0].map(|zero| manager.value(zero).unwrap()),
            array: manager.array([0; 50]).unwrap(),
            semaphore: manager.bounded_semaphore(PERMITS).unwrap(),
            event: manager.event().unwrap(),
            lists: manager.dict().unwrap(),
            manager: procession::manager::Manager::clone(manager),
        }
    }

    /// Has the lock, and what it guards is as it should be.
    fn has(
        &self,
        locked: Result<ConditionGuard, LockError<ConditionGuard>>,
    ) -> Done<Option<ConditionGuard>> {
        let [one, other] = &self.pair;
        match locked {
            Ok(guard) => {
                assert_eq!(one.get()?, other.get()?, "half done");
                Ok(Some(guard))
            }
            Err(LockError::OwnerDied(guard)) => {
                other.set(one.get()?)?;
                Ok(Some(guard))
            }
            Err(LockError::TimedOut) => Ok(None),
            Err(error) => Err(error.without_guard().into()),
        }
    }

    fn count(&self) -> Done {
        let Some(guard) = self.has(self.condition.lock())? else {
            return Ok(());
        };
        for value in &self.pair {
            value.set(value.get()? + 1)?;
        }
        Ok(self.condition.notify_one(&guard)?)
    }

    fn wait_for_a_count(&self) -> Done {
        let Some(guard) = self.has(self.condition.lock())? else {
            return Ok(());
        };
        let waited = self.condition.wait_timeout(guard, SHORT);
        self.has(waited.map(|(guard, _)| guard)).map(drop)
    }

    fn fill(&self, number: u64) -> Done {
        let all = self.array.to_vec()?;
        assert!(all.iter().all(|value| *value == all[0]), "half done");
        Ok(self.array.fill(number)?)
    }

    fn have_a_permit(&self) -> Done {
        match self.semaphore.acquire_timeout(SHORT) {
            Ok(permit) => {
                assert!(self.semaphore.value()? < PERMITS);
                drop(permit);
                Ok(())
            }
            Err(ManagerError::TimedOut) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn signal(&self, number: u64) -> Done {
        match number % 3 {
            0 => self.event.set()?,
            1 => self.event.clear()?,
            _ => drop(self.event.wait_timeout(SHORT)),
        }
        Ok(())
    }

    /// Makes a list, puts it where others find it, and takes away what was there.
    fn replace_a_list(&self, number: u64) -> Done {
        let list = self.manager.list_of([number, number])?;
        let was = self.lists.insert(number % 8, list)?;
        if let Some(was) = was {
            was.push(1)?;
            assert!(was.len()? >= 3);
        }
        if let Some(list) = self.lists.get(&((number + 1) % 8))? {
            list.push(2)?;
        }
        Ok(())
    }

    /// False if there was no room.
    fn put(&self, item: Item) -> Done<bool> {
        match self.from.try_put(item) {
            Ok(()) => Ok(true),
            Err(PutError::Full(_)) => Ok(false),
            Err(error) => Err(error.without_value().into()),
        }
    }

    fn carry(&self) -> Done {
        match self.from.get_timeout(SHORT) {
            Ok(item) => Ok(self.to.put(item).map_err(PutError::without_value)?),
            Err(GetError::Empty) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Does this and that until it is over. How many items it has put.
#[procession::task]
fn labour(common: Common, who: u64, seed: u64) -> Done<u64> {
    let mut state = seed ^ who << 20;
    let mut put = 0;
    while !common.is_over.is_set()? {
        match random(&mut state) % 12 {
            0..=2 => put += u64::from(common.put(item(who, put))?),
            3..=5 => common.carry()?,
            6 => common.replace_a_list(random(&mut state))?,
            7 => common.count()?,
            8 => common.wait_for_a_count()?,
            9 => common.fill(random(&mut state))?,
            10 => common.have_a_permit()?,
            _ => common.signal(random(&mut state))?,
        }
    }
    Ok(put)
}

/// Takes what there is, for so long.
fn take(came: &mut Came, common: &Common, moment: Duration) {
    let end = Instant::now() + moment;
    loop {
        match common.to.get_timeout(SHORT) {
            Ok(item) => came.note(item),
            Err(GetError::Empty) => {}
            Err(error) => panic!("{error:?}"),
        }
        if Instant::now() >= end {
            return;
        }
    }
}
fn start(common: &Common, who: &mut u64, seed: u64) -> (u64, Process<Done<u64>>) {
    let process = Process::spawn(labour, (common.clone(), *who, seed)).unwrap();
    *who += 1;
    (*who - 1, process)
}

fn clients_are_killed_at_random(place: Place) {
    let seed = stress::seed();
    let manager = place.manager();
    let_travel(&manager);
    let before = manager.status().unwrap();
    let common = Common::new(&manager);
    let (mut state, mut next, mut killed) = (seed, 0, 0);
    let mut came = Came::default();
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|_| start(&common, &mut next, seed))
        .collect();
    let begun = Instant::now();
    while begun.elapsed() < TIME {
        let moment = Duration::from_micros(random(&mut state) % 40_000);
        awaiting("what they make");
        take(&mut came, &common, moment);
        let at = random(&mut state) as usize % CLIENTS;
        let (_, client) = &clients[at];
        if random(&mut state).is_multiple_of(4) {
            // The others go on beside one that is stopped, unless it has something that they need.
            support::signal(client.pid(), libc::SIGSTOP);
            let moment = Duration::from_micros(random(&mut state) % 10_000);
            take(&mut came, &common, moment);
        }
        support::signal(client.pid(), libc::SIGKILL);
        awaiting("the end of one that was killed");
        let ended = client.join();
        assert!(
            matches!(
                ended,
                Err(ProcessError::Ended(_) | ProcessError::NotStarted(_))
            ),
            "{ended:?}"
        );
        killed += 1;
        clients[at] = start(&common, &mut next, seed);
    }
    common.is_over.set().unwrap();
    let mut known = BTreeMap::new();
    for (who, client) in clients {
        awaiting("the end of one that goes by itself");
        while !client.wait_timeout(Duration::ZERO) {
            take(&mut came, &common, SHORT);
        }
        known.insert(who, client.join().unwrap().unwrap());
    }
    awaiting("what is left");
    while !common.from.is_empty().unwrap() {
        common.carry().unwrap();
    }
    while !common.to.is_empty().unwrap() {
        take(&mut came, &common, Duration::ZERO);
    }
    // Everything is usable, and whole.
    until("all permits to be given back", || {
        common.semaphore.value().unwrap() == PERMITS
    });
    common.count().unwrap();
    common.fill(1).unwrap();
    common.event.set().unwrap();
    common.event.wait().unwrap();
    drop([(); PERMITS as usize].map(|()| common.semaphore.acquire().unwrap()));
    // What was on its way to one that was killed comes back when the server hears of its end, which may be as late as this.
    awaiting("an item to come behind all others");
    while !common.put(item(next, 0)).unwrap() {
        common.carry().unwrap();
    }
    loop {
        match common.from.get().unwrap() {
            last if last == item(next, 0) => break,
            other => came.note(other),
        }
    }
    for list in common.lists.values().unwrap() {
        assert!(list.len().unwrap() >= 2);
    }
    // Nothing is lost but what somebody held.
    let lost: u64 = (0..next)
        .map(|who| came.missing(who, known.get(&who).copied()))
        .sum();
    let items = came.len();
    eprintln!("{killed} killed; {items} items came, {lost} were lost");
    assert!(lost <= killed);
    assert!(items > 0);
    drop(common);
    until("everything to be given back", || {
        manager.status().unwrap() == before
    });
}
