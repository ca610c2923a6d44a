struct Plain;

fn borrows(text: &str) -> usize {
    text.len()
}

fn plain(_: Plain) {}

fn generic<T: Into<u64>>(value: T) -> u64 {
    value.into()
}

procession::register!(borrows);
procession::register!(plain);
procession::register!(generic);

fn main() {}
