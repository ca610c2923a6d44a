//! Values to payloads and back: postcard, with a short cut for bytes.
//!
//! What is `inline(always)` here is so because it was measured: where a program has several callers of it for a type, the compiler made calls of
//! calls of it, which took as long as a number does. Without optimisation it would put each copy of a value that is made on the way into one frame of the stack,
//! and a large array would be taken for one that is nested too deeply.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use postcard::{Deserializer, de_flavors, ser_flavors};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How much stack the decoding of one value may take.
///
/// A recursive type decodes recursively, and a few megabytes of payload are enough to nest it a
/// million levels deep: that would end the reader's process. This allows some hundreds of levels in
/// a debug build and some thousands in a release build, and leaves most of a thread's ordinary 2
/// MiB.
const MAX_STACK: usize = 512 * 1024;

/// No single level of a nested value takes this much. So a position further away is on another
/// stack (a `Deserialize` that runs on one of its own), and says nothing. (The address sanitizer moves locals to places
/// that can be nearer than that, and looks like depth: with it, `detect_stack_use_after_return=0` has to be among its
/// `ASAN_OPTIONS`.)
const OTHER_STACK: usize = 64 * 1024 * 1024;

thread_local! {
    /// Why a type of this crate last refused a value of its own; see [`refusal`].
    static REFUSAL: Cell<Option<Cow<'static, str>>> = const { Cell::new(None) };
    /// Whether there may be one: to ask this costs a load, and that other, which is dropped with its thread, much more than a number's encoding.
    static IS_REFUSED: Cell<bool> = const { Cell::new(false) };
}

/// What a `Serialize` or `Deserialize` of this crate says when it refuses a value. postcard drops
/// what serde's `custom` is given; this text is in the error of [`encode`] or [`decode`] all the same.
pub(crate) fn refusal(why: impl Into<Cow<'static, str>>) -> Cow<'static, str> {
    let why = why.into();
    remember(Some(why.clone()));
    IS_REFUSED.set(true);
    why
}

/// Before each value: no earlier refusal is this one's.
#[inline]
fn forget_refusal() {
    if IS_REFUSED.get() {
        IS_REFUSED.set(false);
        remember(None);
    }
}

/// On a thread that is ending there may be no place for it: then nobody is told why.
fn remember(why: Option<Cow<'static, str>>) -> Option<Cow<'static, str>> {
    REFUSAL
        .try_with(|refusal| refusal.replace(why))
        .ok()
        .flatten()
}

/// Why a value was not encoded, or bytes not decoded.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CodecError(String);

impl CodecError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    pub(crate) fn into_message(self) -> String {
        self.0
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodecError({:?})", self.0)
    }
}

impl std::error::Error for CodecError {}

impl From<postcard::Error> for CodecError {
    #[cold]
    fn from(error: postcard::Error) -> Self {
        use postcard::Error as E;
        if let E::SerdeSerCustom | E::SerdeDeCustom = error
            && let Some(why) = remember(None)
        {
            return Self::new(why);
        }
        Self::new(match error {
            E::WontImplement | E::NotYetImplemented => {
                "its type needs a format that describes itself (untagged, internally tagged and flattened types do)"
            }
            E::SerializeSeqLengthUnknown => {
                "the length of a sequence or map is not known before its end (flattened types do that)"
            }
            E::DeserializeUnexpectedEnd => "the bytes end before the value does",
            E::DeserializeBadVarint => "a number does not fit its type",
            E::DeserializeBadBool => "a bool is neither 0 nor 1",
            E::DeserializeBadChar => "a char is not one",
            E::DeserializeBadUtf8 => "text is not UTF-8",
            E::DeserializeBadOption => "the tag of an `Option` is neither 0 nor 1",
            E::DeserializeBadEnum => "the variant of an enum does not fit 32 bits",
            // Only `Input` says this.
            E::DeserializeBadEncoding => "values are nested too deeply",
            E::SerdeSerCustom => "the type's own `Serialize` refused the value",
            E::SerdeDeCustom => "the type's own `Deserialize` refused the value",
            E::CollectStrError => "the type's own `Display` failed",
            other => return Self::new(other.to_string()),
        })
    }
}

/// Appends the encoded value to `out`. On failure `out` is as it was.
///
/// A `Vec<u8>` is copied in one go, into the same bytes that postcard would have written one by
/// one.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) fn encode<T: Serialize + 'static>(
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    if let Some(bytes) = as_bytes(value) {
        out.reserve(bytes.len() + MAX_VARINT);
        push_varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
        return Ok(());
    }
    encode_borrowed(value, out)
}

