#[procession::task(named = "f")]
fn misspelt() {}

#[procession::task(name = 7)]
fn number() {}

#[procession::task(name = "")]
fn empty() {}

#[procession::task]
struct NotAFunction;

fn main() {}
