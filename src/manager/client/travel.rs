//! Objects as serde values.
//!
//! To another process goes where the server is, its key, the object's number, and a descriptor: a connection that does nothing but hold the object, as long
//! as there is a copy of it anywhere. It is made when an object travels first, and keeps going from then on. Whoever receives it connects at its first
//! call. To the server itself, within a value that it keeps, goes the number alone.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::remote::Remote;
use super::scope;
use super::site::Travelling;
use crate::manager::protocol::ObjectId;
use crate::primitives::plain::lock;
use crate::wire::{Handle, handles, refusal};

/// What an object is on its way.
#[derive(Serialize, Deserialize)]
enum Form {
    /// Within a value that its server keeps.
    Inside(ObjectId),
    /// To another process.
    Outside {
        server: Travelling,
        object: ObjectId,
        held: Handle,
    },
}

impl Remote {
    /// What keeps the object while it is on its way, and wherever it arrives.
    fn hold(&self) -> Result<Handle, &'static str> {
        let mut held = lock(&self.0.held);
        if let Some(held) = &*held {
            return Ok(held.clone());
        }
        let handle = self.site().hold(self.id()).map_err(|_| {
            "it holds a proxy whose manager cannot be reached, or does not have the object any more"
        })?;
        Ok(held.insert(handle).clone())
    }

    fn form(&self) -> Result<Form, &'static str> {
        if let Some(packed) = scope::pack(self) {
            return packed.map(|()| Form::Inside(self.id()));
        }
        if handles::encoding() == 0 {
            return Err(
                "it holds a proxy, which travels only as an argument or result of a task, through a `Connection`, or in a value that its own manager keeps",
            );
        }
        Ok(Form::Outside {
            server: self.site().travelling(),
            object: self.id(),
            held: self.hold()?,
        })
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
                held,
            } => Ok(server.site().held(object, held)),
        }
    }
}
