//! Executors: where registered functions are run.
//!
//! | | runs tasks in | for |
//! |--|--|--|
//! | [`ProcessPoolExecutor`] | worker processes | a wall around them, and all cores |
//! | [`ThreadPoolExecutor`] | threads of this process | the same code without processes |
//! | [`InlineExecutor`] | the submitting thread | debugging |
//!
//! `core` is what they have in common below the types, `erased` the trait that hides which of them it is,
//! `typed` and `call` what users call (`retry` what they may ask for with it), and `methods` the same once more for those who know which one they have.

mod defaults;
mod gate;
mod retry;
mod core;
pub(crate) mod initializer;
mod encoded;
mod erased;
mod call;
mod typed;
mod methods;
mod map;
mod local;
mod inline;
mod thread;
pub(crate) mod process;

pub use self::core::Shutdown;
pub use call::Call;
pub use defaults::default_workers;
pub(crate) use encoded::try_submit_encoded;
pub use erased::Executor;

pub use initializer::InitializerOutput;
pub use inline::InlineExecutor;
pub use map::{Map, TryMap, TryMapError};
pub use process::{
    OutputLine, OutputStream, ProcessPoolExecutor, ProcessPoolExecutorBuilder, Stdio,
};
pub use retry::Retry;
pub use thread::ThreadPoolExecutor;
pub use typed::ExecutorExt;
