//! `#[procession::task]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, FnArg, GenericParam, Generics, ItemFn, ReturnType, Safety, Signature, Type};

use crate::faults::{Faults, Of};
use crate::options::Options;

/// As many as `TaskFunction` is implemented for.
pub(crate) const MAX_ARGUMENTS: usize = 8;

/// The function as it is, and behind it its registration or the reasons against one.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            let error = Error::new_spanned(&item, "`#[procession::task]` goes above a function");
            let error = error.into_compile_error();
            return quote!(#error #item);
        }
    };
    let registration = Options::of_task(options)
        .and_then(|options| check(&function.sig).map(|()| register(&options, &function)))
        .unwrap_or_else(Error::into_compile_error);
    // A refused function stays, so that its callers are not errors as well.
    quote!(#function #registration)
}

fn register(options: &Options, function: &ItemFn) -> TokenStream {
    let krate = options.krate();
    let ident = &function.sig.ident;
    let name = match &options.name {
        Some(name) => name.to_token_stream(),
        None => {
            let ident = ident.unraw().to_string();
            quote!(::core::concat!(::core::module_path!(), "::", #ident))
        }
    };
    let cfgs = function
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"));
    let bounds = bounds(&krate, &function.sig);
    let flag = options.is_not_repeatable.then(|| quote!(#[not_repeatable]));
    quote! {
        #(#cfgs)*
        #[allow(deprecated)]
        const _: () = {
            #bounds
            #krate::register!(#flag #ident as #name);
        };
    }
}

/// Asserts the bounds of each type where it is written: the compiler then points at it.
fn bounds(krate: &TokenStream, signature: &Signature) -> TokenStream {
    let arguments = arguments(signature).map(|ty| {
        let assertion = quote_spanned!(ty.span()=> argument_crosses_processes::<#ty>());
        quote!(#krate::__private::#assertion;)
    });
    let result = match &signature.output {
        ReturnType::Type(_, ty) if signature.asyncness.is_some() || !may_be_future(ty) => {
            let assertion = quote_spanned!(ty.span()=> result_crosses_processes::<#ty>());
            Some(quote!(#krate::__private::#assertion;))
        }
        _ => None,
    };
    quote!(#(#arguments)* #result)
}

/// Whether a plain function may mean a future by this type, whose value then is the result.
/// `TaskFunction` looks closer; this only decides where an error is shown.
fn may_be_future(ty: &Type) -> bool {
    match ty {
        Type::ImplTrait(_) | Type::Macro(_) => true,
        Type::Path(path) => path.path.segments.last().is_some_and(|last| {
            let name = last.ident.to_string();
            name == "Pin" || name == "Box" || name.contains("Future")
        }),
        _ => false,
    }
}

/// Everything that is wrong with a signature, each where it is.
fn check(signature: &Signature) -> syn::Result<()> {
    let mut faults = Faults::new(Of::Task);
    if let Safety::Unsafe(token) = &signature.safety {
        faults.add(token, "an `unsafe` function cannot be a task: its caller would be another process, which promises nothing");
    }
    if let Some(abi) = &signature.abi {
        faults.add(
            abi,
            "an `extern` function cannot be a task: call it from a plain function",
        );
    }
    if let Some(variadic) = &signature.variadic {
        faults.add(variadic, "a task has a fixed number of arguments");
    }
    if signature
        .generics
        .params
        .iter()
        .any(|param| !matches!(param, GenericParam::Lifetime(_)))
    {
        let instance = format!("{}::<{}>", signature.ident, example(&signature.generics));
        faults.add(
            &signature.generics,
            format!(
                "a generic function is many functions: remove the attribute and register the instances you submit, as in `procession::register!({instance});`"
            ),
        );
    }
    for input in &signature.inputs {
        match input {
            FnArg::Receiver(receiver) => faults.add(
                receiver,
                "a method cannot be a task: write a free function that takes the value, or register the method with `procession::register!(Type::method as \"name\");` if it takes `self` by value",
            ),
            FnArg::Typed(argument) => faults.argument(&argument.ty),
        }
    }
    if let Some(ninth) = signature.inputs.iter().nth(MAX_ARGUMENTS) {
        faults.add(
            ninth,
            "a task has up to eight arguments: put some of them into a struct or a tuple",
        );
    }
    faults.result(signature);
    faults.into_result()
}

/// Arguments that could stand for the parameters.
fn example(generics: &Generics) -> String {
    let arguments = generics.params.iter().filter_map(|param| match param {
        GenericParam::Lifetime(_) => None,
        GenericParam::Type(_) => Some("u32"),
        GenericParam::Const(_) => Some("4"),
    });
    arguments.collect::<Vec<_>>().join(", ")
}

fn arguments(signature: &Signature) -> impl Iterator<Item = &Type> {
    signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) => Some(&*argument.ty),
        FnArg::Receiver(_) => None,
    })
}
