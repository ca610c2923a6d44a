//! What is in shared memory is plain data.

use procession::shared::{Array, SharedMemory, Value};

#[derive(Clone, Copy)]
struct Point {
    x: f64,
}

fn main() {
    let _ = Value::new(String::new());
    let _ = Array::from_slice(&[Point { x: 1.0 }]);
    let _ = Value::new(&1);
    let _ = Value::new(1.0).unwrap().as_atomic();
    let memory = SharedMemory::new(1).unwrap();
    let _ = memory.read_value::<bool>(0);
}
