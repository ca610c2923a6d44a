//! What lies between the bytes of a connection and those on the wire: nothing, or encryption.

#[cfg(feature = "network")]
use std::sync::Arc;

/// Of a connection whose key has been proved.
pub(crate) struct Cipher {
    #[cfg(feature = "network")]
    pub(super) noise: Option<super::noise::Cipher>,
}

/// One direction of it.
#[derive(Default)]
pub(super) struct Direction {
    #[cfg(feature = "network")]
    pub(super) noise: Option<super::noise::Direction>,
}

impl Cipher {
    /// Of a connection on this machine, on which nothing is encrypted.
    pub(crate) fn none() -> Self {
        Self {
            #[cfg(feature = "network")]
            noise: None,
        }
    }

    /// What is received, and what is sent.
    pub(super) fn split(self) -> (Direction, Direction) {
        #[cfg(feature = "network")]
        if let Some(cipher) = self.noise {
            let transport = Arc::new(cipher.transport);
            let direction = |nonce| Direction {
                noise: Some(super::noise::Direction::new(transport.clone(), nonce)),
            };
            return (direction(cipher.received), direction(cipher.sent));
        }
        Default::default()
    }
}
