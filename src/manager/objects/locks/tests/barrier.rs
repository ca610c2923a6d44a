use proptest::prelude::*;

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

/// The same, as one would say it: a list of who waits.
#[derive(Default)]
struct Model {
    parties: usize,
    waiting: Vec<Caller>,
    is_broken: bool,
    /// Who has been answered since this was last looked at, and with what.
    answered: Vec<(Caller, Option<u32>)>,
}

impl Model {
    fn wait(&mut self, caller: Caller) {
        if self.is_broken {
            return self.answered.push((caller, None));
        }
        self.waiting.push(caller);
        if self.waiting.len() == self.parties {
            let all = self.waiting.drain(..).zip(0..);
            self.answered
                .extend(all.map(|(caller, at)| (caller, Some(at))));
        }
    }

    fn send_away(&mut self) {
        let all = self.waiting.drain(..);
        self.answered.extend(all.map(|caller| (caller, None)));
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(usize),
    Cancel(usize),
    Close(usize),
    Abort,
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..4_usize).prop_map(Step::Wait),
        1 => (0..8_usize).prop_map(Step::Cancel),
        1 => (0..4_usize).prop_map(Step::Close),
        1 => Just(Step::Abort),
        4 => Just(Step::Reset),
    ]
}

proptest! {
    #[test]
    fn whatever_is_done_all_pass_together_or_are_sent_away(
        parties in 1..6_u32,
        steps in prop::collection::vec(step(), 0..200)
    ) {
        let mut bench = bench(parties);
        let mut model = Model { parties: parties as usize, ..Model::default() };
        // Sessions that end come back as others.
        let mut sessions: Vec<SessionId> = (0..4).map(|at| bench.open(at)).collect();
        let mut next_session = 4;
        let asks = bench.open(u64::MAX - 1);
        for step in steps {
            match step {
                Step::Wait(at) => {
                    let caller = bench.ask(sessions[at], &BarrierOp::Wait);
                    model.wait(caller);
                }
                Step::Cancel(at) if at < model.waiting.len() => {
                    let caller = model.waiting.remove(at);
                    bench.cancel(caller);
                    prop_assert_eq!(bench.result::<()>(caller), Some(Err(Fault::Cancelled)));
                    model.is_broken = true;
                    model.send_away();
                }
                Step::Cancel(_) => {}
                Step::Close(at) => {
                    let session = &mut sessions[at];
                    bench.close(*session);
                    let before = model.waiting.len();
                    model.waiting.retain(|caller| caller.session != *session);
                    if model.waiting.len() < before {
                        model.is_broken = true;
                        model.send_away();
                    }
                    *session = bench.open(next_session);
                    next_session += 1;
                }
                Step::Abort => {
                    prop_assert_eq!(bench.call::<()>(asks, &BarrierOp::Abort), Ok(()));
                    model.is_broken = true;
                    model.send_away();
                }
                Step::Reset => {
                    prop_assert_eq!(bench.call::<()>(asks, &BarrierOp::Reset), Ok(()));
                    model.is_broken = false;
                    model.send_away();
                }
            }
            for (caller, answer) in std::mem::take(&mut model.answered) {
                prop_assert_eq!(bench.result::<Option<u32>>(caller), Some(Ok(answer)));
            }
            let expected = (model.waiting.len() as u32, model.is_broken);
            prop_assert_eq!(state(&mut bench, asks), expected);
            // Nobody else has been told anything.
            prop_assert!(bench.answers.is_empty());
        }
    }
}
