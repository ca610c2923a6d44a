use proptest::collection::vec;
use proptest::prelude::*;

use super::testing::{Bench, packed, packed_with};
use super::*;
use crate::manager::objects::containers::{Got, ListOp, Put, QueueOp, QueueState};
use crate::manager::protocol::{PROTOCOL, Packed, encode_object};

fn list(bench: &mut Bench, session: SessionId) -> ObjectId {
    bench.create(session, Kind::List, &Vec::<Packed>::new())
}

fn queue(bench: &mut Bench, session: SessionId) -> ObjectId {
    bench.create(session, Kind::Queue, &None::<u64>)
}

/// Puts a value into a list that stands for these objects.
fn keep_in(bench: &mut Bench, session: SessionId, list: ObjectId, objects: &[ObjectId]) {
    let values = vec![packed_with(&"a proxy", objects)];
    bench
        .ask::<_, ()>(session, list, &ListOp::Extend { values })
        .unwrap();
}

fn publish(bench: &mut Bench, session: SessionId, name: &str, object: ObjectId) {
    let name = name.to_owned();
    bench
        .root::<()>(session, &RootOp::Publish { name, object })
        .unwrap();
}

fn get(bench: &mut Bench, session: SessionId, queue: ObjectId) -> Caller {
    bench.begin(session, queue, &QueueOp::Get { wait: true })
}

fn put(bench: &mut Bench, session: SessionId, queue: ObjectId, value: u64) {
    let value = packed(&value);
    let put: Put = bench
        .ask(session, queue, &QueueOp::Put { value, wait: false })
        .unwrap();
    assert!(matches!(put, Put::Done { .. }));
}

fn payload<O: serde::Serialize + 'static>(object: ObjectId, op: &O) -> Vec<u8> {
    let mut payload = Vec::new();
    encode_object(object, &mut payload).unwrap();
    crate::wire::encode(op, &mut payload).unwrap();
    payload
}

#[test]
fn hello_is_answered_with_the_protocol_and_another_one_is_refused() {
    let mut bench = Bench::new();
    let session = bench.session();
    let hello = |protocol| RootOp::Hello { protocol };
    let welcome: Welcome = bench.root(session, &hello(PROTOCOL)).unwrap();
    assert_eq!(welcome.protocol, PROTOCOL);
    let refused = bench.root::<Welcome>(session, &hello(PROTOCOL + 1));
    assert!(matches!(refused, Err(Fault::Invalid(_))), "{refused:?}");
}

#[test]
fn what_is_made_is_granted_and_goes_when_that_is_given_back() {
    let mut bench = Bench::new();
    let session = bench.session();
    let object = list(&mut bench, session);
    assert_eq!(bench.store.len(), 1);

    bench.release(session, object, 1);

    assert_eq!(bench.store.len(), 0);
    let asked = bench.ask::<_, u64>(session, object, &ListOp::Len);
    assert_eq!(asked, Err(Fault::NoObject));
}

#[test]
fn an_object_stays_until_as_many_grants_are_given_back_as_were_given() {
    let mut bench = Bench::new();
    let session = bench.session();
    let object = list(&mut bench, session);
    for _ in 0..2 {
        bench.root::<()>(session, &RootOp::Hold { object }).unwrap();
    }
    bench.release(session, object, 1);
    bench.release(session, object, 1);
    assert_eq!(bench.store.len(), 1);
    bench.release(session, object, 1);
    assert_eq!(bench.store.len(), 0);
}

#[test]
fn more_grants_given_back_than_given_are_all_and_not_those_of_others() {
    let mut bench = Bench::new();
    let (one, other) = (bench.session(), bench.session());
    let object = list(&mut bench, one);
    bench.root::<()>(other, &RootOp::Hold { object }).unwrap();

    bench.release(one, object, u64::MAX);
    bench.release(one, object, 1);
    bench.release(one, ObjectId(99), 1);
    bench.release(SessionId(99), object, 1);

    assert_eq!(bench.ask(other, object, &ListOp::Len), Ok(0u64));
    bench.release(other, object, 1);
    assert_eq!(bench.store.len(), 0);
}

#[test]
fn a_session_that_ends_lets_go_of_all_that_it_was_granted() {
    let mut bench = Bench::new();
    let (one, other) = (bench.session(), bench.session());
    let shared = list(&mut bench, one);
    let own = list(&mut bench, one);
    bench
        .root::<()>(other, &RootOp::Hold { object: shared })
        .unwrap();

    bench.close(one);

    assert_eq!(bench.store.sessions(), 1);
    assert_eq!(bench.store.len(), 1);
    assert_eq!(bench.ask(other, shared, &ListOp::Len), Ok(0u64));
    let asked = bench.ask::<_, u64>(other, own, &ListOp::Len);
    assert_eq!(asked, Err(Fault::NoObject));
}

