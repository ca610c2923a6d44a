//! A thread that ends a test which hangs, and says what hung.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::census;

/// What each thread of the test said it waits for, by the thread's name and number.
static AWAITED: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Says what this thread is about to wait for: the watchdog repeats it.
pub(crate) fn awaiting(what: impl Into<String>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a thread");
    lock(&AWAITED).insert(format!("{name} {:?}", thread.id()), what.into());
}

/// Watches until dropped.
pub(super) struct Watchdog {
    shared: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

pub(super) fn watch(name: &str, limit: Duration) -> Watchdog {
    lock(&AWAITED).clear();
    let shared = Arc::new((Mutex::new(false), Condvar::new()));
    let name = name.to_owned();
    let thread = std::thread::Builder::new().name("watchdog".into());
    let thread = thread.spawn({
        let shared = shared.clone();
        move || {
            let (is_over, changed) = &*shared;
            let deadline = Instant::now() + limit;
            let mut is_over = lock(is_over);
            while !*is_over {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    bark(&name, limit);
                }
                let woken = changed.wait_timeout(is_over, left);
                is_over = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    });
    Watchdog {
        shared,
        thread: Some(thread.expect("a thread for the watchdog")),
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        *lock(&self.shared.0) = true;
        self.shared.1.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the watchdog does not panic");
        }
    }
}

/// Prints everything that may explain the hang, and ends the process (and with it, its workers).
fn bark(name: &str, limit: Duration) -> ! {
    let mut text = format!("\ntest {name} has taken longer than {limit:?}.\n");
    for (thread, what) in &*lock(&AWAITED) {
        let _ = writeln!(text, "{thread} was awaiting: {what}");
    }
    text += "threads:\n";
    for task in census::threads() {
        let _ = writeln!(text, "  {task}");
        for line in task.kernel_stack.lines() {
            let _ = writeln!(text, "      {line}");
        }
    }
    text += "child processes:\n";
    for child in census::children() {
        let _ = writeln!(text, "  {child}");
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
    std::process::abort()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
