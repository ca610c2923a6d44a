//! A program of `host`'s functions, one of which has another signature here.

#[procession::task(name = "host::only_here")]
fn only_here(n: u32) -> u32 {
    n
}

fn main() {
    procession::init();
    only_here(1);
}