#[test]
fn a_session_that_is_not_there_asks_nothing_and_ends_nothing() {
    let mut bench = Bench::new();
    let session = SessionId(7);
    let caller = Caller { session, call: 1 };
    assert!(
        !bench
            .store
            .ask(caller, &payload(ObjectId::ROOT, &RootOp::Names))
    );
    bench.store.cancel(caller);
    bench.store.close(session);
    assert!(bench.store.take_effects().is_empty());
}

#[test]
fn what_a_value_refers_to_stays_while_the_value_does() {
    let mut bench = Bench::new();
    let session = bench.session();
    let outer = list(&mut bench, session);
    let inner = list(&mut bench, session);
    keep_in(&mut bench, session, outer, &[inner]);
    bench.release(session, inner, 1);
    assert_eq!(bench.store.len(), 2);

    // It is got: granted along with the answer.
    let got = bench.begin(session, outer, &ListOp::Get { index: 0 });
    assert_eq!(bench.raw_answer(got).unwrap().unwrap().granted, [inner]);

    bench
        .ask::<_, ()>(session, outer, &ListOp::Truncate { len: 0 })
        .unwrap();
    assert_eq!(bench.store.len(), 2, "there is a grant");
    bench.release(session, inner, 1);
    assert_eq!(bench.store.len(), 1);
}

#[test]
fn a_chain_of_objects_goes_with_its_first_link() {
    let mut bench = Bench::new();
    let session = bench.session();
    let first = list(&mut bench, session);
    let mut last = first;
    for _ in 0..1000 {
        let next = list(&mut bench, session);
        keep_in(&mut bench, session, last, &[next]);
        if last != first {
            bench.release(session, last, 1);
        }
        last = next;
    }
    bench.release(session, last, 1);
    assert_eq!(bench.store.len(), 1001);
    bench.release(session, first, 1);
    assert_eq!(bench.store.len(), 0);
}

#[test]
fn an_object_that_is_in_itself_stays_until_it_is_taken_out() {
    let mut bench = Bench::new();
    let session = bench.session();
    let object = list(&mut bench, session);
    keep_in(&mut bench, session, object, &[object]);
    bench.release(session, object, 1);
    assert_eq!(bench.store.len(), 1, "a circle");

    let cleared = bench.ask::<_, ()>(session, object, &ListOp::Truncate { len: 0 });

    assert_eq!(cleared, Ok(()));
    assert_eq!(bench.store.len(), 0);
}

#[test]
fn a_value_that_refers_to_what_is_not_there_is_refused() {
    let mut bench = Bench::new();
    let session = bench.session();
    let object = list(&mut bench, session);
    let values = vec![packed(&1u64), packed_with(&2u64, &[ObjectId(99)])];
    let kept = bench.ask::<_, ()>(session, object, &ListOp::Extend { values });
    assert_eq!(kept, Err(Fault::NoObject));
    assert_eq!(bench.ask(session, object, &ListOp::Len), Ok(0u64));
    let created = bench.try_create(session, Kind::Value, packed_with(&2u64, &[ObjectId(99)]));
    assert_eq!(created, Err(Fault::NoObject));
    assert_eq!(bench.store.len(), 1);
}

#[test]
fn a_name_keeps_its_object_until_it_is_taken_away() {
    let mut bench = Bench::new();
    let (one, other) = (bench.session(), bench.session());
    let object = list(&mut bench, one);
    publish(&mut bench, one, "jobs", object);
    publish(&mut bench, one, "jobs", object); // again: nothing
    bench.close(one);

    let name = || "jobs".to_owned();
    let found: (ObjectId, Kind, String) =
        bench.root(other, &RootOp::Lookup { name: name() }).unwrap();
    assert_eq!(found, (object, Kind::List, "test".to_owned()));
    assert_eq!(bench.root(other, &RootOp::Names), Ok(vec![name()]));
    let unpublish = RootOp::Unpublish { name: name() };
    assert_eq!(bench.root(other, &unpublish), Ok(true));
    assert_eq!(bench.root(other, &unpublish), Ok(false));
    assert_eq!(bench.store.len(), 1, "it was granted to whoever looked");
    bench.release(other, object, 1);
    assert_eq!(bench.store.len(), 0);
}

