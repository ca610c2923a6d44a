use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::manager::objects::containers::{Arithmetic, ArrayOp, Change, Number};

fn array(values: &[u8]) -> One {
    One::new(Kind::Array, &all_packed(values))
}

impl One {
    fn whole(&mut self) -> Vec<u8> {
        let range = ArrayOp::Range {
            start: 0,
            end: None,
        };
        all_unpacked(&self.ask::<_, Vec<Packed>>(range).unwrap())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Get(usize),
    Set(usize, u8),
    Replace(usize, u8),
    Range(usize, usize),
    Write(usize, Vec<u8>),
    Fill(u8),
    Swap(usize, usize),
    CompareAndSwap(usize, u8, u8),
    Add(usize, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let index = || 0..6usize;
    let value = || prop_oneof![0..3u8, Just(255)];
    prop_oneof![
        index().prop_map(Step::Get),
        (index(), value()).prop_map(|(index, value)| Step::Set(index, value)),
        (index(), value()).prop_map(|(index, value)| Step::Replace(index, value)),
        (index(), index()).prop_map(|(start, end)| Step::Range(start, end)),
        (index(), vec(value(), 0..4)).prop_map(|(start, values)| Step::Write(start, values)),
        value().prop_map(Step::Fill),
        (index(), index()).prop_map(|(one, other)| Step::Swap(one, other)),
        (index(), value(), value())
            .prop_map(|(index, old, new)| Step::CompareAndSwap(index, old, new)),
        (index(), value()).prop_map(|(index, value)| Step::Add(index, value)),
    ]
}

/// Whether the twin has it all there, and so must have answered.
fn check(one: &mut One, twin: &mut [u8], step: Step) -> Result<(), TestCaseError> {
    let len = twin.len() as u64;
    let out = |index: usize| Fault::OutOfRange {
        index: index as u64,
        len,
    };
    let place = |index: usize| (index < len as usize).then_some(index).ok_or(out(index));
    match step {
        Step::Get(index) => {
            let got = one.ask::<_, Packed>(ArrayOp::Get {
                index: index as u64,
            });
            prop_assert_eq!(
                got.map(|got| unpacked::<u8>(&got)),
                place(index).map(|at| twin[at])
            );
        }
        Step::Set(index, value) => {
            let set = one.ask(ArrayOp::Set {
                index: index as u64,
                value: packed(&value),
            });
            prop_assert_eq!(set, place(index).map(|at| twin[at] = value));
        }
        Step::Replace(index, value) => {
            let op = ArrayOp::Replace {
                index: index as u64,
                value: packed(&value),
            };
            let was = one.ask::<_, Packed>(op).map(|was| unpacked::<u8>(&was));
            prop_assert_eq!(
                was,
                place(index).map(|at| std::mem::replace(&mut twin[at], value))
            );
        }
        Step::Range(start, end) => {
            let op = ArrayOp::Range {
                start: start as u64,
                end: Some(end as u64),
            };
            let got = one
                .ask::<_, Vec<Packed>>(op)
                .map(|got| all_unpacked::<u8>(&got));
            match twin.get(start..end) {
                Some(range) => prop_assert_eq!(got, Ok(range.to_vec())),
                None => prop_assert!(matches!(got, Err(Fault::OutOfRange { .. })), "{got:?}"),
            }
        }
        Step::Write(start, values) => {
            let op = ArrayOp::Write {
                start: start as u64,
                values: all_packed(&values),
            };
            let written = one.ask::<_, ()>(op);
            match twin.get_mut(start..start + values.len()) {
                Some(range) => {
                    range.copy_from_slice(&values);
                    prop_assert_eq!(written, Ok(()));
                }
                None => prop_assert!(
                    matches!(written, Err(Fault::OutOfRange { .. })),
                    "{written:?}"
                ),
            }
        }
        Step::Fill(value) => {
            one.ask::<_, ()>(ArrayOp::Fill {
                value: packed(&value),
            })
            .unwrap();
            twin.fill(value);
        }
        Step::Swap(a, b) => {
            let swapped = one.ask(ArrayOp::Swap {
                one: a as u64,
                other: b as u64,
            });
            let expected = place(a).and_then(|a| Ok((a, place(b)?)));
            prop_assert_eq!(swapped, expected.map(|(a, b)| twin.swap(a, b)));
        }
        Step::CompareAndSwap(index, old, new) => {
            let op = ArrayOp::CompareAndSwap {
                index: index as u64,
                expected: bytes(&old),
                value: packed(&new),
            };
            let expected = place(index).map(|at| {
                let is_expected = twin[at] == old;
                if is_expected {
                    twin[at] = new;
                }
                is_expected
            });
            prop_assert_eq!(one.ask(op), expected);
        }
        Step::Add(index, value) => {
            let change = Change {
                arithmetic: Arithmetic::Add,
                operand: Number::U8(value),
            };
            let was = one.ask::<_, ByteBuf>(ArrayOp::Change {
                index: index as u64,
                change,
            });
            let expected = place(index).and_then(|at| {
                let sum = twin[at].checked_add(value).ok_or(Fault::Overflow)?;
                Ok(bytes(&std::mem::replace(&mut twin[at], sum)))
            });
            prop_assert_eq!(was, expected);
        }
    }
    prop_assert_eq!(one.ask(ArrayOp::Len), Ok(len));
    prop_assert_eq!(&one.whole(), twin);
    Ok(())
}

proptest! {
    #[test]
    fn an_array_is_as_a_slice(begin in vec(0..3u8, 0..6), steps in vec(step(), 1..40)) {
        let mut one = array(&begin);
        let mut twin = begin;
        for step in steps {
            check(&mut one, &mut twin, step)?;
        }
    }
}

#[test]
fn a_write_whose_end_is_beyond_all_numbers_is_out_of_range() {
    let mut one = array(&[1, 2]);
    let values = all_packed(&[9u8, 9]);
    let written = one.ask::<_, ()>(ArrayOp::Write {
        start: u64::MAX,
        values,
    });
    assert!(
        matches!(written, Err(Fault::OutOfRange { .. })),
        "{written:?}"
    );
    assert_eq!(one.whole(), [1, 2]);
}

#[test]
fn an_array_is_not_filled_with_more_than_an_answer_can_show() {
    let mut one = One::with_max_frame(1000, Kind::Array, &all_packed(&[0u8; 100]));
    let fill = |len: usize| ArrayOp::Fill {
        value: packed(&"x".repeat(len)),
    };
    assert_eq!(one.ask::<_, ()>(fill(9)), Ok(())); // 10 bytes each
    let filled = one.ask::<_, ()>(fill(10));
    assert!(
        matches!(filled, Err(Fault::TooMany { limit: 1000, .. })),
        "{filled:?}"
    );
}
