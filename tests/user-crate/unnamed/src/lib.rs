//! Nobody names anything of this library by path.

#[procession::task]
fn twice(n: u64) -> u64 {
    2 * n
}
