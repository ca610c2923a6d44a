//! What is checked of each action, and after each event.

use super::model::{Frame, Job, Status, Worker};
use super::{World, number_of};
use crate::error::TaskId;
use crate::scheduler::estimate::UNKNOWN_NS;
use crate::scheduler::timers::Timer;
use crate::scheduler::{Action, End, LONGEST_LOOK_NS, Place, Shutdown, State, Verdict, WorkerId};

impl World {
    pub(super) fn send(&mut self, id: WorkerId, seq: u32, TaskId(task): TaskId) {
        let now = self.model.now;
        self.model.wait_is_over(task);
        assert_eq!(self.model.place(task), Some(Place::Queued));
        let estimate_ns = self.model.estimate(&self.model.tasks[task as usize].terms);
        self.model.tasks[task as usize].sent = Some((id, seq));
        let is_chunk = self.model.tasks[task as usize].terms.more_items > 0;
        let worker = self.model.worker(id);
        assert!(worker.serves() && worker.has_room(), "{worker:?}");
        assert!(!worker.is_worn, "it is used up");
        assert_eq!(worker.next_seq, seq);
        if worker.open().is_empty() {
            worker.progress_ns = now;
            worker.head_ns = now;
        } else {
            assert!(estimate_ns < UNKNOWN_NS && worker.may_prefetch(estimate_ns, now));
        }
        worker.budget = worker.budget.map(|left| left - 1);
        worker.next_seq = seq.wrapping_add(1);
        worker.frames.push_back(Frame {
            seq,
            task,
            estimate_ns,
            is_chunk,
            status: Status::Sent,
        });
    }

    pub(super) fn complete(&mut self, task: TaskId, job: &Job, end: End) {
        let shutdown = self.model.shutdown;
        let now = self.model.now;
        let part_of = |task: u64| self.model.tasks.get(task as usize)?.part_of;
        let chunk = part_of(task.0);
        let is_part = chunk.is_some()
            && self
                .cancelling
                .is_some_and(|it| chunk == Some(it) || chunk == part_of(it));
        let entry = &mut self.model.tasks[number_of(task)];
        assert_eq!((job.task, job.left), (task.0, entry.left));
        assert_eq!(entry.end, None, "a task ends once");
        entry.end = Some(end);
        match end {
            End::Finished => assert_eq!(self.finishing, Some(task.0)),
            End::Lost => assert_eq!(entry.verdict, Some(Verdict::Begun)),
            End::Cancelled => {
                assert_eq!(entry.sent, None, "nothing that has begun is cancelled");
                let is_meant = self.cancelling == Some(task.0) || is_part;
                assert!(is_meant || shutdown >= Some(Shutdown::CancelPending));
            }
            End::Overdue => {
                assert_eq!(entry.sent, None, "what has begun is ended otherwise");
                assert!(entry.is_overdue(now));
            }
            End::GivenUp => assert!(entry.is_given_up),
            End::ShutDown { may_have_run } => {
                assert!(shutdown >= Some(Shutdown::Terminate));
                assert_eq!(may_have_run, entry.sent.is_some());
            }
            End::Broken { may_have_run } => {
                assert!(self.model.is_broken);
                assert_eq!(may_have_run, entry.sent.is_some());
            }
        }
    }

    /// Nobody is killed without a reason.
    pub(super) fn check_kill(&self, id: WorkerId) {
        let model = &self.model;
        let worker = model.find(id).unwrap();
        assert!(!worker.is_killed);
        let is_at_an_end = model.is_broken || model.shutdown == Some(Shutdown::Kill);
        let is_overdue = worker.open().iter().any(|frame| {
            let is_ended = matches!(frame.status, Status::Ended { .. });
            is_ended && model.tasks[frame.task as usize].is_to_end(frame.status, model.now)
        });
        assert!(
            is_at_an_end
                || is_overdue
                || worker.condemned.is_some()
                || worker.is_liar
                || self.punishing == Some(id),
            "{worker:?}"
        );
    }

