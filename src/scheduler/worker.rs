//! What one worker was sent, and what of it is still open.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use super::estimate::UNKNOWN_NS;
use super::limits::{Awaited, Believed};
use super::steps::Ending;
use super::{PREFETCH_NS, Policy, STUCK_NS, Terms, Violation, WINDOW, WorkerId};
use crate::error::TaskId;

/// Where a worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Asked for; not ready yet.
    Starting,
    /// Takes tasks.
    Ready,
    /// Was told goodbye.
    Retiring,
    /// Is being killed.
    Killed,
}

/// A frame that the worker has not passed yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) task: TaskId,
    /// What the task added to the worker's load.
    pub(super) estimate_ns: u64,
    /// How long it, or each of its items, may run.
    pub(super) timeout_ns: Option<NonZeroU64>,
    /// It had many items when it was sent.
    pub(super) is_chunk: bool,
    /// Taken back: the worker will skip it, and until it says so the slot is in use.
    is_recalled: bool,
}

/// A worker, as the scheduler sees it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) stage: Stage,
    /// Whether it has been ready.
    pub(super) was_ready: bool,
    /// It is ready, and waits until there is a place for it.
    pub(super) is_on_hold: bool,
    /// It gets nothing more, and is retired when it has nothing left.
    pub(super) is_leaving: bool,
    /// Another one has been asked for in its place.
    pub(super) is_replaced: bool,
    /// Whether it is in the scheduler's list of idle workers.
    pub(super) is_listed_idle: bool,
    /// Its tasks were ended by a shutdown, or because the pool broke: what it says is ignored.
    pub(super) is_abandoned: bool,
    /// When it was asked for.
    pub(super) asked_ns: u64,
    /// When it became ready.
    pub(super) ready_ns: u64,
    /// When it last became idle.
    pub(super) idle_ns: u64,
    /// How many tasks it has ended.
    pub(super) finished: u32,
    /// How much memory it had after its first task.
    pub(super) first_resident_kib: Option<u64>,
    /// When its head, or the end of its head, is to be looked at next: a timer of that time is set.
    pub(super) check_ns: Option<u64>,
    /// The end of a task against its will.
    pub(super) ending: Option<Ending>,
    /// How many items of its head have been answered, by its sequence number.
    pub(super) answered: Option<(u32, u32)>,
    /// What was last believed of its head.
    pub(super) believed: Option<Believed>,
    /// What was seen to have ended, and whose result is awaited.
    pub(super) awaited: Option<Awaited>,
    /// The frames not passed yet. Their sequence numbers follow each other without a gap, so a
    /// number is an index.
    frames: VecDeque<Sent>,
    /// The sequence number of the first of `frames` (of the next frame, if there is none).
    first_seq: u32,
    /// How many of `frames` are not recalled.
    open: usize,
    /// How many of those are chunks.
    chunks: usize,
    /// The sum of the estimates of those that are open.
    load_ns: u64,
    /// When it last finished a task, or was sent one while it had none.
    progress_ns: u64,
    /// A recall of the frame before this number was lost: everything before it has begun.
    begun_before: Option<u32>,
    /// How many more tasks it may be sent, if that is limited.
    budget: Option<u32>,
    /// Whether it may be sent a task while it has one.
    prefetches: bool,
}

impl Worker {
    pub(super) fn new(id: WorkerId, first_seq: u32, policy: &Policy, now: u64) -> Self {
        Self {
            id,
            stage: Stage::Starting,
            was_ready: false,
            is_on_hold: false,
            is_leaving: false,
            is_replaced: false,
            is_listed_idle: false,
            is_abandoned: false,
            asked_ns: now,
            ready_ns: 0,
            idle_ns: 0,
            finished: 0,
            first_resident_kib: None,
            check_ns: None,
            ending: None,
            answered: None,
            believed: None,
            awaited: None,
            frames: VecDeque::with_capacity(WINDOW as usize),
            first_seq,
            open: 0,
            chunks: 0,
            load_ns: 0,
            progress_ns: 0,
            begun_before: None,
            budget: policy.recycling.max_tasks,
            prefetches: policy.prefetch,
        }
    }

    /// Whether it counts among the workers that there ought to be.
    pub(super) fn is_staff(&self) -> bool {
        self.stage != Stage::Retiring && !self.is_leaving && !self.is_replaced
    }

    /// Whether it goes on until its successor is needed.
    pub(super) fn is_outgoing(&self) -> bool {
        self.is_replaced && !self.is_leaving && self.stage == Stage::Ready
    }

    /// Whether it may be running a task, or may be given one.
    pub(super) fn is_active(&self) -> bool {
        self.was_ready
            && !self.is_on_hold
            && match self.stage {
                Stage::Starting | Stage::Retiring => false,
                Stage::Ready => true,
                Stage::Killed => self.open > 0,
            }
    }

