//! What a worker says, brought to the scheduler.

use std::sync::Arc;

use super::{Effects, Inner, Limit, Pool};
use crate::error::{BuildError, TaskId};
use crate::executor::process::job::{Job, Next};
use crate::executor::process::link::Link;
use crate::executor::process::message::{Message, Part};
use crate::executor::process::output::Said;
use crate::frame::Kind;
use crate::page::Judgement;
use crate::primitives::plain::lock;
use crate::record::Speaker;
use crate::registry::registry;
use crate::scheduler::{self, Finish, Scheduler};
use crate::sys::{self, Program};
use crate::wire::{self, Hello, PROTOCOL};

impl Pool {
    /// Carries out what a worker has said. The error says what was wrong with it, in words that
    /// follow "because it sent".
    pub(in crate::executor::process) fn said(
        &self,
        link: &Arc<Link>,
        messages: &mut Vec<Message>,
        effects: &mut Effects,
    ) -> Result<(), String> {
        let now = sys::monotonic_ns();
        let mut state = lock(&self.state);
        let result = messages.drain(..).try_for_each(|message| {
            let done = self.apply(&mut state, link, message, now, effects);
            self.act(&mut state, effects);
            done
        });
        if result.is_err() {
            let inner = &mut *state;
            inner.scheduler.kill_worker(link.worker, &mut inner.out);
        }
        effects.is_ready |= !state.scheduler.is_starting();
        self.settle(&mut state, effects);
        result
    }

    fn apply(
        &self,
        inner: &mut Inner,
        link: &Arc<Link>,
        message: Message,
        now: u64,
        effects: &mut Effects,
    ) -> Result<(), String> {
        let max_frame = self.settings.setup.max_frame;
        let worker = link.worker;
        match message {
            Message::Hello(_) => {
                inner.lift(worker, Limit::Hello);
                if let (Some(within), true) = (
                    self.settings.initializer_timeout,
                    self.settings.setup.initializer,
                ) {
                    inner.limit(worker, Limit::Initializer, within);
                    effects.wake_reactor = true;
                }
            }
            Message::InitializerFailed(_) => {}
            Message::Ready(_) => {
                inner.lift(worker, Limit::Initializer);
                inner
                    .turn_at(now, |scheduler, turn| scheduler.worker_ready(worker, turn))
                    .map_err(violation)?;
                link.note_ready();
            }
            Message::Ended { .. } | Message::Part { .. }
                if inner.scheduler.is_abandoned(worker) => {}
            Message::Ended { task, seq, outcome } => {
                let what = || format!("a result for task {task} with sequence number {seq}");
                let job = job_of(&mut inner.scheduler, link, task, seq, what)?;
                let endings = &mut effects.endings;
                let next = match outcome {
                    outcome if job.kind() == Kind::Task => {
                        job.answer(outcome, link.pid, max_frame, endings)
                    }
                    // Its arguments could not be held, so none of its items has begun.
                    Err(failure) if job.next_item() == 0 => {
                        job.refuse(failure, link.pid, max_frame, endings);
                        Next::Nothing
                    }
                    _ => return Err(format!("one result for task {task}, which is a chunk")),
                };
                finished(inner, link, seq, next, now)?;
            }
            Message::Part { task, seq, part } => {
                let what = || format!("a part of task {task} with sequence number {seq}");
                let job = job_of(&mut inner.scheduler, link, task, seq, what)?;
                if job.kind() != Kind::Chunk {
                    return Err(format!("a part of task {task}, which is no chunk"));
                }
                let endings = &mut effects.endings;
                let is_last = part.is_last;
                let next = job.answer_part(TaskId(task), part, link.pid, max_frame, endings)?;
                if !is_last {
                    let item = job.next_item();
                    inner.turn_at(now, |scheduler, turn| {
                        scheduler.went_on(worker, seq, item, turn);
                    });
                } else {
                    finished(inner, link, seq, next, now)?;
                }
            }
            Message::Record { seq, record, size } => {
                if !self.settings.forwards {
                    return Err("a record that nobody had asked for".into());
                }
                effects.records.push(Said {
                    speaker: speaker(&inner.scheduler, link, seq),
                    record: *record,
                    size,
                });
            }
            Message::Passed { seq } => {
                inner
                    .turn_at(now, |scheduler, turn| scheduler.passed(worker, seq, turn))
                    .map_err(violation)?;
                link.note_passed(seq);
            }
        }
        Ok(())
    }

