//! Two functions under one name.

mod first {
    #[procession::task(name = "the name")]
    pub fn one() {}
}

mod second {
    #[procession::task(name = "the name")]
    pub fn another() {}
}

fn main() {
    procession::init();
    first::one();
    second::another();
    println!("main goes on");
}
