//! Where decisions come from: a sequence that is a function of its seed (SplitMix64, by Sebastiano Vigna).

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) struct Random(u64);

/// A seed that was not there before.
pub(crate) fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_nanos() as u64;
    // Short enough to be copied by hand.
    Random(now ^ u64::from(std::process::id())).next() % 1_000_000_000
}

impl Random {
    /// The decisions of one thread of a round.
    pub(crate) fn of(seed: u64, thread: u64) -> Self {
        let mut seeds = Self(seed ^ thread.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Self(seeds.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    pub(crate) fn index(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    /// Once in so many times.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    pub(crate) fn micros(&mut self, range: Range<u64>) -> Duration {
        Duration::from_micros(self.within(range))
    }
}
