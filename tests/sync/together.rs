//! Several processes do something together.

use std::collections::BTreeSet;

use procession::sync::{Lock, LockError, RLock};

use crate::pool;
use crate::support::{Case, awaiting, exit_at_once, in_a_fork, tests, until};
use crate::tasks::{All, Wait, hand_on, hold, increment, notify, pass, touch, wait_for};

pub(crate) fn tests() -> Vec<Case> {
    tests![
        all_of_them_arrive_and_come_back,
        a_worker_hands_them_on_to_a_third_process,
        increments_of_all_processes_are_there,
        who_holds_a_lock_in_another_process_is_told,
        whoever_waits_in_another_process_goes_on,
        parties_in_several_processes_go_in_lockstep,
        a_forked_child_does_not_own_what_its_parent_does,
    ]
}

fn check_touched(here: &All, back: &All) {
    assert!(back.lock.is_same(&here.lock));
    assert_eq!((here.semaphore.value(), here.bounded.value()), (0, 0));
    assert!(here.events[1].is_set() && !here.events[0].is_set());
    assert_eq!(here.count.get().unwrap(), 1);
    assert_eq!(back.array.lock().unwrap().get(99), Some(-7));
    let mut bytes = [0; 5];
    here.memory.read(95, &mut bytes).unwrap();
    assert_eq!(&bytes, b"there");
    assert_eq!(back.bytes, here.bytes);
}

fn all_of_them_arrive_and_come_back() {
    let here = All::new();
    let back = pool(1).submit(touch, here.clone()).unwrap().wait().unwrap();
    check_touched(&here, &back);
}

fn a_worker_hands_them_on_to_a_third_process() {
    let here = All::new();
    let back = pool(1)
        .submit(hand_on, here.clone())
        .unwrap()
        .wait()
        .unwrap();
    check_touched(&here, &back);
}

fn increments_of_all_processes_are_there() {
    let pool = pool(4);
    for which in 0..6 {
        let all = All::new();
        let call = || {
            pool.submit(increment, (all.clone(), which, 10_000))
                .unwrap()
        };
        let futures: Vec<_> = (0..4).map(|_| call()).collect();
        for future in futures {
            awaiting(format!("increments by {which}"));
            future.wait().unwrap();
        }
        assert_eq!(all.count.get().unwrap(), 40_000, "by {which}");
    }
}

fn who_holds_a_lock_in_another_process_is_told() {
    let (pool, all) = (pool(1), All::new());
    let future = pool.submit(hold, all.clone()).unwrap();
    all.events[0].wait().unwrap();
    assert!(all.lock.is_locked());
    assert!(all.lock.try_lock().is_err());
    let text = format!("{:?}", all.lock);
    all.events[2].set().unwrap();
    let process = future.wait().unwrap();
    assert!(
        text.ends_with(&format!("of process {process} }}")),
        "{text}"
    );
    until("the lock to be free", || !all.lock.is_locked());
}

fn whoever_waits_in_another_process_goes_on() {
    let pool = pool(2);
    for what in [Wait::Lock, Wait::Semaphore, Wait::Event, Wait::Condition] {
        let all = All::new();
        all.semaphore.acquire().unwrap().forget();
        let guard = matches!(what, Wait::Lock).then(|| all.lock.lock().unwrap());
        let call = || pool.submit(wait_for, (all.clone(), what)).unwrap();
        let futures = [call(), call()];
        until("both to be there", || all.count.get_unlocked() == 2);
        assert!(futures.iter().all(|future| !future.is_done()));
        match what {
            Wait::Semaphore => all.semaphore.release_many(2).unwrap(),
            Wait::Event => all.events[2].set().unwrap(),
            Wait::Condition => notify(&all).unwrap(),
            Wait::Lock | Wait::Barrier => {}
        }
        drop(guard);
        for future in futures {
            awaiting(format!("{what:?}"));
            assert_eq!(future.wait().unwrap(), Ok(()));
        }
    }
}

fn parties_in_several_processes_go_in_lockstep() {
    const ROUNDS: usize = 100;
    let (pool, all) = (pool(3), All::new());
    let call = || pool.submit(pass, (all.clone(), ROUNDS)).unwrap();
    let futures = [call(), call(), call()];
    let mut indices = vec![Vec::new()];
    for round in 0..ROUNDS as u64 {
        indices[0].push(all.barrier.wait().unwrap().index());
        let count = all.count.get_unlocked();
        assert!((3 * (round + 1)..=3 * (round + 2)).contains(&count));
    }
    indices.extend(futures.map(|future| future.wait().unwrap()));
    for round in 0..ROUNDS {
        let distinct: BTreeSet<u32> = indices.iter().map(|party| party[round]).collect();
        assert_eq!(distinct, (0..4).collect());
    }
}

fn a_forked_child_does_not_own_what_its_parent_does() {
    let (lock, rlock) = (Lock::new().unwrap(), RLock::new().unwrap());
    let mut guards = Some((lock.lock().unwrap(), rlock.lock().unwrap()));
    let code = in_a_fork(|| {
        let is_refused = lock.try_lock().is_err() && rlock.try_lock().is_err();
        drop(guards.take());
        let is_broken = matches!(lock.try_lock(), Err(LockError::Broken));
        if !is_refused || !is_broken || !lock.is_locked() {
            exit_at_once(1);
        }
    });
    assert_eq!(code, 0);
    assert!(lock.is_locked() && rlock.is_locked());
    drop(guards);
    drop((lock.try_lock().unwrap(), rlock.try_lock().unwrap()));
}
