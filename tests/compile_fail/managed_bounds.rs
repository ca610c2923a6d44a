use std::rc::Rc;
use std::sync::Mutex;

struct Opaque;

/// Only one thread can have it.
struct Local(Rc<u64>);

#[procession::managed]
impl Local {
    pub fn new() -> Self {
        Self(0.into())
    }

    pub fn get(&self) -> u64 {
        *self.0
    }
}

struct Counter(u64);

#[procession::managed]
impl Counter {
    pub fn new(_: Opaque) -> Self {
        Self(0)
    }

    pub fn try_new() -> Result<Self, Opaque> {
        Ok(Self(0))
    }

    pub fn add(&mut self, by: Mutex<Rc<u64>>) {
        let _ = by;
    }

    pub fn get(&self) -> Opaque {
        Opaque
    }
}

fn main() {}
