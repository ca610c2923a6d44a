//! A world for the scheduler: workers that run, die, lie and are slow to be heard, callers that
//! submit and cancel, all driven by bytes. After every event the scheduler is compared with the
//! obvious [`Model`], and its invariants are checked.

mod check;
mod model;

use model::{Job, Message, Model, Status, Task, Worker};

use super::{
    Action, Asked, Cancel, Permits, Scheduler, Shutdown, State, Violation, Waiter, WorkerId,
};
use crate::error::TaskId;

/// Plays the events that the bytes stand for, then lets everything come to its end.
pub(crate) fn fuzz(data: &[u8]) {
    let Some((&config, events)) = data.split_first() else {
        return;
    };
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
    waiters: Vec<(Waiter, u32)>,
    out: Vec<Action<Job>>,
    wanted: usize,
    first_seq: u32,
    has_bursts: bool,
    /// What may end within this event, and how.
    cancelling: Option<u64>,
    finishing: Option<u64>,
}

impl World {
    fn new(config: u8) -> Self {
        let mut world = Self {
            scheduler: Scheduler::new(),
            model: Model {
                now: 1_000_000_000,
                ..Model::default()
            },
            permits: Permits::new(MAX_PENDING),
            waiters: Vec::new(),
            out: Vec::new(),
            wanted: usize::from(config % 4) + 1,
            // The numbers wrap soon.
            first_seq: if config & 4 == 0 {
                0
            } else {
                u32::MAX - u32::from(config >> 3)
            },
            has_bursts: config & 8 == 0,
            cancelling: None,
            finishing: None,
        };
        world.scheduler.first_seq = world.first_seq;
        world.scheduler.start(world.wanted, &mut world.out);
        world.carry_out();
        assert_eq!(world.model.workers.len(), world.wanted);
        world
    }

    fn event(&mut self, kind: u8, arg: u8) {
        let workers = self.model.workers.len().max(1);
        let at = usize::from(arg) % workers;
        match kind % 64 {
            0..=9 => self.submit(u32::from(arg % 4)),
            16 | 17 => (0..arg % 8).for_each(|_| self.submit(u32::from(arg / 64) % 3)),
            18 if self.has_bursts => (0..arg % 64).for_each(|_| self.submit(u32::from(arg / 64))),
            20..=27 => self.step(at),
            28..=35 => self.end(at, arg),
            36..=42 => self.deliver(at),
            43..=50 => {
                self.step(at);
                self.end(at, arg);
                self.deliver(at);
            }
            10..=15 => self.step_all(arg),
            51..=53 => {
                let times = [0, 1_000, 20_000, 100_000, 600_000, 1_100_000];
                self.model.now += times[usize::from(arg) % times.len()];
            }
            54..=56 => self.cancel(u64::from(arg)),
            57 => self.die(at, arg),
            19 | 58 | 59 => {
                let dead = self.model.workers.iter().position(|worker| worker.is_dead);
                self.gone(dead.unwrap_or(at));
            }
            60 => self.withdraw(arg),
            61 if arg < 8 => self.shutdown(Shutdown::Drain),
            61 if arg < 14 => self.shutdown(Shutdown::CancelPending),
            61 if arg < 20 => self.shutdown(Shutdown::Kill),
            61 if arg < 23 => {
                self.scheduler.break_pool(&mut self.model, &mut self.out);
                self.model.is_broken = true;
                self.carry_out();
            }
            62 if arg < 64 => self.babble(at, arg),
            63 if arg < 64 => {
                if let Some(worker) = self.model.workers.get_mut(at) {
                    worker.lies_next = true;
                }
            }
            _ => self.kill(at, arg),
        }
    }

    fn submit(&mut self, function: u32) {
        match self.permits.ask() {
            Asked::Granted => self.submit_with_permit(function),
            Asked::Waiting(waiter) => self.waiters.push((waiter, function)),
        }
    }

