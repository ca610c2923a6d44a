//! Numbers that a manager can add to.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use self::sealed::Numeric;
use crate::manager::ManagerError;
use crate::manager::objects::containers::{Arithmetic, Change};
use crate::wire;

/// Numbers that a manager can add to where they are: integers of all sizes, and floats.
///
/// An integer that would get too large or too small for its type stays as it is, and the call says [`ManagerError::Overflow`]. A float becomes
/// infinite, as floats do.
pub trait Number: Numeric + Serialize + DeserializeOwned + Copy + Send + 'static {}

mod sealed {
    use crate::manager::objects::containers::Number;

    /// The server has to know them all.
    pub trait Numeric {
        fn number(self) -> Number;
    }

    macro_rules! numbers {
        ($($number:ident: $type:ty;)*) => {$(
            impl Numeric for $type {
                fn number(self) -> Number {
                    Number::$number(self)
                }
            }

            impl super::Number for $type {}
        )*};
    }

    numbers! {
        U8: u8;
        U16: u16;
        U32: u32;
        U64: u64;
        U128: u128;
        I8: i8;
        I16: i16;
        I32: i32;
        I64: i64;
        I128: i128;
        F32: f32;
        F64: f64;
    }

    /// It is encoded as a `u64`.
    impl Numeric for usize {
        fn number(self) -> Number {
            Number::U64(self as u64)
        }
    }

    /// It is encoded as an `i64`.
    impl Numeric for isize {
        fn number(self) -> Number {
            Number::I64(self as i64)
        }
    }

    impl super::Number for usize {}
    impl super::Number for isize {}
}

pub(super) fn change<N: Number>(arithmetic: Arithmetic, operand: N) -> Change {
    let operand = operand.number();
    Change {
        arithmetic,
        operand,
    }
}

/// What was there before.
pub(super) fn was<N: Number>(was: ByteBuf) -> Result<N, ManagerError> {
    wire::decode(&was).map_err(|error| ManagerError::NotEncoded {
        type_name: std::any::type_name::<N>(),
        message: error.into_message(),
    })
}
