//! The machine: its state, and the events of tasks and workers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::estimate::Estimates;
use super::queue::Queue;
use super::worker::{Stage, Worker};
use super::{
    Action, Cancel, End, MAX_FUTILE_DEATHS, Pages, Place, Shutdown, State, Verdict, Violation,
    WorkerId,
};
use crate::error::TaskId;

/// The tasks that are pending, the workers, and who does what. See the module's documentation.
///
/// Events take the time as `now`, nanoseconds of any monotonic clock, and append what is to be done
/// to `out`.
pub(crate) struct Scheduler<J> {
    /// Every pending task.
    pub(super) tasks: HashMap<TaskId, Task<J>, BuildHasherDefault<TaskHasher>>,
    /// Those that wait for a worker.
    pub(super) queue: Queue,
    /// Every worker that is not gone, by ascending number.
    pub(super) workers: Vec<Worker>,
    /// For each of `workers`, its [`Worker::prefetch_load_ns`]: what is asked of all of them for
    /// every prefetched task lies side by side.
    pub(super) loads_ns: Vec<u32>,
    /// The workers that could begin a task this moment; the most recently used one is the last.
    pub(super) idle: Vec<WorkerId>,
    /// How many tasks were sent to workers and wait behind a head.
    pub(super) prefetched: usize,
    pub(super) estimates: Estimates,
    /// When stuck workers were last looked for.
    pub(super) unstuck_ns: u64,
    /// How many workers there ought to be.
    pub(super) wanted: usize,
    pub(super) shutdown: Option<Shutdown>,
    pub(super) is_broken: bool,
    /// The sequence number of each worker's first frame.
    pub(super) first_seq: u32,
    next_task: u64,
    next_worker: u32,
    /// The workers below this number are the initial ones.
    initial_end: u32,
    /// How many of those have not been ready yet.
    initial_left: usize,
    /// How many workers have gone since anything was last finished, or begun and lost.
    futile_deaths: u32,
}

/// A pending task.
pub(super) struct Task<J> {
    pub(super) function: u32,
    /// The worker it was sent to, and its sequence number there; `None` while it is queued.
    pub(super) sent: Option<(WorkerId, u32)>,
    pub(super) job: J,
}

impl<J> Scheduler<J> {
    pub(crate) fn new() -> Self {
        Self {
            tasks: HashMap::default(),
            queue: Queue::default(),
            workers: Vec::new(),
            loads_ns: Vec::new(),
            idle: Vec::new(),
            prefetched: 0,
            estimates: Estimates::default(),
            unstuck_ns: 0,
            wanted: 0,
            shutdown: None,
            is_broken: false,
            first_seq: 0,
            next_task: 0,
            next_worker: 0,
            initial_end: 0,
            initial_left: 0,
            futile_deaths: 0,
        }
    }

    /// Asks for the initial workers. Called once, before anything else.
    pub(crate) fn start(&mut self, wanted: usize, out: &mut Vec<Action<J>>) {
        self.wanted = wanted;
        self.restaff(out);
        self.initial_end = self.next_worker;
        self.initial_left = self.workers.len();
    }

    /// Takes a task on; gives the job back when no tasks are welcome ([`Scheduler::state`]).
    ///
    /// `function` names the estimate that the task's run time is counted to: a small number.
    pub(crate) fn submit(
        &mut self,
        function: u32,
        job: J,
        now: u64,
        out: &mut Vec<Action<J>>,
    ) -> Result<TaskId, J> {
        if self.state() != State::Open {
            return Err(job);
        }
        let task = TaskId(self.next_task);
        self.next_task += 1;
        self.tasks.insert(
            task,
            Task {
                function,
                sent: None,
                job,
            },
        );
        // A queue that is not empty says that the first in it found no place, and what is behind
        // the first must not overtake it.
        let place = if self.queue.is_empty() {
            self.place_for(function, now)
        } else {
            None
        };
        match place {
            Some(at) => self.send(at, task, now, out),
            None => self.queue.insert(task),
        }
        Ok(task)
    }

