//! What users hold: a proxy type for each kind of object.
//!
//! | folder | one line |
//! |--|--|
//! | `containers` | lists, dictionaries, sets, values, arrays, queues, namespaces: what keeps values |
//! | `locks` | what callers wait for; and [`Attempt`](locks::Attempt), a call with errors of its own |
//! | `pool` | a process pool, whose tasks have the futures of one's own pool |
//!
//! Those of users' own types are generated, of what is in [`managed`](super::managed).

pub(super) mod containers;
pub(super) mod locks;
pub(super) mod pool;
