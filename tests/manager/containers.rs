//! Values in a manager, through their proxies: every call, from threads, tasks and processes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use futures::executor::block_on;
use procession::manager::{
    DictProxy, GetError, ListProxy, ManagerError, PutError, QueueProxy, TaskDoneError, ValueProxy,
};

use super::support::until;
use super::{On, Place, Test, pool, tests};

/// Not waited for in full by any test that passes.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

pub(crate) fn tests() -> Vec<Test> {
    tests![On::Every;
        a_list_is_asked_everything,
        a_list_is_changed_here_and_put_back,
        a_list_says_what_is_out_of_range,
        a_dictionary_is_asked_everything,
        an_entry_is_filled_or_changed,
        a_set_is_asked_everything,
        a_set_is_compared_with_another_one,
        keys_are_given_as_what_they_are_borrowed_as,
        a_value_is_changed_in_every_way,
        an_array_is_asked_everything,
        a_namespace_keeps_values_of_any_type,
        a_queue_is_asked_everything,
        a_get_whose_time_is_over_loses_nothing,
        a_put_that_is_given_up_is_not_put,
        a_put_whose_time_is_over_has_put_or_not,
        a_queue_wakes_whoever_waits,
        everything_can_be_awaited,
        what_was_taken_out_for_nobody_is_there_again,
        nobody_s_change_is_lost,
        a_value_that_encodes_differently_each_time_is_changed,
        proxies_are_values,
        what_only_a_container_knew_goes_with_it,
        what_does_not_encode_is_said,
        types_are_looked_at_by_name,
        workers_use_what_they_are_given,
    ]
}

fn a_put_whose_time_is_over_has_put_or_not(place: Place) {
    const PUTTERS: u64 = 4;
    const PUTS: u64 = 200;
    let manager = place.manager();
    let queue = manager.bounded_queue::<u64>(1).unwrap();
    let put_some = |putter: u64| {
        let items = putter * PUTS..(putter + 1) * PUTS;
        let put = items.filter(|item| {
            let short = Duration::from_micros(item % 100);
            let put = match item % 2 {
                0 => queue.put_timeout(*item, short),
                _ => block_on(queue.put_timeout_async(*item, short)),
            };
            match put {
                Ok(()) => true,
                Err(error) => {
                    assert!(error.is_full(), "{error}");
                    false
                }
            }
        });
        put.collect::<Vec<u64>>()
    };
    let (mut got, put) = thread::scope(|scope| {
        let getter = scope.spawn(|| queue.iter().map(Result::unwrap).collect::<Vec<u64>>());
        let putters = (0..PUTTERS).map(|putter| {
            scope.spawn({
                let put_some = &put_some;
                move || put_some(putter)
            })
        });
        let putters: Vec<_> = putters.collect();
        let put = putters
            .into_iter()
            .flat_map(|putter| putter.join().unwrap());
        let put: Vec<u64> = put.collect();
        queue.close().unwrap();
        (getter.join().unwrap(), put)
    });
    got.sort_unstable();
    assert_eq!(got, put);
    assert_eq!(queue.unfinished().unwrap(), put.len() as u64);
}

