use std::collections::VecDeque;

use proptest::prelude::*;

use super::Bench;
use crate::manager::objects::locks::SemaphoreOp;
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Kind, SessionId};

const ACQUIRE: SemaphoreOp = SemaphoreOp::Acquire { wait: true };
const TRY: SemaphoreOp = SemaphoreOp::Acquire { wait: false };

fn bench(permits: u64) -> Bench {
    Bench::new(Kind::Semaphore, &permits)
}

fn bounded(permits: u64) -> Bench {
    Bench::new(Kind::BoundedSemaphore, &permits)
}

fn value(bench: &mut Bench) -> u64 {
    let looks = bench.open(u64::MAX);
    bench.call(looks, &SemaphoreOp::Value).unwrap()
}

fn release(bench: &mut Bench, session: SessionId, permits: u64) -> bool {
    let released = bench.call(session, &SemaphoreOp::Release { permits });
    released.unwrap()
}

fn has(bench: &mut Bench, caller: Caller) -> bool {
    bench.result::<bool>(caller) == Some(Ok(true))
}

#[test]
fn so_many_have_it_and_the_others_come_in_order() {
    let mut bench = bench(2);
    let session = bench.open(1);
    let callers: Vec<Caller> = (0..4).map(|_| bench.ask(session, &ACQUIRE)).collect();
    assert!(has(&mut bench, callers[0]) && has(&mut bench, callers[1]));
    assert_eq!(bench.call::<bool>(session, &TRY), Ok(false));

    assert_eq!(bench.call::<()>(session, &SemaphoreOp::GiveBack), Ok(()));

    assert!(has(&mut bench, callers[2]));
    assert!(bench.waits(callers[3]));
    assert!(release(&mut bench, session, 1));
    assert!(has(&mut bench, callers[3]));
}

#[test]
fn whoever_comes_adds_permits_to_a_plain_one() {
    let mut bench = bench(0);
    let (waits, releases) = (bench.open(1), bench.open(2));
    let [first, second] = [(); 2].map(|()| bench.ask(waits, &ACQUIRE));

    assert!(release(&mut bench, releases, 5));

    assert!(has(&mut bench, first) && has(&mut bench, second));
    assert_eq!(value(&mut bench), 3);
    assert!(!release(&mut bench, releases, u64::MAX));
    assert_eq!(value(&mut bench), 3);
}

#[test]
fn a_bounded_one_has_never_more_than_it_began_with() {
    let mut bench = bounded(2);
    let session = bench.open(1);
    assert!(!release(&mut bench, session, 1));
    bench.ask(session, &ACQUIRE);

    assert!(!release(&mut bench, session, 2));
    assert!(release(&mut bench, session, 1));

    // It was released by somebody else: it is not this one's any more.
    assert_eq!(bench.call::<()>(session, &SemaphoreOp::GiveBack), Ok(()));
    assert_eq!(value(&mut bench), 2);
}

#[test]
fn only_who_has_a_permit_gives_it_back() {
    let mut bench = bench(1);
    let (has_it, other) = (bench.open(1), bench.open(2));
    bench.ask(has_it, &ACQUIRE);

    for op in [SemaphoreOp::GiveBack, SemaphoreOp::Forget] {
        assert_eq!(bench.call::<()>(other, &op), Err(Fault::NotHeld));
    }
    assert_eq!(bench.call::<()>(has_it, &SemaphoreOp::GiveBack), Ok(()));
    assert_eq!(
        bench.call::<()>(has_it, &SemaphoreOp::GiveBack),
        Err(Fault::NotHeld)
    );
    assert_eq!(value(&mut bench), 1);
}

#[test]
fn permits_of_a_session_that_ends_are_given_back() {
    for mut bench in [bench(2), bounded(2)] {
        let (dies, lives) = (bench.open(1), bench.open(2));
        for _ in 0..2 {
            bench.ask(dies, &ACQUIRE);
        }
        let also_waits = bench.ask(dies, &ACQUIRE);
        let next = bench.ask(lives, &ACQUIRE);

        bench.close(dies);

        assert!(has(&mut bench, next));
        assert!(bench.waits(also_waits));
        assert_eq!(value(&mut bench), 1);
    }
}

#[test]
fn a_permit_that_was_forgotten_stays_away_until_somebody_releases_it() {
    let mut bench = bounded(1);
    let (dies, lives) = (bench.open(1), bench.open(2));
    bench.ask(dies, &ACQUIRE);
    assert_eq!(bench.call::<()>(dies, &SemaphoreOp::Forget), Ok(()));

    bench.close(dies);

    assert_eq!(value(&mut bench), 0);
    assert!(release(&mut bench, lives, 1));
    assert_eq!(value(&mut bench), 1);
}

#[test]
fn who_is_cancelled_or_ends_while_waiting_is_passed_over() {
    let mut bench = bench(0);
    let (lives, dies) = (bench.open(1), bench.open(2));
    let cancelled = bench.ask(lives, &ACQUIRE);
    let gone = bench.ask(dies, &ACQUIRE);
    let next = bench.ask(lives, &ACQUIRE);

    bench.cancel(cancelled);
    bench.close(dies);
    assert!(release(&mut bench, lives, 1));

    assert_eq!(bench.result::<()>(cancelled), Some(Err(Fault::Cancelled)));
    assert!(bench.waits(gone));
    assert!(has(&mut bench, next));
}

