//! A function that a process runs before anything else is asked of it.

use crate::error::SubmitError;
use crate::executor::core::Work;
use crate::future::contain::contain;
use crate::registry::{Function, TaskFunction, find};
use crate::wire::{self, Encoded, TaskFailure};

/// What an initializer may return: `()`, or `Result<(), E>` with `E: Display`.
///
/// It is sealed. See [`ProcessPoolExecutorBuilder::initializer`](crate::ProcessPoolExecutorBuilder::initializer), and
/// [`ManagerBuilder::initializer`](crate::manager::ManagerBuilder::initializer).
pub trait InitializerOutput: sealed::Sealed {
    /// The failure as text.
    #[doc(hidden)]
    fn into_result(self) -> Result<(), String>;
}

impl InitializerOutput for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: std::fmt::Display> InitializerOutput for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| format!("{error:#}"))
    }
}

/// Sealed, so that more can be allowed later.
mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<E> Sealed for Result<(), E> {}
}

/// A function to be run first, and its encoded arguments.
#[derive(Clone, Debug)]
pub(crate) struct Initializer<A = Encoded> {
    pub(crate) function: &'static Function,
    pub(crate) arguments: A,
    /// Says what is wrong with the encoded result.
    check: fn(&Encoded) -> Result<(), String>,
}

impl Initializer {
    /// Of a registered function.
    pub(crate) fn new<F, A, K>(_function: F, args: A) -> Result<Self, SubmitError>
    where
        F: TaskFunction<A, K>,
        F::Output: InitializerOutput,
    {
        let function = find::<F, A, K>()?;
        let work = Work::task(function, |out| F::encode_owned_args(args, out))?;
        let (bytes, handles) = (work.payload, work.handles);
        Ok(Self {
            function,
            arguments: Encoded { bytes, handles },
            check: |encoded| match encoded.decode::<F::Output>() {
                Ok(output) => output.into_result(),
                Err(error) => Err(error.to_string()),
            },
        })
    }

    /// The whole call: what [`run::call`](crate::run::call) takes.
    pub(crate) fn call(&self) -> Encoded {
        let mut call = self.arguments.clone();
        call.bytes
            .extend(wire::encode_function(self.function.index));
        call
    }
}

impl<A> Initializer<A> {
    /// The same, with its arguments kept in another way.
    pub(crate) fn keeping<B>(self, keep: impl FnOnce(A) -> B) -> Initializer<B> {
        Initializer {
            function: self.function,
            arguments: keep(self.arguments),
            check: self.check,
        }
    }

    /// What it says went wrong, by its encoded result.
    pub(crate) fn judge(&self, result: &Encoded) -> Result<(), String> {
        // The user's own decoding and `Display`.
        let mut judged = Err("what it returned panicked when it was read".to_owned());
        let _ = contain(|| judged = (self.check)(result));
        judged
    }
}

/// How an initializer failed, as text.
pub(crate) fn describe(failure: TaskFailure) -> String {
    match failure {
        TaskFailure::Panicked {
            message,
            location: Some(location),
            ..
        } => format!("panicked at {location}: {message}"),
        TaskFailure::Panicked { message, .. } => format!("panicked: {message}"),
        TaskFailure::ArgumentNotDecoded(message) => {
            format!("its argument does not decode: {message}")
        }
        TaskFailure::ResultNotEncoded(message) => format!("its result does not encode: {message}"),
        TaskFailure::ResultTooLarge { size } => {
            format!("its result of {size} bytes is larger than `max_frame`")
        }
        TaskFailure::DescriptorsLost { announced, came } => {
            format!("{came} of the {announced} descriptors beside it came")
        }
    }
}