    /// The first in the order goes first, as long as nothing comes back in the middle of the event.
    pub(super) fn check_order(&self, sent: &[u64]) {
        let order = |task: &u64| self.model.order(*task);
        let orders: Vec<_> = sent.iter().map(order).collect();
        assert!(orders.is_sorted(), "{orders:?}");
        if let (Some(last), Some(first)) = (sent.last(), self.model.queued().first()) {
            assert!(order(last) < order(first), "{last} overtook {first}");
        }
    }

    /// An idle worker if there is one, else who has the least to do. Called before the actions of
    /// the submission are carried out.
    pub(super) fn check_place_of_submitted(&self, task: u64) {
        let model = &self.model;
        let is_ahead = |other: &u64| model.order(*other) < model.order(task);
        let others_wait = model.queued().iter().any(is_ahead);
        let estimate_ns = model.estimate(&model.tasks[task as usize].terms);
        let (idle, busy): (Vec<_>, Vec<_>) = model.workers.iter().partition(|it| it.is_idle());
        let busy = busy.into_iter().filter(|worker| !worker.is_on_hold);
        let least = busy
            .filter(|_| estimate_ns < UNKNOWN_NS)
            .filter(|worker| worker.may_prefetch(estimate_ns, model.now))
            .map(Worker::load_ns)
            .min();
        let is_spawn = |action: &&Action<Job>| matches!(action, Action::Spawn { .. });
        let actions: Vec<_> = self.out.iter().filter(|it| !is_spawn(it)).collect();
        match actions.as_slice() {
            [] => assert!(others_wait || (idle.is_empty() && least.is_none())),
            [
                Action::Send {
                    worker, task: of, ..
                },
                more @ ..,
            ] => {
                assert_eq!(of.0, task);
                assert!(!others_wait);
                // Who waits behind it may have become shorter, by what has been learnt, since it found no place.
                assert!(more.is_empty() || model.queued().len() > more.len());
                let is_idle = idle.iter().any(|idle| idle.id() == *worker);
                let load_ns = model.find(*worker).unwrap().load_ns();
                assert!(is_idle || (idle.is_empty() && Some(load_ns) == least));
            }
            other => panic!("{other:?}"),
        }
    }

    /// Takes over what only the scheduler can say; whether it may say so is checked.
    pub(super) fn follow(&mut self) {
        let now = self.model.now;
        let is_open = self.model.shutdown.is_none() && !self.model.is_broken;
        let staff = self.scheduler.staff;
        for task in self.model.pending() {
            if !self.scheduler.pausing.contains_key(&TaskId(task)) {
                self.model.wait_is_over(task);
            }
        }
        for worker in &mut self.model.workers {
            let at = self.scheduler.find(worker.id()).unwrap();
            let entry = &self.scheduler.workers[at];
            let idle_timeout_ns = self.model.policy.idle_timeout_ns;
            let is_long_idle = worker
                .idle_ns
                .zip(idle_timeout_ns)
                .is_some_and(|(since_ns, timeout_ns)| since_ns + timeout_ns <= now);
            if is_open && entry.is_leaving && !worker.is_leaving {
                let is_dispensable = is_long_idle && staff >= self.model.policy.min_workers;
                let is_relieved =
                    entry.is_replaced && worker.budget.is_none() && worker.open().is_empty();
                assert!(
                    worker.is_worn || worker.is_laid_off || is_dispensable || is_relieved,
                    "{worker:?}"
                );
            }
            assert!(!worker.is_retired || entry.is_leaving || worker.is_abandoned);
            worker.is_leaving = entry.is_leaving;
            worker.is_on_hold = entry.is_on_hold;
            worker.idle_ns = worker.is_idle().then(|| worker.idle_ns.unwrap_or(now));
        }
    }

    pub(super) fn check(&self) {
        self.check_tasks();
        self.check_workers();
        self.check_staff();
        self.check_timers();
        self.check_state();
    }

