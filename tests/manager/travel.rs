//! Proxies travel: as parts of values, by every way, from managed value to managed value; and where they cannot, they say so.

use procession::manager::{
    DictProxy, EventProxy, ListProxy, LockProxy, Manager, ManagerError, NamespaceProxy, QueueProxy,
    ValueProxy,
};
use procession::pipe::{self, Connection};
use procession::queue::PutError;
use procession::{Failure, Process, Queue};
use serde::{Deserialize, Serialize};

use super::support::until;
use super::{On, Place, Test, let_travel, pool, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![On::Every;
        proxies_are_parts_of_arguments_and_of_results,
        a_process_is_given_them_and_gives_them_on,
        a_connection_carries_them_both_ways,
        a_dictionary_has_lists,
        what_a_dropped_container_had_is_there_while_somebody_has_it,
        what_is_deep_in_containers_goes_with_the_outermost,
        a_value_of_proxies_is_replaced,
        a_queue_of_shared_memory_refuses_them,
        where_there_is_no_descriptor_for_one_that_is_said,
        another_manager_refuses_them,
        a_managers_own_workers_are_given_them_and_give_them_back,
        a_worker_that_is_killed_keeps_none,
        what_does_not_travel_through_a_manager_is_refused,
    ]
}

/// Everything in which they can be.
#[derive(Serialize, Deserialize)]
struct Parts {
    list: ListProxy<u64>,
    several: Vec<(String, ValueProxy<u64>)>,
    perhaps: Option<EventProxy>,
    none: Option<LockProxy>,
    either: Result<Box<DictProxy<String, ListProxy<u64>>>, u8>,
    manager: Option<Manager>,
}

impl Parts {
    fn new(manager: &Manager) -> Self {
        Self {
            list: manager.list_of([1]).unwrap(),
            several: (0..3)
                .map(|n| (format!("nº {n}"), manager.value(n).unwrap()))
                .collect(),
            perhaps: Some(manager.event().unwrap()),
            none: None,
            either: Ok(Box::new(manager.dict().unwrap())),
            manager: Some(manager.clone()),
        }
    }

    fn use_all(&self) -> Result<(), Failure> {
        self.list.push(self.list.len()? as u64 + 1)?;
        for (_, value) in &self.several {
            value.fetch_add(10)?;
        }
        self.perhaps.as_ref().ok_or("no event")?.set()?;
        assert!(self.none.is_none());
        let dict = self.either.as_ref().map_err(|_| "no dictionary")?;
        let made = self.manager.as_ref().ok_or("no manager")?.list()?;
        made.push(std::process::id().into())?;
        dict.insert(format!("made by {}", std::process::id()), made)?;
        Ok(())
    }

    /// They have been used so often.
    #[track_caller]
    fn were_used(&self, times: u64) {
        assert!(self.list.to_vec().unwrap().into_iter().eq(1..times + 2));
        for (n, (name, value)) in (0..).zip(&self.several) {
            assert_eq!(*name, format!("nº {n}"));
            assert_eq!(value.get().unwrap(), n + 10 * times);
        }
        assert!(self.perhaps.as_ref().unwrap().is_set().unwrap());
        let lists = self.either.as_ref().unwrap().values().unwrap();
        assert!(lists.iter().all(|list| list.len().unwrap() == 1));
        assert!(!lists.is_empty());
    }

    fn are_of(&self, other: &Self) -> bool {
        self.list.is_same(&other.list)
            && self.several.len() == other.several.len()
            && self
                .several
                .iter()
                .zip(&other.several)
                .all(|(one, other)| one.1.is_same(&other.1))
    }
}

#[procession::task]
fn use_parts((_, parts): (u8, Vec<Parts>)) -> Result<Option<Parts>, Failure> {
    for parts in &parts {
        parts.use_all()?;
    }
    Ok(parts.into_iter().next_back())
}

