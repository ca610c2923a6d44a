//! Chunks that take long are divided, when somebody is idle: what has not begun of them goes on elsewhere.
//!
//! Who has an item that has not begun is decided on the status page ([`Pages::divide`](super::Pages::divide)), by one
//! compare-and-swap. What is taken is a task of its own from then on, with a number of its own, and is sent like any other.
//!
//! # When
//!
//! A chunk is left alone until its worker has been on it for [`STUCK_NS`]: what is over sooner would gain nothing. After
//! that it is divided as soon as a worker is idle, or could be started. If the item that runs has itself taken so long, all
//! items behind it are taken, since nobody knows for how much longer it will; otherwise the worker keeps its share.
//!
//! That an item takes long is told by nobody. So while a worker is idle and chunks run it is looked at the pages, by a timer: when the first
//! of the chunks will have been running for long enough; and if there is nothing to be taken then though items wait, later and later. While all
//! workers are busy, and while only single tasks run, no such timer is set.

use std::collections::HashMap;

use super::machine::Scheduler;
use super::task::Task;
use super::timers::Timer;
use super::worker::{Sent, Stage, Worker};
use super::{End, LONGEST_LOOK_NS, STUCK_NS, State, Terms, Turn};
use crate::error::TaskId;
use crate::page::Progress;

/// How a begun chunk is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Division {
    /// How many chunks are made of what is taken, at most.
    pub(crate) pieces: u32,
    /// Whether its worker keeps as much as goes into each of them; or else only what it has begun.
    pub(crate) keeps_share: bool,
}

/// What became of a chunk.
#[derive(Debug)]
pub(crate) struct Divided<J> {
    /// How many items it has now, with those that have ended.
    pub(crate) left: u32,
    /// The others, and how many items each of them has: one or more.
    pub(crate) pieces: Vec<(J, u32)>,
}

/// What is remembered of chunks that have been divided, and of looking for them.
#[derive(Debug, Default)]
pub(super) struct Dividing {
    /// The pending parts of each chunk that was submitted, beside that itself, which may have ended.
    parts: HashMap<TaskId, Vec<TaskId>>,
    /// When it is looked next: a timer is set for it.
    pub(super) looks_at_ns: Option<u64>,
    /// How long it is waited before the next look if this one is in vain.
    pause_ns: u64,
}

impl Division {
    /// How many of so many items that wait stay with the worker.
    pub(crate) fn kept(self, waiting: u32) -> u32 {
        match self.keeps_share {
            true => waiting / self.pieces.saturating_add(1),
            false => 0,
        }
    }
}

impl Dividing {
    /// A part has ended.
    pub(super) fn forget(&mut self, chunk: TaskId, part: TaskId) {
        if let Some(parts) = self.parts.get_mut(&chunk) {
            parts.retain(|other| *other != part);
            if parts.is_empty() {
                self.parts.remove(&chunk);
            }
        }
    }

    /// Every task has ended, and no timer is set.
    pub(super) fn clear(&mut self) {
        debug_assert!(self.parts.is_empty(), "parts end like any task");
        self.looks_at_ns = None;
    }

