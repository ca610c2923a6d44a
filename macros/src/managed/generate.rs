//! The proxy of a managed type, and the type's registration.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, Visibility};

use super::Block;
use super::shown::{Kind, Shown};

pub(super) fn all(block: &Block) -> TokenStream {
    let proxy = proxy(block);
    let registration = registration(block);
    // In this order: what the compiler says of a type's bounds it says first where the type is written.
    quote!(#registration #proxy)
}

/// The struct, what every proxy can do, and its own methods.
fn proxy(block: &Block) -> TokenStream {
    let Block {
        krate,
        ident,
        name,
        proxy,
        cfgs,
        shown,
        ..
    } = block;
    let visibility = widest(shown);
    let text = proxy.to_string();
    let doc = format!(
        "A `{ident}` in a manager: what of it is shown, called from anywhere. A clone is the same object, which lives while there is a proxy of it."
    );
    let methods = shown.iter().map(|one| method(block, one));
    let private = quote!(#krate::__private::manager);
    let serde = quote!(#krate::__private::serde);
    quote! {
        #(#cfgs)*
        #[doc = #doc]
        #[allow(unreachable_pub)]
        #[derive(::core::clone::Clone)]
        #visibility struct #proxy(#private::Managed);

        #(#cfgs)*
        #[allow(private_interfaces, unreachable_pub)]
        impl #proxy {
            #(#methods)*

            /// Whether both are proxies of the same object.
            #visibility fn is_same(&self, other: &#proxy) -> bool {
                self.0.is_same(&other.0)
            }
        }

        #(#cfgs)*
        impl #private::ManagedProxy for #proxy {
            const TYPE_NAME: &'static str = #name;

            fn of(managed: #private::Managed) -> Self {
                Self(managed)
            }

            fn managed(&self) -> &#private::Managed {
                &self.0
            }
        }

        #(#cfgs)*
        impl ::core::fmt::Debug for #proxy {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                self.0.describe(#text, f)
            }
        }

        #(#cfgs)*
        impl #serde::Serialize for #proxy {
            fn serialize<S: #serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                #serde::Serialize::serialize(&self.0, serializer)
            }
        }

        #(#cfgs)*
        impl<'de> #serde::Deserialize<'de> for #proxy {
            fn deserialize<D: #serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                #serde::Deserialize::deserialize(deserializer).map(Self)
            }
        }
    }
}

/// The widest visibility there is among them: a proxy that nobody sees is of no use to what can be seen of it.
fn widest(shown: &[Shown]) -> Visibility {
    let visibilities = || shown.iter().map(|one| &one.visibility);
    let public = visibilities().find(|of| matches!(of, Visibility::Public(_)));
    let restricted = visibilities().find(|of| matches!(of, Visibility::Restricted(_)));
    public
        .or(restricted)
        .cloned()
        .unwrap_or(Visibility::Inherited)
}

