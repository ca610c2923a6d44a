use super::Bench;
use crate::manager::objects::locks::{ConditionOp, Taken};
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Kind, SessionId};

const ACQUIRE: ConditionOp = ConditionOp::Acquire { wait: true };

fn bench() -> Bench {
    Bench::new(Kind::Condition, &())
}

fn acquire(bench: &mut Bench, session: SessionId) -> u64 {
    let caller = bench.ask(session, &ACQUIRE);
    bench.taken(caller).hold
}

fn release(bench: &mut Bench, session: SessionId, hold: u64) {
    let released = bench.call::<()>(session, &ConditionOp::Release { hold });
    assert_eq!(released, Ok(()));
}

/// One that waits for a notification.
fn wait(bench: &mut Bench, session: SessionId) -> Caller {
    let hold = acquire(bench, session);
    let caller = bench.ask(session, &ConditionOp::Wait { hold });
    assert!(bench.waits(caller));
    caller
}

/// Takes the lock, notifies so many, and releases it.
fn notify(bench: &mut Bench, session: SessionId, count: u64) {
    let hold = acquire(bench, session);
    let notified = bench.call::<()>(session, &ConditionOp::Notify { hold, count });
    assert_eq!(notified, Ok(()));
    release(bench, session, hold);
}

fn is_locked(bench: &mut Bench, session: SessionId) -> bool {
    bench.call(session, &ConditionOp::IsLocked).unwrap()
}

#[test]
fn who_waits_has_released_the_lock_and_has_it_again_when_notified() {
    let mut bench = bench();
    let (waits, notifies) = (bench.open(1), bench.open(2));
    let waiting = wait(&mut bench, waits);
    assert!(!is_locked(&mut bench, notifies));

    let hold = acquire(&mut bench, notifies);
    bench.ask(notifies, &ConditionOp::Notify { hold, count: 1 });
    assert!(bench.waits(waiting), "the lock is not free yet");
    release(&mut bench, notifies, hold);

    let taken = bench.taken(waiting);
    assert!(!taken.owner_died);
    release(&mut bench, waits, taken.hold);
    assert!(!is_locked(&mut bench, waits));
}

#[test]
fn as_many_go_on_as_are_notified_in_order() {
    let mut bench = bench();
    let session = bench.open(1);
    let waiting: Vec<Caller> = (0..4).map(|_| wait(&mut bench, session)).collect();

    notify(&mut bench, session, 2);
    for caller in &waiting[..2] {
        let hold = bench.taken(*caller).hold;
        release(&mut bench, session, hold);
    }
    assert!(bench.waits(waiting[2]) && bench.waits(waiting[3]));

    notify(&mut bench, session, u64::MAX);
    for caller in &waiting[2..] {
        let hold = bench.taken(*caller).hold;
        release(&mut bench, session, hold);
    }
}

#[test]
fn a_notification_is_for_those_who_wait_already() {
    let mut bench = bench();
    let session = bench.open(1);
    notify(&mut bench, session, 1);

    let waiting = wait(&mut bench, session);

    assert!(bench.waits(waiting));
}

#[test]
fn waiting_and_notifying_need_the_lock() {
    let mut bench = bench();
    let (has, other) = (bench.open(1), bench.open(2));
    let hold = acquire(&mut bench, has);

    for op in [ConditionOp::Release { hold }, ConditionOp::Return { hold }] {
        assert_eq!(bench.call::<()>(other, &op), Err(Fault::NotHeld));
    }
    for (session, hold) in [(other, hold), (has, hold - 1), (has, hold + 1)] {
        for op in [
            ConditionOp::Wait { hold },
            ConditionOp::Notify { hold, count: 1 },
        ] {
            let refused = bench.call::<()>(session, &op);
            assert!(matches!(refused, Err(Fault::Invalid(_))));
        }
    }
    assert!(is_locked(&mut bench, other));
}

#[test]
fn those_who_are_notified_come_after_those_who_asked_before() {
    let mut bench = bench();
    let session = bench.open(1);
    let waiting = wait(&mut bench, session);
    let hold = acquire(&mut bench, session);
    let asked = bench.ask(session, &ACQUIRE);
    bench.ask(session, &ConditionOp::Notify { hold, count: 1 });

    release(&mut bench, session, hold);

    let hold = bench.taken(asked).hold;
    assert!(bench.waits(waiting));
    release(&mut bench, session, hold);
    bench.taken(waiting);
}

#[test]
fn one_that_is_cancelled_while_it_waits_takes_no_notification() {
    let mut bench = bench();
    let session = bench.open(1);
    let [cancelled, other] = [(); 2].map(|()| wait(&mut bench, session));

    bench.cancel(cancelled);
    assert_eq!(bench.result::<()>(cancelled), Some(Err(Fault::Cancelled)));
    notify(&mut bench, session, 1);

    bench.taken(other);
}

