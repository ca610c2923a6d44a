use std::collections::VecDeque;

use proptest::prelude::*;

use super::Bench;
use crate::manager::objects::locks::{RLockOp, Taken};
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Kind, SessionId};

fn bench() -> Bench {
    Bench::new(Kind::RLock, &())
}

fn acquire(bench: &mut Bench, session: SessionId, thread: u64) -> Caller {
    bench.ask(session, &RLockOp::Acquire { thread, wait: true })
}

fn release(bench: &mut Bench, session: SessionId, hold: u64) -> Result<(), Fault> {
    bench.call(session, &RLockOp::Release { hold })
}

#[test]
fn a_thread_takes_it_again_and_gives_it_back_as_often() {
    let mut bench = bench();
    let session = bench.open(1);
    let [first, second] = [(); 2].map(|()| acquire(&mut bench, session, 7));
    let other = acquire(&mut bench, session, 8);
    let hold = bench.taken(first).hold;
    assert_eq!(bench.taken(second).hold, hold);

    assert_eq!(release(&mut bench, session, hold), Ok(()));
    assert!(bench.waits(other));
    assert_eq!(release(&mut bench, session, hold), Ok(()));

    assert_ne!(bench.taken(other).hold, hold);
    assert_eq!(release(&mut bench, session, hold), Err(Fault::NotHeld));
}

#[test]
fn the_same_number_of_a_thread_in_another_session_is_another_thread() {
    let mut bench = bench();
    let (one, other) = (bench.open(1), bench.open(2));
    acquire(&mut bench, one, 7);

    let refused = RLockOp::Acquire {
        thread: 7,
        wait: false,
    };
    assert_eq!(bench.call::<Option<Taken>>(other, &refused), Ok(None));
}

#[test]
fn a_thread_that_waits_in_several_tasks_gets_it_for_all_of_them() {
    let mut bench = bench();
    let (holder, session) = (bench.open(1), bench.open(2));
    let first = acquire(&mut bench, holder, 1);
    let hold = bench.taken(first).hold;
    let mine = acquire(&mut bench, session, 7);
    let other = acquire(&mut bench, session, 8);
    let also_mine = acquire(&mut bench, session, 7);
    let given_up = acquire(&mut bench, session, 7);
    bench.cancel(given_up);

    assert_eq!(release(&mut bench, holder, hold), Ok(()));

    let hold = bench.taken(mine).hold;
    assert_eq!(bench.taken(also_mine).hold, hold);
    assert_eq!(bench.result::<()>(given_up), Some(Err(Fault::Cancelled)));
    assert!(bench.waits(other));
    assert_eq!(release(&mut bench, session, hold), Ok(()));
    assert_eq!(release(&mut bench, session, hold), Ok(()));
    bench.taken(other);
}

#[test]
fn a_holder_that_ends_leaves_it_to_the_next_with_the_news_once() {
    let mut bench = bench();
    let (dies, lives) = (bench.open(1), bench.open(2));
    acquire(&mut bench, dies, 1);
    acquire(&mut bench, dies, 1);
    let waited = acquire(&mut bench, dies, 2);
    let [next, again] = [(); 2].map(|()| acquire(&mut bench, lives, 1));

    bench.close(dies);

    assert!(bench.waits(waited));
    assert!(bench.taken(next).owner_died);
    assert!(!bench.taken(again).owner_died);
}

#[test]
fn news_that_nobody_took_notice_of_are_told_again() {
    let mut bench = bench();
    let (dies, lives) = (bench.open(1), bench.open(2));
    acquire(&mut bench, dies, 1);
    let [late, second] = [(); 2].map(|()| acquire(&mut bench, lives, 1));
    bench.close(dies);
    let Taken { hold, owner_died } = bench.taken(late);
    assert!(owner_died && !bench.taken(second).owner_died);

    bench.ask(lives, &RLockOp::Return { hold, owner_died });
    let third = acquire(&mut bench, lives, 1);

    assert!(bench.taken(third).owner_died);
    // News that were heard are over.
    let owner_died = false;
    for _ in 0..2 {
        bench.ask(lives, &RLockOp::Return { hold, owner_died });
    }
    let other = acquire(&mut bench, lives, 2);
    assert!(!bench.taken(other).owner_died);
}

#[test]
fn a_session_that_ends_while_it_waits_is_taken_out() {
    let mut bench = bench();
    let (holder, dies) = (bench.open(1), bench.open(2));
    let first = acquire(&mut bench, holder, 1);
    let hold = bench.taken(first).hold;
    let gone = acquire(&mut bench, dies, 1);

    bench.close(dies);
    assert_eq!(release(&mut bench, holder, hold), Ok(()));

    assert!(bench.waits(gone));
    assert_eq!(bench.call::<bool>(holder, &RLockOp::IsLocked), Ok(false));
}

#[test]
fn ten_thousand_threads_wait_and_are_served_or_leave() {
    let mut bench = bench();
    let session = bench.open(1);
    let mut turn = acquire(&mut bench, session, 0);
    let waiting: Vec<Caller> = (1..=10_000)
        .map(|thread| acquire(&mut bench, session, thread))
        .collect();
    for caller in waiting.iter().skip(1).step_by(2).rev() {
        bench.cancel(*caller);
    }

    for next in waiting.iter().step_by(2) {
        let hold = bench.taken(turn).hold;
        assert_eq!(release(&mut bench, session, hold), Ok(()));
        turn = *next;
    }
    bench.taken(turn);
}

/// A session, by its place, and a thread in it.
type Owner = (usize, u64);

/// The same, as one would say it: who has it, how often, and a list of who waits.
#[derive(Default)]
struct Model {
    holder: Option<Held>,
    waiting: VecDeque<(Caller, Owner)>,
    owner_died: bool,
    /// Who has got it since this was last looked at, and what that one was told.
    granted: Vec<(Caller, bool)>,
}

