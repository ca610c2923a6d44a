//! Memory that processes share: [`Value`], [`Array`], [`SharedMemory`], and [`SharedBytes`] for what is written once.
//!
//! They are handles, as the locks of [`sync`](crate::sync) are: a clone is another one to the same memory, and so is what
//! arrives when one is sent to a task or comes back from it. Nothing of the memory itself is copied then.
//!
//! | | what is in it | how it is reached |
//! |--|--|--|
//! | [`Value<T>`] | one value of plain data | copied in and out, with its lock; or as an atomic |
//! | [`Array<T>`] | many of them | the same, one or a range at a time |
//! | [`SharedMemory`] | bytes | copied in and out; with a name, if you want one |
//! | [`SharedBytes`] | bytes that do not change any more | read in place |
//!
//! ```standalone_crate
//! use procession::ProcessPoolExecutor;
//! use procession::shared::{Array, Value};
//!
//! #[procession::task]
//! fn fill(squares: Array<u64>, done: Value<u32>, range: std::ops::Range<usize>) {
//!     for n in range {
//!         squares.unlocked().set(n, (n * n) as u64).unwrap(); // nobody else has this place
//!     }
//!     done.update(|count| *count += 1).unwrap();
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! procession::init();
//! let squares = Array::<u64>::new(100)?;
//! let done = Value::new(0_u32)?;
//! let pool = ProcessPoolExecutor::new()?;
//! for start in [0, 50] {
//!     pool.submit(fill, (squares.clone(), done.clone(), start..start + 50))?;
//! }
//! drop(pool); // when all of it has been done
//! assert_eq!(done.get()?, 2);
//! assert_eq!(squares.lock()?.get(9), Some(81));
//! # Ok(())
//! # }
//! ```
//!
//! # Plain data
//!
//! What another process can overwrite at any moment must not be more than its bytes. So `T` is [`PlainData`]: integers, floats, arrays of
//! those, and structs that say so by a derive of [`bytemuck`], which is part of this module:
//!
//! ```
//! use procession::shared::{Value, bytemuck};
//!
//! #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
//! #[bytemuck(crate = "procession::shared::bytemuck")]
//! #[repr(C)]
//! struct Point {
//!     x: f64,
//!     y: f64,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let point = Value::new(Point { x: 1.0, y: 2.0 })?;
//! point.update(|point| point.x += 1.0)?;
//! assert_eq!(point.get()?.x, 2.0);
//! # Ok(())
//! # }
//! ```
//!
//! Anything that points somewhere does not compile: `Value<String>`, `Array<&str>`.
//!
//! There is never a reference into memory that others can change, but to atomics ([`Value::as_atomic`], [`Array::as_atomic`]): values are
//! copied. Copying a slice out of an [`Array`] is as fast as copying one from another slice.
//!
//! # How long it lives
//!
//! Memory without a name goes with its last handle, however the processes end. So does memory with a name, as a rule:
//! see [`SharedMemory`] for the exception. The memory of those without a name is sealed: nobody can make it shorter, so that
//! touching it cannot end the program.

mod array;
mod bytes;
mod error;
mod memory;
mod plain;
mod value;

pub use bytemuck;

pub use array::{Array, ArrayGuard, Unlocked};
pub use bytes::{SharedBytes, SharedBytesWriter};
pub use error::{OutOfRange, SharedMemoryError};
pub use memory::SharedMemory;
pub use plain::{AtomicInteger, PlainData};
pub use value::{Value, ValueGuard};

#[cfg(test)]
mod tests;