/// The same of a value of any type, such as a `str`: into the same bytes.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) fn encode_borrowed<T: Serialize + ?Sized>(
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let start = out.len();
    forget_refusal();
    postcard::serialize_with_flavor(value, Output(out)).map_err(|error| {
        out.truncate(start);
        error.into()
    })
}

/// The value that all of `bytes` is.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) fn decode<T: DeserializeOwned + 'static>(mut bytes: &[u8]) -> Result<T, CodecError> {
    let value = decode_prefix(&mut bytes)?;
    expect_end(bytes)?;
    Ok(value)
}

/// The value at the front of `bytes`, which then begins behind it. On failure `bytes` is as it was.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) fn decode_prefix<T: DeserializeOwned + 'static>(
    bytes: &mut &[u8],
) -> Result<T, CodecError> {
    if are_bytes::<T>() {
        let mut rest = *bytes;
        if let Some(value) = from_bytes(take_bytes(&mut rest)?.to_vec()) {
            *bytes = rest;
            return Ok(value);
        }
    }
    forget_refusal();
    let mut deserializer = Deserializer::from_flavor(Input {
        rest: bytes,
        stack: stack_position(),
    });
    let value = T::deserialize(&mut deserializer)?;
    *bytes = deserializer.finalize()?;
    Ok(value)
}

/// Appends a value that is all of a payload, or of an item in one: as [`encode`], but for a `Vec<u8>`,
/// which is its own bytes, with no length in front.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) fn encode_whole<T: Serialize + 'static>(
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    if let Some(bytes) = as_bytes(value) {
        out.extend_from_slice(bytes);
        return Ok(());
    }
    encode(value, out)
}

/// The same of a value that is not needed any more: many bytes become `out`, where nothing stands in
/// that, and are not copied.
#[inline]
pub(crate) fn encode_owned<T: Serialize + 'static>(
    value: T,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let mut value = Some(value);
    if out.is_empty()
        && let Some(bytes) = (&mut value as &mut dyn Any).downcast_mut::<Option<Vec<u8>>>()
        && let Some(bytes) = bytes.take_if(|bytes| bytes.len() >= MANY)
    {
        *out = bytes;
        return Ok(());
    }
    value.map_or(Ok(()), |value| encode_whole(&value, out))
}

/// What [`encode_whole`] has made of a value; bytes that are given away become the value.
#[inline]
pub(crate) fn decode_whole<'a, T: DeserializeOwned + 'static>(
    bytes: impl Into<Cow<'a, [u8]>>,
) -> Result<T, CodecError> {
    decode_taken(&mut bytes.into())
}

/// The same. The bytes may be taken out, and stay where they are otherwise: that is all that is done with those of most values.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) fn decode_taken<T: DeserializeOwned + 'static>(
    bytes: &mut Cow<'_, [u8]>,
) -> Result<T, CodecError> {
    if !are_bytes::<T>() {
        return decode(bytes);
    }
    from_bytes(std::mem::take(bytes).into_owned())
        .ok_or_else(|| CodecError::new("bytes are no bytes"))
}

/// Fewer bytes than these are copied into memory that is there already, rather than to have memory of
/// their own.
const MANY: usize = 4096;

/// Whether `T` is `Vec<u8>`.
#[inline]
fn are_bytes<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<Vec<u8>>()
}

#[inline]
fn as_bytes<T: 'static>(value: &T) -> Option<&Vec<u8>> {
    (value as &dyn Any).downcast_ref()
}

/// Always some, where [`are_bytes`]: a place of type `T` that turns out to be one of type `Vec<u8>`.
#[inline]
fn from_bytes<T: 'static>(bytes: Vec<u8>) -> Option<T> {
    let mut value: Option<T> = None;
    *(&mut value as &mut dyn Any).downcast_mut::<Option<Vec<u8>>>()? = Some(bytes);
    value
}

/// Whether an encoded [`Result`] is an `Err`: the second of its variants.
#[inline]
pub(crate) fn is_err(encoded: &[u8]) -> bool {
    encoded.first() == Some(&1)
}

