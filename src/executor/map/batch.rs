//! What one task of a map brings: the result of its item, or those of all items of a chunk, in whatever order they end.

use std::collections::BTreeMap;

use crate::error::TaskError;
use crate::executor::core::Promises;
use crate::future::{Answer, Answers, Place, RawFuture, Stage};
use crate::wire::{Encoded, Handles, value_at};

/// The items of one task.
pub(super) struct Batch {
    source: Source,
    /// How many there are.
    count: u32,
    /// How many have been given.
    given: u32,
    /// How far the answers that have come last have been looked at.
    looked_at: LookedAt,
    /// Results that came before those of items in front of them.
    early: BTreeMap<u32, Given>,
}

#[derive(Clone, Copy, Default)]
struct LookedAt {
    answers: usize,
    /// How many items of the next answer.
    items: u32,
    /// And where the result of the next one stands.
    at: usize,
    /// How many items in all.
    all: usize,
}

enum Source {
    One(RawFuture),
    Many(Stage),
    /// Whatever ended it ended all the rest.
    Over(TaskError),
}

/// The result of an item.
pub(super) enum Given {
    /// It is at this place of what [`Batch::at`] knows.
    Here(Place),
    Encoded(Encoded),
    Failed(TaskError),
}

impl Given {
    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Here(place) => place.len,
            Self::Encoded(encoded) => encoded.bytes.len(),
            Self::Failed(_) => 0,
        }
    }
}

/// What is to be waited for, or has come.
pub(super) enum Next {
    Given(Given),
    Await(RawFuture),
}

/// In which order items are given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    OfItems,
    AsTheyEnd,
}

impl Batch {
    pub(super) fn new(promises: Promises) -> Self {
        let (source, count) = match promises {
            Promises::One(future) => (Source::One(future), 1),
            Promises::Many(stage, count) => (Source::Many(stage), count),
        };
        Self {
            source,
            count,
            given: 0,
            looked_at: LookedAt::default(),
            early: BTreeMap::new(),
        }
    }

    /// Whether nothing is left to be given.
    pub(super) fn is_given(&self) -> bool {
        self.given == self.count
    }

    /// The next result, or the future that brings it. Not to be called when all have been given.
    pub(super) fn next(&mut self, order: Order) -> Next {
        loop {
            if let Some(early) = self.early.remove(&self.given) {
                return give(early, &mut self.given);
            }
            let after = match &self.source {
                Source::Over(error) => {
                    return give(Given::Failed(error.clone()), &mut self.given);
                }
                Source::One(future) => {
                    let given = match future.outcome() {
                        None => return Next::Await(future.clone()),
                        Some(Ok(encoded)) => Given::Here(Place {
                            start: 0,
                            len: encoded.bytes.len(),
                        }),
                        Some(Err(error)) => Given::Failed(error.clone()),
                    };
                    return give(given, &mut self.given);
                }
                Source::Many(stage) if !stage.future().is_done() => {
                    return Next::Await(stage.future().clone());
                }
                Source::Many(stage) => match stage.answers() {
                    None => Source::Over(error_of(stage.future())),
                    Some(answers) => {
                        while let Some((item, outcome)) = self.looked_at.next(answers) {
                            let is_next = order == Order::AsTheyEnd || item == self.given;
                            let given = match outcome {
                                Ok(place) if is_next => Given::Here(place),
                                Ok(place) => Given::Encoded(Encoded {
                                    bytes: answers.bytes(place).to_vec(),
                                    handles: answers.handles.clone(),
                                }),
                                Err(error) => Given::Failed(error.clone()),
                            };
                            if is_next {
                                return give(given, &mut self.given);
                            }
                            self.early.insert(item, given);
                        }
                        match &answers.next {
                            Some(next) => Source::Many(next.clone()),
                            None => Source::Over(TaskError::Abandoned),
                        }
                    }
                },
            };
            self.source = after;
            self.looked_at = LookedAt::default();
        }
    }

    /// The next result, if it stands behind the one before and is not the last; it has no descriptors beside it.
    #[inline]
    pub(super) fn next_of_run(&mut self, order: Order) -> Option<&[u8]> {
        let Source::Many(stage) = &self.source else {
            return None;
        };
        if self.given + 1 >= self.count || !self.early.is_empty() {
            return None;
        }
        let answers = stage
            .answers()
            .filter(|answers| answers.handles.is_empty())?;
        let Some(Answer::Values { item, .. }) = answers.items.get(self.looked_at.answers) else {
            return None;
        };
        if order == Order::OfItems && item + self.looked_at.items != self.given {
            return None;
        }
        let (_, outcome) = self.looked_at.next(answers)?;
        self.given += 1;
        outcome.ok().map(|place| answers.bytes(place))
    }

    /// What is at a place that was given last, and the descriptors beside it.
    pub(super) fn at(&self, place: Place) -> Option<(&[u8], &Handles)> {
        match &self.source {
            Source::One(future) => {
                let encoded = future.outcome()?.ok()?;
                Some((encoded.bytes, encoded.handles))
            }
            Source::Many(stage) => {
                let answers = stage.answers()?;
                Some((answers.bytes(place), &answers.handles))
            }
            Source::Over(_) => None,
        }
    }

