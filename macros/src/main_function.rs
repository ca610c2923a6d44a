//! `#[procession::main]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Error, ItemFn};

use crate::options::Options;

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            let error = Error::new_spanned(&item, "`#[procession::main]` goes above `fn main`");
            let error = error.into_compile_error();
            return quote!(#error #item);
        }
    };
    Options::of_main(options)
        .and_then(|options| with_init(&options, &function))
        .unwrap_or_else(|error| {
            let error = error.into_compile_error();
            // Something must be `main`, or the compiler complains about that too.
            quote!(#error fn main() {})
        })
}

fn with_init(options: &Options, function: &ItemFn) -> syn::Result<TokenStream> {
    let ItemFn {
        attrs,
        vis,
        sig,
        block,
        ..
    } = function;
    if sig.ident != "main" {
        return Err(Error::new_spanned(
            &sig.ident,
            "`#[procession::main]` goes above `fn main`",
        ));
    }
    if !sig.inputs.is_empty() {
        return Err(Error::new_spanned(&sig.inputs, "`main` takes no arguments"));
    }
    let krate = options.krate();
    let (kept, others): (Vec<&Attribute>, Vec<&Attribute>) =
        attrs.iter().partition(|attribute| is_inert(attribute));
    if others.is_empty() {
        if let Some(asyncness) = &sig.asyncness {
            return Err(Error::new_spanned(
                asyncness,
                "nothing runs this `async fn main`: put an attribute that does below `#[procession::main]`, such as `#[tokio::main]`",
            ));
        }
        let statements = &block.stmts;
        return Ok(quote! {
            #(#kept)*
            #vis #sig {
                #krate::init();
                #(#statements)*
            }
        });
    }
    // What the other attributes make of `main` begins only when it is called, and `init` comes before.
    let output = &sig.output;
    Ok(quote! {
        #(#kept)*
        #vis fn main() #output {
            #krate::init();
            #(#others)*
            #sig #block
            main()
        }
    })
}

/// Whether the attribute is one of the compiler's, which changes nothing about when `main` begins.
fn is_inert(attribute: &Attribute) -> bool {
    const INERT: [&str; 10] = [
        "allow",
        "cfg",
        "cfg_attr",
        "cold",
        "deny",
        "deprecated",
        "doc",
        "expect",
        "inline",
        "warn",
    ];
    INERT.iter().any(|name| attribute.path().is_ident(name))
        || attribute
            .path()
            .segments
            .first()
            .is_some_and(|first| first.ident == "clippy" || first.ident == "rustfmt")
}