fn a_list_is_asked_everything(place: Place) {
    let manager = place.manager();
    let list = manager.list::<u32>().unwrap();
    assert!(list.is_empty().unwrap());
    assert_eq!(
        (
            list.pop().unwrap(),
            list.first().unwrap(),
            list.last().unwrap()
        ),
        (None, None, None)
    );

    list.push(5).unwrap();
    list.extend([3, 4, 3]).unwrap();
    list.insert(0, 9).unwrap();
    list.insert(5, 8).unwrap();
    assert_eq!(list.to_vec().unwrap(), [9, 5, 3, 4, 3, 8]);
    assert_eq!(list.len().unwrap(), 6);
    assert_eq!(
        (list.first().unwrap(), list.last().unwrap()),
        (Some(9), Some(8))
    );
    assert_eq!(
        (list.get(1).unwrap(), list.get(6).unwrap()),
        (Some(5), None)
    );
    assert_eq!(list.range(1..3).unwrap(), [5, 3]);
    assert_eq!(list.range(..=1).unwrap(), [9, 5]);
    assert_eq!(list.range(4..).unwrap(), [3, 8]);
    assert!(list.contains(&4).unwrap());
    assert_eq!(
        (list.index_of(&3).unwrap(), list.index_of(&7).unwrap()),
        (Some(2), None)
    );
    assert_eq!((list.count(&3).unwrap(), list.count(&7).unwrap()), (2, 0));

    list.set(0, 1).unwrap();
    assert_eq!(list.replace(1, 2).unwrap(), 5);
    assert!(list.compare_and_swap(2, &3, &7).unwrap());
    assert!(!list.compare_and_swap(2, &3, &7).unwrap());
    assert_eq!(list.fetch_add(2, 10).unwrap(), 7);
    assert_eq!(list.fetch_sub(2, 1).unwrap(), 17);
    assert_eq!(list.remove(3).unwrap(), 4);
    assert_eq!(list.swap_remove(0).unwrap(), 1);
    assert_eq!(list.iter().unwrap().collect::<Vec<_>>(), [8, 2, 16, 3]);

    list.reverse().unwrap();
    list.swap(0, 3).unwrap();
    assert_eq!(list.to_vec().unwrap(), [8, 16, 2, 3]);
    assert_eq!(list.splice(1..3, [1, 1, 1]).unwrap(), [16, 2]);
    assert_eq!(list.pop().unwrap(), Some(3));
    list.truncate(2).unwrap();
    assert_eq!(list.drain_all().unwrap(), [8, 1]);
    list.push(1).unwrap();
    list.clear().unwrap();
    assert_eq!(list.len().unwrap(), 0);
    assert_eq!(manager.list_of([1u8, 2]).unwrap().to_vec().unwrap(), [1, 2]);
}

fn a_list_is_changed_here_and_put_back(place: Place) {
    let manager = place.manager();
    let list = manager
        .list_of(["bb", "ccc", "a"].map(str::to_owned))
        .unwrap();
    let len = list.update(0, |text| {
        text.push('!');
        text.len()
    });
    assert_eq!(len.unwrap(), 3);
    list.sort().unwrap();
    assert_eq!(list.to_vec().unwrap(), ["a", "bb!", "ccc"]);
    list.push("dd".to_owned()).unwrap();
    list.sort_by_key(|text| std::cmp::Reverse(text.len()))
        .unwrap();
    assert_eq!(list.to_vec().unwrap(), ["bb!", "ccc", "dd", "a"]);
    list.retain(|text| text.len() != 2).unwrap();
    let last = list.modify(|list| {
        list.dedup_by_key(|text| text.len());
        list.len()
    });
    assert_eq!(last.unwrap(), 2);
    assert_eq!(list.to_vec().unwrap(), ["bb!", "a"]);
}

fn a_list_says_what_is_out_of_range(place: Place) {
    let manager = place.manager();
    let list = manager.list_of([1u8, 2]).unwrap();
    let is_out = |result: Result<(), ManagerError>, at| match result {
        Err(ManagerError::OutOfRange { index, len: 2 }) => assert_eq!(index, at),
        other => panic!("{other:?}"),
    };
    is_out(list.set(2, 0), 2);
    is_out(list.remove(3).map(drop), 3);
    is_out(list.insert(3, 0), 3);
    is_out(list.range(1..4).map(drop), 4);
    is_out(list.update(2, |value| *value = 0), 2);
    is_out(list.fetch_add(usize::MAX, 1).map(drop), u64::MAX);
    let overflow = list.fetch_add(0, 255);
    assert!(
        matches!(overflow, Err(ManagerError::Overflow)),
        "{overflow:?}"
    );
    assert_eq!(list.to_vec().unwrap(), [1, 2]);
}

