//! How many workers there are: starts, replacements, recycling, idleness, and other sizes.

use super::machine::Scheduler;
use super::timers::Timer;
use super::worker::{Stage, Worker};
use super::{Action, FIRST_PAUSE_NS, LONGEST_PAUSE_NS, STUCK_NS, Shutdown, State, Turn, WorkerId};

/// What counts as the time of a worker's start before one has been seen.
const UNKNOWN_START_NS: u64 = 50_000_000;

/// A successor is asked for when its predecessor will be used up, by its pace so far, within so many times the time
/// of a start: the machine is busy just then.
const LEAD: u64 = 2;

/// What is remembered of workers that have gone or could not be started.
#[derive(Debug, Default)]
pub(super) struct Supervision {
    /// The workers below this number are the initial ones.
    initial_end: u32,
    /// How many of those have not been ready yet.
    initial_left: usize,
    /// How many workers have gone since anything was last finished, or begun and lost.
    futile_deaths: u32,
    /// How many in a row the system has refused to start.
    failed_starts: u32,
    /// No worker is started before; a timer is set for it.
    paused_until_ns: Option<u64>,
    /// How long a worker takes to become ready: the mean.
    start_ns: Option<u64>,
    /// Whether it will be looked for what is stuck: a timer is set for it.
    pub(super) looks_for_stuck: bool,
    /// When idle workers are to be looked at: a timer is set for it.
    idle_check_ns: Option<u64>,
}

impl Supervision {
    /// A worker has become ready, after so long.
    pub(super) fn worker_ready(&mut self, worker: WorkerId, start_ns: u64) {
        if worker.0 < self.initial_end {
            self.initial_left -= 1;
        }
        self.failed_starts = 0;
        self.start_ns = Some(match self.start_ns {
            None => start_ns,
            Some(mean) => (mean * 3 + start_ns) / 4,
        });
    }

    /// Something was finished, or has at least begun.
    pub(super) fn progress(&mut self) {
        self.futile_deaths = 0;
    }

    pub(super) fn pause_is_over(&mut self) {
        self.paused_until_ns = None;
    }
}

/// The pause after so many failures in a row.
fn pause_ns(failures: u32) -> u64 {
    let doubled = failures.saturating_sub(1).min(16);
    (FIRST_PAUSE_NS << doubled).min(LONGEST_PAUSE_NS)
}

impl<J> Scheduler<J> {
    /// Asks for the initial workers. Called once, before anything else.
    pub(crate) fn start(&mut self, turn: &mut Turn<'_, J>) {
        self.restaff(turn);
        self.supervision.initial_end = self.next_worker;
        self.supervision.initial_left = self.workers.len();
    }

    /// Whether an initial worker has not been ready yet.
    pub(crate) fn is_starting(&self) -> bool {
        self.supervision.initial_left > 0
    }

    /// The system has refused to start a worker.
    pub(crate) fn start_failed(&mut self, worker: WorkerId, turn: &mut Turn<'_, J>) {
        let Some(gone) = self.remove_worker(worker) else {
            return;
        };
        let is_unwanted = gone.stage != Stage::Starting;
        let is_initial = worker.0 < self.supervision.initial_end;
        let serves = |it: &Worker| it.was_ready && it.stage == Stage::Ready;
        if !is_unwanted && !is_initial && self.workers.iter().any(serves) {
            // The others go on, and nobody needs to hear of it.
            self.supervision.failed_starts += 1;
            self.pause(pause_ns(self.supervision.failed_starts), turn.now);
        } else {
            self.account_for_death(&gone, is_unwanted, turn);
        }
        self.restaff(turn);
        self.retire_free(turn.out);
    }

