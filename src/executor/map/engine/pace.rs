//! How fast an input gives its items.

use std::time::{Duration, Instant};

/// An input that takes longer than this for an item is slow: then the clock, which costs a fraction of it, is read for each of them.
const SLOW: Duration = Duration::from_nanos(500);

/// The clock is read once for so many items of an input that is not.
const STRIDE: usize = 32;

/// What is known of an input: nothing, at first.
#[derive(Default)]
pub(super) struct Pace {
    is_fast: bool,
}

/// Items are being pulled.
pub(super) struct Pulling {
    since: Instant,
    time: Duration,
    stride: usize,
}

impl Pace {
    /// No longer than this is to be pulled, if there is an item by then: those that are there could be running.
    pub(super) fn begin(&self, time: Duration) -> Pulling {
        Pulling {
            since: Instant::now(),
            time,
            stride: if self.is_fast { STRIDE } else { 1 },
        }
    }

    /// So many have been pulled.
    pub(super) fn end(&mut self, pulling: Pulling, items: usize) {
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        self.is_fast = pulling.since.elapsed() < SLOW.saturating_mul(items);
    }
}

impl Pulling {
    pub(super) fn is_over(&mut self, items: usize) -> bool {
        items > 0 && items.is_multiple_of(self.stride) && self.since.elapsed() >= self.time
    }
}
