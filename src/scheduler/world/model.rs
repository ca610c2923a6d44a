//! The slow, obvious side: what every task and every worker must be at, by linear search.

use std::cmp::Reverse;
use std::collections::VecDeque;

use crate::scheduler::estimate::UNKNOWN_NS;
use crate::scheduler::{
    Again, Cause, End, PREFETCH_NS, Place, Policy, RESULT_GRACE_NS, STUCK_NS, Shutdown, Terms,
    Verdict, WINDOW, WorkerId,
};

/// A job that cannot be copied: whoever has it got it from the scheduler.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) task: u64,
    pub(super) left: Left,
}

/// What of a task has not been ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// The items behind the first.
    pub(super) items: u8,
    /// How often it may be tried again.
    pub(super) retries: u8,
    /// The pause before that.
    pub(super) pause_ns: u64,
}

impl Left {
    /// That it is tried again after this pause.
    pub(super) fn again(self, pause_ns: u64) -> Again {
        let items = u32::from(self.items) + 1;
        Again { pause_ns, items }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Sent,
    Begun {
        item: u32,
        started_ns: u64,
    },
    /// The result is on its way.
    Ended {
        since_ns: u64,
    },
    Recalled,
    /// The worker has seen that it was recalled.
    Skipped,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) seq: u32,
    pub(super) task: u64,
    pub(super) estimate_ns: u64,
    /// It had many items when it was sent.
    pub(super) is_chunk: bool,
    pub(super) status: Status,
}

