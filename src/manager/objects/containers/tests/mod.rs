//! Each kind on a store of its own, against what the standard library does.
