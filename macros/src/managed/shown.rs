//! Which functions of a block are shown, and what is wrong with them.

use std::collections::HashMap;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::{
    Attribute, FnArg, GenericArgument, GenericParam, Ident, ImplItem, ImplItemFn, ItemImpl, Meta,
    Pat, PathArguments, Receiver, ReceiverKind, ReturnType, Safety, Signature, Type, Visibility,
};

use super::is_cfg;
use crate::faults::{Faults, Of};
use crate::task::MAX_ARGUMENTS;

/// A function that is shown.
pub(super) struct Shown {
    pub(super) kind: Kind,
    pub(super) visibility: Visibility,
    pub(super) ident: Ident,
    /// Its name on the wire.
    pub(super) name: String,
    /// The name of its form that is awaited.
    pub(super) ident_async: Ident,
    pub(super) docs: Vec<Attribute>,
    pub(super) cfgs: Vec<Attribute>,
    pub(super) deprecated: Vec<Attribute>,
    pub(super) is_async: bool,
    /// Names and types, without `Self`.
    pub(super) arguments: Vec<(Ident, TokenStream)>,
    /// The type of its result, without `Self`.
    pub(super) output: TokenStream,
    /// Where that stands.
    pub(super) output_at: Span,
}

pub(super) enum Kind {
    Method {
        is_exclusive: bool,
    },
    Constructor {
        /// The error that it can return, if it can.
        error: Option<TokenStream>,
    },
}

/// What stands above a function of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Show,
    Skip,
}

/// What generated proxies have besides.
const RESERVED: [&str; 1] = ["is_same"];

/// Takes the marks off the functions of a block: at which item each stood.
pub(super) fn take_marks(block: &mut ItemImpl, faults: &mut Faults) -> HashMap<usize, Mark> {
    let mut marks = HashMap::new();
    for (at, item) in block.items.iter_mut().enumerate() {
        let attributes = match item {
            ImplItem::Fn(function) => &mut function.attrs,
            ImplItem::Const(constant) => &mut constant.attrs,
            ImplItem::Type(ty) => &mut ty.attrs,
            _ => continue,
        };
        let (own, others): (Vec<_>, Vec<_>) = attributes.drain(..).partition(is_mark);
        *attributes = others;
        for mark in own {
            match mark_of(&mark) {
                Some(mark) if matches!(item, ImplItem::Fn(_)) => drop(marks.insert(at, mark)),
                Some(_) => faults.add(mark, "only functions can be shown"),
                None => faults.add(
                    mark,
                    "within the block it is `#[managed]`, which shows a private function, or `#[managed(skip)]`, which hides a `pub` one",
                ),
            }
        }
    }
    marks
}

fn is_mark(attribute: &Attribute) -> bool {
    let last = attribute.path().segments.last();
    last.is_some_and(|last| last.ident == "managed")
}

fn mark_of(attribute: &Attribute) -> Option<Mark> {
    match &attribute.meta {
        Meta::Path(_) => Some(Mark::Show),
        Meta::List(list) if list.tokens.to_string() == "skip" => Some(Mark::Skip),
        _ => None,
    }
}

/// The functions of the block that are shown. Those that cannot be are left out, and said to be.
pub(super) fn of_block(
    block: &ItemImpl,
    marks: &HashMap<usize, Mark>,
    krate: &TokenStream,
    faults: &mut Faults,
) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let found = |faults: &Faults| faults.error.is_some();
    let refused_before = found(faults);
    for (at, item) in block.items.iter().enumerate() {
        let ImplItem::Fn(function) = item else {
            continue;
        };
        let mark = marks.get(&at).copied();
        let is_public = matches!(function.vis, Visibility::Public(_));
        if mark == Some(Mark::Skip) || (mark.is_none() && !is_public) {
            continue;
        }
        let Some(kind) = kind_of(function, &block.self_ty, krate, mark, faults) else {
            continue;
        };
        match check(&function.sig) {
            Ok(()) => shown.push(Shown::of(function, kind, &block.self_ty)),
            Err(error) => faults.take(error),
        }
    }
    let awaited: Vec<(String, String)> = shown
        .iter()
        .map(|one| (one.ident_async.to_string(), one.name.clone()))
        .collect();
    shown.retain(|one| {
        let name = &one.name;
        let message = if RESERVED.contains(&&**name) {
            format!(
                "every proxy has a method `{name}` of its own: give this one another name, or hide it with `#[managed(skip)]`"
            )
        } else if let Some((_, other)) = awaited.iter().find(|(awaited, _)| awaited == name) {
            format!(
                "the proxy has a `{name}` already, which is `{other}` awaited: give one of them another name, or hide it with `#[managed(skip)]`"
            )
        } else {
            return true;
        };
        faults.add(&one.ident, message);
        false
    });
    let is_constructor = |one: &Shown| matches!(one.kind, Kind::Constructor { .. });
    if !refused_before && !found(faults) && !shown.iter().any(is_constructor) {
        faults.add(
            &block.self_ty,
            "nothing here makes one in a manager: a constructor is a `pub fn`, or one that is marked `#[managed]`, without `self`, which returns `Self` or `Result<Self, E>`",
        );
    }
    shown
}

