//! Why a call was refused.

use std::fmt;

use super::explained;

/// A call was refused. Nothing ran, and nothing is pending.
///
/// ```
/// use procession::{InlineExecutor, SubmitError};
///
/// fn double(n: u64) -> u64 {
///     2 * n
/// }
///
/// // The attribute is missing.
/// let refused = InlineExecutor::new().submit(double, 21).unwrap_err();
/// assert!(matches!(refused, SubmitError::NotRegistered { .. }));
/// assert!(refused.to_string().contains("put `#[procession::task]` above it"));
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The function is not registered.
    #[error("`{type_name}` {}", remedy(type_name))]
    NotRegistered {
        /// The function, as the compiler names it.
        type_name: &'static str,
    },
    /// No function is registered under this name.
    #[error(
        "no function is registered under the name `{name}` (if it lives in a library crate that nothing else names, link it with `use that_crate as _;`)"
    )]
    UnknownName {
        /// The name asked for.
        name: String,
    },
    /// The function of this name was registered with other types.
    #[error("`{name}` was registered as `{registered}`, not as `{asked}`")]
    OtherTypes {
        /// The name asked for.
        name: String,
        /// The registered types, as `(arguments) -> result`.
        registered: String,
        /// The types asked for.
        asked: String,
    },
    /// The registered functions contradict each other.
    #[error("the registered functions contradict each other: {0}")]
    Registry(String),
    /// The arguments cannot be encoded.
    #[error("the arguments of `{function}` do not encode: {message}")]
    NotEncoded {
        /// The registered name of the function.
        function: &'static str,
        /// What the encoder said.
        message: String,
    },
    /// The arguments encode, but do not decode again. Found in debug builds only.
    #[error("the arguments of `{function}` do not decode again: {message}")]
    NotDecodable {
        /// The registered name of the function.
        function: &'static str,
        /// What the decoder said.
        message: String,
    },
    /// The encoded arguments are larger than `max_frame`.
    #[error("the arguments of `{function}` take {size} bytes, `max_frame` allows {max_frame}")]
    TooLarge {
        /// The registered name of the function.
        function: &'static str,
        /// The size of the frame, in bytes.
        size: u64,
        /// The limit, in bytes.
        max_frame: u64,
    },
    /// `max_pending` tasks are pending. Only `try_submit` says this.
    #[error("`max_pending` ({max_pending}) tasks are pending")]
    Full {
        /// The limit.
        max_pending: usize,
    },
    /// This process was forked off, without exec, by the one that built the executor: the workers are that one's.
    #[error("the executor belongs to the process that this one was forked from")]
    Forked,
    /// `shutdown` was called.
    #[error("the executor has been shut down")]
    ShutDown,
    /// The pool broke: workers could not be started, or died again and again.
    #[error("the pool is broken: {0}")]
    Broken(String),
    /// Retries were asked for, of a function that is registered as not repeatable.
    #[error(
        "`retries` must be 0 for `{function}`, which is registered with `repeatable = false`, not {retries}"
    )]
    NotRepeatable {
        /// The registered name of the function.
        function: &'static str,
        /// How many were asked for.
        retries: u32,
    },
    /// Retries after errors were asked for, of a function that returns none.
    #[error("`after_errors` needs a function that returns a `Result`, which `{function}` does not")]
    ReturnsNoResult {
        /// The registered name of the function.
        function: &'static str,
    },
    /// A parameter was refused.
    #[error("`{parameter}` must be {must_be}, not {value}")]
    Parameter {
        /// The parameter.
        parameter: &'static str,
        /// What it must be.
        must_be: &'static str,
        /// What it was.
        value: String,
    },
}

/// What to do about a function that is not registered.
fn remedy(type_name: &str) -> String {
    const ATTRIBUTE: &str = "put `#[procession::task]` above it";
    let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"_:".contains(&byte);
    if type_name.contains("{{closure}}") {
        format!(
            "is a closure, which is not to be had in another process: make it a function, and {ATTRIBUTE}"
        )
    } else if type_name.bytes().all(is_path) {
        format!(
            "is not registered: {ATTRIBUTE}, or `procession::register!({type_name});` beside it"
        )
    } else {
        "is not registered: name it in `procession::register!(…);`, where it is a method or generic by its full path".to_owned()
    }
}

impl SubmitError {
    /// Whether the function may have been called: never.
    ///
    /// ```
    /// assert!(!procession::SubmitError::ShutDown.may_have_run());
    /// ```
    pub fn may_have_run(&self) -> bool {
        false
    }
}

explained!(SubmitError);

/// [`SubmitError`], and the arguments that were refused.
///
/// `?` turns it into a `SubmitError` where that is what the caller returns.
///
/// ```
/// use procession::{InlineExecutor, Shutdown, SubmitError};
///
/// #[procession::task]
/// fn length(text: String) -> usize {
///     text.len()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let executor = InlineExecutor::new();
/// executor.shutdown(Shutdown::Wait, None)?;
/// let refused = executor.try_submit(length, "text".to_owned()).unwrap_err();
/// assert_eq!((refused.args.as_str(), refused.reason), ("text", SubmitError::ShutDown));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TrySubmitError<A> {
    /// The arguments, given back.
    pub args: A,
    /// Why they were refused.
    pub reason: SubmitError,
}

impl<A> TrySubmitError<A> {
    /// Whether the function may have been called: never.
    ///
    /// ```
    /// use procession::{InlineExecutor, Shutdown};
    ///
    /// #[procession::task]
    /// fn length(text: String) -> usize {
    ///     text.len()
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let executor = InlineExecutor::new();
    /// executor.shutdown(Shutdown::Wait, None)?;
    /// let refused = executor.try_submit(length, "text".to_owned()).unwrap_err();
    /// assert!(!refused.may_have_run());
    /// # Ok(())
    /// # }
    /// ```
    pub fn may_have_run(&self) -> bool {
        self.reason.may_have_run()
    }
}

impl<A> fmt::Debug for TrySubmitError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrySubmitError")
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl<A> fmt::Display for TrySubmitError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<A> std::error::Error for TrySubmitError<A> {}

impl<A> From<TrySubmitError<A>> for SubmitError {
    fn from(error: TrySubmitError<A>) -> Self {
        error.reason
    }
}
