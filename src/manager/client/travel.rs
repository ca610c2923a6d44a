//! Objects as serde values.
//!
//! To another process goes where the server is, its key, the object's number, and a descriptor: a connection that does nothing but hold the object, as long
//! as there is a copy of it anywhere. It is made when an object travels first, and keeps going from then on. Whoever receives it connects at its first
//! call. To the server itself, within a value that it keeps, goes the number alone.
//!
//! To the workers of the server's own pools, and back from them, the same goes through the server, which puts a descriptor in, or takes it out: see `objects/pool/lending.rs`.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::remote::Remote;
use super::scope::{self, InPacked};
use super::site::Travelling;
use crate::manager::protocol::ObjectId;
use crate::primitives::plain::lock;
use crate::wire::{Handle, Handles, handles, refusal};

/// What an object is on its way.
#[derive(Serialize, Deserialize)]
enum Form {
    /// Within a value that its server keeps.
    Inside(ObjectId),
    /// To another process.
    Outside {
        server: Travelling,
        object: ObjectId,
        held: Held,
    },
}

/// What keeps an object: the place of a descriptor beside the payload, or of what stands in for it.
enum Held {
    By(Handle),
    /// It is lent: the server puts the descriptor there.
    Lent(u16),
    /// It has been granted along with the payload, which came through the server.
    Here(Remote),
}

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::By(handle) => handle.serialize(serializer),
            Self::Lent(place) => place.serialize(serializer),
            Self::Here(_) => Err(ser::Error::custom("what has come does not travel on")),
        }
    }
}

impl<'de> Deserialize<'de> for Held {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let place = u16::deserialize(deserializer)?;
        let granted = |AssertUnwindSafe(granted): &AssertUnwindSafe<Remote>| granted.clone();
        if let Some(granted) = handles::instead_at(place, granted) {
            return Ok(Self::Here(granted));
        }
        let handle = Handle::at(place);
        handle
            .map(Self::By)
            .map_err(|why| de::Error::custom(refusal(why)))
    }
}

/// Objects that have been granted, in place of the descriptors beside a payload.
pub(crate) fn standing_in(granted: Vec<Remote>) -> Handles {
    Handles::instead(granted.into_iter().map(AssertUnwindSafe).collect())
}

impl Remote {
    /// What keeps the object while it is on its way, and wherever it arrives.
    fn hold(&self) -> Result<Handle, String> {
        let mut held = lock(&self.0.held);
        if let Some(held) = &*held {
            return Ok(held.clone());
        }
        let handle = self.site().hold(self.id()).map_err(|error| {
            // With its causes: among them is that there is no descriptor.
            format!("it holds a proxy whose manager cannot be reached, or does not have the object any more: {error:?}")
        })?;
        Ok(held.insert(handle).clone())
    }

    fn form(&self) -> Result<Form, Cow<'static, str>> {
        let outside = |held| Form::Outside {
            server: self.site().travelling(),
            object: self.id(),
            held,
        };
        match scope::pack(self).transpose().map_err(Cow::Borrowed)? {
            Some(InPacked::Number) => return Ok(Form::Inside(self.id())),
            Some(InPacked::Lent(place)) => return Ok(outside(Held::Lent(place))),
            None => {}
        }
        if handles::encoding() == 0 {
            return Err(Cow::Borrowed(
                "it holds a proxy, which travels only as an argument or result of a task, through a `Connection`, or in a value that its own manager keeps",
            ));
        }
        Ok(outside(Held::By(self.hold()?)))
    }
}

impl Serialize for Remote {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = self
            .form()
            .map_err(|why| ser::Error::custom(refusal(why)))?;
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Remote {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Inside(id) => scope::unpacked(id).map_err(|why| de::Error::custom(refusal(why))),
            Form::Outside {
                server,
                object,
                held: Held::By(handle),
            } => Ok(server.site().held(object, handle)),
            Form::Outside {
                object,
                held: Held::Here(remote),
                ..
            } if remote.id() == object => Ok(remote),
            Form::Outside { .. } => Err(de::Error::custom(refusal(
                "an object was named that did not come along",
            ))),
        }
    }
}
