use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::manager::objects::containers::{Arithmetic, Change, DictOp, Number};

type Entries = Vec<(Packed, Packed)>;

/// A dictionary that keeps its order, slow and obvious.
#[derive(Default)]
struct Twin {
    values: HashMap<String, i16>,
    order: Vec<String>,
}

impl Twin {
    fn insert(&mut self, key: &str, value: i16) -> Option<i16> {
        let was = self.values.insert(key.to_owned(), value);
        if was.is_none() {
            self.order.push(key.to_owned());
        }
        was
    }

    fn remove(&mut self, key: &str) -> Option<i16> {
        self.order.retain(|known| known != key);
        self.values.remove(key)
    }

    fn entries(&self) -> Vec<(String, i16)> {
        let order = self.order.iter();
        order.map(|key| (key.clone(), self.values[key])).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(String, i16),
    Extend(Vec<(String, i16)>),
    GetOrInsert(String, i16),
    Get(String),
    Remove(String),
    PopFirst,
    PopLast,
    Clear,
    Drain,
    CompareAndSwap(String, Option<i16>, Option<i16>),
    Add(String, i16),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || "[a-e]";
    let value = || prop_oneof![-1..2i16, Just(i16::MAX)];
    let maybe = move || proptest::option::of(value());
    prop_oneof![
        3 => (key(), value()).prop_map(|(key, value)| Step::Insert(key, value)),
        1 => vec((key(), value()), 0..4).prop_map(Step::Extend),
        1 => (key(), value()).prop_map(|(key, value)| Step::GetOrInsert(key, value)),
        1 => key().prop_map(Step::Get),
        2 => key().prop_map(Step::Remove),
        1 => Just(Step::PopFirst),
        1 => Just(Step::PopLast),
        1 => Just(Step::Clear),
        1 => Just(Step::Drain),
        3 => (key(), maybe(), maybe()).prop_map(|(key, old, new)| Step::CompareAndSwap(key, old, new)),
        2 => (key(), value()).prop_map(|(key, value)| Step::Add(key, value)),
    ]
}

fn entries(packed: &Entries) -> Vec<(String, i16)> {
    let packed = packed.iter();
    packed
        .map(|(key, value)| (unpacked(key), unpacked(value)))
        .collect()
}

fn all_packed_entries(entries: &[(String, i16)]) -> Entries {
    let entries = entries.iter();
    entries
        .map(|(key, value)| (packed(key), packed(value)))
        .collect()
}

fn check(one: &mut One, twin: &mut Twin, step: Step) -> Result<(), TestCaseError> {
    let maybe = |value: Option<Packed>| value.as_ref().map(unpacked::<i16>);
    let entry =
        |entry: Option<(Packed, Packed)>| entry.map(|entry| entries(&vec![entry]).remove(0));
    match step {
        Step::Insert(key, value) => {
            let op = DictOp::Insert {
                key: packed(&key),
                value: packed(&value),
            };
            prop_assert_eq!(maybe(one.ask(op).unwrap()), twin.insert(&key, value));
        }
        Step::Extend(entries) => {
            one.ask::<_, ()>(DictOp::Extend {
                entries: all_packed_entries(&entries),
            })
            .unwrap();
            for (key, value) in entries {
                twin.insert(&key, value);
            }
        }
        Step::GetOrInsert(key, value) => {
            let op = DictOp::GetOrInsert {
                key: packed(&key),
                value: packed(&value),
            };
            if !twin.values.contains_key(&key) {
                twin.insert(&key, value);
            }
            let got: Packed = one.ask(op).unwrap();
            prop_assert_eq!(unpacked::<i16>(&got), twin.values[&key]);
        }
        Step::Get(key) => {
            let got = maybe(one.ask(DictOp::Get { key: bytes(&key) }).unwrap());
            prop_assert_eq!(got, twin.values.get(&key).copied());
            let known: bool = one.ask(DictOp::Contains { key: bytes(&key) }).unwrap();
            prop_assert_eq!(known, got.is_some());
        }
        Step::Remove(key) => {
            let removed = maybe(one.ask(DictOp::Remove { key: bytes(&key) }).unwrap());
            prop_assert_eq!(removed, twin.remove(&key));
        }
        Step::PopFirst => {
            let first = twin.entries().into_iter().next();
            first.iter().for_each(|(key, _)| drop(twin.remove(key)));
            prop_assert_eq!(entry(one.ask(DictOp::PopFirst).unwrap()), first);
        }
        Step::PopLast => {
            let last = twin.entries().pop();
            last.iter().for_each(|(key, _)| drop(twin.remove(key)));
            prop_assert_eq!(entry(one.ask(DictOp::PopLast).unwrap()), last);
        }
        Step::Clear => {
            one.ask::<_, ()>(DictOp::Clear).unwrap();
            *twin = Twin::default();
        }
        Step::Drain => {
            let all: Entries = one.ask(DictOp::Drain).unwrap();
            prop_assert_eq!(entries(&all), std::mem::take(twin).entries());
        }
        Step::CompareAndSwap(key, old, new) => {
            let op = DictOp::CompareAndSwap {
                key: packed(&key),
                expected: old.as_ref().map(bytes),
                value: new.as_ref().map(packed),
            };
            let is_expected = twin.values.get(&key).copied() == old;
            if is_expected {
                match new {
                    Some(new) => drop(twin.insert(&key, new)),
                    None => drop(twin.remove(&key)),
                }
            }
            prop_assert_eq!(one.ask(op), Ok(is_expected));
        }
        Step::Add(key, value) => {
            let change = Change {
                arithmetic: Arithmetic::Add,
                operand: Number::I16(value),
            };
            let was = twin.values.get(&key).copied().unwrap_or(0);
            let expected = was.checked_add(value).ok_or(Fault::Overflow).map(|sum| {
                twin.insert(&key, sum);
                bytes(&was)
            });
            let op = DictOp::Change {
                key: packed(&key),
                change,
            };
            prop_assert_eq!(one.ask::<_, ByteBuf>(op), expected);
        }
    }
    let all: Entries = one.ask(DictOp::Items).unwrap();
    prop_assert_eq!(entries(&all), twin.entries());
    let keys: Vec<Packed> = one.ask(DictOp::Keys).unwrap();
    prop_assert_eq!(&all_unpacked::<String>(&keys), &twin.order);
    let values: Vec<Packed> = one.ask(DictOp::Values).unwrap();
    let expected: Vec<i16> = twin.entries().into_iter().map(|(_, value)| value).collect();
    prop_assert_eq!(all_unpacked::<i16>(&values), expected);
    prop_assert_eq!(one.ask(DictOp::Len), Ok(twin.order.len() as u64));
    Ok(())
}

proptest! {
    #[test]
    fn a_dictionary_is_as_a_map_that_keeps_its_order(
        begin in vec(("[a-e]", 0..3i16), 0..4),
        steps in vec(step(), 1..40),
    ) {
        let mut one = One::new(Kind::Dict, &all_packed_entries(&begin));
        let mut twin = Twin::default();
        for (key, value) in begin {
            twin.insert(&key, value);
        }
        for step in steps {
            check(&mut one, &mut twin, step)?;
        }
    }
}

#[test]
fn an_entry_too_long_to_be_answered_with_is_not_lost() {
    let entry = ("k".repeat(100), "v".repeat(100));
    let init = vec![(packed(&entry.0), packed(&entry.1))];
    let mut one = One::with_max_frame(150, Kind::Dict, &init);
    let popped = one.ask::<_, Option<(Packed, Packed)>>(DictOp::PopLast);
    assert!(matches!(popped, Err(Fault::TooLong { .. })), "{popped:?}");
    assert!(matches!(
        one.ask::<_, Entries>(DictOp::Drain),
        Err(Fault::TooLong { .. })
    ));
    let removed: Option<Packed> = one
        .ask(DictOp::Remove {
            key: bytes(&entry.0),
        })
        .unwrap();
    assert_eq!(unpacked::<String>(&removed.unwrap()), entry.1);
}
