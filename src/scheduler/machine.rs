//! The machine: its state, and the events of tasks and workers.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;

use super::dividing::Dividing;
use super::estimate::Estimates;
use super::queue::Queue;
use super::staff::Supervision;
use super::task::{Task, TaskHasher};
use super::timers::{Timer, Timers};
use super::worker::{Stage, Worker};
use super::{
    Action, Again, Cancel, End, Finish, MAX_SUSPICION, Place, Policy, Shutdown, State, Terms, Turn,
    Verdict, Violation, WorkerId,
};
use crate::error::TaskId;

/// The tasks that are pending, the workers, and who does what. See the module's documentation.
pub(crate) struct Scheduler<J> {
    pub(super) policy: Policy,
    /// Every pending task.
    pub(super) tasks: HashMap<TaskId, Task<J>, BuildHasherDefault<TaskHasher>>,
    /// Those that wait for a worker.
    pub(super) queue: Queue,
    /// Those that wait for a moment, which is when they are tried again.
    pub(super) pausing: BTreeMap<TaskId, u64>,
    /// Every worker that is not gone, by ascending number.
    pub(super) workers: Vec<Worker>,
    /// For each of `workers`, its [`Worker::prefetch_load_ns`]: what is asked of all of them for
    /// every prefetched task lies side by side.
    pub(super) loads_ns: Vec<u32>,
    /// The workers that could begin a task this moment; the most recently used one is the last.
    pub(super) idle: Vec<WorkerId>,
    /// How many workers are [staff](Worker::is_staff).
    pub(super) staff: usize,
    /// How many tasks were sent to workers and wait behind a head.
    pub(super) prefetched: usize,
    /// How many of the tasks that were sent to workers are chunks.
    pub(super) chunks: usize,
    pub(super) dividing: Dividing,
    pub(super) estimates: Estimates,
    /// When stuck workers were last looked for.
    pub(super) unstuck_ns: u64,
    pub(super) timers: Timers,
    pub(super) supervision: Supervision,
    pub(super) shutdown: Option<Shutdown>,
    pub(super) is_broken: bool,
    /// The sequence number of each worker's first frame.
    pub(super) first_seq: u32,
    pub(super) next_task: u64,
    pub(super) next_worker: u32,
}

/// What became of taking a task back.
pub(super) enum TakenBack {
    /// It has not begun, and is nowhere now.
    Taken,
    /// It has begun in this worker.
    Begun { at: usize, seq: u32 },
    /// It is not pending.
    Unknown,
}

