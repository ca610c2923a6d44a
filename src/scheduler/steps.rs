//! The steps by which a task that runs is ended.
//!
//! 1. *Asked*: the task's flag is raised ([`Pages::ask_stop`](super::Pages::ask_stop)). If it ends by itself within
//!    [`Grace::cancel_ns`](super::Grace), that is a result like any other, and the worker lives on.
//! 2. *Condemned* ([`Pages::condemn`](super::Pages::condemn)): from here on the worker begins nothing else. Should the task
//!    have ended meanwhile, this fails, and that was it. What waited behind the task goes to others. The worker
//!    is asked to go, with the signal of [`Action::Terminate`], and has [`Grace::terminate_ns`](super::Grace) for it.
//! 3. *Killed*.
//!
//! Whatever has been sent before the worker is gone still counts: a result that comes in time, at whichever step, is the task's.

use super::machine::{Scheduler, TakenBack};
use super::worker::Stage;
use super::{Action, Cause, End, Kill, Turn, WINDOW};
use crate::error::TaskId;
use crate::page::Progress;

/// How far the end of a worker's task has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    /// Which task is meant.
    pub(super) seq: u32,
    /// Which item of it; `None` is all.
    pub(super) item: Option<u32>,
    cause: Cause,
    is_condemned: bool,
}

impl Ending {
    pub(super) fn is_condemned(&self) -> bool {
        self.is_condemned
    }

    /// Whether this item, or else all of the task, is meant.
    fn covers(&self, item: Option<u32>) -> bool {
        self.item.is_none() || self.item == item
    }

    /// Why the worker was ended, if it was on account of this task.
    pub(super) fn cause_of(&self, seq: u32) -> Option<Cause> {
        (self.is_condemned && self.seq == seq).then_some(self.cause)
    }
}

impl<J> Scheduler<J> {
    /// Ends a task, whatever that takes.
    pub(crate) fn kill(&mut self, task: TaskId, turn: &mut Turn<'_, J>) -> Kill {
        match self.end_unbegun(task, End::Cancelled, turn) {
            TakenBack::Taken => Kill::Cancelled,
            TakenBack::Unknown => Kill::TooLate,
            TakenBack::Begun { at, seq } => {
                let worker = self.workers[at].id;
                if self.begin_ending(at, seq, None, Cause::Killed, turn) {
                    Kill::Ending { worker, seq }
                } else {
                    Kill::TooLate
                }
            }
        }
    }

    /// A worker that does not begin what it has is of no use: others get that, and another takes its place.
    pub(super) fn give_up_on(&mut self, at: usize, turn: &mut Turn<'_, J>) {
        let frames = self.workers[at].open_frames();
        let open: Vec<_> = frames.map(|(seq, sent)| (seq, sent.task)).collect();
        // The oldest first: if it begins one of them now, it keeps those behind.
        for (seq, task) in open {
            if !self.recall(at, seq, turn) {
                self.watch_head(at, turn.now);
                self.dispatch(turn);
                return self.retire_free(turn.out);
            }
            self.requeue(task);
        }
        let worker = &mut self.workers[at];
        worker.is_leaving = true;
        let worker = worker.id;
        self.kill_worker(worker, turn.out);
        self.recount();
        self.dispatch(turn);
        self.restaff(turn);
        self.retire_free(turn.out);
    }

