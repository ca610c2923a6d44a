//! A pending task, and where it is found.

use std::hash::Hasher;
use std::num::NonZeroU64;

use super::{Terms, WorkerId};
use crate::error::TaskId;

/// A pending task. There may be a million of them: what few have is elsewhere.
pub(super) struct Task<J> {
    pub(super) terms: KeptTerms,
    /// The worker it was sent to, and its sequence number there; `None` while it is queued, or waits to be.
    pub(super) sent: Option<(WorkerId, u32)>,
    /// How many workers have gone when it was the next to begin, unless it has begun before.
    pub(super) suspicion: u8,
    /// It is to be tried again: its arrival alone has not ended a worker.
    pub(super) has_begun: bool,
    pub(super) job: J,
}

/// The [`Terms`] of a task, in less memory.
pub(super) struct KeptTerms {
    function: u32,
    more_items: u32,
    pub(super) priority: i32,
    is_alone: bool,
    rare: Option<Box<Rare>>,
}

/// What few tasks have.
#[derive(Default)]
struct Rare {
    timeout_ns: Option<NonZeroU64>,
    deadline_ns: Option<NonZeroU64>,
    /// The chunk that was submitted, of which this has been a part.
    part_of: Option<TaskId>,
}

impl<J> Task<J> {
    pub(super) fn new(terms: &Terms, job: J) -> Self {
        Self {
            terms: KeptTerms::of(terms),
            sent: None,
            suspicion: 0,
            has_begun: false,
            job,
        }
    }

    pub(super) fn terms(&self) -> Terms {
        let rare = self.terms.rare.as_ref();
        Terms {
            function: self.terms.function,
            more_items: self.terms.more_items,
            priority: self.terms.priority,
            is_alone: self.terms.is_alone,
            timeout_ns: rare.and_then(|rare| rare.timeout_ns),
            deadline_ns: rare.and_then(|rare| rare.deadline_ns),
        }
    }

    pub(super) fn deadline_ns(&self) -> Option<NonZeroU64> {
        self.terms.rare.as_ref()?.deadline_ns
    }

    /// The chunk that was submitted, of which this has been a part.
    pub(super) fn part_of(&self) -> Option<TaskId> {
        self.terms.rare.as_ref()?.part_of
    }

    pub(super) fn make_part_of(&mut self, chunk: TaskId) {
        self.terms.rare.get_or_insert_default().part_of = Some(chunk);
    }

    /// It has so many items now.
    pub(super) fn set_items(&mut self, items: u32) {
        self.terms.more_items = items.saturating_sub(1);
    }
}

impl KeptTerms {
    fn of(terms: &Terms) -> Self {
        let (timeout_ns, deadline_ns) = (terms.timeout_ns, terms.deadline_ns);
        let has_limits = timeout_ns.is_some() || deadline_ns.is_some();
        Self {
            function: terms.function,
            more_items: terms.more_items,
            priority: terms.priority,
            is_alone: terms.is_alone,
            rare: has_limits.then(|| {
                Box::new(Rare {
                    timeout_ns,
                    deadline_ns,
                    part_of: None,
                })
            }),
        }
    }
}

/// Keeps consecutive numbers side by side: the low bits, which choose the place in the table, are
/// the number's own, and so are the upmost seven, by which a place is recognised. (Spreading them
/// cost a cache miss per access with 100,000 tasks.) The numbers come from this machine, so nobody
/// can choose them to collide.
#[derive(Default)]
pub(super) struct TaskHasher(u64);

impl Hasher for TaskHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 << 8 | u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number ^ number << 57;
    }
}
