use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::manager::objects::containers::{Arithmetic, Change, Number, ValueOp};

fn changed<N: Serialize + DeserializeOwned + Copy + Debug + PartialEq + 'static>(
    held: N,
    arithmetic: Arithmetic,
    operand: Number,
    expected: Option<N>,
) -> Result<(), TestCaseError> {
    let mut one = One::new(Kind::Value, &held);
    let change = Change {
        arithmetic,
        operand,
    };
    let was = one.ask::<_, ByteBuf>(ValueOp::Change { change });
    let now: Packed = one.ask(ValueOp::Get).unwrap();
    match expected {
        Some(expected) => {
            prop_assert_eq!(was, Ok(bytes(&held)));
            prop_assert_eq!(unpacked::<N>(&now), expected);
        }
        None => {
            prop_assert_eq!(was, Err(Fault::Overflow));
            prop_assert_eq!(unpacked::<N>(&now), held);
        }
    }
    Ok(())
}

macro_rules! as_the_standard_library {
    ($($test:ident: $number:ident, $type:ty;)*) => {
        proptest! {$(
            #[test]
            fn $test(held in any::<$type>(), operand in any::<$type>()) {
                let by = Number::$number(operand);
                changed(held, Arithmetic::Add, by, held.checked_add(operand))?;
                changed(held, Arithmetic::Sub, by, held.checked_sub(operand))?;
                changed(held, Arithmetic::Max, by, Some(held.max(operand)))?;
                changed(held, Arithmetic::Min, by, Some(held.min(operand)))?;
            }
        )*}
    };
}

as_the_standard_library! {
    u8_is_as_the_standard_library_s: U8, u8;
    u16_is_as_the_standard_library_s: U16, u16;
    u32_is_as_the_standard_library_s: U32, u32;
    u64_is_as_the_standard_library_s: U64, u64;
    u128_is_as_the_standard_library_s: U128, u128;
    i8_is_as_the_standard_library_s: I8, i8;
    i16_is_as_the_standard_library_s: I16, i16;
    i32_is_as_the_standard_library_s: I32, i32;
    i64_is_as_the_standard_library_s: I64, i64;
    i128_is_as_the_standard_library_s: I128, i128;
}

proptest! {
    #[test]
    fn floats_are_as_the_standard_library_s(held in -1e6..1e6f64, operand in -1e6..1e6f64) {
        let by = Number::F64(operand);
        changed(held, Arithmetic::Add, by, Some(held + operand))?;
        changed(held, Arithmetic::Sub, by, Some(held - operand))?;
        changed(held, Arithmetic::Max, by, Some(held.max(operand)))?;
        changed(held, Arithmetic::Min, by, Some(held.min(operand)))?;
        let (held, operand) = (held as f32, operand as f32);
        changed(held, Arithmetic::Add, Number::F32(operand), Some(held + operand))?;
    }
}

#[test]
fn what_is_no_number_is_not_changed() {
    let mut one = One::new(Kind::Value, &"text".to_owned());
    let change = Change {
        arithmetic: Arithmetic::Add,
        operand: Number::U64(1),
    };
    let was = one.ask::<_, ByteBuf>(ValueOp::Change { change });
    assert!(matches!(was, Err(Fault::Invalid(_))), "{was:?}");
    let held: Packed = one.ask(ValueOp::Get).unwrap();
    assert_eq!(unpacked::<String>(&held), "text");
}

#[test]
fn a_value_is_set_replaced_and_compared() {
    let mut one = One::new(Kind::Value, &1u32);
    one.ask::<_, ()>(ValueOp::Set {
        value: packed(&2u32),
    })
    .unwrap();
    let was: Packed = one
        .ask(ValueOp::Replace {
            value: packed(&3u32),
        })
        .unwrap();
    assert_eq!(unpacked::<u32>(&was), 2);
    let mut swap = |expected: u32, value: u32| {
        let (expected, value) = (bytes(&expected), packed(&value));
        one.ask::<_, bool>(ValueOp::CompareAndSwap { expected, value })
            .unwrap()
    };
    assert!(!swap(2, 9));
    assert!(swap(3, 4));
    let now: Packed = one.ask(ValueOp::Get).unwrap();
    assert_eq!(unpacked::<u32>(&now), 4);
}
