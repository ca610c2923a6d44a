//! Items on their way into a task.

use crate::wire::{Handles, ItemStart, begin_item, first_item};

/// Encoded items, as a chunk has them: one behind the other, each with its length in front.
#[derive(Default)]
pub(super) struct Draft {
    bytes: Vec<u8>,
    len: usize,
    /// Where the last of them begins.
    last: usize,
    /// The one that is being encoded.
    begun: Option<ItemStart>,
    /// Of the last item, which is to have a task for its own then.
    pub(super) handles: Handles,
}

impl Draft {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many bytes they take in a chunk.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the encoded arguments of the next item are to be appended; [`finish`](Self::finish) or
    /// [`forget`](Self::forget) follows.
    pub(super) fn begin(&mut self) -> &mut Vec<u8> {
        self.begun = Some(begin_item(&mut self.bytes));
        &mut self.bytes
    }

    /// The next item is there.
    pub(super) fn finish(&mut self) {
        if let Some(begun) = self.begun.take() {
            self.last = begun.at();
            begun.finish(&mut self.bytes);
            self.len += 1;
        }
    }

    /// What was begun of another one is no item.
    pub(super) fn forget(&mut self) {
        if let Some(begun) = self.begun.take() {
            begun.forget(&mut self.bytes);
        }
    }

    /// The encoded arguments of the first item.
    pub(super) fn first(&self) -> &[u8] {
        first_item(&self.bytes).map_or(&[], |(item, _)| item)
    }

    /// The first items, as a chunk has them: all, or all but the last.
    pub(super) fn items(&self, count: usize) -> &[u8] {
        &self.bytes[..self.end_of(count)]
    }

    /// How many of the items fit into one frame: all of them, or all but the last, which may be a large one. One is not
    /// asked whether it fits.
    pub(super) fn fitting(&self, max_frame: u64) -> usize {
        // The number of the function, and the count.
        const REST: usize = 16;
        let longest = self.size() + REST;
        match self.len {
            count @ 2.. if longest as u64 > max_frame => count - 1,
            count => count,
        }
    }

    /// How many of so many of the items go into one task: the descriptors beside a payload are those of one item.
    pub(super) fn alike(&self, count: usize) -> usize {
        let has_other = !self.handles.is_empty() && count > 1 && count == self.len();
        count - usize::from(has_other)
    }

    /// Forgets the first items: all, or all but the last.
    pub(super) fn remove_first(&mut self, count: usize) {
        if count >= self.len {
            self.handles = Handles::default();
        }
        self.bytes.drain(..self.end_of(count));
        self.len -= count.min(self.len);
        self.last = 0;
    }

    fn end_of(&self, count: usize) -> usize {
        if count < self.len {
            self.last
        } else {
            self.bytes.len()
        }
    }
}