fn a_dictionary_is_asked_everything(place: Place) {
    let manager = place.manager();
    let dict = manager.dict::<String, i32>().unwrap();
    let key = |key: &str| key.to_owned();
    assert_eq!(dict.insert(key("a"), 1).unwrap(), None);
    assert_eq!(dict.insert(key("a"), 2).unwrap(), Some(1));
    dict.extend([(key("b"), 3), (key("c"), 4)]).unwrap();
    assert_eq!(
        (dict.get(&key("b")).unwrap(), dict.get(&key("z")).unwrap()),
        (Some(3), None)
    );
    assert!(dict.contains_key(&key("c")).unwrap());
    assert_eq!(
        (
            dict.get_or_insert(key("a"), 9).unwrap(),
            dict.get_or_insert(key("d"), 9).unwrap()
        ),
        (2, 9)
    );
    assert_eq!(dict.keys().unwrap(), ["a", "b", "c", "d"]);
    assert_eq!(dict.values().unwrap(), [2, 3, 4, 9]);
    assert_eq!((dict.len().unwrap(), dict.is_empty().unwrap()), (4, false));

    assert_eq!(dict.fetch_add(key("a"), 5).unwrap(), 2);
    assert_eq!(dict.fetch_sub(key("new"), 5).unwrap(), 0);
    assert_eq!(dict.remove(&key("new")).unwrap(), Some(-5));
    assert!(dict.compare_and_swap(&key("b"), Some(&3), None).unwrap());
    assert!(!dict.compare_and_swap(&key("b"), Some(&3), None).unwrap());
    assert!(dict.compare_and_swap(&key("b"), None, Some(&30)).unwrap());
    dict.update(&key("c"), |value| value.map(|value| value * 10))
        .unwrap();
    dict.update(&key("d"), |_| None).unwrap();
    dict.update(&key("e"), |value| value.or(Some(5))).unwrap();
    let items: HashMap<String, i32> = dict.iter().unwrap().collect();
    let expected = [("a", 7), ("b", 30), ("c", 40), ("e", 5)];
    assert_eq!(
        items,
        expected.map(|(name, value)| (key(name), value)).into()
    );

    assert_eq!(dict.pop_first().unwrap(), Some((key("a"), 7)));
    assert_eq!(dict.pop_last().unwrap(), Some((key("e"), 5)));
    assert_eq!(dict.drain_all().unwrap(), [(key("c"), 40), (key("b"), 30)]);
    dict.insert(key("a"), 1).unwrap();
    dict.clear().unwrap();
    assert_eq!(dict.pop_last().unwrap(), None);
    let begun = manager.dict_of([(1u8, 'a'), (2, 'b'), (1, 'c')]).unwrap();
    assert_eq!(begun.items().unwrap(), [(1, 'c'), (2, 'b')]);
}

fn an_entry_is_filled_or_changed(place: Place) {
    let manager = place.manager();
    let dict = manager.dict::<u8, Vec<u32>>().unwrap();
    assert_eq!(dict.entry(1).or_insert(vec![1]).unwrap(), [1]);
    assert_eq!(dict.entry(1).or_insert(vec![2]).unwrap(), [1]);
    assert_eq!(dict.entry(2).or_default().unwrap(), [0u32; 0]);
    let entry = dict
        .entry(1)
        .and_modify(|list| list.push(7))
        .and_modify(|list| list.push(8));
    assert_eq!(*entry.key(), 1);
    assert_eq!(entry.or_default().unwrap(), [1, 7, 8]);
    let made = dict
        .entry(3)
        .and_modify(|_| panic!("nothing is there"))
        .or_insert_with(|| vec![3]);
    assert_eq!(made.unwrap(), [3]);
    let known = dict
        .entry(3)
        .or_insert_with(|| panic!("something is there"));
    assert_eq!(known.unwrap(), [3]);
    assert_eq!(dict.values().unwrap(), [vec![1, 7, 8], vec![], vec![3]]);
}

