//! What was asked for, what was done to it, and what came of it: each entry has to come out even.

use std::collections::HashMap;
use std::fmt;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use procession::{
    EndOfWorker, Future, Kill, OutputLine, TaskError, TaskId, TimeLimitKind, WorkerLost,
};

use crate::assassin::Hits;
use crate::tasks::{Deed, Marks, Order, expected_text};

pub(crate) type Work = Future<Result<String, String>>;

/// One task.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) deed: Deed,
    pub(crate) length: usize,
    pub(crate) terms: Terms,
    /// It is an item of a chunk, and shares the fate of others.
    pub(crate) is_in_chunk: bool,
    /// Its number in the pool, where that is known.
    pub(crate) task: Option<TaskId>,
    pub(crate) done_to_it: DoneToIt,
    pub(crate) callback: Option<Arc<Callback>>,
    pub(crate) seen: Option<Seen>,
}

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) retries: u32,
}

/// What its caller did to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct DoneToIt {
    /// It was not accepted, or never submitted.
    pub(crate) is_refused: bool,
    /// `cancel` was called; this is what it said.
    pub(crate) cancel: Option<bool>,
    /// `kill` was called; this is what it said at first.
    pub(crate) kill: Option<Kill>,
    /// Its future was dropped, and the task went on.
    pub(crate) is_detached: bool,
    /// Its future was dropped, and the task with it, if that had not begun.
    pub(crate) is_aborted: bool,
    /// Its future was dropped, and the task with it.
    pub(crate) is_killed_by_drop: bool,
}

/// What a task's callback has been told.
#[derive(Debug, Default)]
pub(crate) struct Callback {
    pub(crate) calls: AtomicU32,
    pub(crate) seen: Mutex<Option<Seen>>,
}

/// How a future ended, as somebody saw it.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// With the value of the function: whether it is the right one, and how many lines of the task had been handed over by then.
    Value {
        is_right: bool,
        lines: usize,
    },
    /// With the function's own error, right or wrong.
    Refusal {
        is_right: bool,
    },
    Error(TaskError),
}

/// The lines that a round's tasks have printed: by task, as they say themselves.
#[derive(Default)]
pub(crate) struct Lines(Mutex<HashMap<u64, Vec<Line>>>);

#[derive(Clone)]
struct Line {
    /// Which line of its task it says that it is.
    number: u32,
    /// Whose it was taken for.
    task: Option<TaskId>,
}

/// What explains an error.
pub(crate) struct Evidence {
    pub(crate) marks: Marks,
    pub(crate) hits: Hits,
    /// What is captured.
    pub(crate) lines: Option<Arc<Lines>>,
    /// What every task was about, to know how it may have ended its worker.
    pub(crate) deeds: HashMap<u64, Deed>,
    /// The pool was ended while tasks were pending.
    pub(crate) was_cancelled: bool,
    pub(crate) was_killed: bool,
    /// A signal that the pool itself may send to a worker whose task is to end.
    pub(crate) terminate_signal: Option<i32>,
}

impl DoneToIt {
    pub(crate) fn cancel(&mut self, future: &Work) {
        let said = future.cancel();
        assert!(
            said || self.cancel != Some(true),
            "cancelling twice says so twice"
        );
        self.cancel = Some(said);
    }

    pub(crate) fn kill(&mut self, future: &Work) {
        let said = future.kill();
        self.kill.get_or_insert(said);
    }
}

impl Entry {
    pub(crate) fn new(order: &Order, terms: Terms, is_in_chunk: bool) -> Self {
        Self {
            id: order.id,
            deed: order.deed,
            length: order.length,
            terms,
            is_in_chunk,
            task: None,
            done_to_it: DoneToIt::default(),
            callback: None,
            seen: None,
        }
    }

    /// Says what is wrong with it.
    pub(crate) fn check(&self, evidence: &Evidence) -> Result<(), String> {
        self.check_all(evidence).map_err(|wrong| {
            let runs = evidence.marks.runs(self.id);
            format!("{wrong}: begun and ended {runs:?} times, {self:#?}")
        })
    }

