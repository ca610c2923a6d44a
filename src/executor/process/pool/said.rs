//! What a worker says, brought to the scheduler.

use std::sync::Arc;

use super::pages::Living;
use super::{Effects, Inner, Limit, Pool};
use crate::error::{BuildError, TaskId};
use crate::executor::process::link::Link;
use crate::executor::process::message::Message;
use crate::frame::Kind;
use crate::page::Judgement;
use crate::primitives::plain::lock;
use crate::registry::registry;
use crate::scheduler;
use crate::sys::{self, Program};
use crate::wire::{Hello, PROTOCOL};

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
            self.act(&mut state, effects);
        }
        effects.is_ready |= !state.scheduler.is_starting();
        self.note_endings(effects);
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
        let Inner {
            scheduler,
            links,
            limits,
            out,
            ..
        } = inner;
        let pages = &mut Living(links);
        let violation = |violation: scheduler::Violation| violation.to_string();
        match message {
            Message::Hello(_) => {
                limits.retain(|(_, of, limit)| (*of, *limit) != (worker, Limit::Hello))
            }
            Message::InitializerFailed(_) => {}
            Message::Ready(_) => {
                scheduler
                    .worker_ready(worker, now, pages, out)
                    .map_err(violation)?;
                link.note_ready();
            }
            Message::Ended { task, seq, outcome } => {
                let head = scheduler.head_of(worker);
                if head != Some((TaskId(task), seq)) || link.page.judge(seq) == Judgement::NotBegun
                {
                    return Err(format!(
                        "a result for task {task} with sequence number {seq}, which it had not begun"
                    ));
                }
                let Some(job) = scheduler.job_mut(TaskId(task)) else {
                    return Err(format!("a result for task {task}, which is not pending"));
                };
                if job.kind() != Kind::Task {
                    return Err(format!("one result for task {task}, which is a chunk"));
                }
                job.answer(outcome, link.pid, max_frame, &mut effects.endings);
                let run_ns = Some(link.page.elapsed_ns(seq));
                scheduler
                    .finished(worker, seq, run_ns, now, pages, out)
                    .map_err(violation)?;
                link.note_passed(seq);
            }
            Message::Part {
                task,
                seq,
                first,
                items,
                last,
            } => {
                let head = scheduler.head_of(worker);
                if head != Some((TaskId(task), seq)) || link.page.judge(seq) == Judgement::NotBegun
                {
                    return Err(format!(
                        "a part of task {task} with sequence number {seq}, which it had not begun"
                    ));
                }
                let Some(job) = scheduler.job_mut(TaskId(task)) else {
                    return Err(format!("a part of task {task}, which is not pending"));
                };
                if job.kind() != Kind::Chunk {
                    return Err(format!("a part of task {task}, which is no chunk"));
                }
                job.answer_part(
                    first,
                    items,
                    last,
                    link.pid,
                    max_frame,
                    &mut effects.endings,
                )?;
                if last {
                    // How long a chunk takes says nothing of the next one, which may be longer.
                    scheduler
                        .finished(worker, seq, None, now, pages, out)
                        .map_err(violation)?;
                    link.note_passed(seq);
                }
            }
            Message::Passed { seq } => {
                scheduler
                    .passed(worker, seq, now, pages, out)
                    .map_err(violation)?;
                link.note_passed(seq);
            }
        }
        Ok(())
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
