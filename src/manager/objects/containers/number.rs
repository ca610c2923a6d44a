//! Numbers, added to where they lie.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::manager::protocol::Fault;
use crate::wire;

/// A number, and of which type it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[expect(unreachable_pub, reason = "a sealed trait of the proxies makes one")]
pub enum Number {
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    U128(u128),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    F32(f32),
    F64(f64),
}

/// What is done to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Arithmetic {
    Add,
    Sub,
    Max,
    Min,
}

/// A change of a number: what is done, and with which other number of the same type.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) arithmetic: Arithmetic,
    pub(crate) operand: Number,
}

impl Change {
    /// What becomes of an encoded number, encoded.
    pub(super) fn of(&self, held: &[u8]) -> Result<Vec<u8>, Fault> {
        macro_rules! whole {
            ($operand:expr, $number:ty) => {
                changed(held, |held: $number| match self.arithmetic {
                    Arithmetic::Add => held.checked_add($operand),
                    Arithmetic::Sub => held.checked_sub($operand),
                    Arithmetic::Max => Some(held.max($operand)),
                    Arithmetic::Min => Some(held.min($operand)),
                })
            };
        }
        macro_rules! real {
            ($operand:expr, $number:ty) => {
                changed(held, |held: $number| {
                    Some(match self.arithmetic {
                        Arithmetic::Add => held + $operand,
                        Arithmetic::Sub => held - $operand,
                        Arithmetic::Max => held.max($operand),
                        Arithmetic::Min => held.min($operand),
                    })
                })
            };
        }
        match self.operand {
            Number::U8(operand) => whole!(operand, u8),
            Number::U16(operand) => whole!(operand, u16),
            Number::U32(operand) => whole!(operand, u32),
            Number::U64(operand) => whole!(operand, u64),
            Number::U128(operand) => whole!(operand, u128),
            Number::I8(operand) => whole!(operand, i8),
            Number::I16(operand) => whole!(operand, i16),
            Number::I32(operand) => whole!(operand, i32),
            Number::I64(operand) => whole!(operand, i64),
            Number::I128(operand) => whole!(operand, i128),
            Number::F32(operand) => real!(operand, f32),
            Number::F64(operand) => real!(operand, f64),
        }
    }

    /// 0, of the type that is meant, encoded.
    pub(super) fn zero(&self) -> Result<Vec<u8>, Fault> {
        match self.operand {
            Number::U8(_) => encode(&0u8),
            Number::U16(_) => encode(&0u16),
            Number::U32(_) => encode(&0u32),
            Number::U64(_) => encode(&0u64),
            Number::U128(_) => encode(&0u128),
            Number::I8(_) => encode(&0i8),
            Number::I16(_) => encode(&0i16),
            Number::I32(_) => encode(&0i32),
            Number::I64(_) => encode(&0i64),
            Number::I128(_) => encode(&0i128),
            Number::F32(_) => encode(&0f32),
            Number::F64(_) => encode(&0f64),
        }
    }
}

fn changed<N: Serialize + DeserializeOwned + 'static>(
    held: &[u8],
    change: impl FnOnce(N) -> Option<N>,
) -> Result<Vec<u8>, Fault> {
    let held = wire::decode(held).map_err(|error| {
        let name = std::any::type_name::<N>();
        Fault::Invalid(format!(
            "the value is not of type `{name}`: {}",
            error.into_message()
        ))
    })?;
    encode(&change(held).ok_or(Fault::Overflow)?)
}

fn encode<N: Serialize + 'static>(number: &N) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    wire::encode(number, &mut bytes).map_err(|error| Fault::Failed(error.into_message()))?;
    Ok(bytes)
}