    /// Other bounds for the number of workers, from now on.
    pub(crate) fn resize(
        &mut self,
        min_workers: usize,
        max_workers: usize,
        turn: &mut Turn<'_, J>,
    ) {
        self.policy.min_workers = min_workers;
        self.policy.max_workers = max_workers;
        // All of them first: what one has is not given to another that has to go too.
        let mut leaving = Vec::new();
        while self.staff > max_workers
            && let Some(at) = self.most_dispensable()
        {
            self.give_notice(at, turn);
            leaving.push(at);
        }
        // Those that wait for their successors are not counted as staff, but run tasks.
        while self.serving() > max_workers
            && let Some(at) = self.workers.iter().position(Worker::is_outgoing)
        {
            self.give_notice(at, turn);
            leaving.push(at);
        }
        for at in leaving {
            self.retire_leaving(at, turn);
        }
        self.activate(turn);
        self.restaff(turn);
        self.watch_idle(turn.now);
    }

    /// Asks for the workers that are missing. While the pool is shut down only those for which
    /// something is queued are missing.
    pub(super) fn restaff(&mut self, turn: &mut Turn<'_, J>) {
        self.watch_stuck(turn.now);
        self.watch_chunks(turn.now);
        let missing = match self.state() {
            State::Open if self.staff >= self.policy.max_workers => 0,
            State::Open => {
                let wanted = self.staff + self.queue.len().saturating_sub(self.starting());
                let wanted = wanted.clamp(self.policy.min_workers, self.policy.max_workers);
                wanted.saturating_sub(self.staff)
            }
            State::ShutDown(Shutdown::Drain | Shutdown::CancelPending) => {
                let useful = self.queue.len().saturating_sub(self.starting());
                useful.min(self.policy.max_workers.saturating_sub(self.staff))
            }
            State::ShutDown(Shutdown::Terminate | Shutdown::Kill) | State::Broken => 0,
        };
        if missing == 0 || self.supervision.paused_until_ns.is_some() {
            return;
        }
        for _ in 0..missing {
            let worker = WorkerId(self.next_worker);
            self.next_worker += 1;
            let entry = Worker::new(worker, self.first_seq, &self.policy, turn.now);
            self.workers.push(entry);
            self.loads_ns.push(u32::MAX);
            turn.out.push(Action::Spawn { worker });
        }
        self.staff += missing;
    }

    /// Takes a worker off the list.
    pub(super) fn remove_worker(&mut self, worker: WorkerId) -> Option<Worker> {
        let at = self.find(worker)?;
        self.unlist_idle(at);
        self.unwatch_head(at);
        let gone = self.workers.remove(at);
        self.loads_ns.remove(at);
        self.prefetched -= gone.open().saturating_sub(1);
        self.chunks -= gone.chunks();
        self.recount();
        Some(gone)
    }

    /// Breaks the pool, if this death was one too many.
    pub(super) fn account_for_death(
        &mut self,
        gone: &Worker,
        is_excused: bool,
        turn: &mut Turn<'_, J>,
    ) {
        let worker = gone.id;
        let is_initial = worker.0 < self.supervision.initial_end && !gone.was_ready;
        if is_initial {
            self.supervision.initial_left -= 1;
        }
        if is_excused {
            return;
        }
        self.supervision.futile_deaths += 1;
        let deaths = self.supervision.futile_deaths;
        let workers = u32::try_from(self.policy.max_workers).unwrap_or(u32::MAX);
        if is_initial && self.state() == State::Open {
            turn.out.push(Action::StartFailed { worker });
            self.break_pool(turn);
        } else if deaths > self.policy.max_restarts.saturating_add(workers - 1) {
            turn.out.push(Action::Broken { worker, deaths });
            self.break_pool(turn);
        } else if deaths > workers {
            self.pause(pause_ns(deaths - workers), turn.now);
        }
    }

