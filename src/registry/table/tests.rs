use super::*;
use crate::registry::function::{Name, RunError};
use crate::wire::Handles;

fn is_prime(n: u64) -> bool {
    (2..n).all(|d| !n.is_multiple_of(d))
}

fn generic<T: Into<u64>>(value: T) -> u64 {
    value.into()
}

async fn later(left: u32, right: String) -> Result<String, u8> {
    std::future::ready(Ok(format!("{left}{right}"))).await
}

fn unregistered() {}

fn taken_twice() {}

mod other {
    pub(super) fn is_prime(n: u64) -> bool {
        n == 2
    }
}

crate::register!(is_prime, later as "later on");
crate::register!(generic::<u32>, generic::<u8> as concat!("a ", "byte"));
crate::register!(other::is_prime as "other", <Square as Shape>::area, <Vec<u8> as Shape>::area);
crate::register!(<Square>::scaled::<u8>, usize::count_ones,);

struct Square;

trait Shape {
    fn area(side: u32) -> u32;
}

impl Shape for Square {
    fn area(side: u32) -> u32 {
        side * side
    }
}

impl Shape for Vec<u8> {
    fn area(_side: u32) -> u32 {
        0
    }
}

impl Square {
    fn scaled<T: Into<u32>>(by: T) -> u32 {
        by.into()
    }
}

fn registration(
    name: &'static str,
    line: u32,
    shim: crate::registry::function::Shim,
) -> Registration {
    Registration {
        name: Name::Explicit(name),
        file: "here.rs",
        line,
        is_repeatable: true,
        shim,
    }
}

fn with_tasks() -> Vec<Registration> {
    vec![
        registration("b", 1, |call| call.answer(is_prime)),
        registration("a", 2, |call| call.answer(generic::<u8>)),
        registration("c", 3, |call| call.answer(later)),
    ]
}

/// What `submit` looks up.
fn found<F: TaskFunction<A, K>, A, K>(_: F) -> Result<&'static Function, SubmitError> {
    find::<F, A, K>()
}

#[test]
fn a_registered_function_is_found_by_its_type() {
    let function = found(is_prime).unwrap();
    assert_eq!(function.name, concat!(module_path!(), "::is_prime"));
    assert_eq!(function.signature, "(u64) -> bool");
    assert!(function.file.ends_with("tests.rs"));
    let mut out = vec![1];
    function
        .run(&mut [7][..].into(), Handles::default(), &mut out)
        .unwrap();
    assert_eq!(out, [1, 1]);

    assert_eq!(found(later).unwrap().name, "later on");
    assert_eq!(
        found(generic::<u32>).unwrap().name,
        concat!(module_path!(), "::generic::<u32>")
    );
    assert_eq!(found(generic::<u8>).unwrap().name, "a byte");
    assert_eq!(found(other::is_prime).unwrap().name, "other");
}

#[test]
fn methods_have_names_that_tell_them_apart() {
    let name = |function: Result<&'static Function, _>| {
        function.unwrap().name.rsplit_once("tests::").unwrap().1
    };
    assert_eq!(
        name(found(<Square as Shape>::area)),
        "<Square as Shape>::area"
    );
    assert_eq!(
        name(found(<Vec<u8> as Shape>::area)),
        "<Vec<u8> as Shape>::area"
    );
    assert_eq!(name(found(Square::scaled::<u8>)), "<Square>::scaled::<u8>");
    assert_eq!(name(found(usize::count_ones)), "count_ones");
}

#[test]
fn an_unregistered_function_is_refused_with_the_line_to_add() {
    let error = found(unregistered).unwrap_err();
    assert_eq!(
        error,
        SubmitError::NotRegistered {
            type_name: concat!(module_path!(), "::unregistered")
        }
    );
    assert!(
        error.to_string().contains("tests::unregistered);"),
        "{error}"
    );
    assert!(matches!(
        found(generic::<u16>),
        Err(SubmitError::NotRegistered { .. })
    ));
}

#[test]
fn a_function_is_found_by_name_when_the_types_agree() {
    let name = concat!(module_path!(), "::is_prime");
    assert_eq!(find_by_name::<u64, bool>(name).unwrap().name, name);
    assert_eq!(
        find_by_name::<(u32, String), Result<String, u8>>("later on")
            .unwrap()
            .name,
        "later on"
    );
    assert_eq!(
        find_by_name::<u64, bool>("nobody").unwrap_err(),
        SubmitError::UnknownName {
            name: "nobody".into()
        }
    );
    let other = |asked: &str| SubmitError::OtherTypes {
        name: name.into(),
        registered: "(u64) -> bool".into(),
        asked: asked.into(),
    };
    assert_eq!(
        find_by_name::<u32, bool>(name).unwrap_err(),
        other("(u32) -> bool")
    );
    assert_eq!(
        find_by_name::<u64, ()>(name).unwrap_err(),
        other("(u64) -> ()")
    );
    assert_eq!(
        find_by_name::<(u64, u8), bool>(name).unwrap_err(),
        other("(u64, u8) -> bool")
    );
}

