//! How a pool ends: shut down, or broken.

use super::machine::Scheduler;
use super::worker::Stage;
use super::{Action, End, Pages, Shutdown, State};
use crate::error::TaskId;

impl<J> Scheduler<J> {
    /// Takes no more tasks; what becomes of the pending ones is up to the mode. A stronger mode may
    /// follow a weaker one; the reverse changes nothing.
    pub(crate) fn shutdown(
        &mut self,
        mode: Shutdown,
        pages: &mut dyn Pages<J>,
        out: &mut Vec<Action<J>>,
    ) {
        if self.is_broken || self.shutdown >= Some(mode) {
            return;
        }
        self.shutdown = Some(mode);
        match mode {
            Shutdown::Drain => {}
            Shutdown::CancelPending => self.cancel_pending(pages, out),
            Shutdown::Kill => {
                self.end_all(|may_have_run| End::ShutDown { may_have_run }, pages, out);
            }
        }
        self.retire_free(out);
    }

    /// Ends everything that is pending and kills every worker.
    pub(crate) fn break_pool(&mut self, pages: &mut dyn Pages<J>, out: &mut Vec<Action<J>>) {
        if !self.is_broken {
            self.is_broken = true;
            self.end_all(|may_have_run| End::Broken { may_have_run }, pages, out);
        }
    }

    /// In a shutdown, says goodbye to the workers for which nothing is left.
    pub(super) fn retire_free(&mut self, out: &mut Vec<Action<J>>) {
        if !matches!(self.state(), State::ShutDown(_)) || !self.queue.is_empty() {
            return;
        }
        for at in 0..self.workers.len() {
            let worker = &mut self.workers[at];
            if matches!(worker.stage, Stage::Starting | Stage::Ready) && worker.open() == 0 {
                worker.stage = Stage::Retiring;
                out.push(Action::Retire { worker: worker.id });
                self.unlist_idle(at);
                self.weigh(at);
            }
        }
    }

    /// Cancels what is queued and what can be recalled.
    fn cancel_pending(&mut self, pages: &mut dyn Pages<J>, out: &mut Vec<Action<J>>) {
        for task in self.pending_in_order() {
            let is_cancelled = match self.tasks.get(&task).and_then(|entry| entry.sent) {
                None => true,
                Some((worker, seq)) => self
                    .find(worker)
                    .is_some_and(|at| self.recall(at, seq, pages)),
            };
            if is_cancelled {
                self.complete(task, End::Cancelled, out);
            }
        }
        self.queue.clear();
    }

    fn end_all(
        &mut self,
        end: fn(bool) -> End,
        pages: &mut dyn Pages<J>,
        out: &mut Vec<Action<J>>,
    ) {
        for task in self.pending_in_order() {
            let sent = self.tasks.get(&task).and_then(|entry| entry.sent);
            let may_have_run = sent.is_some_and(|(worker, seq)| !pages.recall(worker, seq));
            self.complete(task, end(may_have_run), out);
        }
        self.queue.clear();
        self.idle.clear();
        self.loads_ns.fill(u32::MAX);
        self.prefetched = 0;
        for worker in &mut self.workers {
            worker.clear();
            worker.is_abandoned = true;
            worker.is_listed_idle = false;
            if worker.stage != Stage::Killed {
                worker.stage = Stage::Killed;
                out.push(Action::Kill { worker: worker.id });
            }
        }
    }

    fn pending_in_order(&self) -> Vec<TaskId> {
        let mut tasks: Vec<_> = self.tasks.keys().copied().collect();
        tasks.sort_unstable();
        tasks
    }
}
