//! Clients that are killed: while they hold something, while they wait for something, and while they write. The others go on, and nothing is
//! left of them in the manager.

use std::pin::pin;
use std::time::Duration;

use futures::executor::block_on;
use procession::manager::{
    BarrierError, BarrierProxy, BoundedSemaphoreProxy, ConditionProxy, DictProxy, EventProxy,
    ListProxy, LockError, LockProxy, ManagerStatus, QueueProxy, RLockProxy, ValueProxy,
};
use procession::pipe::{self, Receiver, Sender};
use procession::{EndOfWorker, Process, ProcessError};
use serde::{Deserialize, Serialize};

use super::place::There;
use super::support::{self, awaiting, until};
use super::{On, Place, Test, begin, kill_this_process, let_travel, tests};

/// Waited for in full by no test that passes.
const LONG: Duration = Duration::from_secs(50);

/// More than the system takes from a process before another one reads it.
const LARGE: usize = 32 << 20;

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = tests![On::Every;
        the_lock_of_who_was_killed,
        the_rlock_of_who_was_killed,
        the_condition_s_lock_of_who_was_killed,
        the_permits_of_who_was_killed,
        the_objects_of_who_was_killed,
        a_get_of_who_was_killed,
        a_put_of_who_was_killed,
        a_wait_for_a_lock_of_who_was_killed,
        a_wait_for_an_event_of_who_was_killed,
        a_wait_for_a_condition_of_who_was_killed,
        a_wait_at_a_barrier_of_who_was_killed,
        a_large_insert_is_done_or_not_when_who_makes_it_is_killed,
    ];
    tests.extend(tests![On::Processes; a_large_insert_of_which_a_part_has_come]);
    tests
}

#[derive(Clone, Serialize, Deserialize)]
struct All {
    lock: LockProxy,
    rlock: RLockProxy,
    condition: ConditionProxy,
    semaphore: BoundedSemaphoreProxy,
    event: EventProxy,
    barrier: BarrierProxy,
    queue: QueueProxy<u64>,
    full: QueueProxy<u64>,
    texts: DictProxy<u64, String>,
}

/// How many objects those are.
const OBJECTS: u64 = 9;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Deed {
    HoldLock,
    HoldRLock,
    HoldCondition,
    HoldPermits,
    Get,
    Put,
    WaitForLock,
    WaitForEvent,
    WaitForCondition,
    WaitAtBarrier,
    Write,
}

/// Does it, and is killed.
#[procession::task]
fn die(all: All, deed: Deed, begun: Sender<()>, go: Receiver<()>) {
    /// Polls it once: then the manager has been asked. What is asked later comes later.
    macro_rules! wait {
        ($future:expr) => {{
            let mut future = pin!($future);
            begin(future.as_mut());
            all.texts.len().unwrap();
            kill_this_process()
        }};
    }
    // It is connected: what is polled is sent at once.
    all.queue.len().unwrap();
    match deed {
        Deed::HoldLock => {
            let _guard = all.lock.lock().unwrap();
            kill_this_process()
        }
        Deed::HoldRLock => {
            let _guards = [all.rlock.lock().unwrap(), all.rlock.lock().unwrap()];
            kill_this_process()
        }
        Deed::HoldCondition => {
            let _guard = all.condition.lock().unwrap();
            kill_this_process()
        }
        Deed::HoldPermits => {
            let _permits = [(); 2].map(|()| all.semaphore.acquire().unwrap());
            kill_this_process()
        }
        Deed::Get => wait!(all.queue.get_async()),
        Deed::Put => wait!(all.full.put_async(2)),
        Deed::WaitForLock => wait!(all.lock.lock_async()),
        Deed::WaitForEvent => wait!(all.event.wait_async()),
        Deed::WaitForCondition => {
            let guard = all.condition.lock().unwrap();
            wait!(all.condition.wait_async(guard))
        }
        Deed::WaitAtBarrier => wait!(all.barrier.wait_async()),
        Deed::Write => {
            let text = "a".repeat(LARGE);
            begun.send(&()).unwrap();
            go.recv().unwrap();
            let mut inserts = pin!(all.texts.insert_async(1, text));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let _ = inserts.as_mut().poll(&mut context);
            kill_this_process()
        }
    }
}

/// A manager, everything in it, and what it had to do before that and before anybody was killed.
struct Scene {
    manager: There,
    all: Option<All>,
    before: ManagerStatus,
}

