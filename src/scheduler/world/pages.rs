//! The status pages of the world's workers.

use super::model::{Frame, Job, Left, Model, Status, Task, may_be_tried_again};
use crate::error::TaskId;
use crate::page::Progress;
use crate::scheduler::{
    Cause, Divided, Division, MAX_SUSPICION, Pages, RESULT_GRACE_NS, STUCK_NS, Verdict, WorkerId,
};

impl Model {
    /// What is on the page for this task. Nobody asks for what is not.
    fn frame(&mut self, worker: WorkerId, seq: u32) -> &mut Frame {
        let mut frames = self.worker(worker).frames.iter_mut();
        let frame = frames.find(|frame| frame.seq == seq);
        frame.expect("who is asked for was sent and is not passed")
    }

    /// Whether anything at all may be said of this worker.
    fn lies(&mut self, worker: WorkerId) -> Option<usize> {
        self.lies += 1;
        let count = self.lies;
        self.worker(worker).is_liar.then_some(count)
    }

    /// The items of a chunk from this one on are tasks of their own from now on.
    fn cut(&mut self, task: usize, job: &mut Job, cut: u8, pieces: u32) -> Divided<Job> {
        let mut taken = job.left.items + 1 - cut;
        job.left.items = cut - 1;
        let root = self.tasks[task].part_of.unwrap_or(task as u64);
        let entry = &mut self.tasks[task];
        entry.left = job.left;
        entry.terms.more_items = (cut - 1).into();
        let (terms, left) = (entry.terms, entry.left);
        let mut divided = Vec::new();
        for piece in (1..=pieces).rev() {
            let items = u32::from(taken).div_ceil(piece) as u8;
            taken -= items;
            if items == 0 {
                continue;
            }
            let left = Left {
                items: items - 1,
                ..left
            };
            let task = self.tasks.len() as u64;
            let mut terms = terms;
            terms.more_items = left.items.into();
            self.tasks.push(Task::new(terms, left, Some(root)));
            divided.push((Job { task, left }, items.into()));
        }
        assert_eq!(taken, 0);
        Divided {
            left: cut.into(),
            pieces: divided,
        }
    }

    fn at(&self, id: WorkerId) -> usize {
        let mut workers = self.workers.iter();
        workers.position(|worker| worker.id() == id).unwrap()
    }
}

impl Pages<Job> for Model {
    fn recall(&mut self, worker: WorkerId, seq: u32) -> bool {
        self.recalls += 1;
        let entry = self.worker(worker);
        let lies = std::mem::take(&mut entry.lies_next);
        entry.is_liar |= lies;
        let frame = self.frame(worker, seq);
        assert!(frame.is_open(), "a frame is recalled once");
        if (frame.status == Status::Sent) == lies {
            return false;
        }
        frame.status = Status::Recalled;
        let task = frame.task as usize;
        self.tasks[task].sent = None;
        let entry = self.worker(worker);
        entry.budget = entry.budget.map(|left| left + 1);
        if self.is_racing {
            // It skips this one, and begins the next.
            let at = self.at(worker);
            self.step(at);
        }
        true
    }

    fn progress(&mut self, worker: WorkerId, seq: u32) -> Progress {
        if let Some(lies) = self.lies(worker) {
            let (item, started_ns) = (lies as u32 / 2, u64::from(seq) << (lies % 50));
            return match lies % 6 {
                0 => Progress::Waiting,
                1 | 2 => Progress::Running { item, started_ns },
                3 => Progress::Ended,
                4 => Progress::Condemned { item },
                _ => Progress::Garbage,
            };
        }
        let status = self.frame(worker, seq).status;
        let entry = self.worker(worker);
        let is_condemned = entry
            .condemned
            .is_some_and(|(condemned, _)| condemned == seq);
        match status {
            Status::Sent | Status::Recalled | Status::Skipped => Progress::Waiting,
            Status::Begun { item, .. } if is_condemned => Progress::Condemned { item },
            Status::Ended { .. } if is_condemned => Progress::Condemned { item: 0 },
            Status::Begun { item, started_ns } => Progress::Running { item, started_ns },
            Status::Ended { .. } => Progress::Ended,
        }
    }

    fn has_moved(&mut self, worker: WorkerId) -> bool {
        let entry = self.worker(worker);
        std::mem::replace(&mut entry.heard_before, entry.heard) != entry.heard
    }

    fn ask_stop(&mut self, worker: WorkerId, seq: u32, item: Option<u32>) {
        let now = self.now;
        let asked = self.worker(worker).asked.replace((seq, item, now));
        if self.lies(worker).is_none() {
            let frame = *self.frame(worker, seq);
            assert!(self.tasks[frame.task as usize].is_to_end(frame.status, now));
            let is_asked = asked.is_some_and(|(of, what, _)| (of, what) == (seq, item));
            assert!(
                !is_asked || !frame.is_begun(),
                "asking again gives it more time"
            );
        }
    }

    fn condemn(&mut self, worker: WorkerId, seq: u32, item: Option<u32>) -> bool {
        let now = self.now;
        if let Some(lies) = self.lies(worker) {
            if lies % 2 == 0 {
                self.worker(worker).condemned = Some((seq, now));
            }
            return lies % 2 == 0;
        }
        if self.is_racing && self.lies.is_multiple_of(2) && self.frame(worker, seq).is_begun() {
            self.worker(worker).end(now, 1_000, false);
        }
        let frame = *self.frame(worker, seq);
        let entry = self.worker(worker);
        match frame.status {
            Status::Begun { item: runs, .. } if item.is_none_or(|item| item == runs) => {
                assert_eq!(entry.condemned, None, "once is enough");
                entry.condemned = Some((seq, now));
                // Nobody is hit whose time is not up, and whose caller does not want it.
                assert!(self.tasks[frame.task as usize].is_to_end(frame.status, now));
                true
            }
            Status::Begun { .. } | Status::Ended { .. } => false,
            other => panic!("{other:?} is condemned"),
        }
    }

