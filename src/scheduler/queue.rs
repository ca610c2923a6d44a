//! The tasks that wait for a worker, in the order in which they are to begin.

use std::collections::BTreeSet;

use crate::error::TaskId;

/// An ordered set: a task that comes back takes its old place, and any task can be taken out.
///
/// Ordered by the number of the task, that is by submission. A priority would become the first part
/// of the key.
#[derive(Debug, Default)]
pub(super) struct Queue {
    tasks: BTreeSet<TaskId>,
}

impl Queue {
    pub(super) fn insert(&mut self, task: TaskId) {
        self.tasks.insert(task);
    }

    pub(super) fn remove(&mut self, task: TaskId) {
        self.tasks.remove(&task);
    }

    pub(super) fn first(&self) -> Option<TaskId> {
        self.tasks.first().copied()
    }

    pub(super) fn pop_first(&mut self) -> Option<TaskId> {
        self.tasks.pop_first()
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.tasks.clear();
    }
}
