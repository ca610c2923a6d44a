use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::manager::objects::containers::ListOp;

fn list(values: &[u32]) -> One {
    One::new(Kind::List, &all_packed(values))
}

impl One {
    fn all(&mut self) -> Vec<u32> {
        self.snapshot().1
    }

    fn snapshot(&mut self) -> (u64, Vec<u32>) {
        let (version, items): (u64, Vec<Packed>) = self.ask(ListOp::Snapshot).unwrap();
        (version, all_unpacked(&items))
    }
}

/// One call, as the list and its twin are asked.
#[derive(Clone, Debug)]
enum Step {
    Extend(Vec<u32>),
    Insert(usize, u32),
    Pop,
    Remove(usize),
    SwapRemove(usize),
    Get(usize),
    Last,
    Set(usize, u32),
    Replace(usize, u32),
    Truncate(usize),
    Reverse,
    Swap(usize, usize),
    Range(Range<usize>),
    Splice(Range<usize>, Vec<u32>),
    Drain,
    Find(u32),
    Count(u32),
    CompareAndSwap(usize, u32, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let index = || 0..8usize;
    // Few enough to meet each other.
    let value = || 0..4u32;
    #[expect(clippy::reversed_empty_ranges, reason = "some are to be")]
    let range = || (index(), index()).prop_map(|(start, end)| start..end);
    prop_oneof![
        3 => vec(value(), 0..4).prop_map(Step::Extend),
        2 => (index(), value()).prop_map(|(index, value)| Step::Insert(index, value)),
        1 => Just(Step::Pop),
        1 => index().prop_map(Step::Remove),
        1 => index().prop_map(Step::SwapRemove),
        1 => index().prop_map(Step::Get),
        1 => Just(Step::Last),
        1 => (index(), value()).prop_map(|(index, value)| Step::Set(index, value)),
        1 => (index(), value()).prop_map(|(index, value)| Step::Replace(index, value)),
        1 => index().prop_map(Step::Truncate),
        1 => Just(Step::Reverse),
        1 => (index(), index()).prop_map(|(one, other)| Step::Swap(one, other)),
        1 => range().prop_map(Step::Range),
        1 => (range(), vec(value(), 0..4)).prop_map(|(range, values)| Step::Splice(range, values)),
        1 => Just(Step::Drain),
        1 => value().prop_map(Step::Find),
        1 => value().prop_map(Step::Count),
        1 => (index(), value(), value()).prop_map(|(index, old, new)| Step::CompareAndSwap(index, old, new)),
    ]
}

fn out_of_range(index: usize, twin: &[u32]) -> Fault {
    Fault::OutOfRange {
        index: index as u64,
        len: twin.len() as u64,
    }
}

fn bad_range(range: &Range<usize>, twin: &[u32]) -> Fault {
    let is_beyond = range.end > twin.len();
    out_of_range(if is_beyond { range.end } else { range.start }, twin)
}

/// The fault, where the twin has nothing at an index.
fn at(index: usize, twin: &[u32]) -> Result<usize, Fault> {
    match index < twin.len() {
        true => Ok(index),
        false => Err(out_of_range(index, twin)),
    }
}

fn check(one: &mut One, twin: &mut Vec<u32>, step: Step) -> Result<(), TestCaseError> {
    match step {
        Step::Extend(values) => {
            one.ask::<_, ()>(ListOp::Extend {
                values: all_packed(&values),
            })
            .unwrap();
            twin.extend(values);
        }
        Step::Insert(index, value) => {
            let op = ListOp::Insert {
                index: index as u64,
                value: packed(&value),
            };
            let expected = match index <= twin.len() {
                true => Ok(twin.insert(index, value)),
                false => Err(out_of_range(index, twin)),
            };
            prop_assert_eq!(one.ask::<_, ()>(op), expected);
        }
        Step::Pop => {
            let popped: Option<Packed> = one.ask(ListOp::Pop).unwrap();
            prop_assert_eq!(popped.as_ref().map(unpacked), twin.pop());
        }
        Step::Remove(index) => {
            let removed = one.ask::<_, Packed>(ListOp::Remove {
                index: index as u64,
            });
            let expected = at(index, twin).map(|index| twin.remove(index));
            prop_assert_eq!(removed.as_ref().map(unpacked), expected.as_ref().copied());
        }
        Step::SwapRemove(index) => {
            let removed = one.ask::<_, Packed>(ListOp::SwapRemove {
                index: index as u64,
            });
            let expected = at(index, twin).map(|index| twin.swap_remove(index));
            prop_assert_eq!(removed.as_ref().map(unpacked), expected.as_ref().copied());
        }
        Step::Get(index) => {
            let got: Option<Packed> = one
                .ask(ListOp::Get {
                    index: index as u64,
                })
                .unwrap();
            prop_assert_eq!(got.as_ref().map(unpacked), twin.get(index).copied());
        }
        Step::Last => {
            let last: Option<Packed> = one.ask(ListOp::Last).unwrap();
            prop_assert_eq!(last.as_ref().map(unpacked), twin.last().copied());
        }
        Step::Set(index, value) => {
            let op = ListOp::Set {
                index: index as u64,
                value: packed(&value),
            };
            let expected = at(index, twin).map(|index| twin[index] = value);
            prop_assert_eq!(one.ask::<_, ()>(op), expected);
        }
        Step::Replace(index, value) => {
            let op = ListOp::Replace {
                index: index as u64,
                value: packed(&value),
            };
            let expected = at(index, twin).map(|index| std::mem::replace(&mut twin[index], value));
            let replaced = one.ask::<_, Packed>(op);
            prop_assert_eq!(replaced.as_ref().map(unpacked), expected.as_ref().copied());
        }
        Step::Truncate(len) => {
            one.ask::<_, ()>(ListOp::Truncate { len: len as u64 })
                .unwrap();
            twin.truncate(len);
        }
        Step::Reverse => {
            one.ask::<_, ()>(ListOp::Reverse).unwrap();
            twin.reverse();
        }
        Step::Swap(a, b) => {
            let op = ListOp::Swap {
                one: a as u64,
                other: b as u64,
            };
            let expected = at(a, twin).and_then(|a| Ok((a, at(b, twin)?)));
            prop_assert_eq!(one.ask::<_, ()>(op), expected.map(|(a, b)| twin.swap(a, b)));
        }
        Step::Range(range) => {
            let op = ListOp::Range {
                start: range.start as u64,
                end: Some(range.end as u64),
            };
            let got = one.ask::<_, Vec<Packed>>(op).map(|got| all_unpacked(&got));
            let expected = twin.get(range.clone()).map(<[u32]>::to_vec);
            prop_assert_eq!(got, expected.ok_or_else(|| bad_range(&range, twin)));
        }
        Step::Splice(range, values) => {
            let op = ListOp::Splice {
                start: range.start as u64,
                end: Some(range.end as u64),
                values: all_packed(&values),
            };
            let got = one.ask::<_, Vec<Packed>>(op).map(|got| all_unpacked(&got));
            let expected = match twin.get(range.clone()) {
                Some(_) => Ok(twin.splice(range, values).collect()),
                None => Err(bad_range(&range, twin)),
            };
            prop_assert_eq!(got, expected);
        }
        Step::Drain => {
            let all: Vec<Packed> = one.ask(ListOp::Drain).unwrap();
            prop_assert_eq!(all_unpacked::<u32>(&all), std::mem::take(twin));
        }
        Step::Find(value) => {
            let found: Option<u64> = one
                .ask(ListOp::Find {
                    value: bytes(&value),
                })
                .unwrap();
            let expected = twin.iter().position(|held| *held == value);
            prop_assert_eq!(found, expected.map(|index| index as u64));
        }
        Step::Count(value) => {
            let count: u64 = one
                .ask(ListOp::Count {
                    value: bytes(&value),
                })
                .unwrap();
            let expected = twin.iter().filter(|held| **held == value).count();
            prop_assert_eq!(count, expected as u64);
        }
        Step::CompareAndSwap(index, old, new) => {
            let op = ListOp::CompareAndSwap {
                index: index as u64,
                expected: bytes(&old),
                value: packed(&new),
            };
            let expected = at(index, twin).map(|index| {
                let is_expected = twin[index] == old;
                if is_expected {
                    twin[index] = new;
                }
                is_expected
            });
            prop_assert_eq!(one.ask::<_, bool>(op), expected);
        }
    }
    let len: u64 = one.ask(ListOp::Len).unwrap();
    prop_assert_eq!(len, twin.len() as u64);
    prop_assert_eq!(&one.all(), twin);
    Ok(())
}

proptest! {
    #[test]
    fn a_list_is_as_a_vector(begin in vec(0..4u32, 0..6), steps in vec(step(), 1..40)) {
        let mut one = list(&begin);
        let mut twin = begin;
        for step in steps {
            check(&mut one, &mut twin, step)?;
        }
    }
}

#[test]
fn a_list_that_has_changed_is_not_put_back() {
    let mut one = list(&[3, 1, 2]);
    let (version, _) = one.snapshot();
    one.ask::<_, ()>(ListOp::Reverse).unwrap();

    let values = all_packed(&[9u32]);
    assert_eq!(
        one.ask(ListOp::Restore {
            version,
            values: values.clone()
        }),
        Ok(false)
    );
    let order = vec![0, 1, 2];
    assert_eq!(one.ask(ListOp::Arrange { version, order }), Ok(false));
    assert_eq!(one.all(), [2, 1, 3]);

    let (version, _) = one.snapshot();
    assert_eq!(one.ask(ListOp::Restore { version, values }), Ok(true));
    assert_eq!(one.all(), [9]);
}

#[test]
fn reading_a_list_does_not_change_its_version() {
    let mut one = list(&[3, 1, 2]);
    let (version, _) = one.snapshot();
    let _: Option<Packed> = one.ask(ListOp::Get { index: 0 }).unwrap();
    let _: u64 = one
        .ask(ListOp::Count {
            value: bytes(&1u32),
        })
        .unwrap();
    assert_eq!(one.snapshot().0, version);
}

#[test]
fn a_list_is_arranged_and_what_is_not_named_goes() {
    let mut one = list(&[30, 10, 20, 40]);
    let (version, _) = one.snapshot();
    let order = vec![1, 2, 0];
    assert_eq!(one.ask(ListOp::Arrange { version, order }), Ok(true));
    assert_eq!(one.all(), [10, 20, 30]);
}

#[test]
fn a_list_is_not_arranged_by_indices_that_are_not_there_or_there_twice() {
    let mut one = list(&[30, 10]);
    let (version, _) = one.snapshot();
    let twice = one.ask::<_, bool>(ListOp::Arrange {
        version,
        order: vec![1, 1],
    });
    assert!(matches!(twice, Err(Fault::Invalid(_))), "{twice:?}");
    for index in [2, u64::MAX] {
        let beyond = one.ask::<_, bool>(ListOp::Arrange {
            version,
            order: vec![0, index],
        });
        assert_eq!(beyond, Err(Fault::OutOfRange { index, len: 2 }));
    }
    assert_eq!(one.snapshot(), (version, vec![30, 10]));
}

#[test]
fn what_is_too_long_to_be_answered_with_is_not_lost() {
    let text = "x".repeat(60);
    let texts = vec![text.clone(), text.clone(), text];
    let mut one = One::with_max_frame(150, Kind::List, &all_packed(&texts));
    let all = |op| matches!(op, Err(Fault::TooLong { max_frame: 150, .. }));
    assert!(all(one.ask::<_, Vec<Packed>>(ListOp::Drain)));
    let values = all_packed(&["y".to_owned()]);
    let splice = ListOp::Splice {
        start: 0,
        end: None,
        values,
    };
    assert!(all(one.ask::<_, Vec<Packed>>(splice)));
    for text in texts.iter().rev() {
        let popped: Option<Packed> = one.ask(ListOp::Pop).unwrap();
        assert_eq!(popped.as_ref().map(unpacked::<String>).as_ref(), Some(text));
    }
    assert_eq!(one.ask(ListOp::Len), Ok(0u64));
}
