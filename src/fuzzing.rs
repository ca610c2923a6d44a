//! What the fuzz targets in `fuzz/` call, one function per target. Each takes any bytes whatsoever
//! and panics only where this crate is wrong; a test replays the corpora through the same functions
//! with no fuzzer.
//!
//! `cargo +nightly fuzz run frame -- -max_total_time=60` runs one, after `cargo install cargo-fuzz`.

/// Bytes to frames: memory, order, and indifference to how the bytes are split.
pub fn frame(data: &[u8]) {
    crate::frame::fuzz(data);
}

/// Payloads of every kind: what decodes also encodes, to the same value.
pub fn message(data: &[u8]) {
    crate::wire::fuzz(data);
}

/// Packets of connections to messages: memory, and what one of them can spoil.
pub fn packets(data: &[u8]) {
    crate::pipe::fuzz(data);
}

/// Events to the scheduler, against its model.
pub fn scheduler(data: &[u8]) {
    crate::scheduler::fuzz(data);
}

/// How a client proves the key to a manager's server.
pub fn handshake(data: &[u8]) {
    crate::manager::fuzz::handshake(data);
}

/// What clients ask of a manager's server: every call is answered once.
pub fn requests(data: &[u8]) {
    crate::manager::fuzz::requests(data);
}

#[cfg(test)]
mod corpus;

#[cfg(test)]
type Target = (&'static str, fn(&[u8]));

/// Every target, by the name of its file in `fuzz/fuzz_targets`.
#[cfg(test)]
const TARGETS: &[Target] = &[
    ("frame", frame),
    ("message", message),
    ("packets", packets),
    ("scheduler", scheduler),
    ("handshake", handshake),
    ("requests", requests),
];