impl Frame {
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.status, Status::Recalled | Status::Skipped)
    }

    pub(super) fn is_begun(&self) -> bool {
        matches!(self.status, Status::Begun { .. })
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Message {
    Ready,
    Finished {
        seq: u32,
        run_ns: u64,
        resident_kib: u64,
        has_failed: bool,
    },
    Passed {
        seq: u32,
    },
}

/// A worker: its process, its pipes and its page.
#[derive(Debug, Default)]
pub(super) struct Worker {
    pub(super) id: Option<WorkerId>,
    /// The system has started it.
    pub(super) has_process: bool,
    /// The scheduler has been told that it is ready.
    pub(super) is_ready: bool,
    pub(super) has_said_ready: bool,
    pub(super) is_terminated: bool,
    pub(super) is_killed: bool,
    pub(super) is_retired: bool,
    pub(super) is_dead: bool,
    /// Its tasks were ended over its head.
    pub(super) is_abandoned: bool,
    /// It has lied, or was lied about: only what holds for any worker is asked of it.
    pub(super) is_liar: bool,
    pub(super) lies_next: bool,
    /// What the scheduler makes of it, after the last event.
    pub(super) is_on_hold: bool,
    pub(super) is_leaving: bool,
    /// It is to leave because there are too many.
    pub(super) is_laid_off: bool,
    /// What the scheduler has not been told to be passed.
    pub(super) frames: VecDeque<Frame>,
    pub(super) next_seq: u32,
    pub(super) skipped_to: Option<u32>,
    pub(super) inbox: VecDeque<Message>,
    pub(super) progress_ns: u64,
    /// When its head became that.
    pub(super) head_ns: u64,
    pub(super) ready_ns: u64,
    pub(super) idle_ns: Option<u64>,
    /// How many tasks it may yet be sent.
    pub(super) budget: Option<u32>,
    pub(super) prefetches: bool,
    pub(super) resident_kib: u64,
    pub(super) first_resident_kib: Option<u64>,
    /// It has been seen to be too old, or too large.
    pub(super) is_worn: bool,
    /// When a task of it was asked to stop, and which item.
    pub(super) asked: Option<(u32, Option<u32>, u64)>,
    /// When its task was condemned.
    pub(super) condemned: Option<(u32, u64)>,
    /// How many messages of it have been heard, now and when this was last asked for.
    pub(super) heard: usize,
    pub(super) heard_before: usize,
}

impl Worker {
    pub(super) fn new(id: WorkerId, next_seq: u32, policy: &Policy) -> Self {
        Self {
            id: Some(id),
            next_seq,
            budget: policy.recycling.max_tasks,
            prefetches: policy.prefetch,
            ..Self::default()
        }
    }

    pub(super) fn id(&self) -> WorkerId {
        self.id.unwrap()
    }

    pub(super) fn open(&self) -> Vec<Frame> {
        self.frames.iter().copied().filter(Frame::is_open).collect()
    }

    /// Whether it is to be given tasks, as far as this side knows.
    pub(super) fn serves(&self) -> bool {
        self.is_ready
            && !self.is_killed
            && !self.is_retired
            && !self.is_leaving
            && self.condemned.is_none()
    }

    pub(super) fn has_room(&self) -> bool {
        self.frames.len() < WINDOW as usize
            && self.budget != Some(0)
            && (self.prefetches || self.open().is_empty())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.serves() && !self.is_on_hold && self.open().is_empty() && self.has_room()
    }

    pub(super) fn load_ns(&self) -> u64 {
        self.open().iter().map(|frame| frame.estimate_ns).sum()
    }

    pub(super) fn may_prefetch(&self, estimate_ns: u64, now: u64) -> bool {
        self.serves()
            && self.has_room()
            && self.load_ns() + estimate_ns <= PREFETCH_NS
            && now - self.progress_ns <= STUCK_NS
    }

    /// The process goes on by one step: it begins its next task or item, or says what it skipped, or ends.
    pub(super) fn step(&mut self, now: u64, tasks: &[Task]) {
        if self.is_dead {
            return;
        }
        if self.is_terminated {
            self.is_dead = true;
            return;
        }
        self.has_process = true;
        if !self.has_said_ready {
            self.has_said_ready = true;
            self.inbox.push_back(Message::Ready);
            return;
        }
        if self.condemned.is_some() {
            return;
        }
        for frame in &mut self.frames {
            let started_ns = now;
            match frame.status {
                Status::Begun { item, .. } => {
                    if item < tasks[frame.task as usize].left.items.into() {
                        let item = item + 1;
                        frame.status = Status::Begun { item, started_ns };
                    }
                    return;
                }
                Status::Ended { .. } | Status::Skipped => {}
                Status::Recalled => {
                    frame.status = Status::Skipped;
                    self.skipped_to = Some(frame.seq);
                }
                Status::Sent => {
                    let item = 0;
                    frame.status = Status::Begun { item, started_ns };
                    return;
                }
            }
        }
        if let Some(seq) = self.skipped_to.take() {
            self.inbox.push_back(Message::Passed { seq });
        } else if self.is_retired {
            self.is_dead = true;
        }
    }

    /// The process ends the task that it has begun.
    pub(super) fn end(&mut self, now: u64, run_ns: u64, has_failed: bool) {
        if self.is_dead {
            return;
        }
        if let Some(frame) = self.frames.iter_mut().find(|frame| frame.is_begun()) {
            frame.status = Status::Ended { since_ns: now };
            self.skipped_to = None;
            self.resident_kib += run_ns % 16;
            self.inbox.push_back(Message::Finished {
                seq: frame.seq,
                run_ns,
                resident_kib: self.resident_kib,
                has_failed,
            });
        }
    }
}

#[derive(Debug)]
pub(super) struct Task {
    pub(super) terms: Terms,
    pub(super) left: Left,
    pub(super) end: Option<End>,
    pub(super) sent: Option<(WorkerId, u32)>,
    /// When it is tried again.
    pub(super) again_ns: Option<u64>,
    /// Its caller wants it to end.
    pub(super) is_killed: bool,
    pub(super) suspicion: u8,
    /// What the last verdict on it was, if it came within this event.
    pub(super) verdict: Option<Verdict>,
    /// Within this event.
    pub(super) is_given_up: bool,
    /// What was submitted, if it has been divided from that.
    pub(super) part_of: Option<u64>,
}

impl Task {
    pub(super) fn new(terms: Terms, left: Left, part_of: Option<u64>) -> Self {
        Self {
            terms,
            left,
            end: None,
            sent: None,
            again_ns: None,
            is_killed: false,
            suspicion: 0,
            verdict: None,
            is_given_up: false,
            part_of,
        }
    }

    pub(super) fn is_overdue(&self, now: u64) -> bool {
        self.terms
            .deadline_ns
            .is_some_and(|deadline_ns| deadline_ns.get() <= now)
    }

    /// Whether there is a reason to end it while it runs like this.
    pub(super) fn is_to_end(&self, status: Status, now: u64) -> bool {
        let is_too_long = |timeout_ns: u64| match status {
            Status::Begun { started_ns, .. } => started_ns + timeout_ns <= now,
            Status::Ended { since_ns } => since_ns + RESULT_GRACE_NS <= now,
            _ => false,
        };
        self.is_killed
            || self.is_overdue(now)
            || self
                .terms
                .timeout_ns
                .is_some_and(|it| is_too_long(it.get()))
    }
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) policy: Policy,
    pub(super) now: u64,
    pub(super) tasks: Vec<Task>,
    pub(super) workers: Vec<Worker>,
    /// The run times of each function, in the order in which they were told.
    pub(super) runs: [Vec<u64>; 4],
    pub(super) shutdown: Option<Shutdown>,
    pub(super) is_broken: bool,
    /// How many recalls were asked for within this event.
    pub(super) recalls: usize,
    pub(super) judging: Option<WorkerId>,
    /// Workers do not stand still within this event: they begin what is next, and end what they have begun, just
    /// before they are asked about it.
    pub(super) is_racing: bool,
    /// What has not begun may be ended within this event.
    pub(super) is_cancelling: bool,
    /// How often anybody has been asked who may lie.
    pub(super) lies: usize,
}