fn a_set_is_asked_everything(place: Place) {
    let manager = place.manager();
    let set = manager.set::<String>().unwrap();
    let text = |text: &str| text.to_owned();
    assert!(set.insert(text("a")).unwrap());
    assert!(!set.insert(text("a")).unwrap());
    assert_eq!(set.extend([text("b"), text("a"), text("c")]).unwrap(), 2);
    assert!(set.contains(&text("b")).unwrap());
    assert!(set.contains_all([text("b"), text("c")]).unwrap());
    assert!(!set.contains_all([text("b"), text("z")]).unwrap());
    assert!(set.remove(&text("b")).unwrap());
    assert!(!set.remove(&text("b")).unwrap());
    assert_eq!((set.len().unwrap(), set.is_empty().unwrap()), (2, false));
    assert_eq!(set.iter().unwrap().collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(set.pop().unwrap(), Some(text("a")));
    assert_eq!(set.drain_all().unwrap(), ["c"]);
    set.insert(text("d")).unwrap();
    set.clear().unwrap();
    assert_eq!(set.pop().unwrap(), None);
}

fn a_set_is_compared_with_another_one(place: Place) {
    let manager = place.manager();
    let one = manager.set_of([1u8, 2, 3]).unwrap();
    let other = manager.set_of([3u8, 4]).unwrap();
    assert_eq!(one.union(&other).unwrap(), [1, 2, 3, 4]);
    assert_eq!(one.intersection(&other).unwrap(), [3]);
    assert_eq!(one.difference([2, 9]).unwrap(), [1, 3]);
    assert_eq!(one.symmetric_difference(&other).unwrap(), [1, 2, 4]);
    assert!(one.is_subset([3, 2, 1, 0]).unwrap());
    assert!(one.is_superset([3, 3]).unwrap());
    assert!(!one.is_disjoint(&other).unwrap());
    assert!(one.is_subset(&one).unwrap());
    assert_eq!(block_on(one.union_async(vec![7])).unwrap(), [1, 2, 3, 7]);
    assert!(!block_on(one.is_superset_async(&other)).unwrap());
}

fn a_value_is_changed_in_every_way(place: Place) {
    let manager = place.manager();
    let value = manager.value(10i64).unwrap();
    value.set(20).unwrap();
    assert_eq!(value.replace(30).unwrap(), 20);
    assert_eq!(value.fetch_add(5).unwrap(), 30);
    assert_eq!(value.fetch_sub(6).unwrap(), 35);
    assert_eq!(value.fetch_max(100).unwrap(), 29);
    assert_eq!(value.fetch_min(-3).unwrap(), 100);
    assert!(value.compare_and_swap(&-3, &4).unwrap());
    assert!(!value.compare_and_swap(&-3, &4).unwrap());
    assert_eq!(
        value.update(|value| std::mem::replace(value, 7)).unwrap(),
        4
    );
    assert_eq!(value.get().unwrap(), 7);
    let float = manager.value(0.5f64).unwrap();
    float.fetch_add(0.25).unwrap();
    assert_eq!(float.get().unwrap(), 0.75);
    let small = manager.value(250usize).unwrap();
    small.fetch_add(10).unwrap();
    assert_eq!(small.get().unwrap(), 260);
}

fn an_array_is_asked_everything(place: Place) {
    let manager = place.manager();
    let array = manager.array(vec![0u8; 4]).unwrap();
    array.set(0, 1).unwrap();
    assert_eq!(array.replace(1, 2).unwrap(), 0);
    array.write(2, [3, 4]).unwrap();
    assert_eq!(array.to_vec().unwrap(), [1, 2, 3, 4]);
    array.swap(0, 3).unwrap();
    assert_eq!(array.range(..2).unwrap(), [4, 2]);
    assert_eq!(array.fetch_add(0, 1).unwrap(), 4);
    assert_eq!(array.fetch_sub(0, 2).unwrap(), 5);
    assert_eq!(array.fetch_max(1, 9).unwrap(), 2);
    assert_eq!(array.fetch_min(1, 8).unwrap(), 9);
    assert!(array.compare_and_swap(2, &3, &30).unwrap());
    array.update(3, |value| *value += 1).unwrap();
    assert_eq!(array.iter().unwrap().collect::<Vec<_>>(), [3, 8, 30, 2]);
    array.fill(7).unwrap();
    assert_eq!(
        (
            array.get(3).unwrap(),
            array.len().unwrap(),
            array.is_empty().unwrap()
        ),
        (7, 4, false)
    );
    let beyond = array.write(3, [1, 1]);
    assert!(
        matches!(beyond, Err(ManagerError::OutOfRange { .. })),
        "{beyond:?}"
    );
    assert!(matches!(
        array.get(4),
        Err(ManagerError::OutOfRange { index: 4, len: 4 })
    ));
    assert_eq!(array.to_vec().unwrap(), [7; 4]);
}

fn a_namespace_keeps_values_of_any_type(place: Place) {
    let manager = place.manager();
    let space = manager.namespace().unwrap();
    let list = manager.list_of([1u8]).unwrap();
    space.set("count", &7u32).unwrap();
    space.set("list", &list).unwrap();
    assert_eq!(space.get::<u32>("count").unwrap(), Some(7));
    assert_eq!(space.get::<u32>("nothing").unwrap(), None);
    let same: ListProxy<u8> = space.get("list").unwrap().unwrap();
    assert!(same.is_same(&list));
    assert!(space.get::<u64>("count").is_err());
    assert!(space.set("_private", &1u8).is_err());
    assert_eq!(space.names().unwrap(), ["count", "list"]);
    assert!(space.contains("count").unwrap());
    assert!(space.remove("count").unwrap());
    assert!(!space.remove("count").unwrap());
}

fn a_queue_is_asked_everything(place: Place) {
    let manager = place.manager();
    let queue = manager.bounded_queue::<String>(2).unwrap();
    let text = |text: &str| text.to_owned();
    assert_eq!(queue.capacity().unwrap(), Some(2));
    assert!(queue.is_empty().unwrap());
    assert!(queue.try_get().unwrap_err().is_empty());
    queue.put(text("a")).unwrap();
    queue.try_put(text("b")).unwrap();
    assert!(queue.is_full().unwrap());
    match queue.try_put(text("c")) {
        Err(PutError::Full(item)) => assert_eq!(item, "c"),
        other => panic!("{other:?}"),
    }
    assert_eq!((queue.len().unwrap(), queue.unfinished().unwrap()), (2, 2));
    let join = queue.join_timeout(SHORT);
    assert!(matches!(join, Err(ManagerError::TimedOut)), "{join:?}");
    assert_eq!(queue.get().unwrap(), "a");
    queue.task_done().unwrap();
    queue.task_done().unwrap();
    queue.join().unwrap();
    let done = queue.task_done();
    assert!(matches!(done, Err(TaskDoneError::TooOften)), "{done:?}");

    queue.close().unwrap();
    assert!(queue.is_closed().unwrap());
    assert!(queue.put(text("d")).unwrap_err().is_closed());
    let rest: Result<Vec<String>, GetError> = queue.iter().collect();
    assert_eq!(rest.unwrap(), ["b"]);
    assert!(queue.get().unwrap_err().is_closed());
    assert!(manager.bounded_queue::<u8>(0).is_err());
    assert_eq!(manager.queue::<u8>().unwrap().capacity().unwrap(), None);
}

fn a_get_whose_time_is_over_loses_nothing(place: Place) {
    let manager = place.manager();
    let queue = manager.queue::<u32>().unwrap();
    assert!(queue.get_timeout(SHORT).unwrap_err().is_empty());
    let producer = queue.clone();
    let count = 500;
    let thread = thread::spawn(move || (0..count).for_each(|n| producer.put(n).unwrap()));
    let mut got = Vec::new();
    for attempt in 0.. {
        // Some are over at once, some in between, some after an item has come.
        match queue.get_timeout(Duration::from_micros(attempt % 300)) {
            Ok(item) => got.push(item),
            Err(error) => assert!(error.is_empty(), "{error:?}"),
        }
        if got.len() == count as usize {
            break;
        }
        // A future that is dropped, whatever it was to bring.
        if attempt % 4 == 0 {
            drop(queue.get_async());
        }
    }
    thread.join().unwrap();
    assert_eq!(got.len(), count as usize);
    got.sort_unstable();
    assert!(got.into_iter().eq(0..count));
}

fn a_put_that_is_given_up_is_not_put(place: Place) {
    let manager = place.manager();
    let queue = manager.bounded_queue::<u32>(1).unwrap();
    queue.put(1).unwrap();
    match queue.put_timeout(2, SHORT) {
        Err(PutError::Full(item)) => assert_eq!(item, 2),
        other => panic!("{other:?}"),
    }
    drop(queue.put_async(3));
    queue.put_async(4).wait_after(|| queue.get().unwrap());
    assert_eq!(queue.get().unwrap(), 4);
    assert!(queue.try_get().unwrap_err().is_empty());
    assert_eq!(queue.unfinished().unwrap(), 2);
}

/// Awaits something that another call makes ready.
trait WaitAfter {
    fn wait_after(self, call: impl FnOnce() -> u32);
}

impl<F: Future<Output = Result<(), PutError<u32>>>> WaitAfter for F {
    fn wait_after(self, call: impl FnOnce() -> u32) {
        assert_eq!(call(), 1);
        block_on(self).unwrap();
    }
}

fn a_queue_wakes_whoever_waits(place: Place) {
    let manager = place.manager();
    let queue = manager.bounded_queue::<u32>(1).unwrap();
    let gets: Vec<_> = (0..20).map(|_| queue.get_async()).collect();
    let (one, other) = (queue.clone(), queue.clone());
    let thread = thread::spawn(move || one.get_timeout(LONG));
    for n in 0..21 {
        other.put_timeout(n, LONG).unwrap();
    }
    let mut got: Vec<u32> = gets.into_iter().map(|get| block_on(get).unwrap()).collect();
    got.push(thread.join().unwrap().unwrap());
    got.sort_unstable();
    assert!(got.into_iter().eq(0..21));

    let gets: Vec<_> = (0..20).map(|_| queue.get_async()).collect();
    let join = queue.join_timeout_async(LONG);
    queue.close().unwrap();
    for get in gets {
        assert!(block_on(get).unwrap_err().is_closed());
    }
    (0..21).for_each(|_| queue.task_done().unwrap());
    block_on(join).unwrap();
}

fn what_was_taken_out_for_nobody_is_there_again(place: Place) {
    let manager = place.manager();
    let list = manager.list_of([1, 2, 3]).unwrap();
    let dict = manager.dict_of([(1, 'a'), (2, 'b'), (3, 'c')]).unwrap();
    let set = manager.set_of([1, 2, 3]).unwrap();
    let popped = list.pop_async();
    assert_eq!(list.to_vec().unwrap(), [1, 2], "it is answered");
    drop(popped);
    assert_eq!(list.to_vec().unwrap(), [1, 2, 3]);
    let drained = list.drain_all_async();
    list.push(4).unwrap();
    drop(drained);
    assert_eq!(list.to_vec().unwrap(), [1, 2, 3, 4]);
    // Before it is answered, perhaps: then it comes back a moment later.
    drop((list.pop_async(), list.pop_async(), list.drain_all_async()));
    until("all to be there", || list.len().unwrap() == 4);
    let mut all = list.to_vec().unwrap();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4]);

    let popped = set.pop_async();
    assert_eq!(set.to_vec().unwrap(), [2, 3]);
    drop(popped);
    assert_eq!(set.to_vec().unwrap(), [2, 3, 1]);
    let drained = set.drain_all_async();
    assert!(set.insert(3).unwrap());
    drop(drained);
    assert_eq!(set.to_vec().unwrap(), [3, 2, 1]);

    let popped = (dict.pop_first_async(), dict.pop_last_async());
    assert_eq!(dict.items().unwrap(), [(2, 'b')]);
    dict.insert(3, 'd').unwrap();
    drop(popped);
    assert_eq!(dict.items().unwrap(), [(2, 'b'), (3, 'd'), (1, 'a')]);
    let drained = dict.drain_all_async();
    dict.insert(2, 'e').unwrap();
    drop(drained);
    assert_eq!(dict.items().unwrap(), [(2, 'e'), (3, 'd'), (1, 'a')]);

    // An empty one has nothing to give back, and what is awaited is kept.
    drop(manager.list::<u8>().unwrap().pop_async());
    let last = list.last().unwrap();
    assert_eq!(block_on(list.pop_async()).unwrap(), last);
    assert_eq!(list.len().unwrap(), 3);
}

