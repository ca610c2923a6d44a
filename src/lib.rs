//! `concurrent.futures` and `multiprocessing` for Rust: functions run in a pool of worker processes, and
//! what comes back are futures, to be awaited from any runtime or waited for in plain code.
//!
//! Processes are walls. A function that crashes, leaks, calls C code that is not thread-safe, or reads
//! files that nobody trusts, takes its worker with it and nothing else: its task fails with an
//! error that says how, the worker is replaced, and everything else goes on.
//!
//! # Register
//!
//! A worker is another process, so a function is sent by its name. [`#[procession::task]`](macro@task)
//! registers one; it stays a function that can be called. Its arguments and its result are
//! [serde](https://serde.rs) types that borrow nothing.
//!
//! ```
//! #[procession::task]
//! fn is_prime(n: u64) -> bool {
//!     n > 1 && (2..=n.isqrt()).all(|d| n % d != 0)
//! }
//!
//! assert!(is_prime(7));
//! ```
//!
//! [`register!`] does the same for instances of generic functions, for methods, and for functions of other
//! crates. A library registers its functions in the same way, for the programs that use it.
//!
//! # Start
//!
//! Workers are this same program, started anew. [`init()`](init()) is the first line of `main`, and the place where a
//! worker parts from the program: in a worker it never returns. Then a [`ProcessPoolExecutor`] can be
//! made; its [builder](ProcessPoolExecutor::builder) has the options: how many workers there are and how long they last, what they may
//! take, where their output goes, a function that every worker runs [first](ProcessPoolExecutorBuilder::initializer).
//!
//! ```standalone_crate
//! use procession::ProcessPoolExecutor;
//!
//! fn main() -> Result<(), procession::BuildError> {
//!     procession::init();
//!     let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;
//!     assert_eq!(pool.max_workers(), 2);
//!     Ok(())
//! }
//! ```
//!
//! Where an attribute such as `#[tokio::main]` stands above `main`, put
//! [`#[procession::main]`](macro@main) above both: workers must not start a runtime and its threads.
//!
//! # Submit, then wait or await
//!
//! [`submit`](ProcessPoolExecutor::submit) takes the function and its arguments: `()` for none, one as it
//! is, several as a tuple. It returns a [`Future`].
//!
//! ```standalone_crate
//! # use procession::ProcessPoolExecutor;
//! #[procession::task]
//! fn repeat(text: String, times: usize) -> String {
//!     text.repeat(times)
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # procession::init();
//! # let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
//! let future = pool.submit(repeat, ("ab".to_owned(), 3))?;
//! assert_eq!(future.wait()?, "ababab");
//!
//! # futures::executor::block_on(async {
//! // In async code:
//! let future = pool.submit_async(repeat, ("ab".to_owned(), 2)).await?;
//! assert_eq!(future.await?, "abab");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })
//! # }
//! ```
//!
//! At most `max_pending` tasks (65 536, if nothing else is said) are pending at a time. Then `submit` blocks,
//! [`submit_async`](ProcessPoolExecutor::submit_async) awaits, and
//! [`try_submit`](ProcessPoolExecutor::try_submit) gives the arguments back.
//!
//! # Many at once
//!
//! [`map`](ProcessPoolExecutor::map) calls a function for every item of an input, lazily, and yields one
//! `Result` for each, in order or [as they end](Map::unordered). [`as_completed`] yields futures in the
//! order in which they end, and [`wait`] waits for one or all of them.
//!
//! ```standalone_crate
//! # use procession::{ProcessPoolExecutor, as_completed};
//! #[procession::task]
//! fn square(n: u64) -> u64 {
//!     n * n
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # procession::init();
//! # let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;
//! let squares: Result<Vec<u64>, _> = pool.map(square, 1..=4).collect();
//! assert_eq!(squares?, [1, 4, 9, 16]);
//!
//! let mut futures = Vec::new();
//! for n in [10, 20] {
//!     futures.push((n, pool.submit(square, n)?)); // whatever is paired with a future stays with it
//! }
//! for (n, future) in as_completed(futures) {
//!     assert_eq!(future.wait()?, n * n);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Both are iterators that block; `.stream()` makes them streams that are awaited.
//!
//! # Errors
//!
//! A function's own `Result` is a value. Everything else that can happen to a task is a [`TaskError`];
//! two of its cases matter most:
//!
//! ```standalone_crate
//! use procession::{EndOfWorker, Failure, ProcessPoolExecutor, TaskError};
//!
//! #[procession::task]
//! fn size(path: String) -> Result<u64, Failure> {
//!     match path.as_str() {
//!         "crash" => std::process::abort(),
//!         "panic" => panic!("no such luck"),
//!         _ => Ok(std::fs::metadata(path)?.len()), // `?` makes a `Failure` of any error
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # procession::init();
//! # let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
//! let missing = pool.submit(size, "/no/such/file".to_owned())?.wait()?;
//! assert!(missing.unwrap_err().to_string().starts_with("No such file"));
//!
//! match pool.submit(size, "panic".to_owned())?.wait() {
//!     Err(TaskError::Panicked(panic)) => assert_eq!(&*panic.message, "no such luck"),
//!     other => panic!("{other:?}"),
//! }
//! match pool.submit(size, "crash".to_owned())?.wait() {
//!     Err(TaskError::WorkerLost(lost)) => assert_eq!(lost.end, EndOfWorker::Signalled(6)),
//!     other => panic!("{other:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`TaskError::may_have_run`] says whether a retry could repeat something. A call that is refused
//! is a [`SubmitError`], an executor that cannot start a [`BuildError`]. An error's `Display` leaves its cause to
//! [`source`](std::error::Error::source).
//!
//! [`when_things_go_wrong`] has a row for every way to fail.
//!
//! # Time limits, cancelling, retries
//!
//! [`call`](ProcessPoolExecutor::call) says more about a call than its arguments. A task that runs for too long is ended together
//! with its worker, in [steps](ProcessPoolExecutorBuilder::cancel_grace) that can give it time to clean up: in the first, it is
//! told by [`is_cancelled()`](fn@is_cancelled). [`Future::cancel`] takes back what has not begun, [`Future::kill`] ends also
//! what runs. Neither ever hits another task.
//!
//! ```standalone_crate
//! # use std::time::Duration;
//! # use procession::{ProcessPoolExecutor, Retry, TaskError};
//! #[procession::task]
//! fn ponder(question: String) -> u32 {
//!     loop {
//!         std::thread::yield_now();
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # procession::init();
//! let pool = ProcessPoolExecutor::builder()
//!     .max_workers(1)
//!     .deadline(Duration::from_secs(3600)) // of every task that has no other
//!     .max_tasks_per_child(1000)
//!     .build()?;
//! let future = pool
//!     .call(ponder)
//!     .timeout(Duration::from_millis(50))
//!     .retry(Retry::times(1))
//!     .submit("the ultimate one".to_owned())?;
//! match future.wait() {
//!     Err(TaskError::TimeLimit(limit)) => assert_eq!(limit.attempts, 2),
//!     other => panic!("{other:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Shut down
//!
//! Dropping an executor waits until everything submitted has run (while a panic unwinds, it kills its workers
//! instead). [`shutdown`](ProcessPoolExecutor::shutdown) says more precisely what to do with what is pending, and
//! takes a deadline. However the program ends, its workers and their process groups end with it.
//!
//! # In tests
//!
//! A test crate has no `main` to call `init()` in. [`init_in_tests!`], once in a crate, takes its place:
//!
//! ```
//! procession::init_in_tests!();
//!
//! #[procession::task]
//! fn double(n: u64) -> u64 {
//!     2 * n
//! }
//!
//! #[test]
//! fn doubles() {
//!     let pool = procession::ProcessPoolExecutor::new().unwrap();
//!     assert_eq!(pool.submit(double, 21).unwrap().wait().unwrap(), 42);
//! }
//! # fn main() {}
//! ```
//!
//! # One process
//!
//! [`Process`] runs a function in a process of its own, without a pool: it is started, and then joined, awaited, terminated or killed.
//!
//! ```standalone_crate
//! use procession::Process;
//!
//! #[procession::task]
//! fn count(text: String) -> usize {
//!     text.split_whitespace().count()
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # procession::init();
//! let process = Process::spawn(count, "one two three".to_owned())?;
//! assert_eq!(process.join()?, 3);
//! # Ok(())
//! # }
//! ```
//!
//! # Without processes
//!
//! [`ThreadPoolExecutor`] and [`InlineExecutor`] run the same functions through the same calls. Code that
//! takes a `&dyn` [`Executor`] runs on all of them.
//!
//! # Processes that work together
//!
//! What `multiprocessing` has besides pools are values here, which can be arguments and results of tasks, messages of connections, and
//! parts of either:
//!
//! | `multiprocessing` | here |
//! |--|--|
//! | `Pool` | [`ProcessPoolExecutor`] |
//! | `Pipe` | [`pipe::<T>()`](fn@pipe), [`pipe::duplex`], [`pipe::one_way`]: two [connections](pipe::Connection) with types |
//! | `connection.wait` | [`pipe::wait`](pipe::wait()), [`pipe::wait_async`] |
//! | `Lock`, `RLock` | [`sync::Lock`], [`sync::RLock`], with guards. When an owner dies, the next one is [told](sync::LockError::OwnerDied) |
//! | `Semaphore`, `BoundedSemaphore` | [`sync::Semaphore`], [`sync::BoundedSemaphore`], with permits |
//! | `Condition`, `Event`, `Barrier` | [`sync::Condition`], [`sync::Event`], [`sync::Barrier`] |
//! | `Value`, `Array` | [`shared::Value`], [`shared::Array`]: plain data, copied in and out, or atomics |
//! | `shared_memory` | [`shared::SharedMemory`], with a name only if you want one; [`shared::SharedBytes`] to be read in place |
//! | `Process` | [`Process`], whose `join` has the result of its function, or how it ended |
//! | `Queue`, `SimpleQueue`, `JoinableQueue` | [`Queue`]: one for all, bounded or not, that no kill leaves unusable |
//! | `Manager` | [`manager::Manager`]: lists, dictionaries and types of your own in a server process, for processes of this machine or of [others](mod@manager). Most of what it is used for in Python is shared without a server in between: the rows above |
//!
//! Nothing of it has a name in the file system unless you ask for one, and all of it goes with its last user, however the processes
//! end. A process that is killed at any moment leaves the others theirs. The README says more of what differs from Python, and why.
//!
//! ```standalone_crate
//! use procession::ProcessPoolExecutor;
//! use procession::pipe::{self, Sender};
//! use procession::shared::Array;
//!
//! #[procession::task]
//! fn count(words: Vec<String>, by_length: Array<u32>, longest: Sender<String>) {
//!     for word in &words {
//!         by_length.lock().unwrap().update(word.len(), |count| *count += 1).unwrap();
//!     }
//!     if let Some(word) = words.iter().max_by_key(|word| word.len()) {
//!         longest.send(word).unwrap();
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # procession::init();
//! let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;
//! let by_length = Array::<u32>::new(30)?;
//! let (sender, longest) = pipe::one_way()?;
//! for line in ["it is a truth", "universally acknowledged"] {
//!     let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
//!     pool.submit(count, (words, by_length.clone(), sender.clone()))?;
//! }
//! drop(sender); // so that the messages come to an end when the tasks have
//!
//! let longest: Result<Vec<String>, _> = longest.messages().collect();
//! assert_eq!(longest?.len(), 2);
//! assert_eq!(by_length.lock()?.range(1..6)?, [1, 2, 0, 0, 1]);
//! # Ok(())
//! # }
//! ```
//!
//! # A whole program
//!
//! It counts the words of texts, goes on when one of them crashes its worker, and tells the most
//! frequent word.
//!
//! ```standalone_crate
//! use std::collections::BTreeMap;
//!
//! use procession::{ProcessPoolExecutor, as_completed};
//!
//! type Counts = BTreeMap<String, u64>;
//!
//! #[procession::task]
//! fn count(text: String, shortest: usize) -> Result<Counts, String> {
//!     if text.is_empty() {
//!         return Err("there is no text".into());
//!     }
//!     let mut counts = Counts::new();
//!     for word in text.split_whitespace().filter(|word| word.len() >= shortest) {
//!         if word == "boom" {
//!             std::process::abort();
//!         }
//!         *counts.entry(word.to_lowercase()).or_default() += 1;
//!     }
//!     Ok(counts)
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     procession::init();
//!     let pool = ProcessPoolExecutor::new()?;
//!
//!     let mut futures = Vec::new();
//!     for (name, text) in [
//!         ("proverb", "A stitch in time saves nine"),
//!         ("hurry", "Time after time after time"),
//!         ("bomb", "tick tick boom"),
//!         ("void", ""),
//!     ] {
//!         futures.push((name, pool.submit(count, (text.to_owned(), 2))?));
//!     }
//!
//!     let mut total = Counts::new();
//!     let mut failed = Vec::new();
//!     for (name, future) in as_completed(futures) {
//!         match future.wait() {
//!             Ok(Ok(counts)) => {
//!                 for (word, n) in counts {
//!                     *total.entry(word).or_default() += n;
//!                 }
//!             }
//!             // An error of the function's own.
//!             Ok(Err(message)) => failed.push((name, message)),
//!             // "worker 4711 was ended by SIGABRT (signal 6) while it ran `…::count` …"
//!             Err(error) => failed.push((name, error.to_string())),
//!         }
//!     }
//!
//!     failed.sort();
//!     assert_eq!(failed.len(), 2);
//!     assert!(failed[0].1.contains("SIGABRT"));
//!     assert_eq!(failed[1], ("void", "there is no text".into()));
//!     assert_eq!(total.iter().max_by_key(|(_, n)| **n), Some((&"time".into(), &4)));
//!     Ok(())
//! }
//! ```
//!
//! # Data
//!
//! Values cross as postcard, which does not describe itself. So serde's `untagged`, `tag` (also with
//! `content`), `flatten` and `skip_serializing_if` do not work on arguments and results, nor does
//! `serde_json::Value`: wrap those in `Json` (feature `json`). In debug builds `submit` checks that
//! arguments decode again. A `Vec<u8>` that is an argument or the result is copied in one go; inside of
//! another type, `serde_bytes` makes it fast.
//!
//! An open file, a socket or an end of a pipe travels as a [`Descriptor`], which can stand anywhere in an argument or a result.
//!
//! # Locks and shared memory
//!
//! [`sync`] has locks, semaphores, events, conditions and barriers between processes, and [`shared`] values, arrays and bytes. They
//! are handles, and travel as arguments and results, or as parts of those.
//!
//! # Async functions
//!
//! An `async fn` is driven by the worker's main thread, one task at a time. One that needs a particular
//! runtime gets it with [`set_worker_runtime`], in an initializer.
//!
//! # Threads
//!
//! A process pool starts one thread in this process, `procession-reactor`. A second one,
//! `procession-callbacks`, is started when the first callback of [`Future::on_done`] is due,
//! `procession-timer` is there while a stream or [`wait_async`] has a time limit, and `procession-output` where workers' output is read
//! ([`Tee`](Stdio::Tee), [`Capture`](Stdio::Capture)) or their records are forwarded.
//! `procession-connections` is there while there are [connections](mod@pipe) that were ever awaited, or [managers](mod@manager) that were ever called, `procession-children` while a [`Process`] is awaited, or one that was dropped runs, or a detached [manager](manager::ManagerBuilder::detached), and
//! `procession-queue` for each side of a [`Queue`] that was ever awaited. A manager's [server](manager::Server) runs on
//! `procession-manager`, and methods of types of your own there on up to 32 threads `procession-managed`; both are in the manager's process, which is this one only if it has a
//! [`Server`](manager::Server). A worker runs its tasks on its main thread; a second one watches for the end of this process, and
//! a third one, from its first chunk on, sends what has ended of a chunk while an item takes its time.
//!
//! # Features
//!
//! * `macros` (default): the attributes [`task`](macro@task) and [`main`](macro@main). Without it there are
//!   [`register!`] and [`init()`](init()).
//! * `json`: `Json`, for values that the wire format cannot carry.
//! * `log`, `tracing`: `forward_records` of the [builder](ProcessPoolExecutorBuilder), for what workers say through the crate of that
//!   name to be said again in this process, with its level, target and fields, and with the worker and the task that said it.
//! * `network`: [managers](mod@manager) that are reached over a network, encrypted and authenticated.
//!
//! # What is not supported
//!
//! * Anything but Linux.
//! * Closures, function pointers, and functions that borrow: what is sent is a name.
//! * Forking: workers start anew, and share only what is passed to them: memory as [`shared`] has it, open files as a [`Descriptor`].
//! * Workers on other machines. (A [manager](mod@manager) can be called from there.)
//!
//! A worker is a wall against accidents. It has all the rights of this process: it is not a sandbox.

