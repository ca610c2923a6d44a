//! The registered functions.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;

use procession::{Descriptor, Failure, ProcessPoolExecutor};
use serde::{Deserialize, Serialize};

use super::support::Gate;
use super::{open_here, text_of};

/// Descriptors in every place that a value has.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Parcel {
    pub(crate) label: String,
    pub(crate) one: Descriptor,
    pub(crate) perhaps: Option<Descriptor>,
    pub(crate) many: Vec<Descriptor>,
    pub(crate) named: BTreeMap<String, Descriptor>,
    pub(crate) either: Result<Descriptor, u32>,
}

#[procession::task]
pub(crate) fn read(from: Descriptor) -> String {
    text_of(&from)
}

#[procession::task]
pub(crate) fn read_two(first: Descriptor, between: u32, second: Descriptor) -> String {
    format!("{} {between} {}", text_of(&first), text_of(&second))
}

#[procession::task]
pub(crate) fn read_all(from: Vec<Descriptor>) -> Vec<String> {
    from.iter().map(text_of).collect()
}

#[procession::task]
pub(crate) fn echo(descriptors: Vec<Descriptor>) -> Vec<Descriptor> {
    descriptors
}

#[procession::task]
pub(crate) fn unpack(parcel: Parcel) -> Parcel {
    let label = format!(
        "{} {} {:?} {:?} {:?} {:?}",
        parcel.label,
        text_of(&parcel.one),
        parcel.perhaps.as_ref().map(text_of),
        parcel.many.iter().map(text_of).collect::<Vec<_>>(),
        parcel
            .named
            .iter()
            .map(|(name, descriptor)| (name, text_of(descriptor)))
            .collect::<Vec<_>>(),
        parcel.either.as_ref().map(text_of),
    );
    Parcel { label, ..parcel }
}

/// A file of the worker's own.
#[procession::task]
pub(crate) fn make(text: String) -> Descriptor {
    super::said(&text)
}

#[procession::task]
pub(crate) fn make_some(count: usize) -> Vec<Descriptor> {
    super::numbered(count)
}

/// Of the even ones, a file.
#[procession::task]
pub(crate) fn make_if_even(number: u32) -> Option<Descriptor> {
    number
        .is_multiple_of(2)
        .then(|| super::said(&number.to_string()))
}

#[procession::task]
pub(crate) fn write(to: Descriptor, text: String) -> Result<(), Failure> {
    Ok(File::from(to.into_owned()?).write_all(text.as_bytes())?)
}

/// Reads until nobody can write any more.
#[procession::task]
pub(crate) fn drain(from: Descriptor) -> Result<String, Failure> {
    let mut text = String::new();
    File::from(from.into_owned()?).read_to_string(&mut text)?;
    Ok(text)
}

/// How many descriptors the process that runs this has.
#[procession::task]
pub(crate) fn count() -> usize {
    open_here()
}

#[procession::task]
pub(crate) fn pid() -> u32 {
    std::process::id()
}

/// Dies as long as the file has fewer bytes than that, one more with every attempt.
#[procession::task]
pub(crate) fn die_until(attempts: u64, log: Descriptor) -> Descriptor {
    rustix::io::write(log.as_fd(), b"x").expect("to write");
    let len = rustix::fs::fstat(&log).expect("its length").st_size as u64;
    if len < attempts {
        super::support::signal(std::process::id(), 9);
        loop {
            std::thread::park();
        }
    }
    log
}

#[procession::task]
pub(crate) fn pass(gate: Gate, label: u32) -> u32 {
    gate.pass(label);
    label
}

/// Stops at the gate with what it was given.
#[procession::task]
pub(crate) fn pass_with(gate: Gate, label: u32, descriptors: Vec<Descriptor>) -> Vec<Descriptor> {
    gate.pass(label);
    descriptors
}

#[procession::task]
pub(crate) fn panic_with(_descriptors: Vec<Descriptor>) {
    panic!("on purpose");
}

/// Hands a file on to a worker of a worker, which hands it back.
#[procession::task]
pub(crate) fn hand_on(descriptor: Descriptor, depth: u32) -> Result<(Descriptor, u32), Failure> {
    if depth == 0 {
        return Ok((descriptor, std::process::id()));
    }
    let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
    pool.submit(hand_on, (descriptor, depth - 1))?.wait()?
}

/// As JSON, which nobody could read.
#[procession::task]
pub(crate) fn as_json(descriptor: Descriptor) -> Result<String, String> {
    serde_json::to_string(&descriptor).map_err(|error| error.to_string())
}
