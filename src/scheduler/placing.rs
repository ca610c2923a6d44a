//! Who gets which task: idle workers first, then prefetching, then a better place for what turned
//! out to wait behind a long one.

use super::machine::Scheduler;
use super::{Action, PREFETCH_NS, Pages, STUCK_NS};
use crate::error::TaskId;

impl<J> Scheduler<J> {
    /// The worker for a task of this function: an idle one, the most recently used first (its
    /// caches are warm, and the others may sleep on), or else the one with the least to do among
    /// those that may prefetch it.
    pub(super) fn place_for(&self, function: u32, now: u64) -> Option<usize> {
        if let Some(&worker) = self.idle.last() {
            return self.find(worker);
        }
        let estimate_ns = self.estimates.get(function);
        let least_ns = self.loads_ns.iter().copied().min()?;
        if u64::from(least_ns) + estimate_ns > PREFETCH_NS {
            return None;
        }
        let at = self
            .loads_ns
            .iter()
            .position(|load_ns| *load_ns == least_ns)?;
        if self.workers[at].takes(estimate_ns, now) {
            return Some(at);
        }
        // That one is stuck.
        let workers = self.workers.iter().enumerate();
        workers
            .filter(|(_, worker)| worker.takes(estimate_ns, now))
            .min_by_key(|(_, worker)| worker.load_ns())
            .map(|(at, _)| at)
    }

    /// Sends a task to a worker that takes it.
    pub(super) fn send(&mut self, at: usize, task: TaskId, now: u64, out: &mut Vec<Action<J>>) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        let worker = &mut self.workers[at];
        let seq = worker.send(task, self.estimates.get(entry.function), now);
        entry.sent = Some((worker.id, seq));
        out.push(Action::Send {
            worker: worker.id,
            seq,
            task,
        });
        self.loads_ns[at] = worker.prefetch_load_ns();
        if worker.open() > 1 {
            self.prefetched += 1;
        } else {
            self.unlist_idle(at);
        }
    }

    /// Gives out what is queued as long as the first finds a place.
    pub(super) fn dispatch(&mut self, now: u64, out: &mut Vec<Action<J>>) {
        while let Some(function) = self.first_function()
            && let Some(at) = self.place_for(function, now)
            && let Some(task) = self.queue.pop_first()
        {
            self.send(at, task, now, out);
        }
    }

    /// A worker may have room that it did not have before: what is queued comes first, then what
    /// waits behind others' heads, and in a shutdown there may be nothing left for it.
    pub(super) fn has_room(
        &mut self,
        at: usize,
        now: u64,
        pages: &mut dyn Pages<J>,
        out: &mut Vec<Action<J>>,
    ) {
        self.weigh(at);
        let has_unstuck = self.unstick(now, pages);
        self.fill(at, now, out);
        if has_unstuck {
            self.dispatch(now, out);
        }
        let worker = &mut self.workers[at];
        if worker.is_idle() && !worker.is_listed_idle {
            worker.is_listed_idle = true;
            self.idle.push(worker.id);
        }
        self.share(now, pages, out);
        self.retire_free(out);
    }

    /// Notes what a worker's load is now.
    pub(super) fn weigh(&mut self, at: usize) {
        self.loads_ns[at] = self.workers[at].prefetch_load_ns();
    }

    pub(super) fn unlist_idle(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        if worker.is_listed_idle {
            worker.is_listed_idle = false;
            if let Some(index) = self.idle.iter().rposition(|&idle| idle == worker.id) {
                self.idle.remove(index);
            }
        }
    }

    /// Takes a task back if it has not begun.
    pub(super) fn recall(&mut self, at: usize, seq: u32, pages: &mut dyn Pages<J>) -> bool {
        let worker = &mut self.workers[at];
        let is_won = pages.recall(worker.id, seq);
        if is_won {
            self.prefetched -= usize::from(worker.open() > 1);
            worker.recalled(seq);
            self.loads_ns[at] = worker.prefetch_load_ns();
        } else {
            worker.recall_lost(seq);
        }
        is_won
    }

    fn first_function(&self) -> Option<u32> {
        let first = self.queue.first()?;
        self.tasks.get(&first).map(|entry| entry.function)
    }

    /// Sends one worker what is queued, as much as it takes.
    fn fill(&mut self, at: usize, now: u64, out: &mut Vec<Action<J>>) {
        while let Some(function) = self.first_function()
            && self.workers[at].takes(self.estimates.get(function), now)
            && let Some(task) = self.queue.pop_first()
        {
            self.send(at, task, now, out);
        }
    }

    /// Puts back into the queue what waits behind the heads of stuck workers; says whether there
    /// was any. Called when a worker has room, since nobody else profits; looks at all workers, and
    /// therefore at most once per [`STUCK_NS`].
    fn unstick(&mut self, now: u64, pages: &mut dyn Pages<J>) -> bool {
        if self.prefetched == 0 || now.saturating_sub(self.unstuck_ns) < STUCK_NS {
            return false;
        }
        self.unstuck_ns = now;
        let mut has_unstuck = false;
        for at in 0..self.workers.len() {
            if self.workers[at].is_stuck(now) {
                has_unstuck |= self.requeue_last(at, usize::MAX, pages);
            }
        }
        has_unstuck
    }

    /// While workers are idle, and tasks wait behind others' heads, gives the idle ones half of
    /// what the worker with the most of them has, from its end.
    fn share(&mut self, now: u64, pages: &mut dyn Pages<J>, out: &mut Vec<Action<J>>) {
        while self.prefetched > 0 && self.queue.is_empty() && !self.idle.is_empty() {
            let workers = self.workers.iter().enumerate();
            let counts = workers.map(|(at, worker)| (worker.recallable(), at));
            let Some((recallable @ 1.., from)) = counts.max() else {
                return;
            };
            if !self.requeue_last(from, recallable.div_ceil(2), pages) {
                // All of it has begun by now: it is not counted as recallable any more.
                continue;
            }
            let mut last = None;
            while let Some(at) = self.idle.last().and_then(|&worker| self.find(worker))
                && let Some(task) = self.queue.pop_first()
            {
                self.send(at, task, now, out);
                last = Some(at);
            }
            if let Some(at) = last {
                self.fill(at, now, out);
            }
            self.dispatch(now, out);
        }
    }

    /// Recalls up to so many of the last tasks of a worker, never its head, into the queue; says
    /// whether there was any.
    fn requeue_last(&mut self, at: usize, count: usize, pages: &mut dyn Pages<J>) -> bool {
        let mut has_requeued = false;
        for _ in 0..count {
            let Some((seq, sent)) = self.workers[at].last_recallable() else {
                break;
            };
            if !self.recall(at, seq, pages) {
                break;
            }
            if let Some(entry) = self.tasks.get_mut(&sent.task) {
                entry.sent = None;
                self.queue.insert(sent.task);
            }
            has_requeued = true;
        }
        has_requeued
    }
}
