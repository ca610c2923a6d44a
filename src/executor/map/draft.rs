//! Items on their way into a task.

use crate::wire::Handles;

/// How many bytes the length of an item takes, of those that are many in a frame.
const MAX_LENGTH: usize = 5;

/// Encoded items, one behind the other.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) bytes: Vec<u8>,
    /// Where each of them ends.
    pub(super) ends: Vec<usize>,
    /// Of the last item, which is to have a task for its own then.
    pub(super) handles: Handles,
}

impl Draft {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Where the last of them ends.
    pub(super) fn end(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// How many bytes they take in a chunk, at most.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + MAX_LENGTH * self.ends.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let item = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            item
        })
    }

    /// How many of the items fit into one frame: all of them, or all but the last, which may be a large one. One is not
    /// asked whether it fits.
    pub(super) fn fitting(&self, max_frame: u64) -> usize {
        // The number of the function, and the count.
        const REST: usize = 16;
        let longest = self.size() + REST;
        match self.ends.len() {
            count @ 2.. if longest as u64 > max_frame => count - 1,
            count => count,
        }
    }

    /// How many of so many of the items go into one task: the descriptors beside a payload are those of one item.
    pub(super) fn alike(&self, count: usize) -> usize {
        let has_other = !self.handles.is_empty() && count > 1 && count == self.len();
        count - usize::from(has_other)
    }

    /// Forgets the first items.
    pub(super) fn remove_first(&mut self, count: usize) {
        let Some(end) = count.checked_sub(1).and_then(|last| self.ends.get(last)) else {
            return;
        };
        let end = *end;
        if count == self.len() {
            self.handles = Handles::default();
        }
        self.bytes.drain(..end);
        self.ends.drain(..count);
        self.ends.iter_mut().for_each(|place| *place -= end);
    }
}
