//! A registered function, and what registering leaves in the program.

use std::any::TypeId;
use std::borrow::Cow;
use std::fmt;

use super::fingerprint;
use super::task_function::{TaskFunction, assert_zero_sized};
use crate::wire::handles::{collect, provide};
use crate::wire::{self, Handles};

/// One registered function.
pub(crate) struct Function {
    /// Its place in the registry, which is sorted by name.
    pub(crate) index: u32,
    /// The name it is registered under.
    pub(crate) name: &'static str,
    /// The file that registers it.
    pub(crate) file: &'static str,
    /// The line that registers it.
    pub(crate) line: u32,
    /// `(arguments) -> result`, in the compiler's words.
    pub(crate) signature: String,
    /// The hash of `signature`, which two processes of one build agree on.
    pub(crate) signature_hash: u64,
    /// The function's own type.
    pub(crate) function: TypeId,
    /// The function, as the compiler names it.
    pub(crate) type_name: &'static str,
    /// The type of its arguments: `()`, the argument, or a tuple.
    pub(crate) args: TypeId,
    /// The type of its result, awaited.
    pub(crate) output: TypeId,
    /// Whether that is a [`Result`].
    pub(crate) returns_result: bool,
    /// Whether it may be called again for the same arguments.
    pub(crate) is_repeatable: bool,
    shim: Shim,
}

impl Function {
    /// Decodes the arguments, which are taken out, with the descriptors beside them, calls the function, and appends its encoded
    /// result, whose descriptors are returned. A panic passes through: the module `run` catches it.
    pub(crate) fn run(
        &self,
        arguments: &mut Cow<'_, [u8]>,
        handles: Handles,
        out: &mut Vec<u8>,
    ) -> Result<Handles, RunError> {
        let mut beside = Handles::default();
        (self.shim)(Call::Run {
            arguments,
            handles,
            out,
            beside: &mut beside,
        })?;
        Ok(beside)
    }

    /// The function that a registration speaks of; its index is not known yet.
    pub(crate) fn of(registration: &Registration) -> Self {
        let mut description = None;
        // Describing cannot fail, and always describes.
        let _ = (registration.shim)(Call::Describe(&mut description));
        let description = description.expect("a shim describes its function when it is asked to");
        Self {
            index: 0,
            name: registration.name.text(),
            file: registration.file,
            line: registration.line,
            signature_hash: fingerprint::of_signature(&description.signature),
            signature: description.signature,
            function: description.function,
            type_name: description.type_name,
            args: description.args,
            output: description.output,
            returns_result: description.returns_result,
            is_repeatable: registration.is_repeatable,
            shim: registration.shim,
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{} ({}:{})",
            self.name, self.signature, self.file, self.line
        )
    }
}

/// Why a function has no result, other than by a panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunError {
    /// Its arguments do not decode; it was not called.
    ArgumentNotDecoded(String),
    /// It was called, and its result does not encode.
    ResultNotEncoded(String),
}

/// What `register!` puts into the program: no more than a constant can hold. The rest comes from
/// the shim when the registry is built.
pub struct Registration {
    /// The name to register it under.
    pub name: Name,
    /// `file!()` of the registration.
    pub file: &'static str,
    /// `line!()` of the registration.
    pub line: u32,
    /// Whether the function may be called again for the same arguments.
    pub is_repeatable: bool,
    /// Answers a [`Call`] for the function.
    pub shim: Shim,
}

inventory::collect!(Registration);

/// A closure that captures nothing and names the function: only code that names it can call it,
/// since a function's type cannot be made into a value without `unsafe`.
pub type Shim = fn(Call<'_, '_>) -> Result<(), RunError>;

/// The name of a registered function.
pub enum Name {
    /// As the user, or the attribute, wrote it.
    Explicit(&'static str),
    /// Of the module that registers it, and the path as it is written there.
    Path {
        /// `module_path!()`.
        module: &'static str,
        /// `stringify!(path)`.
        path: &'static str,
    },
}

impl Name {
    pub(super) fn text(&self) -> &'static str {
        match self {
            Self::Explicit(name) => name,
            // Once per registration in the life of a process.
            Self::Path { module, path } => format!("{module}::{}", last_segment(path)).leak(),
        }
    }
}

