//! The scheduler against its world, and the policy line by line.

mod dividing;
mod elastic;
mod ending;
mod kills;
mod limits;
mod permits;
mod placing;
mod priorities;
mod races;
mod recycling;
mod retries;
mod supervision;
mod world;

use std::num::NonZeroU64;

use super::{
    Action, Again, Cancel, Cause, Divided, Division, End, Finish, Kill, Pages, Place, Policy,
    Scheduler, Shutdown, State, Terms, Turn, Verdict, WorkerId,
};
use crate::error::TaskId;
use crate::page::Progress;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

/// A function that takes 10 µs, once `Pool::learn` has run.
const SHORT: u32 = 0;
/// A function that has never run.
const UNKNOWN: u32 = 1;

/// What the status pages say.
#[derive(Default)]
struct Script {
    /// What has begun: recalls of it are lost.
    begun: Vec<Run>,
    /// How many items those have that are chunks.
    chunks: Vec<(WorkerId, u32, u32)>,
    /// What is left of these goes on when they are judged.
    continued: Vec<TaskId>,
    /// As chunks of so many items, if they are any.
    items_left: Option<u32>,
    /// After so long.
    pause_ns: u64,
    /// Something has come from a worker.
    has_moved: bool,
    /// Who was asked to stop, the item too.
    asked: Vec<(u32, u32, Option<u32>)>,
    /// What was judged begun, and why it was ended.
    causes: Vec<(u64, Option<Cause>)>,
    given_up: Vec<u64>,
}

/// A task that has begun.
struct Run {
    worker: WorkerId,
    seq: u32,
    progress: Progress,
}

impl Script {
    fn run(&mut self, worker: WorkerId, seq: u32) -> Option<&mut Run> {
        let mut begun = self.begun.iter_mut();
        begun.find(|run| (run.worker, run.seq) == (worker, seq))
    }
}

impl Pages<()> for Script {
    fn recall(&mut self, worker: WorkerId, seq: u32) -> bool {
        self.run(worker, seq).is_none()
    }

    fn progress(&mut self, worker: WorkerId, seq: u32) -> Progress {
        self.run(worker, seq)
            .map_or(Progress::Waiting, |run| run.progress)
    }

    fn has_moved(&mut self, _: WorkerId) -> bool {
        std::mem::take(&mut self.has_moved)
    }

    fn ask_stop(&mut self, WorkerId(worker): WorkerId, seq: u32, item: Option<u32>) {
        self.asked.push((worker, seq, item));
    }

    fn condemn(&mut self, worker: WorkerId, seq: u32, item: Option<u32>) -> bool {
        let Some(run) = self.run(worker, seq) else {
            return false;
        };
        match run.progress {
            Progress::Running { item: runs, .. } if item.is_none_or(|item| item == runs) => {
                run.progress = Progress::Condemned { item: runs };
                true
            }
            Progress::Condemned { .. } => true,
            _ => false,
        }
    }

    fn divide(
        &mut self,
        worker: WorkerId,
        seq: u32,
        (): &mut (),
        division: Division,
    ) -> Option<Divided<()>> {
        let Progress::Running { item, .. } = self.run(worker, seq)?.progress else {
            return None;
        };
        let mut chunks = self.chunks.iter_mut();
        let (.., items) = chunks.find(|(of, number, _)| (*of, *number) == (worker, seq))?;
        let left = item + 1 + division.kept(*items - item - 1);
        let mut taken = std::mem::replace(items, left) - left;
        let mut pieces = Vec::new();
        for share in (1..=division.pieces).rev() {
            let items = taken.div_ceil(share);
            taken -= items;
            pieces.extend((items > 0).then_some(((), items)));
        }
        (!pieces.is_empty()).then_some(Divided { left, pieces })
    }

    fn judge(
        &mut self,
        worker: WorkerId,
        seq: u32,
        task: TaskId,
        (): &mut (),
        cause: Option<Cause>,
    ) -> Verdict {
        if self.run(worker, seq).is_none() {
            assert_eq!(cause, None, "nobody is ended for what has not begun");
            return Verdict::NotBegun;
        }
        self.causes.push((task.0, cause));
        if self.continued.contains(&task) {
            let pause_ns = self.pause_ns;
            let items = self.items_left.unwrap_or(1);
            Verdict::Continue(Again { pause_ns, items })
        } else {
            Verdict::Begun
        }
    }

    fn give_up(&mut self, _: WorkerId, TaskId(task): TaskId, (): &mut ()) {
        self.given_up.push(task);
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
        Self::with(Policy::of(workers as usize))
    }

    /// The same, where there is more to say than their number.
    fn with(policy: Policy) -> Self {
        let workers = policy.min_workers;
        let mut pool = Self::starting_with(policy);
        (0..workers as u32).for_each(|worker| assert_eq!(pool.ready(worker), []));
        pool
    }

    fn starting(workers: u32) -> Self {
        Self::starting_with(Policy::of(workers as usize))
    }

