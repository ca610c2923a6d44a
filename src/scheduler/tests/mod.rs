//! The scheduler against its world, and the policy line by line.

mod ending;
mod permits;
mod placing;
mod races;
mod supervision;
mod world;

use super::{Action, Cancel, End, Pages, Place, Scheduler, Shutdown, State, Verdict, WorkerId};
use crate::error::TaskId;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

/// A function that takes 10 µs, once `Pool::learn` has run.
const SHORT: u32 = 0;
/// A function that has never run.
const UNKNOWN: u32 = 1;

/// Which tasks have begun: recalls of those are lost.
#[derive(Default)]
struct Script {
    begun: Vec<(WorkerId, u32)>,
    continued: Vec<TaskId>,
}

impl Pages<()> for Script {
    fn recall(&mut self, worker: WorkerId, seq: u32) -> bool {
        !self.begun.contains(&(worker, seq))
    }

    fn judge(&mut self, worker: WorkerId, seq: u32, task: TaskId, (): &mut ()) -> Verdict {
        if self.continued.contains(&task) {
            Verdict::Continue
        } else if self.begun.contains(&(worker, seq)) {
            Verdict::Begun
        } else {
            Verdict::NotBegun
        }
    }
}

/// A scheduler, its pages, and the time.
struct Pool {
    scheduler: Scheduler<()>,
    pages: Script,
    now: u64,
}

impl Pool {
    /// Workers 0..n, ready in this order: the last is the first to be used.
    fn new(workers: u32) -> Self {
        let mut pool = Self::starting(workers);
        (0..workers).for_each(|worker| assert_eq!(pool.ready(worker), []));
        pool
    }

    fn starting(workers: u32) -> Self {
        let mut pool = Self {
            scheduler: Scheduler::new(),
            pages: Script::default(),
            now: 1_000 * MS,
        };
        let actions = pool.act(|scheduler, _, _, out| scheduler.start(workers as usize, out));
        assert_eq!(actions, (0..workers).map(spawn).collect::<Vec<_>>());
        pool
    }

    /// Teaches the run time of `SHORT`; takes task 0, and sequence number 0 of the last worker.
    fn learn(mut self, worker: u32) -> Self {
        assert_eq!(self.submit(SHORT), [send(worker, 0, 0)]);
        assert_eq!(
            self.finished_in(worker, 0, 10 * US),
            [complete(0, End::Finished)]
        );
        self
    }

    fn act(
        &mut self,
        event: impl FnOnce(&mut Scheduler<()>, u64, &mut Script, &mut Vec<Action<()>>),
    ) -> Vec<Action<()>> {
        let mut out = Vec::new();
        event(&mut self.scheduler, self.now, &mut self.pages, &mut out);
        out
    }

    fn submit(&mut self, function: u32) -> Vec<Action<()>> {
        self.act(|scheduler, now, _, out| {
            scheduler
                .submit(function, (), now, out)
                .expect("tasks are welcome");
        })
    }

    fn ready(&mut self, worker: u32) -> Vec<Action<()>> {
        self.act(|scheduler, now, pages, out| {
            scheduler
                .worker_ready(WorkerId(worker), now, pages, out)
                .expect("no violation");
        })
    }

    fn begin(&mut self, worker: u32, seq: u32) {
        self.pages.begun.push((WorkerId(worker), seq));
    }

    fn finished(&mut self, worker: u32, seq: u32) -> Vec<Action<()>> {
        self.finished_in(worker, seq, 10 * US)
    }

    fn finished_in(&mut self, worker: u32, seq: u32, run_ns: u64) -> Vec<Action<()>> {
        self.act(|scheduler, now, pages, out| {
            let worker = WorkerId(worker);
            scheduler
                .finished(worker, seq, Some(run_ns), now, pages, out)
                .expect("no violation");
        })
    }

    fn passed(&mut self, worker: u32, seq: u32) -> Vec<Action<()>> {
        self.act(|scheduler, now, pages, out| {
            scheduler
                .passed(WorkerId(worker), seq, now, pages, out)
                .expect("no violation");
        })
    }

    fn gone(&mut self, worker: u32) -> Vec<Action<()>> {
        self.act(|scheduler, now, pages, out| {
            scheduler.worker_gone(WorkerId(worker), now, pages, out);
        })
    }

    fn cancel(&mut self, task: u64) -> (Cancel, Vec<Action<()>>) {
        let mut cancel = Cancel::Unknown;
        let actions = self.act(|scheduler, now, pages, out| {
            cancel = scheduler.cancel(TaskId(task), now, pages, out);
        });
        (cancel, actions)
    }

    fn shutdown(&mut self, mode: Shutdown) -> Vec<Action<()>> {
        self.act(|scheduler, _, pages, out| scheduler.shutdown(mode, pages, out))
    }
}

fn spawn(worker: u32) -> Action<()> {
    Action::Spawn {
        worker: WorkerId(worker),
    }
}

fn send(worker: u32, seq: u32, task: u64) -> Action<()> {
    Action::Send {
        worker: WorkerId(worker),
        seq,
        task: TaskId(task),
    }
}

fn complete(task: u64, end: End) -> Action<()> {
    Action::Complete {
        task: TaskId(task),
        job: (),
        end,
    }
}

fn retire(worker: u32) -> Action<()> {
    Action::Retire {
        worker: WorkerId(worker),
    }
}

fn kill(worker: u32) -> Action<()> {
    Action::Kill {
        worker: WorkerId(worker),
    }
}
