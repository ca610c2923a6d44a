#[procession::task]
fn is_prime(n: u64) -> bool {
    n > 1
}

const POINTER: fn(u64) -> bool = is_prime;

procession::register!(POINTER);

fn main() {}
