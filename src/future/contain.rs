//! Other people's code, with its panics caught.

use std::any::Any;
use std::fmt;
use std::io::Write;

/// Runs `code`; a panic ends here. Returns what it panicked with, as text.
#[cfg(not(loom))]
pub(crate) fn contain(code: impl FnOnce()) -> Result<(), String> {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        let message = panic_message(&*payload);
        // A payload may panic when it is dropped; what that one carries is not dropped at all.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        message
    })
}

/// A model's panic is how loom says that it found something: it must not end here.
#[cfg(loom)]
pub(crate) fn contain(code: impl FnOnce()) -> Result<(), String> {
    code();
    Ok(())
}

/// Runs a callback; a panic becomes one line on stderr, as an exception does in Python.
pub(crate) fn contain_callback(of: impl fmt::Display, callback: impl FnOnce()) {
    if let Err(message) = contain(callback) {
        let message = message.replace('\n', " ");
        // Not `eprintln!`: that panics when stderr is closed.
        let _ = writeln!(
            std::io::stderr(),
            "procession: a callback of {of} panicked: {message}"
        );
    }
}

/// What a panic said, where it was text.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "(a value that is not text)".to_owned()
    }
}
