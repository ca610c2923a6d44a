//! What a client has to know to be let in.

use std::fmt;
use std::hint::black_box;
use std::io;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::error::explained;
use crate::sys;

/// How many bytes a key has.
pub(crate) const KEY_LEN: usize = 32;

/// The secret that a manager's server and its clients share: 32 random bytes. Who has it may do everything that the server can.
///
/// It is never printed by `Debug`, has no `Display`, is compared in a time that does not depend on where keys differ, and is overwritten when it is dropped.
/// To hand it to another program there are [`to_hex`](Self::to_hex) and `parse`: through a file that others cannot read, or an
/// environment variable, and not on a command line, which everybody sees.
///
/// ```
/// use procession::manager::Key;
///
/// let key = Key::generate()?;
/// assert_eq!(format!("{key:?}"), "Key(..)");
/// let same: Key = key.to_hex().parse()?;
/// assert_eq!(same, key);
///
/// let too_short = Key::try_from(&b"12345"[..]).unwrap_err();
/// assert_eq!(too_short.to_string(), "a key has 32 bytes, not 5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Key([u8; KEY_LEN]);

/// Why something is no key.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It has another length.
    #[error("a key has {KEY_LEN} bytes, not {len}")]
    Length {
        /// How many bytes it has.
        len: usize,
    },
    /// The text of a key has two hexadecimal digits for each byte, and nothing else.
    #[error(
        "a key is {} hexadecimal digits: `Key::generate` makes one, and its `to_hex` writes it",
        2 * KEY_LEN
    )]
    NotHex,
    /// The system has no random bytes.
    #[error("the system gives no random bytes for a key")]
    NotRandom(#[source] Arc<io::Error>),
}

explained!(KeyError);

impl Key {
    /// A new one, from the system's random source.
    ///
    /// # Errors
    ///
    /// The system has none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = [0; KEY_LEN];
        sys::fill_randomly(&mut bytes).map_err(|error| KeyError::NotRandom(Arc::new(error)))?;
        Ok(Self(bytes))
    }

    /// A key that was made elsewhere: by `head -c 32 /dev/urandom`, for one. Bytes that somebody has thought up are no good ones.
    pub fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// Its 64 hexadecimal digits, which are as secret as the key. `parse` reads them.
    pub fn to_hex(&self) -> String {
        use fmt::Write as _;
        let mut text = String::with_capacity(2 * KEY_LEN);
        for byte in self.0 {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Whether these bytes are the key; in a time that depends on their number alone.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        self.0[..].ct_eq(bytes).into()
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0 = [0; KEY_LEN];
        // Somebody might look at it: so it is not left out.
        black_box(&mut self.0);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl TryFrom<&[u8]> for Key {
    type Error = KeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, KeyError> {
        match bytes.try_into() {
            Ok(bytes) => Ok(Self(bytes)),
            Err(_) => Err(KeyError::Length { len: bytes.len() }),
        }
    }
}

impl FromStr for Key {
    type Err = KeyError;

    /// Hexadecimal digits, with white space around them (the end of a line in a file).
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digits: Option<Vec<u8>> = text
            .trim()
            .chars()
            .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
            .collect();
        let digits = digits.ok_or(KeyError::NotHex)?;
        if digits.len() % 2 != 0 {
            return Err(KeyError::NotHex);
        }
        let mut key = Self([0; KEY_LEN]);
        let len = digits.len() / 2;
        if len != KEY_LEN {
            return Err(KeyError::Length { len });
        }
        for (byte, pair) in key.0.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(key)
    }
}

/// A key as it travels between processes of one program, within something that nobody else reads.
#[derive(Serialize, Deserialize)]
pub(crate) struct TravellingKey([u8; KEY_LEN]);

impl From<&Key> for TravellingKey {
    fn from(key: &Key) -> Self {
        Self(key.0)
    }
}

impl From<TravellingKey> for Key {
    fn from(key: TravellingKey) -> Self {
        Self(key.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_random_and_not_shown() {
        let (one, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(format!("{one:?}"), "Key(..)");
        assert!(one.is(one.bytes()));
        assert!(!one.is(&one.bytes()[..31]));
    }

    #[test]
    fn hex_is_read_back_and_nothing_else_is_a_key() {
        let key = Key::generate().unwrap();
        assert_eq!(format!(" {}\n", key.to_hex()).parse::<Key>().unwrap(), key);
        assert!(matches!("abc".parse::<Key>(), Err(KeyError::NotHex)));
        assert!(matches!(
            "zz".repeat(32).parse::<Key>(),
            Err(KeyError::NotHex)
        ));
        assert!(matches!(
            "é".repeat(32).parse::<Key>(),
            Err(KeyError::NotHex)
        ));
        for len in [0, 5, 31, 33] {
            let error = "ab".repeat(len).parse::<Key>().unwrap_err();
            assert_eq!(error.to_string(), format!("a key has 32 bytes, not {len}"));
            let error = Key::try_from(&vec![7; len][..]).unwrap_err();
            assert_eq!(error.to_string(), format!("a key has 32 bytes, not {len}"));
        }
    }
}
