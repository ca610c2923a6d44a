//! A world for the scheduler: workers that run, die, lie and are slow to be heard, callers that
//! submit, cancel and kill, a clock that is looked at too late, all driven by bytes. After every event
//! the scheduler is compared with the obvious [`Model`], and its invariants are checked.
//!
//! Every race is played in each order in which it can be heard of: a task ends, and its result is on its way,
//! while it is cancelled, killed, out of time, or while its worker dies or everything is shut down.

mod callers;
mod check;
mod model;
mod pages;
mod supervision;
mod workers;

use model::{Job, Model, Worker};
use supervision::Expected;

use super::timers::Timer;
use super::{
    Action, Grace, Permits, Policy, Recycling, Scheduler, Shutdown, Terms, Turn, Waiter, WorkerId,
};
use crate::error::TaskId;

/// Plays the events that the bytes stand for, then lets everything come to its end.
pub(crate) fn fuzz(data: &[u8]) {
    let (config, events) = data.split_at(data.len().min(4));
    let config = std::array::from_fn(|at| config.get(at).copied().unwrap_or(0));
    let mut world = World::new(config);
    for event in events.chunks_exact(2) {
        world.event(event[0], event[1]);
    }
    world.finish();
}

const MAX_PENDING: usize = 150;

struct World {
    scheduler: Scheduler<Job>,
    model: Model,
    permits: Permits,
    waiters: Vec<(Waiter, u8)>,
    out: Vec<Action<Job>>,
    first_seq: u32,
    has_bursts: bool,
    /// [`Model::is_racing`] in each event.
    has_races: bool,
    expected: Expected,
    /// What may end within this event, and how.
    cancelling: Option<u64>,
    finishing: Option<u64>,
    /// Who is killed within this event because of what it has said, or from outside.
    punishing: Option<WorkerId>,
}

/// The policy that the bytes stand for.
fn policy_of(config: [u8; 4]) -> Policy {
    let [size, staff, wear, patience] = config;
    let max_workers = usize::from(size % 4) + 1;
    let min_workers = match staff % 4 {
        0 | 1 => max_workers,
        2 => 1,
        _ => 0,
    };
    let of = |choices: [u64; 4], choice: u8| match choices[usize::from(choice % 4)] {
        0 => None,
        choice => Some(choice),
    };
    Policy {
        min_workers,
        max_workers,
        idle_timeout_ns: of([0, 30_000, 2_000_000, 500_000_000], staff >> 2),
        prefetch: staff >> 4 & 3 != 3,
        recycling: Recycling {
            max_tasks: of([0, 1, 3, 70], wear).map(|max| max as u32),
            max_age_ns: of([0, 1, 1_000_000, 400_000_000], wear >> 2),
            max_resident_kib: of([0, 0, 40, 200], wear >> 4),
            max_growth_kib: of([0, 0, 15, 100], wear >> 6),
        },
        grace: Grace {
            cancel_ns: of([0, 0, 20_000, 3_000_000], patience).unwrap_or(0),
            terminate_ns: of([0, 0, 20_000, 3_000_000], patience >> 2).unwrap_or(0),
        },
        max_restarts: u32::from(patience >> 4 & 7),
    }
}

impl World {
    fn new(config: [u8; 4]) -> Self {
        let policy = policy_of(config);
        let mut world = Self {
            scheduler: Scheduler::new(policy.clone()),
            expected: Expected::default(),
            permits: Permits::new(MAX_PENDING),
            waiters: Vec::new(),
            out: Vec::new(),
            // The numbers wrap soon.
            first_seq: if config[0] & 4 == 0 {
                0
            } else {
                u32::MAX - u32::from(config[0] >> 3)
            },
            has_bursts: config[0] & 8 == 0,
            has_races: config[3] & 128 != 0,
            cancelling: None,
            finishing: None,
            punishing: None,
            model: Model::new(policy),
        };
        world.scheduler.first_seq = world.first_seq;
        world.turn(Scheduler::start);
        world.carry_out();
        let initial = world.model.workers.len();
        assert_eq!(initial, world.model.policy.min_workers);
        world.expected.initial_end = initial as u32;
        world
    }

