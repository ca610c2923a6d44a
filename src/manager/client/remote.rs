//! An object of a server, as a process knows it: what is below every proxy.

use std::fmt;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Calling;
use super::calls::{Begin, NotBegun};
use super::connection::{Ear, begin_request};
use super::room::Unsent;
use super::site::Site;
use crate::frame::HEADER_LEN;
use crate::manager::ManagerError;
use crate::manager::protocol::ObjectId;
use crate::manager::store::MAX_CALLS;
use crate::wire::{self, CodecError, Handle};

/// An object of a server. All clones in a process share one; the object is let go of when the last one is dropped (which never blocks).
///
/// It travels as other handles do: as a part of an argument or result of a task or a message of a connection, with a descriptor beside it that
/// keeps the object; and within a value that is packed for the same server, by its number.
// `pub` because `Proxy` names it; nothing outside can.
#[derive(Clone)]
pub struct Remote(pub(super) Arc<Object>);

/// What the clones share.
pub(super) struct Object {
    pub(super) site: Arc<Site>,
    pub(super) id: ObjectId,
    /// A connection to the server that holds the object, for whoever has a copy of it: from when this came from, or first went to, another process.
    pub(super) held: Mutex<Option<Handle>>,
}

impl Remote {
    /// What `Debug` of a proxy prints: two are the same if their objects are.
    pub(crate) fn describe(&self, proxy: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(proxy).field(self).finish()
    }

    /// Sends a request, and gives its answer, decoded and handed to `read`. Within `read`, values are [unpacked](super::unpack).
    ///
    /// Nothing is sent where `op` does not encode: then the call says so.
    pub(crate) fn call<O, A, T>(
        &self,
        op: &O,
        read: impl FnOnce(A) -> Result<T, ManagerError> + Send + 'static,
    ) -> Calling<T>
    where
        O: Serialize + 'static,
        A: DeserializeOwned + 'static,
    {
        let read = |answer: &[u8]| match wire::decode::<A>(answer) {
            Ok(answer) => read(answer),
            Err(error) => Err(not_encoded::<A>(error)),
        };
        let unsent = |frame| Unsent::new(self.clone(), frame);
        match self.request(op).map(unsent) {
            Ok(unsent) => Calling::new(unsent, Box::new(read)),
            Err(error) => Calling::failed(error),
        }
    }

    /// Sends a request whose answer nobody waits for, and which is answered at once, such as giving back a lock: also where more calls wait than may be
    /// [asked](Self::call). Never blocks.
    pub(crate) fn tell<O: Serialize + 'static>(&self, op: &O) {
        // There is nobody to be told of what goes wrong; a server that is lost has let go of all there was.
        if let Ok(frame) = self.request(op) {
            let _ = self.begin(frame, Begin::Forgotten);
        }
    }

    /// The same, of a request that is encoded already.
    pub(super) fn tell_encoded(&self, op: &[u8]) {
        if let Ok(mut frame) = begin_request(self.0.id) {
            frame.extend_from_slice(op);
            let _ = self.begin(frame, Begin::Forgotten);
        }
    }

    /// Whether both are the same object.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.id == other.0.id && self.0.site.is_same(&other.0.site)
    }

    /// Where its server is.
    pub(crate) fn address(&self) -> &str {
        self.0.site.name()
    }

    pub(super) fn site(&self) -> &Arc<Site> {
        &self.0.site
    }

    pub(crate) fn id(&self) -> ObjectId {
        self.0.id
    }

    /// Does something with the connection, which is made now if there is none.
    pub(super) fn with<R>(
        &self,
        run: impl FnOnce(Ear<'_>) -> Result<R, ManagerError>,
    ) -> Result<R, ManagerError> {
        let site = &self.0.site;
        let connection = site.connection()?;
        run(Ear { site, connection })
    }

    fn request<O: Serialize + 'static>(&self, op: &O) -> Result<Vec<u8>, ManagerError> {
        let mut frame = begin_request(self.0.id).map_err(not_encoded::<O>)?;
        wire::encode(op, &mut frame).map_err(not_encoded::<O>)?;
        Ok(frame)
    }

    /// Tells the server that a call is not waited for any more. What goes wrong is said to whoever awaits its end.
    pub(super) fn cancel(&self, number: u64) {
        let _ = self.with(|ear| {
            ear.cancel(number);
            Ok(())
        });
    }

    pub(super) fn begin(&self, frame: Vec<u8>, begin: Begin) -> Result<u64, ManagerError> {
        self.with(|ear| {
            let (len, max_frame) = (
                (frame.len() - HEADER_LEN) as u64,
                ear.connection.max_frame(),
            );
            if len > max_frame {
                return Err(ManagerError::TooLong { len, max_frame });
            }
            ear.begin(frame, begin).map_err(|error| match error {
                NotBegun::Lost(source) => self.0.site.lost(source),
                NotBegun::TooMany => ManagerError::TooMany {
                    what: "calls that wait on one connection".to_owned(),
                    limit: MAX_CALLS as u64,
                },
            })
        })
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        self.site.let_go(self);
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.0.id.0, self.address())
    }
}

pub(super) fn not_encoded<T: ?Sized>(error: CodecError) -> ManagerError {
    ManagerError::NotEncoded {
        type_name: std::any::type_name::<T>(),
        message: error.into_message(),
    }
}