    fn check_all(&self, evidence: &Evidence) -> Result<(), String> {
        let (begun, ended) = evidence.marks.runs(self.id);
        let done = &self.done_to_it;
        demand(begun <= 1 + self.terms.retries, "it ran too often")?;
        demand(ended <= begun, "it ended more often than it began")?;
        if done.is_refused {
            return demand(begun == 0 && self.seen.is_none(), "it was refused");
        }
        let mut seen = self.seen.clone();
        if let Some(callback) = &self.callback {
            let calls = callback.calls.load(Ordering::SeqCst);
            demand(calls == 1, "its callback was called once")?;
            let told = callback.seen.lock().unwrap().clone();
            if let (Some(seen), Some(told)) = (&seen, &told) {
                demand(seen.is_like(told), "the callback was told the same")?;
            }
            seen = seen.or(told);
        }
        let Some(seen) = seen else {
            let may_be_unseen = done.is_detached || done.is_aborted || done.is_killed_by_drop;
            return demand(may_be_unseen, "somebody saw its end");
        };
        // One that was killed before counts as cancelled.
        let is_cancelled = match &seen {
            Seen::Error(TaskError::Cancelled { .. }) => true,
            Seen::Error(TaskError::Killed(_)) => done.kill == Some(Kill::Killing),
            _ => false,
        };
        if done.cancel == Some(true) || done.kill == Some(Kill::Cancelled) {
            demand(is_cancelled, "it was cancelled, as was said")?;
        }
        match &seen {
            Seen::Value { is_right, lines } => {
                demand(*is_right, "the value is right")?;
                demand(ended >= 1, "it ended")?;
                demand(self.may_return(), "it could return a value")?;
                self.check_lines(begun, *lines, evidence)
            }
            Seen::Refusal { is_right } => {
                demand(*is_right && self.deed == Deed::Refuse, "it could refuse")?;
                demand(ended >= 1, "it ended")
            }
            Seen::Error(error) => {
                let has_no_trace = error.may_have_run() || begun == 0;
                demand(has_no_trace, "it did not run")?;
                self.check_error(error, begun, evidence)
            }
        }
    }

    fn check_error(
        &self,
        error: &TaskError,
        begun: u32,
        evidence: &Evidence,
    ) -> Result<(), String> {
        let done = &self.done_to_it;
        let max_attempts = 1 + self.terms.retries;
        match error {
            TaskError::Panicked(panic) => {
                let text = format!("panic of {}", self.id);
                let is_own = self.deed == Deed::Panic && *panic.message == *text;
                demand(is_own, "it could panic")
            }
            TaskError::WorkerLost(lost) => {
                demand(lost.attempts <= max_attempts, "so many attempts")?;
                demand(begun <= lost.attempts, "as many attempts")?;
                demand(
                    evidence.could_end(lost, self),
                    "the worker had a reason to end",
                )
            }
            TaskError::Killed(lost) => {
                let was_asked_for = done.kill.is_some() || done.is_killed_by_drop;
                demand(was_asked_for, "somebody killed it")?;
                demand(begun <= lost.attempts, "as many attempts")?;
                demand(
                    evidence.could_be_ended(lost, self),
                    "the worker had a reason to end",
                )
            }
            TaskError::TimeLimit(limit) => {
                let expected = match limit.kind {
                    TimeLimitKind::Timeout => self.terms.timeout,
                    TimeLimitKind::Deadline => self.terms.deadline,
                };
                demand(Some(limit.limit) == expected, "it had that limit")?;
                demand(limit.attempts <= max_attempts, "so many attempts")?;
                demand(begun <= limit.attempts, "as many attempts")
            }
            TaskError::Cancelled { .. } => {
                let was_asked_for = done.cancel.is_some()
                    || done.kill.is_some()
                    || done.is_aborted
                    || done.is_killed_by_drop
                    || evidence.was_cancelled;
                demand(was_asked_for, "somebody cancelled it")
            }
            TaskError::ShutDown { .. } => demand(evidence.was_killed, "the pool was ended"),
            other => Err(format!("nobody asked for {other:?}")),
        }
    }

    /// Whether there is a way for the function to come to a value.
    fn may_return(&self) -> bool {
        matches!(
            self.deed,
            Deed::Nothing
                | Deed::Sleep { .. }
                | Deed::Spin { .. }
                | Deed::Print { .. }
                | Deed::Heed
        )
    }

    /// All of its lines had been handed over before its future was completed, in their order.
    fn check_lines(&self, begun: u32, seen: usize, evidence: &Evidence) -> Result<(), String> {
        let (Deed::Print { lines: expected }, Some(lines)) = (self.deed, &evidence.lines) else {
            return Ok(());
        };
        demand(seen >= expected as usize, "its lines came before its end")?;
        if begun == 1 {
            let printed = lines.of(self.id);
            let numbers = printed.iter().map(|line| line.number);
            demand(numbers.eq(0..expected), "its lines are in order")?;
            let is_attributed =
                |task: Option<TaskId>| task.is_some() && (self.task.is_none() || task == self.task);
            let all = printed.iter().all(|line| is_attributed(line.task));
            demand(all, "its lines are its own")?;
        }
        Ok(())
    }
}

