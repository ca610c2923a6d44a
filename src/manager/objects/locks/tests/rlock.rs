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
