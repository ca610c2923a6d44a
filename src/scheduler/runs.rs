//! A set of tasks that takes its memory by the run: what was submitted one after the other is one.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::error::TaskId;

/// An ordered set. A million tasks in a row take as much memory as one; with gaps, a run takes a few words.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// The newest run, to which nearly everything is added.
    newest: Range<u64>,
    /// Those before it: the first of each, by the last.
    older: BTreeMap<u64, u64>,
    len: usize,
}

impl Runs {
    /// Adds one; false if it was there.
    pub(super) fn insert(&mut self, TaskId(task): TaskId) -> bool {
        let is_new = if self.newest.end == task && !self.newest.is_empty() {
            self.newest.end += 1;
            true
        } else {
            self.insert_elsewhere(task)
        };
        self.len += usize::from(is_new);
        is_new
    }

    /// Takes one out; false if it was not there.
    pub(super) fn remove(&mut self, TaskId(task): TaskId) -> bool {
        let was_there = if self.newest.contains(&task) {
            self.keep(self.newest.start..task);
            self.newest.start = task + 1;
            true
        } else {
            self.remove_older(task)
        };
        self.len -= usize::from(was_there);
        was_there
    }

    pub(super) fn first(&self) -> Option<TaskId> {
        let older = self.older.first_key_value().map(|(_, first)| *first);
        older.or_else(|| self.newest.clone().next()).map(TaskId)
    }

    pub(super) fn pop_first(&mut self) -> Option<TaskId> {
        let first = match self.older.first_entry() {
            None => self.newest.next()?,
            Some(mut run) => {
                let first = *run.get();
                if first == *run.key() {
                    run.remove();
                } else {
                    *run.get_mut() += 1;
                }
                first
            }
        };
        self.len -= 1;
        Some(TaskId(first))
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn insert_elsewhere(&mut self, task: u64) -> bool {
        if self.newest.contains(&task) {
            return false;
        }
        let is_newest = match self.newest.is_empty() {
            true => self
                .older
                .last_key_value()
                .is_none_or(|(last, _)| *last < task),
            false => self.newest.end <= task,
        };
        if is_newest {
            self.keep(self.newest.clone());
            self.newest = task..task + 1;
            return true;
        }
        if task + 1 == self.newest.start && !self.newest.is_empty() {
            // What is before it may be its neighbour, too: then they are two runs, which does no harm.
            if self.is_in_older(task) {
                return false;
            }
            self.newest.start = task;
            return true;
        }
        self.insert_older(task)
    }

    fn is_in_older(&self, task: u64) -> bool {
        let run = self.older.range(task..).next();
        run.is_some_and(|(_, first)| *first <= task)
    }

    fn insert_older(&mut self, task: u64) -> bool {
        if self.is_in_older(task) {
            return false;
        }
        let before = task.checked_sub(1);
        let first = before.and_then(|before| self.older.remove(&before));
        let first = first.unwrap_or(task);
        match self.older.range_mut(task..).next() {
            Some((_, next)) if *next == task + 1 => *next = first,
            _ => self.keep(first..task + 1),
        }
        true
    }

    fn remove_older(&mut self, task: u64) -> bool {
        let Some((&last, first)) = self.older.range_mut(task..).next() else {
            return false;
        };
        let start = *first;
        if task < start {
            return false;
        }
        if task == last {
            self.older.remove(&last);
        } else {
            *first = task + 1;
        }
        self.keep(start..task);
        true
    }

    /// Enters a run among the older ones.
    fn keep(&mut self, run: Range<u64>) {
        if !run.is_empty() {
            self.older.insert(run.end - 1, run.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_an_ordered_set(events: Vec<(u8, u8)>) {
            let mut runs = Runs::default();
            let mut model = BTreeSet::new();
            let mut next = 0;
            for (what, task) in events {
                let old = TaskId(u64::from(task) % (next + 2));
                match what % 5 {
                    0 | 1 => {
                        prop_assert_eq!(runs.insert(TaskId(next)), model.insert(TaskId(next)));
                        next += 1;
                    }
                    2 => prop_assert_eq!(runs.insert(old), model.insert(old)),
                    3 => prop_assert_eq!(runs.remove(old), model.remove(&old)),
                    _ => prop_assert_eq!(runs.pop_first(), model.pop_first()),
                }
                prop_assert_eq!(runs.len(), model.len());
                prop_assert_eq!(runs.first(), model.first().copied());
            }
            while let Some(task) = model.pop_first() {
                prop_assert_eq!(runs.pop_first(), Some(task));
            }
            prop_assert_eq!((runs.len(), runs.pop_first()), (0, None));
        }
    }

    #[test]
    fn tasks_in_a_row_are_one_run_also_when_they_come_back() {
        let mut runs = Runs::default();
        for task in 0..1000 {
            runs.insert(TaskId(task));
        }
        let begun: Vec<TaskId> = (0..64).filter_map(|_| runs.pop_first()).collect();
        assert!(runs.older.is_empty());
        for task in begun.into_iter().rev() {
            runs.insert(task);
        }
        assert!(runs.older.is_empty(), "{runs:?}");
        assert_eq!((runs.len(), runs.first()), (1000, Some(TaskId(0))));
        for task in [10, 11, 12] {
            runs.remove(TaskId(task));
        }
        for task in [10, 12, 11] {
            runs.insert(TaskId(task));
        }
        assert!(runs.older.len() <= 1, "{runs:?}");
    }
}
