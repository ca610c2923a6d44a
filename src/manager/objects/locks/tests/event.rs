use super::Bench;
use crate::manager::objects::locks::EventOp;
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Kind};

fn bench() -> Bench {
    Bench::new(Kind::Event, &())
}

#[test]
fn it_is_set_and_cleared() {
    let mut bench = bench();
    let session = bench.open(1);

    for (op, is_set) in [
        (EventOp::Clear, false),
        (EventOp::Set, true),
        (EventOp::Set, true),
        (EventOp::Clear, false),
    ] {
        assert_eq!(bench.call::<()>(session, &op), Ok(()));
        assert_eq!(bench.call::<bool>(session, &EventOp::IsSet), Ok(is_set));
    }
}

#[test]
fn all_who_wait_go_on_when_it_is_set_even_if_it_is_cleared_at_once() {
    let mut bench = bench();
    let (waits, sets) = (bench.open(1), bench.open(2));
    let waiting: Vec<Caller> = (0..10_000)
        .map(|_| bench.ask(waits, &EventOp::Wait))
        .collect();
    for caller in waiting.iter().rev().step_by(2) {
        bench.cancel(*caller);
    }

    bench.ask(sets, &EventOp::Set);
    bench.ask(sets, &EventOp::Clear);

    for (at, caller) in waiting.iter().rev().enumerate() {
        let expected = if at % 2 == 0 {
            Err(Fault::Cancelled)
        } else {
            Ok(())
        };
        assert_eq!(bench.result::<()>(*caller), Some(expected));
    }
    let later = bench.ask(waits, &EventOp::Wait);
    assert!(bench.waits(later));
}

#[test]
fn who_comes_when_it_is_set_does_not_wait() {
    let mut bench = bench();
    let session = bench.open(1);
    bench.ask(session, &EventOp::Set);

    assert_eq!(bench.call::<()>(session, &EventOp::Wait), Ok(()));
}

#[test]
fn a_session_that_ends_while_it_waits_is_taken_out_and_one_that_has_set_it_leaves_it_set() {
    let mut bench = bench();
    let (dies, sets, lives) = (bench.open(1), bench.open(2), bench.open(3));
    let gone = bench.ask(dies, &EventOp::Wait);

    bench.close(dies);
    bench.ask(sets, &EventOp::Set);
    bench.close(sets);

    assert!(bench.waits(gone));
    assert_eq!(bench.call::<bool>(lives, &EventOp::IsSet), Ok(true));
}
