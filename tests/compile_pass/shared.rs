//! Structs that say that they are plain data.

use procession::shared::{Array, Value, bytemuck};

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[bytemuck(crate = "procession::shared::bytemuck")]
#[repr(C)]
struct Point {
    x: f64,
    tags: [u8; 24],
}

#[derive(Clone, Copy, bytemuck::AnyBitPattern, bytemuck::NoUninit)]
#[bytemuck(crate = "procession::shared::bytemuck")]
#[repr(transparent)]
struct Id(u128);

fn main() {
    let point = Value::new(Point { x: 1.0, tags: [0; 24] }).unwrap();
    point.update(|point| point.tags[7] = 7).unwrap();
    assert_eq!(point.get().unwrap().tags[7], 7);
    let ids = Array::from_slice(&[Id(1), Id(2)]).unwrap();
    assert_eq!(ids.unlocked().get(1).map(|id| id.0), Some(2));
}