    /// Begins to end a task that has begun; says whether that is not too late.
    pub(super) fn begin_ending(
        &mut self,
        at: usize,
        seq: u32,
        item: Option<u32>,
        cause: Cause,
        turn: &mut Turn<'_, J>,
    ) -> bool {
        let worker = &mut self.workers[at];
        if worker.stage == Stage::Killed || worker.is_abandoned || worker.is_condemned() {
            // Its end is coming.
            return true;
        }
        match &mut worker.ending {
            // It was asked before, and whoever asks again does not give it more time.
            Some(ending) if ending.seq == seq && ending.covers(item) => {
                if cause == Cause::Killed {
                    ending.cause = cause;
                }
                return true;
            }
            // One that is behind it has begun, so it has ended.
            Some(ending) if ending.seq.wrapping_sub(seq).wrapping_sub(1) < WINDOW => return false,
            // One item of it was asked; now all of it is.
            Some(ending) if ending.seq == seq && item.is_none() => {
                let progress = turn.pages.progress(worker.id, seq);
                let is_at = |of| matches!(progress, Progress::Running { item, .. } if item == of);
                let has_grace = ending.item.is_some_and(is_at);
                (ending.item, ending.cause) = (item, cause);
                turn.pages.ask_stop(worker.id, seq, item);
                if has_grace {
                    return true;
                }
            }
            ending => {
                *ending = Some(Ending {
                    seq,
                    item,
                    cause,
                    is_condemned: false,
                });
                turn.pages.ask_stop(worker.id, seq, item);
            }
        }
        match self.policy.grace.cancel_ns {
            0 => self.condemn(at, turn),
            grace_ns => {
                self.check_head_at(at, turn.now.saturating_add(grace_ns));
                true
            }
        }
    }

    /// The task was asked for long enough. Says whether it was not too late for more.
    pub(super) fn condemn(&mut self, at: usize, turn: &mut Turn<'_, J>) -> bool {
        let worker = &mut self.workers[at];
        let Some(ending) = &mut worker.ending else {
            return false;
        };
        if !turn.pages.condemn(worker.id, ending.seq, ending.item) {
            let Ending {
                seq, item, cause, ..
            } = *ending;
            worker.ending = None;
            return !self.spare(at, seq, item, cause, turn);
        }
        ending.is_condemned = true;
        self.end_condemned(at, turn);
        true
    }

    /// The page says that it is too late to end the task, or this item of it. Says whether that can be.
    fn spare(
        &mut self,
        at: usize,
        seq: u32,
        item: Option<u32>,
        cause: Cause,
        turn: &mut Turn<'_, J>,
    ) -> bool {
        let worker = &self.workers[at];
        let head = worker.head_frame().filter(|(head, _)| *head == seq);
        let timeout_ns = head.and_then(|(_, head)| head.timeout_ns);
        match (turn.pages.progress(worker.id, seq), item, timeout_ns) {
            (Progress::Ended, ..) => self.await_result(at, seq, cause, turn),
            (
                Progress::Running {
                    item: later,
                    started_ns,
                },
                Some(item),
                Some(timeout_ns),
            ) if later > item => {
                let (_, started_ns) = self.believe(at, seq, later, started_ns, turn.now);
                let due_ns = started_ns.saturating_add(timeout_ns.get());
                self.check_head_at(at, due_ns.max(turn.now.saturating_add(1)));
            }
            _ => {
                self.end_at_once(at, seq, cause, turn);
                return false;
            }
        }
        true
    }

    /// Without asking the page, which is not to be trusted any more.
    pub(super) fn end_at_once(
        &mut self,
        at: usize,
        seq: u32,
        cause: Cause,
        turn: &mut Turn<'_, J>,
    ) {
        let worker = &mut self.workers[at];
        worker.ending = Some(Ending {
            seq,
            item: None,
            cause,
            is_condemned: true,
        });
        let worker = worker.id;
        self.kill_worker(worker, turn.out);
    }

    /// The worker begins nothing any more: what it has not begun goes to others, and it is made to go.
    fn end_condemned(&mut self, at: usize, turn: &mut Turn<'_, J>) {
        self.unlist_idle(at);
        self.requeue_last(at, usize::MAX, turn);
        self.weigh(at);
        let worker = self.workers[at].id;
        match self.policy.grace.terminate_ns {
            0 => self.kill_worker(worker, turn.out),
            grace_ns => {
                turn.out.push(Action::Terminate { worker });
                self.check_head_at(at, turn.now.saturating_add(grace_ns));
                // It may take its time; who takes its place can be started meanwhile.
                self.replace(at, turn);
            }
        }
        self.dispatch(turn);
        self.retire_free(turn.out);
    }
}
