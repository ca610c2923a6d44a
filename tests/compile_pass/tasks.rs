//! Registration needs no `unsafe` of the user, and disturbs no lint.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unused_qualifications, unreachable_pub)]

use std::collections::HashMap;

use procession::{Failure, TaskFunction};
use serde::{Deserialize, Serialize};

/// A type of the user.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    x: f64,
    y: f64,
}

mod private {
    use super::Point;

    #[procession::task]
    fn hidden(points: Vec<Point>) -> f64 {
        points.iter().map(|point| point.x + point.y).sum()
    }

    /// Public.
    #[procession::task]
    pub(crate) fn sum(points: Vec<Point>) -> f64 {
        hidden(points)
    }

    /// Generic.
    pub(crate) fn double<T: std::ops::Add<Output = T> + Clone>(value: T) -> T {
        value.clone() + value
    }

    procession::register!(double::<u32>, double::<f64> as "double a float");
}

#[procession::task(name = "with a name of its own")]
async fn fallible(path: String, (a, mut b): (u8, u8)) -> Result<HashMap<String, u8>, Failure> {
    b += 1;
    let number: u8 = path.parse()?;
    Ok(HashMap::from([(path, a + b + number)]))
}

#[deprecated]
#[procession::task]
fn old() {}

#[procession::task]
#[cfg(any())]
fn not_there(_: NotThere) {}

#[allow(clippy::too_many_arguments)]
#[procession::task]
fn eight(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u8 {
    a + b + c + d + e + f + g + h
}

trait Shape {
    fn area(self) -> f64;
}

impl Shape for Point {
    fn area(self) -> f64 {
        self.x * self.y
    }
}

procession::register!(<Point as Shape>::area, usize::count_ones as "ones");

/// What an executor does: it takes the function and its arguments, and the result's type follows.
fn submit<F, A, K>(_function: F, _args: A) -> Option<F::Output>
where
    F: TaskFunction<A, K>,
{
    None
}

fn main() {
    assert_eq!(private::sum(vec![Point { x: 1.0, y: 2.0 }]), 3.0);
    let _: Option<f64> = submit(private::sum, vec![]);
    let _: Option<Result<HashMap<String, u8>, Failure>> = submit(fallible, (String::new(), (1, 2)));
    let _: Option<u8> = submit(eight, (1, 2, 3, 4, 5, 6, 7, 8));
    let _: Option<f64> = submit(<Point as Shape>::area, Point { x: 1.0, y: 2.0 });
    let _: Option<u32> = submit(private::double::<u32>, 3);
}