    /// A worker has started, and its initializer is done.
    pub(crate) fn worker_ready(
        &mut self,
        worker: WorkerId,
        now: u64,
        pages: &mut dyn Pages<J>,
        out: &mut Vec<Action<J>>,
    ) -> Result<(), Violation> {
        let at = self.find(worker).ok_or(Violation::UnknownWorker)?;
        let entry = &mut self.workers[at];
        if entry.was_ready {
            return Err(Violation::ReadyTwice);
        }
        entry.was_ready = true;
        if worker.0 < self.initial_end {
            self.initial_left -= 1;
        }
        if entry.stage == Stage::Starting {
            entry.stage = Stage::Ready;
            self.has_room(at, now, pages, out);
        }
        Ok(())
    }

    /// The result of a worker's head has come. `run_ns` is how long it ran, where that says
    /// something about the next run of its function.
    pub(crate) fn finished(
        &mut self,
        worker: WorkerId,
        seq: u32,
        run_ns: Option<u64>,
        now: u64,
        pages: &mut dyn Pages<J>,
        out: &mut Vec<Action<J>>,
    ) -> Result<(), Violation> {
        let Some(at) = self.find_serving(worker)? else {
            return Ok(());
        };
        let task = self.workers[at].finish(seq, now)?;
        // One less: what was behind the head has become the head.
        self.prefetched -= usize::from(self.workers[at].open() > 0);
        self.futile_deaths = 0;
        if let Some(Task { function, job, .. }) = self.tasks.remove(&task) {
            if let Some(run_ns) = run_ns {
                self.estimates.learn(function, run_ns);
            }
            out.push(Action::Complete {
                task,
                job,
                end: End::Finished,
            });
        }
        self.has_room(at, now, pages, out);
        Ok(())
    }

    /// A worker has skipped the recalled frames up to `seq`.
    pub(crate) fn passed(
        &mut self,
        worker: WorkerId,
        seq: u32,
        now: u64,
        pages: &mut dyn Pages<J>,
        out: &mut Vec<Action<J>>,
    ) -> Result<(), Violation> {
        let Some(at) = self.find_serving(worker)? else {
            return Ok(());
        };
        self.workers[at].pass(seq)?;
        self.has_room(at, now, pages, out);
        Ok(())
    }

    /// A worker's process is gone, or could not be started; what it sent before has been brought.
    pub(crate) fn worker_gone(
        &mut self,
        worker: WorkerId,
        now: u64,
        pages: &mut dyn Pages<J>,
        out: &mut Vec<Action<J>>,
    ) {
        let Some(at) = self.find(worker) else { return };
        self.unlist_idle(at);
        let gone = self.workers.remove(at);
        self.loads_ns.remove(at);
        self.prefetched -= gone.open().saturating_sub(1);
        let has_begun = self.judge(&gone, pages, out);
        if has_begun {
            self.futile_deaths = 0;
        }
        let is_start_failure = worker.0 < self.initial_end && !gone.was_ready;
        if is_start_failure {
            self.initial_left -= 1;
        }
        if gone.stage != Stage::Retiring && !gone.is_abandoned {
            self.futile_deaths += u32::from(!has_begun);
            let deaths = self.futile_deaths;
            if is_start_failure && self.state() == State::Open {
                out.push(Action::StartFailed { worker });
                self.break_pool(pages, out);
            } else if deaths >= self.max_futile_deaths() {
                out.push(Action::Broken { worker, deaths });
                self.break_pool(pages, out);
            }
        }
        self.dispatch(now, out);
        // Last, since a process takes long to start.
        self.restaff(out);
        self.retire_free(out);
    }

