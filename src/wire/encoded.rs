//! A value as it travels: its bytes, and the descriptors beside them.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{self, CodecError};
use super::handles::{Handles, collect, provide};

/// An encoded value. It can be decoded several times, and its values then share the descriptors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) handles: Handles,
}

impl Encoded {
    /// Encodes a value.
    pub(crate) fn of<T: Serialize + 'static>(value: T) -> Result<Self, CodecError> {
        let mut bytes = Vec::new();
        let (encoded, handles) = collect(|| codec::encode_owned(value, &mut bytes));
        encoded.map(|()| Self { bytes, handles })
    }

    /// The value.
    #[inline]
    pub(crate) fn decode<T: DeserializeOwned + 'static>(&self) -> Result<T, CodecError> {
        provide(&self.handles, || codec::decode_whole(&self.bytes))
    }
}

impl From<Vec<u8>> for Encoded {
    /// Of a value without descriptors.
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            handles: Handles::default(),
        }
    }
}
