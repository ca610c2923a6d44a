//! Permits against a list of who has what.

use proptest::prelude::*;

use crate::scheduler::{Asked, Permits, Waiter};

#[test]
fn nobody_is_overtaken() {
    let mut permits = Permits::new(1);
    assert!(permits.try_acquire());
    let Asked::Waiting(first) = permits.ask() else {
        panic!()
    };
    let Asked::Waiting(second) = permits.ask() else {
        panic!()
    };
    let mut woken = Vec::new();
    permits.release(1, &mut woken);
    assert_eq!(woken, [first]);
    assert!(
        !permits.try_acquire(),
        "it is the first waiter's, also before the claim"
    );
    assert!(!permits.claim(second));
    assert!(permits.claim(first));
    assert!(!permits.claim(first), "once");
}

#[test]
fn a_granted_permit_that_is_withdrawn_goes_on() {
    let mut permits = Permits::new(1);
    permits.try_acquire();
    let Asked::Waiting(first) = permits.ask() else {
        panic!()
    };
    let Asked::Waiting(second) = permits.ask() else {
        panic!()
    };
    permits.release(1, &mut Vec::new());
    assert_eq!(permits.withdraw(first), Some(second));
    assert_eq!(permits.withdraw(second), None);
    assert_eq!((permits.free(), permits.held()), (1, 0));
}

#[test]
fn who_is_dismissed_waits_no_more() {
    let mut permits = Permits::new(0);
    let Asked::Waiting(waiter) = permits.ask() else {
        panic!()
    };
    let mut woken = Vec::new();
    permits.dismiss(&mut woken);
    assert_eq!(woken, [waiter]);
    assert!(!permits.claim(waiter));
    assert_eq!(permits.withdraw(waiter), None);
}

proptest! {
    #[test]
    fn no_permit_is_lost_or_made(max in 0_usize..5, events: Vec<(u8, u8)>) {
        let mut permits = Permits::new(max);
        let (mut waiting, mut granted) = (Vec::<Waiter>::new(), Vec::<Waiter>::new());
        let mut held = 0;
        for (kind, arg) in events {
            let used = held + granted.len();
            match kind % 6 {
                0 => {
                    let is_free = used < max;
                    prop_assert_eq!(permits.try_acquire(), is_free);
                    held += usize::from(is_free);
                }
                1 | 2 => match permits.ask() {
                    Asked::Granted => {
                        prop_assert!(used < max && waiting.is_empty());
                        held += 1;
                    }
                    Asked::Waiting(waiter) => {
                        prop_assert!(used == max);
                        waiting.push(waiter);
                    }
                },
                3 => {
                    let mut woken = Vec::new();
                    let count = usize::from(arg).min(held);
                    permits.release(count, &mut woken);
                    held -= count;
                    let expected: Vec<_> = waiting.drain(..count.min(waiting.len())).collect();
                    prop_assert_eq!(&woken, &expected);
                    granted.extend(woken);
                }
                4 if !granted.is_empty() => {
                    let waiter = granted.remove(usize::from(arg) % granted.len());
                    prop_assert!(permits.claim(waiter));
                    held += 1;
                }
                4 => prop_assert!(waiting.iter().all(|waiter| !permits.claim(*waiter))),
                _ if arg % 2 == 0 && !granted.is_empty() => {
                    let waiter = granted.remove(usize::from(arg) % granted.len());
                    let next = (!waiting.is_empty()).then(|| waiting.remove(0));
                    prop_assert_eq!(permits.withdraw(waiter), next);
                    granted.extend(next);
                }
                _ if !waiting.is_empty() => {
                    let waiter = waiting.remove(usize::from(arg) % waiting.len());
                    prop_assert_eq!(permits.withdraw(waiter), None);
                }
                _ => {}
            }
            prop_assert_eq!(permits.held(), held);
            prop_assert_eq!(permits.free(), max - held - granted.len());
            prop_assert!(waiting.is_empty() || permits.free() == 0);
        }
    }
}
