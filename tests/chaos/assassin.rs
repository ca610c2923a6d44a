//! The thread that hits workers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use procession::ProcessPoolExecutor;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::random::Random;
use crate::support::{children, parent_of};

/// Which signals each process has been sent, noted down before they are.
#[derive(Default)]
pub(crate) struct Hits(Mutex<HashMap<u32, Vec<i32>>>);

impl Hits {
    pub(crate) fn of(&self, pid: u32) -> Vec<i32> {
        self.0
            .lock()
            .unwrap()
            .get(&pid)
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn count(&self) -> u64 {
        self.0
            .lock()
            .unwrap()
            .values()
            .map(|signals| signals.len() as u64)
            .sum()
    }

    /// Sends a signal to a child of this process, and to nobody who has come to have its number.
    fn hit(&self, pid: u32, signal: Signal) {
        let Some(id) = Pid::from_raw(pid as i32) else {
            return;
        };
        let Ok(process) = pidfd_open(id, PidfdFlags::empty()) else {
            return;
        };
        if parent_of(pid) == Some(std::process::id()) {
            let mut hits = self.0.lock().unwrap();
            hits.entry(pid).or_default().push(signal.as_raw());
            drop(hits);
            // It may have ended meanwhile.
            let _ = pidfd_send_signal(&process, signal);
        }
    }
}

/// A worker starts, and begins a task, in a small part of that.
const MERCIFUL_PACE_US: u64 = 60_000;

/// How a round's workers are treated.
pub(crate) struct Assassin {
    pub(crate) random: Random,
    /// The pause between two hits, in µs, at most.
    pub(crate) pace_us: u64,
    pub(crate) max_workers: usize,
    pub(crate) resizes: bool,
}

impl Assassin {
    pub(crate) fn draw(mut random: Random, max_workers: usize) -> Self {
        Self {
            pace_us: random.pick(&[3_000, 20_000, 60_000, 300_000]),
            resizes: random.one_in(2),
            max_workers,
            random,
        }
    }

    /// Goes on until the other end of `stop` is dropped; from `late` on with mercy, or the last tasks might never meet a worker that
    /// lives for long enough to begin them. Nobody is left stopped.
    pub(crate) fn run(
        mut self,
        pool: &ProcessPoolExecutor,
        hits: &Hits,
        stop: &Receiver<()>,
        late: Instant,
    ) {
        // Those that were stopped, and when that is over.
        let mut stopped = BTreeMap::new();
        loop {
            if Instant::now() >= late {
                self.pace_us = self.pace_us.max(MERCIFUL_PACE_US);
            }
            let pause = self.random.micros(0..self.pace_us);
            if stop.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                break;
            }
            let now = Instant::now();
            let over: Vec<u32> = stopped
                .extract_if(.., |_, end| *end <= now)
                .map(|(pid, _)| pid)
                .collect();
            for pid in over {
                self.end_stop(pid, hits);
            }
            if self.resizes && self.random.one_in(12) {
                self.resize(pool);
                continue;
            }
            let victims = children();
            if victims.is_empty() {
                continue;
            }
            let pid = victims[self.random.index(victims.len())].pid;
            match self.random.within(0..10) {
                0..5 => hits.hit(pid, Signal::KILL),
                5..7 => {
                    hits.hit(pid, Signal::STOP);
                    let length = Duration::from_millis(self.random.within(1..200));
                    stopped.insert(pid, now + length);
                }
                7 => {
                    // The standard library's handler lets the first one pass.
                    hits.hit(pid, Signal::SEGV);
                    hits.hit(pid, Signal::SEGV);
                }
                8 => hits.hit(pid, Signal::TERM),
                _ => hits.hit(pid, Signal::ABORT),
            }
        }
        for pid in stopped.into_keys() {
            self.end_stop(pid, hits);
        }
    }

    fn end_stop(&mut self, pid: u32, hits: &Hits) {
        let signal = self.random.pick(&[Signal::CONT, Signal::KILL]);
        hits.hit(pid, signal);
    }

    fn resize(&mut self, pool: &ProcessPoolExecutor) {
        let max = self.random.within(1..self.max_workers as u64 + 1);
        let min = self.random.within(0..max + 1);
        pool.resize_between(min as usize, max as usize)
            .expect("bounds that can be");
    }
}