#[test]
fn the_notification_of_one_that_is_cancelled_before_it_has_the_lock_passes_on() {
    let mut bench = bench();
    let session = bench.open(1);
    let [cancelled, other] = [(); 2].map(|()| wait(&mut bench, session));
    let hold = acquire(&mut bench, session);
    bench.ask(session, &ConditionOp::Notify { hold, count: 1 });

    bench.cancel(cancelled);
    assert_eq!(bench.result::<()>(cancelled), Some(Err(Fault::Cancelled)));
    release(&mut bench, session, hold);

    bench.taken(other);
}

#[test]
fn the_notification_of_an_answer_that_came_too_late_passes_on() {
    let mut bench = bench();
    let session = bench.open(1);
    let [late, other] = [(); 2].map(|()| wait(&mut bench, session));
    notify(&mut bench, session, 1);
    let hold = bench.taken(late).hold;

    bench.ask(session, &ConditionOp::Return { hold });

    let taken = bench.taken(other);
    assert!(!taken.owner_died);
}

#[test]
fn one_that_asked_for_the_lock_passes_no_notification_on() {
    let mut bench = bench();
    let session = bench.open(1);
    let waiting = wait(&mut bench, session);
    let hold = acquire(&mut bench, session);
    let cancelled = bench.ask(session, &ACQUIRE);

    bench.cancel(cancelled);
    bench.ask(session, &ConditionOp::Return { hold });

    assert!(bench.waits(waiting));
    assert!(!is_locked(&mut bench, session));
}

#[test]
fn a_session_that_ends_with_the_lock_leaves_it_to_the_next_with_the_news() {
    let mut bench = bench();
    let (dies, lives) = (bench.open(1), bench.open(2));
    let waiting = wait(&mut bench, lives);
    let hold = acquire(&mut bench, dies);
    bench.ask(dies, &ConditionOp::Notify { hold, count: 1 });

    bench.close(dies);

    assert!(bench.taken(waiting).owner_died);
}

#[test]
fn a_session_that_ends_while_it_waits_for_a_notification_takes_none() {
    let mut bench = bench();
    let (dies, lives) = (bench.open(1), bench.open(2));
    let gone = wait(&mut bench, dies);
    let other = wait(&mut bench, lives);

    bench.close(dies);
    notify(&mut bench, lives, 1);

    assert!(bench.waits(gone));
    assert!(!bench.taken(other).owner_died);
}

#[test]
fn a_session_that_ends_between_its_notification_and_the_lock_passes_it_on() {
    let mut bench = bench();
    let (dies, lives) = (bench.open(1), bench.open(2));
    let gone = wait(&mut bench, dies);
    let other = wait(&mut bench, lives);
    let hold = acquire(&mut bench, lives);
    bench.ask(lives, &ConditionOp::Notify { hold, count: 1 });

    bench.close(dies);
    release(&mut bench, lives, hold);

    assert!(bench.waits(gone));
    assert!(!bench.taken(other).owner_died);
}

#[test]
fn a_session_that_ends_when_it_was_notified_and_has_the_lock_passes_both_on() {
    let mut bench = bench();
    let (dies, lives) = (bench.open(1), bench.open(2));
    let notified = wait(&mut bench, dies);
    let other = wait(&mut bench, lives);
    notify(&mut bench, lives, 1);
    bench.taken(notified);
    // It is in line, and comes first.
    let asks = bench.ask(lives, &ACQUIRE);

    bench.close(dies);

    let Taken { hold, owner_died } = bench.taken(asks);
    assert!(owner_died);
    assert!(bench.waits(other));
    release(&mut bench, lives, hold);
    assert!(!bench.taken(other).owner_died);
}

#[test]
fn a_session_that_ends_in_all_its_parts_leaves_the_lock_to_the_others() {
    let mut bench = bench();
    let (dies, lives) = (bench.open(1), bench.open(2));
    wait(&mut bench, dies);
    wait(&mut bench, dies);
    notify(&mut bench, lives, 1);
    let asks = bench.ask(dies, &ACQUIRE);

    bench.close(dies);

    assert!(bench.waits(asks));
    assert!(!is_locked(&mut bench, lives));
    let next = bench.ask(lives, &ACQUIRE);
    assert!(bench.taken(next).owner_died);
}

#[test]
fn ten_thousand_wait_and_are_notified_or_leave() {
    let mut bench = bench();
    let waiting: Vec<Caller> = (1..=10_000)
        .map(|at| {
            let session = bench.open(at);
            wait(&mut bench, session)
        })
        .collect();
    for caller in waiting.iter().step_by(2).rev() {
        bench.cancel(*caller);
    }
    let notifies = bench.open(0);

    notify(&mut bench, notifies, u64::MAX);

    for caller in waiting.iter().skip(1).step_by(2) {
        let hold = bench.taken(*caller).hold;
        release(&mut bench, caller.session, hold);
    }
    assert!(!is_locked(&mut bench, notifies));
}
