struct Counter(u64);

struct Local(std::rc::Rc<u64>);

struct Stack<T>(Vec<T>);

trait Shape {
    fn area(&self) -> f64;
}

#[procession::managed]
impl Counter {
    pub fn new() -> Self {
        Self(0)
    }

    pub fn borrows(&self, text: &str) -> usize {
        text.len()
    }

    pub fn lends(&self) -> &u64 {
        &self.0
    }

    pub fn names_a_lifetime<'a>(&'a self, text: std::borrow::Cow<'a, str>) -> usize {
        text.len()
    }

    pub fn generic<T: Into<u64>>(&self, value: T) -> u64 {
        value.into()
    }

    pub fn any(&self, value: impl Into<u64>) -> u64 {
        value.into()
    }

    pub fn some(&self) -> impl Iterator<Item = u64> + use<> {
        0..self.0
    }

    pub unsafe fn dangerous(&self) {}

    pub extern "C" fn foreign(&self) {}

    pub fn nine(&self, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8) {}

    pub fn into_inner(self) -> u64 {
        self.0
    }

    pub fn boxed(self: Box<Self>) -> u64 {
        self.0
    }

    pub fn is_same(&self) {}

    pub fn add(&mut self) {}

    pub fn add_async(&mut self) {}

    #[managed]
    fn neither() -> u64 {
        0
    }

    #[managed(hide)]
    pub fn marked_otherwise(&self) {}

    #[managed]
    const MOST: u64 = 7;
}

#[procession::managed]
impl Shape for Counter {
    fn area(&self) -> f64 {
        0.0
    }
}

#[procession::managed]
impl<T> Stack<T> {
    pub fn new() -> Self {
        Self(Vec::new())
    }
}

mod without_a_constructor {
    struct Counter(u64);

    #[procession::managed]
    impl Counter {
        pub fn get(&self) -> u64 {
            self.0
        }

        fn new() -> Self {
            Self(0)
        }
    }
}

mod options {
    struct Counter(u64);

    #[procession::managed(named = "counter")]
    impl Counter {
        pub fn new() -> Self {
            Self(0)
        }
    }

    #[procession::managed(name = "")]
    impl Counter {
        pub fn make() -> Self {
            Self(0)
        }
    }
}

#[procession::managed]
fn no_block() {}

fn main() {
    // The functions are there all the same: their callers are no errors.
    let _ = (Counter::new().borrows(""), Local(0.into()).0, Stack::<u8>::new().0);
}
