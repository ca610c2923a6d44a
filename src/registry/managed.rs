//! Registered types: those whose values live in a manager's server, and what of them is shown.
//!
//! `#[procession::managed]` leaves one [`ManagedType`] in the program for each; a name that comes over the wire is looked up in its
//! table, and nothing else can be called. A call has three parts, so that whoever runs it can put what it has to around each of them:
//! the arguments are decoded, the method is called, what it returned is encoded.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;

use once_cell::sync::OnceCell;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::block_on::drive;
use super::function::Name;
use super::table::{Place, RegistryError};
use crate::wire;

/// A value of a registered type.
pub type ManagedValue = Box<dyn Any + Send + Sync>;

/// What a constructor or a method returned.
pub type Returned = Box<dyn Encodes>;

/// A constructor with its arguments. An `Err` is one of its own.
pub type Construct = Box<dyn FnOnce() -> Result<ManagedValue, Returned>>;

/// A method of `&self` with its arguments. `None`: the value is of another type.
pub type SharedCall = Box<dyn FnOnce(&ManagedValue) -> Option<Returned>>;

/// A method of `&mut self` with its arguments. `None`: the value is of another type.
pub type ExclusiveCall = Box<dyn FnOnce(&mut ManagedValue) -> Option<Returned>>;

/// A method with its arguments.
pub enum Invoke {
    /// It may run beside others.
    Shared(SharedCall),
    /// It runs alone.
    Exclusive(ExclusiveCall),
}

/// Something that can be encoded, whatever it is.
pub trait Encodes {
    /// Appends it to `out`, or says why not.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String>;
}

impl<T: Serialize + 'static> Encodes for T {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        wire::encode(self, out).map_err(wire::CodecError::into_message)
    }
}

/// What `#[procession::managed]` puts into the program.
pub struct ManagedType {
    /// What it is called on the wire.
    pub name: Name,
    /// `file!()` of the attribute.
    pub file: &'static str,
    /// `line!()` of the attribute.
    pub line: u32,
    /// Its constructors that are shown.
    pub constructors: &'static [Constructor],
    /// Its methods that are shown.
    pub methods: &'static [Method],
}

inventory::collect!(ManagedType);

/// A constructor that is shown.
pub struct Constructor {
    /// Its name.
    pub name: &'static str,
    /// Decodes its arguments, or says why they do not decode.
    pub shim: fn(&[u8]) -> Result<Construct, String>,
}

/// A method that is shown.
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Whether it takes `&mut self`: then it runs alone.
    pub is_exclusive: bool,
    /// Decodes its arguments, or says why they do not decode.
    pub shim: fn(&[u8]) -> Result<Invoke, String>,
}

/// A constructor that returns the value.
pub fn construct<T, A>(arguments: &[u8], constructor: fn(A) -> T) -> Result<Construct, String>
where
    T: Send + Sync + 'static,
    A: DeserializeOwned + 'static,
{
    construct_or_fail(arguments, move |arguments| {
        Ok::<T, ()>(constructor(arguments))
    })
}

/// A constructor that returns the value or an error.
pub fn construct_or_fail<T, E, A>(
    arguments: &[u8],
    constructor: impl FnOnce(A) -> Result<T, E> + 'static,
) -> Result<Construct, String>
where
    T: Send + Sync + 'static,
    E: Serialize + 'static,
    A: DeserializeOwned + 'static,
{
    let arguments: A = decode(arguments)?;
    Ok(Box::new(move || match constructor(arguments) {
        Ok(value) => Ok(Box::new(value)),
        Err(error) => Err(Box::new(error)),
    }))
}

/// A method of `&self`.
pub fn shared<T, A, R>(arguments: &[u8], method: fn(&T, A) -> R) -> Result<Invoke, String>
where
    T: Send + Sync + 'static,
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    let arguments: A = decode(arguments)?;
    Ok(Invoke::Shared(Box::new(move |value| {
        let value = value.downcast_ref()?;
        Some(Box::new(method(value, arguments)))
    })))
}

/// A method of `&mut self`.
pub fn exclusive<T, A, R>(arguments: &[u8], method: fn(&mut T, A) -> R) -> Result<Invoke, String>
where
    T: Send + Sync + 'static,
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    let arguments: A = decode(arguments)?;
    Ok(Invoke::Exclusive(Box::new(move |value| {
        let value = value.downcast_mut()?;
        Some(Box::new(method(value, arguments)))
    })))
}

