//! What callers do.

use super::model::{Job, Left, Status, Task};
use super::{World, terms_of};
use crate::error::TaskId;
use crate::scheduler::{Asked, Cancel, Kill, Shutdown, State};

impl World {
    pub(super) fn submit(&mut self, arg: u8) {
        match self.permits.ask() {
            Asked::Granted => self.submit_with_permit(arg),
            Asked::Waiting(waiter) => self.waiters.push((waiter, arg)),
        }
    }

    fn submit_with_permit(&mut self, arg: u8) {
        let state = self.scheduler.state();
        let task = self.model.tasks.len() as u64;
        let terms = terms_of(arg, self.model.now);
        let left = Left {
            items: terms.more_items as u8,
            retries: if arg >= 128 { arg >> 2 & 3 } else { 0 },
            pause_ns: [0, 40_000, 4_000_000][usize::from(arg % 3)],
        };
        let job = Job { task, left };
        match self.turn(|it, turn| it.submit(terms, job, turn)) {
            Ok(id) => {
                assert_eq!((state, id), (State::Open, TaskId(task)));
                self.model.tasks.push(Task::new(terms, left, None));
                self.check_place_of_submitted(task);
            }
            Err(job) => {
                assert_ne!(state, State::Open);
                assert_eq!(job, Job { task, left });
                self.release();
            }
        }
        self.carry_out();
    }

    pub(super) fn release(&mut self) {
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
            let (_, arg) = self.waiters.remove(at);
            self.later_submit(arg);
        }
    }

    /// The woken caller comes when the actions have been carried out.
    fn later_submit(&mut self, arg: u8) {
        let actions = std::mem::take(&mut self.out);
        assert!(actions.is_empty(), "permits are released after an event");
        self.submit_with_permit(arg);
    }

    pub(super) fn withdraw(&mut self, arg: u8) {
        if !self.waiters.is_empty() {
            let (waiter, _) = self.waiters.remove(usize::from(arg) % self.waiters.len());
            assert_eq!(self.permits.withdraw(waiter), None, "it was not granted");
        }
    }

    /// One of the pending tasks, or of all that there have been and the next one.
    fn any_task(&self, arg: u64) -> (u64, Option<&Task>) {
        let pending = self.model.pending();
        let count = self.model.tasks.len() as u64;
        let task = if arg < 200 && !pending.is_empty() {
            pending[arg as usize % pending.len()]
        } else {
            count - arg % (count + 1)
        };
        let entry = self.model.tasks.get(task as usize);
        (task, entry.filter(|entry| entry.end.is_none()))
    }

    pub(super) fn cancel(&mut self, arg: u64) {
        let (task, _) = self.any_task(arg);
        for TaskId(part) in self.scheduler.parts_of(TaskId(task)).into_iter().rev() {
            self.cancel_one(part);
        }
        self.cancel_one(task);
        self.check_none_begins(task);
    }

    /// Nothing of what was submitted under this number is to begin any more.
    fn check_none_begins(&self, task: u64) {
        for pending in self.model.pending() {
            let entry = &self.model.tasks[pending as usize];
            if pending == task || entry.part_of == Some(task) {
                let (worker, seq) = entry.sent.unwrap();
                let worker = self.model.find(worker).unwrap();
                let frame = worker.frames.iter().find(|frame| frame.seq == seq);
                let waits = match frame.unwrap().status {
                    Status::Begun { item, .. } => item < entry.left.items.into(),
                    Status::Ended { .. } => false,
                    _ => true,
                };
                assert!(!waits || worker.is_liar || worker.condemned.is_some());
            }
        }
    }

    fn cancel_one(&mut self, task: u64) {
        let entry = self.model.tasks.get(task as usize);
        let pending = entry.filter(|entry| entry.end.is_none());
        let sent = pending.map(|task| task.sent);
        self.cancelling = Some(task);
        self.model.is_cancelling = true;
        let cancel = self.turn(|it, turn| it.cancel(TaskId(task), turn));
        match (cancel, sent) {
            (Cancel::Unknown, None) | (Cancel::Cancelled, Some(_)) => {}
            (Cancel::Running { worker, seq }, Some(Some(sent))) => assert_eq!(sent, (worker, seq)),
            other => panic!("{other:?}"),
        }
        self.carry_out();
        self.check_ended(task, cancel == Cancel::Cancelled, sent.is_none());
    }

    pub(super) fn kill(&mut self, arg: u64) {
        let (task, pending) = self.any_task(arg);
        let sent = pending.map(|task| task.sent);
        let status = sent.flatten().map(|(worker, seq)| {
            let worker = self.model.find(worker).unwrap();
            let mut frames = worker.frames.iter();
            let frame = frames.find(|frame| frame.seq == seq).unwrap();
            (worker.is_liar, worker.is_dead, frame.is_begun())
        });
        if let Some(task) = self.model.tasks.get_mut(task as usize) {
            task.is_killed = true;
        }
        self.cancelling = Some(task);
        let is_racing = self.model.is_racing;
        let kill = self.turn(|it, turn| it.kill(TaskId(task), turn));
        match (kill, sent) {
            (Kill::TooLate, None) | (Kill::Cancelled, Some(_)) => {}
            (Kill::TooLate, Some(Some(_))) => {
                let (is_liar, _, is_begun) = status.unwrap();
                assert!(is_liar || !is_begun || is_racing, "it was not too late");
            }
            (Kill::Ending { worker, seq }, Some(Some(sent))) => assert_eq!(sent, (worker, seq)),
            other => panic!("{other:?}"),
        }
        self.carry_out();
        self.check_ended(task, kill == Kill::Cancelled, sent.is_none());
    }

    fn check_ended(&self, task: u64, is_ended: bool, was_ended: bool) {
        let task = self.model.tasks.get(task as usize);
        let has_ended = task.is_some_and(|task| task.end.is_some());
        assert_eq!(has_ended, is_ended || (has_ended && was_ended));
    }

    pub(super) fn shutdown(&mut self, mode: Shutdown) {
        if !self.model.is_broken {
            self.model.shutdown = self.model.shutdown.max(Some(mode));
        }
        self.model.is_cancelling = true;
        self.turn(|it, turn| it.shutdown(mode, turn));
        self.carry_out();
    }

    pub(super) fn resize(&mut self, arg: u8) {
        let max_workers = usize::from(arg % 5) + 1;
        let min_workers = usize::from(arg / 5) % (max_workers + 1);
        self.model.policy.min_workers = min_workers;
        self.model.policy.max_workers = max_workers;
        self.turn(|it, turn| it.resize(min_workers, max_workers, turn));
        for worker in &mut self.model.workers {
            let at = self.scheduler.find(worker.id()).unwrap();
            let is_leaving = self.scheduler.workers[at].is_leaving;
            // These end what they have, though they are too many now.
            worker.is_laid_off |= is_leaving || worker.is_killed || worker.condemned.is_some();
        }
        self.carry_out();
    }
}