    fn submit_with_permit(&mut self, function: u32) {
        let state = self.scheduler.state();
        let task = self.model.tasks.len() as u64;
        let items = if function == 2 { 2 } else { 0 };
        let job = Job { task, items };
        match self
            .scheduler
            .submit(function, job, self.model.now, &mut self.out)
        {
            Ok(id) => {
                assert_eq!((state, id), (State::Open, TaskId(task)));
                let sent = None;
                self.model.tasks.push(Task {
                    function,
                    items,
                    end: None,
                    sent,
                    verdict: None,
                });
                self.check_place_of_submitted(function);
            }
            Err(job) => {
                assert_ne!(state, State::Open);
                assert_eq!(job, Job { task, items });
                self.release();
            }
        }
        self.carry_out();
    }

    fn release(&mut self) {
        let mut woken = Vec::new();
        self.permits.release(1, &mut woken);
        for waiter in woken {
            let at = self
                .waiters
                .iter()
                .position(|(other, _)| *other == waiter)
                .unwrap();
            assert_eq!(
                at, 0,
                "permits are granted in the order in which they were asked for"
            );
            // Claimed by a later event, as by a thread that has to wake up first.
        }
        let granted = self
            .waiters
            .iter()
            .position(|(waiter, _)| self.permits.claim(*waiter));
        if let Some(at) = granted {
            let (_, function) = self.waiters.remove(at);
            self.later_submit(function);
        }
    }

    /// The woken caller comes when the actions have been carried out.
    fn later_submit(&mut self, function: u32) {
        let actions = std::mem::take(&mut self.out);
        assert!(actions.is_empty(), "permits are released after an event");
        self.submit_with_permit(function);
    }

    fn withdraw(&mut self, arg: u8) {
        if !self.waiters.is_empty() {
            let (waiter, _) = self.waiters.remove(usize::from(arg) % self.waiters.len());
            assert_eq!(self.permits.withdraw(waiter), None, "it was not granted");
        }
    }

    fn step(&mut self, at: usize) {
        if let Some(worker) = self.model.workers.get_mut(at) {
            worker.step();
        }
    }

    fn end(&mut self, at: usize, arg: u8) {
        let Some(worker) = self.model.workers.get_mut(at) else {
            return;
        };
        let Some(frame) = worker
            .frames
            .iter()
            .find(|frame| frame.status == Status::Begun)
        else {
            return;
        };
        let function = self.model.tasks[frame.task as usize].function;
        let run_ns = [1_000, 5_000, 40_000, 5_000_000][function as usize];
        let run_ns = if arg >= 250 {
            u64::MAX
        } else {
            run_ns + u64::from(arg)
        };
        worker.end(run_ns);
    }

    /// Some of the workers, by the bits of `arg`, run a task and are heard.
    fn step_all(&mut self, arg: u8) {
        for at in (0..self.model.workers.len()).filter(|at| arg >> (at % 8) & 1 == 1) {
            self.step(at);
            self.end(at, 0);
            self.deliver(at);
        }
    }

    /// The next message of a worker is heard.
    fn deliver(&mut self, at: usize) {
        let Some(worker) = self.model.workers.get_mut(at) else {
            return;
        };
        let Some(message) = worker.inbox.pop_front() else {
            return;
        };
        let id = worker.id;
        let is_credible = !worker.is_liar;
        let told = match message {
            Message::Ready => self.tell_ready(id),
            Message::Finished { seq, run_ns } => self.tell_finished(id, seq, run_ns),
            Message::Passed { seq } => self.tell_passed(id, seq),
        };
        assert!(
            told.is_ok() || !is_credible,
            "{message:?} of {id:?}: {told:?}"
        );
        self.punish(id, told);
    }

    fn tell_ready(&mut self, id: WorkerId) -> Result<(), Violation> {
        let told = self
            .scheduler
            .worker_ready(id, self.model.now, &mut self.model, &mut self.out);
        if told.is_ok() {
            self.model.worker(id).is_ready = true;
        }
        told
    }

