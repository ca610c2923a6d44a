//! The payloads of chunks and of parts of their outcomes: many items, each with its length in
//! front.
//!
//! Writers append to the caller's `Vec`, readers borrow from the payload. A reader checks the whole
//! payload before it hands out the first item, so a malformed one is never half used.

use super::codec::{CodecError, MAX_VARINT, expect_end, push_varint, take_bytes, take_varint};

/// Writes the payload of a `Chunk` frame. Dropping it unfinished leaves a part of one in `out`.
#[must_use = "`finish` completes the payload"]
pub(crate) struct ChunkWriter<'a> {
    items: Items<'a>,
}

/// Reads the payload of a `Chunk` frame: an iterator over the encoded arguments of each item.
#[derive(Clone, Debug)]
pub(crate) struct ChunkReader<'a> {
    function: u32,
    left: u32,
    rest: &'a [u8],
}

/// Writes the payload of a `Part` frame. Dropping it unfinished leaves a part of one in `out`.
#[must_use = "`finish` completes the payload"]
pub(crate) struct PartWriter<'a> {
    first: u32,
    /// Where it begins.
    start: usize,
    items: Items<'a>,
}

/// Where an outcome begins, with its tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutcomeStart(usize);

/// Reads the payload of a `Part` frame: an iterator over its items.
#[derive(Clone, Debug)]
pub(crate) struct PartReader<'a> {
    index: u32,
    left: u32,
    /// Whether all items have results, as is usual.
    are_values: bool,
    rest: &'a [u8],
}

/// What became of one item of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartItem<'a> {
    /// The place of the item in its chunk.
    pub(crate) index: u32,
    pub(crate) outcome: ItemOutcome<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemOutcome<'a> {
    /// The encoded result.
    Value(&'a [u8]),
    /// An encoded [`TaskFailure`](super::TaskFailure), as in a `Failed` frame.
    Failure(&'a [u8]),
    Cancelled,
}

/// An outcome without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum OutcomeTag {
    Value = VALUE,
    Failure = FAILURE,
    Cancelled = CANCELLED,
}

/// Consecutive items of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartRun<'a> {
    /// So many that have results.
    Values(u32),
    /// One that has none.
    Other(ItemOutcome<'a>),
}

const VALUE: u8 = 0;
const FAILURE: u8 = 1;
const CANCELLED: u8 = 2;

impl<'a> ChunkWriter<'a> {
    /// Begins a chunk for this function at the end of `out`.
    pub(crate) fn new(function: u32, out: &'a mut Vec<u8>) -> Self {
        push_varint(function.into(), out);
        Self {
            items: Items::new(out),
        }
    }

    /// Appends an item whose arguments are encoded already.
    pub(crate) fn push(&mut self, args: &[u8]) {
        self.items.push(args);
    }

    /// Appends so many items that have been put one behind the other, each with its length in front.
    pub(crate) fn push_all(&mut self, count: u32, items: &[u8]) {
        self.items.out.extend_from_slice(items);
        self.items.count += count;
    }

    /// How many items there are.
    pub(crate) fn count(&self) -> u32 {
        self.items.count
    }

    /// Completes the payload.
    pub(crate) fn finish(self) {
        self.items.finish();
    }
}

/// Begins an item of a chunk at the end of `out`: its encoded arguments are to be appended.
#[inline]
pub(crate) fn begin_item(out: &mut Vec<u8>) -> ItemStart {
    out.push(0);
    ItemStart(out.len() - 1)
}

/// Where an item begins, with its length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ItemStart(usize);

impl ItemStart {
    /// Completes the item.
    #[inline]
    pub(crate) fn finish(self, out: &mut Vec<u8>) {
        let len = out.len() - self.0 - 1;
        put_varint(len as u64, self.0, out);
    }

    /// How many bytes stand before it.
    pub(crate) fn at(self) -> usize {
        self.0
    }

    /// Takes back what there is of it.
    pub(crate) fn forget(self, out: &mut Vec<u8>) {
        out.truncate(self.0);
    }
}

/// The first of items that stand one behind the other, each with its length in front; and what follows it.
pub(crate) fn first_item(items: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = items;
    let item = take_bytes(&mut rest).ok()?;
    Some((item, rest))
}

impl<'a> ChunkReader<'a> {
    /// A reader of this payload, all of which has been checked.
    pub(crate) fn new(mut payload: &'a [u8]) -> Result<Self, CodecError> {
        let function = take_varint::<u32>(&mut payload)?;
        let left = take_count(&mut payload, 1)?;
        let mut rest = payload;
        for _ in 0..left {
            take_bytes(&mut rest)?;
        }
        expect_end(rest)?;
        Ok(Self {
            function,
            left,
            rest: payload,
        })
    }