fn proxies_are_parts_of_arguments_and_of_results(place: Place) {
    let (manager, pool) = (place.manager(), pool(2));
    let_travel(&manager);
    let before = manager.status().unwrap();
    let mut parts = Parts::new(&manager);
    for times in 1..4 {
        let used = pool.submit(use_parts, (1, vec![parts])).unwrap();
        parts = used.wait().unwrap().unwrap().expect("they come back");
        parts.were_used(times);
    }
    drop((parts, pool));
    until("everything to be given back", || {
        manager.status().unwrap() == before
    });
}

#[procession::task]
fn use_and_hand_on(parts: Parts, depth: u64) -> Result<Parts, Failure> {
    parts.use_all()?;
    if depth == 0 {
        return Ok(parts);
    }
    let list = parts.list.clone();
    let back = Process::spawn(use_and_hand_on, (parts, depth - 1))?.join()??;
    assert!(back.list.is_same(&list));
    Ok(back)
}

fn a_process_is_given_them_and_gives_them_on(place: Place) {
    let manager = place.manager();
    let_travel(&manager);
    let before = manager.status().unwrap();
    let parts = Parts::new(&manager);
    let list = parts.list.clone();
    let process = Process::spawn(use_and_hand_on, (parts, 2)).unwrap();
    let back = process.join().unwrap().unwrap();
    assert!(back.list.is_same(&list));
    back.were_used(3);
    drop((list, back, process));
    until("everything to be given back", || {
        manager.status().unwrap() == before
    });
}

#[procession::task]
fn echo(connection: Connection<Parts, Parts>) -> Result<(), Failure> {
    for _ in 0..2 {
        let parts = connection.recv()?;
        parts.use_all()?;
        connection.send(&parts)?;
    }
    Ok(())
}

fn a_connection_carries_them_both_ways(place: Place) {
    let manager = place.manager();
    let_travel(&manager);
    let before = manager.status().unwrap();
    let (here, there) = pipe::duplex::<Parts, Parts>().unwrap();
    let process = Process::spawn(echo, there).unwrap();
    let parts = Parts::new(&manager);
    for times in 1..3 {
        here.send(&parts).unwrap();
        let back = here.recv().unwrap();
        assert!(back.are_of(&parts));
        back.were_used(times);
    }
    process.join().unwrap().unwrap();
    drop((parts, here, process));
    until("everything to be given back", || {
        manager.status().unwrap() == before
    });
}

#[procession::task]
fn fill(lists: DictProxy<String, ListProxy<u64>>) -> Result<(), Failure> {
    for key in lists.keys()? {
        let list = lists.get(&key)?.ok_or("it is gone")?;
        list.push(key.len() as u64)?;
    }
    Ok(())
}

fn a_dictionary_has_lists(place: Place) {
    let manager = place.manager();
    let lists = manager.dict::<String, ListProxy<u64>>().unwrap();
    for key in ["a", "bb", "ccc"] {
        lists
            .insert(key.to_owned(), manager.list().unwrap())
            .unwrap();
    }
    Process::spawn(fill, lists.clone())
        .unwrap()
        .join()
        .unwrap()
        .unwrap();
    for (key, list) in lists.items().unwrap() {
        assert_eq!(list.to_vec().unwrap(), [key.len() as u64]);
    }
}

fn what_a_dropped_container_had_is_there_while_somebody_has_it(place: Place) {
    let manager = place.manager();
    let before = manager.status().unwrap().objects;
    let queue = manager.queue::<Vec<ListProxy<u64>>>().unwrap();
    let list = manager.list_of([4, 5]).unwrap();
    queue.put(vec![list]).unwrap();
    assert_eq!(manager.status().unwrap().objects, before + 2);
    let list = queue.get().unwrap().remove(0);
    drop(queue);
    assert_eq!(manager.status().unwrap().objects, before + 1);
    assert_eq!(list.to_vec().unwrap(), [4, 5]);
    drop(list);
    assert_eq!(manager.status().unwrap().objects, before);
}

