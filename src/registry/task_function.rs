//! What a function must look like to be run as a task.

use std::borrow::Cow;
use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::block_on::drive;
use crate::wire::{self, CodecError};

/// A function that can be run as a task: a plain `fn` or an `async fn` of zero to eight arguments.
///
/// It is implemented for such functions by itself. `Args` is `()` for no argument, the argument
/// itself for one, and a tuple for several. Arguments and result cross processes, so each of them
/// is `Serialize + DeserializeOwned + 'static`. `Kind` is inferred: it tells a plain function from
/// an asynchronous one, and a function of two arguments from a function of one pair.
///
/// Only functions that have been registered can be submitted: with
#[cfg_attr(feature = "macros", doc = "[`#[procession::task]`](macro@crate::task)")]
#[cfg_attr(not(feature = "macros"), doc = "`#[procession::task]`")]
/// or [`procession::register!`](crate::register). What is looked up is the function's *type*, which
/// every function has for its own; a function pointer or a closure that captures something has no
/// such type and is refused when the program is compiled.
///
/// ```
/// use procession::TaskFunction;
///
/// fn name_of<F, A, K>(_function: F, _args: A) -> &'static str
/// where
///     F: TaskFunction<A, K>,
/// {
///     std::any::type_name::<F::Output>()
/// }
///
/// fn is_prime(n: u64) -> bool {
///     (2..n).all(|d| n % d != 0)
/// }
/// async fn join(left: String, right: char) -> Result<String, String> {
///     Ok(format!("{left}{right}"))
/// }
///
/// assert_eq!(name_of(is_prime, 7), "bool");
/// assert!(name_of(join, (String::from("a"), 'b')).starts_with("core::result::Result<"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be run as a task with the arguments `{Args}`",
    label = "not a task of these arguments",
    note = "a task is a function of zero to eight arguments, given as `()`, as the argument itself, or as a tuple",
    note = "each argument, and the result, is `serde::Serialize + serde::de::DeserializeOwned + 'static` (so it borrows nothing)",
    note = "a function whose error is no serde type can return `Result<T, procession::Failure>`"
)]
pub trait TaskFunction<Args, Kind>: Copy + Send + Sync + 'static {
    /// What the task's future gives: the function's result, or that of an `async fn` once it has
    /// been awaited. A `Result` of the function's own is a value like any other.
    type Output: Serialize + DeserializeOwned + 'static;

    /// Appends the encoded arguments. The error says what the encoder said.
    #[doc(hidden)]
    fn encode_args(args: &Args, out: &mut Vec<u8>) -> Result<(), String>;

    /// The same of arguments that are not needed any more, which may then be moved rather than copied.
    #[doc(hidden)]
    fn encode_owned_args(args: Args, out: &mut Vec<u8>) -> Result<(), String> {
        Self::encode_args(&args, out)
    }

    /// The arguments that [`encode_args`](Self::encode_args) encoded, which may be taken out of `bytes`.
    #[doc(hidden)]
    fn decode_args(bytes: &mut Cow<'_, [u8]>) -> Result<Args, String>;

    /// Calls the function, and awaits it if it is asynchronous.
    #[doc(hidden)]
    fn call(self, args: Args) -> Self::Output;

    /// The types of the arguments as a signature has them: `(u64, bool)`.
    #[doc(hidden)]
    fn parameters() -> String;
}

/// The kind of a plain function of that many arguments.
#[derive(Debug)]
pub enum Plain<const ARGUMENTS: usize> {}

/// The kind of an asynchronous function of that many arguments.
#[derive(Debug)]
pub enum Async<const ARGUMENTS: usize> {}

/// Refuses whatever is not known by its type alone: a function pointer, or a closure that captures
/// something.
///
/// It is called in a `const` block, and in a function that the user's code calls: then the program
/// is refused when it is compiled, and the compiler points at the user's line.
pub(crate) const fn assert_zero_sized<F>() {
    assert!(
        size_of::<F>() == 0,
        "this is a function pointer, or a closure that captures something: name the function itself"
    );
}

/// Compiles for the type of an argument; `#[procession::task]` says so at the argument.
pub const fn argument_crosses_processes<T: Serialize + DeserializeOwned + 'static>() {}

/// Compiles for the type of a result; `#[procession::task]` says so at the result.
pub const fn result_crosses_processes<T: Serialize + DeserializeOwned + 'static>() {}

