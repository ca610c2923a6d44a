//! Two managed types under one name.

struct One;

#[procession::managed(name = "the type")]
impl One {
    pub fn new() -> Self {
        Self
    }
}

struct Another;

#[procession::managed(name = "the type")]
impl Another {
    pub fn new() -> Self {
        Self
    }
}

fn main() {
    procession::init();
    let _ = (One::new(), Another::new());
    println!("main goes on");
}