/// What a function is; `None`, if it is not shown.
fn kind_of(
    function: &ImplItemFn,
    ty: &Type,
    krate: &TokenStream,
    mark: Option<Mark>,
    faults: &mut Faults,
) -> Option<Kind> {
    if let Some(FnArg::Receiver(receiver)) = function.sig.inputs.first() {
        let is_exclusive = is_exclusive(receiver);
        if is_exclusive.is_none() {
            faults.add(
                receiver,
                "a managed method takes `&self`, or `&mut self` to be called alone: the value stays in the manager; hide this one with `#[managed(skip)]`",
            );
        }
        return is_exclusive.map(|is_exclusive| Kind::Method { is_exclusive });
    }
    let made = match &function.sig.output {
        ReturnType::Type(_, output) => made_by(output, ty, krate),
        ReturnType::Default => None,
    };
    if made.is_none() && mark == Some(Mark::Show) {
        faults.add(
            &function.sig.ident,
            "this is neither a method, which takes `&self` or `&mut self`, nor a constructor, which returns `Self` or `Result<Self, E>`",
        );
    }
    made.map(|error| Kind::Constructor { error })
}

/// Whether a method is to be called alone; `None`, if it cannot be called at all.
fn is_exclusive(receiver: &Receiver) -> Option<bool> {
    match &receiver.kind {
        ReceiverKind::Reference(_, _, mutable) => Some(mutable.is_some()),
        ReceiverKind::Typed(_, ty) => match &**ty {
            Type::Reference(reference) => Some(reference.mutability.is_some()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a result of this type is a new value (`Some`), and with what error instead of it.
fn made_by(output: &Type, ty: &Type, krate: &TokenStream) -> Option<Option<TokenStream>> {
    let is_own = |of: &Type| {
        let text = of.to_token_stream().to_string();
        text == "Self" || text == ty.to_token_stream().to_string()
    };
    if is_own(output) {
        return Some(None);
    }
    let Type::Path(path) = output else {
        return None;
    };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(first) if last.ident == "Result" && is_own(first) => {}
        _ => return None,
    }
    Some(Some(match arguments.args.iter().nth(1) {
        Some(error) => without_self(error, ty),
        // Such as `io::Result<Self>`.
        None => {
            let output = without_self(output, ty);
            quote!(<#output as #krate::__private::Fallible>::Error)
        }
    }))
}

/// Everything that is wrong with a signature, each where it is.
fn check(signature: &Signature) -> syn::Result<()> {
    let mut faults = Faults::new(Of::Method);
    if let Safety::Unsafe(token) = &signature.safety {
        faults.add(token, "an `unsafe` function cannot be shown: its caller would be another process, which promises nothing");
    }
    if let Some(abi) = &signature.abi {
        faults.add(
            abi,
            "an `extern` function cannot be shown: call it from a plain one",
        );
    }
    let is_lifetime = |param: &GenericParam| matches!(param, GenericParam::Lifetime(_));
    if !signature.generics.params.iter().all(is_lifetime) {
        faults.add(
            &signature.generics,
            "a generic function is many functions: hide it with `#[managed(skip)]`, and show one for each type that is called for",
        );
    }
    let arguments = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    });
    for argument in arguments.clone() {
        faults.argument(&argument.ty);
    }
    if let Some(ninth) = arguments.clone().nth(MAX_ARGUMENTS) {
        faults.add(
            ninth,
            "a managed function has up to eight arguments: put some of them into a struct or a tuple",
        );
    }
    faults.result(signature);
    faults.into_result()
}

impl Shown {
    fn of(function: &ImplItemFn, kind: Kind, ty: &Type) -> Self {
        let signature = &function.sig;
        let attributes = |is_one: fn(&Attribute) -> bool| {
            let attributes = function.attrs.iter().filter(|of| is_one(of));
            attributes.cloned().collect()
        };
        let mut arguments = Vec::new();
        for input in &signature.inputs {
            if let FnArg::Typed(argument) = input {
                let ident = match &*argument.pat {
                    Pat::Ident(named) => named.ident.clone(),
                    _ => format_ident!("argument_{}", arguments.len() + 1),
                };
                arguments.push((ident, without_self(&argument.ty, ty)));
            }
        }
        let (output, output_at) = match &signature.output {
            ReturnType::Default => (quote!(()), signature.ident.span()),
            ReturnType::Type(_, output) => (
                without_self(output, ty),
                syn::spanned::Spanned::span(&**output),
            ),
        };
        let plain = signature.ident.unraw();
        Self {
            kind,
            visibility: function.vis.clone(),
            ident: signature.ident.clone(),
            name: plain.to_string(),
            ident_async: format_ident!("{plain}_async", span = signature.ident.span()),
            docs: attributes(|of| of.path().is_ident("doc")),
            cfgs: attributes(is_cfg),
            deprecated: attributes(|of| of.path().is_ident("deprecated")),
            is_async: signature.asyncness.is_some(),
            arguments,
            output,
            output_at,
        }
    }
}

/// A type as it is written outside of the block: with the type's name for `Self`.
fn without_self(ty: &impl ToTokens, own: &Type) -> TokenStream {
    replace_self(ty.to_token_stream(), own)
}

fn replace_self(tokens: TokenStream, own: &Type) -> TokenStream {
    let mut tokens = tokens.into_iter().peekable();
    let mut replaced = TokenStream::new();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) if ident == "Self" => {
                let is_path =
                    matches!(tokens.peek(), Some(TokenTree::Punct(next)) if next.as_char() == ':');
                replaced.extend(match is_path {
                    true => quote!(<#own>),
                    false => quote!(#own),
                });
            }
            TokenTree::Group(group) => {
                let inner = replace_self(group.stream(), own);
                let mut inner = proc_macro2::Group::new(group.delimiter(), inner);
                inner.set_span(group.span());
                replaced.extend([TokenTree::Group(inner)]);
            }
            other => replaced.extend([other]),
        }
    }
    replaced
}
