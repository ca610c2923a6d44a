//! What an object can do while it is asked.

use std::any::Any;
use std::fmt;
use std::os::fd::OwnedFd;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::item::collect_grants;
use super::references::Directory;
use super::{Caller, Item, Ref, Refs};
use crate::manager::protocol::{Fault, ObjectId, Packed, begin_answer};
use crate::wire::{self, Handles};

/// What the owner of a store is to do.
pub(crate) enum Effect {
    /// Answer a call. (Its grants have been counted when this is handed out, and their ids are in `granted`.)
    Answer {
        caller: Caller,
        answer: Vec<u8>,
        granted: Vec<ObjectId>,
        /// References that become the session's.
        grants: Refs,
    },
    /// Answer it with a fault.
    Fail { caller: Caller, fault: Fault },
    /// Run this on a thread of the bounded pool.
    Work {
        object: ObjectId,
        work: Work,
        /// The call that it serves, if it is one.
        serves: Option<Serves>,
    },
    /// Let this socket in, which is connected to one that this process has, as a client that has been granted an object.
    Admit { socket: OwnedFd, holds: Ref },
    /// Say which clients these are the sockets of, by [`Store::know`](super::Store::know).
    Identify {
        object: ObjectId,
        number: u64,
        sockets: Handles,
    },
    /// End the server in good order.
    Shutdown,
}

/// A call that is served by work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Serves {
    pub(crate) caller: Caller,
    /// Nothing else of the object runs until it has ended.
    pub(crate) is_exclusive: bool,
}

/// Something that may block or panic, to be done elsewhere. What it finds it says through the mailbox, which it gets.
pub(crate) type Work = Box<dyn FnOnce(Mailbox) + Send>;

/// How work that was begun for an object says what came of it, from whatever thread: [`Object::hear`](super::Object::hear) is
/// told, if the object is still there.
#[derive(Clone)]
pub(crate) struct Mailbox {
    object: ObjectId,
    send: std::sync::Arc<dyn Fn(ObjectId, Box<dyn Any + Send>) + Send + Sync>,
}

impl Mailbox {
    /// Made by the owner of the store, whose `send` passes on to [`Store::hear`](super::Store::hear) and does not block.
    pub(crate) fn new(
        object: ObjectId,
        send: std::sync::Arc<dyn Fn(ObjectId, Box<dyn Any + Send>) + Send + Sync>,
    ) -> Self {
        Self { object, send }
    }

    pub(crate) fn say(&self, what: Box<dyn Any + Send>) {
        (self.send)(self.object, what);
    }
}