fn everything_can_be_awaited(place: Place) {
    let manager = place.manager();
    block_on(async {
        let list = manager.list_async::<u32>().await?;
        list.push_async(2).await?;
        list.extend_async([1]).await?;
        list.sort_async().await?;
        list.update_async(0, |value| *value += 10).await?;
        list.modify_async(|list| list.push(3)).await?;
        list.retain_async(|value| *value != 3).await?;
        list.sort_by_key_async(|value| *value).await?;
        assert_eq!(list.to_vec_async().await?, [2, 11]);

        let dict = manager.dict_async::<u8, u64>().await?;
        dict.fetch_add_async(1, 5).await?;
        dict.update_async(&1, |value| value.map(|value| value + 1))
            .await?;
        let entry = dict.entry(1).and_modify(|value| *value *= 2);
        assert_eq!(entry.or_default_async().await?, 12);
        assert_eq!(dict.entry(2).or_insert_async(8).await?, 8);

        let value = manager.value_async(1u8).await?;
        value.update_async(|value| *value += 1).await?;
        assert_eq!(value.get_async().await?, 2);

        let array = manager.array_async([1u8, 2]).await?;
        array.update_async(1, |value| *value += 1).await?;
        assert_eq!(array.get_async(1).await?, 3);
        assert!(array.get_async(2).await.is_err());

        let queue = manager.bounded_queue_async(1).await?;
        queue.put_async(1u8).await.unwrap();
        assert!(queue.try_put_async(2).await.unwrap_err().is_full());
        assert!(
            queue
                .put_timeout_async(2, SHORT)
                .await
                .unwrap_err()
                .is_full()
        );
        assert_eq!(queue.get_async().await.unwrap(), 1);
        assert!(queue.get_timeout_async(SHORT).await.unwrap_err().is_empty());
        queue.task_done_async().await.unwrap();
        queue.join_async().await?;

        let space = manager.namespace_async().await?;
        space.set_async("it", &1u8).await?;
        assert_eq!(space.get_async::<u8>("it").await?, Some(1));
        Ok::<(), ManagerError>(())
    })
    .unwrap();
}

