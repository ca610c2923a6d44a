//! `#[procession::managed]`.
//!
//! * `shown`: which functions of the block are shown, and what is wrong with them.
//! * `generate`: the proxy, and the type's registration.

mod generate;
mod shown;

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::{Attribute, Error, Ident, ItemImpl, PathArguments, Type};

use self::shown::Shown;
use crate::faults::{Faults, Of};
use crate::options::Options;

/// A block whose functions are to be called from elsewhere.
struct Block {
    krate: TokenStream,
    /// The type.
    ty: Box<Type>,
    /// The type's own name, for people.
    ident: Ident,
    /// What it is called on the wire: an expression.
    name: TokenStream,
    proxy: Ident,
    /// Under which conditions the block is there.
    cfgs: Vec<Attribute>,
    shown: Vec<Shown>,
}

/// The block as it is, and behind it the proxy, and the reasons against what is not in it.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut block: ItemImpl = match syn::parse2(item.clone()) {
        Ok(block) => block,
        Err(_) => {
            let message = "`#[procession::managed]` goes above an `impl` block; within one, it marks a private method that is to be shown";
            let error = Error::new_spanned(&item, message).into_compile_error();
            return quote!(#error #item);
        }
    };
    let mut faults = Faults::new(Of::Method);
    // Also of a block that is refused: its marks mean nothing to anybody else.
    let marks = shown::take_marks(&mut block, &mut faults);
    let generated = Options::of_managed(options)
        .and_then(|options| Block::of(&options, &block))
        .map(|mut known| {
            known.shown = shown::of_block(&block, &marks, &known.krate, &mut faults);
            generate::all(&known)
        });
    let generated = generated.unwrap_or_else(|error| {
        faults.take(error);
        TokenStream::new()
    });
    let errors = faults
        .into_result()
        .err()
        .map(|error| error.into_compile_error());
    // `pub` says here what is shown, also of a type that nobody else sees.
    quote!(#[allow(unreachable_pub)] #block #generated #errors)
}

impl Block {
    fn of(options: &Options, block: &ItemImpl) -> syn::Result<Self> {
        if let Some((path, _)) = &block.trait_ {
            return Err(Error::new_spanned(
                path,
                "a manager shows a type's own methods: put `#[procession::managed]` above an `impl` block without a trait, with methods that call those of the trait",
            ));
        }
        if !block.generics.params.is_empty() {
            return Err(Error::new_spanned(
                &block.generics,
                "a generic type is many types: put `#[procession::managed]` above a block for one of them, as in `impl Stack<u64>`",
            ));
        }
        let path = match &*block.self_ty {
            Type::Path(path) if path.qself.is_none() => path,
            other => {
                return Err(Error::new_spanned(
                    other,
                    "a managed type has a name: a struct or an enum of your own",
                ));
            }
        };
        let Some(last) = path.path.segments.last() else {
            return Err(Error::new_spanned(path, "a managed type has a name"));
        };
        let ident = last.ident.clone();
        let plain = ident.unraw();
        let name = match &options.name {
            Some(name) => name.to_token_stream(),
            None => {
                let arguments = match &last.arguments {
                    PathArguments::None => String::new(),
                    arguments => arguments.to_token_stream().to_string().replace(' ', ""),
                };
                let name = format!("{plain}{arguments}");
                quote!(::core::concat!(::core::module_path!(), "::", #name))
            }
        };
        Ok(Self {
            krate: options.krate(),
            ty: block.self_ty.clone(),
            proxy: match &options.proxy {
                Some(proxy) => proxy.clone(),
                None => format_ident!("{plain}Proxy"),
            },
            ident,
            name,
            cfgs: block
                .attrs
                .iter()
                .filter(|of| is_cfg(of))
                .cloned()
                .collect(),
            shown: Vec::new(),
        })
    }
}

fn is_cfg(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
}
