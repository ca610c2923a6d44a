use procession::TaskFunction;

fn submit<F, A, K>(_function: F, _args: A) -> Option<F::Output>
where
    F: TaskFunction<A, K>,
{
    None
}

#[procession::task]
fn is_prime(n: u64) -> bool {
    n > 1
}

#[procession::task]
fn add(left: u32, right: u32) -> u32 {
    left + right
}

fn main() {
    submit(is_prime, "7");
    submit(is_prime, ());
    submit(add, 7);
    submit(add, (7, 8, 9));
    submit(7, 8);
}
