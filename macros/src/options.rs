//! What stands between the parentheses of an attribute.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser;
use syn::{LitBool, LitStr, Path, Result};

/// The options of either attribute.
#[derive(Default)]
pub(crate) struct Options {
    /// `name = "…"`
    pub(crate) name: Option<LitStr>,
    /// `repeatable = false`
    pub(crate) is_not_repeatable: bool,
    krate: Option<Path>,
}

impl Options {
    pub(crate) fn of_task(tokens: TokenStream) -> Result<Self> {
        Self::parse(tokens, true)
    }

    pub(crate) fn of_main(tokens: TokenStream) -> Result<Self> {
        Self::parse(tokens, false)
    }

    /// The path to the crate.
    pub(crate) fn krate(&self) -> TokenStream {
        match &self.krate {
            Some(path) => quote!(#path),
            None => quote!(::procession),
        }
    }

    fn parse(tokens: TokenStream, of_task: bool) -> Result<Self> {
        let mut options = Self::default();
        let parser = syn::meta::parser(|option| {
            if of_task && option.path.is_ident("repeatable") {
                options.is_not_repeatable = !option.value()?.parse::<LitBool>()?.value;
                Ok(())
            } else if of_task && option.path.is_ident("name") {
                let name: LitStr = option.value()?.parse()?;
                if name.value().is_empty() {
                    return Err(syn::Error::new(
                        name.span(),
                        "a function needs a name: this one is empty",
                    ));
                }
                options.name = Some(name);
                Ok(())
            } else if option.path.is_ident("crate") {
                options.krate = Some(option.value()?.call(Path::parse_mod_style)?);
                Ok(())
            } else if of_task {
                Err(option.error(
                    "the options are `name = \"…\"`, `repeatable = false` and `crate = path`",
                ))
            } else {
                Err(option.error("the only option is `crate = path`"))
            }
        });
        parser.parse2(tokens)?;
        Ok(options)
    }
}
