use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::manager::objects::containers::SetOp;

#[derive(Clone, Debug)]
enum Step {
    Insert(u16),
    Extend(Vec<u16>),
    Remove(u16),
    Pop,
    Clear,
    Drain,
    ContainsAll(Vec<u16>),
}

fn step() -> impl Strategy<Value = Step> {
    let value = || 0..6u16;
    prop_oneof![
        3 => value().prop_map(Step::Insert),
        1 => vec(value(), 0..5).prop_map(Step::Extend),
        2 => value().prop_map(Step::Remove),
        1 => Just(Step::Pop),
        1 => Just(Step::Clear),
        1 => Just(Step::Drain),
        1 => vec(value(), 0..3).prop_map(Step::ContainsAll),
    ]
}

fn check(one: &mut One, twin: &mut HashSet<u16>, step: Step) -> Result<(), TestCaseError> {
    match step {
        Step::Insert(value) => {
            let value_packed = packed(&value);
            let is_new = one.ask(SetOp::Insert {
                value: value_packed,
            });
            prop_assert_eq!(is_new, Ok(twin.insert(value)));
        }
        Step::Extend(values) => {
            let before = twin.len();
            twin.extend(&values);
            let added = one.ask(SetOp::Extend {
                values: all_packed(&values),
            });
            prop_assert_eq!(added, Ok((twin.len() - before) as u64));
        }
        Step::Remove(value) => {
            let removed = one.ask(SetOp::Remove {
                value: bytes(&value),
            });
            prop_assert_eq!(removed, Ok(twin.remove(&value)));
        }
        Step::Pop => match one.ask::<_, Option<Packed>>(SetOp::Pop).unwrap() {
            Some(value) => prop_assert!(twin.remove(&unpacked(&value))),
            None => prop_assert!(twin.is_empty()),
        },
        Step::Clear => {
            one.ask::<_, ()>(SetOp::Clear).unwrap();
            twin.clear();
        }
        Step::Drain => {
            let all: Vec<Packed> = one.ask(SetOp::Drain).unwrap();
            prop_assert_eq!(all.len(), twin.len());
            let all: HashSet<u16> = all_unpacked(&all).into_iter().collect();
            prop_assert_eq!(all, std::mem::take(twin));
        }
        Step::ContainsAll(values) => {
            let expected = values.iter().all(|value| twin.contains(value));
            let values = values.iter().map(bytes).collect();
            prop_assert_eq!(one.ask(SetOp::ContainsAll { values }), Ok(expected));
        }
    }
    for value in 0..6u16 {
        let contains = one.ask(SetOp::Contains {
            value: bytes(&value),
        });
        prop_assert_eq!(contains, Ok(twin.contains(&value)));
    }
    prop_assert_eq!(one.ask(SetOp::Len), Ok(twin.len() as u64));
    Ok(())
}

proptest! {
    #[test]
    fn a_set_is_as_a_hash_set(begin in vec(0..6u16, 0..5), steps in vec(step(), 1..40)) {
        let mut one = One::new(Kind::Set, &all_packed(&begin));
        let mut twin: HashSet<u16> = begin.into_iter().collect();
        for step in steps {
            check(&mut one, &mut twin, step)?;
        }
    }
}

#[test]
fn a_set_is_read_and_popped_in_the_order_of_insertion() {
    let mut one = One::new(Kind::Set, &all_packed(&[5u16, 3, 5, 4]));
    let all: Vec<Packed> = one.ask(SetOp::All).unwrap();
    assert_eq!(all_unpacked::<u16>(&all), [5, 3, 4]);
    let first: Option<Packed> = one.ask(SetOp::Pop).unwrap();
    assert_eq!(first.as_ref().map(unpacked::<u16>), Some(5));
}