    fn tell_finished(&mut self, id: WorkerId, seq: u32, run_ns: u64) -> Result<(), Violation> {
        let now = self.model.now;
        let worker = self.model.worker(id);
        let was_abandoned = worker.is_abandoned;
        let head = worker.open().first().copied();
        let is_head = worker.is_ready && head.is_some_and(|head| head.seq == seq);
        if is_head && !was_abandoned {
            // Known to the model before the scheduler acts on it.
            let passed = worker
                .frames
                .iter()
                .position(|frame| frame.seq == seq)
                .unwrap()
                + 1;
            worker.frames.drain(..passed);
            worker.progress_ns = now;
            let task = head.unwrap().task;
            self.finishing = Some(task);
            let function = self.model.tasks[task as usize].function;
            self.model.runs[function as usize].push(run_ns);
        }
        let pages = &mut self.model;
        let told = self
            .scheduler
            .finished(id, seq, Some(run_ns), now, pages, &mut self.out);
        assert_eq!(told.is_ok(), is_head || was_abandoned, "{told:?}");
        told
    }

    fn tell_passed(&mut self, id: WorkerId, seq: u32) -> Result<(), Violation> {
        let worker = self.model.worker(id);
        let was_abandoned = worker.is_abandoned;
        let at = worker.frames.iter().position(|frame| frame.seq == seq);
        let skipped = at.map_or(0, |at| at + 1);
        let is_true = skipped > 0 && worker.frames.range(..skipped).all(|frame| !frame.is_open());
        if is_true && !was_abandoned {
            worker.frames.drain(..skipped);
        }
        let pages = &mut self.model;
        let told = self
            .scheduler
            .passed(id, seq, pages.now, pages, &mut self.out);
        assert_eq!(told.is_ok(), is_true || was_abandoned, "{told:?}");
        told
    }

    /// A violation changes nothing; whoever commits it is killed.
    fn punish(&mut self, id: WorkerId, told: Result<(), Violation>) {
        if told.is_err() {
            assert_eq!(self.out, []);
            self.check();
            self.scheduler.kill_worker(id, &mut self.out);
        }
        self.carry_out();
    }

    /// A worker says something at random.
    fn babble(&mut self, at: usize, arg: u8) {
        let Some(worker) = self.model.workers.get_mut(at) else {
            return;
        };
        worker.is_liar = true;
        let id = worker.id;
        let oldest = worker
            .frames
            .front()
            .map_or(worker.next_seq, |frame| frame.seq);
        let seq = oldest.wrapping_add(u32::from(arg / 4)).wrapping_sub(1);
        let told = match arg % 4 {
            0 => self.tell_passed(id, seq),
            1 => self.tell_ready(id),
            _ => self.tell_finished(id, seq, 7),
        };
        self.punish(id, told);
    }

    fn kill(&mut self, at: usize, arg: u8) {
        if arg >= 240
            && let Some(worker) = self.model.workers.get(at)
        {
            self.scheduler.kill_worker(worker.id, &mut self.out);
            self.carry_out();
        }
    }

    fn die(&mut self, at: usize, arg: u8) {
        if let Some(worker) = self.model.workers.get_mut(at)
            && (worker.is_ready || arg >= 240)
        {
            worker.is_dead = true;
        }
    }

    /// A worker's end is heard, after everything that it had said before.
    fn gone(&mut self, at: usize) {
        let Some(worker) = self.model.workers.get(at).filter(|worker| worker.is_dead) else {
            return;
        };
        let id = worker.id;
        loop {
            let at = self
                .model
                .workers
                .iter()
                .position(|worker| worker.id == id)
                .unwrap();
            if self.model.workers[at].inbox.is_empty() {
                break;
            }
            self.deliver(at);
        }
        self.model.judging = Some(id);
        self.scheduler
            .worker_gone(id, self.model.now, &mut self.model, &mut self.out);
        self.model.judging = None;
        for frame in self.model.worker(id).open() {
            let task = &mut self.model.tasks[frame.task as usize];
            assert!(task.verdict.is_some() || self.model.worker(id).is_abandoned);
        }
        self.model.workers.retain(|worker| worker.id != id);
        self.carry_out();
    }