fn what_is_deep_in_containers_goes_with_the_outermost(place: Place) {
    let manager = place.manager();
    let before = manager.status().unwrap().objects;
    let space: NamespaceProxy = manager.namespace().unwrap();
    let queue: QueueProxy<ListProxy<ValueProxy<u8>>> = manager.queue().unwrap();
    let list = manager.list_of([manager.value(1).unwrap()]).unwrap();
    queue.put(list).unwrap();
    space.set("queue", &queue).unwrap();
    drop(queue);
    assert_eq!(manager.status().unwrap().objects, before + 4);
    let queue: QueueProxy<ListProxy<ValueProxy<u8>>> = space.get("queue").unwrap().unwrap();
    assert_eq!(queue.len().unwrap(), 1);
    drop((space, queue));
    assert_eq!(manager.status().unwrap().objects, before);
}

fn a_value_of_proxies_is_replaced(place: Place) {
    let manager = place.manager();
    let before = manager.status().unwrap().objects;
    let value = manager
        .value(Some(manager.list_of([1_u8]).unwrap()))
        .unwrap();
    let other = manager.list_of([2_u8]).unwrap();
    let was = value
        .replace(Some(other.clone()))
        .unwrap()
        .expect("the first one");
    assert_eq!(was.to_vec().unwrap(), [1]);
    drop((was, other));
    assert_eq!(manager.status().unwrap().objects, before + 2);
    value.set(None).unwrap();
    assert_eq!(manager.status().unwrap().objects, before + 1);
}

fn where_there_is_no_descriptor_for_one_that_is_said(place: Place) {
    let (manager, pool) = (place.manager(), pool(1));
    let list = manager.list_of([7]).unwrap();
    let mut taken = Vec::new();
    let refused = loop {
        match std::fs::File::open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(error) => break error,
        }
        if taken.len() == 100_000 {
            return; // there is no limit that could be reached here
        }
    };
    let refused = refused.to_string();
    let why = match pool.submit(push_there, (list.clone(), 1)) {
        Err(error) => super::programs::describe(&error),
        Ok(_) => panic!("there was a descriptor for it"),
    };
    drop(taken);
    assert!(why.contains("cannot be reached"), "{why}");
    assert!(why.contains(&refused), "{why}");
    pool.submit(push_there, (list.clone(), 1))
        .unwrap()
        .wait()
        .unwrap()
        .unwrap();
}

fn a_queue_of_shared_memory_refuses_them(place: Place) {
    let manager = place.manager();
    let queue = Queue::<Option<ListProxy<u64>>>::bounded(4).unwrap();
    let list = manager.list::<u64>().unwrap();
    queue.put(None).unwrap();
    let refused = queue.put(Some(list.clone())).unwrap_err();
    assert!(
        matches!(&refused, PutError::Unencodable { .. }),
        "{refused:?}"
    );
    let why = super::programs::describe(&refused);
    assert!(
        why.contains("a manager's proxy), and those cannot lie in a queue"),
        "{why}"
    );
    list.push(1).unwrap();
    assert!(queue.get().unwrap().is_none());
    assert!(queue.is_empty());
}

fn another_manager_refuses_them(place: Place) {
    let (one, other) = (place.manager(), place.manager());
    let list = one.list::<u64>().unwrap();
    let dict = other
        .dict::<u8, (String, Option<ListProxy<u64>>)>()
        .unwrap();
    let refused = dict.insert(1, ("a list".to_owned(), Some(list.clone())));
    let why = match refused.unwrap_err() {
        error @ ManagerError::NotEncoded { .. } => error.to_string(),
        error => panic!("{error:?}"),
    };
    assert!(why.contains("another manager"), "{why}");
    let why = other.publish("list", &list).unwrap_err().to_string();
    let expected = format!("the proxy is of another manager, at {}", one.address());
    assert_eq!(why, expected);
    assert!(dict.is_empty().unwrap() && other.names().unwrap().is_empty());
    list.push(1).unwrap();
}

#[procession::task]
fn push_there(list: ListProxy<u64>, value: u64) -> Result<(ListProxy<u64>, u32), Failure> {
    list.push(value)?;
    Ok((list, std::process::id()))
}