fn demand(is_so: bool, what: &str) -> Result<(), String> {
    if is_so {
        Ok(())
    } else {
        Err(format!("it does not hold that {what}"))
    }
}

impl Seen {
    pub(crate) fn new(
        id: u64,
        length: usize,
        result: Result<Result<String, String>, TaskError>,
        lines: Option<&Lines>,
    ) -> Self {
        match result {
            Ok(Ok(value)) => Self::Value {
                is_right: value == expected_text(id, length),
                lines: lines.map_or(0, |lines| lines.of(id).len()),
            },
            Ok(Err(text)) => Self::Refusal {
                is_right: text == format!("refusal of {id}"),
            },
            Err(error) => Self::Error(error),
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Error(one), Self::Error(other)) => one.to_string() == other.to_string(),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// In a word.
    fn word(&self) -> &'static str {
        match self {
            Self::Value { .. } => "values",
            Self::Refusal { .. } => "errors",
            Self::Error(TaskError::Panicked(_)) => "panics",
            Self::Error(TaskError::WorkerLost(_)) => "lost",
            Self::Error(TaskError::TimeLimit(_)) => "over time",
            Self::Error(TaskError::Cancelled { .. }) => "cancelled",
            Self::Error(TaskError::Killed(_)) => "killed",
            Self::Error(_) => "shut down",
        }
    }
}

impl Lines {
    pub(crate) fn note(&self, line: &OutputLine) {
        let numbers = line.text.split_once(' ');
        let numbers =
            numbers.and_then(|(id, number)| Some((id.parse().ok()?, number.parse().ok()?)));
        if let Some((id, number)) = numbers {
            let mut lines = self.0.lock().unwrap();
            let task = line.task;
            lines.entry(id).or_default().push(Line { number, task });
        }
    }

    fn of(&self, id: u64) -> Vec<Line> {
        self.0.lock().unwrap().get(&id).cloned().unwrap_or_default()
    }
}

impl Evidence {
    /// Whether a worker that was lost had been hit, or what it ran ended it.
    fn could_end(&self, lost: &WorkerLost, entry: &Entry) -> bool {
        let is_hit = self
            .hits
            .of(lost.pid)
            .iter()
            .any(|signal| is_end(&lost.end, *signal));
        let dying = self.marks.deaths.get(&lost.pid).into_iter().flatten();
        // What another task did counts only for one that was in the same chunk, or was never begun.
        let dying = dying.filter(|id| **id == entry.id || entry.is_in_chunk || lost.attempts == 0);
        let mut deeds = dying.filter_map(|id| self.deeds.get(id));
        is_hit || deeds.any(|deed| is_end_of(&lost.end, *deed))
    }

    /// The same, of one that the pool was asked to end.
    fn could_be_ended(&self, lost: &WorkerLost, entry: &Entry) -> bool {
        let own = [Some(9), self.terminate_signal];
        own.into_iter()
            .flatten()
            .any(|signal| is_end(&lost.end, signal))
            || self.could_end(lost, entry)
    }
}

fn is_end(end: &EndOfWorker, signal: i32) -> bool {
    match end {
        EndOfWorker::Signalled(by) => *by == signal,
        // On a machine where the kernel kills others, too, nobody can tell.
        EndOfWorker::OomKilled => signal == 9,
        _ => false,
    }
}

fn is_end_of(end: &EndOfWorker, deed: Deed) -> bool {
    match deed {
        Deed::Segfault => is_end(end, 11),
        Deed::Abort => is_end(end, 6),
        Deed::Signal { signal } => is_end(end, signal),
        Deed::Exit { code } | Deed::ExitAtOnce { code } => *end == EndOfWorker::Exited(code),
        _ => false,
    }
}

/// How many of what there was.
#[derive(Default)]
pub(crate) struct Tally(HashMap<&'static str, u64>);

impl Tally {
    pub(crate) fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    pub(crate) fn count(&mut self, entry: &Entry) {
        let word = entry.seen.as_ref().map_or("unseen", Seen::word);
        self.add(
            if entry.done_to_it.is_refused {
                "not accepted"
            } else {
                word
            },
            1,
        );
        self.add("tasks", 1);
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        for (what, count) in other.0 {
            self.add(what, count);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: Vec<_> = self.0.iter().collect();
        counts.sort_by_key(|(what, count)| (u64::MAX - **count, **what));
        let words = counts.iter().map(|(what, count)| format!("{count} {what}"));
        f.write_str(&words.collect::<Vec<_>>().join(", "))
    }
}
