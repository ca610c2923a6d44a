//! Users' values to bytes and back, in the server, with the proxies in them.

use crate::manager::protocol::{ObjectId, Packed};
use crate::manager::store::Item;

/// Decodes what an item holds. `offset` bytes of it are something else.
///
/// A proxy in it is one of this server's own objects, of which `item` keeps each while this is done.
pub(super) fn decode<T>(
    item: &Item,
    offset: usize,
    decode: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, String> {
    with_manager_scope(item.refs(), || {
        decode(item.bytes.get(offset..).unwrap_or_default())
    })
    .0
}

/// Encodes what a method returned. The objects that proxies in it stand for are kept by those until the value is dropped.
pub(super) fn encode(
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
) -> Result<Packed, String> {
    let mut bytes = Vec::new();
    let (encoded, refs) = with_manager_scope(Vec::new(), || encode(&mut bytes));
    encoded.map(|()| Packed { bytes, refs })
}

/// Runs `code`, which encodes or decodes a value of a user's within this server, and says which objects the proxies stand for that it
/// has encoded. Those that it decodes may be `_known` ones.
///
/// Here is where proxies find out to which server the bytes belong.
fn with_manager_scope<R>(_known: Vec<ObjectId>, code: impl FnOnce() -> R) -> (R, Vec<ObjectId>) {
    (code(), Vec::new())
}