#[test]
fn bytes_that_do_not_decode_are_not_run() {
    let mut out = Vec::new();
    let error = found(is_prime)
        .unwrap()
        .run(&mut [7, 7][..].into(), Handles::default(), &mut out)
        .unwrap_err();
    assert!(
        matches!(error, RunError::ArgumentNotDecoded(_)),
        "{error:?}"
    );
}

#[test]
fn the_order_of_registration_does_not_matter() {
    let registry = Registry::new(&with_tasks()).unwrap();
    let names: Vec<_> = registry
        .functions()
        .iter()
        .map(|f| (f.index, f.name))
        .collect();
    assert_eq!(names, [(0, "a"), (1, "b"), (2, "c")]);
    assert_eq!(registry.by_index(1).unwrap().name, "b");
    assert!(registry.by_index(3).is_none() && registry.by_index(u32::MAX).is_none());
    assert!(registry.by_name("d").is_none());

    let mut backwards = with_tasks();
    backwards.reverse();
    assert_eq!(
        Registry::new(&backwards).unwrap().fingerprint(),
        registry.fingerprint()
    );
}

#[test]
fn the_fingerprint_sees_names_and_types() {
    let fingerprint = Registry::new(&with_tasks()).unwrap().fingerprint();
    let mut renamed = with_tasks();
    renamed[0].name = Name::Explicit("bb");
    assert_ne!(Registry::new(&renamed).unwrap().fingerprint(), fingerprint);
    let mut retyped = with_tasks();
    retyped[1].shim = |call| call.answer(generic::<u16>);
    assert_ne!(Registry::new(&retyped).unwrap().fingerprint(), fingerprint);
    // What two builds must agree on, whatever compiler they come from.
    assert_eq!(
        fingerprint::of_functions([("a::f", "(u64) -> bool")]),
        0x8dde_0064_0b79_99d9
    );
}

#[test]
fn one_name_for_two_functions_names_both_places() {
    let mut tasks = with_tasks();
    tasks[2].name = Name::Explicit("b");
    let error = Registry::new(&tasks).err().unwrap().to_string();
    assert!(
        error.contains("under the name `b`, at here.rs:1 and at here.rs:3"),
        "{error}"
    );
}

#[test]
fn two_names_for_one_function_name_both_places() {
    let mut tasks = with_tasks();
    tasks.push(registration("d", 9, |call| call.answer(taken_twice)));
    tasks.push(registration("aa", 8, |call| call.answer(taken_twice)));
    let error = Registry::new(&tasks).err().unwrap().to_string();
    assert!(
        error.contains("tests::taken_twice` is registered under two names"),
        "{error}"
    );
    assert!(
        error.contains("as `aa` at here.rs:8 and as `d` at here.rs:9"),
        "{error}"
    );
}

#[test]
fn the_difference_to_another_build_names_a_function() {
    let registry = Registry::new(&with_tasks()).unwrap();
    let same: Vec<_> = registry
        .functions()
        .iter()
        .map(|f| (f.name.to_owned(), f.signature_hash))
        .collect();
    let mut less = same.clone();
    less.remove(1);
    assert_eq!(
        registry.difference(&less),
        "it does not know the function `b`"
    );
    let mut more = same.clone();
    more.push(("z".into(), 0));
    assert_eq!(
        registry.difference(&more),
        "it has a function `z`, which this program does not know"
    );
    let mut other = same.clone();
    other[1].1 ^= 1;
    assert_eq!(
        registry.difference(&other),
        "its `b` is not `(u64) -> bool`"
    );
    assert_eq!(
        registry.difference(&same),
        "it has the same functions, and another fingerprint"
    );
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture look_up"]
fn look_up() {
    const ROUNDS: u32 = 10_000_000;
    let start = std::time::Instant::now();
    for _ in 0..ROUNDS {
        std::hint::black_box(found(std::hint::black_box(is_prime)).unwrap());
    }
    println!("one look-up: {:?}", start.elapsed() / ROUNDS);
}

#[cfg(feature = "macros")]
mod with_the_attribute {
    use super::*;

    #[crate::task]
    fn is_prime(n: u64) -> bool {
        super::is_prime(n)
    }

    #[crate::task(name = "a name")]
    async fn join(
        (left, mut right): (String, String),
        times: usize,
    ) -> Result<String, crate::Failure> {
        right.push('.');
        Ok(format!("{left}{right}").repeat(times))
    }

    #[crate::task]
    #[cfg(any())]
    fn not_there(n: Missing) {}

    #[crate::task(crate = crate)]
    fn r#type() -> impl Future<Output = u8> {
        std::future::ready(7)
    }

    #[crate::task]
    fn boxed() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async {})
    }

    #[test]
    fn the_function_stays_and_is_registered() {
        assert!(is_prime(7));
        assert_eq!(
            found(is_prime).unwrap().name,
            concat!(module_path!(), "::is_prime")
        );
        assert_eq!(found(join).unwrap().name, "a name");
        assert_eq!(
            found(r#type).unwrap().name,
            concat!(module_path!(), "::type")
        );
        assert_eq!(found(boxed).unwrap().signature, "() -> ()");

        #[crate::task]
        fn inside_of_a_function(text: String) -> String {
            text
        }
        assert!(found(inside_of_a_function).is_ok());
    }
}