    /// Ends a task that has not begun.
    pub(crate) fn cancel(
        &mut self,
        task: TaskId,
        now: u64,
        pages: &mut dyn Pages<J>,
        out: &mut Vec<Action<J>>,
    ) -> Cancel {
        let Some(entry) = self.tasks.get(&task) else {
            return Cancel::Unknown;
        };
        let Some((worker, seq)) = entry.sent else {
            let was_first = self.queue.first() == Some(task);
            self.queue.remove(task);
            self.complete(task, End::Cancelled, out);
            if was_first {
                // The next one may be shorter, and fit where this one did not.
                self.dispatch(now, out);
                self.retire_free(out);
            }
            return Cancel::Cancelled;
        };
        let Some(at) = self.find(worker) else {
            return Cancel::Unknown;
        };
        if !self.recall(at, seq, pages) {
            return Cancel::Running { worker, seq };
        }
        self.complete(task, End::Cancelled, out);
        self.has_room(at, now, pages, out);
        Cancel::Cancelled
    }

    /// Has a worker killed: because of what it said, or because its task ran out of time. Its tasks
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

    /// Whether an initial worker has not been ready yet.
    pub(crate) fn is_starting(&self) -> bool {
        self.initial_left > 0
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

    pub(super) fn find(&self, worker: WorkerId) -> Option<usize> {
        self.workers
            .binary_search_by_key(&worker, |entry| entry.id)
            .ok()
    }

    /// Hands a task's job out.
    pub(super) fn complete(&mut self, task: TaskId, end: End, out: &mut Vec<Action<J>>) {
        if let Some(Task { job, .. }) = self.tasks.remove(&task) {
            out.push(Action::Complete { task, job, end });
        }
    }

    /// Asks for the workers that are missing. While the pool is shut down only those for which
    /// something is queued are missing.
    fn restaff(&mut self, out: &mut Vec<Action<J>>) {
        let mut useful = match self.state() {
            State::Open => usize::MAX,
            State::ShutDown(Shutdown::Drain | Shutdown::CancelPending) => {
                let starting = self
                    .workers
                    .iter()
                    .filter(|worker| worker.stage == Stage::Starting);
                self.queue.len().saturating_sub(starting.count())
            }
            State::ShutDown(Shutdown::Kill) | State::Broken => 0,
        };
        let staff = self
            .workers
            .iter()
            .filter(|worker| worker.stage != Stage::Retiring)
            .count();
        useful = useful.min(self.wanted.saturating_sub(staff));
        for _ in 0..useful {
            let worker = WorkerId(self.next_worker);
            self.next_worker += 1;
            self.workers.push(Worker::new(worker, self.first_seq));
            self.loads_ns.push(u32::MAX);
            out.push(Action::Spawn { worker });
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
    fn judge(&mut self, gone: &Worker, pages: &mut dyn Pages<J>, out: &mut Vec<Action<J>>) -> bool {
        let mut has_begun = false;
        for (seq, sent) in gone.open_frames() {
            let Some(entry) = self.tasks.get_mut(&sent.task) else {
                continue;
            };
            let verdict = pages.judge(gone.id, seq, sent.task, &mut entry.job);
            has_begun |= verdict != Verdict::NotBegun;
            if verdict == Verdict::Begun {
                self.complete(sent.task, End::Lost, out);
            } else if self.shutdown >= Some(Shutdown::CancelPending) {
                self.complete(sent.task, End::Cancelled, out);
            } else {
                entry.sent = None;
                self.queue.insert(sent.task);
            }
        }
        has_begun
    }

    fn max_futile_deaths(&self) -> u32 {
        let others = u32::try_from(self.wanted.saturating_sub(1)).unwrap_or(u32::MAX);
        MAX_FUTILE_DEATHS.saturating_add(others)
    }
}

/// Keeps consecutive numbers side by side: the low bits, which choose the place in the table, are
/// the number's own, and so are the upmost seven, by which a place is recognised. (Spreading them
/// cost a cache miss per access with 100,000 tasks.) The numbers come from this machine, so nobody
/// can choose them to collide.
#[derive(Default)]
pub(super) struct TaskHasher(u64);

impl Hasher for TaskHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 << 8 | u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number ^ number << 57;
    }
}
