use std::collections::VecDeque;

use proptest::prelude::*;

use super::Bench;
use crate::manager::objects::locks::{LockOp, Taken};
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Kind, SessionId};

const ACQUIRE: LockOp = LockOp::Acquire { wait: true };
const TRY: LockOp = LockOp::Acquire { wait: false };

fn bench() -> Bench {
    Bench::new(Kind::Lock, &())
}

#[test]
fn one_has_it_and_the_others_come_in_order() {
    let mut bench = bench();
    let session = bench.open(1);
    let callers: Vec<Caller> = (0..3).map(|_| bench.ask(session, &ACQUIRE)).collect();

    for (at, caller) in callers.iter().enumerate() {
        let taken = bench.taken(*caller);
        assert!(!taken.owner_died);
        assert!(callers[at + 1..].iter().all(|next| bench.waits(*next)));
        let hold = taken.hold;
        assert_eq!(bench.call::<()>(session, &LockOp::Release { hold }), Ok(()));
    }
    assert_eq!(bench.call::<bool>(session, &LockOp::IsLocked), Ok(false));
}

#[test]
fn it_is_tried_without_waiting() {
    let mut bench = bench();
    let session = bench.open(1);

    let taken = bench.call::<Option<Taken>>(session, &TRY);
    assert!(matches!(taken, Ok(Some(_))));
    assert_eq!(bench.call::<Option<Taken>>(session, &TRY), Ok(None));
    assert_eq!(bench.call::<bool>(session, &LockOp::IsLocked), Ok(true));
}

#[test]
fn only_the_holder_gives_it_back_and_only_once() {
    let mut bench = bench();
    let (holder, other) = (bench.open(1), bench.open(2));
    let first = bench.ask(holder, &ACQUIRE);
    let hold = bench.taken(first).hold;

    for refused in [LockOp::Release { hold }, LockOp::Return { hold }] {
        assert_eq!(bench.call::<()>(other, &refused), Err(Fault::NotHeld));
    }
    let wrong = LockOp::Release { hold: hold + 1 };
    assert_eq!(bench.call::<()>(holder, &wrong), Err(Fault::NotHeld));
    assert_eq!(bench.call::<()>(holder, &LockOp::Release { hold }), Ok(()));

    // Meanwhile the same session has it again, under another number.
    let again = bench.ask(holder, &ACQUIRE);
    assert_ne!(bench.taken(again).hold, hold);
    assert_eq!(
        bench.call::<()>(holder, &LockOp::Release { hold }),
        Err(Fault::NotHeld)
    );
}

#[test]
fn one_that_is_cancelled_is_passed_over() {
    let mut bench = bench();
    let session = bench.open(1);
    let [first, second, third] = [(); 3].map(|()| bench.ask(session, &ACQUIRE));
    let hold = bench.taken(first).hold;

    bench.cancel(second);
    assert_eq!(bench.result::<()>(second), Some(Err(Fault::Cancelled)));
    bench.cancel(second);
    assert!(bench.waits(second), "it is answered once");

    bench.ask(session, &LockOp::Release { hold });
    assert!(!bench.taken(third).owner_died);
}

#[test]
fn a_holder_that_ends_leaves_it_to_the_next_with_the_news_once() {
    let mut bench = bench();
    let (dies, lives) = (bench.open(1), bench.open(2));
    bench.ask(dies, &ACQUIRE);
    let [next, after] = [(); 2].map(|()| bench.ask(lives, &ACQUIRE));

    bench.close(dies);

    let taken = bench.taken(next);
    assert!(taken.owner_died);
    let hold = taken.hold;
    bench.ask(lives, &LockOp::Release { hold });
    assert!(!bench.taken(after).owner_died);
}

#[test]
fn the_news_wait_for_whoever_comes() {
    let mut bench = bench();
    let (dies, lives) = (bench.open(1), bench.open(2));
    bench.ask(dies, &ACQUIRE);
    bench.close(dies);

    assert_eq!(bench.call::<bool>(lives, &LockOp::IsLocked), Ok(false));
    let taken = bench.call::<Option<Taken>>(lives, &TRY);
    assert!(taken.unwrap().unwrap().owner_died);
}

#[test]
fn a_session_that_ends_while_it_waits_is_taken_out() {
    let mut bench = bench();
    let (holder, dies, lives) = (bench.open(1), bench.open(2), bench.open(3));
    let first = bench.ask(holder, &ACQUIRE);
    let hold = bench.taken(first).hold;
    let gone = bench.ask(dies, &ACQUIRE);
    let next = bench.ask(lives, &ACQUIRE);

    bench.close(dies);
    bench.ask(holder, &LockOp::Release { hold });

    assert!(bench.waits(gone), "nobody is there to be answered");
    assert!(!bench.taken(next).owner_died);
}

#[test]
fn a_session_that_ends_while_it_has_it_and_waits_does_not_get_it_again() {
    let mut bench = bench();
    let (dies, lives) = (bench.open(1), bench.open(2));
    let [_, again] = [(); 2].map(|()| bench.ask(dies, &ACQUIRE));
    let next = bench.ask(lives, &ACQUIRE);

    bench.close(dies);

    assert!(bench.waits(again));
    assert!(bench.taken(next).owner_died);
}