impl<J> Scheduler<J> {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            tasks: HashMap::default(),
            queue: Queue::default(),
            pausing: BTreeMap::new(),
            workers: Vec::new(),
            loads_ns: Vec::new(),
            idle: Vec::new(),
            staff: 0,
            prefetched: 0,
            chunks: 0,
            dividing: Dividing::default(),
            estimates: Estimates::default(),
            unstuck_ns: 0,
            timers: Timers::default(),
            supervision: Supervision::default(),
            shutdown: None,
            is_broken: false,
            first_seq: 0,
            next_task: 0,
            next_worker: 0,
        }
    }

    /// Takes a task on; gives the job back when no tasks are welcome ([`Scheduler::state`]).
    pub(crate) fn submit(
        &mut self,
        terms: Terms,
        job: J,
        turn: &mut Turn<'_, J>,
    ) -> Result<TaskId, J> {
        if self.state() != State::Open {
            return Err(job);
        }
        let task = TaskId(self.next_task);
        self.next_task += 1;
        self.tasks.insert(task, Task::new(&terms, job));
        if let Some(deadline_ns) = terms.deadline_ns {
            self.timers.set(deadline_ns.get(), Timer::Deadline(task));
        }
        // A queue that is not empty says that the first in it found no place, and what is behind
        // the first must not overtake it.
        let place = if self.queue.is_empty() {
            self.place_for(&terms, turn.now)
        } else {
            None
        };
        match place {
            Some(at) => self.send(at, task, turn),
            None => {
                self.queue.insert(task, terms.priority);
                if self.queue.len() > 1 && self.queue.first() == Some(task) {
                    // It comes before what found no place, and may find one.
                    self.dispatch(turn);
                }
                self.restaff(turn);
            }
        }
        Ok(task)
    }

    /// A worker has started, and its initializer is done.
    pub(crate) fn worker_ready(
        &mut self,
        worker: WorkerId,
        turn: &mut Turn<'_, J>,
    ) -> Result<(), Violation> {
        let at = self.find(worker).ok_or(Violation::UnknownWorker)?;
        let has_place = self.active() < self.policy.max_workers;
        let entry = &mut self.workers[at];
        if entry.was_ready {
            return Err(Violation::ReadyTwice);
        }
        entry.was_ready = true;
        entry.ready_ns = turn.now;
        self.supervision
            .worker_ready(worker, turn.now.saturating_sub(entry.asked_ns));
        if entry.stage == Stage::Starting {
            entry.stage = Stage::Ready;
            entry.is_on_hold = !has_place;
            self.has_room(at, turn);
            // It may have to wait, and not be the only one that is needed.
            self.restaff(turn);
            self.relieve(turn);
        }
        Ok(())
    }

    /// The result of a worker's head has come.
    pub(crate) fn finished(
        &mut self,
        worker: WorkerId,
        seq: u32,
        finish: Finish,
        turn: &mut Turn<'_, J>,
    ) -> Result<(), Violation> {
        let Some(at) = self.find_serving(worker)? else {
            return Ok(());
        };
        let chunks = self.workers[at].chunks();
        let task = self.workers[at].finish(seq, turn.now)?;
        self.chunks -= chunks - self.workers[at].chunks();
        // One less: what was behind the head has become the head.
        self.prefetched -= usize::from(self.workers[at].open() > 0);
        self.supervision.progress();
        if let Some(entry) = self.tasks.get(&task) {
            if let Some(run_ns) = finish.run_ns {
                self.estimates.learn_from(&entry.terms(), run_ns);
            }
            match finish.again {
                None => self.complete(task, End::Finished, turn.out),
                Some(again) => self.try_again(task, again, turn),
            }
        }
        self.head_ended(at, seq, turn);
        self.wear(at, finish.resident_kib, turn);
        self.has_room(at, turn);
        if finish.again.is_some() {
            // Its worker may not be one that takes it.
            self.dispatch(turn);
            self.restaff(turn);
            self.retire_free(turn.out);
        }
        self.divide(turn);
        self.watch_chunks(turn.now);
        Ok(())
    }

    /// A worker has skipped the recalled frames up to `seq`.
    pub(crate) fn passed(
        &mut self,
        worker: WorkerId,
        seq: u32,
        turn: &mut Turn<'_, J>,
    ) -> Result<(), Violation> {
        let Some(at) = self.find_serving(worker)? else {
            return Ok(());
        };
        self.workers[at].pass(seq)?;
        self.has_room(at, turn);
        Ok(())
    }

    /// A worker's process is gone; what it sent before has been brought.
    pub(crate) fn worker_gone(&mut self, worker: WorkerId, turn: &mut Turn<'_, J>) {
        let Some(gone) = self.remove_worker(worker) else {
            return;
        };
        let has_begun = self.judge(&gone, turn);
        if has_begun {
            self.supervision.progress();
        }
        let is_expected = gone.is_leaving || gone.is_abandoned;
        self.account_for_death(&gone, has_begun || is_expected, turn);
        self.activate(turn);
        self.dispatch(turn);
        // Last, since a process takes long to start.
        self.restaff(turn);
        self.retire_free(turn.out);
    }

    /// Ends a task that has not begun; of a chunk that has, what of it has not.
    pub(crate) fn cancel(&mut self, task: TaskId, turn: &mut Turn<'_, J>) -> Cancel {
        match self.end_unbegun(task, End::Cancelled, turn) {
            TakenBack::Taken => Cancel::Cancelled,
            TakenBack::Unknown => Cancel::Unknown,
            TakenBack::Begun { at, seq } => {
                self.end_rest(at, seq, turn);
                Cancel::Running {
                    worker: self.workers[at].id,
                    seq,
                }
            }
        }
    }

    /// Ends a task like this, if it has not begun.
    pub(super) fn end_unbegun(
        &mut self,
        task: TaskId,
        end: End,
        turn: &mut Turn<'_, J>,
    ) -> TakenBack {
        let Some(entry) = self.tasks.get(&task) else {
            return TakenBack::Unknown;
        };
        let Some((worker, seq)) = entry.sent else {
            let was_first = self.queue.first() == Some(task);
            self.complete(task, end, turn.out);
            if was_first {
                // The next one may be shorter, and fit where this one did not.
                self.dispatch(turn);
            }
            self.retire_free(turn.out);
            return TakenBack::Taken;
        };
        let Some(at) = self.find(worker) else {
            return TakenBack::Unknown;
        };
        if !self.recall(at, seq, turn) {
            return TakenBack::Begun { at, seq };
        }
        self.complete(task, end, turn.out);
        self.watch_head(at, turn.now);
        self.has_room(at, turn);
        TakenBack::Taken
    }

    /// Has a worker killed: because of what it said, or because its task is to end. Its tasks
    /// stay with it until it is gone; results that it sent before are still welcome.
    pub(crate) fn kill_worker(&mut self, worker: WorkerId, out: &mut Vec<Action<J>>) {
        let Some(at) = self.find(worker) else { return };
        if self.workers[at].stage != Stage::Killed {
            self.unlist_idle(at);
            self.workers[at].stage = Stage::Killed;
            self.weigh(at);
            out.push(Action::Kill { worker });
        }
    }

    /// What may be submitted.
    pub(crate) fn state(&self) -> State {
        match self.shutdown {
            _ if self.is_broken => State::Broken,
            Some(mode) => State::ShutDown(mode),
            None => State::Open,
        }
    }

    /// Whether nothing is left of a pool that was shut down or broke: no task, no worker.
    pub(crate) fn is_finished(&self) -> bool {
        self.state() != State::Open && self.tasks.is_empty() && self.workers.is_empty()
    }

    /// How many tasks are pending.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn pending(&self) -> usize {
        self.tasks.len()
    }

    /// How many of those wait for a worker.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// How long a run of this function takes, if that is known.
    pub(crate) fn item_ns(&self, function: u32) -> Option<u64> {
        self.estimates.mean(function)
    }

    /// The job of a pending task.
    pub(crate) fn job(&self, task: TaskId) -> Option<&J> {
        self.tasks.get(&task).map(|entry| &entry.job)
    }

    /// The job of a pending task, to be changed in place.
    pub(crate) fn job_mut(&mut self, task: TaskId) -> Option<&mut J> {
        self.tasks.get_mut(&task).map(|entry| &mut entry.job)
    }

    /// Where a pending task is.
    pub(crate) fn place_of(&self, task: TaskId) -> Option<Place> {
        Some(match self.tasks.get(&task)?.sent {
            None => Place::Queued,
            Some((worker, seq)) => {
                let is_head = self.head_of(worker) == Some((task, seq));
                Place::Sent {
                    worker,
                    seq,
                    is_head,
                }
            }
        })
    }

    /// The oldest task that a worker has, and its sequence number.
    pub(crate) fn head_of(&self, worker: WorkerId) -> Option<(TaskId, u32)> {
        self.workers[self.find(worker)?].head()
    }

    /// Whether a worker's tasks were ended over its head: what it says of them is of no interest.
    pub(crate) fn is_abandoned(&self, worker: WorkerId) -> bool {
        self.find(worker)
            .is_some_and(|at| self.workers[at].is_abandoned)
    }

    pub(super) fn find(&self, worker: WorkerId) -> Option<usize> {
        self.workers
            .binary_search_by_key(&worker, |entry| entry.id)
            .ok()
    }

    /// Hands a task's job out.
    pub(super) fn complete(&mut self, task: TaskId, end: End, out: &mut Vec<Action<J>>) {
        let Some(entry) = self.tasks.remove(&task) else {
            return;
        };
        if let Some(deadline_ns) = entry.deadline_ns() {
            self.timers.unset(deadline_ns.get(), Timer::Deadline(task));
        }
        if entry.sent.is_none() {
            match self.pausing.remove(&task) {
                Some(again_ns) => self.timers.unset(again_ns, Timer::Again(task)),
                None => drop(self.queue.remove(task, entry.terms.priority)),
            }
        }
        if let Some(chunk) = entry.part_of() {
            self.dividing.forget(chunk, task);
        }
        let job = entry.job;
        out.push(Action::Complete { task, job, end });
    }

    /// Queues a task that is with no worker (any more).
    pub(super) fn requeue(&mut self, task: TaskId) {
        if let Some(entry) = self.tasks.get_mut(&task) {
            entry.sent = None;
            self.queue.insert(task, entry.terms.priority);
        }
    }

    /// Queues what is left of a task that has begun and failed, after a pause.
    pub(super) fn try_again(&mut self, task: TaskId, again: Again, turn: &mut Turn<'_, J>) {
        if let Some(entry) = self.tasks.get_mut(&task) {
            entry.has_begun = true;
            entry.set_items(again.items);
        }
        self.put_back(task, again.pause_ns, turn);
    }

    /// Queues a task that is with no worker any more, after a pause; while what is pending is cancelled, so is this. One whose
    /// deadline has passed has ended.
    fn put_back(&mut self, task: TaskId, pause_ns: u64, turn: &mut Turn<'_, J>) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        let deadline_ns = entry.deadline_ns();
        if deadline_ns.is_some_and(|deadline_ns| deadline_ns.get() <= turn.now) {
            // Its timer is gone.
            return self.complete(task, End::Overdue, turn.out);
        }
        entry.sent = None;
        if self.shutdown >= Some(Shutdown::CancelPending) {
            self.complete(task, End::Cancelled, turn.out);
        } else if pause_ns == 0 {
            self.requeue(task);
        } else {
            let again_ns = turn.now.saturating_add(pause_ns);
            self.pausing.insert(task, again_ns);
            self.timers.set(again_ns, Timer::Again(task));
        }
    }

    /// The worker, if what it says about tasks counts.
    fn find_serving(&self, worker: WorkerId) -> Result<Option<usize>, Violation> {
        let at = self.find(worker).ok_or(Violation::UnknownWorker)?;
        match &self.workers[at] {
            entry if entry.is_abandoned => Ok(None),
            entry if !entry.was_ready => Err(Violation::NotReady),
            _ => Ok(Some(at)),
        }
    }

    /// Ends or requeues what a worker had when it went; says whether any of it had begun.
    fn judge(&mut self, gone: &Worker, turn: &mut Turn<'_, J>) -> bool {
        let mut has_begun = false;
        let mut is_next = gone.stage == Stage::Ready;
        for (seq, sent) in gone.open_frames() {
            let task = sent.task;
            let Some(entry) = self.tasks.get_mut(&task) else {
                continue;
            };
            let cause = gone.ending.as_ref().and_then(|ending| ending.cause_of(seq));
            let verdict = turn.pages.judge(gone.id, seq, task, &mut entry.job, cause);
            has_begun |= verdict != Verdict::NotBegun;
            // Whatever ended the worker, it may have been the first that it had not begun: by its mere arrival.
            let is_suspect = is_next && !entry.has_begun && verdict == Verdict::NotBegun;
            entry.suspicion += u8::from(is_suspect);
            is_next = false;
            match verdict {
                Verdict::Begun => self.complete(task, End::Lost, turn.out),
                _ if self.shutdown >= Some(Shutdown::CancelPending) => {
                    self.complete(task, End::Cancelled, turn.out);
                }
                Verdict::NotBegun if entry.suspicion >= MAX_SUSPICION => {
                    turn.pages.give_up(gone.id, task, &mut entry.job);
                    self.complete(task, End::GivenUp, turn.out);
                }
                Verdict::NotBegun => self.put_back(task, 0, turn),
                Verdict::Continue(again) => self.try_again(task, again, turn),
            }
        }
        has_begun
    }
}