    fn cancel(&mut self, task: u64) {
        let task = task % (self.model.tasks.len() as u64 + 1);
        let pending = self
            .model
            .tasks
            .get(task as usize)
            .filter(|task| task.end.is_none());
        let sent = pending.map(|task| task.sent);
        self.cancelling = Some(task);
        let pages = &mut self.model;
        let cancel = self
            .scheduler
            .cancel(TaskId(task), pages.now, pages, &mut self.out);
        match (cancel, sent) {
            (Cancel::Unknown, None) | (Cancel::Cancelled, Some(_)) => {}
            (Cancel::Running { worker, seq }, Some(Some(sent))) => assert_eq!(sent, (worker, seq)),
            other => panic!("{other:?}"),
        }
        self.carry_out();
        let has_ended = self
            .model
            .tasks
            .get(task as usize)
            .is_some_and(|task| task.end.is_some());
        assert_eq!(
            has_ended,
            cancel == Cancel::Cancelled || (has_ended && sent.is_none())
        );
    }

    fn shutdown(&mut self, mode: Shutdown) {
        self.model.shutdown = self.model.shutdown.max(Some(mode));
        self.scheduler
            .shutdown(mode, &mut self.model, &mut self.out);
        self.carry_out();
    }

    /// Does what the scheduler said, then checks everything.
    fn carry_out(&mut self) {
        let recalls = std::mem::take(&mut self.model.recalls);
        let mut ended = 0;
        let mut sent = Vec::new();
        for action in std::mem::take(&mut self.out) {
            match action {
                Action::Spawn { worker } => {
                    self.model.workers.push(Worker::new(worker, self.first_seq));
                }
                Action::Send { worker, seq, task } => {
                    self.send(worker, seq, task);
                    sent.push(task.0);
                }
                Action::Complete { task, job, end } => {
                    self.complete(task, &job, end);
                    ended += 1;
                }
                Action::Retire { worker } => {
                    let worker = self.model.worker(worker);
                    assert!(!worker.is_retired && !worker.is_killed && worker.open().is_empty());
                    worker.is_retired = true;
                }
                Action::Kill { worker } => {
                    let worker = self.model.worker(worker);
                    assert!(!worker.is_killed);
                    worker.is_killed = true;
                    worker.is_dead = true;
                }
                Action::StartFailed { .. } | Action::Broken { .. } => {
                    assert!(!self.model.is_broken, "a pool breaks once");
                    self.model.is_broken = true;
                }
            }
        }
        if self.model.is_broken || self.model.shutdown == Some(Shutdown::Kill) {
            for worker in &mut self.model.workers {
                worker.is_abandoned = true;
                worker.frames.clear();
            }
        }
        if recalls == 0 {
            self.check_order(&sent);
        }
        self.cancelling = None;
        self.finishing = None;
        self.model
            .tasks
            .iter_mut()
            .for_each(|task| task.verdict = None);
        self.check();
        (0..ended).for_each(|_| self.release());
    }

    /// No more surprises: whoever lied is killed, everybody else works until nothing is left.
    fn finish(&mut self) {
        self.shutdown(Shutdown::Drain);
        for _ in 0..100_000 {
            if self.scheduler.is_finished() {
                break;
            }
            self.model.now += 10_000;
            for at in 0..self.model.workers.len() {
                let worker = &mut self.model.workers[at];
                worker.lies_next = false;
                worker.is_dead |= worker.is_liar;
                self.step(at);
                self.end(at, 0);
                self.deliver(at);
            }
            for at in (0..self.model.workers.len()).rev() {
                self.gone(at);
            }
        }
        assert!(self.scheduler.is_finished(), "everything comes to its end");
        assert!(self.model.pending().is_empty());
        assert!(self.waiters.is_empty());
        assert_eq!((self.permits.free(), self.permits.held()), (MAX_PENDING, 0));
    }
}
