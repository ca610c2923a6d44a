//! Why there is no connection, or no server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Address, AddressError};
use crate::error::{SubmitError, explained};

/// A client does not reach a server, or is not let in.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// It is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// There is no server: nobody listens there.
    #[error("no manager listens at {address}")]
    NobodyThere {
        /// Where.
        address: Address,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The system does not get there: a host that is not known or cannot be reached, a socket that may not be opened, no descriptor.
    #[error("the manager at {address} cannot be reached")]
    Unreachable {
        /// Where.
        address: Address,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The server does not know this key, or does not know it any more; or somebody between here and there has meddled.
    #[error("the manager at {address} has another key")]
    Refused {
        /// Where.
        address: Address,
    },
    /// The server has as many clients as it takes, or no descriptor for another one.
    #[error("the manager at {address} takes no more clients")]
    Full {
        /// Where.
        address: Address,
    },
    /// The process that listens there is another user's. It was told nothing.
    #[error("whoever listens at {address} belongs to another user, {user}")]
    OtherUser {
        /// Where.
        address: Address,
        /// That user's number.
        user: u32,
    },
    /// What listens there is no manager, or one of another version of this crate.
    #[error("what listens at {address} is no manager of this version")]
    NotAManager {
        /// Where.
        address: Address,
    },
    /// The server did not answer in time.
    #[error("the manager at {address} did not answer within {limit:?}")]
    NoAnswer {
        /// Where.
        address: Address,
        /// How long it was waited for.
        limit: Duration,
    },
    /// This program was built without the feature that an address of the network needs.
    #[error(
        "{address} needs the feature `network` of procession, which this program is built without"
    )]
    NoNetwork {
        /// Where.
        address: Address,
    },
}

/// A server does not start.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Somebody else listens there already, or (where it is a path) there is something else than a socket that a server of this user has left behind when it
    /// was killed.
    #[error("{address} is in use")]
    AddressInUse {
        /// Where.
        address: Address,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The system does not let this process listen there.
    #[error("no manager can listen at {address}")]
    NotListening {
        /// Where.
        address: Address,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// This program was built without the feature that an address of the network needs.
    #[error(
        "{address} needs the feature `network` of procession, which this program is built without"
    )]
    NoNetwork {
        /// Where.
        address: Address,
    },
    /// A parameter was refused.
    #[error("`{parameter}` must be {must_be}, not {value}")]
    Parameter {
        /// The parameter.
        parameter: &'static str,
        /// What it must be.
        must_be: &'static str,
        /// What it was.
        value: u64,
    },
    /// The [initializer](crate::manager::ManagerBuilder::initializer) failed, or panicked. Nobody was served.
    #[error("the initializer `{function}` failed in the manager's process {pid}: {message}")]
    Initializer {
        /// The registered name of the initializer.
        function: String,
        /// The process, which has been ended.
        pid: u32,
        /// The initializer's own message.
        message: String,
    },
    /// The initializer was refused before any process was started: it is not registered, or its arguments do not encode.
    #[error("the manager's initializer was refused")]
    InitializerRefused(#[source] SubmitError),
    /// The system refuses what a server needs besides: a thread, a descriptor, random bytes for a key.
    #[error("the server cannot be started")]
    NotStarted(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

explained!(ConnectError, ServeError);