impl Scene {
    fn set(place: Place) -> Self {
        let manager = place.manager();
        let before = manager.status().unwrap();
        let all = All {
            lock: manager.lock().unwrap(),
            rlock: manager.rlock().unwrap(),
            condition: manager.condition().unwrap(),
            semaphore: manager.bounded_semaphore(3).unwrap(),
            event: manager.event().unwrap(),
            barrier: manager.barrier(3).unwrap(),
            queue: manager.queue().unwrap(),
            full: manager.bounded_queue(1).unwrap(),
            texts: manager.dict().unwrap(),
        };
        all.full.put(1).unwrap();
        Self {
            manager,
            all: Some(all),
            before,
        }
    }

    fn all(&self) -> &All {
        self.all.as_ref().expect("it is not over")
    }

    /// A client, what it says when it has begun, and what it is to be told then.
    fn start(&self, deed: Deed) -> (Process<()>, Receiver<()>, Sender<()>) {
        let (begun, has_begun) = pipe::one_way().unwrap();
        let (go, goes) = pipe::one_way().unwrap();
        let client = Process::spawn(die, (self.all().clone(), deed, begun, goes)).unwrap();
        (client, has_begun, go)
    }

    /// It has been killed, and the manager knows it.
    fn killed(&self, client: Process<()>) {
        awaiting("the end of a client that is killed");
        match client.join() {
            Err(ProcessError::Ended(ended)) => {
                assert_eq!(ended.end, EndOfWorker::Signalled(9), "{ended:?}");
            }
            other => panic!("{other:?}"),
        }
        // Each object has travelled once, and its reason to be there while it does is kept.
        until("the connection of who was killed to go", || {
            self.manager.status().unwrap().connections == self.before.connections + OBJECTS
        });
    }

    fn dies(&self, deed: Deed) {
        let (client, _begun, go) = self.start(deed);
        if let Deed::Write = deed {
            go.send(&()).unwrap();
        }
        self.killed(client);
    }

    /// Nothing is left when all is given back.
    fn ends(mut self) {
        assert_eq!(
            self.manager.status().unwrap().objects,
            self.before.objects + OBJECTS
        );
        drop(self.all.take());
        until("everything to be given back", || {
            self.manager.status().unwrap() == self.before
        });
    }
}

fn the_lock_of_who_was_killed(place: Place) {
    let scene = Scene::set(place);
    scene.dies(Deed::HoldLock);
    match scene.all().lock.lock_timeout(LONG) {
        Err(LockError::OwnerDied(guard)) => assert!(guard.is_of(&scene.all().lock)),
        other => panic!("{other:?}"),
    }
    drop(scene.all().lock.lock_timeout(LONG).unwrap());
    scene.ends();
}

fn the_rlock_of_who_was_killed(place: Place) {
    let scene = Scene::set(place);
    scene.dies(Deed::HoldRLock);
    match scene.all().rlock.lock_timeout(LONG) {
        Err(LockError::OwnerDied(guard)) => assert!(guard.is_of(&scene.all().rlock)),
        other => panic!("{other:?}"),
    }
    assert!(!scene.all().rlock.is_locked().unwrap());
    drop(scene.all().rlock.lock_timeout(LONG).unwrap());
    scene.ends();
}

fn the_condition_s_lock_of_who_was_killed(place: Place) {
    let scene = Scene::set(place);
    scene.dies(Deed::HoldCondition);
    match scene.all().condition.lock_timeout(LONG) {
        Err(LockError::OwnerDied(guard)) => scene.all().condition.notify_all(&guard).unwrap(),
        other => panic!("{other:?}"),
    }
    drop(scene.all().condition.lock_timeout(LONG).unwrap());
    scene.ends();
}

fn the_permits_of_who_was_killed(place: Place) {
    let scene = Scene::set(place);
    let semaphore = &scene.all().semaphore;
    scene.dies(Deed::HoldPermits);
    assert_eq!(semaphore.value().unwrap(), 3);
    let permits = [(); 3].map(|()| semaphore.acquire_timeout(LONG).unwrap());
    drop(permits);
    assert!(
        semaphore.release().is_err(),
        "there are no more than before"
    );
    scene.ends();
}

#[procession::task]
fn die_with_objects(lists: ListProxy<ValueProxy<u8>>, manager: procession::manager::Manager) {
    let _kept = [(); 20].map(|()| manager.value(1_u8).unwrap());
    // One that was asked for, and has not been looked at.
    let mut made = pin!(manager.value_async(2_u8));
    begin(made.as_mut());
    lists.push(manager.value(3).unwrap()).unwrap();
    kill_this_process();
}

