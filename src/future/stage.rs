//! The results of a chunk, as they come: a chain of futures, each of which brings those items that ended together.
//!
//! ```text
//! stage ── done, brings ──▶ answers: items 0, 1, 2 ── and what comes after ──▶ stage ── …
//! ```
//!
//! The last answers have no stage behind them. So a chunk of ten thousand short items costs one future, and one that
//! takes its time gives what it has; who waits for the next item waits for a future like any other.

use std::sync::{Arc, OnceLock};

use super::raw::RawFuture;
use crate::error::TaskError;
use crate::wire::{Encoded, Handles};

/// The next results of a chunk.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    future: RawFuture,
    answers: Arc<OnceLock<Answers>>,
}

/// How some items of a chunk ended.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Encoded results, one behind the other; what else is in it does not matter.
    pub(crate) payload: Vec<u8>,
    /// The descriptors of the result, if that has some: it is then the only one.
    pub(crate) handles: Handles,
    pub(crate) items: Vec<Answer>,
    /// What brings the rest; `None` if these are the last.
    pub(crate) next: Option<Stage>,
}

/// How items ended. Their numbers are those in the chunk, as that was submitted.
#[derive(Debug)]
pub(crate) enum Answer {
    /// So many, from this one on, have results, which stand in the payload from there on as a part of a chunk has them:
    /// [`value_at`](crate::wire::value_at). Most answers are like that, and cost nothing for each item.
    Values { item: u32, count: u32, start: usize },
    One {
        item: u32,
        outcome: Result<Place, TaskError>,
    },
}

impl Answer {
    /// How many items it is about.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Values { count, .. } => *count as usize,
            Self::One { .. } => 1,
        }
    }
}

/// Where in the payload of its answers a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

impl Stage {
    /// The first one, whose future is this.
    pub(crate) fn new(future: RawFuture) -> Self {
        Self {
            future,
            answers: Arc::default(),
        }
    }

    /// One for what comes later.
    pub(crate) fn successor(&self) -> Self {
        Self::new(self.future.twin())
    }

    /// Done when there are answers; its outcome is theirs to tell, and says nothing.
    pub(crate) fn future(&self) -> &RawFuture {
        &self.future
    }

    /// What has come. It may be missing although the future is done: then somebody has cancelled what nobody
    /// runs, and its outcome says so.
    pub(crate) fn answers(&self) -> Option<&Answers> {
        if self.future.is_done() {
            self.answers.get()
        } else {
            None
        }
    }

    /// Sets the answers and wakes everyone who waits; call it with no lock held, as [`RawFuture::complete`].
    pub(crate) fn complete(self, answers: Answers) {
        if self.answers.set(answers).is_ok() {
            self.future.complete(Ok(Encoded::default()));
        }
    }
}

impl Answers {
    /// The item has this result.
    pub(crate) fn push_result(&mut self, item: u32, result: impl Into<Encoded>) {
        let Encoded {
            bytes: mut result,
            handles,
        } = result.into();
        debug_assert!(
            self.handles.is_empty() && (handles.is_empty() || self.items.is_empty()),
            "a result with descriptors is alone"
        );
        self.handles = handles;
        let place = Place {
            start: self.payload.len(),
            len: result.len(),
        };
        match self.payload.is_empty() {
            true => self.payload = result,
            false => self.payload.append(&mut result),
        }
        self.items.push(Answer::One {
            item,
            outcome: Ok(place),
        });
    }

    pub(crate) fn push_error(&mut self, item: u32, error: TaskError) {
        self.items.push(Answer::One {
            item,
            outcome: Err(error),
        });
    }

    /// The encoded result at a place; nothing, if there is no such place.
    pub(crate) fn bytes(&self, place: Place) -> &[u8] {
        self.payload
            .get(place.start..)
            .and_then(|rest| rest.get(..place.len))
            .unwrap_or_default()
    }
}

impl Drop for Stage {
    /// A chain that nobody has looked at may be long: its links are dropped one after another, not one within another.
    fn drop(&mut self) {
        let mut next = take_next(&mut self.answers);
        while let Some(mut stage) = next {
            next = take_next(&mut stage.answers);
        }
    }
}

/// What comes behind, if nobody else has these answers.
fn take_next(answers: &mut Arc<OnceLock<Answers>>) -> Option<Stage> {
    Arc::get_mut(answers)?.get_mut()?.next.take()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::error::TaskId;

    #[test]
    fn a_long_chain_is_dropped_without_a_deep_stack() {
        let first = Stage::new(RawFuture::pending(TaskId(0), None));
        let mut last = first.clone();
        for item in 0..1_000_000 {
            let next = last.successor();
            let mut answers = Answers {
                next: Some(next.clone()),
                ..Answers::default()
            };
            answers.push_result(item, Vec::new());
            std::mem::replace(&mut last, next).complete(answers);
        }
        drop(last);
        drop(first);
    }

    #[test]
    fn answers_are_there_when_the_future_is_done() {
        let stage = Stage::new(RawFuture::pending(TaskId(0), None));
        assert!(stage.answers().is_none());
        let mut answers = Answers::default();
        answers.push_result(7, b"seven".to_vec());
        answers.push_error(8, TaskError::Abandoned);
        stage.clone().complete(answers);
        let answers = stage.answers().unwrap();
        let [
            Answer::One {
                item: 7,
                outcome: Ok(place),
            },
            Answer::One {
                item: 8,
                outcome: Err(TaskError::Abandoned),
            },
        ] = answers.items[..]
        else {
            panic!("{answers:?}");
        };
        assert_eq!(answers.bytes(place), b"seven");
        let beyond = Place { start: 3, len: 9 };
        assert_eq!(answers.bytes(beyond), b"");
    }

    #[test]
    fn a_stage_that_was_cancelled_has_no_answers() {
        let stage = Stage::new(RawFuture::pending(TaskId(0), None));
        assert!(stage.future().cancel());
        assert!(stage.future().is_done() && stage.answers().is_none());
    }
}
