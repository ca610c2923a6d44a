//! The items of a chunk: who has been answered, who is to be tried again, who has not begun.

use std::sync::Arc;

use crate::error::TaskError;
use crate::executor::core::Work;
use crate::future::{Answer, Answers, Place, Stage};
use crate::primitives::plain::{Mutex, lock};
use crate::registry::Function;
use crate::wire::{ChunkReader, Handles, is_err, value_at};

use super::Ending;

/// The items that a chunk's payload has, in its order.
#[derive(Debug)]
pub(super) struct Chunk {
    line: Arc<Mutex<Line>>,
    /// The next answers, as far as they are known.
    answers: Answers,
    /// How many items they are about.
    answered: u32,
    /// How many items the payload has.
    count: u32,
    /// How many have ended, from the first on: were answered, or set aside.
    ended: u32,
    /// Those that were set aside, to be tried again.
    aside: Vec<Item>,
    items: Items,
}

/// Where the answers go to: those of a chunk, and those of all that has been divided from it.
#[derive(Debug)]
struct Line {
    /// Brings the next ones.
    stage: Stage,
    /// How many items have yet to be answered.
    left: u32,
}

/// What the items of the payload are.
#[derive(Debug)]
enum Items {
    /// Those that were submitted, from this number on. None of them has been tried before.
    From(u32),
    Listed(Vec<Item>),
}

#[derive(Clone, Copy, Debug)]
struct Item {
    /// The place in this payload.
    place: u32,
    /// The number in the one that was submitted.
    number: u32,
    /// How often it has begun, and failed.
    tried: u32,
}

impl Chunk {
    pub(super) fn new(stage: Stage, count: u32) -> Self {
        Self {
            line: Arc::new(Mutex::new(Line { stage, left: count })),
            answers: Answers::default(),
            answered: 0,
            count,
            ended: 0,
            aside: Vec::new(),
            items: Items::From(0),
        }
    }

    /// Gives the items from `cut` on away, to so many other chunks at most, each of which has a share. Returns what its own payload is without
    /// them, and the others with theirs.
    pub(super) fn divide(
        &mut self,
        cut: u32,
        pieces: u32,
        function: &'static Function,
        payload: &[u8],
    ) -> (Vec<u8>, Vec<(Vec<u8>, Self)>) {
        let arguments = arguments(payload, self.count);
        let payload_of = |from: u32, to: u32| {
            let of = arguments.get(from as usize..to as usize);
            Work::chunk(function, of.unwrap_or_default().iter().copied()).payload
        };
        let mut parts = Vec::new();
        let mut from = cut;
        let mut pieces_left = pieces.max(1);
        // There is a piece left as long as there are items: the last one has all.
        while from < self.count {
            let share = (self.count - from).div_ceil(pieces_left);
            let to = from + share;
            let part = Self {
                line: self.line.clone(),
                answers: Answers::default(),
                answered: 0,
                count: share,
                ended: 0,
                aside: Vec::new(),
                items: self.items.of(from, to),
            };
            parts.push((payload_of(from, to), part));
            pieces_left -= 1;
            from = to;
        }
        self.count = cut.min(self.count);
        (payload_of(0, self.count), parts)
    }

    /// How many items there are.
    pub(super) fn len(&self) -> u32 {
        self.count
    }

    /// Says what is wrong with a part about so many items from this one on, in words that follow "because it
    /// sent".
    pub(super) fn check_part(&self, first: u32, count: u32, last: bool) -> Result<(), String> {
        let end = self.ended as usize + count as usize;
        if first != self.ended && count > 0 {
            let next = self.ended;
            return Err(format!("item {first} of a chunk when item {next} was next"));
        }
        let all = self.count as usize;
        if end > all || (last && end < all) {
            return Err(format!("{end} items of a chunk of {all}"));
        }
        Ok(())
    }

    /// Some items have ended; their results are in here.
    pub(super) fn begin_part(&mut self, payload: Vec<u8>, handles: Handles) {
        self.answers.payload = payload;
        self.answers.handles = handles;
    }

    /// The result that stands there, in what [`begin_part`](Self::begin_part) was given, which has been checked; where it ends;
    /// and whether it is the function's own error, if it returns a `Result`.
    pub(super) fn value_at(&self, at: usize) -> (Place, usize, bool) {
        let (value, end) = value_at(&self.answers.payload, at).unwrap_or((&[], at));
        let place = Place {
            start: end - value.len(),
            len: value.len(),
        };
        (place, end, is_err(value))
    }

    /// Whether its items were submitted one behind the other, and none has been tried before.
    pub(super) fn is_first_round(&self) -> bool {
        matches!(self.items, Items::From(_))
    }

    /// The next `count` items of a first round have results, which stand in the payload from there on.
    pub(super) fn end_run(&mut self, count: u32, start: usize) {
        self.answers.items.push(Answer::Values {
            item: self.item(self.ended).number,
            count,
            start,
        });
        self.ended += count;
        self.answered += count;
    }

