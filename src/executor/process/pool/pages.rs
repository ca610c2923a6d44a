//! The workers' status pages, as the scheduler asks them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{EndOfWorker, TaskId};
use crate::executor::process::job::{self, Death, Endings, Job};
use crate::executor::process::link::Link;
use crate::page::Judgement;
use crate::scheduler::{Pages, Verdict, WorkerId};

/// The status pages of workers that live.
pub(super) struct Living<'a>(pub(super) &'a HashMap<WorkerId, Arc<Link>>);

impl Pages<Job> for Living<'_> {
    fn recall(&mut self, worker: WorkerId, seq: u32) -> bool {
        self.0.get(&worker).is_some_and(|link| link.recall(seq))
    }

    fn judge(&mut self, _: WorkerId, _: u32, _: TaskId, _: &mut Job) -> Verdict {
        debug_assert!(false, "only the tasks of a worker that has gone are judged");
        Verdict::Begun
    }
}

/// The same, while one of them is being buried.
pub(super) struct Dying<'a> {
    pub(super) links: &'a HashMap<WorkerId, Arc<Link>>,
    pub(super) pid: u32,
    pub(super) end: &'a EndOfWorker,
    pub(super) now: u64,
    pub(super) endings: &'a mut Endings,
}

impl Pages<Job> for Dying<'_> {
    fn recall(&mut self, worker: WorkerId, seq: u32) -> bool {
        Living(self.links).recall(worker, seq)
    }

    fn judge(&mut self, worker: WorkerId, seq: u32, task: TaskId, job: &mut Job) -> Verdict {
        let Some(link) = self.links.get(&worker) else {
            return Verdict::NotBegun;
        };
        let (item, started_ns) = match link.page.judge(seq) {
            Judgement::NotBegun => return Verdict::NotBegun,
            Judgement::Begun { item, started_ns } => (item, started_ns),
            // Nobody can tell; so it may have run.
            Judgement::Garbage => (u32::MAX, 0),
        };
        let run_time = job::run_time(started_ns, self.now);
        let death = Death {
            pid: self.pid,
            end: self.end,
            run_time,
        };
        job.judge(task, item, &death, self.endings)
    }
}
