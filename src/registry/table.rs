//! All registered functions of this program.

use std::any::{TypeId, type_name};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use once_cell::sync::OnceCell;

use super::fingerprint::{self, Fnv};
use super::function::{Function, Registration, signature};
use super::task_function::{TaskFunction, assert_zero_sized};
use crate::error::SubmitError;

/// The registered functions, sorted by name: so that a function's index is the same in every
/// process of one build, in whatever order the linker left them.
pub(crate) struct Registry {
    functions: Vec<Function>,
    by_type: HashMap<TypeId, u32, BuildHasherDefault<TypeIdHasher>>,
    fingerprint: u64,
}

/// What is registered contradicts itself.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegistryError {
    /// One name, two functions.
    #[error(
        "two functions are registered under the name `{name}`, at {first} and at {second}: name one of them with `register!(path as \"name\")` or `#[procession::task(name = \"name\")]`"
    )]
    OneName {
        name: &'static str,
        first: Place,
        second: Place,
    },
    /// One function, two names.
    #[error(
        "the function `{type_name}` is registered under two names, as `{first_name}` at {first} and as `{second_name}` at {second}: remove one of the two"
    )]
    OneFunction {
        type_name: &'static str,
        first_name: &'static str,
        first: Place,
        second_name: &'static str,
        second: Place,
    },
    /// One name, two types.
    #[error(
        "two types are managed under the name `{name}`, at {first} and at {second}: name one of them with `#[procession::managed(name = \"name\")]`"
    )]
    TwoTypes {
        name: &'static str,
        first: Place,
        second: Place,
    },
}

/// Where a function, or a type, is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) file: &'static str,
    pub(super) line: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The registry of this program, built at first use.
pub(crate) fn registry() -> Result<&'static Registry, &'static RegistryError> {
    static REGISTRY: OnceCell<Result<Registry, RegistryError>> = OnceCell::new();
    REGISTRY
        .get_or_init(|| Registry::new(inventory::iter::<Registration>))
        .as_ref()
}

/// The registration of `F`, which every submission looks up.
pub(crate) fn find<F, A, K>() -> Result<&'static Function, SubmitError>
where
    F: TaskFunction<A, K>,
{
    const { assert_zero_sized::<F>() };
    registry()
        .map_err(|error| SubmitError::Registry(error.to_string()))?
        .by_type(TypeId::of::<F>())
        .ok_or_else(|| SubmitError::NotRegistered {
            type_name: type_name::<F>(),
        })
}

/// The function registered under `name`, which takes `A` and gives `R`.
pub(crate) fn find_by_name<A: 'static, R: 'static>(
    name: &str,
) -> Result<&'static Function, SubmitError> {
    let function = registry()
        .map_err(|error| SubmitError::Registry(error.to_string()))?
        .by_name(name)
        .ok_or_else(|| SubmitError::UnknownName {
            name: name.to_owned(),
        })?;
    if function.args == TypeId::of::<A>() && function.output == TypeId::of::<R>() {
        return Ok(function);
    }
    let args = type_name::<A>();
    // A tuple reads as the parameters of a function already.
    let parameters = if args.starts_with('(') {
        args.to_owned()
    } else {
        format!("({args})")
    };
    Err(SubmitError::OtherTypes {
        name: name.to_owned(),
        registered: function.signature.clone(),
        asked: signature(&parameters, type_name::<R>()),
    })
}

impl Registry {
    /// The registry of these registrations, unless they contradict each other.
    pub(crate) fn new<'a>(
        registrations: impl IntoIterator<Item = &'a Registration>,
    ) -> Result<Self, RegistryError> {
        let mut functions: Vec<Function> = registrations.into_iter().map(Function::of).collect();
        // By place as well, so that an error reads the same every time.
        functions.sort_by_key(|function| (function.name, function.file, function.line));
        for (first, second) in functions.iter().zip(functions.iter().skip(1)) {
            if first.name == second.name {
                return Err(RegistryError::OneName {
                    name: first.name,
                    first: first.place(),
                    second: second.place(),
                });
            }
        }
        let mut by_type =
            HashMap::with_capacity_and_hasher(functions.len(), BuildHasherDefault::default());
        for (index, function) in (0..).zip(&mut functions) {
            function.index = index;
        }
        for function in &functions {
            if let Some(first) = by_type.insert(function.function, function.index) {
                let first: &Function = &functions[first as usize];
                return Err(RegistryError::OneFunction {
                    type_name: function.type_name,
                    first_name: first.name,
                    first: first.place(),
                    second_name: function.name,
                    second: function.place(),
                });
            }
        }
        let fingerprint =
            fingerprint::of_functions(functions.iter().map(|f| (f.name, f.signature.as_str())));
        Ok(Self {
            functions,
            by_type,
            fingerprint,
        })
    }

    /// The function of this type.
    pub(crate) fn by_type(&self, function: TypeId) -> Option<&Function> {
        self.by_index(*self.by_type.get(&function)?)
    }

    /// The function of this name.
    pub(crate) fn by_name(&self, name: &str) -> Option<&Function> {
        let index = self
            .functions
            .binary_search_by(|function| function.name.cmp(name))
            .ok()?;
        self.functions.get(index)
    }

    /// The function at this place in [`functions`](Self::functions).
    pub(crate) fn by_index(&self, index: u32) -> Option<&Function> {
        self.functions.get(usize::try_from(index).ok()?)
    }

    /// All functions, sorted by name.
    pub(crate) fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// A hash of all names and signatures. Two processes with the same one can exchange indices.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The first function in which another process, whose functions are `theirs`, differs from
    /// this one: what is to be said after "worker 7 runs another build: ".
    pub(crate) fn difference(&self, theirs: &[(String, u64)]) -> String {
        let theirs: HashMap<&str, u64> = theirs
            .iter()
            .map(|(name, hash)| (name.as_str(), *hash))
            .collect();
        for function in &self.functions {
            match theirs.get(function.name) {
                None => return format!("it does not know the function `{}`", function.name),
                Some(hash) if *hash != function.signature_hash => {
                    return format!("its `{}` is not `{}`", function.name, function.signature);
                }
                Some(_) => {}
            }
        }
        match theirs
            .keys()
            .filter(|name| self.by_name(name).is_none())
            .min()
        {
            Some(name) => format!("it has a function `{name}`, which this program does not know"),
            None => "it has the same functions, and another fingerprint".to_owned(),
        }
    }
}

impl Function {
    fn place(&self) -> Place {
        Place {
            file: self.file,
            line: self.line,
        }
    }
}

/// A `TypeId` is a hash already: its `Hash` hands over 64 bits of it. This is on the way of every
/// submission.
#[derive(Default)]
struct TypeIdHasher(u64);

impl Hasher for TypeIdHasher {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    /// Only if a later standard library hashes its `TypeId` otherwise.
    fn write(&mut self, bytes: &[u8]) {
        self.0 = Fnv(self.0).bytes(bytes).0;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