/// How many bytes the index of the function that a task runs takes, behind its encoded arguments: at
/// the end, so that neither side has to move arguments for it.
pub(crate) const FUNCTION_LEN: usize = 4;

/// Those bytes.
#[inline]
pub(crate) fn encode_function(index: u32) -> [u8; FUNCTION_LEN] {
    index.to_le_bytes()
}

/// Takes the payload of a task apart: the index of its function, and its encoded arguments.
#[inline]
pub(crate) fn split_function(payload: Cow<'_, [u8]>) -> Result<(u32, Cow<'_, [u8]>), CodecError> {
    let Some((arguments, function)) = payload.split_last_chunk::<FUNCTION_LEN>() else {
        return Err(postcard::Error::DeserializeUnexpectedEnd.into());
    };
    let (function, len) = (u32::from_le_bytes(*function), arguments.len());
    let arguments = match payload {
        Cow::Borrowed(payload) => Cow::Borrowed(&payload[..len]),
        Cow::Owned(mut payload) => {
            payload.truncate(len);
            Cow::Owned(payload)
        }
    };
    Ok((function, arguments))
}

/// The longest that an encoded `u64` can be.
pub(super) const MAX_VARINT: usize = 10;

/// Appends a number as postcard does: seven bits a byte, lowest first, the high bit says that more
/// follow.
#[inline]
pub(super) fn push_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub(super) fn take_varint<'a, T: From<u8> + Deserialize<'a>>(
    bytes: &mut &'a [u8],
) -> Result<T, CodecError> {
    // The common case: one byte.
    if let [value @ 0..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Ok((*value).into());
    }
    let (value, rest) = postcard::take_from_bytes(bytes)?;
    *bytes = rest;
    Ok(value)
}

/// Bytes with their length in front, borrowed. The length is compared with what there is before it
/// is used.
#[inline]
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], CodecError> {
    let mut rest = *bytes;
    let len = take_varint(&mut rest)?;
    let Some((taken, rest)) = rest.split_at_checked(len) else {
        return Err(postcard::Error::DeserializeUnexpectedEnd.into());
    };
    *bytes = rest;
    Ok(taken)
}

#[inline]
pub(super) fn expect_end(bytes: &[u8]) -> Result<(), CodecError> {
    if bytes.is_empty() {
        return Ok(());
    }
    Err(CodecError::new(format!(
        "{} bytes are left over after the value",
        bytes.len()
    )))
}

/// Appends to the caller's `Vec`. (postcard's own flavours own theirs.)
struct Output<'a>(&'a mut Vec<u8>);

impl ser_flavors::Flavor for Output<'_> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        append(data, self.0);
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends bytes, which are those of a number most of the time.
#[inline]
fn append(data: &[u8], out: &mut Vec<u8>) {
    if data.len() > MAX_VARINT {
        out.extend_from_slice(data);
        return;
    }
    // They have just been written one by one. A copy reads several at once, for which the processor waits until they have left
    // its store buffer; and of a length that is not known it is a call.
    for byte in data {
        out.push(*byte);
    }
}

/// Reads from a slice, and watches the stack while it does: every level of a nested value takes at
/// least one byte.
struct Input<'de> {
    rest: &'de [u8],
    /// Where the stack was when decoding began.
    stack: usize,
}

impl Input<'_> {
    #[inline]
    fn check_stack(&self) -> postcard::Result<()> {
        if (MAX_STACK..OTHER_STACK).contains(&self.stack.abs_diff(stack_position())) {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        Ok(())
    }
}

impl<'de> de_flavors::Flavor<'de> for Input<'de> {
    type Remainder = &'de [u8];
    type Source = &'de [u8];

    #[inline]
    fn pop(&mut self) -> postcard::Result<u8> {
        self.check_stack()?;
        let (byte, rest) = self
            .rest
            .split_first()
            .ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        self.rest = rest;
        Ok(*byte)
    }

    /// What makes postcard hint at no more items than there are bytes; serde then allocates no more
    /// than 1 MiB ahead.
    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }

    #[inline]
    fn try_take_n(&mut self, count: usize) -> postcard::Result<&'de [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn finalize(self) -> postcard::Result<&'de [u8]> {
        Ok(self.rest)
    }
}

/// Roughly where the stack of this thread is now.
#[cfg_attr(not(debug_assertions), inline(always))]
fn stack_position() -> usize {
    let here = 0u8;
    &raw const here as usize
}
