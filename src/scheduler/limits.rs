//! Time that passes, and the end of a task that runs: because its time is up, or because its caller
//! wants it.
//!
//! The steps of the end are in `steps.rs`.
//!
//! # When a limit is looked at
//!
//! That a task has begun is known to the page alone, and nobody is told. So a worker's head is looked at when it
//! could have run for long enough at the earliest, and if it has not, again when it really will have. Limits
//! cost nothing but these looks.
//!
//! What the page says is the worker's word. A start time cannot lie in the future, nor become a later one; an
//! item number cannot fall, and an item cannot have started while an earlier one ran. A worker that says that it has ended has a
//! second until its result comes, and another one as long as it is coming. Likewise one that has not begun what it has, though
//! nothing is ahead of it: then it is held to be stopped, and others get that.

use super::machine::{Scheduler, TakenBack};
use super::steps::Ending;
use super::timers::Timer;
use super::{Cause, End, RESULT_GRACE_NS, Turn, WorkerId};
use crate::error::TaskId;
use crate::page::Progress;

/// What the page has said of a worker's head, as far as it can be true.
#[derive(Clone, Copy, Debug)]
pub(super) struct Believed {
    seq: u32,
    item: u32,
    started_ns: u64,
    /// When it said so.
    seen_ns: u64,
}

/// What a worker owes that may have been stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    seq: u32,
    owed: Owed,
    /// Until when it may take.
    until_ns: u64,
}

#[derive(Clone, Copy, Debug)]
enum Owed {
    /// That it begins the task.
    Begin,
    /// The task's result; the cause is that for which it would be ended if it had not ended by itself.
    Result(Cause),
}

impl Awaited {
    /// Whether it is a result.
    #[cfg(any(test, fuzzing))]
    pub(super) fn is_result(&self) -> bool {
        self.owed.is_result()
    }
}

impl Owed {
    fn is_result(self) -> bool {
        matches!(self, Self::Result(_))
    }
}

impl<J> Scheduler<J> {
    /// When [`Scheduler::tick`] has something to do at the earliest.
    pub(crate) fn next_tick_ns(&self) -> Option<u64> {
        self.timers.next_ns()
    }

    /// Time has passed. Does the first thing that is due; as long as [`Scheduler::next_tick_ns`] has come, another event is due.
    ///
    /// One at a time, because what is given out for one reason is not on its page yet, and cannot be taken back for another.
    pub(crate) fn tick(&mut self, turn: &mut Turn<'_, J>) {
        if let Some(timer) = self.timers.pop_due(turn.now) {
            match timer {
                Timer::Deadline(task) => self.deadline_passed(task, turn),
                Timer::Again(task) => {
                    if self.pausing.remove(&task).is_some() {
                        self.requeue(task);
                        self.dispatch(turn);
                        self.restaff(turn);
                        self.retire_free(turn.out);
                    }
                }
                Timer::Head(worker) => {
                    if let Some(at) = self.find(worker) {
                        self.workers[at].check_ns = None;
                        self.look_at_head(at, turn);
                    }
                }
                Timer::Stuck => self.grow_for_stuck(turn),
                Timer::Divide => self.look_at_chunks(turn),
                Timer::Idle => self.retire_idle(turn),
                Timer::Start => {
                    self.supervision.pause_is_over();
                    self.restaff(turn);
                }
            }
        }
    }

    /// A worker has another head: it is looked at when its time may be up.
    pub(super) fn watch_head(&mut self, at: usize, now: u64) {
        let worker = &self.workers[at];
        if worker.ending.is_none()
            && let Some((_, head)) = worker.head_frame()
            && let Some(timeout_ns) = head.timeout_ns
        {
            let due_ns = now.saturating_add(timeout_ns.get());
            // An earlier look will find out when the next one is due.
            if worker.check_ns.is_none_or(|check_ns| check_ns > due_ns) {
                self.check_head_at(at, due_ns);
            }
        }
    }

    /// A worker's head has ended by itself.
    pub(super) fn head_ended(&mut self, at: usize, seq: u32, turn: &mut Turn<'_, J>) {
        let worker = &mut self.workers[at];
        worker.answered = None;
        worker.believed = None;
        if worker.awaited.is_some_and(|awaited| awaited.seq == seq) {
            worker.awaited = None;
        }
        match &worker.ending {
            // Nothing else will come from it.
            Some(ending) if ending.seq == seq && ending.is_condemned() => {
                let worker = worker.id;
                self.kill_worker(worker, turn.out);
            }
            Some(ending) if ending.seq == seq => {
                worker.ending = None;
                self.watch_head(at, turn.now);
            }
            _ => self.watch_head(at, turn.now),
        }
    }

    /// A worker's head goes on, with this item: those before it have ended.
    pub(crate) fn went_on(
        &mut self,
        worker: WorkerId,
        seq: u32,
        item: u32,
        turn: &mut Turn<'_, J>,
    ) {
        let Some(at) = self.find(worker) else { return };
        self.workers[at].answered = Some((seq, item));
        let ending = &mut self.workers[at].ending;
        let has_ended = |ending: &mut Ending| {
            let is_before = ending.item.is_some_and(|of| of < item);
            ending.seq == seq && is_before && !ending.is_condemned()
        };
        if ending.take_if(has_ended).is_some() {
            // Whose time runs from when it began.
            self.look_at_head(at, turn);
        }
    }