fn nobody_s_change_is_lost(place: Place) {
    const THREADS: u64 = 4;
    const TIMES: u64 = 50;
    let manager = place.manager();
    let by_update = manager.value(0u64).unwrap();
    let by_add = manager.value(0u64).unwrap();
    let dict = manager.dict::<u8, u64>().unwrap();
    let list = manager.list_of([0u64]).unwrap();
    let array = manager.array([0u64]).unwrap();
    let begin = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (begin, by_update, by_add) = (&begin, &by_update, &by_add);
            let (dict, list, array) = (&dict, &list, &array);
            scope.spawn(move || {
                begin.wait();
                for n in 0..TIMES {
                    by_update.update(|value| *value += 1).unwrap();
                    by_add.fetch_add(1).unwrap();
                    dict.entry(1)
                        .and_modify(|value| *value += 1)
                        .or_insert(1)
                        .unwrap();
                    dict.update(&2, |value| Some(value.unwrap_or(0) + 1))
                        .unwrap();
                    list.update(0, |value| *value += 1).unwrap();
                    list.modify(|list| list.push(thread * TIMES + n)).unwrap();
                    array.update(0, |value| *value += 1).unwrap();
                    if n % 10 == 0 {
                        list.sort_by_key(|value| (*value >= TIMES * THREADS, *value))
                            .unwrap();
                    }
                }
            });
        }
    });
    let all = THREADS * TIMES;
    assert_eq!(
        (by_update.get().unwrap(), by_add.get().unwrap()),
        (all, all)
    );
    assert_eq!(dict.items().unwrap(), [(1, all), (2, all)]);
    assert_eq!(array.get(0).unwrap(), all);
    assert_eq!(list.len().unwrap() as u64, all + 1);
}

