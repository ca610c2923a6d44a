//! The 32 bytes in front of every packet.
//!
//! A message is one packet if it fits into one, and several if not: each carries a part of the bytes
//! and of the descriptors, in order, and says of which message it is. All numbers are little-endian.
//!
//! | bytes | |
//! |--|--|
//! | 0–7 | length of the whole message |
//! | 8–15 | where in it the bytes of this packet belong |
//! | 16–19, 20–23 | which message: a number of the end that sends it, and one that this end gave it |
//! | 24–25 | how many descriptors the whole message has |
//! | 26–27 | how many are beside this packet |
//! | 28 | flags |
//! | 29 | version: 1 |
//! | 30–31 | zero |

use crate::sys::MAX_BESIDE;

pub(super) const HEADER_LEN: usize = 32;

/// How long a packet is at most, with its header. Measured: with 16 KiB, large messages take 1.5
/// times as long; beyond, little is won, and a packet has to find room in the socket at once.
pub(super) const MAX_PACKET: usize = 64 * 1024;

/// How much of a message is in one packet at most.
pub(super) const MAX_PART: usize = MAX_PACKET - HEADER_LEN;

const VERSION: u8 = 1;

/// The first packet of its message.
pub(super) const FIRST: u8 = 1;
/// The last one.
pub(super) const LAST: u8 = 2;
/// The message is bytes as they are, not an encoded value.
pub(super) const BYTES: u8 = 4;
/// Nothing more comes of the message: its sender has given it up.
pub(super) const ABANDONED: u8 = 8;

/// Which message a packet is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) sender: u32,
    pub(super) number: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) total: u64,
    pub(super) offset: u64,
    pub(super) tag: Tag,
    pub(super) handles: u16,
    pub(super) beside: u16,
    pub(super) flags: u8,
}

impl Header {
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&self.total.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.tag.sender.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.tag.number.to_le_bytes());
        bytes[24..26].copy_from_slice(&self.handles.to_le_bytes());
        bytes[26..28].copy_from_slice(&self.beside.to_le_bytes());
        bytes[28] = self.flags;
        bytes[29] = VERSION;
        bytes
    }

    /// What can be checked of a header by itself has been.
    pub(super) fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, &'static str> {
        let [
            t0,
            t1,
            t2,
            t3,
            t4,
            t5,
            t6,
            t7,
            o0,
            o1,
            o2,
            o3,
            o4,
            o5,
            o6,
            o7,
            s0,
            s1,
            s2,
            s3,
            n0,
            n1,
            n2,
            n3,
            h0,
            h1,
            b0,
            b1,
            flags,
            version,
            z0,
            z1,
        ] = *bytes;
        let header = Self {
            total: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
            tag: Tag {
                sender: u32::from_le_bytes([s0, s1, s2, s3]),
                number: u32::from_le_bytes([n0, n1, n2, n3]),
            },
            handles: u16::from_le_bytes([h0, h1]),
            beside: u16::from_le_bytes([b0, b1]),
            flags,
        };
        if version != VERSION || [z0, z1] != [0, 0] {
            return Err("its header is not one of this version");
        }
        if flags & !(FIRST | LAST | BYTES | ABANDONED) != 0 {
            return Err("its header has unknown flags");
        }
        if header.offset > header.total || (header.has(FIRST) && header.offset != 0) {
            return Err("its place is not within its message");
        }
        if header.beside > header.handles || usize::from(header.beside) > MAX_BESIDE {
            return Err("it announces more descriptors than it can have");
        }
        Ok(header)
    }
}
