use crate::manager::objects::turns::Turns;
use crate::manager::store::{Caller, SessionId};

fn caller(session: u64, call: u64) -> Caller {
    let session = SessionId(session);
    Caller { session, call }
}

#[test]
fn those_who_wait_come_in_order_without_those_who_left() {
    let mut turns = Turns::default();
    for call in 0..4 {
        turns.push(caller(call % 2, call), call);
    }

    assert_eq!(turns.remove(caller(0, 0)), Some((0, 0)));
    assert_eq!(turns.remove(caller(0, 0)), None);
    assert_eq!(turns.remove_session(SessionId(1)), [(1, 1), (3, 3)]);

    assert_eq!(turns.pop(), Some((caller(0, 2), 2)));
    assert!(turns.is_empty());
}

#[test]
fn the_calls_of_a_session_are_all_found_up_to_the_highest_number() {
    let mut turns = Turns::default();
    for call in [0, u64::MAX] {
        turns.push(caller(7, call), ());
        turns.push(caller(6, call), ());
        turns.push(caller(8, call), ());
    }

    assert_eq!(turns.remove_session(SessionId(7)).len(), 2);
    assert_eq!(turns.len(), 4);
}

#[test]
fn one_is_taken_from_the_middle() {
    let mut turns = Turns::default();
    turns.push(caller(1, 1), 'a');
    let place = turns.push(caller(1, 2), 'b');

    assert_eq!(turns.take(place), Some((caller(1, 2), 'b')));
    assert_eq!(turns.take(place), None);
    assert_eq!(turns.remove(caller(1, 2)), None);
}
