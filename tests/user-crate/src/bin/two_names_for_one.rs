//! One function under two names.

#[procession::task]
fn one() {}

procession::register!(one as "another name");

fn main() {
    procession::init();
    one();
    println!("main goes on");
}
