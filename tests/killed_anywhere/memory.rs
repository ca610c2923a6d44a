//! What is done with shared memory that has a lock.

use procession::shared::{Array, Value};
use procession::sync::LockError;

use crate::step::{End, killed_at};
use crate::support::awaiting;

/// Long enough to be torn.
const LEN: usize = 64;

pub(crate) fn update_a_value(at: u64) -> End {
    let value = Value::new([1_u64; LEN]).unwrap();
    let end = killed_at(
        at,
        || value.update(|v| *v = v.map(|n| n + 1)).unwrap(),
        None,
    );
    awaiting("the value");
    match value.get() {
        Ok(got) => is_whole(&got, end),
        // Told, and so it may be torn.
        Err(LockError::OwnerDied(guard)) => {
            assert!(matches!(end, End::Killed(_)));
            guard.set([3; LEN]);
        }
        Err(other) => panic!("{:?}", other.without_guard()),
    }
    value
        .update(|v| assert!(v.iter().all(|n| *n == v[0])))
        .unwrap();
    end
}

pub(crate) fn write_to_an_array(at: u64) -> End {
    let array = Array::from_slice(&[1_u64; LEN]).unwrap();
    let write = || array.lock().unwrap().write(0, &[2; LEN]).unwrap();
    let end = killed_at(at, write, None);
    awaiting("the array");
    match array.lock() {
        Ok(guard) => is_whole(&guard.to_vec(), end),
        Err(LockError::OwnerDied(guard)) => {
            assert!(matches!(end, End::Killed(_)));
            guard.write(0, &[3; LEN]).unwrap();
        }
        Err(other) => panic!("{:?}", other.without_guard()),
    }
    let now = array.lock().unwrap().to_vec();
    assert!(now.iter().all(|n| *n == now[0]));
    end
}

/// Nobody has died with the lock: it is all as before, or all is done.
fn is_whole(values: &[u64], end: End) {
    let first = values[0];
    assert!(values.iter().all(|n| *n == first), "torn: {values:?}");
    assert!(first == 2 || first == 1 && matches!(end, End::Killed(_)));
}