    fn divide(
        &mut self,
        worker: WorkerId,
        seq: u32,
        job: &mut Job,
        division: Division,
    ) -> Option<Divided<Job>> {
        // As what is recalled, it comes back in the middle of an event.
        self.recalls += 1;
        if self.is_racing && self.lies.is_multiple_of(2) {
            let at = self.at(worker);
            self.step(at);
        }
        let lies = self.lies(worker);
        let frame = *self.frame(worker, seq);
        let entry = self.worker(worker);
        let has_taken_long = entry.progress_ns + STUCK_NS < self.now;
        assert!(has_taken_long || self.is_cancelling, "it is left alone");
        let items = job.left.items;
        let cut = match (lies, frame.status) {
            (Some(lies), _) => {
                (items > 0 && lies % 3 > 0).then(|| 1 + (lies % 256) as u8 % items)?
            }
            (None, Status::Begun { item, .. }) => {
                if self.find(worker)?.condemned.is_some() {
                    return None;
                }
                let waiting = u32::from(items) - item;
                let kept = division.kept(waiting);
                if kept >= waiting {
                    return None;
                }
                (item + 1 + kept) as u8
            }
            (None, Status::Ended { .. }) => return None,
            (None, other) => {
                assert!(self.is_cancelling, "{other:?} is divided");
                return None;
            }
        };
        let divided = self.cut(frame.task as usize, job, cut, division.pieces);
        let terms = self.tasks[frame.task as usize].terms;
        let estimate_ns = self.estimate(&terms);
        let frame = self.frame(worker, seq);
        frame.estimate_ns = frame.estimate_ns.min(estimate_ns);
        Some(divided)
    }

    fn judge(
        &mut self,
        worker: WorkerId,
        seq: u32,
        task: TaskId,
        job: &mut Job,
        cause: Option<Cause>,
    ) -> Verdict {
        assert_eq!(self.judging, Some(worker), "only who has gone is judged");
        let now = self.now;
        let entry = self.worker(worker);
        let open = entry.open();
        let is_liar = entry.is_liar;
        let condemned = entry.condemned.map(|(seq, _)| seq);
        let went_by_itself = entry.is_ready && !entry.is_killed && !entry.is_retired;
        let unjudged = open
            .iter()
            .find(|frame| self.tasks[frame.task as usize].verdict.is_none())
            .unwrap();
        assert_eq!((unjudged.seq, unjudged.task), (seq, task.0), "oldest first");
        assert_eq!(job.task, task.0);
        let entry = &mut self.tasks[task.0 as usize];
        let item = match unjudged.status {
            Status::Begun { item, .. } => Some(item),
            Status::Ended { .. } => Some(entry.left.items.into()),
            _ => None,
        };
        match cause {
            None => {}
            Some(Cause::Timeout) => assert!(entry.terms.timeout_ns.is_some()),
            Some(Cause::Deadline) => assert!(entry.is_overdue(now)),
            Some(Cause::Killed) => assert!(entry.is_killed),
        }
        if !is_liar {
            let is_awaited = match unjudged.status {
                Status::Ended { since_ns } => since_ns + RESULT_GRACE_NS <= now,
                _ => false,
            };
            let is_condemned = condemned == Some(seq);
            assert!(cause.is_some() || !is_condemned);
            assert!(cause.is_none() || is_condemned || is_awaited, "{cause:?}");
        }
        let Some(item) = item else {
            assert!(is_liar || cause.is_none());
            entry.verdict = Some(Verdict::NotBegun);
            // Whoever was told that it is being ended was told so because of a lie.
            assert!(is_liar || !entry.is_killed);
            entry.is_killed = false;
            entry.suspicion += u8::from(went_by_itself && seq == open[0].seq);
            self.go_back(task.0, 0);
            return Verdict::NotBegun;
        };
        let may_go_on = may_be_tried_again(cause) && !entry.is_killed;
        let pause_ns = if !may_go_on {
            None
        } else if let Some(pause_ns) = self.fail(task.0, job) {
            Some(pause_ns)
        } else if item < job.left.items.into() {
            job.left.items -= item as u8 + 1;
            let entry = &mut self.tasks[task.0 as usize];
            entry.left = job.left;
            entry.terms.more_items = job.left.items.into();
            self.go_back(task.0, 0);
            Some(0)
        } else {
            None
        };
        let verdict = match pause_ns {
            Some(pause_ns) => Verdict::Continue(job.left.again(pause_ns)),
            None => Verdict::Begun,
        };
        self.tasks[task.0 as usize].verdict = Some(verdict);
        verdict
    }

    fn give_up(&mut self, worker: WorkerId, TaskId(task): TaskId, job: &mut Job) {
        assert_eq!((self.judging, job.task), (Some(worker), task));
        let entry = &mut self.tasks[task as usize];
        assert_eq!(entry.verdict, Some(Verdict::NotBegun));
        assert_eq!(entry.suspicion, MAX_SUSPICION);
        entry.is_given_up = true;
    }
}
