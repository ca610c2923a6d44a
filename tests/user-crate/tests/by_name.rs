//! An integration test, plain `#[test]` functions, of tasks that are asked for by name.

use procession::{ProcessPoolExecutor, SubmitError};
use unnamed as _;

procession::init_in_tests!();

fn note(name: &str) {
    use std::io::Write as _;
    if let Some(path) = std::env::var_os("USER_CRATE_NOTES") {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        file.unwrap()
            .write_all(format!("{name} {}\n", std::process::id()).as_bytes())
            .unwrap();
    }
}

fn pool() -> ProcessPoolExecutor {
    ProcessPoolExecutor::builder()
        .max_workers(2)
        .build()
        .unwrap()
}

#[test]
fn a_library_that_is_linked_is_found_by_name() {
    note("a_library_that_is_linked_is_found_by_name");
    let pool = pool();
    let future = pool
        .submit_by_name::<u64>("unnamed::twice", &21_u64)
        .unwrap();
    assert_eq!(future.wait().unwrap(), 42);
}

#[test]
fn a_function_in_a_private_module_has_its_whole_path() {
    note("a_function_in_a_private_module_has_its_whole_path");
    let pool = pool();
    let name = "sieve::arithmetic::primes::is_prime";
    assert!(
        pool.submit_by_name::<bool>(name, &97_u64)
            .unwrap()
            .wait()
            .unwrap()
    );
    assert_eq!(sieve::count_primes(&pool, 1000).unwrap(), 168);
}

#[test]
fn other_types_are_refused() {
    note("other_types_are_refused");
    let error = pool()
        .submit_by_name::<u32>("unnamed::twice", &21_u64)
        .unwrap_err();
    assert!(matches!(error, SubmitError::OtherTypes { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "`unnamed::twice` was registered as `(u64) -> u64`, not as `(u64) -> u32`"
    );
}
