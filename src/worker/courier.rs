//! Sends what has ended of a chunk while the item that runs takes its time.
//!
//! A chunk gathers results, and sends them between two items when a millisecond has passed. If its item is long, it does not come around
//! to that. This thread looks every [`TICK`] while a chunk runs, and at no other time, and sends what has been there since the look before.
//!
//! # Protocol
//!
//! What a chunk has gathered lies behind the status page, where it outlives a crash ([`Page::keep`](crate::page::Page::keep)), and that
//! is where it is sent from. The chunk's thread opens a part before its first item and closes it before it sends it, and is told how much
//! of it has gone; all sending here happens in between, under one lock. Nothing is locked for an item.
//!
//! An item may take hours. When nothing has ended for [`QUIET_TICKS`], and all that had is sent, this thread sleeps until the next part is
//! opened. That is no later than the item's end: its thread finds that there were ticks since it last looked at the time, and that it is
//! time to send, since those ticks alone took longer than a part is gathered.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::answers::PART_INTERVAL;
use super::pipes::ResultPipe;
use crate::frame::{self, Header, Kind};
use crate::primitives::plain::{Condvar, Mutex, MutexGuard, lock};
use crate::sys::{self, SharedPage};
use crate::wire;

/// How often it is looked after a chunk: what has ended is sent after two of them at the latest. Each wakes a thread on a CPU
/// that has other work.
const TICK: Duration = Duration::from_millis(2);

/// So many ticks in which nothing has ended, and nothing is left to be sent, tell that an item takes long: longer than
/// [`PART_INTERVAL`].
const QUIET_TICKS: u32 = 2;

const _: () = assert!(TICK.as_nanos() * (QUIET_TICKS as u128 - 1) > PART_INTERVAL.as_nanos());

/// As the thread that runs chunks has it.
pub(super) struct Courier {
    page: &'static SharedPage,
    results: Arc<ResultPipe>,
    state: Mutex<State>,
    /// Notified when a part is opened, if the thread is parked.
    opened: Condvar,
    /// The time at the last tick.
    now_ns: AtomicU64,
}

#[derive(Default)]
struct State {
    open: Option<Part>,
    /// Whether one has been opened since the last tick.
    was_opened: bool,
    is_parked: bool,
}

/// A part that is being gathered.
struct Part {
    task: u64,
    seq: u32,
    first: u32,
    sent: Sent,
    /// How many items there were at the last tick.
    seen: u32,
    /// In how many ticks there was nothing to do.
    quiet: u32,
}

/// How much of a part has gone, from its first item on.
#[derive(Clone, Copy, Default)]
pub(super) struct Sent {
    pub(super) items: u32,
    pub(super) bytes: usize,
}

impl Courier {
    /// Starts the thread, which is there for as long as the process.
    pub(super) fn start(
        page: &'static SharedPage,
        results: Arc<ResultPipe>,
    ) -> io::Result<Arc<Self>> {
        let courier = Arc::new(Self {
            page,
            results,
            state: Mutex::default(),
            opened: Condvar::new(),
            now_ns: AtomicU64::new(0),
        });
        let thread = std::thread::Builder::new()
            .name("procession-courier".into())
            .stack_size(64 * 1024);
        let looks = courier.clone();
        sys::with_signals_blocked(|| thread.spawn(move || looks.look()))?;
        Ok(courier)
    }

    /// The time at the last tick, which comes every so often while a part is open. Costs a load from memory.
    #[inline]
    pub(super) fn now_ns(&self) -> u64 {
        self.now_ns.load(Ordering::Relaxed)
    }

    /// Results of this chunk are gathered from now on; none is kept yet.
    pub(super) fn open(&self, task: u64, seq: u32, first: u32) {
        let mut state = lock(&self.state);
        state.open = Some(Part {
            task,
            seq,
            first,
            sent: Sent::default(),
            seen: 0,
            quiet: 0,
        });
        state.was_opened = true;
        if std::mem::take(&mut state.is_parked) {
            self.opened.notify_one();
        }
    }

    /// The part is about to be sent, but for what has gone already.
    pub(super) fn close(&self) -> Sent {
        let part = lock(&self.state).open.take();
        part.map_or_else(Sent::default, |part| part.sent)
    }

    fn look(&self) {
        let mut state = lock(&self.state);
        loop {
            while !state.was_opened {
                state.is_parked = true;
                state = wait(&self.opened, state);
            }
            let is_quiet = |part: &Part| part.quiet >= QUIET_TICKS;
            if state.open.as_ref().is_some_and(is_quiet) {
                state.was_opened = false;
                continue;
            }
            state.was_opened = state.open.is_some();
            state = wait_a_tick(&self.opened, state);
            self.now_ns.store(sys::monotonic_ns(), Ordering::Relaxed);
            if let Some(part) = &mut state.open {
                self.tick(part);
            }
        }
    }

    /// Sends what was there at the last tick and has not been sent since, and whatever came behind it.
    fn tick(&self, part: &mut Part) {
        let kept = self.page.kept(part.seq);
        let count = kept.as_ref().map_or(0, |kept| kept.count);
        let is_stuck = part.seen > part.sent.items;
        let is_quiet = part.seen == count && part.sent.items == count;
        part.quiet = if is_quiet { part.quiet + 1 } else { 0 };
        part.seen = count;
        let Some(kept) = kept.filter(|_| is_stuck) else {
            return;
        };
        let Some(items) = count.checked_sub(part.sent.items) else {
            return;
        };
        let bytes = self.page.kept_bytes(kept.len);
        let left = bytes.get(part.sent.bytes..).unwrap_or_default();
        let first = part.first + part.sent.items;
        // Garbage, if a task has written over it: then the other thread sends what it has itself.
        let Some(payload) = wire::part_of(first, 0, items, left) else {
            return;
        };
        let mut frame = Vec::with_capacity(payload.len() + frame::HEADER_LEN);
        let start = frame::begin(&mut frame);
        frame.extend_from_slice(&payload);
        frame::finish(
            &mut frame,
            start,
            Header::new(Kind::Part, part.task, part.seq),
        );
        // It fails when the driver is gone, or a task has closed the pipe: the other thread will see.
        if self.results.write(&frame, &[]).is_ok() {
            part.sent = Sent {
                items: kept.count,
                bytes: bytes.len(),
            };
        }
    }
}

fn wait<'a>(opened: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    opened
        .wait(state)
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn wait_a_tick<'a>(opened: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    let woken = opened.wait_timeout(state, TICK);
    woken.unwrap_or_else(std::sync::PoisonError::into_inner).0
}