#[test]
fn a_name_is_not_given_twice_nor_to_nothing_and_has_a_length() {
    let mut bench = Bench::new();
    let session = bench.session();
    let object = list(&mut bench, session);
    let other = list(&mut bench, session);
    publish(&mut bench, session, "jobs", object);
    let mut publish = |name: &str, object| {
        let name = name.to_owned();
        bench.root::<()>(session, &RootOp::Publish { name, object })
    };

    let taken = publish("jobs", other);
    assert_eq!(taken, Err(Fault::NameTaken("jobs".to_owned())));
    assert_eq!(publish("more", ObjectId(99)), Err(Fault::NoObject));
    assert_eq!(publish("more", ObjectId::ROOT), Err(Fault::NoObject));
    assert!(matches!(publish("", other), Err(Fault::Invalid(_))));
    assert_eq!(publish(&"n".repeat(255), other), Ok(()));
    let long = publish(&"n".repeat(256), other);
    assert!(matches!(long, Err(Fault::Invalid(_))));
    let name = "nobody".to_owned();
    let found = bench.root::<(ObjectId, Kind, String)>(session, &RootOp::Lookup { name });
    assert_eq!(found, Err(Fault::NoName("nobody".to_owned())));
}

#[test]
fn status_counts_and_shutdown_is_answered() {
    let mut bench = Bench::new();
    let session = bench.session();
    let _other = bench.session();
    list(&mut bench, session);
    let status = Status {
        objects: 1,
        connections: 2,
        pid: std::process::id(),
    };
    assert_eq!(bench.root(session, &RootOp::Status), Ok(status));
    assert!(!bench.is_shut_down);
    assert_eq!(bench.root(session, &RootOp::Shutdown), Ok(()));
    assert!(bench.is_shut_down);
}

#[test]
fn a_kind_that_nobody_makes_is_refused_and_leaves_nothing() {
    let mut bench = Bench::new();
    let session = bench.session();
    let made = bench.try_create(session, Kind::List, packed(&"no list"));
    assert!(matches!(made, Err(Fault::NotUnderstood(_))), "{made:?}");
    assert_eq!(bench.store.len(), 0);
}

#[test]
fn a_call_number_that_waits_is_not_used_twice() {
    let mut bench = Bench::new();
    let session = bench.session();
    let queue = queue(&mut bench, session);
    let call = get(&mut bench, session, queue);

    let again = bench.store.ask(call, &payload(queue, &QueueOp::State));
    assert!(!again, "its session is to be ended");

    put(&mut bench, session, queue, 1);
    let answer = bench.answer::<Got<Packed>>(call).unwrap().unwrap();
    assert!(matches!(answer, Got::Item { .. }));
}

#[test]
fn a_call_number_is_free_when_its_call_has_been_answered() {
    let mut bench = Bench::new();
    let session = bench.session();
    let queue = queue(&mut bench, session);
    let call = Caller {
        session,
        call: 1000,
    };
    // Twice before anybody has taken the first answer.
    assert!(bench.store.ask(call, &payload(queue, &QueueOp::State)));
    let waiting = payload(queue, &QueueOp::Get { wait: true });
    assert!(bench.store.ask(call, &waiting));
    bench.store.ask(
        Caller {
            session,
            call: 1001,
        },
        &payload(ObjectId::ROOT, &RootOp::Names),
    );

    assert!(!bench.store.ask(call, &waiting), "it waits");

    bench.store.cancel(call);
    let cancelled = bench.store.take_effects().into_iter().filter(|effect| {
        matches!(effect, Effect::Fail { caller, fault: Fault::Cancelled } if *caller == call)
    });
    assert_eq!(cancelled.count(), 1);
}

#[test]
fn sessions_use_the_same_numbers_without_knowing_of_each_other() {
    let mut bench = Bench::new();
    let (one, other) = (bench.session(), bench.session());
    let queue = queue(&mut bench, one);
    let get = payload(queue, &QueueOp::Get { wait: true });
    let callers = [one, other].map(|session| Caller { session, call: 500 });
    for caller in callers {
        assert!(bench.store.ask(caller, &get));
    }
    bench.cancel(callers[0]);
    put(&mut bench, one, queue, 5);
    let cancelled = bench.answer::<Got<Packed>>(callers[0]).unwrap();
    assert_eq!(cancelled, Err(Fault::Cancelled));
    let answered = bench.answer::<Got<Packed>>(callers[1]).unwrap();
    assert!(answered.is_ok());
}