/// What a constructor that can fail returns, where its type does not show with what.
pub trait Fallible {
    /// With this.
    type Error;
}

impl<T, E> Fallible for Result<T, E> {
    type Error = E;
}

/// Waits for an `async fn`, on this thread: as one that is a task is waited for.
pub fn wait_for<F: Future>(future: F) -> F::Output {
    drive(future)
}

/// Compiles for a type whose values can be managed: several threads use one.
pub const fn can_be_managed<T: Send + Sync + 'static>() {}

fn decode<A: DeserializeOwned + 'static>(arguments: &[u8]) -> Result<A, String> {
    wire::decode(arguments).map_err(wire::CodecError::into_message)
}

/// All registered types of this program.
pub(crate) struct Types(BTreeMap<&'static str, &'static ManagedType>);

/// The registered types, looked for at first use.
pub(crate) fn types() -> Result<&'static Types, &'static RegistryError> {
    static TYPES: OnceCell<Result<Types, RegistryError>> = OnceCell::new();
    TYPES
        .get_or_init(|| Types::new(inventory::iter::<ManagedType>))
        .as_ref()
}

impl Types {
    /// Those of these registrations, unless two have one name.
    fn new(
        registrations: impl IntoIterator<Item = &'static ManagedType>,
    ) -> Result<Self, RegistryError> {
        let mut registrations: Vec<_> = registrations.into_iter().collect();
        // So that an error reads the same every time.
        registrations.sort_by_key(|registered| (registered.file, registered.line));
        let mut types = BTreeMap::new();
        for registered in registrations {
            let name = registered.name.text();
            if let Some(first) = types.insert(name, registered) {
                return Err(RegistryError::TwoTypes {
                    name,
                    first: first.place(),
                    second: registered.place(),
                });
            }
        }
        Ok(Self(types))
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&'static ManagedType> {
        self.0.get(name).copied()
    }
}

impl ManagedType {
    pub(crate) fn constructor(&self, name: &str) -> Option<&'static Constructor> {
        self.constructors.iter().find(|known| known.name == name)
    }

    pub(crate) fn method(&self, name: &str) -> Option<&'static Method> {
        self.methods.iter().find(|known| known.name == name)
    }

    fn place(&self) -> Place {
        Place {
            file: self.file,
            line: self.line,
        }
    }
}

impl fmt::Debug for ManagedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a type registered at {}", self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(name: &'static str, line: u32) -> &'static ManagedType {
        Box::leak(Box::new(ManagedType {
            name: Name::Explicit(name),
            file: "src/lib.rs",
            line,
            constructors: &[],
            methods: &[Method {
                name: "add",
                is_exclusive: true,
                shim: |arguments| {
                    exclusive(arguments, |this: &mut u64, by: u64| {
                        *this += by;
                        *this
                    })
                },
            }],
        }))
    }

    #[test]
    fn types_are_found_by_their_names() {
        let types = Types::new([registered("a::Counter", 1), registered("b::Counter", 2)]).unwrap();
        assert_eq!(types.by_name("b::Counter").unwrap().line, 2);
        assert!(types.by_name("Counter").is_none());
    }

    #[test]
    fn two_types_of_one_name_are_refused_with_both_places() {
        let error = Types::new([registered("Counter", 9), registered("Counter", 1)]).err();
        assert_eq!(
            error.unwrap().to_string(),
            "two types are managed under the name `Counter`, at src/lib.rs:1 and at src/lib.rs:9: name one of them with `#[procession::managed(name = \"name\")]`"
        );
    }

    #[test]
    fn a_call_is_decoded_then_made_then_encoded() {
        let method = registered("Counter", 1).method("add").unwrap();
        assert!((method.shim)(&[]).is_err());
        let mut value: ManagedValue = Box::new(40_u64);
        let Ok(Invoke::Exclusive(call)) = (method.shim)(&[2]) else {
            panic!("it takes `&mut self`");
        };
        let mut out = Vec::new();
        call(&mut value).unwrap().encode(&mut out).unwrap();
        assert_eq!(out, [42]);
    }

    #[test]
    fn only_what_is_in_the_table_is_found() {
        assert!(registered("Counter", 1).method("sub").is_none());
        assert!(registered("Counter", 1).constructor("add").is_none());
    }
}
