//! A value as it travels: its bytes, and the descriptors beside them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::codec::{self, CodecError};
use super::handles::{Handles, collect, provide};

/// The descriptors of a value that has none.
static NO_HANDLES: Handles = Handles::none();

/// An encoded value. It can be decoded several times, and its values then share the descriptors. As it is, it can be a part of another value that travels.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Encoded {
    #[serde(with = "serde_bytes")]
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
        EncodedRef::from(self).decode()
    }
}

/// An encoded value that somebody else has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncodedRef<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) handles: &'a Handles,
}

impl<'a> EncodedRef<'a> {
    /// Of a value without descriptors.
    pub(crate) fn plain(bytes: &'a [u8]) -> Self {
        let handles = &NO_HANDLES;
        Self { bytes, handles }
    }

    /// The value.
    #[inline]
    pub(crate) fn decode<T: DeserializeOwned + 'static>(self) -> Result<T, CodecError> {
        provide(self.handles, || codec::decode_whole(self.bytes))
    }
}

impl<'a> From<&'a Encoded> for EncodedRef<'a> {
    fn from(encoded: &'a Encoded) -> Self {
        let (bytes, handles) = (&*encoded.bytes, &encoded.handles);
        Self { bytes, handles }
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
