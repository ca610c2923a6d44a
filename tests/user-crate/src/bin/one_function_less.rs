//! A program without functions.

fn main() {
    procession::init();
}
