//! `tracing`: its events are sent by a subscriber, and said again to the subscriber.
//!
//! Spans are not said again: the subscriber of a worker keeps those that are open, and an event brings along, as text, those
//! that are around it.

mod forward;
mod place;
mod say;
mod spans;

use tracing_core::LevelFilter;

pub(super) use self::forward::forward;
pub(super) use self::say::say;
use crate::wire::Level;

/// The most verbose level that this process listens to.
pub(super) fn heard() -> Option<Level> {
    Some(from_tracing(LevelFilter::current().into_level()?))
}

fn from_tracing(level: tracing_core::Level) -> Level {
    match level {
        tracing_core::Level::ERROR => Level::Error,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::TRACE => Level::Trace,
    }
}

fn to_tracing(level: Level) -> tracing_core::Level {
    match level {
        Level::Error => tracing_core::Level::ERROR,
        Level::Warn => tracing_core::Level::WARN,
        Level::Info => tracing_core::Level::INFO,
        Level::Debug => tracing_core::Level::DEBUG,
        Level::Trace => tracing_core::Level::TRACE,
    }
}