#[test]
fn news_that_nobody_took_notice_of_are_told_again() {
    let mut bench = bench();
    let (dies, lives) = (bench.open(1), bench.open(2));
    bench.ask(dies, &ACQUIRE);
    let [late, next] = [(); 2].map(|()| bench.ask(lives, &ACQUIRE));
    bench.close(dies);
    let hold = bench.taken(late).hold;

    // Its client had stopped waiting before that answer came.
    bench.cancel(late);
    bench.ask(lives, &LockOp::Return { hold });

    assert!(bench.taken(next).owner_died);
}

#[test]
fn ten_thousand_wait_and_are_served_or_leave() {
    let mut bench = bench();
    let holder = bench.open(0);
    let first = bench.ask(holder, &ACQUIRE);
    let mut hold = bench.taken(first).hold;
    let callers: Vec<Caller> = (1..=10_000)
        .map(|at| {
            let session = bench.open(at);
            bench.ask(session, &ACQUIRE)
        })
        .collect();
    // From the end, from the middle, and from the front.
    for at in (0..10_000).rev().filter(|at| at % 4 == 0) {
        bench.cancel(callers[at]);
    }
    for at in (0..10_000).filter(|at| at % 4 == 1) {
        bench.close(callers[at].session);
    }

    let mut by = holder;
    for at in (0..10_000).filter(|at| at % 4 >= 2) {
        bench.ask(by, &LockOp::Release { hold });
        hold = bench.taken(callers[at]).hold;
        by = callers[at].session;
    }
    assert_eq!(bench.call::<()>(by, &LockOp::Release { hold }), Ok(()));
    assert_eq!(bench.call::<bool>(by, &LockOp::IsLocked), Ok(false));
}

/// The same, as one would say it: a list of who waits.
#[derive(Default)]
struct Model {
    holder: Option<Caller>,
    waiting: VecDeque<Caller>,
    owner_died: bool,
    /// Who has got it since this was last looked at, and what that one was told.
    granted: Vec<(Caller, bool)>,
}

impl Model {
    fn next(&mut self) {
        if self.holder.is_none() {
            self.holder = self.waiting.pop_front();
            let owner_died = self.owner_died;
            if let Some(holder) = self.holder {
                self.owner_died = false;
                self.granted.push((holder, owner_died));
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Acquire(u64),
    Try(u64),
    Release,
    Cancel(usize),
    Close(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4_u64).prop_map(Step::Acquire),
        1 => (0..4_u64).prop_map(Step::Try),
        3 => Just(Step::Release),
        1 => (0..8_usize).prop_map(Step::Cancel),
        1 => (0..4_u64).prop_map(Step::Close),
    ]
}

proptest! {
    #[test]
    fn whatever_is_done_one_has_it_and_nobody_is_forgotten(
        steps in prop::collection::vec(step(), 0..200)
    ) {
        let mut bench = bench();
        let mut model = Model::default();
        // Sessions that end come back as others.
        let mut sessions: Vec<SessionId> = (0..4).map(|at| bench.open(at)).collect();
        let mut next_session = 4;
        let mut hold = None;
        for step in steps {
            match step {
                Step::Acquire(session) => {
                    let caller = bench.ask(sessions[session as usize], &ACQUIRE);
                    model.waiting.push_back(caller);
                }
                Step::Try(session) => {
                    let caller = bench.ask(sessions[session as usize], &TRY);
                    if model.holder.is_none() {
                        model.waiting.push_back(caller);
                    } else {
                        prop_assert_eq!(bench.result::<Option<Taken>>(caller), Some(Ok(None)));
                    }
                }
                Step::Release => {
                    if let (Some(holder), Some(hold)) = (model.holder.take(), hold.take()) {
                        let op = LockOp::Release { hold };
                        prop_assert_eq!(bench.call::<()>(holder.session, &op), Ok(()));
                    }
                }
                Step::Cancel(at) if at < model.waiting.len() => {
                    let caller = model.waiting.remove(at).unwrap();
                    bench.cancel(caller);
                    prop_assert_eq!(bench.result::<()>(caller), Some(Err(Fault::Cancelled)));
                }
                Step::Cancel(_) => {}
                Step::Close(at) => {
                    let session = &mut sessions[at as usize];
                    bench.close(*session);
                    model.waiting.retain(|caller| caller.session != *session);
                    if model.holder.is_some_and(|holder| holder.session == *session) {
                        model.holder = None;
                        model.owner_died = true;
                    }
                    *session = bench.open(next_session);
                    next_session += 1;
                }
            }
            model.next();
            for (caller, owner_died) in std::mem::take(&mut model.granted) {
                let taken = bench.taken(caller);
                prop_assert_eq!(taken.owner_died, owner_died);
                hold = Some(taken.hold);
            }
            // Nobody else has got anything.
            prop_assert!(bench.answers.is_empty());
        }
    }
}
