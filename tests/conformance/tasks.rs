//! The registered functions.

use std::fmt::Display;
use std::iter::Sum;

use procession::Failure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::support::{Gate, Log};

#[procession::task]
pub(crate) fn power(base: u64, exponent: u32) -> u64 {
    base.pow(exponent)
}

#[procession::task]
pub(crate) fn double(n: u64) -> u64 {
    2 * n
}

// One for each number of arguments.

#[procession::task]
pub(crate) fn none() -> u8 {
    0
}

#[procession::task]
pub(crate) fn one(a: u8) -> Vec<u8> {
    vec![a]
}

#[procession::task]
pub(crate) fn two(a: u8, b: u8) -> Vec<u8> {
    vec![a, b]
}

#[procession::task]
pub(crate) fn three(a: u8, b: u8, c: u8) -> Vec<u8> {
    vec![a, b, c]
}

#[procession::task]
pub(crate) fn four(a: u8, b: u8, c: u8, d: u8) -> Vec<u8> {
    vec![a, b, c, d]
}

#[procession::task]
pub(crate) fn five(a: u8, b: u8, c: u8, d: u8, e: u8) -> Vec<u8> {
    vec![a, b, c, d, e]
}

#[procession::task]
pub(crate) fn six(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) -> Vec<u8> {
    vec![a, b, c, d, e, f]
}

#[procession::task]
pub(crate) fn seven(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8) -> Vec<u8> {
    vec![a, b, c, d, e, f, g]
}

