//! The threads that submit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::executor::block_on;
use procession::{
    Call, Map, ProcessPoolExecutor, Retry, ReturnWhen, SubmitError, TaskError, as_completed, wait,
};

use crate::ledger::{Callback, Entry, Lines, Seen, Terms, Work};
use crate::random::Random;
use crate::tasks::{Deed, Order, expected_text, work};

/// How many futures a thread holds at a time, at most.
const WINDOW: usize = 48;

/// A thread that submits, and its part of the ledger.
pub(crate) struct Driver<'a> {
    pub(crate) pool: &'a ProcessPoolExecutor,
    pub(crate) random: Random,
    /// Its tasks have numbers from here on.
    pub(crate) first_id: u64,
    /// What holds for tasks that ask for nothing else.
    pub(crate) timeout: Option<Duration>,
    /// Where captured lines go.
    pub(crate) lines: Option<Arc<Lines>>,
    pub(crate) entries: Vec<Entry>,
    /// Those that it has not seen the end of, and which entry that is.
    pub(crate) held: Vec<(usize, Work)>,
    /// It has been told that the pool takes no more.
    pub(crate) is_over: bool,
}

impl Driver<'_> {
    /// Submits and does away with tasks until then.
    pub(crate) fn submit_until(&mut self, end: Instant) {
        while Instant::now() < end && !self.is_over {
            if self.held.len() < WINDOW && !self.random.one_in(3) {
                self.submit();
            } else if !self.held.is_empty() {
                self.act();
            }
        }
    }

    /// Waits for everything that it holds.
    pub(crate) fn settle(&mut self) {
        while let Some((at, future)) = self.held.pop() {
            self.see(at, &future, future.wait());
        }
    }

    fn order(&mut self) -> Order {
        let id = self.first_id + self.entries.len() as u64;
        let random = &mut self.random;
        let deed = match random.within(0..100) {
            0..30 => Deed::Nothing,
            30..50 => Deed::Sleep {
                us: random.within(0..5_000),
            },
            50..60 => Deed::Spin {
                us: random.within(0..2_000),
            },
            60..68 => Deed::Print {
                lines: random.within(0..20) as u32,
            },
            68..74 => Deed::Refuse,
            74..80 => Deed::Panic,
            80..82 => Deed::Segfault,
            82..84 => Deed::Abort,
            84..86 => Deed::Exit {
                code: random.within(0..4) as i32,
            },
            86..88 => Deed::ExitAtOnce {
                code: random.within(0..4) as i32,
            },
            88..90 => Deed::Signal {
                signal: random.pick(&[9, 15]),
            },
            90..94 => Deed::SleepForEver,
            94..95 => Deed::SpinForEver,
            95..97 => Deed::HaveAChild,
            _ => Deed::Heed,
        };
        let length = self.length();
        let ballast = self.length();
        Order {
            id,
            deed,
            length,
            ballast: expected_text(!id, ballast),
        }
    }

    /// Mostly little, sometimes more than a pipe holds.
    fn length(&mut self) -> usize {
        let random = &mut self.random;
        let longest = match random.within(0..100) {
            0..60 => 100,
            60..90 => 10_000,
            90..98 => 200_000,
            _ => 4 << 20,
        };
        random.within(0..longest + 1) as usize
    }

    fn terms<'a, F>(&mut self, deed: Deed, mut call: Call<'a, F>) -> (Call<'a, F>, Terms) {
        let random = &mut self.random;
        let mut terms = Terms {
            timeout: self.timeout,
            ..Terms::default()
        };
        let soon = random.micros(1_000..60_000);
        let late = Duration::from_secs(3600);
        if deed.is_endless() {
            if random.one_in(4) {
                terms.deadline = Some(soon);
            } else {
                terms.timeout = Some(soon);
            }
        } else {
            if random.one_in(6) {
                terms.timeout = random.pick(&[Some(soon), Some(late), None]);
            }
            if random.one_in(10) {
                terms.deadline = random.pick(&[Some(soon), Some(late), None]);
            }
        }
        if random.one_in(5) {
            terms.retries = random.within(0..4) as u32;
            let mut retry = Retry::times(terms.retries);
            if random.one_in(2) {
                retry = retry.backoff(random.micros(0..5_000), random.micros(0..5_000));
            }
            if random.one_in(3) {
                retry = retry.after_panics();
            }
            if random.one_in(3) {
                retry = retry.after_errors();
            }
            if random.one_in(3) {
                retry = retry.not_after_timeouts();
            }
            call = call.retry(retry);
        }
        if random.one_in(4) {
            call = call.priority(random.within(0..5) as i32 - 2);
        }
        let call = call.timeout(terms.timeout).deadline(terms.deadline);
        (call, terms)
    }

    fn submit(&mut self) {
        let order = self.order();
        let (call, terms) = self.terms(order.deed, self.pool.call(work));
        let mut entry = Entry::new(&order, terms, false);
        let submitted = match self.random.within(0..4) {
            0 => call.submit(order),
            1 => block_on(call.submit_async(order)),
            _ => call.try_submit(order).map_err(|refused| {
                assert_eq!(refused.args.id, entry.id, "the arguments come back");
                refused.reason
            }),
        };
        match submitted {
            Ok(future) => {
                entry.task = Some(future.id());
                if self.random.one_in(2) {
                    entry.callback = Some(self.callback(&entry, &future));
                }
                self.entries.push(entry);
                let at = self.entries.len() - 1;
                self.held.push((at, future));
                if self.entries[at].deed == Deed::Heed || self.random.one_in(20) {
                    self.end_soon(self.held.len() - 1);
                }
            }
            Err(reason @ (SubmitError::Full { .. } | SubmitError::ShutDown)) => {
                self.is_over = reason == SubmitError::ShutDown;
                entry.done_to_it.is_refused = true;
                self.entries.push(entry);
            }
            Err(other) => panic!("nobody asked for {other:?}"),
        }
    }

    fn callback(&self, entry: &Entry, future: &Work) -> Arc<Callback> {
        let callback = Arc::new(Callback::default());
        let (told, lines) = (callback.clone(), self.lines.clone());
        let (id, length) = (entry.id, entry.length);
        future.on_done(move |result| {
            let seen = Seen::new(id, length, result, lines.as_deref());
            *told.seen.lock().unwrap() = Some(seen);
            told.calls.fetch_add(1, Ordering::SeqCst);
        });
        callback
    }

    fn see(&mut self, at: usize, future: &Work, result: Result<Result<String, String>, TaskError>) {
        let entry = &mut self.entries[at];
        assert!(
            future.is_done(),
            "a future whose end was seen is done: {entry:#?}"
        );
        entry.seen = Some(Seen::new(
            entry.id,
            entry.length,
            result,
            self.lines.as_deref(),
        ));
    }

    /// Gives a task a moment, and then ends it: one that runs until it is asked to stop, or another.
    fn end_soon(&mut self, index: usize) {
        let moment = self.random.micros(0..3_000);
        let (at, future) = &self.held[index];
        if self.random.one_in(2) {
            let _ = future.wait_timeout(moment);
        }
        let done = &mut self.entries[*at].done_to_it;
        match self.random.within(0..3) {
            0 => done.cancel(future),
            1 => done.kill(future),
            _ => {
                let (at, future) = self.held.swap_remove(index);
                self.entries[at].done_to_it.is_killed_by_drop = true;
                drop(future.kill_on_drop());
            }
        }
    }

    /// Does something with a task that it holds.
    fn act(&mut self) {
        let index = self.random.index(self.held.len());
        let moment = self.random.micros(0..5_000);
        let (at, future) = &self.held[index];
        let at = *at;
        match self.random.within(0..20) {
            0..6 => {
                let (at, future) = self.held.swap_remove(index);
                self.see(at, &future, future.wait());
            }
            6..9 => {
                let (at, future) = self.held.swap_remove(index);
                let result = block_on(async { (&future).await });
                self.see(at, &future, result);
            }
            9..12 => {
                if let Some(result) = future.wait_timeout(moment) {
                    let (at, future) = self.held.swap_remove(index);
                    self.see(at, &future, result);
                }
            }
            12 => self.end_soon(index),
            13 => self.entries[at].done_to_it.cancel(future),
            14 => self.entries[at].done_to_it.kill(future),
            15 => {
                let (at, future) = self.held.swap_remove(index);
                let done = &mut self.entries[at].done_to_it;
                if self.random.one_in(2) {
                    done.is_detached = true;
                    drop(future);
                } else if self.random.one_in(2) {
                    done.is_killed_by_drop = true;
                    drop(future.kill_on_drop());
                } else {
                    done.is_aborted = true;
                    drop(future.abort_on_drop());
                }
            }
            16 => {
                let (futures, ats): (Vec<_>, Vec<_>) =
                    self.held.drain(..).map(|(at, future)| (future, at)).unzip();
                let mut seen = vec![false; futures.len()];
                for future in as_completed(&futures).timeout(moment).map_while(Result::ok) {
                    assert!(future.is_done());
                    let index = futures
                        .iter()
                        .position(|other| std::ptr::eq(other, future))
                        .expect("one of them");
                    assert!(
                        !std::mem::replace(&mut seen[index], true),
                        "each is yielded once"
                    );
                }
                self.held = ats.into_iter().zip(futures).collect();
            }
            17 => {
                let when = self.random.pick(&[
                    ReturnWhen::FirstCompleted,
                    ReturnWhen::FirstException,
                    ReturnWhen::AllCompleted,
                ]);
                let waited = wait(self.held.iter().map(|(_, future)| future), when, moment);
                assert!(waited.done.iter().all(|future| future.is_done()));
                assert_eq!(waited.done.len() + waited.not_done.len(), self.held.len());
            }
            _ => {
                // What these say may be over at once.
                let _ = (future.is_running(), future.is_cancelled(), future.error());
            }
        }
    }

    /// Maps until then.
    pub(crate) fn map_until(&mut self, end: Instant) {
        while Instant::now() < end && !self.is_over {
            self.map();
        }
    }

    fn map(&mut self) {
        let count = self.random.within(0..60) as usize;
        let chunksize = self.random.pick(&[1, 1, 2, 7, 20]);
        let pool = self.pool;
        // An endless item must be ended by a limit of its own, which only a timeout is: chunks have one deadline.
        let (call, mut terms) = self.terms(Deed::Nothing, pool.call(work));
        let timeout = self.random.micros(5_000..60_000);
        let call = call.timeout(timeout);
        terms.timeout = Some(timeout);
        let start = self.entries.len();
        let mut orders = Vec::new();
        for _ in 0..count {
            let mut order = self.order();
            // It could not be asked.
            if order.deed == Deed::Heed {
                order.deed = Deed::Nothing;
            }
            self.entries
                .push(Entry::new(&order, terms.clone(), chunksize > 1));
            orders.push(order);
        }
        let pulled = AtomicUsize::new(0);
        let inputs = orders.into_iter().inspect(|_| {
            pulled.fetch_add(1, Ordering::Relaxed);
        });
        let mut map = call.map(inputs).chunksize(chunksize);
        if self.random.one_in(2) {
            map = map.buffersize(self.random.within(1..20) as usize);
        }
        if self.random.one_in(10) {
            map = map.timeout(self.random.micros(0..50_000));
        }
        let taken = if self.random.one_in(4) {
            self.random.index(count + 1)
        } else {
            usize::MAX
        };
        let results = self.results(map, taken);
        let pulled = pulled.into_inner();
        assert!(results.len() <= pulled, "a result for each input");
        for (entry, result) in self.entries[start..].iter_mut().zip(results) {
            if let Err(TaskError::Refused(SubmitError::ShutDown)) = result {
                entry.done_to_it.is_refused = true;
                self.is_over = true;
                continue;
            }
            let seen = Seen::new(entry.id, entry.length, result, self.lines.as_deref());
            entry.seen = Some(seen);
        }
        for (index, entry) in self.entries[start..].iter_mut().enumerate() {
            if entry.seen.is_none() {
                entry.done_to_it.is_refused |= index >= pulled;
                entry.done_to_it.is_aborted = true;
            }
        }
    }

    /// The first results of a map, by one way or the other; it is dropped before its end, or comes to it.
    fn results<I: Iterator<Item = Order>>(
        &mut self,
        map: Map<I, Result<String, String>>,
        taken: usize,
    ) -> Vec<Result<Result<String, String>, TaskError>> {
        let in_time =
            |result: &Result<_, TaskError>| !matches!(result, Err(TaskError::TimedOut { .. }));
        if self.random.one_in(4) {
            let stream = map.stream();
            block_on(async {
                let stream = std::pin::pin!(stream);
                let results = stream
                    .take(taken)
                    .take_while(|result| std::future::ready(in_time(result)));
                results.collect().await
            })
        } else {
            map.take(taken).take_while(in_time).collect()
        }
    }
}
