//! How a pool ends: shut down, or broken.

use super::machine::Scheduler;
use super::worker::Stage;
use super::{Action, End, Shutdown, State, Turn};
use crate::error::TaskId;

impl<J> Scheduler<J> {
    /// Takes no more tasks; what becomes of the pending ones is up to the mode. A stronger mode may
    /// follow a weaker one; the reverse changes nothing.
    pub(crate) fn shutdown(&mut self, mode: Shutdown, turn: &mut Turn<'_, J>) {
        if self.is_broken || self.shutdown >= Some(mode) {
            return;
        }
        self.shutdown = Some(mode);
        match mode {
            Shutdown::Drain => {}
            Shutdown::CancelPending => self.cancel_pending(turn),
            Shutdown::Terminate | Shutdown::Kill => {
                let end = |may_have_run| End::ShutDown { may_have_run };
                self.end_all(end, mode == Shutdown::Terminate, turn);
            }
        }
        self.retire_free(turn.out);
    }

    /// Ends everything that is pending and kills every worker.
    pub(crate) fn break_pool(&mut self, turn: &mut Turn<'_, J>) {
        if !self.is_broken {
            self.is_broken = true;
            self.end_all(|may_have_run| End::Broken { may_have_run }, false, turn);
        }
    }

    /// In a shutdown, says goodbye to the workers for which nothing is left.
    pub(super) fn retire_free(&mut self, out: &mut Vec<Action<J>>) {
        let is_drained = self.queue.is_empty() && self.pausing.is_empty();
        if !matches!(self.state(), State::ShutDown(_)) || !is_drained {
            return;
        }
        for at in 0..self.workers.len() {
            let worker = &mut self.workers[at];
            if matches!(worker.stage, Stage::Starting | Stage::Ready) && worker.open() == 0 {
                worker.is_leaving = true;
                worker.stage = Stage::Retiring;
                out.push(Action::Retire { worker: worker.id });
                self.unlist_idle(at);
                self.weigh(at);
            }
        }
        self.recount();
    }

    /// Cancels what is queued and what can be recalled, and what of chunks has not begun.
    fn cancel_pending(&mut self, turn: &mut Turn<'_, J>) {
        for task in self.pending_in_order() {
            let is_cancelled = match self.tasks.get(&task).and_then(|entry| entry.sent) {
                None => true,
                Some((worker, seq)) => self.find(worker).is_some_and(|at| {
                    let is_recalled = self.recall(at, seq, turn);
                    if !is_recalled {
                        self.end_rest(at, seq, turn);
                    }
                    is_recalled
                }),
            };
            if is_cancelled {
                self.complete(task, End::Cancelled, turn.out);
            }
        }
        self.queue.clear();
        for at in 0..self.workers.len() {
            // What was recalled may have been ahead of something that has begun.
            self.watch_head(at, turn.now);
        }
    }

    /// Ends every task, and kills every worker; those that are to be terminated can be killed later.
    fn end_all(&mut self, end: fn(bool) -> End, by_terminating: bool, turn: &mut Turn<'_, J>) {
        for task in self.pending_in_order() {
            let sent = self.tasks.get(&task).and_then(|entry| entry.sent);
            let may_have_run = sent.is_some_and(|(worker, seq)| !turn.pages.recall(worker, seq));
            self.complete(task, end(may_have_run), turn.out);
        }
        self.queue.clear();
        self.timers.clear();
        self.supervision.looks_for_stuck = false;
        self.idle.clear();
        self.loads_ns.fill(u32::MAX);
        self.prefetched = 0;
        self.chunks = 0;
        self.dividing.clear();
        for worker in &mut self.workers {
            worker.clear();
            worker.is_abandoned = true;
            worker.is_listed_idle = false;
            worker.check_ns = None;
            if worker.stage == Stage::Killed {
                continue;
            }
            let id = worker.id;
            if by_terminating {
                worker.stage = Stage::Retiring;
                turn.out.push(Action::Terminate { worker: id });
            } else {
                worker.stage = Stage::Killed;
                turn.out.push(Action::Kill { worker: id });
            }
        }
    }

    fn pending_in_order(&self) -> Vec<TaskId> {
        let mut tasks: Vec<_> = self.tasks.keys().copied().collect();
        tasks.sort_unstable();
        tasks
    }
}