    fn event(&mut self, kind: u8, arg: u8) {
        let workers = self.model.workers.len().max(1);
        let at = usize::from(arg) % workers;
        match kind % 96 {
            0..=7 => self.submit(arg % 4),
            64..=73 => self.submit(arg),
            16 | 17 => (0..arg % 8).for_each(|_| self.submit(arg / 64 % 3)),
            18 if self.has_bursts => (0..arg % 64).for_each(|_| self.submit(arg / 64)),
            20..=27 | 86 | 87 => self.model.step(at),
            28..=34 => self.end(at, arg),
            35..=41 => self.deliver(at),
            42..=50 => {
                self.model.step(at);
                self.end(at, arg);
                self.deliver(at);
            }
            8..=15 => self.step_all(arg),
            51..=53 => self.pass_time(arg),
            74..=76 => {
                self.pass_time(arg);
                self.tick();
            }
            77 | 78 => self.tick(),
            79..=82 => self.sleep(),
            54..=56 => self.cancel(u64::from(arg)),
            83..=85 => self.kill(u64::from(arg)),
            57 => self.die(at, arg),
            19 | 58 | 59 => {
                let dead = self.model.workers.iter().position(|worker| worker.is_dead);
                self.gone(dead.unwrap_or(at));
            }
            60 => self.withdraw(arg),
            61 if arg < 8 => self.shutdown(Shutdown::Drain),
            61 if arg < 14 => self.shutdown(Shutdown::CancelPending),
            61 if arg < 20 => self.shutdown(Shutdown::Kill),
            61 if arg < 26 => self.shutdown(Shutdown::Terminate),
            61 if arg < 29 => {
                self.turn(Scheduler::break_pool);
                self.model.is_broken = true;
                self.carry_out();
            }
            62 if arg < 64 => self.babble(at, arg),
            63 if arg < 64 => {
                if let Some(worker) = self.model.workers.get_mut(at) {
                    worker.lies_next = true;
                }
            }
            88 if arg < 100 => self.resize(arg),
            89 | 90 => self.start_failed(at),
            91..=93 => self.model.is_racing = true,
            _ => self.kill_worker(at, arg),
        }
    }

