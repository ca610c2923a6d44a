//! Every message that crosses a process, and how values become payloads.
//!
//! Payloads are postcard; `docs/wire-format.md` lists them kind by kind. What is decoded here may
//! come from a process that is not well: nothing panics, nothing is allocated for lengths that are
//! only claimed, and what is left over after a value is an error.

mod beside;
mod chunk;
mod codec;
mod encoded;
pub(crate) mod handles;
mod message;
mod record;

pub(crate) use beside::{Arrived, Arriving, Beside};
#[cfg(test)]
pub(crate) use chunk::PartItem;
pub(crate) use chunk::{
    ChunkReader, ChunkWriter, ItemOutcome, ItemStart, OutcomeTag, PartReader, PartRun, PartWriter,
    begin_item, first_item, part_of, value_at,
};
pub(crate) use codec::{
    CodecError, FUNCTION_LEN, decode, decode_prefix, decode_taken, decode_whole, encode,
    encode_borrowed, encode_function, encode_owned, encode_whole, is_err, refusal, split_function,
};
pub(crate) use encoded::{Encoded, EncodedRef};
pub(crate) use handles::{Carried, Handle, Handles};
pub(crate) use message::{
    BinaryId, CANNOT_START, Hello, LET_GO, Limits, NEVER_INITIALISED, PROTOCOL, ProcessSetup,
    Setup, TaskFailure, shorten_longest,
};
#[cfg(any(test, feature = "log", feature = "tracing"))]
pub(crate) use record::Level;
#[cfg(any(test, fuzzing, feature = "log", feature = "tracing"))]
pub(crate) use record::MAX_FIELDS;
pub(crate) use record::{Facade, Record, Value, Wanted};

#[cfg(any(test, fuzzing))]
mod fuzz;
#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz;

#[cfg(test)]
mod tests;
