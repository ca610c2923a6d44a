//! `main` is wrapped where another attribute makes something of it.

/// Stands for the crate.
mod renamed {
    use std::sync::atomic::{AtomicU32, Ordering};

    pub use procession::*;

    static CALLS: AtomicU32 = AtomicU32::new(0);

    pub fn init() {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }

    pub fn calls() -> u32 {
        CALLS.load(Ordering::Relaxed)
    }
}

/// Of the program.
#[procession::main(crate = renamed)]
#[procession::task(crate = renamed)]
fn main() {
    assert_eq!(renamed::calls(), 1);
}
