//! Ends as serde values.

use std::any::TypeId;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::connection::Connection;
use super::end::{Direction, End};
use super::open::Nothing;
use crate::sys::is_packet_socket;
use crate::wire::{Handle, refusal};

/// What an end is on its way.
#[derive(Serialize, Deserialize)]
struct Travelling {
    direction: Direction,
    max_message: u64,
    socket: Handle,
}

/// Which way a connection of these types goes.
fn direction_of<S: 'static, R: 'static>() -> Direction {
    let is_nothing = |of| of == TypeId::of::<Nothing>();
    if is_nothing(TypeId::of::<R>()) {
        Direction::Sends
    } else if is_nothing(TypeId::of::<S>()) {
        Direction::Receives
    } else {
        Direction::Both
    }
}

impl<S, R> Serialize for Connection<S, R> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let end = self.end();
        // Who receives holds the turn: if that is another thread just now, nothing has been given up half-way.
        if end
            .receiving
            .try_take()
            .is_some_and(|incoming| !incoming.is_empty())
        {
            return Err(ser::Error::custom(refusal(
                "a part of a message has come to this end of a connection: it travels after the rest was received",
            )));
        }
        Travelling {
            direction: end.direction,
            max_message: end.max_message(),
            socket: end.socket.clone(),
        }
        .serialize(serializer)
    }
}

impl<'de, S: 'static, R: 'static> Deserialize<'de> for Connection<S, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let came = Travelling::deserialize(deserializer)?;
        let refused = |why| Err(de::Error::custom(refusal(why)));
        match (came.direction, direction_of::<S, R>()) {
            (came, wanted) if came == wanted => {}
            (Direction::Both, _) => {
                return refused("both directions of a connection came, where one was expected");
            }
            (Direction::Sends, _) => return refused("the sending end of a connection came"),
            (Direction::Receives, _) => return refused("the receiving end of a connection came"),
        }
        if !is_packet_socket(&came.socket) {
            return refused("what came as an end of a connection is no socket of that kind");
        }
        let end = End::new(came.socket, came.direction, came.max_message);
        Ok(Self::new(Arc::new(end)))
    }
}