/// What an object can do while it is asked.
pub(crate) struct Context<'a> {
    object: ObjectId,
    directory: &'a Directory,
    effects: &'a mut Vec<Effect>,
    max_frame: u64,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        object: ObjectId,
        directory: &'a Directory,
        effects: &'a mut Vec<Effect>,
        max_frame: u64,
    ) -> Self {
        Self {
            object,
            directory,
            effects,
            max_frame,
        }
    }

    /// Decodes what is asked; `None`, if that is nothing this object knows: then the caller has been told.
    pub(crate) fn understand<T: DeserializeOwned + 'static>(
        &mut self,
        caller: Caller,
        op: &[u8],
    ) -> Option<T> {
        match wire::decode(op) {
            Ok(op) => Some(op),
            Err(error) => {
                self.fail(caller, Fault::NotUnderstood(error.into_message()));
                None
            }
        }
    }

    /// Answers a call, with a value in which there may be [`Item`]s.
    pub(crate) fn answer<T: Serialize + 'static>(&mut self, caller: Caller, value: &T) {
        if let Err(fault) = self.offer(caller, value) {
            self.fail(caller, fault);
        }
    }

    /// Answers a call, unless the answer is too long: then nobody has been told anything. For whoever takes out what he answers with,
    /// and has to put it back then.
    pub(crate) fn offer<T: Serialize + 'static>(
        &mut self,
        caller: Caller,
        value: &T,
    ) -> Result<(), Fault> {
        let mut answer = Vec::new();
        let (encoded, grants) = collect_grants(|| wire::encode(value, &mut answer));
        encoded.map_err(|error| Fault::Failed(error.into_message()))?;
        self.offer_encoded(caller, answer, grants)
    }

    /// Answers a call with what is encoded already, and what that refers to.
    pub(crate) fn answer_encoded(&mut self, caller: Caller, answer: Vec<u8>, grants: Refs) {
        if let Err(fault) = self.offer_encoded(caller, answer, grants) {
            self.fail(caller, fault);
        }
    }

    fn offer_encoded(
        &mut self,
        caller: Caller,
        answer: Vec<u8>,
        grants: Refs,
    ) -> Result<(), Fault> {
        let granted: Vec<ObjectId> = grants.ids().collect();
        // The grants travel with it.
        let mut begun = Vec::new();
        begin_answer(&granted, &mut begun).map_err(|error| Fault::Failed(error.into_message()))?;
        let len = begun.len() as u64 + answer.len() as u64;
        let max_frame = self.max_frame;
        if len > max_frame {
            return Err(Fault::TooLong { len, max_frame });
        }
        self.effects.push(Effect::Answer {
            caller,
            answer,
            granted,
            grants,
        });
        Ok(())
    }

    /// How long an answer may be, in bytes.
    pub(crate) fn max_frame(&self) -> u64 {
        self.max_frame
    }

    /// Answers a call with a fault.
    pub(crate) fn fail(&mut self, caller: Caller, fault: Fault) {
        self.effects.push(Effect::Fail { caller, fault });
    }

    /// Keeps a value that came. The objects that it refers to have to be there.
    pub(crate) fn keep(&self, packed: Packed) -> Result<Item, Fault> {
        let refs: Result<Refs, Fault> = packed.refs.iter().map(|id| self.find(*id)).collect();
        Ok(Item {
            bytes: packed.bytes,
            refs: refs?,
        })
    }

    /// One more reference to an object.
    pub(crate) fn find(&self, id: ObjectId) -> Result<Ref, Fault> {
        self.directory.find(id).ok_or(Fault::NoObject)
    }

    /// Has something done on a thread that may block.
    pub(crate) fn work(&mut self, work: Work) {
        self.begin(work, None);
    }

    /// The same of what serves a call.
    pub(crate) fn serve(&mut self, serves: Serves, work: Work) {
        self.begin(work, Some(serves));
    }

    fn begin(&mut self, work: Work, serves: Option<Serves>) {
        let object = self.object;
        self.effects.push(Effect::Work {
            object,
            work,
            serves,
        });
    }

    /// Has an object kept for as long as the other end of this socket is open, in whatever process.
    pub(crate) fn lend(&mut self, holds: Ref, socket: OwnedFd) {
        self.effects.push(Effect::Admit { socket, holds });
    }

    /// Finds out which objects these descriptors hold, that came from another process: [`Object::know`](super::Object::know) is told, with this number.
    pub(crate) fn identify(&mut self, number: u64, sockets: Handles) {
        let object = self.object;
        self.effects.push(Effect::Identify {
            object,
            number,
            sockets,
        });
    }
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer {
                caller, granted, ..
            } => f
                .debug_struct("Answer")
                .field("caller", caller)
                .field("granted", granted)
                .finish_non_exhaustive(),
            Self::Fail { caller, fault } => {
                f.debug_tuple("Fail").field(caller).field(fault).finish()
            }
            Self::Work { object, .. } => f.debug_tuple("Work").field(object).finish(),
            Self::Admit { holds, .. } => f.debug_tuple("Admit").field(holds).finish(),
            Self::Identify { object, number, .. } => {
                let mut identify = f.debug_tuple("Identify");
                identify.field(object).field(number).finish()
            }
            Self::Shutdown => f.write_str("Shutdown"),
        }
    }
}
