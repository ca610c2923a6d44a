//! A program that runs the workers of another one: the path is its argument.

use procession::ProcessPoolExecutor;

#[procession::task]
fn only_here() {}

fn main() {
    procession::init();
    only_here();
    let path = std::env::args_os().nth(1).expect("the path of a program");
    let pool = ProcessPoolExecutor::builder()
        .max_workers(2)
        .program(path)
        .build();
    match pool {
        Ok(pool) => println!("a pool of {}", pool.max_workers()),
        Err(error) => println!("{error}\n{error:?}"),
    }
}