    /// Whether nothing is remembered of chunks.
    #[cfg(any(test, fuzzing))]
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl<J> Scheduler<J> {
    /// The pending parts of a chunk that was submitted under this number, without what is left of that itself; the oldest first.
    pub(crate) fn parts_of(&self, chunk: TaskId) -> Vec<TaskId> {
        self.dividing.parts.get(&chunk).cloned().unwrap_or_default()
    }

    /// While somebody has nothing to do, has those chunks divided that take long. Not within an event that takes something
    /// back: its caller may be about to take back more.
    pub(super) fn divide(&mut self, turn: &mut Turn<'_, J>) {
        for at in 0..self.workers.len() {
            let pieces = self.takers();
            // Nobody is idle while anything is queued, and whoever is started takes that first.
            if self.chunks == 0 || pieces == 0 || !self.queue.is_empty() {
                break;
            }
            self.divide_head(at, pieces, turn);
        }
    }

    /// It is time to look for chunks that take long.
    pub(super) fn look_at_chunks(&mut self, turn: &mut Turn<'_, J>) {
        self.dividing.looks_at_ns = None;
        self.divide(turn);
        if self.takers() == 0 {
            return;
        }
        let again_ns = turn.now.saturating_add(self.dividing.pause_ns);
        let mut is_in_vain = false;
        let mut next_ns = None;
        for at in 0..self.workers.len() {
            if !self.has_items_waiting(at, turn) {
                continue;
            }
            let stuck_ns = self.workers[at].is_stuck_from_ns();
            let is_late = stuck_ns <= turn.now;
            is_in_vain |= is_late;
            let look_ns = if is_late { again_ns } else { stuck_ns };
            next_ns = Some(next_ns.map_or(look_ns, |next_ns: u64| next_ns.min(look_ns)));
        }
        if is_in_vain {
            self.dividing.pause_ns = (2 * self.dividing.pause_ns).min(LONGEST_LOOK_NS);
        }
        if let Some(next_ns) = next_ns {
            self.look_at(next_ns);
        }
    }

    /// While somebody has nothing to do, and chunks run, it is looked for those that take long. Called when either begins.
    pub(super) fn watch_chunks(&mut self, now: u64) {
        if self.chunks == 0 || self.takers() == 0 {
            return;
        }
        // What has just begun has not taken long before; what has taken long already has been looked at, unless this very event
        // takes something back.
        let latest_ns = now.saturating_add(STUCK_NS + 1);
        if self
            .dividing
            .looks_at_ns
            .is_some_and(|look_ns| look_ns <= latest_ns)
        {
            return;
        }
        let heads = self.workers.iter().filter(|worker| worker.chunks() > 0);
        let stuck_ns = heads.map(Worker::is_stuck_from_ns);
        let first_ns = stuck_ns.filter(|stuck_ns| *stuck_ns > now).min();
        self.dividing.pause_ns = STUCK_NS;
        self.look_at(first_ns.map_or(latest_ns, |first_ns| first_ns.min(latest_ns)));
    }

    /// It is looked then, unless that is to be sooner.
    fn look_at(&mut self, at_ns: u64) {
        if let Some(before_ns) = self.dividing.looks_at_ns {
            if before_ns <= at_ns {
                return;
            }
            self.timers.unset(before_ns, Timer::Divide);
        }
        self.dividing.looks_at_ns = Some(at_ns);
        self.timers.set(at_ns, Timer::Divide);
    }

    /// How many workers have nothing to do; or one, if none has, but one could be started.
    fn takers(&self) -> u32 {
        let can_grow = self.state() == State::Open && self.staff < self.policy.max_workers;
        let idle = u32::try_from(self.idle.len()).unwrap_or(u32::MAX);
        idle.max(can_grow.into())
    }

    /// Whether a worker is on a chunk, or about to be, of which something may be to be taken.
    fn has_items_waiting(&self, at: usize, turn: &mut Turn<'_, J>) -> bool {
        let Some((seq, items)) = self.chunk_at_head(at) else {
            return false;
        };
        // It is looked at again when it has taken long: it is not on its page yet if it is given out in this very turn.
        if !self.workers[at].is_stuck(turn.now) {
            return true;
        }
        match turn.pages.progress(self.workers[at].id, seq) {
            Progress::Waiting => true,
            Progress::Running { item, .. } => item.saturating_add(1) < items,
            _ => false,
        }
    }

    /// The number of a worker's head, and how many items it has, if it is a chunk from which something may be taken.
    fn chunk_at_head(&self, at: usize) -> Option<(u32, u32)> {
        let worker = &self.workers[at];
        // Of one that is ended as a whole nothing goes on.
        let is_ending = worker.ending.is_some_and(|ending| ending.item.is_none());
        if worker.chunks() == 0 || worker.stage == Stage::Killed || is_ending {
            return None;
        }
        let (seq, head) = worker.head_frame().filter(|(_, head)| head.is_chunk)?;
        let items = self.tasks.get(&head.task)?.terms().more_items + 1;
        Some((seq, items))
    }

    /// Has a worker's head divided among so many and itself, if it is a chunk that takes long.
    fn divide_head(&mut self, at: usize, pieces: u32, turn: &mut Turn<'_, J>) {
        let worker = &self.workers[at];
        let takes_long = worker.is_stuck(turn.now);
        let Some((seq, _)) = self.chunk_at_head(at).filter(|_| takes_long) else {
            return;
        };
        let Progress::Running { started_ns, .. } = turn.pages.progress(worker.id, seq) else {
            return;
        };
        let division = Division {
            pieces,
            keeps_share: turn.now.saturating_sub(started_ns) <= STUCK_NS,
        };
        let parts = self.take_rest(at, seq, division, turn);
        if !parts.is_empty() {
            for (task, terms) in parts {
                self.queue.insert(task, terms.priority);
            }
            self.dispatch(turn);
            self.restaff(turn);
        }
    }

    /// Cancels what of a begun chunk has not begun.
    pub(super) fn end_rest(&mut self, at: usize, seq: u32, turn: &mut Turn<'_, J>) {
        let all = Division {
            pieces: 1,
            keeps_share: false,
        };
        for (task, _) in self.take_rest(at, seq, all, turn) {
            self.complete(task, End::Cancelled, turn.out);
        }
    }

    /// Takes items from a begun chunk. What they are now is neither queued nor sent.
    fn take_rest(
        &mut self,
        at: usize,
        seq: u32,
        division: Division,
        turn: &mut Turn<'_, J>,
    ) -> Vec<(TaskId, Terms)> {
        let worker = &mut self.workers[at];
        // It may have begun before the result of the one ahead of it has come.
        let is_it = |(of, sent): &(u32, Sent)| *of == seq && sent.is_chunk;
        let Some((_, Sent { task, .. })) = worker.open_frames().find(is_it) else {
            return Vec::new();
        };
        let Some(entry) = self.tasks.get_mut(&task) else {
            return Vec::new();
        };
        let Some(divided) = turn.pages.divide(worker.id, seq, &mut entry.job, division) else {
            return Vec::new();
        };
        let terms = entry.terms();
        entry.set_items(divided.left);
        let chunk = entry.part_of().unwrap_or(task);
        worker.shorten(seq, self.estimates.of(&entry.terms()));
        self.weigh(at);
        let pieces = divided.pieces.into_iter();
        pieces
            .map(|(job, items)| self.add_part(chunk, &terms, job, items))
            .collect()
    }

    fn add_part(&mut self, chunk: TaskId, terms: &Terms, job: J, items: u32) -> (TaskId, Terms) {
        let task = TaskId(self.next_task);
        self.next_task += 1;
        let terms = Terms {
            more_items: items.saturating_sub(1),
            ..*terms
        };
        let mut entry = Task::new(&terms, job);
        entry.make_part_of(chunk);
        self.tasks.insert(task, entry);
        self.dividing.parts.entry(chunk).or_default().push(task);
        if let Some(deadline_ns) = terms.deadline_ns {
            self.timers.set(deadline_ns.get(), Timer::Deadline(task));
        }
        (task, terms)
    }
}