#[test]
fn as_many_calls_wait_as_may_and_no_more() {
    let mut bench = Bench::new();
    let session = bench.session();
    let queue = queue(&mut bench, session);
    let calls: Vec<Caller> = (0..MAX_CALLS)
        .map(|_| get(&mut bench, session, queue))
        .collect();
    assert!(bench.waits(calls[MAX_CALLS - 1]));
    // A client has no more of those. What it gives back beyond that does not wait.
    bench
        .ask::<_, QueueState>(session, queue, &QueueOp::State)
        .unwrap();
    let last = get(&mut bench, session, queue);
    assert!(bench.waits(last));

    let refused = bench.ask::<_, Got<Packed>>(session, queue, &QueueOp::Get { wait: true });
    let limit = MAX_CALLS as u64;
    match refused {
        Err(Fault::TooMany { limit: told, .. }) => assert_eq!(told, limit),
        other => panic!("{other:?}"),
    }
    bench.cancel(calls[17]);
    let one_more = get(&mut bench, session, queue);
    assert!(bench.waits(one_more));
}

#[test]
fn who_waits_for_an_object_that_goes_is_told() {
    let mut bench = Bench::new();
    let (owner, other) = (bench.session(), bench.session());
    let queue = queue(&mut bench, owner);
    let own = get(&mut bench, owner, queue);
    let others = get(&mut bench, other, queue); // which has no grant

    bench.release(owner, queue, 1);

    for call in [own, others] {
        let answer = bench.answer::<Got<Packed>>(call).unwrap();
        assert_eq!(answer, Err(Fault::NoObject));
    }
    assert_eq!(bench.store.len(), 0);
}

#[test]
fn an_answer_is_as_long_as_may_be_and_no_longer_with_what_it_grants() {
    let mut bench = Bench::with_max_frame(200);
    let session = bench.session();
    let object = list(&mut bench, session);
    let get = ListOp::Get { index: 0 };
    let refs = vec![object; 30];
    let mut longest = 0;
    for len in 0..200 {
        let value = Packed {
            bytes: vec![0; len],
            refs: refs.clone(),
        };
        let set = ListOp::Splice {
            start: 0,
            end: None,
            values: vec![value],
        };
        let set = bench.begin(session, object, &set);
        if let Err(fault) = bench.raw_answer(set).unwrap() {
            // What was there before was too long to be answered with, and stays.
            assert!(matches!(fault, Fault::TooLong { max_frame: 200, .. }));
            break;
        }
        let got = bench.begin(session, object, &get);
        let Ok(answer) = bench.raw_answer(got).unwrap() else {
            continue;
        };
        let mut reply = Vec::new();
        crate::manager::protocol::begin_answer(&answer.granted, &mut reply).unwrap();
        longest = reply.len() + answer.bytes.len();
        assert!(longest <= 200, "{longest}");
    }
    assert_eq!(longest, 200);
}

#[test]
fn what_is_not_understood_is_said_and_the_object_goes_on() {
    let mut bench = Bench::new();
    let session = bench.session();
    let object = list(&mut bench, session);
    for (target, bytes) in [
        (object, &[0xff; 9][..]),
        (object, &[]),
        (ObjectId::ROOT, &[77]),
    ] {
        let call = bench.begin_raw(session, target, bytes);
        let answer = bench.raw_answer(call).unwrap();
        assert!(matches!(answer, Err(Fault::NotUnderstood(_))), "{answer:?}");
    }
    assert_eq!(bench.ask(session, object, &ListOp::Len), Ok(0u64));
    let nothing = Caller { session, call: 999 };
    assert!(!bench.store.ask(nothing, &[]), "not even an object");
}

#[test]
fn what_is_said_to_an_object_that_is_gone_is_not_heard() {
    let mut bench = Bench::new();
    let session = bench.session();
    let object = list(&mut bench, session);
    bench.release(session, object, 1);
    bench.store.hear(object, Box::new("too late"));
    assert!(bench.store.take_effects().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_payload_is_the_end_of_a_store(payloads in vec(vec(any::<u8>(), 0..40), 1..20), near in any::<bool>()) {
        let mut bench = Bench::new();
        let session = bench.session();
        list(&mut bench, session);
        queue(&mut bench, session);
        for (call, mut bytes) in payloads.into_iter().enumerate() {
            if near && bytes.len() > 1 {
                bytes[0] %= 4;
                bytes[1] %= 16;
            }
            let caller = Caller { session, call: 1_000_000 + call as u64 };
            bench.store.ask(caller, &bytes);
            bench.collect();
        }
        bench.close(session);
        prop_assert!(bench.store.sessions() == 0);
    }
}
