//! What may be in shared memory.

use std::sync::atomic;

use bytemuck::{AnyBitPattern, NoUninit};

use crate::sys::{Mapping, OutOfRange, SharedAtomic};

/// Data that is no more than its bytes: any bytes are a value of it, all of its bytes are always initialised, and it points nowhere.
///
/// That is what [`bytemuck`] calls `Pod`, or `AnyBitPattern` and `NoUninit`; whatever is those is this. Integers, floats, arrays of
/// them, and structs that derive it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not plain data",
    label = "other processes can overwrite it with any bytes",
    note = "derive `bytemuck::Pod` and `bytemuck::Zeroable` for a `#[repr(C)]` struct of numbers",
    note = "`procession::shared::bytemuck` is that crate"
)]
pub trait PlainData: AnyBitPattern + NoUninit {}

impl<T: AnyBitPattern + NoUninit> PlainData for T {}

/// Bytes of memory as a value.
pub(super) fn copy_out<T: PlainData>(mapping: &Mapping, offset: usize) -> Result<T, OutOfRange> {
    let mut value = T::zeroed();
    mapping.copy_out(offset, bytemuck::bytes_of_mut(&mut value))?;
    Ok(value)
}

/// A value as bytes of memory.
pub(super) fn copy_in<T: PlainData>(
    mapping: &Mapping,
    offset: usize,
    value: &T,
) -> Result<(), OutOfRange> {
    mapping.copy_in(offset, bytemuck::bytes_of(value))
}

mod sealed {
    pub trait Sealed {}
}

/// Integers that the machine can change in one step, of 8 to 64 bits. No others can be.
pub trait AtomicInteger: PlainData + sealed::Sealed {
    /// The standard library's atomic of the same size.
    #[expect(private_bounds, reason = "it is for what maps memory to know")]
    type Atomic: SharedAtomic;
}

macro_rules! atomic_integers {
    ($($integer:ty: $atomic:ident),*) => {$(
        impl sealed::Sealed for $integer {}

        impl AtomicInteger for $integer {
            type Atomic = atomic::$atomic;
        }
    )*};
}
atomic_integers!(
    i8: AtomicI8, i16: AtomicI16, i32: AtomicI32, i64: AtomicI64, isize: AtomicIsize,
    u8: AtomicU8, u16: AtomicU16, u32: AtomicU32, u64: AtomicU64, usize: AtomicUsize
);
