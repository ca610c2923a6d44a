//! How long a function takes, learnt from its runs.

use super::Terms;

/// A new run makes one part in so many of the mean.
const WEIGHT: u64 = 8;

/// A run counts for at most this many times the mean so far, plus [`SLACK_NS`]: one outlier (a page
/// fault, a preempted worker) must not end the prefetching of a short function. A function that has
/// really become long passes [`super::PREFETCH_NS`] within a few runs all the same.
const MAX_FACTOR: u64 = 16;

/// See [`MAX_FACTOR`].
const SLACK_NS: u64 = 20_000;

/// What counts for a task whose function is not known yet: too long to be prefetched, or to have
/// anything prefetched behind it. Also the largest estimate there is, so that sums cannot overflow.
pub(super) const UNKNOWN_NS: u64 = 1_000_000_000;

/// The estimates of all functions, by their index.
#[derive(Debug, Default)]
pub(super) struct Estimates {
    /// The mean of each function, where there is one.
    means: Vec<Option<u64>>,
}

impl Estimates {
    /// The expected run time; [`UNKNOWN_NS`] for a function that has not run yet.
    pub(super) fn get(&self, function: u32) -> u64 {
        self.mean(function).unwrap_or(UNKNOWN_NS)
    }

    /// The expected run time of a task, with all of its items.
    pub(super) fn of(&self, terms: &Terms) -> u64 {
        if terms.is_alone {
            return UNKNOWN_NS;
        }
        let items = 1 + u64::from(terms.more_items);
        self.get(terms.function)
            .saturating_mul(items)
            .min(UNKNOWN_NS)
    }

    /// Takes the run of a task into account, with all of its items.
    pub(super) fn learn_from(&mut self, terms: &Terms, run_ns: u64) {
        let items = 1 + u64::from(terms.more_items);
        self.learn(terms.function, run_ns / items);
    }

    /// The mean of a function, if it has run.
    pub(super) fn mean(&self, function: u32) -> Option<u64> {
        self.means.get(function as usize).copied().flatten()
    }

    /// Takes a run into account. The time is a worker's word: any value is fine.
    pub(super) fn learn(&mut self, function: u32, run_ns: u64) {
        let index = function as usize;
        if index >= self.means.len() {
            self.means.resize(index + 1, None);
        }
        let sample = run_ns.min(UNKNOWN_NS);
        self.means[index] = Some(match self.means[index] {
            None => sample,
            Some(mean) => {
                let sample = sample.min(MAX_FACTOR * mean + SLACK_NS);
                // Rounded towards the sample, or the mean could never reach it from below.
                let rounding = if sample > mean { WEIGHT - 1 } else { 0 };
                (mean * (WEIGHT - 1) + sample + rounding) / WEIGHT
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(runs: &[u64]) -> u64 {
        let mut estimates = Estimates::default();
        for &run in runs {
            estimates.learn(3, run);
        }
        estimates.get(3)
    }

    #[test]
    fn a_function_that_never_ran_is_unknown() {
        let mut estimates = Estimates::default();
        estimates.learn(1, 50);
        assert_eq!(estimates.get(0), UNKNOWN_NS);
        assert_eq!(estimates.get(1), 50);
        assert_eq!(estimates.get(u32::MAX), UNKNOWN_NS);
    }

    #[test]
    fn a_new_run_weighs_an_eighth() {
        assert_eq!(learnt(&[8_000, 16_000]), 9_000);
        assert_eq!(learnt(&[8_000, 0]), 7_000);
    }

    #[test]
    fn the_mean_reaches_what_stays_the_same() {
        let mut runs = vec![1_000];
        runs.extend([5_000; 200]);
        assert_eq!(learnt(&runs), 5_000);
        runs.extend([0; 200]);
        assert_eq!(learnt(&runs), 0);
    }

    #[test]
    fn one_outlier_leaves_a_short_function_short() {
        assert!(learnt(&[1_000, u64::MAX]) < 6_000);
    }

    #[test]
    fn a_function_that_became_long_is_long_within_a_few_runs() {
        assert!(learnt(&[1_000, 50_000_000, 50_000_000, 50_000_000, 50_000_000]) > 100_000);
    }

    #[test]
    fn a_chunk_is_as_many_runs_as_it_has_items() {
        let mut estimates = Estimates::default();
        let chunk = |more_items| Terms {
            function: 3,
            more_items,
            ..Terms::default()
        };
        assert_eq!(estimates.of(&chunk(9)), UNKNOWN_NS);
        estimates.learn_from(&chunk(99), 50_000);
        assert_eq!(estimates.mean(3), Some(500));
        assert_eq!(estimates.of(&chunk(0)), 500);
        assert_eq!(estimates.of(&chunk(9)), 5_000);
        assert_eq!(estimates.of(&chunk(u32::MAX)), UNKNOWN_NS);
    }

    #[test]
    fn no_run_time_overflows() {
        assert_eq!(learnt(&[u64::MAX; 100]), UNKNOWN_NS);
    }
}
