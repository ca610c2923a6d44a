struct Counter(u64);

#[procession::task]
fn generic<T: Into<u64>>(value: T) -> u64 {
    value.into()
}

#[procession::task]
fn array<const N: usize>(values: [u8; 4]) -> usize {
    values.len() + N
}

#[procession::task]
fn any(value: impl Into<u64>) -> u64 {
    value.into()
}

#[procession::task]
unsafe fn dangerous(n: u64) -> u64 {
    n
}

#[procession::task]
extern "C" fn foreign(n: u64) -> u64 {
    n
}

#[procession::task]
fn nine(_: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8) {}

impl Counter {
    #[procession::task]
    fn next(self) -> u64 {
        self.0 + 1
    }
}

fn main() {}