/// A list that it has not been given, twice, and one that it has.
#[procession::task]
fn find_there(
    lists: DictProxy<String, ListProxy<u64>>,
    given: ListProxy<u64>,
) -> Result<(Vec<ListProxy<u64>>, ListProxy<u64>), Failure> {
    let found = lists.get(&"found".to_owned())?.ok_or("no list")?;
    Ok((vec![found.clone(), found], given))
}

fn a_managers_own_workers_are_given_them_and_give_them_back(place: Place) {
    let manager = place.manager();
    let objects = || manager.status().unwrap().objects;
    let before = objects();
    let pool = manager.pool(2).unwrap();
    let list = manager.list::<u64>().unwrap();
    let tasks: Vec<_> = (0..100)
        .map(|value| pool.submit(push_there, (list.clone(), value)).unwrap())
        .collect();
    for task in tasks {
        let (same, pid) = task.wait().unwrap().unwrap();
        assert!(same.is_same(&list) && pid != std::process::id());
    }
    list.sort().unwrap();
    assert!(list.to_vec().unwrap().into_iter().eq(0..100));

    // The task has the last one of it.
    let last = manager.list_of([1]).unwrap();
    let came = pool.submit(push_there, (last, 2)).unwrap().wait();
    let (came, _) = came.unwrap().unwrap();
    assert_eq!(came.to_vec().unwrap(), [1, 2]);

    let lists = manager.dict().unwrap();
    lists.insert("found".to_owned(), came).unwrap();
    let task = pool
        .submit(find_there, (lists.clone(), list.clone()))
        .unwrap();
    let (found, given) = task.wait().unwrap().unwrap();
    lists.clear().unwrap();
    assert!(found[0].is_same(&found[1]) && given.is_same(&list));
    found[0].push(3).unwrap();
    assert_eq!(found[1].to_vec().unwrap(), [1, 2, 3]);

    // Nobody takes the result.
    drop(pool.submit(push_there, (list.clone(), 7)).unwrap());
    drop((task, found, given, lists, list, pool));
    until("everything to be given back", || objects() == before);
}

#[procession::task]
fn keep_there(list: ListProxy<u64>, has_begun: EventProxy) -> Result<(), Failure> {
    list.push(1)?;
    has_begun.set()?;
    loop {
        std::thread::park();
    }
}

fn a_worker_that_is_killed_keeps_none(place: Place) {
    let manager = place.manager();
    let (pool, has_begun) = (manager.pool(1).unwrap(), manager.event().unwrap());
    let before = manager.status().unwrap().objects;
    let submit = || {
        let list = manager.list().unwrap();
        pool.submit(keep_there, (list, has_begun.clone())).unwrap()
    };
    let runs = submit();
    has_begun.wait().unwrap();
    let waits: Vec<_> = (0..5).map(|_| submit()).collect();
    assert_eq!(manager.status().unwrap().objects, before + 6);
    // Those that have not begun, and the one that has.
    for task in waits {
        assert!(task.cancel());
    }
    runs.kill();
    assert!(runs.wait().is_err());
    drop(runs);
    until("the lists to go", || {
        manager.status().unwrap().objects == before
    });
}

#[procession::task]
fn takes_a_number(_: Queue<u64>) {}

#[procession::task]
fn gives_a_queue() -> Queue<u64> {
    Queue::bounded(1).unwrap()
}

fn what_does_not_travel_through_a_manager_is_refused(place: Place) {
    let manager = place.manager();
    let pool = manager.pool(1).unwrap();
    let why = |refused| match refused {
        Err(error @ ManagerError::NotEncoded { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let gives = pool.submit(gives_a_queue, ()).unwrap();
    let refused = gives.wait().unwrap_err().to_string();
    assert!(refused.contains("descriptors"), "{refused}");
    let queue = Queue::bounded(1).unwrap();
    let refused = why(pool.submit(takes_a_number, queue).map(drop));
    assert!(refused.contains("descriptor"), "{refused}");
    {
        let other = place.manager();
        let list = other.list().unwrap();
        let refused = why(pool.submit(push_there, (list, 1)).map(drop));
        assert!(refused.contains("another manager"), "{refused}");
    }
    assert_eq!(manager.status().unwrap().objects, 1);
}