    /// The index of the function to run for each item.
    pub(crate) fn function(&self) -> u32 {
        self.function
    }
}

impl<'a> Iterator for ChunkReader<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        take_bytes(&mut self.rest).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for ChunkReader<'_> {}

/// The payload of a part, made of `count` items that a worker kept, the first of which is `first`, without `skip` of them. `None` if so
/// many are not there and whole, or none is left.
pub(crate) fn part_of(first: u32, skip: u32, count: u32, items: &[u8]) -> Option<Vec<u8>> {
    let (first, count) = (first.checked_add(skip)?, count.checked_sub(skip)?);
    let mut items = items;
    for _ in 0..skip {
        take_outcome(&mut items).ok()?;
    }
    let mut rest = items;
    for _ in 0..count {
        take_outcome(&mut rest).ok()?;
    }
    if count == 0 {
        return None;
    }
    let mut payload = Vec::with_capacity(items.len() + 2 * MAX_VARINT);
    push_varint(first.into(), &mut payload);
    push_varint(count.into(), &mut payload);
    payload.extend_from_slice(&items[..items.len() - rest.len()]);
    Some(payload)
}

impl<'a> PartWriter<'a> {
    /// Begins a part at the end of `out`, for the outcomes of the items from `first` on.
    pub(crate) fn new(first: u32, out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        push_varint(first.into(), out);
        Self {
            first,
            start,
            items: Items::new(out),
        }
    }

    /// Begins the outcome of the next item: its bytes are to be appended to [`out`](Self::out).
    #[inline]
    pub(crate) fn begin(&mut self) -> OutcomeStart {
        let start = self.items.out.len();
        self.items.out.extend_from_slice(&[VALUE, 0]);
        OutcomeStart(start)
    }

    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        self.items.out
    }

    /// Completes an outcome. A cancelled one has no bytes.
    #[inline]
    pub(crate) fn end(&mut self, OutcomeStart(start): OutcomeStart, tag: OutcomeTag) {
        self.items.out[start] = tag as u8;
        let len = self.items.out.len() - start - 2;
        put_varint(len as u64, start + 1, self.items.out);
        self.items.count += 1;
    }

    /// Takes back an outcome that has not been completed: its bytes.
    pub(crate) fn take_back(&mut self, OutcomeStart(start): OutcomeStart) -> Vec<u8> {
        let bytes = self.items.out.split_off(start + 2);
        self.items.out.truncate(start);
        bytes
    }

    /// Takes out the first items, which take so many bytes.
    pub(crate) fn forget_first(&mut self, items: u32, bytes: usize) {
        let rest = self.items.out.split_off(self.items.start + 1 + bytes);
        self.items.out.truncate(self.start);
        self.first += items;
        push_varint(self.first.into(), self.items.out);
        self.items.start = self.items.out.len();
        self.items.out.push(0);
        self.items.out.extend_from_slice(&rest);
        self.items.count -= items;
    }

    /// What has been appended from there on, as [`part_of`] takes it.
    pub(crate) fn since(&self, at: usize) -> &[u8] {
        self.items.out.get(at..).unwrap_or_default()
    }

    /// Appends the outcome of the next item.
    pub(crate) fn push(&mut self, outcome: ItemOutcome<'_>) {
        let (tag, bytes): (u8, &[u8]) = match outcome {
            ItemOutcome::Value(bytes) => (VALUE, bytes),
            ItemOutcome::Failure(bytes) => (FAILURE, bytes),
            ItemOutcome::Cancelled => (CANCELLED, &[]),
        };
        self.items.out.push(tag);
        self.items.push(bytes);
    }

    /// How many items there are.
    pub(crate) fn count(&self) -> u32 {
        self.items.count
    }

    /// The length of everything in `out`, up to 4 bytes less than [`finish`](Self::finish) leaves
    /// there.
    pub(crate) fn len(&self) -> usize {
        self.items.out.len()
    }

    /// Completes the payload.
    pub(crate) fn finish(self) {
        self.items.finish();
    }
}

impl<'a> PartReader<'a> {
    /// A reader of this payload, all of which has been checked; but whether the items are those of
    /// the chunk is for the caller to see, and whether values and failures decode is seen when they
    /// are decoded.
    pub(crate) fn new(mut payload: &'a [u8]) -> Result<Self, CodecError> {
        let index = take_varint::<u32>(&mut payload)?;
        let left = take_count(&mut payload, 2)?;
        if index.checked_add(left).is_none() {
            return Err(CodecError::new(
                "the last item's index does not fit 32 bits",
            ));
        }
        let mut rest = payload;
        let mut are_values = true;
        for _ in 0..left {
            are_values &= matches!(take_outcome(&mut rest)?, ItemOutcome::Value(_));
        }
        expect_end(rest)?;
        Ok(Self {
            index,
            left,
            are_values,
            rest: payload,
        })
    }