/// A method of the proxy, in its two forms.
fn method(block: &Block, one: &Shown) -> TokenStream {
    let krate = &block.krate;
    let Shown {
        visibility,
        ident,
        name,
        ident_async,
        docs,
        cfgs,
        deprecated,
        output,
        ..
    } = one;
    let private = quote!(#krate::__private::manager);
    let names: Vec<&Ident> = one.arguments.iter().map(|(name, _)| name).collect();
    let types = one.arguments.iter().map(|(_, ty)| ty);
    let parameters = quote!(#(#names: #types),*);
    let values = match &*names {
        [one] => quote!(#one),
        several => quote!((#(#several),*)),
    };
    let doc = match docs.is_empty() {
        true => {
            let doc = format!("`{}::{name}`, in the manager.", block.ident);
            quote!(#[doc = #doc])
        }
        false => quote!(#(#docs)*),
    };
    let doc_async = format!("[`{name}`](Self::{name}), to be awaited.");
    let above = quote!(#(#cfgs)* #(#deprecated)* #[allow(deprecated)]);
    match &one.kind {
        Kind::Method { .. } => quote! {
            #above
            #doc
            #visibility fn #ident(
                &self,
                #parameters
            ) -> ::core::result::Result<#output, #krate::manager::ManagerError> {
                self.0.call(#name, &#values)
            }

            #above
            #[doc = #doc_async]
            #visibility fn #ident_async(&self, #parameters) -> #krate::manager::Calling<#output> {
                self.0.call_async(#name, &#values)
            }
        },
        Kind::Constructor { error } => {
            let manager = match names.iter().any(|name| *name == "manager") {
                true => format_ident!("in_manager"),
                false => format_ident!("manager"),
            };
            let (made, new, new_async) = match error {
                None => (quote!(Self), quote!(new), quote!(new_async)),
                Some(error) => (
                    quote!(::core::result::Result<Self, #error>),
                    quote!(try_new),
                    quote!(try_new_async),
                ),
            };
            let made = quote!(::core::result::Result<#made, #krate::manager::ManagerError>);
            quote! {
                #above
                #doc
                #visibility fn #ident(#manager: &#krate::manager::Manager, #parameters) -> #made {
                    #private::#new(#manager, #name, &#values)
                }

                #above
                #[doc = #doc_async]
                #visibility fn #ident_async(
                    #manager: &#krate::manager::Manager,
                    #parameters
                ) -> impl ::core::future::Future<Output = #made> + use<> {
                    #private::#new_async(#manager, #name, &#values)
                }
            }
        }
    }
}

/// What `inventory` finds, and what is asked of the types.
fn registration(block: &Block) -> TokenStream {
    let Block {
        krate,
        ty,
        proxy,
        cfgs,
        shown,
        ..
    } = block;
    let bounds = shown.iter().map(|one| bounds(block, one));
    let managed = quote_spanned!(ty.span()=> can_be_managed::<#ty>());
    let is_constructor = |one: &&Shown| matches!(one.kind, Kind::Constructor { .. });
    let constructors = shown.iter().filter(is_constructor);
    let constructors = constructors.map(|one| entry(block, one));
    let methods = shown.iter().filter(|one| !is_constructor(one));
    let methods = methods.map(|one| entry(block, one));
    quote! {
        #(#cfgs)*
        #[allow(deprecated)]
        const _: () = {
            #krate::__private::#managed;
            #(#bounds)*
            #krate::__private::inventory::submit! {
                #krate::__private::ManagedType {
                    name: #krate::__private::Name::Explicit(
                        <#proxy as #krate::__private::manager::ManagedProxy>::TYPE_NAME,
                    ),
                    file: ::core::file!(),
                    line: ::core::line!(),
                    constructors: &[#(#constructors),*],
                    methods: &[#(#methods),*],
                }
            }
        };
    }
}

/// Asserts the bounds of each type where it is written: the compiler then points at it.
fn bounds(block: &Block, one: &Shown) -> TokenStream {
    let krate = &block.krate;
    let cfgs = &one.cfgs;
    let arguments = one.arguments.iter().map(|(_, ty)| {
        let assertion = quote_spanned!(ty.span()=> argument_crosses_processes::<#ty>());
        quote!(#krate::__private::#assertion;)
    });
    let crosses = match &one.kind {
        Kind::Method { .. } => Some(&one.output),
        Kind::Constructor { error } => error.as_ref(),
    };
    let result = crosses.map(|ty| {
        let assertion = quote_spanned!(one.output_at=> result_crosses_processes::<#ty>());
        quote!(#krate::__private::#assertion;)
    });
    quote!(#(#cfgs)* const _: () = { #(#arguments)* #result };)
}

/// A line of the type's table.
fn entry(block: &Block, one: &Shown) -> TokenStream {
    let Block { krate, ty, .. } = block;
    let Shown {
        ident, name, cfgs, ..
    } = one;
    let types: Vec<&TokenStream> = one.arguments.iter().map(|(_, ty)| ty).collect();
    let names = (1..=types.len()).map(|n| format_ident!("argument_{n}"));
    let names: Vec<Ident> = names.collect();
    let arguments = match (&*names, &*types) {
        ([name], [ty]) => quote!(#name: #ty),
        (names, types) => quote!((#(#names),*): (#(#types),*)),
    };
    let wait = |called: TokenStream| match one.is_async {
        true => quote!(#krate::__private::wait_for(#called)),
        false => called,
    };
    match &one.kind {
        Kind::Method { is_exclusive } => {
            let called = wait(quote!(<#ty>::#ident(this #(, #names)*)));
            let (runs, this) = match is_exclusive {
                true => (quote!(exclusive), quote!(&mut #ty)),
                false => (quote!(shared), quote!(&#ty)),
            };
            quote! {
                #(#cfgs)*
                #krate::__private::Method {
                    name: #name,
                    is_exclusive: #is_exclusive,
                    shim: |arguments| #krate::__private::#runs(
                        arguments,
                        |this: #this, #arguments| #called,
                    ),
                }
            }
        }
        Kind::Constructor { error } => {
            let called = wait(quote!(<#ty>::#ident(#(#names),*)));
            let makes = match error {
                None => quote!(construct),
                Some(_) => quote!(construct_or_fail),
            };
            quote! {
                #(#cfgs)*
                #krate::__private::Constructor {
                    name: #name,
                    shim: |arguments| #krate::__private::#makes(
                        arguments,
                        |#arguments| #called,
                    ),
                }
            }
        }
    }
}
