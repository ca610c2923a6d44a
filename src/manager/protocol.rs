//! What travels between a client and a server, once the connection is authenticated.
//!
//! | frame | direction | payload |
//! |--|--|--|
//! | `Request` | to the server | the number of an object, then what is asked of it, in that object's own words |
//! | `Cancel` | to the server | none: the call is not waited for any more |
//! | `Release` | to the server | how many grants of which objects are given back |
//! | `Reply` | to the client | the objects that are granted along with it, then the answer, or a [`Fault`] |
//!
//! `task` in a header is the number of the call, which the client chooses, and does not use again before it has been answered.
//! **Every request is answered exactly once**, in any order; a cancelled one as well, with its answer if that was on its way, or
//! with [`Fault::Cancelled`].
//!
//! # References
//!
//! An object lives while somebody has a reference to it. A connection's references are counted by *grants*: each reply that names an
//! object, in its list of grants, adds one. The client gives back, by `Release`, all the grants that it has counted when it has no proxy
//! of that object any more; one that is on its way meanwhile stays. What a connection has been granted goes with it.

use serde::{Deserialize, Serialize};

use crate::wire::{self, CodecError, shorten_longest};

/// The version of this protocol, told by either side before anything else.
pub(crate) const PROTOCOL: u32 = 1;

/// An object of a server. Numbers are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ObjectId(pub(crate) u64);

impl ObjectId {
    /// The server itself: it makes objects, and finds those that have names.
    pub(crate) const ROOT: Self = Self(0);
}

/// A value of a user's type as it is kept, and travels: encoded, with the objects that proxies in it stand for. The server
/// never decodes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Packed {
    #[serde(with = "serde_bytes")]
    pub(crate) bytes: Vec<u8>,
    pub(crate) refs: Vec<ObjectId>,
}

/// Why a request has no answer. What is expected to happen (a queue is full, a key is not there) is an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fault {
    /// The call was cancelled before it was answered.
    Cancelled,
    /// There is no such object (any more).
    NoObject,
    /// The request is none that this object knows; what the decoder says.
    NotUnderstood(String),
    /// A name stands for no object.
    NoName(String),
    /// A name stands for another object already.
    NameTaken(String),
    /// An object is of another type than it is taken for.
    WrongType { expected: String, found: String },
    /// No such type is registered in the server.
    NoType(String),
    /// A type of a user's has no such method, or does not show it.
    NoMethod { type_name: String, method: String },
    /// A method panicked.
    Panicked {
        method: String,
        message: String,
        at: Box<Whereabouts>,
    },
    /// An index, or a range, that is not within what is there.
    OutOfRange { index: u64, len: u64 },
    /// A number got too large, or too small, for its type.
    Overflow,
    /// Something is given back that the caller does not have.
    NotHeld,
    /// An argument that makes no sense, and what it has to be.
    Invalid(String),
    /// The answer is longer than the server's `max_frame`.
    TooLong { len: u64, max_frame: u64 },
    /// More than the server allows, of what is named.
    TooMany { what: String, limit: u64 },
    /// The server could not do it; what it says.
    Failed(String),
}

/// Where a method panicked, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Whereabouts {
    pub(crate) location: Option<String>,
    pub(crate) backtrace: Option<String>,
}

/// Begins the payload of a request; what is asked is appended by [`wire::encode`].
pub(crate) fn encode_object(object: ObjectId, out: &mut Vec<u8>) -> Result<(), CodecError> {
    wire::encode(&object, out)
}

/// The object that a request is for; what is asked of it is left in `payload`.
pub(crate) fn decode_object(payload: &mut &[u8]) -> Result<ObjectId, CodecError> {
    wire::decode_prefix(payload)
}

/// Begins the payload of a reply: an answer, encoded, follows.
pub(crate) fn begin_answer(grants: &[ObjectId], out: &mut Vec<u8>) -> Result<(), CodecError> {
    wire::encode(&grants.to_vec(), out)?;
    wire::encode(&true, out)
}

impl Fault {
    /// Makes its longest text much shorter; `false` if there is nothing to gain.
    fn shorten(&mut self) -> bool {
        let texts: Vec<&mut String> = match self {
            Self::NotUnderstood(text)
            | Self::NoName(text)
            | Self::NameTaken(text)
            | Self::NoType(text)
            | Self::Invalid(text)
            | Self::Failed(text)
            | Self::TooMany { what: text, .. } => vec![text],
            Self::WrongType {
                expected: one,
                found: other,
            }
            | Self::NoMethod {
                type_name: one,
                method: other,
            } => vec![one, other],
            Self::Panicked {
                method,
                message,
                at,
            } => [
                Some(method),
                Some(message),
                at.location.as_mut(),
                at.backtrace.as_mut(),
            ]
            .into_iter()
            .flatten()
            .collect(),
            Self::Cancelled
            | Self::NoObject
            | Self::OutOfRange { .. }
            | Self::Overflow
            | Self::NotHeld
            | Self::TooLong { .. } => return false,
        };
        shorten_longest(texts)
    }
}

/// The same as [`encode_fault`], whose texts are shortened until it is not longer than this.
pub(crate) fn encode_fault_within(
    fault: &Fault,
    max_len: u64,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let start = out.len();
    encode_fault(fault, out)?;
    let mut shorter = fault.clone();
    while (out.len() - start) as u64 > max_len && shorter.shorten() {
        out.truncate(start);
        encode_fault(&shorter, out)?;
    }
    Ok(())
}