    /// Forgets that a worker's head is to be looked at.
    pub(super) fn unwatch_head(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        if let Some(check_ns) = worker.check_ns.take() {
            self.timers.unset(check_ns, Timer::Head(worker.id));
        }
    }

    pub(super) fn check_head_at(&mut self, at: usize, at_ns: u64) {
        self.unwatch_head(at);
        let worker = &mut self.workers[at];
        worker.check_ns = Some(at_ns);
        self.timers.set(at_ns, Timer::Head(worker.id));
    }

    fn deadline_passed(&mut self, task: TaskId, turn: &mut Turn<'_, J>) {
        if let TakenBack::Begun { at, seq } = self.end_unbegun(task, End::Overdue, turn) {
            self.begin_ending(at, seq, None, Cause::Deadline, turn);
        }
    }

    /// Either a step of an end is due, or the head's time may be up.
    fn look_at_head(&mut self, at: usize, turn: &mut Turn<'_, J>) {
        let worker = &self.workers[at];
        if worker.is_abandoned {
            return;
        }
        match &worker.ending {
            Some(ending) if ending.is_condemned() => {
                let worker = worker.id;
                return self.kill_worker(worker, turn.out);
            }
            Some(_) => {
                self.condemn(at, turn);
                return;
            }
            None => {}
        }
        if let Some(Awaited {
            seq,
            owed: Owed::Result(cause),
            ..
        }) = worker.awaited
        {
            return self.await_result(at, seq, cause, turn);
        }
        let Some((seq, head)) = worker.head_frame() else {
            return;
        };
        let Some(timeout_ns) = head.timeout_ns else {
            return;
        };
        let timeout_ns = timeout_ns.get();
        match turn.pages.progress(worker.id, seq) {
            Progress::Waiting => match self.may_take_until(at, seq, Owed::Begin, turn) {
                None => self.give_up_on(at, turn),
                Some(until_ns) => {
                    // It may begin right now.
                    let due_ns = turn.now.saturating_add(timeout_ns);
                    self.check_head_at(at, due_ns.min(until_ns));
                }
            },
            // Between two items: what it has sent of the one has come before it says that it has begun the next.
            Progress::Running { item, .. }
                if self.workers[at]
                    .answered
                    .is_some_and(|(of, next)| of == seq && item < next) =>
            {
                match self.may_take_until(at, seq, Owed::Begin, turn) {
                    None => {
                        self.end_at_once(at, seq, Cause::Timeout, turn);
                    }
                    Some(until_ns) => {
                        let due_ns = turn.now.saturating_add(timeout_ns);
                        self.check_head_at(at, due_ns.min(until_ns));
                    }
                }
            }
            Progress::Running { item, started_ns } => {
                let (item, started_ns) = self.believe(at, seq, item, started_ns, turn.now);
                let due_ns = started_ns.saturating_add(timeout_ns);
                if due_ns > turn.now {
                    self.check_head_at(at, due_ns);
                } else {
                    self.begin_ending(at, seq, Some(item), Cause::Timeout, turn);
                }
            }
            Progress::Ended => self.await_result(at, seq, Cause::Timeout, turn),
            Progress::Condemned { .. } | Progress::Garbage => {
                self.end_at_once(at, seq, Cause::Timeout, turn);
            }
        }
    }

    /// The page says that the task has ended: its result is to come in time, or to go on coming.
    pub(super) fn await_result(
        &mut self,
        at: usize,
        seq: u32,
        cause: Cause,
        turn: &mut Turn<'_, J>,
    ) {
        match self.may_take_until(at, seq, Owed::Result(cause), turn) {
            None => self.end_at_once(at, seq, cause, turn),
            Some(until_ns) => self.check_head_at(at, until_ns),
        }
    }

    /// Until when a worker may take for what it owes; `None` when that time has passed, and nothing has moved meanwhile.
    fn may_take_until(
        &mut self,
        at: usize,
        seq: u32,
        owed: Owed,
        turn: &mut Turn<'_, J>,
    ) -> Option<u64> {
        let worker = &mut self.workers[at];
        let is_same =
            |before: &Awaited| before.seq == seq && before.owed.is_result() == owed.is_result();
        let until_ns = match worker.awaited.filter(is_same) {
            Some(before) if before.until_ns > turn.now => before.until_ns,
            before => {
                let has_moved = turn.pages.has_moved(worker.id);
                if before.is_some() && !has_moved {
                    return None;
                }
                // What has moved before it was awaited does not count.
                turn.now.saturating_add(RESULT_GRACE_NS)
            }
        };
        worker.awaited = Some(Awaited {
            seq,
            owed,
            until_ns,
        });
        Some(until_ns)
    }

    /// What can be true of what the page says.
    pub(super) fn believe(
        &mut self,
        at: usize,
        seq: u32,
        item: u32,
        started_ns: u64,
        now: u64,
    ) -> (u32, u64) {
        let worker = &mut self.workers[at];
        let started_ns = started_ns.min(now);
        let (item, started_ns) = match worker.believed {
            Some(before) if before.seq == seq && item <= before.item => {
                (before.item, started_ns.min(before.started_ns))
            }
            Some(before) if before.seq == seq => (item, started_ns.max(before.seen_ns)),
            _ => (item, started_ns),
        };
        worker.believed = Some(Believed {
            seq,
            item,
            started_ns,
            seen_ns: now,
        });
        (item, started_ns)
    }
}