    fn check_tasks(&self) {
        let (scheduler, model) = (&self.scheduler, &self.model);
        let pending = model.pending();
        assert_eq!(scheduler.pending(), pending.len());
        assert_eq!(scheduler.queued(), model.queued().len());
        for &task in &pending {
            let job = scheduler
                .job(TaskId(task))
                .expect("a pending task has its job");
            let entry = &model.tasks[task as usize];
            assert_eq!((job.task, job.left), (task, entry.left));
            assert_eq!(scheduler.place_of(TaskId(task)), model.place(task));
            if let (true, Some((worker, seq))) = (entry.is_killed, entry.sent) {
                let worker = model.find(worker).unwrap();
                let frame = worker.frames.iter().find(|frame| frame.seq == seq);
                let is_due = frame.unwrap().is_begun() && !worker.is_killed && !worker.is_liar;
                let is_asked = worker.asked.is_some_and(|(of, ..)| of == seq);
                let at = scheduler.find(worker.id()).unwrap();
                let is_ending = is_asked && scheduler.workers[at].ending.is_some();
                assert!(!is_due || is_ending, "its caller was promised its end");
            }
        }
        for root in 0..model.tasks.len() as u64 {
            let is_part = |task: &u64| model.tasks[*task as usize].part_of == Some(root);
            let parts: Vec<_> = pending
                .iter()
                .copied()
                .filter(is_part)
                .map(TaskId)
                .collect();
            assert_eq!(scheduler.parts_of(TaskId(root)), parts);
        }
        assert!(scheduler.dividing.is_empty() || !pending.is_empty());
        let submitted = pending
            .iter()
            .filter(|task| model.tasks[**task as usize].part_of.is_none());
        assert!(self.permits.held() >= submitted.count());
    }

    fn check_workers(&self) {
        let (scheduler, model) = (&self.scheduler, &self.model);
        let mut waiting = 0;
        let mut chunks = 0;
        for worker in &model.workers {
            let open = worker.open();
            chunks += open.iter().filter(|frame| frame.is_chunk).count();
            waiting += open.len().saturating_sub(1);
            let head = open.first().map(|head| (TaskId(head.task), head.seq));
            assert_eq!(scheduler.head_of(worker.id()), head);
            // Once it is condemned nothing begins any more, so nothing needs to wait there.
            let is_condemned = worker.condemned.is_some() && !worker.is_liar;
            assert!(!is_condemned || open.iter().all(|frame| frame.status != Status::Sent));
        }
        assert_eq!((scheduler.prefetched, scheduler.chunks), (waiting, chunks));
        let loads = scheduler
            .workers
            .iter()
            .map(|worker| worker.prefetch_load_ns());
        assert_eq!(scheduler.loads_ns, loads.collect::<Vec<_>>());

        let queued = model.queued();
        let has_idle = model.workers.iter().any(Worker::is_idle);
        assert!(
            !has_idle || self.scheduler.queue.is_empty(),
            "a worker is idle while {queued:?} are queued"
        );
        let honest = model.workers.iter().filter(|worker| !worker.is_liar);
        for worker in honest.filter(|_| has_idle) {
            let mut parked = worker.open().into_iter().skip(1);
            let parked = parked.find(|frame| frame.status == Status::Sent);
            assert!(
                parked.is_none(),
                "a worker is idle while {parked:?} waits behind a head"
            );
        }
    }

    /// How many workers there are, and how many may run something.
    fn check_staff(&self) {
        let (scheduler, model) = (&self.scheduler, &self.model);
        let max_workers = model.policy.max_workers;
        let has_tasks = |worker: &&Worker| !worker.open().is_empty() && !worker.is_laid_off;
        let busy = model.workers.iter().filter(has_tasks).count();
        assert!(busy <= max_workers, "{busy} workers have tasks");
        let is_going = model.workers.iter().any(|worker| worker.is_killed);
        let waits = model.workers.iter().any(|worker| {
            worker.is_on_hold && worker.is_ready && !worker.is_killed && !worker.is_retired
        });
        assert!(!waits || is_going || scheduler.active() >= max_workers);

        if scheduler.state() != State::Open {
            return;
        }
        let members: Vec<_> = scheduler
            .workers
            .iter()
            .filter(|worker| worker.is_staff())
            .map(|worker| model.find(worker.id).unwrap())
            .collect();
        assert_eq!(scheduler.staff, members.len());
        assert!(members.len() <= max_workers);
        let is_paused = self.expected.paused_until_ns.is_some();
        assert!(is_paused || members.len() >= model.policy.min_workers);
        let starting = members.iter().filter(|it| !it.is_ready && !it.is_killed);
        let is_grown = model.queued().len() <= starting.count() || members.len() == max_workers;
        assert!(
            is_paused || is_grown || is_going,
            "it does not grow: {:?} {:#?}",
            model.queued(),
            scheduler.workers
        );
    }