impl Model {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            now: 1_000_000_000,
            tasks: Vec::new(),
            workers: Vec::new(),
            runs: Default::default(),
            shutdown: None,
            is_broken: false,
            recalls: 0,
            judging: None,
            is_racing: false,
            is_cancelling: false,
            lies: 0,
        }
    }

    pub(super) fn find(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.id() == id)
    }

    pub(super) fn worker(&mut self, id: WorkerId) -> &mut Worker {
        self.workers
            .iter_mut()
            .find(|worker| worker.id() == id)
            .expect("a worker that exists")
    }

    pub(super) fn step(&mut self, at: usize) {
        if let Some(worker) = self.workers.get_mut(at) {
            worker.step(self.now, &self.tasks);
        }
    }

    pub(super) fn pending(&self) -> Vec<u64> {
        (0..self.tasks.len() as u64)
            .filter(|task| self.is_pending(*task))
            .collect()
    }

    pub(super) fn is_pending(&self, task: u64) -> bool {
        self.tasks[task as usize].end.is_none()
    }

    /// Whether all of what was submitted with this task has ended.
    pub(super) fn is_all_ended(&self, task: u64) -> bool {
        let chunk = self.tasks[task as usize].part_of.unwrap_or(task);
        let mut pending = self.pending().into_iter();
        !pending.any(|other| other == chunk || self.tasks[other as usize].part_of == Some(chunk))
    }

    /// Those that wait for a worker, in their order.
    pub(super) fn queued(&self) -> Vec<u64> {
        let is_queued = |task: &u64| {
            let task = &self.tasks[*task as usize];
            task.sent.is_none() && task.again_ns.is_none()
        };
        let mut queued: Vec<_> = self.pending().into_iter().filter(is_queued).collect();
        queued.sort_by_key(|task| self.order(*task));
        queued
    }

    /// The lowest is the first to begin.
    pub(super) fn order(&self, task: u64) -> (Reverse<i32>, u64) {
        (Reverse(self.tasks[task as usize].terms.priority), task)
    }

    pub(super) fn place(&self, task: u64) -> Option<Place> {
        if !self.is_pending(task) {
            return None;
        }
        Some(match self.tasks[task as usize].sent {
            None => Place::Queued,
            Some((worker, seq)) => {
                let entry = self.find(worker).unwrap();
                let head = entry.frames.iter().find(|frame| frame.is_open()).unwrap();
                let is_head = head.seq == seq;
                Place::Sent {
                    worker,
                    seq,
                    is_head,
                }
            }
        })
    }

    /// The mean, from the whole history.
    pub(super) fn estimate(&self, terms: &Terms) -> u64 {
        if terms.is_alone {
            return UNKNOWN_NS;
        }
        let mut runs = self.runs[terms.function as usize]
            .iter()
            .map(|run| (*run).min(UNKNOWN_NS));
        let Some(first) = runs.next() else {
            return UNKNOWN_NS;
        };
        let mean = runs.fold(first, |mean, run| {
            let run = run.min(16 * mean + 20_000);
            if run > mean {
                mean + (run - mean).div_ceil(8)
            } else {
                mean - (mean - run).div_ceil(8)
            }
        });
        (mean * (1 + u64::from(terms.more_items))).min(UNKNOWN_NS)
    }

    /// What becomes of a task that has failed, or has lost its worker: it is tried again, if it may be.
    pub(super) fn fail(&mut self, task: u64, job: &mut Job) -> Option<u64> {
        let entry = &mut self.tasks[task as usize];
        if entry.is_killed || entry.left.retries == 0 {
            return None;
        }
        job.left.retries -= 1;
        entry.left = job.left;
        self.go_back(task, job.left.pause_ns);
        Some(job.left.pause_ns)
    }

    /// It need not wait any more, if it had to.
    pub(super) fn wait_is_over(&mut self, task: u64) {
        if let Some(again_ns) = self.tasks[task as usize].again_ns.take() {
            assert!(again_ns <= self.now, "it was to wait");
        }
    }

    /// It waits again, as soon as so much time has passed.
    pub(super) fn go_back(&mut self, task: u64, pause_ns: u64) {
        let now = self.now;
        let entry = &mut self.tasks[task as usize];
        entry.sent = None;
        entry.again_ns = (pause_ns > 0).then_some(now + pause_ns);
    }
}

/// Whether a task that is ended like this may be tried again.
pub(super) fn may_be_tried_again(cause: Option<Cause>) -> bool {
    matches!(cause, None | Some(Cause::Timeout))
}