    /// How many bytes of the payload are to come.
    pub(crate) fn rest_len(&self) -> usize {
        self.rest.len()
    }

    /// The next items that can be told of together.
    pub(crate) fn next_run(&mut self) -> Option<PartRun<'a>> {
        let mut values = 0;
        if self.are_values {
            values = std::mem::take(&mut self.left);
            self.index += values;
            self.rest = &[];
        }
        while self.left > 0 {
            let mut rest = self.rest;
            let outcome = take_outcome(&mut rest).ok()?;
            let is_value = matches!(outcome, ItemOutcome::Value(_));
            if !is_value && values > 0 {
                break;
            }
            self.rest = rest;
            self.left -= 1;
            self.index += 1;
            if !is_value {
                return Some(PartRun::Other(outcome));
            }
            values += 1;
        }
        (values > 0).then_some(PartRun::Values(values))
    }

    /// How many items are to come.
    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    /// The index of the item that comes next.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }
}

impl<'a> Iterator for PartReader<'a> {
    type Item = PartItem<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let outcome = take_outcome(&mut self.rest).ok()?;
        let index = self.index;
        self.index += 1;
        Some(PartItem { index, outcome })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for PartReader<'_> {}

/// A count, then items. One byte is reserved for each length that is not known before its end:
/// enough for 127, and where it is not, what follows is moved.
struct Items<'a> {
    out: &'a mut Vec<u8>,
    /// Where the count goes.
    start: usize,
    count: u32,
}

impl<'a> Items<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        out.push(0);
        Self {
            out,
            start,
            count: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        push_varint(bytes.len() as u64, self.out);
        self.out.extend_from_slice(bytes);
        self.count += 1;
    }

    fn finish(self) {
        put_varint(self.count.into(), self.start, self.out);
    }
}

/// Puts a number where one byte was reserved for it.
#[inline]
fn put_varint(value: u64, at: usize, out: &mut Vec<u8>) {
    if value < 0x80 {
        out[at] = value as u8;
        return;
    }
    let mut bytes = [0; MAX_VARINT];
    let mut count = 0;
    let mut rest = value;
    while rest >= 0x80 {
        bytes[count] = rest as u8 | 0x80;
        rest >>= 7;
        count += 1;
    }
    bytes[count] = rest as u8;
    out.splice(at..=at, bytes[..=count].iter().copied());
}

/// How many items follow. Each takes `min_len` bytes at least, so a count that cannot be is refused
/// here.
fn take_count(bytes: &mut &[u8], min_len: usize) -> Result<u32, CodecError> {
    let count = take_varint::<u32>(bytes)?;
    if count as usize > bytes.len() / min_len {
        return Err(CodecError::new(format!(
            "{count} items are claimed in {} bytes",
            bytes.len()
        )));
    }
    Ok(count)
}

/// The result that stands at this place of a part's items, and where it ends; `None` if there is none.
#[inline]
pub(crate) fn value_at(payload: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let mut rest = payload.get(at..)?;
    match take_outcome(&mut rest) {
        Ok(ItemOutcome::Value(bytes)) => Some((bytes, payload.len() - rest.len())),
        _ => None,
    }
}

#[inline]
fn take_outcome<'a>(bytes: &mut &'a [u8]) -> Result<ItemOutcome<'a>, CodecError> {
    // The common case: a short result.
    if let [VALUE, len @ 0..0x80, rest @ ..] = *bytes
        && let Some((value, rest)) = rest.split_at_checked(usize::from(*len))
    {
        *bytes = rest;
        return Ok(ItemOutcome::Value(value));
    }
    take_any_outcome(bytes)
}

fn take_any_outcome<'a>(bytes: &mut &'a [u8]) -> Result<ItemOutcome<'a>, CodecError> {
    let Some((&tag, mut rest)) = bytes.split_first() else {
        return Err(CodecError::new("the bytes end before the value does"));
    };
    let payload = take_bytes(&mut rest)?;
    let outcome = match tag {
        VALUE => ItemOutcome::Value(payload),
        FAILURE => ItemOutcome::Failure(payload),
        CANCELLED if payload.is_empty() => ItemOutcome::Cancelled,
        CANCELLED => return Err(CodecError::new("a cancelled item comes with bytes")),
        other => {
            return Err(CodecError::new(format!(
                "an item's outcome is tagged {other}"
            )));
        }
    };
    *bytes = rest;
    Ok(outcome)
}
