//! The tasks that wait for a worker, in the order in which they are to begin.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::runs::Runs;
use crate::error::TaskId;

/// An ordered set: a task that comes back takes its old place, and any task can be taken out.
///
/// By priority, the highest first; and within one, by the number of the task, that is by submission.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Those of priority zero, which nearly all are.
    ordinary: Runs,
    others: BTreeSet<(Reverse<i32>, TaskId)>,
    /// How many of those come before the ordinary ones.
    urgent: usize,
}

impl Queue {
    pub(super) fn insert(&mut self, task: TaskId, priority: i32) {
        if priority == 0 {
            self.ordinary.insert(task);
        } else if self.others.insert((Reverse(priority), task)) {
            self.urgent += usize::from(priority > 0);
        }
    }

    pub(super) fn remove(&mut self, task: TaskId, priority: i32) -> bool {
        if priority == 0 {
            return self.ordinary.remove(task);
        }
        let was_there = self.others.remove(&(Reverse(priority), task));
        self.urgent -= usize::from(was_there && priority > 0);
        was_there
    }

    pub(super) fn first(&self) -> Option<TaskId> {
        let other = || self.others.first().map(|(_, task)| *task);
        if self.urgent > 0 {
            return other();
        }
        self.ordinary.first().or_else(other)
    }

    pub(super) fn pop_first(&mut self) -> Option<TaskId> {
        if self.urgent > 0 {
            self.urgent -= 1;
            return self.others.pop_first().map(|(_, task)| task);
        }
        let ordinary = self.ordinary.pop_first();
        ordinary.or_else(|| self.others.pop_first().map(|(_, task)| task))
    }

    pub(super) fn len(&self) -> usize {
        self.ordinary.len() + self.others.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_highest_priority_comes_first_and_then_the_oldest(
            events: Vec<(u8, i8, bool)>,
        ) {
            let mut queue = Queue::default();
            let mut model = BTreeMap::new();
            for (task, priority, comes) in events {
                let (task, priority) = (TaskId(task.into()), i32::from(priority % 3));
                if comes {
                    queue.insert(task, priority);
                    model.insert((Reverse(priority), task), ());
                } else {
                    let was_there = model.remove(&(Reverse(priority), task)).is_some();
                    prop_assert_eq!(queue.remove(task, priority), was_there);
                }
                prop_assert_eq!(queue.len(), model.len());
                let first = model.first_key_value().map(|((_, task), ())| *task);
                prop_assert_eq!(queue.first(), first);
            }
            while let Some(((_, task), ())) = model.pop_first() {
                prop_assert_eq!(queue.pop_first(), Some(task));
            }
            prop_assert!(queue.is_empty() && queue.pop_first().is_none());
        }
    }
}