    fn starting_with(policy: Policy) -> Self {
        let workers = policy.min_workers as u32;
        let mut pool = Self {
            scheduler: Scheduler::new(policy),
            pages: Script::default(),
            now: 1_000 * MS,
        };
        let actions = pool.act(Scheduler::start);
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
        event: impl FnOnce(&mut Scheduler<()>, &mut Turn<'_, ()>),
    ) -> Vec<Action<()>> {
        let mut out = Vec::new();
        let turn = &mut Turn {
            now: self.now,
            pages: &mut self.pages,
            out: &mut out,
        };
        event(&mut self.scheduler, turn);
        out
    }

    fn submit(&mut self, function: u32) -> Vec<Action<()>> {
        self.submit_with(Terms {
            function,
            ..Terms::default()
        })
    }

    fn submit_with(&mut self, terms: Terms) -> Vec<Action<()>> {
        self.act(|it, turn| {
            it.submit(terms, (), turn).expect("tasks are welcome");
        })
    }

    /// The pool takes nothing.
    fn refuses(&mut self) -> bool {
        let mut is_refused = false;
        let terms = Terms::default();
        let actions = self.act(|it, turn| is_refused = it.submit(terms, (), turn) == Err(()));
        is_refused && actions.is_empty()
    }

    fn ready(&mut self, worker: u32) -> Vec<Action<()>> {
        self.act(|it, turn| {
            it.worker_ready(WorkerId(worker), turn)
                .expect("no violation");
        })
    }

    fn begin(&mut self, worker: u32, seq: u32) {
        self.pages.begun.push(Run {
            worker: WorkerId(worker),
            seq,
            progress: Progress::Running {
                item: 0,
                started_ns: self.now,
            },
        });
    }

    /// What the page says of a task that has begun.
    fn page(&mut self, worker: u32, seq: u32) -> &mut Progress {
        let run = self.pages.run(WorkerId(worker), seq);
        &mut run.expect("it has begun").progress
    }

    fn finished(&mut self, worker: u32, seq: u32) -> Vec<Action<()>> {
        self.finished_in(worker, seq, 10 * US)
    }

    fn finished_in(&mut self, worker: u32, seq: u32, run_ns: u64) -> Vec<Action<()>> {
        let finish = Finish {
            run_ns: Some(run_ns),
            ..Finish::default()
        };
        self.finished_with(worker, seq, finish)
    }

    fn finished_with(&mut self, worker: u32, seq: u32, finish: Finish) -> Vec<Action<()>> {
        self.act(|it, turn| {
            it.finished(WorkerId(worker), seq, finish, turn)
                .expect("no violation");
        })
    }

    /// Items of a chunk have been answered, up to this one.
    fn went_on(&mut self, worker: u32, seq: u32, item: u32) -> Vec<Action<()>> {
        self.act(|it, turn| it.went_on(WorkerId(worker), seq, item, turn))
    }

    fn passed(&mut self, worker: u32, seq: u32) -> Vec<Action<()>> {
        self.act(|it, turn| {
            it.passed(WorkerId(worker), seq, turn)
                .expect("no violation");
        })
    }

    fn gone(&mut self, worker: u32) -> Vec<Action<()>> {
        self.act(|it, turn| it.worker_gone(WorkerId(worker), turn))
    }

    fn start_failed(&mut self, worker: u32) -> Vec<Action<()>> {
        self.act(|it, turn| it.start_failed(WorkerId(worker), turn))
    }

    fn cancel(&mut self, task: u64) -> (Cancel, Vec<Action<()>>) {
        let mut cancel = Cancel::Unknown;
        let actions = self.act(|it, turn| cancel = it.cancel(TaskId(task), turn));
        (cancel, actions)
    }

    fn kill(&mut self, task: u64) -> (Kill, Vec<Action<()>>) {
        let mut kill = Kill::TooLate;
        let actions = self.act(|it, turn| kill = it.kill(TaskId(task), turn));
        (kill, actions)
    }

    fn resize(&mut self, min_workers: usize, max_workers: usize) -> Vec<Action<()>> {
        self.act(|it, turn| it.resize(min_workers, max_workers, turn))
    }

    fn shutdown(&mut self, mode: Shutdown) -> Vec<Action<()>> {
        self.act(|it, turn| it.shutdown(mode, turn))
    }

    /// Time passes, and the scheduler is told.
    fn after(&mut self, ns: u64) -> Vec<Action<()>> {
        self.now += ns;
        self.act(Scheduler::tick)
    }

    /// How long it is until the scheduler wants to be told.
    fn next_tick(&self) -> Option<u64> {
        let next_ns = self.scheduler.next_tick_ns()?;
        Some(next_ns.saturating_sub(self.now))
    }
}

/// A function that has never run, with a time limit.
fn timeout(ns: u64) -> Terms {
    Terms {
        function: UNKNOWN,
        timeout_ns: NonZeroU64::new(ns),
        ..Terms::default()
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

fn terminate(worker: u32) -> Action<()> {
    Action::Terminate {
        worker: WorkerId(worker),
    }
}
