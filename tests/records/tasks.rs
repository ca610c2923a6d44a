//! The registered functions.

use std::fmt;
use std::net::Ipv4Addr;
use std::thread;

use super::support::{Gate, exit_at_once};

// ---- log ----

#[procession::task]
pub(crate) fn log_one() -> (u32, u32) {
    let left = 3;
    let line = line!() + 1;
    log::warn!(target: "some::target", printer = "upstairs"; "low on ink: {left} left");
    (std::process::id(), line)
}

#[procession::task]
pub(crate) fn say(message: String) {
    log::info!("{message}");
}

#[procession::task]
pub(crate) fn log_values() {
    let debug = Some(1);
    let display = Ipv4Addr::LOCALHOST;
    log::info!(
        bool = true,
        i64 = -1i64,
        u64 = u64::MAX,
        i128 = i128::MIN,
        u128 = u128::MAX,
        f64 = 1.5,
        str = "text",
        char = 'ü',
        debug:?,
        display:%,
        null = log::kv::Value::null();
        "values"
    );
}

#[procession::task]
pub(crate) fn log_levels() {
    log::error!("error");
    log::warn!("warn");
    log::info!("info");
    log::info!(target: "quiet::please", "not to be heard");
    log::debug!("debug");
    log::trace!("trace");
}

#[procession::task]
pub(crate) fn log_at_length(length: usize) {
    let long = "ü".repeat(length / 2);
    log::info!(long = &*long, after = 1; "{long}");
    log::info!(long:? = Wide(length), after = 1; "{:?}", Wide(length));
}

/// As many characters as it is wide.
struct Wide(usize);

impl fmt::Debug for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.0).try_for_each(|_| f.write_str("x"))
    }
}

#[procession::task]
pub(crate) fn log_many_pairs(count: u64) {
    let names: Vec<String> = (0..count).map(|n| format!("key{n}")).collect();
    let pairs: Vec<(&str, u64)> = names.iter().map(|name| &**name).zip(0..).collect();
    let pairs = &pairs[..];
    let record = log::Record::builder()
        .level(log::Level::Info)
        .key_values(&pairs)
        .args(format_args!("pairs"))
        .build();
    log::logger().log(&record);
}

/// Says something itself when it is printed.
struct Talkative(u32);

impl fmt::Display for Talkative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(less) = self.0.checked_sub(1) {
            log::info!("{}", Talkative(less));
        }
        write!(f, "level {}", self.0)
    }
}

#[procession::task]
pub(crate) fn log_inside_of_log(depth: u32) {
    log::info!("{}", Talkative(depth));
}

#[procession::task]
pub(crate) fn panic_in_a_record() {
    struct Unprintable;
    impl fmt::Display for Unprintable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("cannot be printed")
        }
    }
    log::info!("{}", Unprintable);
}

#[procession::task]
pub(crate) fn set_a_logger() -> bool {
    struct Nothing;
    impl log::Log for Nothing {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            false
        }
        fn log(&self, _: &log::Record<'_>) {}
        fn flush(&self) {}
    }
    log::set_logger(&Nothing).is_ok()
}

#[procession::task]
pub(crate) fn exit_after_saying(message: String) {
    log::error!("{message}");
    exit_at_once(3);
}

// ---- tracing ----

#[procession::task]
pub(crate) fn trace_one() -> (u32, u32) {
    let left = 3;
    let line = line!() + 1;
    tracing::info!(name: "ink", target: "some::target", left, "low on ink: {left} left");
    (std::process::id(), line)
}

#[procession::task]
pub(crate) fn trace_values() {
    let error: Box<dyn std::error::Error> = "an error".into();
    tracing::info!(
        bool = true,
        i64 = -1i64,
        u64 = u64::MAX,
        i128 = i128::MIN,
        u128 = u128::MAX,
        f64 = 1.5,
        str = "text",
        debug = ?Some(1),
        display = %Ipv4Addr::LOCALHOST,
        error = &*error,
        dotted.name = 1u64,
        "values"
    );
}

#[procession::task]
pub(crate) fn trace_levels() {
    tracing::error!("error");
    tracing::warn!("warn");
    tracing::info!("info");
    tracing::info!(target: "quiet::please", "not to be heard");
    tracing::info!(target: "quiet::for_ever", "not to be heard");
    tracing::debug!("debug");
    tracing::trace!("trace");
}

#[procession::task]
pub(crate) fn trace_in_spans() {
    tracing::info!("around nothing");
    let outer = tracing::info_span!("outer", a = 1, b = "x");
    let in_outer = outer.enter();
    tracing::info!("in one");
    let inner = tracing::info_span!("inner", later = tracing::field::Empty);
    let in_inner = inner.enter();
    tracing::info!("in two");
    tracing::Span::current().record("later", true);
    tracing::info!("told later");
    tracing::info!(parent: &outer, "by its parent");
    tracing::info!(parent: None, "a root");
    drop((in_inner, in_outer));
    let gone = tracing::info_span!("gone");
    let stays = tracing::info_span!(parent: &gone, "stays");
    let again = gone.clone();
    drop((gone, again));
    stays.in_scope(|| tracing::info!("after its parent was closed"));
    let span = tracing::trace_span!("deep");
    span.in_scope(|| tracing::info!("in a span that is not listened to"));
    tracing::info!("at the end");
}

#[procession::task]
pub(crate) fn trace_in_threads(threads: u32) {
    thread::scope(|scope| {
        for n in 0..threads {
            scope.spawn(move || {
                for _ in 0..100 {
                    let span = tracing::info_span!("thread", n);
                    span.in_scope(|| tracing::info!("thread {n}"));
                }
            });
        }
    });
}

#[procession::task]
pub(crate) fn trace_without_a_message(n: u64) {
    tracing::info!(n);
}

#[procession::task]
pub(crate) fn by_turns(count: u32) {
    for n in 0..count {
        log::info!("log {n}");
        tracing::info!("tracing {n}");
    }
}

// ---- order ----

/// Says `count` things of about `length` bytes each.
#[procession::task]
pub(crate) fn flood(label: u32, count: u32, length: usize) -> u32 {
    for n in 0..count {
        log::info!(label, n; "{:length$}", n);
    }
    label
}

/// The same, and counts how far it has come.
#[procession::task]
pub(crate) fn flood_and_count(counter: super::support::Log, count: u32, length: usize) {
    for n in 0..count {
        log::info!(n; "{:length$}", n);
        if n % 10 == 9 {
            counter.add(n);
        }
    }
}

#[procession::task]
pub(crate) fn say_and_pass(gate: Gate, label: u32) -> u32 {
    log::info!("{label} has come");
    gate.pass(label);
    log::info!("{label} may go on");
    label
}

#[procession::task]
pub(crate) fn say_number(n: u32) -> u32 {
    log::info!(n; "number {n}");
    n
}

#[procession::task]
pub(crate) fn greet(fails: bool) -> Result<(), String> {
    log::info!("good morning");
    tracing::info!("good morning, too");
    if fails {
        Err("overslept".into())
    } else {
        Ok(())
    }
}

/// Threads that say things while the result, which is large, is on its way.
#[procession::task]
pub(crate) fn talk_beside_a_large_result(length: usize) -> Vec<u8> {
    for thread in 0..4 {
        thread::spawn(move || {
            for n in 0.. {
                log::info!("thread {thread} says {n}");
            }
        });
    }
    vec![7; length]
}

#[procession::task]
pub(crate) fn done() {}
