//! A test crate without `init_in_tests!`.

use procession::{BuildError, ProcessPoolExecutor};

#[test]
fn the_line_to_add_is_named() {
    let error = ProcessPoolExecutor::new().unwrap_err();
    assert!(matches!(error, BuildError::NotInitialised), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("`procession::init_in_tests!();`"),
        "{error}"
    );
}