/// The payload of a reply that has no answer.
pub(crate) fn encode_fault(fault: &Fault, out: &mut Vec<u8>) -> Result<(), CodecError> {
    wire::encode(&Vec::<ObjectId>::new(), out)?;
    wire::encode(&false, out)?;
    wire::encode(fault, out)
}

/// A reply taken apart: what is granted, and the encoded answer.
pub(crate) struct Replied<'a> {
    pub(crate) grants: Vec<ObjectId>,
    pub(crate) answer: Result<&'a [u8], Fault>,
}

pub(crate) fn decode_reply(mut payload: &[u8]) -> Result<Replied<'_>, CodecError> {
    let grants = wire::decode_prefix(&mut payload)?;
    let answer = match wire::decode_prefix(&mut payload)? {
        true => Ok(payload),
        false => Err(wire::decode(payload)?),
    };
    Ok(Replied { grants, answer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{self, Header, Kind, golden};
    use crate::manager::objects::containers::ValueOp;
    use crate::manager::store::{self, RootOp, Welcome};

    fn request<O: Serialize + 'static>(object: u64, op: &O) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_object(ObjectId(object), &mut bytes).unwrap();
        wire::encode(op, &mut bytes).unwrap();
        bytes
    }

    fn answer<A: Serialize + 'static>(grants: &[ObjectId], answer: &A) -> Vec<u8> {
        let mut bytes = Vec::new();
        begin_answer(grants, &mut bytes).unwrap();
        wire::encode(answer, &mut bytes).unwrap();
        bytes
    }

    fn fault(fault: &Fault) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_fault(fault, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn requests_and_replies_have_the_documented_bytes() {
        let hello = RootOp::Hello { protocol: PROTOCOL };
        let welcome = Welcome {
            protocol: PROTOCOL,
            max_frame: 1 << 30,
            server: 7,
        };
        let value = Packed {
            bytes: vec![42],
            refs: Vec::new(),
        };
        let create = RootOp::Create {
            kind: store::Kind::Value,
            type_name: "u64".to_owned(),
            init: value.clone(),
        };
        let made = ObjectId(1);
        golden::check(&request(0, &hello), "00 00 01");
        golden::check(&answer(&[], &welcome), "00 01 01 8080808004 07");
        golden::check(&request(0, &create), "00 01 04 03 753634 01 2a 00");
        golden::check(&answer(&[made], &made), "01 01 01 01");
        golden::check(&request(1, &ValueOp::Get), "01 00");
        golden::check(&answer(&[], &value), "00 01 01 2a 00");
    }

    #[test]
    fn what_else_is_said_has_the_documented_bytes() {
        golden::check(&fault(&Fault::NoObject), "00 00 01");
        let out_of_range = Fault::OutOfRange { index: 7, len: 3 };
        golden::check(&fault(&out_of_range), "00 00 09 07 03");

        let mut release = Vec::new();
        wire::encode(&vec![(ObjectId(1), 2_u64)], &mut release).unwrap();
        golden::check(&release, "01 01 02");

        let mut cancel = Vec::new();
        let start = frame::begin(&mut cancel);
        frame::finish(&mut cancel, start, Header::new(Kind::Cancel, 300, 0));
        golden::check(
            &cancel,
            "0000000000000000 2c01000000000000 21 00 0000 00000000",
        );
    }

    #[test]
    fn a_fault_is_shortened_until_it_fits() {
        let long = Fault::Panicked {
            method: "a::Method::of".to_owned(),
            message: "ä".repeat(10_000),
            at: Box::new(Whereabouts {
                location: Some("here".to_owned()),
                backtrace: Some("0: f\n".repeat(10_000)),
            }),
        };
        for max_len in [1 << 20, 4096, 400] {
            let mut bytes = Vec::new();
            encode_fault_within(&long, max_len, &mut bytes).unwrap();
            assert!(bytes.len() as u64 <= max_len, "{} bytes", bytes.len());
            let replied = decode_reply(&bytes).unwrap().answer;
            let Err(Fault::Panicked { method, at, .. }) = replied else {
                panic!("{:?}", replied.map(<[u8]>::len));
            };
            let there = (&*method, at.location.as_deref());
            assert_eq!(there, ("a::Method::of", Some("here")));
        }
    }

    #[test]
    fn kinds_and_faults_have_the_documented_numbers() {
        let number = |bytes: Vec<u8>| *bytes.last().unwrap();
        let kind = |kind: store::Kind| {
            let mut bytes = Vec::new();
            wire::encode(&kind, &mut bytes).unwrap();
            number(bytes)
        };
        assert_eq!(kind(store::Kind::List), 0);
        assert_eq!(kind(store::Kind::Array), 5);
        assert_eq!(kind(store::Kind::BoundedSemaphore), 10);
        assert_eq!(kind(store::Kind::Managed), 15);
        assert_eq!(number(fault(&Fault::Cancelled)), 0);
        assert_eq!(number(fault(&Fault::NotHeld)), 11);
        assert_eq!(fault(&Fault::Failed(String::new()))[2], 15);
        assert_eq!(request(0, &RootOp::Shutdown), [0, 8]);
    }
}
