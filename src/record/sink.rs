//! Where the records of a worker go.

use std::sync::OnceLock;

use super::cut::Room;
use crate::wire::{Record, Wanted};

/// Where records go.
struct Sink {
    room: Room,
    send: Box<dyn Fn(Record) + Send + Sync>,
}

static SINK: OnceLock<Sink> = OnceLock::new();

/// From now on, what is said in this process goes to `send`, in records that fit into `max_frame` bytes: through whichever
/// facade is wanted, unless something else listens to that already.
pub(crate) fn forward(
    wanted: Wanted,
    max_frame: u64,
    send: impl Fn(Record) + Send + Sync + 'static,
) {
    if wanted == Wanted::default() {
        return;
    }
    let (room, send) = (Room::of(max_frame), Box::new(send));
    if SINK.set(Sink { room, send }).is_err() {
        // A process becomes a worker once.
        return;
    }
    #[cfg(feature = "log")]
    if let Some(level) = wanted.log {
        super::log::forward(level);
    }
    #[cfg(feature = "tracing")]
    if let Some(level) = wanted.tracing {
        super::tracing::forward(level);
    }
}

/// Makes a record and sends it.
pub(super) fn send(record: impl FnOnce(Room) -> Record) {
    if let Some(sink) = SINK.get() {
        (sink.send)(record(sink.room));
    }
}

/// How long things may be in this process.
#[cfg(feature = "tracing")]
pub(super) fn room() -> Option<Room> {
    SINK.get().map(|sink| sink.room)
}
