//! What users hold: a proxy type for each kind of object.

pub(super) mod containers;
pub(super) mod locks;
pub(super) mod pool;
