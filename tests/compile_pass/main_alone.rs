//! `init` comes before everything that is in, or above, `main`.

/// Stands for the crate: `init` of the real one would start nothing here either.
mod procession_by_another_name {
    use std::sync::atomic::{AtomicBool, Ordering};

    static CALLED: AtomicBool = AtomicBool::new(false);

    pub fn init() {
        assert!(
            !CALLED.swap(true, Ordering::Relaxed),
            "init was called twice"
        );
    }

    pub fn was_called() -> bool {
        CALLED.load(Ordering::Relaxed)
    }
}

#[allow(unreachable_code)]
#[procession::main(crate = procession_by_another_name)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    assert!(procession_by_another_name::was_called());
    let _: u8 = "7".parse()?;
    return Ok(());
}
