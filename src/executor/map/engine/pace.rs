//! How fast an input gives its items.

use std::time::{Duration, Instant};

/// An input that takes longer than this for an item is not fast: then the clock, which costs a fraction of it, is read for each of them.
const FAST: Duration = Duration::from_nanos(500);

/// An input that takes longer than this for an item is slow: it costs much more than sending that by itself, and may be waiting for
/// something that takes longer still.
const SLOW: Duration = Duration::from_micros(10);

/// So many items in a row tell that an input is not slow: one may have come while nobody asked for it.
const NOT_SLOW: usize = 8;

/// The clock is read once for so many items of an input that is fast: a power of two.
const STRIDE: usize = 32;

/// What is known of an input: nothing, at first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    is_fast: bool,
    /// How many items it has given since it was slow.
    quick: usize,
}

/// Items are being pulled.
pub(super) struct Pulling {
    since: Instant,
    time: Duration,
    /// The clock is read where none of these bits is in the number of items.
    between: usize,
}

impl Pace {
    /// Whether an item is to wait for the next one: not for one that may be long in coming.
    pub(super) fn is_for_chunks(self) -> bool {
        self.quick >= NOT_SLOW
    }

    /// No longer than this is to be pulled, if there is an item by then: those that are there could be running.
    pub(super) fn begin(self, time: Duration) -> Pulling {
        Pulling {
            since: Instant::now(),
            time,
            between: if self.is_fast { STRIDE - 1 } else { 0 },
        }
    }

    /// So many have been pulled.
    pub(super) fn end(&mut self, pulling: &Pulling, items: usize) {
        let took = pulling.since.elapsed();
        let count = u32::try_from(items).unwrap_or(u32::MAX);
        self.is_fast = took < FAST.saturating_mul(count);
        self.quick = match took < SLOW.saturating_mul(count) {
            true => self.quick.saturating_add(items),
            false => 0,
        };
    }
}

impl Pulling {
    pub(super) fn is_over(&self, items: usize) -> bool {
        items > 0 && items & self.between == 0 && self.since.elapsed() >= self.time
    }
}
