//! Who gets which task: idle workers first, then prefetching, then a better place for what turned
//! out to wait behind a long one.

use super::machine::Scheduler;
use super::task::Task;
use super::{Action, PREFETCH_NS, STUCK_NS, Terms, Turn};
use crate::error::TaskId;

impl<J> Scheduler<J> {
    /// The worker for such a task: an idle one, the most recently used first (its
    /// caches are warm, and the others may sleep on), or else the one with the least to do among
    /// those that may prefetch it.
    pub(super) fn place_for(&self, terms: &Terms, now: u64) -> Option<usize> {
        if let Some(&worker) = self.idle.last() {
            return self.find(worker);
        }
        let estimate_ns = self.estimates.of(terms);
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
    pub(super) fn send(&mut self, at: usize, task: TaskId, turn: &mut Turn<'_, J>) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        let worker = &mut self.workers[at];
        let terms = entry.terms();
        let estimate_ns = self.estimates.of(&terms);
        let seq = worker.send(task, &terms, estimate_ns, turn.now);
        entry.sent = Some((worker.id, seq));
        turn.out.push(Action::Send {
            worker: worker.id,
            seq,
            task,
        });
        self.loads_ns[at] = worker.prefetch_load_ns();
        self.chunks += usize::from(terms.more_items > 0);
        let is_last = worker.budget() == Some(0) && !worker.is_replaced;
        if worker.open() > 1 {
            self.prefetched += 1;
            self.watch_stuck(turn.now);
        } else {
            self.unlist_idle(at);
            self.watch_head(at, turn.now);
        }
        if is_last {
            self.replace(at, turn);
        }
        if terms.more_items > 0 {
            self.watch_chunks(turn.now);
        }
    }

    /// Gives out what is queued as long as the first finds a place.
    pub(super) fn dispatch(&mut self, turn: &mut Turn<'_, J>) {
        while let Some(terms) = self.first_terms()
            && let Some(at) = self.place_for(&terms, turn.now)
            && let Some(task) = self.queue.pop_first()
        {
            self.send(at, task, turn);
        }
    }

    /// A worker may have room that it did not have before: what is queued comes first, then what
    /// waits behind others' heads, and in a shutdown there may be nothing left for it.
    pub(super) fn has_room(&mut self, at: usize, turn: &mut Turn<'_, J>) {
        if self.workers[at].is_leaving {
            return self.retire_leaving(at, turn);
        }
        self.weigh(at);
        let has_unstuck = self.unstick(turn);
        self.fill(at, turn);
        if has_unstuck {
            self.dispatch(turn);
            self.restaff(turn);
        }
        self.list_idle(at, turn.now);
        self.share(turn);
        self.retire_free(turn.out);
    }

    /// The same, when it is not only one that has room: the idle ones get one each first.
    pub(super) fn give_out(&mut self, turn: &mut Turn<'_, J>) {
        self.unstick(turn);
        self.dispatch(turn);
        self.restaff(turn);
        self.share(turn);
        self.retire_free(turn.out);
    }

    /// Puts a worker on the list of idle ones, if it is idle.
    pub(super) fn list_idle(&mut self, at: usize, now: u64) {
        let worker = &mut self.workers[at];
        if worker.is_idle() && !worker.is_listed_idle {
            worker.is_listed_idle = true;
            worker.idle_ns = now;
            self.idle.push(worker.id);
            self.watch_idle(now);
            self.watch_chunks(now);
        }
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
    pub(super) fn recall(&mut self, at: usize, seq: u32, turn: &mut Turn<'_, J>) -> bool {
        let worker = &mut self.workers[at];
        let sends = |action: &Action<J>| match action {
            Action::Send {
                worker: to,
                seq: of,
                ..
            } => (*to, *of) == (worker.id, seq),
            _ => false,
        };
        // What is given out in this very turn is not on its page yet.
        let is_fresh = turn.out.iter().any(sends);
        let is_won = !is_fresh && turn.pages.recall(worker.id, seq);
        if is_won {
            self.prefetched -= usize::from(worker.open() > 1);
            let chunks = worker.chunks();
            worker.recalled(seq);
            self.chunks -= chunks - worker.chunks();
            self.loads_ns[at] = worker.prefetch_load_ns();
        } else {
            worker.recall_lost(seq);
        }
        is_won
    }

    fn first_terms(&self) -> Option<Terms> {
        let first = self.queue.first()?;
        self.tasks.get(&first).map(Task::terms)
    }

    /// Sends one worker what is queued, as much as it takes.
    fn fill(&mut self, at: usize, turn: &mut Turn<'_, J>) {
        while let Some(terms) = self.first_terms()
            && self.workers[at].takes(self.estimates.of(&terms), turn.now)
            && let Some(task) = self.queue.pop_first()
        {
            self.send(at, task, turn);
        }
    }

    /// Puts back into the queue what waits behind the heads of stuck workers; says whether there
    /// was any. Called when a worker has room, since nobody else profits; looks at all workers, and
    /// therefore at most once per [`STUCK_NS`].
    fn unstick(&mut self, turn: &mut Turn<'_, J>) -> bool {
        if self.prefetched == 0 || turn.now.saturating_sub(self.unstuck_ns) < STUCK_NS {
            return false;
        }
        self.unstuck_ns = turn.now;
        let mut has_unstuck = false;
        for at in 0..self.workers.len() {
            if self.workers[at].is_stuck(turn.now) {
                has_unstuck |= self.requeue_last(at, usize::MAX, turn);
            }
        }
        has_unstuck
    }

    /// While workers are idle, and tasks wait behind others' heads, gives the idle ones half of
    /// what the worker with the most of them has, from its end.
    fn share(&mut self, turn: &mut Turn<'_, J>) {
        while self.prefetched > 0 && self.queue.is_empty() && !self.idle.is_empty() {
            let workers = self.workers.iter().enumerate();
            let counts = workers.map(|(at, worker)| (worker.recallable(), at));
            let Some((recallable @ 1.., from)) = counts.max() else {
                return;
            };
            if !self.requeue_last(from, recallable.div_ceil(2), turn) {
                // All of it has begun by now: it is not counted as recallable any more.
                continue;
            }
            let mut last = None;
            while let Some(at) = self.idle.last().and_then(|&worker| self.find(worker))
                && let Some(task) = self.queue.pop_first()
            {
                self.send(at, task, turn);
                last = Some(at);
            }
            if let Some(at) = last {
                self.fill(at, turn);
            }
            self.dispatch(turn);
            // What found no place again may be worth another worker.
            self.restaff(turn);
        }
    }

    /// Recalls up to so many of the last tasks of a worker, never its head, into the queue; says
    /// whether there was any.
    pub(super) fn requeue_last(&mut self, at: usize, count: usize, turn: &mut Turn<'_, J>) -> bool {
        let mut has_requeued = false;
        for _ in 0..count {
            let Some((seq, sent)) = self.workers[at].last_recallable() else {
                break;
            };
            if !self.recall(at, seq, turn) {
                break;
            }
            self.requeue(sent.task);
            has_requeued = true;
        }
        has_requeued
    }
}