#![expect(
    clippy::test_attr_in_doctest,
    reason = "it shows what stands in a test crate; `init_in_tests!` runs it for real"
)]

// The attributes name this crate by its own name, also in its own tests.
#[cfg(test)]
extern crate self as procession;

// The order of these lines is the order of dependency: a module names only modules declared
// before it (tests/tidy.rs).
mod primitives;
mod context;
mod error;
mod failure;
#[cfg(feature = "json")]
mod json;
mod frame;
mod wire;
mod descriptor;
mod record;
mod registry;
mod run;
mod page;
mod sys;
mod future;
mod scheduler;
mod worker;
mod executor;
mod process;
pub mod pipe;
pub mod sync;
pub mod shared;
pub mod queue;
pub mod manager;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;

#[doc = include_str!("../docs/when-things-go-wrong.md")]
pub mod when_things_go_wrong {}

pub use context::is_cancelled;
pub use descriptor::Descriptor;
pub use executor::{
    Call, Executor, ExecutorExt, InitializerOutput, InlineExecutor, Map, OutputLine, OutputStream,
    ProcessPoolExecutor, ProcessPoolExecutorBuilder, Retry, Shutdown, Stdio, ThreadPoolExecutor,
    TryMap, TryMapError, default_workers,
};
pub use failure::Failure;
#[cfg(feature = "json")]
pub use json::Json;
pub use pipe::pipe;
pub use process::{
    CurrentProcess, Joining, Process, ProcessBuilder, ProcessOutput, Untyped, active_children,
    current_process,
};
#[cfg(feature = "macros")]
pub use procession_macros::{main, managed, task};
pub use registry::{TaskFunction, set_worker_runtime};
#[doc(hidden)]
pub mod __private {
    pub use crate::registry::private::*;
    pub use crate::worker::TestEntry;
    pub use serde;
    pub mod manager {
        pub use crate::manager::private::*;
    }
}
pub use worker::{in_worker, init};

pub use error::{
    BuildError, EndOfWorker, Panic, ProcessEnded, ProcessError, ShutdownError, SpawnError,
    SubmitError, TaskError, TaskId, TimeLimit, TimeLimitKind, Travelling, TrySubmitError,
    WorkerLost,
};
pub use future::{
    AsCompleted, AsCompletedTimeout, Awaiting, Completes, Future, Kill, Promise, ReturnWhen,
    Streamable, Streamed, WaitAsync, Waited, as_completed, wait, wait_async,
};
pub use queue::Queue;

/// The program in the README is compiled and run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