fn a_value_that_encodes_differently_each_time_is_changed(place: Place) {
    let manager = place.manager();
    let map: HashMap<u32, u32> = (0..100).map(|n| (n, n)).collect();
    let value = manager.value(map).unwrap();
    value.update(|map| map.insert(100, 100)).unwrap();
    assert_eq!(value.get().unwrap().len(), 101);
}

fn proxies_are_values(place: Place) {
    let manager = place.manager();
    let dict = manager.dict::<String, ListProxy<u32>>().unwrap();
    let list = manager.list_of([1, 2]).unwrap();
    dict.insert("list".to_owned(), list.clone()).unwrap();
    drop(list);
    let list = dict.get(&"list".to_owned()).unwrap().unwrap();
    list.push(3).unwrap();
    let again = dict.remove(&"list".to_owned()).unwrap().unwrap();
    assert!(again.is_same(&list));
    assert_eq!(format!("{again:?}"), format!("{list:?}"));
    assert_ne!(
        format!("{list:?}"),
        format!("{:?}", manager.list::<u32>().unwrap())
    );
    assert_eq!(again.to_vec().unwrap(), [1, 2, 3]);

    let queue: QueueProxy<Vec<ValueProxy<u8>>> = manager.queue().unwrap();
    queue
        .put(vec![manager.value(1).unwrap(), manager.value(2).unwrap()])
        .unwrap();
    let values = queue.get().unwrap();
    assert_eq!(
        values.iter().map(|value| value.get().unwrap()).sum::<u8>(),
        3
    );

    let begun = manager.list_of([manager.value(5u8).unwrap()]).unwrap();
    assert_eq!(begun.get(0).unwrap().unwrap().get().unwrap(), 5);
}

