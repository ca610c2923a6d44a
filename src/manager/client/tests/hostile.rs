//! Servers that do not keep to the protocol.

use std::sync::mpsc;

use proptest::prelude::*;

use super::fake::Op;
use super::{ask, is_lost, object};
use crate::frame::{self, Header, Kind};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Remote, granted, unpack};
use crate::manager::protocol::{ObjectId, Packed, begin_answer};
use crate::sync::tests::watched;
use crate::wire;

/// The number of the first call on a connection: of those that are made here, the one that is answered by what a case makes up.
const FIRST: u64 = 1;

fn frame(kind: Kind, call: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let start = frame::begin(&mut bytes);
    bytes.extend_from_slice(payload);
    frame::finish(&mut bytes, start, Header::new(kind, call, 0));
    bytes
}

fn reply(grants: &[ObjectId], answer: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    begin_answer(grants, &mut payload).unwrap();
    payload.extend_from_slice(answer);
    frame(Kind::Reply, FIRST, &payload)
}

/// A value with a proxy of an object in it, and one that it grants: what clients decode most of.
fn values(remote: &Remote) -> Calling<(Vec<Vec<u64>>, Vec<Remote>)> {
    remote.call(&Op::Wait, |answer: Vec<(Packed, ObjectId)>| {
        let values = answer.iter().map(|(packed, _)| unpack::<Vec<u64>>(packed));
        let granted = answer.iter().map(|(_, id)| granted(*id));
        Ok((
            values.collect::<Result<_, _>>()?,
            granted.collect::<Result<_, _>>()?,
        ))
    })
}

/// What becomes of a call whose server writes these bytes, and goes.
fn answered(bytes: Vec<u8>) -> Result<(Vec<Vec<u64>>, Vec<Remote>), ManagerError> {
    let (tell, told) = mpsc::channel();
    watched(move || {
        let (remote, _) = object();
        let call = values(&remote);
        // Its own answer, which comes first, may be the last that comes.
        let _ = ask(&remote, &Op::Write(bytes)).wait();
        let answer = call.wait();
        let known = answer.as_ref().map_or(0, |(_, granted)| granted.len());
        // What was granted and is nobody's has gone.
        assert!(remote.site().objects() <= 2 + known);
        assert!(is_lost(ask(&remote, &Op::Wait).wait()));
        tell.send(answer).unwrap();
    });
    told.recv().expect("it has ended")
}

fn encoded<T: serde::Serialize + 'static>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(value, &mut bytes).unwrap();
    bytes
}

#[test]
fn what_was_not_granted_is_not_there() {
    let packed = |refs: &[u64]| Packed {
        bytes: encoded(&vec![7_u64]),
        refs: refs.iter().copied().map(ObjectId).collect(),
    };
    let answer = encoded(&vec![(packed(&[9]), ObjectId(8))]);
    let fine = answered(reply(&[ObjectId(8)], &answer)).unwrap();
    assert_eq!(fine.0, [[7]]);
    let lacking = answered(reply(&[ObjectId(9)], &answer));
    assert!(matches!(lacking, Err(ManagerError::NoObject)));
    // Many more than anybody asked for.
    let many: Vec<ObjectId> = (100..100_000).map(ObjectId).collect();
    assert!(answered(reply(&many, &answer)).is_err());
}

#[test]
fn lengths_that_are_only_claimed_cost_nothing() {
    let huge = encoded(&(1_u64 << 40));
    // Of the list of grants, of the answer, of a value in it.
    let claims = [
        frame(Kind::Reply, FIRST, &huge),
        reply(&[], &huge),
        reply(&[], &[&[1][..], &huge].concat()),
        reply(
            &[],
            &encoded(&vec![(
                Packed {
                    bytes: huge.clone(),
                    refs: Vec::new(),
                },
                ObjectId(1),
            )]),
        ),
    ];
    for claim in claims {
        assert!(answered(claim).is_err());
    }
    // A frame of half of all memory, of which nothing comes.
    let mut header = Header::new(Kind::Reply, FIRST, 0);
    header.len = 500 << 20;
    assert!(is_lost(answered(header.encode().to_vec())));
    header.len = u64::MAX;
    assert!(is_lost(answered(header.encode().to_vec())));
}

#[test]
fn answers_that_nobody_asked_for_end_the_connection() {
    let fine = reply(&[], &encoded(&Vec::<(Packed, ObjectId)>::new()));
    for bytes in [
        frame(Kind::Reply, 1000, &[0, 1]),
        frame(Kind::Request, FIRST, &[0, 1]),
        frame(Kind::Release, FIRST, &[]),
    ] {
        assert!(is_lost(answered(bytes.clone())));
        // What comes along with it may be there.
        let _ = answered([fine.clone(), bytes.clone()].concat());
        let _ = answered([bytes, fine.clone()].concat());
    }
    let _ = answered([fine.clone(), fine].concat());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_server_says_calls_end(
        grants in prop::collection::vec(0..20_u64, 0..20),
        answer in prop::collection::vec(0..12_u8, 0..60),
        rest in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let grants: Vec<ObjectId> = grants.into_iter().map(ObjectId).collect();
        let mut bytes = reply(&grants, &answer);
        bytes.extend(rest);
        let _ = answered(bytes);
    }
}
