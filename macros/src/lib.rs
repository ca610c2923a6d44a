//! The attributes of the `procession` crate. Use them from there.

mod faults;
mod main_function;
mod managed;
mod options;
mod task;

use proc_macro::TokenStream;

/// Registers a function, so that it can be submitted to an executor. The function stays what it is:
/// calling it calls it.
///
/// ```
/// #[procession::task]
/// fn is_prime(n: u64) -> bool {
///     n > 1 && (2..n).all(|d| n % d != 0)
/// }
///
/// #[procession::task(name = "words::count")]
/// async fn count(text: String, word: String) -> Result<usize, String> {
///     if word.is_empty() {
///         return Err("no word to count".into());
///     }
///     Ok(text.matches(&word).count())
/// }
///
/// assert!(is_prime(7));
/// ```
///
/// It goes above free functions, plain or `async`, public or private, of zero to eight arguments.
/// Arguments and result cross processes: each is `Serialize + DeserializeOwned + 'static`, and
/// nothing is borrowed. A `Result` of the function's own is a value like any other; for errors that
/// are not serde types there is `procession::Failure`.
///
/// Its name is `module_path!()::function`, or the one given with `name = "…"`. Instances of generic
/// functions, methods, and functions of other crates are registered with `procession::register!`.
///
/// Options: `name = "…"`; `repeatable = false` for a function that must not be called twice for the same
/// arguments, so that asking for retries is refused; `crate = path`, where the crate `procession` goes by another name.
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    task::expand(options.into(), item.into()).into()
}

/// Lets values of a type live in a manager's server, and be called from anywhere: above an `impl` block, it makes a proxy type with the same
/// methods. The block stays what it is.
#[proc_macro_attribute]
pub fn managed(options: TokenStream, item: TokenStream) -> TokenStream {
    managed::expand(options.into(), item.into()).into()
}

/// Calls `procession::init()` before anything else in `main`: also before an attribute such as
/// `#[tokio::main]` starts a runtime and its threads.
///
/// ```no_run
/// #[procession::main]
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     // …
///     Ok(())
/// }
/// ```
///
/// In front of an asynchronous `main`, put it *above* the attribute that makes it one:
///
/// ```
/// #[procession::main]
/// #[tokio::main]
/// async fn main() {
///     assert!(!procession::in_worker());
/// }
/// ```
///
/// Option: `crate = path`, where the crate `procession` goes by another name.
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    main_function::expand(options.into(), item.into()).into()
}
