//! What is tried again, and what a call may ask for beside that.

use std::sync::Arc;
use std::time::Duration;

use crate::error::SubmitError;
use crate::registry::Function;

/// When, and how often, a task is tried again that did not come to a good end: for functions that may be
/// called more than once for the same argument.
///
/// For [`Call::retry`](crate::Call::retry). A task that is tried again keeps its place among those that wait, its future, and its
/// deadline, after which it is not tried again; its timeout counts anew. Its future says how the last attempt ended.
///
/// Tasks that were sent to a worker but had not begun when it ended run elsewhere in any case: that is no retry.
///
/// ```standalone_crate
/// use std::time::Duration;
///
/// use procession::{ProcessPoolExecutor, Retry, TaskError};
///
/// #[procession::task]
/// fn crash() {
///     std::process::abort();
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
///     let retry = Retry::times(2).backoff(Duration::from_millis(1), Duration::from_millis(10));
///     match pool.call(crash).retry(retry).submit(())?.wait() {
///         Err(TaskError::WorkerLost(lost)) => assert_eq!(lost.attempts, 3),
///         other => panic!("{other:?}"),
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    times: u32,
    after_timeouts: bool,
    after_panics: bool,
    after_errors: bool,
    first_pause: Duration,
    longest_pause: Duration,
}

/// How an attempt failed, as far as trying again is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The worker was lost.
    Lost,
    /// It ran for too long.
    Timeout,
    /// The function panicked.
    Panic,
    /// The function returned an `Err`.
    Error,
}

impl Retry {
    /// Up to so many more attempts, when the worker is lost, or the task has run into its
    /// [timeout](crate::Call::timeout). Between two of them is a pause of 10 ms, then 20 ms and so on, up to a second.
    ///
    /// ```
    /// let retry = procession::Retry::times(3);
    /// # drop(retry);
    /// ```
    pub fn times(times: u32) -> Self {
        Self {
            times,
            after_timeouts: true,
            after_panics: false,
            after_errors: false,
            first_pause: Duration::from_millis(10),
            longest_pause: Duration::from_secs(1),
        }
    }

    /// Also when the function panics.
    ///
    /// ```
    /// let retry = procession::Retry::times(3).after_panics();
    /// # drop(retry);
    /// ```
    pub fn after_panics(self) -> Self {
        Self {
            after_panics: true,
            ..self
        }
    }

    /// Also when the function returns an `Err`. For functions that return a [`Result`]; with others, submitting is refused.
    ///
    /// ```
    /// use procession::{InlineExecutor, Retry};
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// static CALLS: AtomicU32 = AtomicU32::new(0);
    ///
    /// #[procession::task]
    /// fn third_time_lucky() -> Result<u32, String> {
    ///     match CALLS.fetch_add(1, Ordering::Relaxed) {
    ///         2 => Ok(7),
    ///         n => Err(format!("not the {n}. time")),
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let executor = InlineExecutor::new();
    /// let retry = Retry::times(5).after_errors();
    /// let future = executor.call(third_time_lucky).retry(retry).submit(())?;
    /// assert_eq!(future.wait()?, Ok(7));
    /// # Ok(())
    /// # }
    /// ```
    pub fn after_errors(self) -> Self {
        Self {
            after_errors: true,
            ..self
        }
    }

    /// Not when the task has run into its timeout.
    ///
    /// ```
    /// let retry = procession::Retry::times(3).not_after_timeouts();
    /// # drop(retry);
    /// ```
    pub fn not_after_timeouts(self) -> Self {
        Self {
            after_timeouts: false,
            ..self
        }
    }

    /// The pause before the second attempt, which is doubled from attempt to attempt, and the longest one. Both may be zero.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let retry = procession::Retry::times(10).backoff(Duration::from_millis(100), Duration::from_secs(5));
    /// # drop(retry);
    /// ```
    pub fn backoff(self, first: Duration, longest: Duration) -> Self {
        Self {
            first_pause: first,
            longest_pause: longest,
            ..self
        }
    }

    /// The pause after which a task is tried again that has been tried so many times; `None` is that it is not.
    pub(crate) fn pause_after(&self, tried: u32, fault: Fault) -> Option<Duration> {
        let counts = match fault {
            Fault::Lost => true,
            Fault::Timeout => self.after_timeouts,
            Fault::Panic => self.after_panics,
            Fault::Error => self.after_errors,
        };
        if !counts || tried > self.times {
            return None;
        }
        let doubled = 1_u32.checked_shl(tried.saturating_sub(1));
        let pause = doubled.and_then(|factor| self.first_pause.checked_mul(factor));
        Some(pause.unwrap_or(Duration::MAX).min(self.longest_pause))
    }
}

/// What a call asks for beside the function and its arguments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) priority: i32,
    /// `None` is the executor's default, `Some(None)` none at all.
    pub(crate) timeout: Option<Option<Duration>>,
    /// As `timeout`.
    pub(crate) deadline: Option<Option<Duration>>,
    pub(crate) retry: Option<Arc<Retry>>,
}

impl Options {
    /// Whether nothing is asked for that concerns a single run.
    pub(crate) fn is_plain(&self) -> bool {
        self.timeout.is_none() && self.deadline.is_none() && self.retry.is_none()
    }

    /// Refuses what cannot be.
    pub(crate) fn check(&self, function: &Function) -> Result<(), SubmitError> {
        for (parameter, limit) in [("timeout", self.timeout), ("deadline", self.deadline)] {
            if limit == Some(Some(Duration::ZERO)) {
                return Err(SubmitError::Parameter {
                    parameter,
                    must_be: "longer than zero",
                    value: "0 s".into(),
                });
            }
        }
        match self.retry.as_ref().filter(|retry| retry.times > 0) {
            Some(retry) if !function.is_repeatable => Err(SubmitError::NotRepeatable {
                function: function.name,
                retries: retry.times,
            }),
            Some(retry) if retry.after_errors && !function.returns_result => {
                Err(SubmitError::ReturnsNoResult {
                    function: function.name,
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_is_doubled_up_to_the_longest() {
        let ms = Duration::from_millis;
        let retry = Retry::times(40).backoff(ms(10), ms(75));
        let pauses = (1..=4).map(|tried| retry.pause_after(tried, Fault::Lost));
        let expected = [10, 20, 40, 75].map(|pause| Some(ms(pause)));
        assert_eq!(pauses.collect::<Vec<_>>(), expected);
        assert_eq!(retry.pause_after(40, Fault::Lost), Some(ms(75)));
        assert_eq!(retry.pause_after(41, Fault::Lost), None);
        let endless = Retry::times(u32::MAX).backoff(Duration::MAX, Duration::MAX);
        assert_eq!(endless.pause_after(70, Fault::Lost), Some(Duration::MAX));
    }

    #[test]
    fn only_what_was_asked_for_is_tried_again() {
        let plain = Retry::times(1);
        let tried = |retry: &Retry| {
            [Fault::Lost, Fault::Timeout, Fault::Panic, Fault::Error]
                .map(|fault| retry.pause_after(1, fault).is_some())
        };
        assert_eq!(tried(&plain), [true, true, false, false]);
        assert_eq!(
            tried(&plain.clone().after_panics()),
            [true, true, true, false]
        );
        assert_eq!(
            tried(&plain.clone().after_errors()),
            [true, true, false, true]
        );
        assert_eq!(
            tried(&plain.not_after_timeouts()),
            [true, false, false, false]
        );
        assert_eq!(tried(&Retry::times(0)), [false; 4]);
    }
}