    /// Cancels what has not begun.
    pub(super) fn cancel(&self) {
        match &self.source {
            Source::One(future) => drop(future.cancel()),
            Source::Many(stage) => {
                let mut stage = stage.clone();
                loop {
                    while let Some(next) = next_of(&stage) {
                        stage = next;
                    }
                    stage.future().cancel();
                    // It may have ended just before: then nobody was asked.
                    if next_of(&stage).is_none() {
                        break;
                    }
                }
            }
            Source::Over(_) => {}
        }
    }

    /// The future that is awaited, or was last.
    pub(super) fn future(&self) -> Option<&RawFuture> {
        match &self.source {
            Source::One(future) => Some(future),
            Source::Many(stage) => Some(stage.future()),
            Source::Over(_) => None,
        }
    }

    /// How many items have not ended.
    pub(super) fn unfinished(&self) -> usize {
        let left = (self.count - self.given) as usize;
        let ended = self.early.len()
            + match &self.source {
                Source::One(future) => usize::from(future.is_done()),
                Source::Many(stage) => {
                    let mut ended = 0;
                    let mut stage = Some(stage.clone());
                    while let Some(answers) = stage.as_ref().and_then(Stage::answers) {
                        ended += answers.items.iter().map(Answer::count).sum::<usize>();
                        stage = answers.next.clone();
                    }
                    ended - self.looked_at.all
                }
                Source::Over(_) => left,
            };
        left.saturating_sub(ended)
    }
}

impl LookedAt {
    /// The next item of these answers.
    #[inline]
    fn next<'a>(&mut self, answers: &'a Answers) -> Option<(u32, Result<Place, &'a TaskError>)> {
        let answer = answers.items.get(self.answers)?;
        self.all += 1;
        match answer {
            Answer::One { item, outcome } => {
                self.answers += 1;
                Some((*item, outcome.as_ref().copied()))
            }
            Answer::Values { item, count, start } => {
                if self.items == 0 {
                    self.at = *start;
                }
                let item = item + self.items;
                // They have been checked when they came.
                let (value, end) = value_at(&answers.payload, self.at).unwrap_or((&[], self.at));
                self.at = end;
                self.items += 1;
                if self.items >= *count {
                    self.answers += 1;
                    self.items = 0;
                }
                let place = Place {
                    start: end - value.len(),
                    len: value.len(),
                };
                Some((item, Ok(place)))
            }
        }
    }
}

/// The stage that came after, if this one has ended and was not the last.
fn next_of(stage: &Stage) -> Option<Stage> {
    stage.answers()?.next.clone()
}

/// One more has been given.
fn give(item: Given, given: &mut u32) -> Next {
    *given += 1;
    Next::Given(item)
}

/// Why there are no answers though the future is done.
fn error_of(future: &RawFuture) -> TaskError {
    match future.outcome() {
        Some(Err(error)) => error.clone(),
        _ => TaskError::Abandoned,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Instant;

    use super::*;
    use crate::error::TaskId;
    use crate::future::{Host, HostRef, Kill};

    /// A pool with a chunk that has begun.
    #[derive(Default)]
    struct Running {
        is_cancelled: AtomicBool,
    }

    impl Host for Running {
        fn cancel(&self, _: TaskId) -> bool {
            self.is_cancelled.store(true, Ordering::SeqCst);
            false
        }

        fn kill(&self, _: TaskId) -> Kill {
            Kill::TooLate
        }

        fn is_running(&self, _: TaskId) -> bool {
            true
        }

        fn drain(&self, _: TaskId, _: &dyn Fn() -> bool, _: Option<Instant>) {}

        fn run_callback(&self, _: Box<dyn FnOnce() + Send>) {}
    }

    #[test]
    fn a_chunk_is_cancelled_whose_results_are_coming_just_then() {
        for _ in 0..3000 {
            let host: Arc<Running> = Arc::default();
            let pool: Arc<dyn Host> = host.clone();
            let future = RawFuture::pending(TaskId(0), Some(HostRef::new(Arc::downgrade(&pool))));
            let stage = Stage::new(future);
            let batch = Batch::new(Promises::Many(stage.clone(), 1_000_000));
            let (begun, begins) = std::sync::mpsc::channel::<()>();
            thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut stage, mut begun) = (stage, Some(begun));
                    for item in 0..900_000 {
                        let next = stage.successor();
                        let mut answers = Answers {
                            next: Some(next.clone()),
                            ..Answers::default()
                        };
                        answers.push_result(item, Vec::new());
                        std::mem::replace(&mut stage, next).complete(answers);
                        drop(begun.take());
                        if host.is_cancelled.load(Ordering::SeqCst) {
                            return;
                        }
                        (0..200).for_each(|_| std::hint::spin_loop());
                    }
                    panic!("nobody was told");
                });
                begins.recv().unwrap_err();
                batch.cancel();
            });
        }
    }
}
