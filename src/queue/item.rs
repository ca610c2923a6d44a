//! Items to bytes and back, in buffers that a thread keeps.

use std::any::Any;
use std::borrow::Cow;
use std::cell::RefCell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::transfer::Buffer;
use crate::wire::{Handles, decode_whole, encode_whole, handles};

/// A thread keeps buffers up to this size, one for each way.
const KEPT: usize = 1 << 20;

thread_local! {
    static ENCODED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static CAME: RefCell<Buffer> = RefCell::new(Buffer::default());
}

/// Encodes an item, or says why that cannot be.
pub(super) fn encode_item<T: Serialize + 'static>(
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let (encoded, held) = handles::collect(|| encode_whole(value, out));
    encoded.map_err(|error| error.into_message())?;
    if held.is_empty() {
        return Ok(());
    }
    Err("it holds a handle (a queue, a lock, shared memory, an end of a pipe, a manager's proxy), and those cannot lie in a queue: \
         they travel as arguments and results of tasks and through connections"
        .to_owned())
}

/// The bytes that an item already is.
#[inline]
pub(super) fn as_bytes<T: 'static>(value: &T) -> Option<&Vec<u8>> {
    (value as &dyn Any).downcast_ref()
}

/// The item that came. Many bytes that are one become it, and are not copied.
pub(super) fn decode_item<T: DeserializeOwned + 'static>(came: &mut Buffer) -> Result<T, String> {
    let item = match came.item().len() {
        0..=KEPT => Cow::Borrowed(came.item()),
        _ => Cow::Owned(came.take()),
    };
    // None can have come, also where something is decoded just now that has some.
    let none = Handles::default();
    handles::provide(&none, || decode_whole(item)).map_err(|error| error.into_message())
}

/// Lends a buffer to encode into. (Taken out meanwhile: a `Serialize` may use a queue of its own.)
#[inline]
pub(super) fn with_encoded<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut buffer = ENCODED.with(RefCell::take);
    buffer.clear();
    let result = f(&mut buffer);
    if buffer.capacity() <= KEPT {
        ENCODED.with(|place| place.replace(buffer));
    }
    result
}

/// Lends a buffer for an item that comes.
#[inline]
pub(super) fn with_buffer<R>(f: impl FnOnce(&mut Buffer) -> R) -> R {
    let mut buffer = CAME.with(RefCell::take);
    let result = f(&mut buffer);
    if buffer.capacity() <= KEPT {
        CAME.with(|place| place.replace(buffer));
    }
    result
}