fn the_objects_of_who_was_killed(place: Place) {
    let manager = place.manager();
    let_travel(&manager);
    let before = manager.status().unwrap();
    let lists = manager.list::<ValueProxy<u8>>().unwrap();
    let client = procession::manager::Manager::clone(&manager);
    let client = Process::spawn(die_with_objects, (lists.clone(), client)).unwrap();
    assert!(client.join().is_err());
    until("all but what is in a list to go", || {
        manager.status().unwrap().objects == before.objects + 2
    });
    let value = lists.pop().unwrap().expect("what it has put there");
    assert_eq!(value.get().unwrap(), 3);
    drop((value, lists));
    until("everything to be given back", || {
        manager.status().unwrap() == before
    });
}

fn a_get_of_who_was_killed(place: Place) {
    let scene = Scene::set(place);
    scene.dies(Deed::Get);
    let queue = &scene.all().queue;
    queue.put(7).unwrap();
    assert_eq!(queue.get_timeout(LONG).unwrap(), 7);
    scene.ends();
}

fn a_put_of_who_was_killed(place: Place) {
    let scene = Scene::set(place);
    scene.dies(Deed::Put);
    let full = &scene.all().full;
    assert_eq!(full.get_timeout(LONG).unwrap(), 1);
    assert!(full.is_empty().unwrap(), "it is not put any more");
    full.put_timeout(3, LONG).unwrap();
    scene.ends();
}

fn a_wait_for_a_lock_of_who_was_killed(place: Place) {
    let scene = Scene::set(place);
    let lock = &scene.all().lock;
    let guard = lock.lock().unwrap();
    scene.dies(Deed::WaitForLock);
    drop(guard);
    drop(lock.lock_timeout(LONG).unwrap());
    scene.ends();
}

fn a_wait_for_an_event_of_who_was_killed(place: Place) {
    let scene = Scene::set(place);
    let event = &scene.all().event;
    let waits = event.wait_async();
    scene.dies(Deed::WaitForEvent);
    event.set().unwrap();
    block_on(waits).unwrap();
    scene.ends();
}

fn a_wait_for_a_condition_of_who_was_killed(place: Place) {
    let scene = Scene::set(place);
    let condition = &scene.all().condition;
    scene.dies(Deed::WaitForCondition);
    let guard = condition.lock_timeout(LONG).unwrap();
    let waits = condition.wait_async(guard);
    let guard = condition.lock_timeout(LONG).unwrap();
    condition.notify_one(&guard).unwrap();
    drop(guard);
    drop(block_on(waits).unwrap());
    scene.ends();
}

fn a_wait_at_a_barrier_of_who_was_killed(place: Place) {
    let scene = Scene::set(place);
    let barrier = &scene.all().barrier;
    let waits = barrier.wait_async();
    scene.dies(Deed::WaitAtBarrier);
    assert!(matches!(block_on(waits), Err(BarrierError::Broken)));
    barrier.reset().unwrap();
    let waits = [barrier.wait_async(), barrier.wait_async()];
    barrier.wait_timeout(LONG).unwrap();
    for waits in waits {
        block_on(waits).unwrap();
    }
    scene.ends();
}

fn a_large_insert_is_done_or_not_when_who_makes_it_is_killed(place: Place) {
    let scene = Scene::set(place);
    let texts = &scene.all().texts;
    for _ in 0..3 {
        scene.dies(Deed::Write);
        if let Some(text) = texts.remove(&1).unwrap() {
            assert_eq!(text.len(), LARGE);
        }
        texts.insert(2, "small".to_owned()).unwrap();
    }
    scene.ends();
}

fn a_large_insert_of_which_a_part_has_come(place: Place) {
    let scene = Scene::set(place);
    let texts = &scene.all().texts;
    let server = scene.manager.pid().unwrap();
    let (client, begun, go) = scene.start(Deed::Write);
    begun.recv().unwrap();
    support::signal(server, libc::SIGSTOP);
    go.send(&()).unwrap();
    awaiting("the end of a client that writes");
    let ended = client.join();
    support::signal(server, libc::SIGCONT);
    assert!(ended.is_err());
    until("the connection of who was killed to go", || {
        scene.manager.status().unwrap().connections == scene.before.connections + OBJECTS
    });
    assert_eq!(texts.len().unwrap(), 0, "a part of it is nothing");
    texts.insert(2, "small".to_owned()).unwrap();
    scene.ends();
}
