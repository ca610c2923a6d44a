//! Places in a row of values.

use std::ops::Range;

use super::Change;
use crate::manager::protocol::Fault;
use crate::manager::store::Item;

/// The place of an index, which has to be there.
pub(super) fn place(items: &[Item], index: u64) -> Result<usize, Fault> {
    let len = items.len() as u64;
    match usize::try_from(index) {
        Ok(place) if place < items.len() => Ok(place),
        _ => Err(Fault::OutOfRange { index, len }),
    }
}

/// What is at an index.
pub(super) fn at(items: &mut [Item], index: u64) -> Result<&mut Item, Fault> {
    let len = items.len() as u64;
    let place = place(items, index)?;
    items.get_mut(place).ok_or(Fault::OutOfRange { index, len })
}

/// A range that is within what is there; without an end it ends where that does.
pub(super) fn range(len: usize, start: u64, end: Option<u64>) -> Result<Range<usize>, Fault> {
    let len = len as u64;
    let end = end.unwrap_or(len);
    let out = |index| Fault::OutOfRange { index, len };
    if end > len {
        return Err(out(end));
    }
    if start > end {
        return Err(out(start));
    }
    let place = |index| usize::try_from(index).map_err(|_| out(index));
    Ok(place(start)?..place(end)?)
}

/// Puts a value in the place of another one, if that has the expected encoding.
pub(super) fn compare_and_swap(item: &mut Item, expected: &[u8], value: Item) -> bool {
    let is_expected = item.bytes == expected;
    if is_expected {
        *item = value;
    }
    is_expected
}

/// Changes a number, and gives what it was, encoded.
pub(super) fn change(item: &mut Item, change: &Change) -> Result<Vec<u8>, Fault> {
    let changed = change.of(&item.bytes)?;
    Ok(std::mem::replace(&mut item.bytes, changed))
}
