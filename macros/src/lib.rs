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
/// Above a function within an `impl` block it does not compile ("`const` items in this context need a name"): there, it is `procession::register!`'s.
///
/// A library crate registers its functions in the same way, for all programs that use it. Of one that is in `Cargo.toml` and that the program names nothing of (since its
/// functions are asked for by name only), the linker takes nothing: `use that_crate as _;` makes it.
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

/// Lets values of a type live in a manager, and be called from anywhere: above an `impl` block, it makes a proxy type with the same
/// methods. The block stays what it is.
///
/// ```
/// struct Counter {
///     n: u64,
/// }
///
/// #[procession::managed]
/// impl Counter {
///     pub fn new(start: u64) -> Self {
///         Self { n: start }
///     }
///
///     /// Adds to it, and gives what it is then.
///     pub fn add(&mut self, by: u64) -> u64 {
///         self.n += by;
///         self.n
///     }
///
///     pub fn get(&self) -> u64 {
///         self.n
///     }
///
///     #[managed]
///     fn reset(&mut self) {
///         self.n = 0;
///     }
///
///     #[managed(skip)]
///     pub fn into_inner(self) -> u64 {
///         self.n
///     }
/// }
///
/// fn count(manager: &procession::manager::Manager) -> Result<(), procession::manager::ManagerError> {
///     let counter = CounterProxy::new(manager, 7)?;
///     assert_eq!(counter.add(3)?, 10);
///     counter.reset()
/// }
/// ```
///
/// # What is shown
///
/// One block of a type can have the attribute, since it makes the proxy type. Of that block, the `pub` functions, and others that `#[managed]` is above; `#[managed(skip)]` hides a `pub` one. (`pub(crate)` is not `pub`: whoever has the manager's key can
/// call what is shown, by its name, and nothing else.) Of these,
///
/// * *constructors* are those without `self` that return `Self` or `Result<Self, E>`. There has to be one. The proxy's is given the manager first, and returns
///   when the value is there: `CounterProxy::new(&manager, 7)` is a `Result<CounterProxy, ManagerError>`, or a `Result<Result<CounterProxy, E>, ManagerError>`.
/// * *methods* take `&self` or `&mut self`. What they return is returned inside a `Result<_, ManagerError>`.
///
/// Each has a second form whose name ends in `_async`, to be awaited. `async fn`s are awaited by the thread that runs them, as those of tasks are. Arguments and results
/// cross processes: each is `Serialize + DeserializeOwned + 'static`, nothing is borrowed, and up to eight arguments are allowed. Proxies of the same manager may be
/// in them.
///
/// # What runs where
///
/// The value is in the manager's process, which has to be of the same program, or of one that has the type as well; it is `Send + Sync + 'static`, since methods run
/// on several threads. Calls begin in the order in which they arrive: those of `&self` may run at the same time (at most 64 of one object), one of `&mut self` runs alone. A call that
/// waits for its turn costs no thread; one that runs has one, of which a manager has 32, or as many as `threads` of `Manager::builder()` or `Server::builder()` says. Two things follow:
///
/// * A method that waits for another call of the same object, or calls it through a proxy, can wait for ever.
/// * Methods that block, or take long, can take all threads, be it those of a single object. Then the methods of all objects in that manager wait. Its lists, queues, locks and the
///   like do not: they have no threads. So let the callers wait, in a `QueueProxy` or an `EventProxy`, and not the methods; or ask for more `threads`.
///
/// A method that panics is an error at its caller, `ManagerError::Panicked` (and is said on the manager's standard error, as panics are); the value stays as the method
/// left it, and can be called again. If the constructor panics,
/// its caller and every later call are told that. A call that is cancelled before it has begun does not begin; one that has begun runs on.
/// The value is dropped when its last proxy is, on a thread of the manager. A call is one round trip, a constructor two.
///
/// # The proxy
///
/// It is called `CounterProxy` for a `Counter`, and is a handle as others are: cloned, sent to tasks, kept in other managed objects. Its methods are as visible as the
/// type's, and it is as visible as the most visible of them. The documentation of the functions is that of the proxy's as well.
///
/// The type's name on the wire is `module_path!()::Counter`, or the one given with `name = "…"`; two types under one name stop the program at `procession::init()`.
///
/// Options: `name = "…"`; `proxy = Ident` names the proxy; `crate = path`, where the crate `procession` goes by another name.
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
