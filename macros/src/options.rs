//! What stands between the parentheses of an attribute.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser;
use syn::{Ident, LitBool, LitStr, Path, Result};

/// Whose options they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Task,
    Main,
    Managed,
}

/// The options of any attribute.
#[derive(Default)]
pub(crate) struct Options {
    /// `name = "…"`
    pub(crate) name: Option<LitStr>,
    /// `repeatable = false`
    pub(crate) is_not_repeatable: bool,
    /// `proxy = Ident`
    pub(crate) proxy: Option<Ident>,
    krate: Option<Path>,
}

impl Options {
    pub(crate) fn of_task(tokens: TokenStream) -> Result<Self> {
        Self::parse(tokens, Of::Task)
    }

    pub(crate) fn of_main(tokens: TokenStream) -> Result<Self> {
        Self::parse(tokens, Of::Main)
    }

    pub(crate) fn of_managed(tokens: TokenStream) -> Result<Self> {
        Self::parse(tokens, Of::Managed)
    }

    /// The path to the crate.
    pub(crate) fn krate(&self) -> TokenStream {
        match &self.krate {
            Some(path) => quote!(#path),
            None => quote!(::procession),
        }
    }

    fn parse(tokens: TokenStream, of: Of) -> Result<Self> {
        let mut options = Self::default();
        let parser = syn::meta::parser(|option| {
            if of == Of::Task && option.path.is_ident("repeatable") {
                options.is_not_repeatable = !option.value()?.parse::<LitBool>()?.value;
                Ok(())
            } else if of == Of::Managed && option.path.is_ident("proxy") {
                options.proxy = Some(option.value()?.parse()?);
                Ok(())
            } else if of != Of::Main && option.path.is_ident("name") {
                let name: LitStr = option.value()?.parse()?;
                if name.value().is_empty() {
                    return Err(syn::Error::new(
                        name.span(),
                        match of {
                            Of::Managed => "a type needs a name: this one is empty",
                            _ => "a function needs a name: this one is empty",
                        },
                    ));
                }
                options.name = Some(name);
                Ok(())
            } else if option.path.is_ident("crate") {
                options.krate = Some(option.value()?.call(Path::parse_mod_style)?);
                Ok(())
            } else {
                Err(option.error(match of {
                    Of::Task => {
                        "the options are `name = \"…\"`, `repeatable = false` and `crate = path`"
                    }
                    Of::Managed => {
                        "the options are `name = \"…\"`, `proxy = Ident` and `crate = path`"
                    }
                    Of::Main => "the only option is `crate = path`",
                }))
            }
        });
        parser.parse2(tokens)?;
        Ok(options)
    }
}
