//! What is checked of each action, and after each event.

use super::World;
use super::model::{Frame, Job, Status};
use crate::error::TaskId;
use crate::scheduler::estimate::UNKNOWN_NS;
use crate::scheduler::{Action, End, Shutdown, State, Verdict, WorkerId};

impl World {
    pub(super) fn send(&mut self, id: WorkerId, seq: u32, TaskId(task): TaskId) {
        let now = self.model.now;
        assert_eq!(
            self.model.place(task),
            Some(crate::scheduler::Place::Queued)
        );
        let estimate_ns = self
            .model
            .estimate(self.model.tasks[task as usize].function);
        self.model.tasks[task as usize].sent = Some((id, seq));
        let worker = self.model.worker(id);
        assert!(worker.serves() && worker.has_room(), "{worker:?}");
        assert_eq!(worker.next_seq, seq);
        if worker.open().is_empty() {
            worker.progress_ns = now;
        } else {
            assert!(estimate_ns < UNKNOWN_NS && worker.may_prefetch(estimate_ns, now));
        }
        worker.next_seq = seq.wrapping_add(1);
        worker.frames.push_back(Frame {
            seq,
            task,
            estimate_ns,
            status: Status::Sent,
        });
    }

    pub(super) fn complete(&mut self, TaskId(task): TaskId, job: &Job, end: End) {
        let shutdown = self.model.shutdown;
        let entry = &mut self.model.tasks[task as usize];
        assert_eq!((job.task, job.items), (task, entry.items));
        assert_eq!(entry.end, None, "a task ends once");
        entry.end = Some(end);
        match end {
            End::Finished => assert_eq!(self.finishing, Some(task)),
            End::Lost => assert_eq!(entry.verdict, Some(Verdict::Begun)),
            End::Cancelled => {
                assert_eq!(entry.sent, None, "nothing that has begun is cancelled");
                assert!(self.cancelling == Some(task) || shutdown >= Some(Shutdown::CancelPending));
            }
            End::ShutDown { may_have_run } => {
                assert_eq!(shutdown, Some(Shutdown::Kill));
                assert_eq!(may_have_run, entry.sent.is_some());
            }
            End::Broken { may_have_run } => {
                assert!(self.model.is_broken);
                assert_eq!(may_have_run, entry.sent.is_some());
            }
        }
    }

    /// The oldest goes first, as long as nothing comes back in the middle of the event.
    pub(super) fn check_order(&self, sent: &[u64]) {
        assert!(sent.is_sorted(), "{sent:?}");
        if let (Some(last), Some(first)) = (sent.last(), self.model.queued().first()) {
            assert!(last < first, "{first} was overtaken by {last}");
        }
    }

    /// An idle worker if there is one, else who has the least to do. Called before the actions of
    /// the submission are carried out.
    pub(super) fn check_place_of_submitted(&self, function: u32) {
        let model = &self.model;
        let others_wait = model.queued().len() > 1;
        let estimate_ns = model.estimate(function);
        let (idle, busy): (Vec<_>, Vec<_>) = model.workers.iter().partition(|it| it.is_idle());
        let least = busy
            .iter()
            .filter(|_| estimate_ns < UNKNOWN_NS)
            .filter(|worker| worker.may_prefetch(estimate_ns, model.now))
            .map(|worker| worker.load_ns())
            .min();
        match self.out.as_slice() {
            [] => assert!(others_wait || (idle.is_empty() && least.is_none())),
            [Action::Send { worker, .. }] if !idle.is_empty() => {
                assert!(idle.iter().any(|idle| idle.id == *worker));
            }
            [Action::Send { worker, .. }] => {
                let worker = busy.iter().find(|busy| busy.id == *worker).unwrap();
                assert!(!others_wait);
                assert_eq!(Some(worker.load_ns()), least);
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn check(&self) {
        let (scheduler, model) = (&self.scheduler, &self.model);
        let (pending, queued) = (model.pending(), model.queued());
        assert_eq!(scheduler.pending(), pending.len());
        assert_eq!(scheduler.queued(), queued.len());
        for &task in &pending {
            let job = scheduler
                .job(TaskId(task))
                .expect("a pending task has its job");
            assert_eq!(
                (job.task, job.items),
                (task, model.tasks[task as usize].items)
            );
            assert_eq!(scheduler.place_of(TaskId(task)), model.place(task));
        }
        let mut waiting = 0;
        for worker in &model.workers {
            let open = worker.open();
            waiting += open.len().saturating_sub(1);
            let head = open.first().map(|head| (TaskId(head.task), head.seq));
            assert_eq!(scheduler.head_of(worker.id), head);
        }
        assert_eq!(scheduler.prefetched, waiting);
        let loads = scheduler
            .workers
            .iter()
            .map(|worker| worker.prefetch_load_ns());
        assert_eq!(scheduler.loads_ns, loads.collect::<Vec<_>>());

        let has_idle = model.workers.iter().any(|worker| worker.is_idle());
        assert!(
            !has_idle || queued.is_empty(),
            "a worker is idle while {queued:?} are queued"
        );
        for worker in model
            .workers
            .iter()
            .filter(|worker| has_idle && !worker.is_liar)
        {
            let mut parked = worker.open().into_iter().skip(1);
            let parked = parked.find(|frame| frame.status == Status::Sent);
            assert!(
                parked.is_none(),
                "a worker is idle while {parked:?} waits behind a head"
            );
        }

        let state = match model.shutdown {
            _ if model.is_broken => State::Broken,
            Some(mode) => State::ShutDown(mode),
            None => State::Open,
        };
        assert_eq!(scheduler.state(), state);
        let wanted = model.workers.iter().filter(|worker| !worker.is_retired);
        match state {
            State::Open => assert_eq!(wanted.count(), self.wanted),
            State::ShutDown(Shutdown::Kill) | State::Broken => {
                assert!(pending.is_empty(), "{pending:?}");
                assert!(model.workers.iter().all(|worker| worker.is_dead));
            }
            State::ShutDown(mode) => {
                assert!(queued.is_empty() || (mode == Shutdown::Drain && wanted.count() > 0));
                for worker in model.workers.iter().filter(|_| queued.is_empty()) {
                    let is_busy = !worker.open().is_empty();
                    assert!(is_busy || worker.is_retired || worker.is_killed);
                }
            }
        }
        let nothing_left = pending.is_empty() && model.workers.is_empty();
        assert_eq!(
            scheduler.is_finished(),
            state != State::Open && nothing_left
        );
        assert!(self.permits.held() >= pending.len());
    }
}