#[procession::task]
#[expect(clippy::too_many_arguments, reason = "eight are allowed")]
pub(crate) fn eight(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> Vec<u8> {
    vec![a, b, c, d, e, f, g, h]
}

#[procession::task]
pub(crate) fn pair((number, text): (u32, String)) -> String {
    format!("{text} {number}")
}

#[procession::task]
pub(crate) fn unit(_: ()) {}

#[procession::task]
pub(crate) async fn asynchronous(n: u32) -> u32 {
    // Pending once, and woken from another thread.
    let (promise, future) = procession::Promise::new();
    let thread = std::thread::spawn(move || promise.complete(Ok(n)));
    let n = future.await.unwrap();
    thread.join().unwrap();
    n + 1
}

#[procession::task]
pub(crate) async fn asynchronous_panic(text: String) -> u32 {
    std::future::ready(()).await;
    panic!("{text}")
}

#[procession::task]
pub(crate) fn half(n: u32) -> Result<u32, String> {
    if n.is_multiple_of(2) {
        Ok(n / 2)
    } else {
        Err(format!("{n} is odd"))
    }
}

#[procession::task]
pub(crate) fn read_file(path: String) -> Result<String, Failure> {
    Ok(std::fs::read_to_string(path)?)
}

/// Its parameters are named as those of the calls that it is submitted with.
#[procession::task]
pub(crate) fn function(function: u32, args: u32, executor: u32, timeout: u32) -> Vec<u32> {
    vec![function, args, executor, timeout]
}

/// A function of the name of a method.
#[procession::task]
pub(crate) fn submit(core: u32, permit: u32, r#fn: u32) -> Vec<u32> {
    vec![core, permit, r#fn]
}

mod generic {
    use super::*;

    pub(crate) fn total<T: Sum + Serialize + DeserializeOwned>(terms: Vec<T>) -> T {
        terms.into_iter().sum()
    }

    procession::register!(total::<u32>, total::<f64> as "a total of floats");
}
pub(crate) use generic::total;

pub(crate) mod private {
    mod inner {
        #[procession::task]
        pub(super) fn hidden(n: u64) -> u64 {
            n + 40
        }
    }

    pub(crate) fn submit_hidden(executor: &dyn procession::Executor, n: u64) -> u64 {
        use procession::ExecutorExt as _;
        executor.submit(inner::hidden, n).unwrap().wait().unwrap()
    }
}

// Of another crate.
procession::register!(u64::rotate_left as "rotate");

pub(crate) trait Shape {
    fn area(self) -> f64;
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Square(pub(crate) f64);

impl Shape for Square {
    fn area(self) -> f64 {
        self.0 * self.0
    }
}

procession::register!(<Square as Shape>::area);

pub(crate) fn forgotten(n: u64) -> u64 {
    n
}

#[procession::task]
pub(crate) fn panics(text: String) -> u64 {
    panic!("{text}")
}

/// The line of its panic.
pub(crate) const LINE_OF_PANIC: u32 = line!() - 4;

#[procession::task]
pub(crate) fn panics_with_a_number(n: u64) -> u64 {
    std::panic::panic_any(n)
}

#[procession::task]
pub(crate) fn divide(dividend: u32, divisor: u32) -> (u32, u32) {
    (dividend / divisor, dividend % divisor)
}

/// Looks like the end of a map's time, in both ways that a function can end.
#[procession::task]
pub(crate) fn looks_timed_out(panics: bool) -> Result<u32, String> {
    let text = "2 (of 4) futures unfinished";
    assert!(!panics, "{text}");
    Err(text.into())
}

#[procession::task]
pub(crate) fn pass(gate: Gate, label: u32) -> u32 {
    gate.pass(label);
    label
}

/// Passes the gate if there is one.
#[procession::task]
pub(crate) fn pass_or_not(gate: Option<Gate>, label: u32) -> u32 {
    if let Some(gate) = gate {
        gate.pass(label);
    }
    label
}

#[procession::task]
pub(crate) fn pass_then_panic(gate: Gate) -> u32 {
    gate.pass(0);
    panic!("after the gate")
}

#[procession::task]
pub(crate) fn note(log: Log, line: u32) -> u32 {
    log.add(line);
    line
}

#[procession::task]
pub(crate) fn pid() -> u32 {
    std::process::id()
}

#[procession::task]
pub(crate) fn echo(text: String) -> String {
    text
}

#[procession::task]
pub(crate) fn as_long_as(length: usize) -> String {
    "x".repeat(length)
}

/// Does not encode, on demand.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Stubborn(pub(crate) bool);

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 {
            return Err(serde::ser::Error::custom("it does not want to go"));
        }
        serializer.serialize_bool(false)
    }
}

/// Encodes, but does not decode, on demand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Lost(pub(crate) bool);

impl<'de> Deserialize<'de> for Lost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if bool::deserialize(deserializer)? {
            return Err(serde::de::Error::custom("it does not want to come back"));
        }
        Ok(Self(false))
    }
}

/// Of a form that the encoding cannot carry: it does not say which of the two it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Untagged {
    Number(u32),
    Text(String),
}

#[procession::task]
pub(crate) fn take_stubborn(value: Stubborn) -> bool {
    value.0
}

#[procession::task]
pub(crate) fn make_stubborn(stubborn: bool) -> Stubborn {
    Stubborn(stubborn)
}

#[procession::task]
pub(crate) fn take_lost(value: Lost) -> bool {
    value.0
}

#[procession::task]
pub(crate) fn make_lost(lost: bool) -> Lost {
    Lost(lost)
}

#[procession::task]
pub(crate) fn take_untagged(value: Untagged) -> bool {
    value == Untagged::Number(1)
}

/// Panics while it is encoded.
#[derive(Debug, Deserialize)]
pub(crate) struct Explosive;

impl Serialize for Explosive {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("encoding panicked")
    }
}

#[procession::task]
pub(crate) fn make_explosive() -> Explosive {
    Explosive
}

/// Calls what it is given, for error messages in tests.
pub(crate) fn text(error: impl Display) -> String {
    error.to_string()
}

#[procession::task]
pub(crate) fn sum_of(bytes: [[[[u8; 32]; 32]; 4]; 8]) -> u64 {
    bytes
        .iter()
        .flatten()
        .flatten()
        .flatten()
        .map(|byte| u64::from(*byte))
        .sum()
}
