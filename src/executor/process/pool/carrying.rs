//! The carrying out of what the scheduler decides: [`Pool::act`] under the lock, [`Pool::carry_out`] when it has been let go.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use super::effects::Jobs;
use super::{Effects, Inner, Pool, Unwanted};
use crate::error::{SubmitError, TaskError};
use crate::executor::process::job::{Ending, Endings};
use crate::executor::process::link::Link;
use crate::executor::process::output::Runs;
use crate::executor::process::reading;
use crate::primitives::plain::{MutexGuard, lock};
use crate::scheduler::{self, Action, End, State};
use crate::wire::Encoded;

/// How many pools' futures one thread may be completing, one inside the other, before it is taken to be completing those of
/// every pool.
const NESTED: usize = 4;

thread_local! {
    /// The pools whose futures this thread is completing, by their addresses, and how many they are. Their wakers may drop an
    /// executor, or shut it down: on this thread its end cannot be waited for.
    static COMPLETING: Cell<([usize; NESTED], usize)> = const { Cell::new(([0; NESTED], 0)) };
}

/// While it lives, this thread completes futures of a pool.
struct Completing;

impl Completing {
    fn begin(pool: &Pool) -> Self {
        let (mut pools, depth) = COMPLETING.get();
        if let Some(place) = pools.get_mut(depth) {
            *place = address(pool);
        }
        COMPLETING.set((pools, depth + 1));
        Self
    }
}

impl Drop for Completing {
    fn drop(&mut self) {
        let (pools, depth) = COMPLETING.get();
        COMPLETING.set((pools, depth - 1));
    }
}

fn address(pool: &Pool) -> usize {
    std::ptr::from_ref(pool).addr()
}

impl Pool {
    /// Whether a waker that runs on this thread now may have been called by this pool.
    pub(super) fn is_completing_here(&self) -> bool {
        let (pools, depth) = COMPLETING.get();
        depth > NESTED || pools.iter().take(depth).any(|pool| *pool == address(self))
    }

    /// Carries out the actions, as far as that belongs under the lock.
    pub(super) fn act(&self, inner: &mut Inner, effects: &mut Effects) {
        if inner.out.is_empty() {
            return;
        }
        let mut out = std::mem::take(&mut inner.out);
        for action in out.drain(..) {
            match action {
                Action::Spawn { worker } => {
                    inner.to_start.push(worker);
                    effects.wake_reactor = true;
                }
                Action::Send { worker, seq, task } => {
                    let (Some(link), Some(job)) =
                        (inner.links.get(&worker), inner.scheduler.job(task))
                    else {
                        debug_assert!(false, "a task is sent to a worker that is there");
                        continue;
                    };
                    link.page.send(seq, job.items());
                    link.note_items(job.items());
                    if link.note_sent(seq) {
                        effects.fresh.push((link.clone(), seq));
                    }
                    link.push(job.header(task, seq), &job.payload, job.function_behind());
                    if !self.output.holds_back(link) {
                        effects.flush(link);
                    }
                }
                Action::Complete { task, mut job, end } => {
                    let is_cancelled = matches!(end, End::Cancelled);
                    let error = match end {
                        End::Finished | End::Lost | End::GivenUp => TaskError::Abandoned,
                        End::Cancelled => TaskError::Cancelled {
                            may_have_run: false,
                        },
                        End::Overdue => job.overdue(task),
                        End::ShutDown { may_have_run } => TaskError::ShutDown { may_have_run },
                        End::Broken { may_have_run } => TaskError::Broken {
                            reason: Self::reason(inner),
                            may_have_run,
                        },
                    };
                    // Those that finished, were lost or given up have had their answers.
                    job.end(&error, &mut effects.endings);
                    match is_cancelled {
                        true => effects.cancelled.push(job),
                        false => effects.jobs.push(job),
                    }
                }
                Action::Retire { worker } => match inner.links.get(&worker).cloned() {
                    Some(link) => {
                        inner.say_goodbye(&link, self.settings.exit_grace, effects);
                        // There is a limit to look at.
                        effects.wake_reactor = true;
                    }
                    None => inner.unwanted.push((worker, Unwanted::Retired)),
                },
                Action::Terminate { worker } => match inner.links.get(&worker).cloned() {
                    Some(link) => {
                        link.child.signal_group(self.settings.terminate_signal);
                        let shut_down = State::ShutDown(scheduler::Shutdown::Terminate);
                        if inner.scheduler.state() == shut_down {
                            // Its task has been ended, whatever the worker does now. The goodbye is for one that heeds the signal by
                            // ending its task.
                            link.wake_waiter();
                            inner.say_goodbye(&link, self.settings.exit_grace, effects);
                            effects.wake_reactor = true;
                        }
                    }
                    None => inner.unwanted.push((worker, Unwanted::Killed)),
                },
                Action::Kill { worker } => match inner.links.get(&worker) {
                    Some(link) => {
                        link.discard_outbound();
                        link.child.kill_group();
                    }
                    None => inner.unwanted.push((worker, Unwanted::Killed)),
                },
                Action::StartFailed { .. } | Action::Broken { .. } => {
                    effects.close_gate = Some(SubmitError::Broken(Self::reason(inner).to_string()));
                    effects.is_ready = true;
                }
            }
        }
        inner.out = out;
    }

