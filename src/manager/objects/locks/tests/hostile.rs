use proptest::prelude::*;

use super::Bench;
use crate::manager::protocol::Fault;
use crate::manager::store::Kind;

fn all() -> [Bench; 7] {
    [
        Bench::new(Kind::Lock, &()),
        Bench::new(Kind::RLock, &()),
        Bench::new(Kind::Semaphore, &1_u64),
        Bench::new(Kind::BoundedSemaphore, &1_u64),
        Bench::new(Kind::Event, &()),
        Bench::new(Kind::Condition, &()),
        Bench::new(Kind::Barrier, &2_u32),
    ]
}

#[test]
fn words_that_no_object_knows_are_answered_so() {
    for mut bench in all() {
        let session = bench.open(1);
        for words in [&[][..], &[99], &[0xff; 40]] {
            let caller = bench.ask_encoded(session, words);
            let answer = bench.result::<()>(caller);
            assert!(matches!(answer, Some(Err(Fault::NotUnderstood(_)))));
        }
    }
}

#[test]
fn a_beginning_that_makes_no_sense_is_refused() {
    for (kind, init) in [
        (Kind::Lock, vec![1_u8]),
        (Kind::Semaphore, vec![]),
        (Kind::BoundedSemaphore, vec![]),
        (Kind::Barrier, vec![]),
    ] {
        // As long as it says, and then that.
        let refused = Bench::try_new(kind, &(u64::MAX, init));
        assert!(matches!(refused, Err(Fault::NotUnderstood(_))), "{kind:?}");
    }
}

#[test]
fn a_call_that_does_not_wait_is_cancelled_for_nothing() {
    for mut bench in all() {
        let session = bench.open(1);
        let caller = bench.ask_encoded(session, &[99]);
        bench.cancel(caller);
        bench.close(session);
        bench.cancel(caller);
    }
}

proptest! {
    #[test]
    fn whatever_is_said_every_call_is_answered_at_most_once_and_nothing_panics(
        words in prop::collection::vec(
            (0..3_u64, prop::collection::vec(prop_oneof![0..7_u8, any::<u8>()], 0..5), 0..8_u8),
            0..60,
        )
    ) {
        for mut bench in all() {
            let sessions = [1, 2, 3].map(|session| bench.open(session));
            let mut callers = Vec::new();
            for (session, words, then) in &words {
                let session = sessions[*session as usize];
                bench.open(session.0);
                callers.push(bench.ask_encoded(session, words));
                match then {
                    0 => bench.cancel(callers[callers.len() / 2]),
                    1 => bench.close(session),
                    _ => {}
                }
            }
        }
    }
}
