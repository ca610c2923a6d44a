//! The same, of a library that nothing here names: the linker leaves it out.

use procession::{ProcessPoolExecutor, SubmitError};

procession::init_in_tests!();

#[test]
fn a_library_that_is_not_linked_is_refused_with_a_hint() {
    let pool = ProcessPoolExecutor::builder()
        .max_workers(1)
        .build()
        .unwrap();
    let error = pool
        .submit_by_name::<u64>("unnamed::twice", &21_u64)
        .unwrap_err();
    assert!(
        matches!(error, SubmitError::UnknownName { .. }),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "no function is registered under the name `unnamed::twice` (if it lives in a library crate \
         that nothing else names, link it with `use that_crate as _;`)"
    );
}