    /// Carries out everything, and lets the lock go in between.
    pub(super) fn finish(&self, mut state: MutexGuard<'_, Inner>, mut effects: Effects) {
        self.settle(&mut state, &mut effects);
        drop(state);
        self.carry_out(effects);
    }

    /// Carries out what belongs under the lock, and sees to it that the rest is not forgotten.
    pub(super) fn settle(&self, inner: &mut Inner, effects: &mut Effects) {
        self.act(inner, effects);
        self.note_endings(effects);
        // A timer that is due before the reactor would look: it has to be woken to hear of it.
        if let Some(tick_ns) = inner.scheduler.next_tick_ns()
            && tick_ns < inner.looks_at_ns
        {
            inner.looks_at_ns = tick_ns;
            effects.wake_reactor = true;
        }
    }

    /// Under the lock: this thread has something to carry out before the pool may end.
    pub(super) fn note_endings(&self, effects: &mut Effects) {
        let has_endings = !effects.endings.is_empty()
            || !effects.jobs.is_empty()
            || !effects.cancelled.is_empty();
        if has_endings && !effects.is_noted {
            effects.is_noted = true;
            self.carrying.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// What is left to do when no lock is held.
    pub(in crate::executor::process) fn carry_out(&self, effects: Effects) {
        let Effects {
            endings,
            jobs,
            cancelled,
            flush,
            mut wake_reactor,
            is_ready,
            close_gate,
            mut is_noted,
            fresh,
            may_read,
            records,
        } = effects;
        debug_assert!(records.is_empty(), "they are said before");
        for link in flush {
            link.flush();
        }
        for (link, seq) in fresh {
            // On a busy machine the worker may have run, and answered, before the write returned: then
            // nobody needs to be woken for it.
            let is_answered = may_read && link.page.elapsed_ns(seq) != 0;
            if !(is_answered && reading::results(self, &link)) {
                link.expect_results();
            }
        }
        let has_ends = !(endings.is_empty() && jobs.is_empty() && cancelled.is_empty());
        let completing = has_ends.then(|| Completing::begin(self));
        // What is completed here can be seen at once; lines and records that came before may be waiting still.
        let is_behind = self.output.is_behind();
        let (behind, now) = if is_behind {
            // What was cancelled has nothing to wait for.
            endings
                .into_iter()
                .partition(|ending| !ending.is_cancelled())
        } else {
            (Endings::new(), endings)
        };
        // First the permits: whoever sees the end of a task may count on its room.
        drop(cancelled);
        if behind.is_empty() {
            drop(jobs);
        } else {
            self.complete_behind_output(jobs, behind, std::mem::take(&mut is_noted));
        }
        now.into_iter().for_each(Ending::tell);
        drop(completing);
        if let Some(error) = close_gate {
            self.is_closing.store(true, Ordering::SeqCst);
            self.gate.close(error);
            wake_reactor = true;
        }
        if is_ready && !self.ready.is_done() {
            self.complete_ready(is_behind);
        }
        wake_reactor |= is_noted && self.has_carried_out();
        if wake_reactor && self.reactor.get() != Some(&std::thread::current().id()) {
            self.poller.notify();
        }
    }
}

impl Pool {
    /// What runs in a worker, as what it prints is told.
    pub(in crate::executor::process) fn runs(&self, link: &Link) -> Runs {
        let state = lock(&self.state);
        let head = state.scheduler.head_of(link.worker);
        match head.filter(|(_, seq)| link.page.is_begun(*seq)) {
            None => Runs::default(),
            Some((task, _)) => Runs {
                task: Some(task),
                function: state.scheduler.job(task).map(|job| job.function.name),
            },
        }
    }

    /// The initial workers are ready, or never will be: what they have said so far is said before.
    pub(super) fn complete_ready(&self, is_behind: bool) {
        let this = self.this.clone();
        let complete = move || {
            if let Some(pool) = this.upgrade() {
                pool.ready.complete(Ok(Encoded::default()));
            }
        };
        if is_behind {
            self.output.thread.run(Box::new(complete));
        } else {
            complete();
        }
    }

    /// Completes futures on the thread for output, behind the lines and records that it has been given.
    pub(super) fn complete_behind_output(&self, jobs: Jobs, endings: Endings, is_noted: bool) {
        let this = self.this.clone();
        self.output.thread.run(Box::new(move || {
            // As in `carry_out`; and until here they bound what waits for the handler.
            drop(jobs);
            endings.into_iter().for_each(Ending::tell);
            if is_noted
                && let Some(pool) = this.upgrade()
                && pool.has_carried_out()
            {
                pool.poller.notify();
            }
        }));
    }

    /// This thread has carried out what it had to; says whether the reactor has to hear of it: it may have found everything
    /// done but this.
    pub(super) fn has_carried_out(&self) -> bool {
        self.carrying.fetch_sub(1, Ordering::SeqCst) == 1 && self.is_closing.load(Ordering::SeqCst)
    }
}
