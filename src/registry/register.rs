//! `register!`.

/// Registers functions, so that they can be submitted: what `#[procession::task]` does, for
/// functions that it cannot be put above.
///
/// It is written where items are written, usually at the top level of a module, once per function
/// in the whole program. It takes
///
/// * functions, also of other crates: `register!(is_prime, image::open_and_shrink);`
/// * instances of generic functions: `register!(sum::<u32>, sum::<f64>);`
/// * methods without borrowed arguments: `register!(<Square as Shape>::area);`
/// * for each a name of your own: `register!(is_prime as "primes::test");`
/// * and `#[not_repeatable]` before one that must not be called twice for the same arguments, so that asking for
///   [retries](crate::Call::retries) is refused: `register!(#[not_repeatable] send_money);`
///
/// Without a name of your own, a function is registered under the path of the *registering* module
/// and the last segment of the path with its generic arguments: `my_crate::numbers::sum::<u32>`. A
/// method of a trait keeps its whole path: `my_crate::shapes::<Square as Shape>::area`. Two
/// functions under one name, or two names for one function, stop the program at
/// `procession::init()` with both places named.
///
/// ```
/// mod numbers {
///     pub fn is_prime(n: u64) -> bool {
///         (2..n).all(|d| n % d != 0)
///     }
///
///     pub fn sum<T: std::iter::Sum>(terms: Vec<T>) -> T {
///         terms.into_iter().sum()
///     }
///
///     procession::register!(is_prime, sum::<u32>, sum::<f64> as "numbers::sum_of_floats");
/// }
/// # fn main() {}
/// ```
///
/// A function that borrows is refused: its arguments cross processes.
///
/// ```compile_fail
/// fn length(text: &str) -> usize {
///     text.len()
/// }
/// procession::register!(length);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! register {
    () => {};
    // What starts with a qualified type is no `path` to `macro_rules!`.
    (
        $(#[$flag:ident])? <$Type:ty $(as $Trait:path)?>::$method:ident $(::<$($argument:ty),+ $(,)?>)?
        $(as $name:expr)? $(, $($rest:tt)*)?
    ) => {
        $crate::__register!(
            [$($flag)?] <$Type $(as $Trait)?>::$method $(::<$($argument),+>)?,
            // `stringify!` of the whole would put a space around every sign.
            ::core::concat!(
                "<", ::core::stringify!($Type), $(" as ", ::core::stringify!($Trait),)? ">::",
                ::core::stringify!($method)
                $(, "::<", ::core::stringify!($($argument),+), ">")?
            )
            $(=> $name)?
        );
        $crate::register!($($($rest)*)?);
    };
    ($(#[$flag:ident])? $function:path $(as $name:expr)? $(, $($rest:tt)*)?) => {
        $crate::__register!([$($flag)?] $function, ::core::stringify!($function) $(=> $name)?);
        $crate::register!($($($rest)*)?);
    };
}

/// One of them.
#[doc(hidden)]
#[macro_export]
macro_rules! __register {
    (@is_repeatable []) => { true };
    (@is_repeatable [not_repeatable]) => { false };
    (@named $flag:tt $function:expr, $name:expr) => {
        $crate::__private::inventory::submit! {
            $crate::__private::Registration {
                name: $name,
                file: ::core::file!(),
                line: ::core::line!(),
                is_repeatable: $crate::__register!(@is_repeatable $flag),
                shim: |call| call.answer($function),
            }
        }
    };
    ($flag:tt $function:expr, $path:expr) => {
        $crate::__register!(
            @named $flag $function,
            $crate::__private::Name::Path { module: ::core::module_path!(), path: $path }
        );
    };
    ($flag:tt $function:expr, $path:expr => $name:expr) => {
        $crate::__register!(@named $flag $function, $crate::__private::Name::Explicit($name));
    };
}
