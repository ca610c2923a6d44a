//! What is to become of a pool whose workers go, from what has been seen of them.

use super::model::Model;
use crate::scheduler::{FIRST_PAUSE_NS, LONGEST_PAUSE_NS, Verdict, WorkerId};

#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) initial_end: u32,
    futile_deaths: u32,
    failed_starts: u32,
    /// Nobody is started before.
    pub(super) paused_until_ns: Option<u64>,
    /// The pool breaks by this event: an initial worker has failed, or so many have died.
    pub(super) broken: Option<Option<u32>>,
}

impl Expected {
    pub(super) fn worker_ready(&mut self) {
        self.failed_starts = 0;
    }

    pub(super) fn progress(&mut self) {
        self.futile_deaths = 0;
    }

    /// Called when its tasks have been judged.
    pub(super) fn worker_gone(&mut self, model: &Model, id: WorkerId) {
        let gone = model.find(id).unwrap();
        let is_initial = id.0 < self.initial_end && !gone.is_ready;
        let verdicts = gone.open().into_iter().map(|frame| {
            let task = &model.tasks[frame.task as usize];
            task.verdict.is_some_and(|it| it != Verdict::NotBegun)
        });
        let has_begun = verdicts.max().unwrap_or(false);
        if has_begun {
            self.progress();
        }
        let mut is_excused = has_begun || gone.is_retired || gone.is_leaving || gone.is_abandoned;
        if !gone.has_process {
            is_excused = gone.is_retired || gone.is_killed;
            let serves = |id: &_| {
                let worker = model.find(*id).unwrap();
                worker.is_ready && !worker.is_killed && !worker.is_retired
            };
            let mut others = model.workers.iter().map(|worker| worker.id());
            if !is_excused && !is_initial && others.any(|id| serves(&id)) {
                self.failed_starts += 1;
                return self.pause(self.failed_starts, model.now);
            }
        }
        if is_excused {
            return;
        }
        self.futile_deaths += 1;
        let workers = model.policy.max_workers as u32;
        let is_open = model.shutdown.is_none() && !model.is_broken;
        if is_initial && is_open {
            self.broken = Some(None);
        } else if self.futile_deaths > model.policy.max_restarts + workers - 1 {
            self.broken = Some(Some(self.futile_deaths));
        } else if self.futile_deaths > workers {
            self.pause(self.futile_deaths - workers, model.now);
        }
    }

    fn pause(&mut self, failures: u32, now: u64) {
        let pause_ns = (1..failures).fold(FIRST_PAUSE_NS, |pause_ns, _| {
            (2 * pause_ns).min(LONGEST_PAUSE_NS)
        });
        self.paused_until_ns = Some(now + pause_ns);
    }
}
