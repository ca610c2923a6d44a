use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::manager::ManagerError;
use crate::manager::objects::locks::{BarrierOp, ConditionOp, LockOp, RLockOp, SemaphoreOp, Taken};

fn encoded(value: &(impl Serialize + 'static)) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(value, &mut bytes).unwrap();
    bytes
}

fn decoded<T: DeserializeOwned + 'static>(undo: Option<Vec<u8>>) -> Option<T> {
    undo.map(|op| wire::decode(&op).unwrap())
}

#[test]
fn proxies_are_shared_by_threads_and_guards_are_sent_but_for_those_of_a_thread() {
    fn is_shared<T: Send + Sync + Clone>() {}
    fn is_sent<T: Send>() {}
    is_shared::<LockProxy>();
    is_shared::<RLockProxy>();
    is_shared::<SemaphoreProxy>();
    is_shared::<BoundedSemaphoreProxy>();
    is_shared::<EventProxy>();
    is_shared::<ConditionProxy>();
    is_shared::<BarrierProxy>();
    is_sent::<LockGuard>();
    is_sent::<ConditionGuard>();
    is_sent::<Permit>();
    is_sent::<Locking<LockGuard>>();
    is_sent::<Locking<ConditionGuard>>();
    is_sent::<Attempt<Permit>>();
}

#[test]
fn a_lock_that_came_too_late_is_given_back() {
    let taken = Taken {
        hold: 300,
        owner_died: true,
    };
    let answer = encoded(&Some(taken));

    let lock = decoded(hold::undo::<LockOp>(&answer));
    let rlock = decoded(hold::undo::<RLockOp>(&answer));
    let condition = decoded(hold::undo::<ConditionOp>(&answer));

    assert_eq!(lock, Some(LockOp::Return { hold: 300 }));
    let owner_died = true;
    let hold = 300;
    assert_eq!(rlock, Some(RLockOp::Return { hold, owner_died }));
    assert_eq!(condition, Some(ConditionOp::Return { hold }));
}

#[test]
fn a_permit_that_came_too_late_is_given_back() {
    let undone = decoded(semaphore::undo(&encoded(&true)));
    assert_eq!(undone, Some(SemaphoreOp::GiveBack));
}

#[test]
fn a_party_that_has_passed_too_late_breaks_the_barrier() {
    let undone = decoded(barrier::undo(&encoded(&Some(2_u32))));
    assert_eq!(undone, Some(BarrierOp::Abort));
}

#[test]
fn what_has_brought_nothing_is_not_undone() {
    assert_eq!(hold::undo::<LockOp>(&encoded(&None::<Taken>)), None);
    assert_eq!(semaphore::undo(&encoded(&false)), None);
    assert_eq!(barrier::undo(&encoded(&None::<u32>)), None);
    for nonsense in [&[][..], &[7; 3]] {
        assert_eq!(hold::undo::<LockOp>(nonsense), None);
        assert_eq!(semaphore::undo(nonsense), None);
        assert_eq!(barrier::undo(nonsense), None);
    }
}

#[test]
fn a_time_that_is_over_is_said_in_the_words_of_each() {
    let lock: LockError<()> = ManagerError::TimedOut.into();
    assert!(matches!(lock, LockError::TimedOut));
    let barrier: BarrierError = ManagerError::TimedOut.into();
    assert!(matches!(barrier, BarrierError::TimedOut));
    let tried: LockError<()> = LockError::WouldBlock;
    assert!(matches!(tried.timed_out(), LockError::TimedOut));
}