    /// A worker has ended a task: if it is used up, it leaves; if it soon will be, a successor is started.
    pub(super) fn wear(&mut self, at: usize, resident_kib: Option<u64>, turn: &mut Turn<'_, J>) {
        let recycling = self.policy.recycling;
        let worker = &mut self.workers[at];
        if worker.is_leaving || worker.stage != Stage::Ready {
            return;
        }
        let age_ns = turn.now.saturating_sub(worker.ready_ns);
        let is_used_up = worker.budget() == Some(0) && worker.open() == 0;
        let is_too_old = recycling.max_age_ns.is_some_and(|max| age_ns >= max);
        let is_too_large = resident_kib.is_some_and(|resident_kib| {
            let first_kib = *worker.first_resident_kib.get_or_insert(resident_kib);
            let growth_kib = resident_kib.saturating_sub(first_kib);
            recycling
                .max_resident_kib
                .is_some_and(|max| resident_kib >= max)
                || recycling
                    .max_growth_kib
                    .is_some_and(|max| growth_kib >= max)
        });
        if is_used_up || is_too_old || is_too_large {
            return self.leave(at, turn);
        }
        if worker.is_replaced {
            return self.relieve(turn);
        }
        let lead_ns = LEAD * self.supervision.start_ns.unwrap_or(UNKNOWN_START_NS);
        let finished = u64::from(worker.finished.max(1));
        let left_ns = worker
            .budget()
            .map(|left| (age_ns / finished).saturating_mul(u64::from(left) + worker.open() as u64));
        let is_soon_used_up = left_ns.is_some_and(|left_ns| left_ns <= lead_ns);
        let is_soon_too_old = recycling
            .max_age_ns
            .is_some_and(|max| age_ns.saturating_add(lead_ns) >= max);
        if is_soon_used_up || is_soon_too_old {
            self.replace(at, turn);
        }
    }

    /// Asks for another worker in this one's place.
    pub(super) fn replace(&mut self, at: usize, turn: &mut Turn<'_, J>) {
        self.workers[at].is_replaced = true;
        self.recount();
        self.restaff(turn);
    }

    /// Has a worker go as soon as what it has begun has ended.
    pub(super) fn leave(&mut self, at: usize, turn: &mut Turn<'_, J>) {
        self.give_notice(at, turn);
        self.retire_leaving(at, turn);
        self.restaff(turn);
    }

    /// A worker is given nothing more, and what it has not begun is for others.
    fn give_notice(&mut self, at: usize, turn: &mut Turn<'_, J>) {
        self.unlist_idle(at);
        self.workers[at].is_leaving = true;
        self.requeue_last(at, usize::MAX, turn);
        self.weigh(at);
        self.recount();
    }

    /// Says goodbye to a worker that is leaving, when it has nothing left.
    pub(super) fn retire_leaving(&mut self, at: usize, turn: &mut Turn<'_, J>) {
        let worker = &mut self.workers[at];
        let is_free = worker.open() == 0 && matches!(worker.stage, Stage::Starting | Stage::Ready);
        if worker.is_leaving && is_free {
            worker.stage = Stage::Retiring;
            turn.out.push(Action::Retire { worker: worker.id });
            self.activate(turn);
        }
        self.dispatch(turn);
        self.retire_free(turn.out);
    }

    /// Gives places that have become free to workers on hold.
    pub(super) fn activate(&mut self, turn: &mut Turn<'_, J>) {
        let mut has_activated = false;
        while self.active() < self.policy.max_workers
            && let Some(at) = self
                .workers
                .iter()
                .position(|it| it.is_on_hold && it.stage == Stage::Ready)
        {
            self.workers[at].is_on_hold = false;
            self.weigh(at);
            self.list_idle(at, turn.now);
            has_activated = true;
        }
        if has_activated {
            self.give_out(turn);
        }
    }

    /// How many workers may be running tasks.
    pub(super) fn active(&self) -> usize {
        self.workers
            .iter()
            .filter(|worker| worker.is_active())
            .count()
    }

    /// How many of those will be given more.
    fn serving(&self) -> usize {
        let serves = |it: &&Worker| it.is_active() && !it.is_leaving;
        self.workers.iter().filter(serves).count()
    }

