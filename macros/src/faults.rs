//! What keeps a signature from crossing processes.

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Error, ReturnType, Signature, Type};

/// What the signature is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Task,
    Method,
}

impl Of {
    fn noun(self) -> &'static str {
        match self {
            Self::Task => "a task",
            Self::Method => "a managed method",
        }
    }
}

/// What was found so far.
pub(crate) struct Faults {
    pub(crate) error: Option<Error>,
    of: Of,
    in_result: bool,
}

impl Faults {
    pub(crate) fn new(of: Of) -> Self {
        Self {
            error: None,
            of,
            in_result: false,
        }
    }

    pub(crate) fn add(&mut self, at: impl ToTokens, message: impl std::fmt::Display) {
        self.take(Error::new_spanned(at, message));
    }

    pub(crate) fn take(&mut self, error: Error) {
        match &mut self.error {
            Some(all) => all.combine(error),
            None => self.error = Some(error),
        }
    }

    /// An argument's type.
    pub(crate) fn argument(&mut self, ty: &Type) {
        self.in_result = false;
        self.visit_type(ty);
    }

    /// The type of the result. What is borrowed without being named is said at the lifetimes.
    pub(crate) fn result(&mut self, signature: &Signature) {
        self.in_result = true;
        if let ReturnType::Type(_, ty) = &signature.output {
            self.visit_type(ty);
        }
        if signature.generics.lt_token.is_some() && self.error.is_none() {
            self.borrowed(&signature.generics);
        }
    }

    fn borrowed(&mut self, at: impl ToTokens) {
        let of = self.of.noun();
        let message = if self.in_result {
            format!(
                "the result of {of} crosses processes and cannot borrow: return an owned type (`String`, `Vec<T>`, …)"
            )
        } else {
            format!(
                "an argument of {of} crosses processes and cannot borrow: take an owned type (`String`, `Vec<T>`, …)"
            )
        };
        self.add(at, message);
    }

    pub(crate) fn into_result(self) -> syn::Result<()> {
        self.error.map_or(Ok(()), Err)
    }
}

impl<'ast> Visit<'ast> for Faults {
    fn visit_type_reference(&mut self, reference: &'ast syn::TypeReference) {
        self.borrowed(reference);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast syn::Lifetime) {
        if lifetime.ident != "static" {
            self.borrowed(lifetime);
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast syn::TypeImplTrait) {
        match (self.of, self.in_result) {
            (Of::Task, true) => visit::visit_type_impl_trait(self, ty),
            (Of::Task, false) => self.add(
                ty,
                "an argument of a task has one type: `impl Trait` is many; name it, or make the function generic and register the instances you submit with `procession::register!`",
            ),
            (Of::Method, true) => self.add(
                ty,
                "the result of a managed method has a type with a name, which its caller decodes: `impl Trait` has none",
            ),
            (Of::Method, false) => self.add(
                ty,
                "an argument of a managed method has one type: `impl Trait` is many; name it",
            ),
        }
    }
}
