//! Descriptors as arguments and results of tasks: they arrive, in their order, wherever they are in a value;
//! and whatever happens on the way, none is left behind, here or in a worker.
//!
//! | file | one line |
//! |--|--|
//! | `tasks` | the registered functions |
//! | `values` | what arrives, in every executor |
//! | `ways` | maps, initializers, pools within pools |
//! | `lives` | deaths, retries, what is taken back |
//! | `limits` | more than may be open, or on its way |

#[path = "../support/mod.rs"]
mod support;
mod tasks;
mod values;
mod ways;
mod lives;
mod limits;

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;

use procession::{Descriptor, ProcessPoolExecutor};

fn main() {
    support::run(|| {
        [
            values::tests(),
            ways::tests(),
            lives::tests(),
            limits::tests(),
        ]
        .into_iter()
        .flatten()
        .collect()
    });
}

fn pool(workers: usize) -> ProcessPoolExecutor {
    let pool = ProcessPoolExecutor::builder().max_workers(workers).build();
    pool.expect("a pool")
}

/// A file without a name that says this.
fn said(text: &str) -> Descriptor {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let memory = rustix::fs::memfd_create("procession-test", flags).expect("a memfd");
    let mut file = File::from(memory);
    file.write_all(text.as_bytes()).expect("to write");
    Descriptor::new(file)
}

/// Files that say their numbers.
fn numbered(count: usize) -> Vec<Descriptor> {
    (0..count).map(|number| said(&number.to_string())).collect()
}

/// What a file says, from its beginning.
fn text_of(descriptor: &Descriptor) -> String {
    text_in(descriptor.try_clone_to_owned().expect("a duplicate"))
}

fn text_in(descriptor: OwnedFd) -> String {
    let mut file = File::from(descriptor);
    let mut text = String::new();
    file.rewind().expect("to rewind");
    file.read_to_string(&mut text).expect("to read");
    text
}

/// How many descriptors this process has.
fn open_here() -> usize {
    support::descriptors().len()
}