    /// Lets those go that have been idle for long enough, down to the least number.
    pub(super) fn retire_idle(&mut self, turn: &mut Turn<'_, J>) {
        self.supervision.idle_check_ns = None;
        let Some(timeout_ns) = self.policy.idle_timeout_ns else {
            return;
        };
        // The first has been idle for longest.
        while self.staff > self.policy.min_workers
            && let Some(at) = self.idle.first().and_then(|&worker| self.find(worker))
            && self.workers[at].idle_ns.saturating_add(timeout_ns) <= turn.now
        {
            self.leave(at, turn);
        }
        self.watch_idle(turn.now);
    }

    /// Sees to it that the worker that has been idle for longest is looked at in time.
    pub(super) fn watch_idle(&mut self, now: u64) {
        // One that is set is early enough: whoever becomes idle later leaves later.
        if let Some(timeout_ns) = self.policy.idle_timeout_ns
            && self.supervision.idle_check_ns.is_none()
            && self.staff > self.policy.min_workers
            && let Some(at) = self.idle.first().and_then(|&worker| self.find(worker))
        {
            let due_ns = self.workers[at].idle_ns.saturating_add(timeout_ns);
            let due_ns = due_ns.max(now + 1);
            self.supervision.idle_check_ns = Some(due_ns);
            self.timers.set(due_ns, Timer::Idle);
        }
    }

    /// While the pool could grow for it, what waits behind heads is looked at from time to time: nobody else may have room for
    /// it, and come and ask.
    pub(super) fn watch_stuck(&mut self, now: u64) {
        let is_worth_it = self.prefetched > 0 && self.staff < self.policy.max_workers;
        if is_worth_it && !self.supervision.looks_for_stuck {
            self.supervision.looks_for_stuck = true;
            let due_ns = now.saturating_add(STUCK_NS + 1);
            self.timers.set(due_ns, Timer::Stuck);
        }
    }

    pub(super) fn grow_for_stuck(&mut self, turn: &mut Turn<'_, J>) {
        self.supervision.looks_for_stuck = false;
        self.give_out(turn);
    }

    /// Lets an idle worker go whose successor waits, if it has only grown old: it would be doing nothing until its next task, and
    /// so would its successor.
    pub(super) fn relieve(&mut self, turn: &mut Turn<'_, J>) {
        let waits = |it: &Worker| it.is_on_hold && it.stage == Stage::Ready;
        let is_old = |it: &Worker| it.is_outgoing() && it.open() == 0 && it.budget().is_none();
        if self.workers.iter().any(waits)
            && let Some(at) = self.workers.iter().position(is_old)
        {
            self.leave(at, turn);
        }
    }

    /// How many of the staff have not been ready yet.
    fn starting(&self) -> usize {
        let starting = |it: &&Worker| it.stage == Stage::Starting && it.is_staff();
        self.workers.iter().filter(starting).count()
    }

    /// Whom the pool would miss least: who waits for a place, who starts, who has been idle for longest, who has least to do.
    fn most_dispensable(&self) -> Option<usize> {
        let staff = self.workers.iter().enumerate();
        staff
            .filter(|(_, worker)| worker.is_staff())
            .min_by_key(|(_, worker)| {
                let is_active = worker.is_active();
                let is_working = worker.open() > 0;
                (is_active, is_working, worker.idle_ns, worker.load_ns())
            })
            .map(|(at, _)| at)
    }

    pub(super) fn recount(&mut self) {
        self.staff = self
            .workers
            .iter()
            .filter(|worker| worker.is_staff())
            .count();
    }

    /// Starts no worker for so long.
    fn pause(&mut self, pause_ns: u64, now: u64) {
        let until_ns = now.saturating_add(pause_ns);
        if let Some(before_ns) = self.supervision.paused_until_ns.replace(until_ns) {
            self.timers.unset(before_ns, Timer::Start);
        }
        self.timers.set(until_ns, Timer::Start);
    }
}