    /// The next item has this result.
    pub(super) fn end_next(&mut self, place: Place) {
        self.answer_next(Ok(place));
    }

    /// The next item ends like this.
    pub(super) fn fail_next(&mut self, error: TaskError) {
        self.answer_next(Err(error));
    }

    /// The next item is to be tried again, when the others have ended.
    pub(super) fn set_next_aside(&mut self) {
        let item = self.item(self.ended);
        self.aside.push(Item {
            tried: item.tried.saturating_add(1),
            ..item
        });
        self.ended += 1;
    }

    /// How often the next item has begun, now that it has.
    pub(super) fn tries_of_next(&self) -> u32 {
        self.item(self.ended).tried.saturating_add(1)
    }

    /// How many items have ended, which is the number of the next one.
    pub(super) fn ended(&self) -> u32 {
        self.ended
    }

    /// How many items have begun, or may have, and have not ended, in a worker that was at this item. At the one before the next
    /// it is between two: what it had begun has been answered.
    pub(super) fn begun_before(&self, item: u32) -> u32 {
        let next = item.saturating_add(1);
        if next < self.ended || next > self.count {
            // That cannot be.
            return self.count - self.ended;
        }
        next - self.ended
    }

    /// What has been answered since this was last asked, to be told.
    pub(super) fn part_ending(&mut self) -> Option<Ending> {
        if self.answers.items.is_empty() {
            return None;
        }
        let mut line = lock(&self.line);
        line.left -= std::mem::take(&mut self.answered);
        let next = (line.left > 0).then(|| line.stage.successor());
        let mut answers = std::mem::take(&mut self.answers);
        answers.next.clone_from(&next);
        // The last one is told and not needed any more.
        let stage = match next {
            Some(next) => std::mem::replace(&mut line.stage, next),
            None => line.stage.clone(),
        };
        Some(Ending::Items(stage, Box::new(answers)))
    }

    /// How many items it has, with those that have ended.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Makes a chunk of what is left: those that never began, then those that were set aside. Returns its payload, and how
    /// often all of its items have been tried at least; `None` if nothing is left.
    pub(super) fn next_round(
        &mut self,
        function: &'static Function,
        payload: &[u8],
    ) -> Option<(Vec<u8>, u32)> {
        let mut left = self.left();
        let tried = left.iter().map(|item| item.tried).min()?;
        let arguments = arguments(payload, self.count);
        let of = |item: &Item| arguments.get(item.place as usize).copied();
        let left_arguments = left.iter().map(|item| of(item).unwrap_or_default());
        let payload = Work::chunk(function, left_arguments).payload;
        for (place, item) in (0..).zip(&mut left) {
            item.place = place;
        }
        self.count = left.len() as u32;
        self.ended = 0;
        self.aside = Vec::new();
        self.items = Items::Listed(left);
        Some((payload, tried))
    }

    /// Everything that has not been answered ends like this, by how often it has begun.
    pub(super) fn fail_all(mut self, error: impl Fn(u32) -> TaskError) -> Option<Ending> {
        let left = self.left();
        self.answered += left.len() as u32;
        self.answers
            .items
            .extend(left.into_iter().map(|item| Answer::One {
                item: item.number,
                outcome: Err(error(item.tried)),
            }));
        self.ended = self.count;
        self.aside = Vec::new();
        self.part_ending()
    }

    /// Those that have not been answered.
    fn left(&mut self) -> Vec<Item> {
        let mut left: Vec<Item> = (self.ended..self.count).map(|at| self.item(at)).collect();
        left.append(&mut self.aside);
        left
    }

    fn answer_next(&mut self, outcome: Result<Place, TaskError>) {
        let item = self.item(self.ended).number;
        self.answers.items.push(Answer::One { item, outcome });
        self.ended += 1;
        self.answered += 1;
    }

    fn item(&self, place: u32) -> Item {
        self.items.at(place)
    }
}

impl Items {
    fn at(&self, place: u32) -> Item {
        let (listed, first) = match self {
            Self::From(first) => (None, *first),
            Self::Listed(items) => (items.get(place as usize), 0),
        };
        listed.copied().unwrap_or(Item {
            place,
            number: first + place,
            tried: 0,
        })
    }

    /// Those in these places, as those of another payload.
    fn of(&self, from: u32, to: u32) -> Self {
        match self {
            Self::From(first) => Self::From(first + from),
            Self::Listed(_) => Self::Listed(
                (from..to)
                    .map(|at| Item {
                        place: at - from,
                        ..self.at(at)
                    })
                    .collect(),
            ),
        }
    }
}

/// What each item of a payload has, which was written by [`Work::chunk`] and has so many.
fn arguments(payload: &[u8], count: u32) -> Vec<&[u8]> {
    let arguments: Vec<&[u8]> = ChunkReader::new(payload).into_iter().flatten().collect();
    debug_assert_eq!(
        arguments.len(),
        count as usize,
        "a chunk of ours can be read"
    );
    arguments
}
