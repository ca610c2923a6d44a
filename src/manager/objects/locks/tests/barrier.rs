use super::Bench;
use crate::manager::objects::locks::{BarrierOp, BarrierState};
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Kind, SessionId};

fn bench(parties: u32) -> Bench {
    Bench::new(Kind::Barrier, &parties)
}

fn passed(bench: &mut Bench, caller: Caller) -> Option<u32> {
    let answer = bench.result::<Option<u32>>(caller);
    answer.expect("it is answered").expect("it is no fault")
}

fn state(bench: &mut Bench, session: SessionId) -> (u32, bool) {
    let state = bench.call::<BarrierState>(session, &BarrierOp::State);
    let state = state.unwrap();
    (state.waiting, state.is_broken)
}

#[test]
fn one_for_nobody_is_refused() {
    let refused = Bench::try_new(Kind::Barrier, &0_u32);
    assert!(matches!(refused, Err(Fault::Invalid(_))));
}

#[test]
fn one_for_one_lets_it_pass() {
    let mut bench = bench(1);
    let session = bench.open(1);
    for _ in 0..2 {
        let party = bench.ask(session, &BarrierOp::Wait);
        assert_eq!(passed(&mut bench, party), Some(0));
    }
}

#[test]
fn all_pass_when_all_are_there_again_and_again() {
    let mut bench = bench(3);
    let session = bench.open(1);
    for _ in 0..2 {
        let [first, second] = [(); 2].map(|()| bench.ask(session, &BarrierOp::Wait));
        assert!(bench.waits(first) && bench.waits(second));
        assert_eq!(state(&mut bench, session), (2, false));

        let third = bench.ask(session, &BarrierOp::Wait);

        let places = [first, second, third].map(|party| passed(&mut bench, party));
        assert_eq!(places, [Some(0), Some(1), Some(2)]);
        assert_eq!(state(&mut bench, session), (0, false));
    }
}

#[test]
fn a_party_that_is_cancelled_breaks_it_until_it_is_reset() {
    let mut bench = bench(3);
    let session = bench.open(1);
    let [cancelled, other] = [(); 2].map(|()| bench.ask(session, &BarrierOp::Wait));

    bench.cancel(cancelled);

    assert_eq!(bench.result::<()>(cancelled), Some(Err(Fault::Cancelled)));
    assert_eq!(passed(&mut bench, other), None);
    let late = bench.ask(session, &BarrierOp::Wait);
    assert_eq!(passed(&mut bench, late), None);
    assert_eq!(state(&mut bench, session), (0, true));

    assert_eq!(bench.call::<()>(session, &BarrierOp::Reset), Ok(()));
    let party = bench.ask(session, &BarrierOp::Wait);
    assert!(bench.waits(party));
}

#[test]
fn a_party_whose_session_ends_breaks_it() {
    let mut bench = bench(3);
    let (dies, lives) = (bench.open(1), bench.open(2));
    let gone = bench.ask(dies, &BarrierOp::Wait);
    let other = bench.ask(lives, &BarrierOp::Wait);

    bench.close(dies);

    assert!(bench.waits(gone));
    assert_eq!(passed(&mut bench, other), None);
    assert_eq!(state(&mut bench, lives), (0, true));
}

#[test]
fn a_session_that_does_not_wait_ends_without_breaking_it() {
    let mut bench = bench(2);
    let (dies, lives) = (bench.open(1), bench.open(2));
    state(&mut bench, dies);
    let party = bench.ask(lives, &BarrierOp::Wait);

    bench.close(dies);

    assert!(bench.waits(party));
    assert_eq!(state(&mut bench, lives), (1, false));
}

#[test]
fn abort_and_reset_send_away_those_who_wait() {
    for (op, is_broken) in [(BarrierOp::Abort, true), (BarrierOp::Reset, false)] {
        let mut bench = bench(2);
        let session = bench.open(1);
        let party = bench.ask(session, &BarrierOp::Wait);

        assert_eq!(bench.call::<()>(session, &op), Ok(()));

        assert_eq!(passed(&mut bench, party), None);
        assert_eq!(state(&mut bench, session), (0, is_broken));
    }
}

#[test]
fn ten_thousand_wait_and_pass_or_are_sent_away() {
    let mut bench = bench(10_000);
    let parties = |bench: &mut Bench, count: u64| -> Vec<Caller> {
        (0..count)
            .map(|at| {
                let session = bench.open(at);
                bench.ask(session, &BarrierOp::Wait)
            })
            .collect()
    };
    let all = parties(&mut bench, 10_000);
    for (at, party) in (0..).zip(all) {
        assert_eq!(passed(&mut bench, party), Some(at));
    }

    let all = parties(&mut bench, 9_999);
    bench.cancel(all[5_000]);
    let broken = all.iter().filter(|party| !bench.waits(**party));
    assert_eq!(broken.count(), 9_999);
}