    /// Nothing is looked at that is gone, and nothing is forgotten.
    fn check_timers(&self) {
        let (scheduler, model) = (&self.scheduler, &self.model);
        let mut timers: Vec<_> = scheduler.timers.all().collect();
        assert_eq!(
            scheduler.next_tick_ns(),
            timers.first().map(|(at_ns, _)| *at_ns)
        );
        let mut take = |timer: Timer| {
            let at = timers.iter().position(|(_, other)| *other == timer);
            at.map(|at| timers.remove(at).0)
        };
        for task in model.pending() {
            let entry = &model.tasks[task as usize];
            let deadline_ns = take(Timer::Deadline(TaskId(task)));
            let expected_ns = entry.terms.deadline_ns.map(|it| it.get());
            // One that has passed is being seen to.
            let has_passed = entry.is_overdue(model.now) && deadline_ns.is_none();
            assert!(has_passed || deadline_ns == expected_ns);
            assert_eq!(take(Timer::Again(TaskId(task))), entry.again_ns);
        }
        for worker in &model.workers {
            let at = scheduler.find(worker.id()).unwrap();
            let entry = &scheduler.workers[at];
            let check_ns = take(Timer::Head(worker.id()));
            assert_eq!(check_ns, entry.check_ns);
            let has_limit = entry
                .head_frame()
                .is_some_and(|(_, head)| head.timeout_ns.is_some());
            let is_going = worker.is_killed || worker.is_abandoned;
            let awaits_result = entry.awaited.is_some_and(|awaited| awaited.is_result());
            let is_watched = has_limit || entry.ending.is_some() || awaits_result;
            assert!(!is_watched || is_going || check_ns.is_some(), "{entry:?}");
        }
        assert_eq!(take(Timer::Start), self.expected.paused_until_ns);
        let looks_for_stuck = take(Timer::Stuck).is_some();
        let is_open = scheduler.state() == State::Open;
        let could_grow = is_open && scheduler.staff < model.policy.max_workers;
        assert!(looks_for_stuck || scheduler.prefetched == 0 || !could_grow);
        let looks_at_ns = take(Timer::Divide);
        assert_eq!(looks_at_ns, scheduler.dividing.looks_at_ns);
        assert!(
            looks_at_ns.is_some() || !self.waits_for_division(),
            "nobody will look"
        );
        assert!(looks_at_ns.is_none_or(|it| it <= model.now + LONGEST_LOOK_NS));
        let idle_ns = take(Timer::Idle);
        let idle = model.workers.iter().filter_map(|worker| worker.idle_ns);
        if let Some(timeout_ns) = model.policy.idle_timeout_ns
            && let Some(since_ns) = idle.min()
            && scheduler.staff > model.policy.min_workers
            && scheduler.state() == State::Open
        {
            let due_ns = (since_ns + timeout_ns).max(model.now + 1);
            assert!(idle_ns.is_some_and(|idle_ns| idle_ns <= due_ns), "{due_ns}");
        }
        assert_eq!(timers, [], "timers of what is gone");
    }

    /// Whether somebody is idle, or could be started, while items wait behind the one that runs.
    fn waits_for_division(&self) -> bool {
        let (scheduler, model) = (&self.scheduler, &self.model);
        let could_grow =
            scheduler.state() == State::Open && scheduler.staff < model.policy.max_workers;
        let has_taker = could_grow || model.workers.iter().any(Worker::is_idle);
        let waits = |worker: &Worker| {
            let Some(head) = worker.open().first().copied() else {
                return false;
            };
            let last = model.tasks[head.task as usize].left.items.into();
            let is_waiting = match head.status {
                Status::Sent => last > 0,
                Status::Begun { item, .. } => item < last,
                _ => false,
            };
            let is_going = worker.is_killed || worker.condemned.is_some() || worker.is_liar;
            let at = scheduler.find(worker.id()).unwrap();
            let ending = scheduler.workers[at].ending;
            let is_ending = ending.is_some_and(|ending| ending.item.is_none());
            is_waiting && head.is_chunk && !is_going && !is_ending
        };
        has_taker && model.workers.iter().any(waits)
    }

