//! The items of a chunk: who has been answered, who is to be tried again, who has not begun.

use crate::executor::core::Work;
use crate::future::{Outcome, RawFuture};
use crate::registry::Function;
use crate::wire::ChunkReader;

use super::Endings;

/// The items that a chunk's payload has, in its order.
#[derive(Debug)]
pub(super) struct Chunk {
    items: Vec<Item>,
    /// How many have ended, from the first on: were answered, or set aside.
    ended: usize,
}

#[derive(Debug)]
struct Item {
    /// `None` when it has been answered.
    future: Option<RawFuture>,
    /// How often it has begun.
    tried: u32,
}

impl Chunk {
    pub(super) fn new(futures: Vec<RawFuture>) -> Self {
        let item = |future| Item {
            future: Some(future),
            tried: 0,
        };
        Self {
            items: futures.into_iter().map(item).collect(),
            ended: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Says what is wrong with a part about so many items from this one on, in words that follow "because it
    /// sent".
    pub(super) fn check_part(&self, first: usize, count: usize, last: bool) -> Result<(), String> {
        let end = self.ended + count;
        if first != self.ended && count > 0 {
            let next = self.ended;
            return Err(format!("item {first} of a chunk when item {next} was next"));
        }
        if end > self.items.len() || (last && end < self.items.len()) {
            return Err(format!("{end} items of a chunk of {}", self.items.len()));
        }
        Ok(())
    }

    /// The next item has begun; says how often it has by now.
    pub(super) fn note_tried(&mut self) -> u32 {
        self.items.get_mut(self.ended).map_or(0, |item| {
            item.tried = item.tried.saturating_add(1);
            item.tried
        })
    }

    /// The next item ends like this.
    pub(super) fn end_next(&mut self, outcome: Outcome, endings: &mut Endings) {
        if let Some(item) = self.items.get_mut(self.ended) {
            endings.extend(item.future.take().map(|future| (future, outcome)));
            self.ended += 1;
        }
    }

    /// The next item is to be tried again, when the others have ended.
    pub(super) fn set_next_aside(&mut self) {
        self.ended += 1;
    }

    /// How many items have ended, which is the number of the next one.
    pub(super) fn ended(&self) -> usize {
        self.ended
    }

    /// How many items have begun, or may have, and have not ended, in a worker that was at this item. At the one before the next
    /// it is between two: what it had begun has been answered.
    pub(super) fn begun_before(&self, item: usize) -> usize {
        let next = item.saturating_add(1);
        if next < self.ended || next > self.items.len() {
            // That cannot be.
            return self.items.len() - self.ended;
        }
        next - self.ended
    }

    /// Makes a chunk of what is left: those that never began, then those that were set aside. Returns its payload, and how
    /// often all of its items have been tried at least; `None` if nothing is left.
    pub(super) fn next_round(
        &mut self,
        function: &'static Function,
        payload: &[u8],
    ) -> Option<(Vec<u8>, u32)> {
        // The payload was written by `Work::chunk`.
        let arguments: Vec<&[u8]> = ChunkReader::new(payload).into_iter().flatten().collect();
        debug_assert_eq!(
            arguments.len(),
            self.items.len(),
            "a chunk of ours can be read"
        );
        let aside = std::mem::take(&mut self.items);
        let (mut left, mut left_arguments) = (Vec::new(), Vec::new());
        let (mut again, mut again_arguments) = (Vec::new(), Vec::new());
        for (index, item) in aside.into_iter().enumerate() {
            if item.future.is_none() {
                continue;
            }
            let arguments = arguments.get(index).copied().unwrap_or_default();
            if index < self.ended {
                again.push(item);
                again_arguments.push(arguments);
            } else {
                left.push(item);
                left_arguments.push(arguments);
            }
        }
        left.append(&mut again);
        left_arguments.append(&mut again_arguments);
        let tried = left.iter().map(|item| item.tried).min()?;
        let payload = Work::chunk(function, left_arguments).payload;
        self.items = left;
        self.ended = 0;
        Some((payload, tried))
    }

    /// Those that have not been answered, and how often each has begun.
    pub(super) fn into_left(self) -> impl Iterator<Item = (RawFuture, u32)> {
        let items = self.items.into_iter();
        items.filter_map(|item| Some((item.future?, item.tried)))
    }
}