fn keys_are_given_as_what_they_are_borrowed_as(place: Place) {
    let manager = place.manager();
    let texts = manager.dict_of([("a".to_owned(), 1), ("ä".repeat(200), 2)]);
    let texts = texts.unwrap();
    assert_eq!(texts.get("a").unwrap(), Some(1));
    assert_eq!(texts.get(&*"ä".repeat(200)).unwrap(), Some(2));
    assert!(!texts.contains_key("b").unwrap());
    texts.update("b", |value| value.or(Some(3))).unwrap();
    assert!(texts.compare_and_swap("b", Some(&3), Some(&4)).unwrap());
    assert_eq!(texts.get(&"b".to_owned()).unwrap(), Some(4));
    assert_eq!(texts.remove("b").unwrap(), Some(4));
    block_on(async {
        assert!(texts.contains_key_async("a").await.unwrap());
        texts.update_async("a", |_| None).await.unwrap();
        assert_eq!(texts.remove_async("a").await.unwrap(), None);
    });

    let lists = manager.dict_of([(vec![1_u32, 2], 'x'), (vec![], 'y')]);
    let lists = lists.unwrap();
    assert_eq!(lists.get(&[1, 2][..]).unwrap(), Some('x'));
    assert_eq!(lists.get(&[][..]).unwrap(), Some('y'));
    let bytes = manager.set_of([vec![7_u8; 300], vec![0]]).unwrap();
    assert!(bytes.contains(&[7_u8; 300][..]).unwrap());
    assert!(bytes.contains(&vec![0]).unwrap());
    assert!(bytes.remove(&[0_u8][..]).unwrap());

    let paths = manager.dict_of([(PathBuf::from("/a/b"), 1)]).unwrap();
    assert_eq!(paths.get(Path::new("/a/b")).unwrap(), Some(1));
    let shared: Arc<str> = "a".into();
    let counts = manager.dict_of([(Box::<str>::from(&*shared), 1)]).unwrap();
    assert_eq!(counts.get(&*shared).unwrap(), Some(1));

    // What is not encoded as its owner is, is not found: an array has no length.
    let arrays = manager.dict_of([([1_u32, 2], 'x')]).unwrap();
    assert_eq!(arrays.get(&[1, 2]).unwrap(), Some('x'));
    assert_eq!(arrays.get(&[1, 2][..]).unwrap(), None);
}

fn what_only_a_container_knew_goes_with_it(place: Place) {
    let manager = place.manager();
    let before = manager.status().unwrap().objects;
    let list = manager.list::<ValueProxy<u8>>().unwrap();
    list.extend((0..10).map(|n| manager.value(n).unwrap()))
        .unwrap();
    assert_eq!(manager.status().unwrap().objects, before + 11);
    list.truncate(3).unwrap();
    assert_eq!(manager.status().unwrap().objects, before + 4);
    drop(list);
    assert_eq!(manager.status().unwrap().objects, before);
}

fn what_does_not_encode_is_said(place: Place) {
    let (one, other) = (place.manager(), place.manager());
    let list = one.list::<ListProxy<u8>>().unwrap();
    let pushed = list.push(other.list().unwrap());
    assert!(
        matches!(pushed, Err(ManagerError::NotEncoded { .. })),
        "{pushed:?}"
    );
    assert!(list.is_empty().unwrap());
    let queue = one.queue::<ListProxy<u8>>().unwrap();
    match queue.put(other.list().unwrap()) {
        Err(PutError::Manager {
            value,
            source: ManagerError::NotEncoded { .. },
        }) => {
            assert!(value.is_empty().unwrap());
        }
        other => panic!("{other:?}"),
    }
}

fn types_are_looked_at_by_name(place: Place) {
    let manager = place.manager();
    let dict = manager.dict::<String, u64>().unwrap();
    manager.publish("counts", &dict).unwrap();
    let same: DictProxy<String, u64> = manager.get("counts").unwrap();
    assert!(same.is_same(&dict));
    let wrong = manager.get::<DictProxy<String, u32>>("counts");
    assert!(
        matches!(wrong, Err(ManagerError::WrongType { .. })),
        "{wrong:?}"
    );
    let wrong = manager.get::<ListProxy<u64>>("counts");
    assert!(
        matches!(wrong, Err(ManagerError::WrongType { .. })),
        "{wrong:?}"
    );
}

#[procession::task]
fn count(words: Vec<String>, counts: DictProxy<String, u64>, done: QueueProxy<usize>) {
    for word in &words {
        counts.fetch_add(word.clone(), 1).unwrap();
    }
    done.put(words.len()).unwrap();
}

fn workers_use_what_they_are_given(place: Place) {
    let manager = place.manager();
    let counts = manager.dict::<String, u64>().unwrap();
    let done = manager.queue::<usize>().unwrap();
    let pool = pool(2);
    let futures: Vec<_> = (0..8)
        .map(|n| {
            let words = vec!["all".to_owned(), format!("word {}", n % 2)];
            pool.submit(count, (words, counts.clone(), done.clone()))
                .unwrap()
        })
        .collect();
    for future in futures {
        future.wait().unwrap();
    }
    assert_eq!(done.len().unwrap(), 8);
    assert_eq!(counts.get(&"all".to_owned()).unwrap(), Some(8));
    assert_eq!(counts.get(&"word 1".to_owned()).unwrap(), Some(4));
}