    /// A worker has ended, and what it sent has been brought: what it had kept of its chunk is brought, too.
    pub(in crate::executor::process) fn recover(&self, link: &Arc<Link>, effects: &mut Effects) {
        let state = lock(&self.state);
        let Some((task, seq)) = state.scheduler.head_of(link.worker) else {
            return;
        };
        let next = state.scheduler.job(task).map_or(0, Job::next_item);
        drop(state);
        let Some(kept) = link.page.kept(seq) else {
            return;
        };
        // Some of it may have been sent.
        let skip = next.saturating_sub(kept.first);
        let part = wire::part_of(
            kept.first,
            skip,
            kept.count,
            &link.page.kept_bytes(kept.len),
        );
        let part =
            part.and_then(|payload| Part::decode(payload, None, false, link.most_items()).ok());
        let Some(part) = part else { return };
        let TaskId(task) = task;
        // What cannot be is refused.
        let _ = self.said(link, &mut vec![Message::Part { task, seq, part }], effects);
    }

    /// Says what is wrong with a worker's hello.
    pub(in crate::executor::process) fn check_hello(
        &self,
        pid: u32,
        hello: &Hello,
    ) -> Result<(), BuildError> {
        let other = |difference: String| Err(BuildError::OtherBuild { pid, difference });
        if hello.protocol != PROTOCOL {
            return other(format!(
                "it speaks protocol {}, this program {PROTOCOL}",
                hello.protocol
            ));
        }
        if hello.registry != self.settings.setup.registry {
            let difference = registry().map(|registry| registry.difference(&hello.functions));
            return other(difference.unwrap_or_else(ToString::to_string));
        }
        if self.settings.setup.own_binary
            && let (Some(theirs), Some(ours)) = (hello.binary, Program::origin_of_this_process())
            && (theirs.dev, theirs.ino, theirs.size, theirs.mtime)
                != (ours.device, ours.inode, ours.size, ours.modified)
        {
            return other("its program is not the file that this process was started from".into());
        }
        Ok(())
    }
}

/// The job that a worker speaks of, if it is the one that it has begun.
fn job_of<'a>(
    scheduler: &'a mut Scheduler<Job>,
    link: &Link,
    task: u64,
    seq: u32,
    what: impl Fn() -> String,
) -> Result<&'a mut Job, String> {
    let is_head = scheduler.head_of(link.worker) == Some((TaskId(task), seq));
    if !is_head || link.page.judge(seq) == Judgement::NotBegun {
        return Err(format!("{}, which it had not begun", what()));
    }
    scheduler
        .job_mut(TaskId(task))
        .ok_or_else(|| format!("{}, which is not pending", what()))
}

/// Who said something while the frame with this sequence number ran. What comes when that has ended, from a thread that
/// is late, was said by no task.
fn speaker(scheduler: &Scheduler<Job>, link: &Link, seq: Option<u32>) -> Speaker {
    let head = scheduler.head_of(link.worker);
    let head = head.filter(|(_, head)| Some(*head) == seq && link.page.is_begun(*head));
    let task = head.map(|(task, _)| task);
    Speaker {
        pid: link.pid,
        task,
        function: task
            .and_then(|task| scheduler.job(task))
            .map(|job| job.function.name),
    }
}

fn violation(violation: scheduler::Violation) -> String {
    violation.to_string()
}

/// A task has ended, as the page tells, and this is to become of it.
fn finished(inner: &mut Inner, link: &Link, seq: u32, next: Next, now: u64) -> Result<(), String> {
    let resident_kib = match link.page.resident_kib(seq) {
        0 | sys::ALLOCATION_FAILED => None,
        kib => Some(kib),
    };
    let finish = Finish {
        run_ns: Some(link.page.elapsed_ns(seq)),
        resident_kib,
        again: match next {
            Next::Nothing => None,
            Next::Again(again) => Some(again),
        },
    };
    inner
        .turn_at(now, |scheduler, turn| {
            scheduler.finished(link.worker, seq, finish, turn)
        })
        .map_err(violation)?;
    link.note_passed(seq);
    Ok(())
}
