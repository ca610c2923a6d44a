//! Why a server in another process does not serve, on its way to who has started it.

use std::fmt;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::manager::secure::{Address, ServeError};

/// A [`ServeError`] that travels.
#[derive(Serialize, Deserialize)]
pub(super) enum Refusal {
    AddressInUse(Address, Said),
    NotListening(Address, Said),
    NoNetwork(Address),
    Other(String),
}

/// What the system said.
#[derive(Serialize, Deserialize)]
pub(super) struct Said {
    code: Option<i32>,
    text: String,
}

/// What went wrong in another process, as text.
pub(super) struct NotServing(pub(super) String);

impl From<ServeError> for Refusal {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::AddressInUse { address, source } => {
                Self::AddressInUse(address, Said::from(&*source))
            }
            ServeError::NotListening { address, source } => {
                Self::NotListening(address, Said::from(&*source))
            }
            ServeError::NoNetwork { address } => Self::NoNetwork(address),
            error => Self::Other(format!("{error:?}")),
        }
    }
}

impl From<Refusal> for ServeError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::AddressInUse(address, said) => Self::AddressInUse {
                address,
                source: Arc::new(said.into()),
            },
            Refusal::NotListening(address, said) => Self::NotListening {
                address,
                source: Arc::new(said.into()),
            },
            Refusal::NoNetwork(address) => Self::NoNetwork { address },
            Refusal::Other(text) => Self::NotStarted(Arc::new(NotServing(text))),
        }
    }
}

impl From<&io::Error> for Said {
    fn from(error: &io::Error) -> Self {
        Self {
            code: error.raw_os_error(),
            text: error.to_string(),
        }
    }
}

impl From<Said> for io::Error {
    fn from(said: Said) -> Self {
        match said.code {
            Some(code) => Self::from_raw_os_error(code),
            None => Self::other(said.text),
        }
    }
}

impl fmt::Display for NotServing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NotServing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotServing {}
