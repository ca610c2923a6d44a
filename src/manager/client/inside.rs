//! Users' values within a server: what methods of types of users' own are given, and return.

use super::Manager;
use super::scope::{granted, pack_by, read, unpack_by};
use crate::manager::protocol::{ObjectId, Packed};
use crate::manager::store::RootOp;

impl Manager {
    /// Decodes a value that this manager keeps. Somebody else keeps the objects that it refers to until this is done.
    pub(crate) fn decode_inside<T>(
        &self,
        refs: &[ObjectId],
        decode: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        let hold = refs.iter().map(|&object| {
            let hold = RootOp::Hold { object };
            self.root().call(&hold, move |()| granted(object))
        });
        // All are asked for before the first is waited for.
        let hold: Vec<_> = hold.collect();
        let held = hold.into_iter().map(|call| call.wait());
        let held = held.collect::<Result<Vec<_>, _>>();
        let held = held.map_err(|error| error.to_string())?;
        read(held, || unpack_by(decode))
    }

    /// Encodes a value for this manager, which keeps the objects that it refers to until it is dropped.
    pub(crate) fn encode_inside(
        &self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
    ) -> Result<Packed, String> {
        let mut bytes = Vec::new();
        let (encoded, refs, handles) = pack_by(self.root(), || encode(&mut bytes));
        encoded?;
        match handles.is_empty() {
            true => Ok(Packed { bytes, refs }),
            false => Err("it holds a descriptor, which a manager cannot keep".to_owned()),
        }
    }
}