    /// Whether it takes tasks at all.
    fn serves(&self) -> bool {
        self.stage == Stage::Ready && !self.is_on_hold && !self.is_leaving && !self.is_condemned()
    }

    /// Whether it will begin nothing after its head.
    pub(super) fn is_condemned(&self) -> bool {
        self.ending.as_ref().is_some_and(Ending::is_condemned)
    }

    /// How many more tasks it may be sent, if that is limited.
    pub(super) fn budget(&self) -> Option<u32> {
        self.budget
    }

    /// How many tasks it has.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// How many of them are chunks.
    pub(super) fn chunks(&self) -> usize {
        self.chunks
    }

    /// The estimated time of all tasks it has.
    pub(super) fn load_ns(&self) -> u64 {
        self.load_ns
    }

    /// The same, and `u32::MAX` for a worker to which nothing could be prefetched.
    pub(super) fn prefetch_load_ns(&self) -> u32 {
        let takes_more = self.serves() && self.has_room() && self.load_ns <= PREFETCH_NS;
        if takes_more {
            u32::try_from(self.load_ns).unwrap_or(u32::MAX)
        } else {
            u32::MAX
        }
    }

    /// Whether it could begin a task this moment.
    pub(super) fn is_idle(&self) -> bool {
        self.serves() && self.open == 0 && self.has_room()
    }

    /// Whether it has been on its head for too long.
    pub(super) fn is_stuck(&self, now: u64) -> bool {
        self.open > 0 && now.saturating_sub(self.progress_ns) > STUCK_NS
    }

    /// When it will have been.
    pub(super) fn is_stuck_from_ns(&self) -> u64 {
        self.progress_ns.saturating_add(STUCK_NS + 1)
    }

    /// Whether it may be sent a task of this estimate: it is idle, or the task may be prefetched.
    pub(super) fn takes(&self, estimate_ns: u64, now: u64) -> bool {
        let is_short = self.load_ns + estimate_ns <= PREFETCH_NS;
        self.serves() && self.has_room() && (self.open == 0 || (is_short && !self.is_stuck(now)))
    }

    /// Takes a task on; returns its sequence number.
    pub(super) fn send(&mut self, task: TaskId, terms: &Terms, estimate_ns: u64, now: u64) -> u32 {
        debug_assert!(self.has_room(), "a slot in use is never sent again");
        let estimate_ns = estimate_ns.min(UNKNOWN_NS);
        let seq = self.next_seq();
        if self.open == 0 {
            self.progress_ns = now;
        }
        self.frames.push_back(Sent {
            task,
            estimate_ns,
            timeout_ns: terms.timeout_ns,
            is_chunk: terms.more_items > 0,
            is_recalled: false,
        });
        self.budget = self.budget.map(|left| left.saturating_sub(1));
        self.open += 1;
        self.chunks += usize::from(terms.more_items > 0);
        self.load_ns += estimate_ns;
        seq
    }

    /// Its oldest task.
    pub(super) fn head(&self) -> Option<(TaskId, u32)> {
        self.head_frame().map(|(seq, sent)| (sent.task, seq))
    }

    /// The same, with what is known of it.
    pub(super) fn head_frame(&self) -> Option<(u32, Sent)> {
        self.open_frames().next()
    }