/// What a shim is asked. It is one question so that the macro names the function once, and the
/// compiler complains once.
pub enum Call<'a, 'b> {
    /// What is the function?
    Describe(&'a mut Option<Description>),
    /// Run it.
    Run {
        /// Its encoded arguments, to be taken out: moving them takes longer than decoding a number.
        arguments: &'a mut Cow<'b, [u8]>,
        /// The descriptors beside them.
        handles: Handles,
        /// Where its encoded result is appended.
        out: &'a mut Vec<u8>,
        /// Where the descriptors of that go.
        beside: &'a mut Handles,
    },
}

impl Call<'_, '_> {
    /// Answers for `function`.
    pub fn answer<F, A, K>(self, function: F) -> Result<(), RunError>
    where
        F: TaskFunction<A, K>,
        A: 'static,
    {
        const { assert_zero_sized::<F>() };
        match self {
            Call::Describe(description) => {
                *description = Some(Description {
                    function: TypeId::of::<F>(),
                    type_name: std::any::type_name::<F>(),
                    args: TypeId::of::<A>(),
                    output: TypeId::of::<F::Output>(),
                    // A name for people, the standard library says; so it is no more than what a
                    // retry goes by, and a test says that it still reads like this.
                    returns_result: std::any::type_name::<F::Output>()
                        .starts_with("core::result::Result<"),
                    signature: signature(&F::parameters(), std::any::type_name::<F::Output>()),
                });
                Ok(())
            }
            Call::Run {
                arguments,
                handles,
                out,
                beside,
            } => {
                let args = provide(&handles, || F::decode_args(arguments))
                    .map_err(RunError::ArgumentNotDecoded)?;
                // The function has the memory of what is decoded for itself.
                *arguments = Cow::Borrowed(&[]);
                // What the function closes is closed: in a worker, nobody else has it.
                drop(handles);
                let result = function.call(args);
                let (encoded, of_result) = collect(|| wire::encode_owned(result, out));
                *beside = of_result;
                encoded.map_err(|error| RunError::ResultNotEncoded(error.into_message()))
            }
        }
    }
}

/// What the types of a function say.
pub struct Description {
    function: TypeId,
    type_name: &'static str,
    args: TypeId,
    output: TypeId,
    returns_result: bool,
    signature: String,
}

/// `(arguments) -> result`.
pub(crate) fn signature(parameters: &str, output: &str) -> String {
    format!("{parameters} -> {output}")
}

/// The last segment of a path, with its generic arguments; of `<T as Trait>::method` everything,
/// since the method alone would be a name for many.
fn last_segment(path: &str) -> &str {
    if path.starts_with('<') {
        return path;
    }
    let bytes = path.as_bytes();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            // The arrow of `fn() -> T` closes nothing.
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 && at > 0 && bytes[at - 1] == b':' => {
                let rest = path[at + 1..].trim_start();
                if !rest.starts_with('<') {
                    start = path.len() - rest.len();
                }
            }
            _ => {}
        }
    }
    &path[start..]
}

#[cfg(test)]
mod tests {
    use super::last_segment;

    #[test]
    fn the_last_segment_keeps_its_generic_arguments() {
        for (path, last) in [
            ("f", "f"),
            ("a::b::f", "f"),
            ("::a::f", "f"),
            ("crate::a :: f", "f"),
            ("f::<u32>", "f::<u32>"),
            ("a::f::<b::C>", "f::<b::C>"),
            ("a::f::<fn(u8) -> b::C>", "f::<fn(u8) -> b::C>"),
            ("a::f::<[b::C; 3], { d::E }>", "f::<[b::C; 3], { d::E }>"),
            ("Vec::<a::B>::len", "len"),
            ("<a::B as c::D>::f", "<a::B as c::D>::f"),
        ] {
            assert_eq!(last_segment(path), last, "{path}");
        }
    }
}
