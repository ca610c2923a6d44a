//! The slow, obvious side: what every task and every worker must be at, by linear search.

use std::collections::VecDeque;

use crate::error::TaskId;
use crate::scheduler::estimate::UNKNOWN_NS;
use crate::scheduler::{
    End, PREFETCH_NS, Pages, Place, STUCK_NS, Shutdown, Verdict, WINDOW, WorkerId,
};

/// A job that cannot be copied: whoever has it got it from the scheduler.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) task: u64,
    /// Items that a `Continue` verdict can still fail one by one.
    pub(super) items: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Sent,
    Begun,
    /// The result is on its way.
    Ended,
    Recalled,
    /// The worker has seen that it was recalled.
    Skipped,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) seq: u32,
    pub(super) task: u64,
    pub(super) estimate_ns: u64,
    pub(super) status: Status,
}

impl Frame {
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.status, Status::Recalled | Status::Skipped)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Message {
    Ready,
    Finished { seq: u32, run_ns: u64 },
    Passed { seq: u32 },
}

/// A worker: its process, its pipes and its page.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    /// The scheduler has been told that it is ready.
    pub(super) is_ready: bool,
    pub(super) has_said_ready: bool,
    pub(super) is_killed: bool,
    pub(super) is_retired: bool,
    pub(super) is_dead: bool,
    /// Its tasks were ended over its head.
    pub(super) is_abandoned: bool,
    /// It has lied, or was lied about: only what holds for any worker is asked of it.
    pub(super) is_liar: bool,
    pub(super) lies_next: bool,
    /// What the scheduler has not been told to be passed.
    pub(super) frames: VecDeque<Frame>,
    pub(super) next_seq: u32,
    pub(super) skipped_to: Option<u32>,
    pub(super) inbox: VecDeque<Message>,
    pub(super) progress_ns: u64,
}

impl Worker {
    pub(super) fn new(id: WorkerId, first_seq: u32) -> Self {
        Self {
            id,
            is_ready: false,
            has_said_ready: false,
            is_killed: false,
            is_retired: false,
            is_dead: false,
            is_abandoned: false,
            is_liar: false,
            lies_next: false,
            frames: VecDeque::new(),
            next_seq: first_seq,
            skipped_to: None,
            inbox: VecDeque::new(),
            progress_ns: 0,
        }
    }

    pub(super) fn open(&self) -> Vec<Frame> {
        self.frames.iter().copied().filter(Frame::is_open).collect()
    }

    pub(super) fn serves(&self) -> bool {
        self.is_ready && !self.is_killed && !self.is_retired
    }

    pub(super) fn has_room(&self) -> bool {
        self.frames.len() < WINDOW as usize
    }

    pub(super) fn is_idle(&self) -> bool {
        self.serves() && self.open().is_empty() && self.has_room()
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

    /// The process goes on by one step: it begins its next task, or says what it skipped, or ends.
    pub(super) fn step(&mut self) {
        if self.is_dead {
            return;
        }
        if !self.has_said_ready {
            self.has_said_ready = true;
            self.inbox.push_back(Message::Ready);
            return;
        }
        for frame in &mut self.frames {
            match frame.status {
                Status::Begun => return,
                Status::Ended | Status::Skipped => {}
                Status::Recalled => {
                    frame.status = Status::Skipped;
                    self.skipped_to = Some(frame.seq);
                }
                Status::Sent => {
                    frame.status = Status::Begun;
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
    pub(super) fn end(&mut self, run_ns: u64) {
        if self.is_dead {
            return;
        }
        if let Some(frame) = self
            .frames
            .iter_mut()
            .find(|frame| frame.status == Status::Begun)
        {
            frame.status = Status::Ended;
            self.skipped_to = None;
            self.inbox.push_back(Message::Finished {
                seq: frame.seq,
                run_ns,
            });
        }
    }
}

#[derive(Debug)]
pub(super) struct Task {
    pub(super) function: u32,
    pub(super) items: u8,
    pub(super) end: Option<End>,
    pub(super) sent: Option<(WorkerId, u32)>,
    /// What the last verdict on it was, if it came within this event.
    pub(super) verdict: Option<Verdict>,
}

#[derive(Debug, Default)]
pub(super) struct Model {
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
}

impl Model {
    pub(super) fn worker(&mut self, id: WorkerId) -> &mut Worker {
        self.workers
            .iter_mut()
            .find(|worker| worker.id == id)
            .expect("a worker that exists")
    }

    pub(super) fn pending(&self) -> Vec<u64> {
        (0..self.tasks.len() as u64)
            .filter(|task| self.is_pending(*task))
            .collect()
    }

    pub(super) fn is_pending(&self, task: u64) -> bool {
        self.tasks[task as usize].end.is_none()
    }

    pub(super) fn queued(&self) -> Vec<u64> {
        let is_queued = |task: &u64| self.tasks[*task as usize].sent.is_none();
        self.pending().into_iter().filter(is_queued).collect()
    }

    pub(super) fn place(&self, task: u64) -> Option<Place> {
        if !self.is_pending(task) {
            return None;
        }
        Some(match self.tasks[task as usize].sent {
            None => Place::Queued,
            Some((worker, seq)) => {
                let entry = self
                    .workers
                    .iter()
                    .find(|entry| entry.id == worker)
                    .unwrap();
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
    pub(super) fn estimate(&self, function: u32) -> u64 {
        let mut runs = self.runs[function as usize]
            .iter()
            .map(|run| (*run).min(UNKNOWN_NS));
        let Some(first) = runs.next() else {
            return UNKNOWN_NS;
        };
        runs.fold(first, |mean, run| {
            let run = run.min(16 * mean + 20_000);
            if run > mean {
                mean + (run - mean).div_ceil(8)
            } else {
                mean - (mean - run).div_ceil(8)
            }
        })
    }
}

impl Pages<Job> for Model {
    fn recall(&mut self, worker: WorkerId, seq: u32) -> bool {
        self.recalls += 1;
        let entry = self.worker(worker);
        let lies = std::mem::take(&mut entry.lies_next);
        entry.is_liar |= lies;
        let frame = entry.frames.iter_mut().find(|frame| frame.seq == seq);
        let frame = frame.expect("a recalled frame was sent and is not passed");
        assert!(frame.is_open(), "a frame is recalled once");
        if (frame.status == Status::Sent) == lies {
            return false;
        }
        frame.status = Status::Recalled;
        let task = frame.task as usize;
        self.tasks[task].sent = None;
        true
    }

    fn judge(&mut self, worker: WorkerId, seq: u32, task: TaskId, job: &mut Job) -> Verdict {
        assert_eq!(self.judging, Some(worker), "only who has gone is judged");
        let open = self.worker(worker).open();
        let unjudged = open
            .iter()
            .find(|frame| self.tasks[frame.task as usize].verdict.is_none())
            .unwrap();
        assert_eq!((unjudged.seq, unjudged.task), (seq, task.0), "oldest first");
        assert_eq!(job.task, task.0);
        let verdict = match unjudged.status {
            Status::Sent => Verdict::NotBegun,
            _ if job.items > 0 => {
                job.items -= 1;
                Verdict::Continue
            }
            _ => Verdict::Begun,
        };
        let entry = &mut self.tasks[task.0 as usize];
        entry.items = job.items;
        entry.verdict = Some(verdict);
        if verdict != Verdict::Begun {
            entry.sent = None;
        }
        verdict
    }
}
