//! The workers' status pages, as the scheduler asks them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{EndOfWorker, TaskId};
use crate::executor::process::job::{self, Death, Endings, Job};
use crate::executor::process::link::Link;
use crate::page::{Judgement, Progress};
use crate::scheduler::{Cause, Divided, Division, Pages, Verdict, WorkerId};
use crate::sys;

/// The status pages of workers that live.
pub(super) struct Living<'a>(pub(super) &'a HashMap<WorkerId, Arc<Link>>);

impl Pages<Job> for Living<'_> {
    fn recall(&mut self, worker: WorkerId, seq: u32) -> bool {
        self.0.get(&worker).is_some_and(|link| link.recall(seq))
    }

    fn progress(&mut self, worker: WorkerId, seq: u32) -> Progress {
        let link = self.0.get(&worker);
        link.map_or(Progress::Waiting, |link| link.page.progress(seq))
    }

    fn has_moved(&mut self, worker: WorkerId) -> bool {
        self.0.get(&worker).is_some_and(|link| link.has_moved())
    }

    fn ask_stop(&mut self, worker: WorkerId, seq: u32, item: Option<u32>) {
        let Some(link) = self.0.get(&worker) else {
            return;
        };
        match item {
            Some(item) => link.page.ask_stop(seq, item),
            None => link.page.ask_cancel(seq),
        }
    }

    fn condemn(&mut self, worker: WorkerId, seq: u32, item: Option<u32>) -> bool {
        let link = self.0.get(&worker);
        link.is_some_and(|link| link.page.condemn(seq, item))
    }

    fn divide(
        &mut self,
        worker: WorkerId,
        seq: u32,
        job: &mut Job,
        division: Division,
    ) -> Option<Divided<Job>> {
        let page = &self.0.get(&worker)?.page;
        let kept = |waiting| division.kept(waiting);
        let cut = page.cut(seq, job.next_item(), job.items(), kept)?;
        Some(job.divide(cut, division.pieces))
    }

    fn judge(&mut self, _: WorkerId, _: u32, _: TaskId, _: &mut Job, _: Option<Cause>) -> Verdict {
        debug_assert!(false, "only the tasks of a worker that has gone are judged");
        Verdict::Begun
    }

    fn give_up(&mut self, _: WorkerId, _: TaskId, _: &mut Job) {
        debug_assert!(false, "only tasks of a worker that has gone are given up");
    }
}

/// The same, while one of them is being buried.
pub(super) struct Dying<'a> {
    pub(super) living: Living<'a>,
    pub(super) death: &'a Death,
    /// How much it was allowed, if that was limited.
    pub(super) address_space: Option<u64>,
    pub(super) now: u64,
    pub(super) endings: &'a mut Endings,
}

impl Pages<Job> for Dying<'_> {
    fn recall(&mut self, worker: WorkerId, seq: u32) -> bool {
        self.living.recall(worker, seq)
    }

    fn progress(&mut self, worker: WorkerId, seq: u32) -> Progress {
        Pages::<Job>::progress(&mut self.living, worker, seq)
    }

    fn has_moved(&mut self, worker: WorkerId) -> bool {
        Pages::<Job>::has_moved(&mut self.living, worker)
    }

    fn ask_stop(&mut self, worker: WorkerId, seq: u32, item: Option<u32>) {
        Pages::<Job>::ask_stop(&mut self.living, worker, seq, item);
    }

    fn condemn(&mut self, worker: WorkerId, seq: u32, item: Option<u32>) -> bool {
        Pages::<Job>::condemn(&mut self.living, worker, seq, item)
    }

    fn divide(
        &mut self,
        worker: WorkerId,
        seq: u32,
        job: &mut Job,
        division: Division,
    ) -> Option<Divided<Job>> {
        self.living.divide(worker, seq, job, division)
    }

    fn judge(
        &mut self,
        worker: WorkerId,
        seq: u32,
        task: TaskId,
        job: &mut Job,
        cause: Option<Cause>,
    ) -> Verdict {
        let Some(link) = self.living.0.get(&worker) else {
            return Verdict::NotBegun;
        };
        let (item, started_ns) = match link.page.judge(seq) {
            Judgement::NotBegun => return Verdict::NotBegun,
            Judgement::Begun { item, started_ns } => (item, started_ns),
            // Nobody can tell; so it may have run.
            Judgement::Garbage => (u32::MAX, 0),
        };
        let mut death = Death {
            run_time: job::run_time(started_ns, self.now),
            ..self.death.clone()
        };
        if let (Some(limit), &EndOfWorker::Signalled(signal)) = (self.address_space, &death.end)
            && link.page.resident_kib(seq) == sys::ALLOCATION_FAILED
        {
            death.end = EndOfWorker::MemoryLimit { limit, signal };
        }
        job.judge(task, item, &death, cause, self.endings)
    }

    fn give_up(&mut self, _: WorkerId, task: TaskId, job: &mut Job) {
        job.give_up(task, self.death, self.endings);
    }
}