struct Held {
    owner: Owner,
    count: u32,
    /// Its number, once it has been told.
    hold: Option<u64>,
    /// Whether somebody has been told that the one before has died.
    owner_died: bool,
}

impl Model {
    fn acquire(&mut self, caller: Caller, owner: Owner) {
        self.waiting.push_back((caller, owner));
        self.next();
    }

    /// All that wait in the thread that has it have it.
    fn next(&mut self) {
        if self.holder.is_none()
            && let Some((_, owner)) = self.waiting.front()
        {
            self.holder = Some(Held {
                owner: *owner,
                count: 0,
                hold: None,
                owner_died: false,
            });
        }
        let Some(held) = &mut self.holder else {
            return;
        };
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let (own, others): (Vec<_>, Vec<_>) = waiting.partition(|(_, owner)| *owner == held.owner);
        self.waiting = others.into();
        for (caller, _) in own {
            held.count += 1;
            let owner_died = std::mem::take(&mut self.owner_died);
            held.owner_died |= owner_died;
            self.granted.push((caller, owner_died));
        }
    }

    /// Once less; as if nobody had heard the news, where `was_unheard`.
    fn release(&mut self, was_unheard: bool) {
        let Some(held) = &mut self.holder else {
            return;
        };
        if was_unheard {
            self.owner_died |= std::mem::take(&mut held.owner_died);
        }
        held.count -= 1;
        if held.count == 0 {
            self.holder = None;
            self.next();
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Acquire(Owner),
    Try(Owner),
    Release,
    /// What it was told was given back, with the news or without.
    Return(bool),
    /// Somebody gives back what he does not have.
    Steal(usize),
    Cancel(usize),
    Close(usize),
}

fn owner() -> impl Strategy<Value = Owner> {
    (0..3_usize, 0..2_u64)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => owner().prop_map(Step::Acquire),
        2 => owner().prop_map(Step::Try),
        5 => Just(Step::Release),
        1 => any::<bool>().prop_map(Step::Return),
        1 => (0..3_usize).prop_map(Step::Steal),
        1 => (0..8_usize).prop_map(Step::Cancel),
        1 => (0..3_usize).prop_map(Step::Close),
    ]
}

proptest! {
    #[test]
    fn whatever_is_done_one_thread_has_it_as_often_as_it_took_it(
        steps in prop::collection::vec(step(), 0..200)
    ) {
        let mut bench = bench();
        let mut model = Model::default();
        // Sessions that end come back as others.
        let mut sessions: Vec<SessionId> = (0..3).map(|at| bench.open(at)).collect();
        let mut next_session = 3;
        let asks = bench.open(u64::MAX - 1);
        for step in steps {
            match step {
                Step::Acquire((at, thread)) => {
                    let caller = acquire(&mut bench, sessions[at], thread);
                    model.acquire(caller, (at, thread));
                }
                Step::Try((at, thread)) => {
                    let op = RLockOp::Acquire { thread, wait: false };
                    let caller = bench.ask(sessions[at], &op);
                    let held = model.holder.as_ref();
                    if held.is_none_or(|held| held.owner == (at, thread)) {
                        model.acquire(caller, (at, thread));
                    } else {
                        prop_assert_eq!(bench.result::<Option<Taken>>(caller), Some(Ok(None)));
                    }
                }
                Step::Release | Step::Return(_) => {
                    let held = model.holder.as_ref();
                    if let Some((at, hold)) = held.and_then(|held| Some((held.owner.0, held.hold?))) {
                        let owner_died = matches!(step, Step::Return(true));
                        let op = match step {
                            Step::Return(_) => RLockOp::Return { hold, owner_died },
                            _ => RLockOp::Release { hold },
                        };
                        prop_assert_eq!(bench.call::<()>(sessions[at], &op), Ok(()));
                        model.release(owner_died);
                    }
                }
                Step::Steal(at) => {
                    let held = model.holder.as_ref();
                    let hold = match held.and_then(|held| Some((held.owner.0, held.hold?))) {
                        Some((holder, hold)) if holder == at => hold + 1,
                        Some((_, hold)) => hold,
                        None => 1,
                    };
                    prop_assert_eq!(release(&mut bench, sessions[at], hold), Err(Fault::NotHeld));
                }
                Step::Cancel(at) if at < model.waiting.len() => {
                    let (caller, _) = model.waiting.remove(at).unwrap();
                    bench.cancel(caller);
                    prop_assert_eq!(bench.result::<()>(caller), Some(Err(Fault::Cancelled)));
                }
                Step::Cancel(_) => {}
                Step::Close(at) => {
                    bench.close(sessions[at]);
                    model.waiting.retain(|(_, owner)| owner.0 != at);
                    if model.holder.as_ref().is_some_and(|held| held.owner.0 == at) {
                        model.holder = None;
                        model.owner_died = true;
                    }
                    model.next();
                    sessions[at] = bench.open(next_session);
                    next_session += 1;
                }
            }
            for (caller, owner_died) in std::mem::take(&mut model.granted) {
                let taken = bench.taken(caller);
                prop_assert_eq!(taken.owner_died, owner_died);
                let held = model.holder.as_mut().unwrap();
                // The same as long as it is not free.
                prop_assert_eq!(*held.hold.get_or_insert(taken.hold), taken.hold);
            }
            let is_locked = bench.call::<bool>(asks, &RLockOp::IsLocked);
            prop_assert_eq!(is_locked, Ok(model.holder.is_some()));
            // Nobody else has got anything.
            prop_assert!(bench.answers.is_empty());
        }
    }
}
