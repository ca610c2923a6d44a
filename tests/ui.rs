//! What the compiler says: of tasks that are none, and of those that must compile.

#![cfg(feature = "macros")]

/// One run, since each builds the crate again. The programs that pass also run; that they are there
/// makes trybuild build instead of check, which is what finds the errors of `const` blocks.
#[test]
fn the_compiler_says_what_is_wrong() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile_pass/*.rs");
    cases.compile_fail("tests/compile_fail/*.rs");
}
