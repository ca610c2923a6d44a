//! What is said in a worker through `log` or `tracing`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::codec::{self, CodecError};

/// How many fields a record may have. (An event of `tracing` has no more.)
pub(crate) const MAX_FIELDS: usize = 32;

/// The payload of a `Record` frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) facade: Facade,
    pub(crate) level: Level,
    pub(crate) target: String,
    /// Of a `tracing` event; otherwise empty.
    pub(crate) name: String,
    pub(crate) module_path: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) message: Option<String>,
    /// The fields of a `tracing` event, or the key-value pairs of a `log` record.
    pub(crate) fields: Vec<(String, Value)>,
    /// The `tracing` spans around it, from the outermost in, as text.
    pub(crate) spans: String,
}

/// The crate through which something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Facade {
    Log,
    Tracing,
}

/// The more verbose, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    I64(i64),
    U64(u64),
    I128(i128),
    U128(u128),
    F64(f64),
    /// A text that is the value.
    Str(String),
    /// A value of some other type, as it prints itself.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::U64(value) => value.fmt(f),
            Self::I128(value) => value.fmt(f),
            Self::U128(value) => value.fmt(f),
            Self::F64(value) => value.fmt(f),
            Self::Str(text) => write!(f, "{text:?}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The most verbose level that is wanted of each; `None` is none at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) log: Option<Level>,
    pub(crate) tracing: Option<Level>,
}

impl Record {
    /// The record that these bytes are.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let record: Self = codec::decode(bytes)?;
        match record.fields.len() {
            ..=MAX_FIELDS => Ok(record),
            count => Err(CodecError::new(format!(
                "it has {count} fields, and {MAX_FIELDS} are allowed"
            ))),
        }
    }
}
