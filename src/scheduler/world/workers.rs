//! What workers do, and what is heard of it.

use super::World;
use super::model::Message;
use crate::error::TaskId;
use crate::scheduler::{Finish, Violation, WorkerId};

impl World {
    pub(super) fn end(&mut self, at: usize, arg: u8) {
        let now = self.model.now;
        let Some(worker) = self.model.workers.get_mut(at) else {
            return;
        };
        let Some(frame) = worker.frames.iter().find(|frame| frame.is_begun()) else {
            return;
        };
        let function = self.model.tasks[frame.task as usize].terms.function;
        let run_ns = [1_000, 5_000, 40_000, 5_000_000][function as usize];
        let run_ns = if arg >= 250 {
            u64::MAX
        } else {
            run_ns + u64::from(arg)
        };
        worker.end(now, run_ns, arg % 2 == 1);
    }

    /// Some of the workers, by the bits of `arg`, run a task and are heard.
    pub(super) fn step_all(&mut self, arg: u8) {
        for at in (0..self.model.workers.len()).filter(|at| arg >> (at % 8) & 1 == 1) {
            self.model.step(at);
            self.end(at, 0);
            self.deliver(at);
        }
    }

    /// The next message of a worker is heard.
    pub(super) fn deliver(&mut self, at: usize) {
        let Some(worker) = self.model.workers.get_mut(at) else {
            return;
        };
        let Some(message) = worker.inbox.pop_front() else {
            return;
        };
        worker.heard += 1;
        let id = worker.id();
        let is_credible = !worker.is_liar;
        let told = match message {
            Message::Ready => self.tell_ready(id),
            Message::Finished {
                seq,
                run_ns,
                resident_kib,
                has_failed,
            } => {
                let finish = Finish {
                    run_ns: Some(run_ns),
                    resident_kib: Some(resident_kib),
                    again: None,
                };
                self.tell_finished(id, seq, finish, has_failed)
            }
            Message::Passed { seq } => self.tell_passed(id, seq),
        };
        assert!(
            told.is_ok() || !is_credible,
            "{message:?} of {id:?}: {told:?}"
        );
        self.punish(id, told);
    }

    fn tell_ready(&mut self, id: WorkerId) -> Result<(), Violation> {
        let told = self.turn(|it, turn| it.worker_ready(id, turn));
        if told.is_ok() {
            let now = self.model.now;
            let worker = self.model.worker(id);
            worker.is_ready = true;
            worker.ready_ns = now;
            self.expected.worker_ready();
        }
        told
    }

    fn tell_finished(
        &mut self,
        id: WorkerId,
        seq: u32,
        mut finish: Finish,
        has_failed: bool,
    ) -> Result<(), Violation> {
        let now = self.model.now;
        let recycling = self.model.policy.recycling;
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
            worker.head_ns = now;
            let resident_kib = finish.resident_kib.unwrap();
            let first_kib = *worker.first_resident_kib.get_or_insert(resident_kib);
            let reaches = |max: Option<u64>, value| max.is_some_and(|max| value >= max);
            if !worker.is_killed && !worker.is_retired && !worker.is_leaving {
                worker.is_worn = reaches(recycling.max_resident_kib, resident_kib)
                    || reaches(
                        recycling.max_growth_kib,
                        resident_kib.saturating_sub(first_kib),
                    )
                    || reaches(recycling.max_age_ns, now - worker.ready_ns)
                    || (worker.budget == Some(0) && worker.open().is_empty());
            }
            let task = head.unwrap().task;
            self.finishing = Some(task);
            self.expected.progress();
            let function = self.model.tasks[task as usize].terms.function;
            let items = 1 + u64::from(self.model.tasks[task as usize].terms.more_items);
            self.model.runs[function as usize].push(finish.run_ns.unwrap() / items);
            if has_failed && let Some(job) = self.scheduler.job_mut(TaskId(task)) {
                let pause_ns = self.model.fail(task, job);
                finish.again = pause_ns.map(|pause_ns| job.left.again(pause_ns));
            }
        }
        let told = self.turn(|it, turn| it.finished(id, seq, finish, turn));
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
        let told = self.turn(|it, turn| it.passed(id, seq, turn));
        assert_eq!(told.is_ok(), is_true || was_abandoned, "{told:?}");
        told
    }

    /// A violation changes nothing; whoever commits it is killed.
    fn punish(&mut self, id: WorkerId, told: Result<(), Violation>) {
        if told.is_err() {
            assert_eq!(self.out, []);
            self.check();
            self.punishing = Some(id);
            self.turn(|it, turn| it.kill_worker(id, turn.out));
        }
        self.carry_out();
    }

    /// A worker says something at random.
    pub(super) fn babble(&mut self, at: usize, arg: u8) {
        let Some(worker) = self.model.workers.get_mut(at) else {
            return;
        };
        worker.is_liar = true;
        worker.has_process = true;
        let id = worker.id();
        let oldest = worker
            .frames
            .front()
            .map_or(worker.next_seq, |frame| frame.seq);
        let seq = oldest.wrapping_add(u32::from(arg / 4)).wrapping_sub(1);
        let finish = Finish {
            run_ns: Some(7),
            resident_kib: Some(u64::from(arg)),
            again: None,
        };
        let told = match arg % 4 {
            0 => self.tell_passed(id, seq),
            1 => self.tell_ready(id),
            _ => self.tell_finished(id, seq, finish, arg % 8 == 3),
        };
        self.punish(id, told);
    }

    pub(super) fn kill_worker(&mut self, at: usize, arg: u8) {
        if arg >= 240
            && let Some(worker) = self.model.workers.get(at)
        {
            let id = worker.id();
            self.punishing = Some(id);
            self.turn(|it, turn| it.kill_worker(id, turn.out));
            self.carry_out();
        }
    }

    pub(super) fn die(&mut self, at: usize, arg: u8) {
        if let Some(worker) = self.model.workers.get_mut(at)
            && worker.has_process
            && (worker.is_ready || arg >= 200)
        {
            worker.is_dead = true;
            if arg % 8 < 4 {
                // Half-way through what it was saying.
                worker.inbox.pop_back();
            }
        }
    }

    /// The system does not start a worker.
    pub(super) fn start_failed(&mut self, at: usize) {
        let workers = &mut self.model.workers;
        let asked_for = workers.iter().rposition(|worker| !worker.has_process);
        if let Some(worker) = asked_for.map(|last| &mut workers[last.max(at)])
            && !worker.has_process
        {
            worker.is_dead = true;
        }
    }

    /// A worker's end is heard, after everything that it had said before.
    pub(super) fn gone(&mut self, at: usize) {
        let Some(worker) = self.model.workers.get(at).filter(|worker| worker.is_dead) else {
            return;
        };
        let id = worker.id();
        loop {
            let mut workers = self.model.workers.iter();
            let at = workers.position(|worker| worker.id() == id).unwrap();
            if self.model.workers[at].inbox.is_empty() {
                break;
            }
            self.deliver(at);
        }
        self.model.judging = Some(id);
        if self.model.worker(id).has_process {
            self.turn(|it, turn| it.worker_gone(id, turn));
        } else {
            self.turn(|it, turn| it.start_failed(id, turn));
        }
        self.model.judging = None;
        let worker = self.model.find(id).unwrap();
        for frame in worker.open() {
            let task = &self.model.tasks[frame.task as usize];
            assert!(task.verdict.is_some() || worker.is_abandoned);
        }
        self.expected.worker_gone(&self.model, id);
        self.model.workers.retain(|worker| worker.id() != id);
        self.carry_out();
    }
}