    /// Called when the scheduler has just been told what time it is.
    pub(super) fn check_time(&self) {
        let (scheduler, model) = (&self.scheduler, &self.model);
        let now = model.now;
        assert!(scheduler.next_tick_ns().is_none_or(|next_ns| next_ns > now));
        for task in model.pending() {
            let entry = &model.tasks[task as usize];
            assert!(entry.again_ns.is_none_or(|again_ns| again_ns > now));
            if let Some((worker, seq)) = entry.sent
                && entry.is_overdue(now)
            {
                let worker = model.find(worker).unwrap();
                let frame = worker.frames.iter().find(|frame| frame.seq == seq);
                assert!(worker.is_liar || frame.unwrap().status != Status::Sent);
                let at = scheduler.find(worker.id()).unwrap();
                let is_ending = scheduler.workers[at].ending.is_some();
                let is_coming = !frame.unwrap().is_begun() || worker.is_killed;
                assert!(is_ending || is_coming || worker.is_liar);
            }
            assert!(
                entry.sent.is_some() || !entry.is_overdue(now),
                "it is overdue"
            );
        }
        let grace = model.policy.grace;
        let honest = model.workers.iter().filter(|worker| !worker.is_liar);
        for worker in honest.filter(|worker| !worker.is_killed && !worker.is_abandoned) {
            let at = scheduler.find(worker.id()).unwrap();
            let entry = &scheduler.workers[at];
            if let Some((_, since_ns)) = worker.condemned {
                assert!(since_ns + grace.terminate_ns > now, "it was to be killed");
                continue;
            }
            let Some(head) = worker.open().first().copied() else {
                continue;
            };
            let timeout_ns = model.tasks[head.task as usize].terms.timeout_ns;
            if let Status::Begun { item, started_ns } = head.status
                && let Some(timeout_ns) = timeout_ns
                && started_ns.max(worker.head_ns) + timeout_ns.get() <= now
            {
                if entry.check_ns == Some(now + 1) {
                    // The item before it has just been found to have ended in time.
                    continue;
                }
                assert!(entry.ending.is_some(), "{worker:?} at {now}");
                let (seq, asked, since_ns) = worker.asked.unwrap();
                assert_eq!(seq, head.seq);
                assert!(asked.is_none_or(|asked| asked <= item));
                assert!(since_ns + grace.cancel_ns > now, "it was to be condemned");
            }
        }
    }

    fn check_state(&self) {
        let (scheduler, model) = (&self.scheduler, &self.model);
        let pending = model.pending();
        let state = match model.shutdown {
            _ if model.is_broken => State::Broken,
            Some(mode) => State::ShutDown(mode),
            None => State::Open,
        };
        assert_eq!(scheduler.state(), state);
        let wanted = model.workers.iter().filter(|worker| !worker.is_retired);
        match state {
            State::Open => {}
            State::ShutDown(Shutdown::Terminate) => {
                assert!(pending.is_empty(), "{pending:?}");
                let mut workers = model.workers.iter();
                assert!(workers.all(|worker| worker.is_dead || worker.is_terminated));
            }
            State::ShutDown(Shutdown::Kill) | State::Broken => {
                assert!(pending.is_empty(), "{pending:?}");
                assert!(model.workers.iter().all(|worker| worker.is_dead));
            }
            State::ShutDown(mode) => {
                let queued = scheduler.queued();
                let is_paused = self.expected.paused_until_ns.is_some();
                let is_served = wanted.count() > 0 || is_paused;
                assert!(queued == 0 || (mode == Shutdown::Drain && is_served));
                let is_drained = queued == 0 && scheduler.pausing.is_empty();
                for worker in model.workers.iter().filter(|_| is_drained) {
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
    }
}