macro_rules! task_function {
    ($arguments:tt, $Args:ty $(, $T:ident $value:ident)*) => {
        impl<F, R $(, $T)*> TaskFunction<$Args, Plain<$arguments>> for F
        where
            F: Fn($($T),*) -> R + Copy + Send + Sync + 'static,
            R: Serialize + DeserializeOwned + 'static,
            $($T: Serialize + DeserializeOwned + 'static,)*
        {
            type Output = R;
            task_function!(@codec $arguments $(, $T $value)*);

            fn call(self, args: $Args) -> R {
                task_function!(@let args $(, $value)*);
                self($($value),*)
            }
        }

        impl<F, P $(, $T)*> TaskFunction<$Args, Async<$arguments>> for F
        where
            F: Fn($($T),*) -> P + Copy + Send + Sync + 'static,
            P: Future,
            P::Output: Serialize + DeserializeOwned + 'static,
            $($T: Serialize + DeserializeOwned + 'static,)*
        {
            type Output = P::Output;
            task_function!(@codec $arguments $(, $T $value)*);

            fn call(self, args: $Args) -> P::Output {
                task_function!(@let args $(, $value)*);
                drive(self($($value),*))
            }
        }
    };
    // One argument is itself, not a tuple of one.
    (@let $args:ident, $value:ident) => { let $value = $args; };
    (@let $args:ident $(, $value:ident)*) => { let ($($value,)*) = $args; };
    (@codec 1, $T:ident $value:ident) => {
        fn encode_args(args: &$T, out: &mut Vec<u8>) -> Result<(), String> {
            wire::encode_whole(args, out).map_err(CodecError::into_message)
        }

        fn encode_owned_args(args: $T, out: &mut Vec<u8>) -> Result<(), String> {
            wire::encode_owned(args, out).map_err(CodecError::into_message)
        }

        fn decode_args(bytes: &mut Cow<'_, [u8]>) -> Result<$T, String> {
            wire::decode_taken(bytes).map_err(CodecError::into_message)
        }

        task_function!(@parameters $T);
    };
    // Element by element, so that each may have its own way of being encoded. The bytes are those
    // of the tuple.
    (@codec $arguments:tt $(, $T:ident $value:ident)*) => {
        fn encode_args(args: &($($T,)*), out: &mut Vec<u8>) -> Result<(), String> {
            let ($($value,)*) = args;
            $(wire::encode($value, out).map_err(CodecError::into_message)?;)*
            let _ = out;
            Ok(())
        }

        fn decode_args(bytes: &mut Cow<'_, [u8]>) -> Result<($($T,)*), String> {
            #[allow(unused_mut)]
            let mut bytes = &bytes[..];
            $(let $value = wire::decode_prefix::<$T>(&mut bytes).map_err(CodecError::into_message)?;)*
            // What is left over is an error, as it is everywhere.
            wire::decode::<()>(bytes).map_err(CodecError::into_message)?;
            Ok(($($value,)*))
        }

        task_function!(@parameters $($T)*);
    };
    (@parameters $($T:ident)*) => {
        fn parameters() -> String {
            let names: &[&str] = &[$(std::any::type_name::<$T>()),*];
            format!("({})", names.join(", "))
        }
    };
}

task_function!(0, ());
task_function!(1, A, A a);
task_function!(2, (A, B), A a, B b);
task_function!(3, (A, B, C), A a, B b, C c);
task_function!(4, (A, B, C, D), A a, B b, C c, D d);
task_function!(5, (A, B, C, D, E), A a, B b, C c, D d, E e);
task_function!(6, (A, B, C, D, E, G), A a, B b, C c, D d, E e, G g);
task_function!(7, (A, B, C, D, E, G, H), A a, B b, C c, D d, E e, G g, H h);
task_function!(8, (A, B, C, D, E, G, H, I), A a, B b, C c, D d, E e, G g, H h, I i);

#[cfg(test)]
mod tests {
    use super::*;

    /// What `submit` does to its arguments' types, and then the call as a worker does it.
    fn submit_like<F, A, K>(function: F, args: A) -> F::Output
    where
        F: TaskFunction<A, K>,
    {
        const { assert_zero_sized::<F>() };
        let mut bytes = Vec::new();
        F::encode_args(&args, &mut bytes).expect("encodes");
        let args = F::decode_args(&mut bytes.into()).expect("decodes");
        function.call(args)
    }

    fn is_prime(n: u64) -> bool {
        n > 1
            && (2..)
                .take_while(|d| d * d <= n)
                .all(|d| !n.is_multiple_of(d))
    }

    fn nothing() {}

    fn seven() -> u8 {
        7
    }

    fn pair_of_one((left, right): (u8, String)) -> String {
        format!("{left}{right}")
    }

    fn two(left: u8, right: String) -> String {
        format!("{left}{right}")
    }

    fn three(a: u8, b: Vec<u8>, c: Option<f64>) -> (u8, Vec<u8>, Option<f64>) {
        (a, b, c)
    }

    #[expect(clippy::too_many_arguments, reason = "eight are allowed")]
    fn eight(a: u8, b: u16, c: u32, d: u64, e: i8, f: i16, g: i32, h: i64) -> i64 {
        i64::from(a)
            + i64::from(b)
            + i64::from(c)
            + d as i64
            + i64::from(e)
            + i64::from(f)
            + i64::from(g)
            + h
    }

    fn generic<T: Into<u64>>(value: T) -> u64 {
        value.into() * 2
    }

    fn divide(left: i32, right: i32) -> Result<i32, String> {
        left.checked_div(right)
            .ok_or_else(|| "division by zero".into())
    }

    async fn later(n: u64) -> u64 {
        std::future::ready(n).await + 1
    }

    async fn later_two(left: u64, right: String) -> Result<u64, String> {
        right
            .parse::<u64>()
            .map(|right| left + right)
            .map_err(|e| e.to_string())
    }

    async fn later_none() -> String {
        String::from("done")
    }

    fn boxed(n: u32) -> std::pin::Pin<Box<dyn Future<Output = u32> + Send>> {
        Box::pin(async move { n + 1 })
    }

    fn some_future(n: u32) -> impl Future<Output = u32> {
        std::future::ready(n + 2)
    }

    trait Shape {
        fn area(side: u32) -> u32;
    }

    struct Square;

    impl Shape for Square {
        fn area(side: u32) -> u32 {
            side * side
        }
    }

    #[test]
    fn a_literal_takes_the_type_of_the_parameter() {
        assert!(submit_like(is_prime, 112_272_535_095_293));
        assert!(!submit_like(is_prime, 112_272_535_095_295));
        assert_eq!(submit_like(divide, (7, 2)), Ok(3));
        assert_eq!(submit_like(later, 1_000_000_000_000), 1_000_000_000_001);
    }

    #[test]
    fn no_argument_is_the_unit() {
        submit_like(nothing, ());
        assert_eq!(submit_like(seven, ()), 7);
        assert_eq!(submit_like(later_none, ()), "done");
    }

    #[test]
    fn several_arguments_are_a_tuple_and_one_tuple_is_one_argument() {
        assert_eq!(submit_like(two, (1, "a".into())), "1a");
        assert_eq!(submit_like(pair_of_one, (1, "a".into())), "1a");
        assert_eq!(
            submit_like(three, (1, vec![2, 3], None)),
            (1, vec![2, 3], None)
        );
        assert_eq!(submit_like(eight, (1, 2, 3, 4, 5, 6, 7, 8)), 36);
    }

    #[test]
    fn a_result_is_a_value() {
        assert_eq!(submit_like(divide, (1, 0)), Err("division by zero".into()));
        assert_eq!(submit_like(later_two, (1, "2".into())), Ok(3));
        assert!(submit_like(later_two, (1, "x".into())).is_err());
    }

    #[test]
    fn instances_of_generic_functions_and_trait_methods_are_functions() {
        assert_eq!(submit_like(generic::<u32>, 4), 8);
        assert_eq!(submit_like(generic::<u8>, 4), 8);
        assert_eq!(submit_like(<Square as Shape>::area, 3), 9);
        assert_eq!(submit_like(Square::area, 3), 9);
        assert_eq!(submit_like(usize::count_ones, 7), 3);
    }

    #[test]
    fn a_function_that_returns_a_future_is_awaited() {
        assert_eq!(submit_like(boxed, 1), 2);
        assert_eq!(submit_like(some_future, 1), 3);
    }

    #[test]
    fn the_bytes_of_several_arguments_are_those_of_the_tuple() {
        fn bytes_of<F: TaskFunction<A, K>, A, K>(_: F, args: A) -> Vec<u8> {
            let mut bytes = vec![9];
            assert!(F::encode_args(&args, &mut bytes).is_ok());
            bytes
        }
        let args = (3_u8, String::from("abc"));
        assert_eq!(bytes_of(two, args.clone()), bytes_of(pair_of_one, args));
        assert_eq!(bytes_of(nothing, ()), [9]);
    }

    #[test]
    fn leftover_and_missing_bytes_are_errors() {
        fn decodes<F: TaskFunction<A, K>, A, K>(_: F, bytes: &[u8]) -> bool {
            F::decode_args(&mut bytes.into()).is_ok()
        }
        assert!(decodes(nothing, &[]) && !decodes(nothing, &[0]));
        assert!(decodes(is_prime, &[1]) && !decodes(is_prime, &[1, 0]) && !decodes(is_prime, &[]));
        assert!(decodes(divide, &[1, 0]) && !decodes(divide, &[1, 0, 0]) && !decodes(divide, &[1]));
    }

    #[test]
    fn parameters_read_as_a_signature() {
        fn parameters<F: TaskFunction<A, K>, A, K>(_: F) -> String {
            F::parameters()
        }
        assert_eq!(parameters(nothing), "()");
        assert_eq!(parameters(is_prime), "(u64)");
        assert_eq!(parameters(divide), "(i32, i32)");
        assert_eq!(parameters(pair_of_one), "((u8, alloc::string::String))");
    }
}
