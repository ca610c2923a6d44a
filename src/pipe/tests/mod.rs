//! Connections within one process, and with children that are this test binary.

use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::end::{DEFAULT_MAX_MESSAGE, Direction, End};
use super::packet::{FIRST, Header, LAST};
use super::*;
use crate::primitives::watched;
use crate::wire::{self, handles};

mod asynchronous;
mod bad_peers;
mod behaviours;
mod limits;
mod packets;
mod processes;
mod several;
mod travel;

/// Longer than any test may take.
const LONG: Duration = Duration::from_secs(60);

/// A connection, and the socket that is its other end.
fn with_raw_peer<T>() -> (Connection<T>, OwnedFd) {
    let (ours, theirs) = crate::sys::packet_pair().unwrap();
    let end = End::new(ours.into(), Direction::Both, DEFAULT_MAX_MESSAGE);
    (Connection::new(Arc::new(end)), theirs)
}

fn send_raw(socket: &OwnedFd, header: &Header, bytes: &[u8], beside: &[OwnedFd]) {
    send_garbage(socket, &[&header.encode(), bytes].concat(), beside);
}

fn send_garbage(socket: &OwnedFd, packet: &[u8], beside: &[OwnedFd]) {
    let beside: Vec<_> = beside.iter().map(|fd| fd.as_fd()).collect();
    crate::sys::send_packet(socket.as_fd(), &[IoSlice::new(packet)], &beside, true).unwrap();
}

/// The header of a message that is one packet.
fn whole(len: usize) -> Header {
    Header {
        total: len as u64,
        flags: FIRST | LAST,
        ..Header::default()
    }
}

/// The first packet of a message of 100,000 bytes, which are all 2.
fn send_half(socket: &OwnedFd) {
    let header = Header {
        total: 100_000,
        flags: FIRST,
        ..Header::default()
    };
    send_raw(socket, &header, &[2; 60_000], &[]);
}

fn send_other_half(socket: &OwnedFd) {
    let header = Header {
        total: 100_000,
        offset: 60_000,
        flags: LAST,
        ..Header::default()
    };
    send_raw(socket, &header, &[2; 40_000], &[]);
}

/// A value after its way to another process: here, back into this one.
fn travelled<T: Serialize + 'static, U: DeserializeOwned + 'static>(
    value: &T,
) -> Result<U, wire::CodecError> {
    let mut bytes = Vec::new();
    let (encoded, came) = handles::collect(|| wire::encode(value, &mut bytes));
    encoded?;
    handles::provide(&came, || wire::decode(&bytes))
}

/// Another copy of an end, with nothing in common but the socket: as another process has it.
fn copy_of<T: 'static>(end: &Connection<T>) -> Connection<T> {
    travelled(end).unwrap()
}