    fn turn<R>(&mut self, event: impl FnOnce(&mut Scheduler<Job>, &mut Turn<'_, Job>) -> R) -> R {
        let turn = &mut Turn {
            now: self.model.now,
            pages: &mut self.model,
            out: &mut self.out,
        };
        event(&mut self.scheduler, turn)
    }

    fn pass_time(&mut self, arg: u8) {
        let times = [0, 1_000, 20_000, 100_000, 600_000, 1_100_000, 30_000_000];
        self.model.now += times[usize::from(arg) % times.len()];
    }

    /// The scheduler is told what time it is.
    fn tick(&mut self) {
        let now = self.model.now;
        let is_due = |at_ns: Option<u64>| at_ns.is_some_and(|at_ns| at_ns <= now);
        if !is_due(self.scheduler.next_tick_ns()) {
            self.turn(Scheduler::tick);
            assert_eq!(self.out, []);
        }
        while is_due(self.scheduler.next_tick_ns()) {
            let first = self.scheduler.timers.all().next();
            if first.is_some_and(|(_, timer)| timer == Timer::Start) {
                self.expected.paused_until_ns = None;
            }
            self.turn(Scheduler::tick);
            self.carry_out();
        }
        self.check_time();
    }

    /// Nothing happens until something is due.
    fn sleep(&mut self) {
        if let Some(due_ns) = self.scheduler.next_tick_ns() {
            self.model.now = self.model.now.max(due_ns);
            self.tick();
        }
    }

    /// Does what the scheduler said, then checks everything.
    fn carry_out(&mut self) {
        let recalls = std::mem::take(&mut self.model.recalls);
        let mut ended = 0;
        let mut sent = Vec::new();
        for action in std::mem::take(&mut self.out) {
            match action {
                Action::Spawn { worker } => {
                    assert_eq!(
                        self.expected.paused_until_ns, None,
                        "nobody starts in a pause"
                    );
                    let worker = Worker::new(worker, self.first_seq, &self.model.policy);
                    self.model.workers.push(worker);
                }
                Action::Send { worker, seq, task } => {
                    self.send(worker, seq, task);
                    sent.push(task.0);
                }
                Action::Complete { task, job, end } => {
                    self.complete(task, &job, end);
                    ended += usize::from(self.model.is_all_ended(task.0));
                }
                Action::Retire { worker } => {
                    let worker = self.model.worker(worker);
                    assert!(!worker.is_retired && !worker.is_killed && worker.open().is_empty());
                    worker.is_retired = true;
                }
                Action::Terminate { worker } => {
                    let is_shut_down = self.model.shutdown == Some(Shutdown::Terminate);
                    let worker = self.model.worker(worker);
                    assert!(is_shut_down || worker.condemned.is_some());
                    assert!(!worker.is_terminated || is_shut_down);
                    worker.is_terminated = true;
                    worker.is_retired |= is_shut_down;
                }
                Action::Kill { worker } => {
                    self.check_kill(worker);
                    let worker = self.model.worker(worker);
                    worker.is_killed = true;
                    worker.is_dead = true;
                }
                Action::StartFailed { .. } => {
                    assert!(!self.model.is_broken, "a pool breaks once");
                    assert_eq!(self.expected.broken, Some(None));
                    self.model.is_broken = true;
                }
                Action::Broken { deaths, .. } => {
                    assert!(!self.model.is_broken, "a pool breaks once");
                    assert_eq!(self.expected.broken, Some(Some(deaths)));
                    self.model.is_broken = true;
                }
            }
        }
        assert!(self.expected.broken.is_none() || self.model.is_broken);
        if self.model.is_broken || self.model.shutdown >= Some(Shutdown::Terminate) {
            self.expected.paused_until_ns = None;
            for worker in &mut self.model.workers {
                worker.is_abandoned = true;
                worker.frames.clear();
            }
        }
        self.follow();
        if recalls == 0 {
            self.check_order(&sent);
        }
        self.check();
        self.forget_event();
        (0..ended).for_each(|_| self.release());
    }

    fn forget_event(&mut self) {
        self.cancelling = None;
        self.finishing = None;
        self.punishing = None;
        self.model.is_racing = self.has_races;
        self.model.is_cancelling = false;
        for task in &mut self.model.tasks {
            task.verdict = None;
            task.is_given_up = false;
        }
    }

    /// No more surprises: whoever lied is killed, everybody else works until nothing is left.
    fn finish(&mut self) {
        self.shutdown(Shutdown::Drain);
        for round in 0..100_000 {
            if self.scheduler.is_finished() {
                break;
            }
            self.model.now += 10_000;
            self.tick();
            for at in 0..self.model.workers.len() {
                let worker = &mut self.model.workers[at];
                worker.lies_next = false;
                worker.is_dead |= worker.is_liar;
                self.model.step(at);
                self.end(at, 0);
                self.deliver(at);
            }
            for at in (0..self.model.workers.len()).rev() {
                self.gone(at);
            }
            if round % 8 == 7 {
                // Pauses, and graces.
                self.sleep();
            }
        }
        assert!(self.scheduler.is_finished(), "everything comes to its end");
        assert!(self.model.pending().is_empty());
        assert!(self.waiters.is_empty());
        assert_eq!((self.permits.free(), self.permits.held()), (MAX_PENDING, 0));
    }
}

/// The terms that a byte stands for: those of a small one are plain.
fn terms_of(arg: u8, now: u64) -> Terms {
    let limit = |ns: u64| std::num::NonZeroU64::new(ns);
    Terms {
        function: u32::from(arg % 4),
        more_items: match (arg % 4, arg & 32) {
            (2, 0) => 2,
            (2, _) => 9,
            _ => 0,
        },
        priority: [0, 0, 1, 0, -1, 0, 2, 0][usize::from(arg >> 2 & 7)],
        is_alone: arg & 15 == 7,
        timeout_ns: match arg >> 4 & 3 {
            1 => limit(30_000),
            2 => limit(3_000_000),
            _ => None,
        },
        deadline_ns: match arg >> 6 {
            1 => limit(now + 50_000),
            2 => limit(now + 5_000_000),
            _ => None,
        },
    }
}

/// As an action says it.
fn number_of(TaskId(task): TaskId) -> usize {
    task as usize
}