#[test]
fn ten_thousand_wait_and_are_served_at_once() {
    let mut bench = bench(0);
    let callers: Vec<Caller> = (0..10_000)
        .map(|at| {
            let session = bench.open(at);
            bench.ask(session, &ACQUIRE)
        })
        .collect();
    for caller in callers.iter().rev().step_by(2) {
        bench.cancel(*caller);
    }

    let releases = bench.open(10_000);
    assert!(release(&mut bench, releases, 10_000));

    assert_eq!(value(&mut bench), 5_000);
    for caller in callers.iter().rev().skip(1).step_by(2) {
        assert!(has(&mut bench, *caller));
    }
}

/// The same, as one would say it.
struct Model {
    permits: u64,
    limit: u64,
    waiting: VecDeque<Caller>,
    /// One entry for each permit.
    held: Vec<SessionId>,
    granted: Vec<Caller>,
}

impl Model {
    fn settle(&mut self) {
        while self.permits > 0
            && let Some(caller) = self.waiting.pop_front()
        {
            self.permits -= 1;
            self.held.push(caller.session);
            self.granted.push(caller);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Acquire(usize),
    Try(usize),
    GiveBack(usize),
    Forget(usize),
    Release(usize, u64),
    Cancel(usize),
    Close(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize).prop_map(Step::Acquire),
        1 => (0..3_usize).prop_map(Step::Try),
        3 => (0..3_usize).prop_map(Step::GiveBack),
        1 => (0..3_usize).prop_map(Step::Forget),
        1 => (0..3_usize, 0..4_u64).prop_map(|(at, permits)| Step::Release(at, permits)),
        1 => (0..8_usize).prop_map(Step::Cancel),
        1 => (0..3_usize).prop_map(Step::Close),
    ]
}

proptest! {
    #[test]
    fn whatever_is_done_permits_are_kept_count_of_and_nobody_is_forgotten(
        begun in 0..4_u64,
        is_bounded: bool,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let (mut bench, limit) = match is_bounded {
            true => (bounded(begun), begun),
            false => (bench(begun), u64::MAX),
        };
        let mut model = Model {
            permits: begun,
            limit,
            waiting: VecDeque::new(),
            held: Vec::new(),
            granted: Vec::new(),
        };
        let mut sessions: Vec<SessionId> = (0..3).map(|at| bench.open(at)).collect();
        let mut next_session = 3;
        for step in steps {
            match step {
                Step::Acquire(at) => {
                    let caller = bench.ask(sessions[at], &ACQUIRE);
                    model.waiting.push_back(caller);
                }
                Step::Try(at) => {
                    let caller = bench.ask(sessions[at], &TRY);
                    if model.permits > 0 {
                        model.waiting.push_back(caller);
                    } else {
                        prop_assert_eq!(bench.result::<bool>(caller), Some(Ok(false)));
                    }
                }
                Step::GiveBack(at) | Step::Forget(at) => {
                    let is_forgotten = matches!(step, Step::Forget(_));
                    let op = if is_forgotten { SemaphoreOp::Forget } else { SemaphoreOp::GiveBack };
                    let done = bench.call::<()>(sessions[at], &op);
                    match model.held.iter().position(|held| *held == sessions[at]) {
                        None => prop_assert_eq!(done, Err(Fault::NotHeld)),
                        Some(held) => {
                            prop_assert_eq!(done, Ok(()));
                            model.held.remove(held);
                            if !is_forgotten {
                                model.permits = (model.permits + 1).min(model.limit);
                            }
                        }
                    }
                }
                Step::Release(at, permits) => {
                    let fits = model.permits + permits <= model.limit;
                    prop_assert_eq!(release(&mut bench, sessions[at], permits), fits);
                    model.permits += if fits { permits } else { 0 };
                }
                Step::Cancel(at) if at < model.waiting.len() => {
                    let caller = model.waiting.remove(at).unwrap();
                    bench.cancel(caller);
                    prop_assert_eq!(bench.result::<()>(caller), Some(Err(Fault::Cancelled)));
                }
                Step::Cancel(_) => {}
                Step::Close(at) => {
                    let session = sessions[at];
                    bench.close(session);
                    model.waiting.retain(|caller| caller.session != session);
                    let before = model.held.len() as u64;
                    model.held.retain(|held| *held != session);
                    let back = before - model.held.len() as u64;
                    model.permits = (model.permits + back).min(model.limit);
                    sessions[at] = bench.open(next_session);
                    next_session += 1;
                }
            }
            model.settle();
            for caller in std::mem::take(&mut model.granted) {
                prop_assert!(has(&mut bench, caller));
            }
            // Nobody else has got anything.
            prop_assert!(bench.answers.is_empty());
            prop_assert_eq!(value(&mut bench), model.permits);
        }
    }
}