    /// Its tasks, oldest first.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "there are at most `WINDOW` frames"
    )]
    pub(super) fn open_frames(&self) -> impl DoubleEndedIterator<Item = (u32, Sent)> + '_ {
        let frames = self.frames.iter().enumerate();
        frames
            .filter(|(_, sent)| !sent.is_recalled)
            .map(|(index, sent)| (self.first_seq.wrapping_add(index as u32), *sent))
    }

    /// The head has ended: everything up to it is passed.
    pub(super) fn finish(&mut self, seq: u32, now: u64) -> Result<TaskId, Violation> {
        match self.head() {
            Some((task, head)) if head == seq => {
                self.progress_ns = now;
                self.finished = self.finished.saturating_add(1);
                let index = seq.wrapping_sub(self.first_seq) as usize;
                self.drop_open(self.frames[index]);
                self.drop_frames(index + 1);
                Ok(task)
            }
            _ => Err(Violation::NotTheHead { seq }),
        }
    }

    /// Recalled frames up to this one were skipped.
    pub(super) fn pass(&mut self, seq: u32) -> Result<(), Violation> {
        let index = seq.wrapping_sub(self.first_seq) as usize;
        let skipped = index + 1;
        if index >= self.frames.len() || self.frames.range(..skipped).any(|sent| !sent.is_recalled)
        {
            return Err(Violation::NotRecalled { seq });
        }
        self.drop_frames(skipped);
        Ok(())
    }

    /// How many tasks may be recalled: not the head, and none that is known to have begun.
    pub(super) fn recallable(&self) -> usize {
        if self.open <= 1 {
            return 0;
        }
        match self.begun_before {
            None => self.open - 1,
            Some(_) => self
                .open_frames()
                .skip(1)
                .filter(|(seq, _)| !self.is_begun(*seq))
                .count(),
        }
    }

    /// The youngest of the tasks counted by `recallable`.
    pub(super) fn last_recallable(&self) -> Option<(u32, Sent)> {
        if self.open <= 1 {
            return None;
        }
        self.open_frames()
            .next_back()
            .filter(|(seq, _)| !self.is_begun(*seq))
    }

    /// The recall of this task was won.
    pub(super) fn recalled(&mut self, seq: u32) {
        let index = seq.wrapping_sub(self.first_seq) as usize;
        if let Some(sent) = self.frames.get_mut(index)
            && !sent.is_recalled
        {
            sent.is_recalled = true;
            let sent = *sent;
            // What has not begun does not count.
            self.budget = self.budget.map(|left| left.saturating_add(1));
            self.drop_open(sent);
        }
    }

    /// Items have been taken from this task, which is so much shorter by that.
    pub(super) fn shorten(&mut self, seq: u32, estimate_ns: u64) {
        let index = seq.wrapping_sub(self.first_seq) as usize;
        if let Some(sent) = self.frames.get_mut(index) {
            let estimate_ns = estimate_ns.min(sent.estimate_ns);
            self.load_ns -= sent.estimate_ns - estimate_ns;
            sent.estimate_ns = estimate_ns;
        }
    }

    /// The recall of this task was lost: it has begun, and so has everything before it.
    pub(super) fn recall_lost(&mut self, seq: u32) {
        if !self.is_begun(seq) {
            self.begun_before = Some(seq.wrapping_add(1));
        }
    }

    /// Forgets all tasks.
    pub(super) fn clear(&mut self) {
        self.drop_frames(self.frames.len());
        self.open = 0;
        self.chunks = 0;
        self.load_ns = 0;
    }

    fn has_room(&self) -> bool {
        self.frames.len() < WINDOW as usize
            && self.budget != Some(0)
            && (self.prefetches || self.open == 0)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "there are at most `WINDOW` frames"
    )]
    fn next_seq(&self) -> u32 {
        self.first_seq.wrapping_add(self.frames.len() as u32)
    }

    fn is_begun(&self, seq: u32) -> bool {
        self.begun_before.is_some_and(|before| {
            seq.wrapping_sub(self.first_seq) < before.wrapping_sub(self.first_seq)
        })
    }

    fn drop_open(&mut self, sent: Sent) {
        self.open -= 1;
        self.chunks -= usize::from(sent.is_chunk);
        self.load_ns -= sent.estimate_ns;
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "there are at most `WINDOW` frames"
    )]
    fn drop_frames(&mut self, count: usize) {
        self.frames.drain(..count);
        self.first_seq = self.first_seq.wrapping_add(count as u32);
        // Numbers are compared by their distance from `first_seq`, which must stay small.
        let is_past = |before: u32| before.wrapping_sub(self.first_seq).wrapping_sub(1) >= WINDOW;
        if self.begun_before.is_some_and(is_past) {
            self.begun_before = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_wrap() {
        let first = u32::MAX - 1;
        let mut worker = Worker::new(WorkerId(0), first, &Policy::of(1), 0);
        let terms = Terms::default();
        let send = |task| worker.send(TaskId(task), &terms, 1, 0);
        let seqs: Vec<_> = (0..6).map(send).collect();
        assert_eq!(seqs, [first, u32::MAX, 0, 1, 2, 3]);
        assert_eq!(worker.recallable(), 5);
        worker.recall_lost(0);
        worker.recall_lost(first);
        assert_eq!(
            worker.recallable(),
            3,
            "what was known to have begun is not forgotten"
        );
        assert_eq!(worker.finish(first, 0), Ok(TaskId(0)));
        assert_eq!(worker.finish(0, 0), Err(Violation::NotTheHead { seq: 0 }));
        assert_eq!(worker.finish(u32::MAX, 0), Ok(TaskId(1)));
        worker.recalled(1);
        worker.recalled(1);
        assert_eq!(
            (worker.open(), worker.load_ns(), worker.recallable()),
            (3, 3, 2)
        );
        assert_eq!(worker.finish(0, 0), Ok(TaskId(2)));
        assert_eq!(
            (worker.head(), worker.recallable()),
            (Some((TaskId(4), 2)), 1)
        );
        assert_eq!(worker.pass(2), Err(Violation::NotRecalled { seq: 2 }));
        assert_eq!(worker.pass(1), Ok(()));
        assert_eq!(worker.last_recallable().map(|(seq, _)| seq), Some(3));
    }
}
