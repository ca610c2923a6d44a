//! The status page that a driver and one worker share: who may begin which task, without a message.
//!
//! A page has [`SLOTS`] slots. The task with the sequence number `seq` (counted per worker, wrapping)
//! uses slot `seq % SLOTS`. This module is about the words on the page; `sys` maps the memory.
//!
//! # Protocol
//!
//! A slot's `state` is one word: the sequence number and what has become of that task. The number is in
//! it so that a word about an earlier user of the slot cannot be taken for one about this task.
//!
//! ```text
//!                  driver: send             worker: begin
//!   (earlier task) ───────────▶ (seq, SENT) ───────────▶ (seq, BEGUN)
//!                                    │
//!                                    │ driver: recall
//!                                    ▼
//!                              (seq, RECALLED)
//! ```
//!
//! A second word, `run`, says what has become of the run of a begun task: at which item of its chunk the
//! worker is (0 for a single task), where those that it is to run end, and whether that item may still be followed by anything.
//!
//! ```text
//!   (item, end, RUNNING) ─┬─ worker: advance, if item + 1 < end ─▶ (item + 1, end, RUNNING)
//!                         ├─ driver: cut, to item < end' < end ──▶ (item, end', RUNNING)
//!                         ├─ driver: condemn ────────────────────▶ (item, end, CONDEMNED)
//!                         └─ worker: end ────────────────────────▶ (item, end, ENDED)
//!                                                                          │ driver: condemn
//!                                                                          ▼
//!                                                                  (item, end, TOO_LATE)
//! ```
//!
//! * Only the driver stores `SENT`, and only into a slot whose earlier task is *passed*: a result, a
//!   failure or a `Passed` frame has come for it or for a later one. A worker writes nothing to a slot after
//!   it has sent such a frame for it. So at that moment the slot has one writer.
//! * `SENT` is left by one compare-and-swap, to `BEGUN` by the worker or to `RECALLED` by the driver: exactly
//!   one of them wins, and the other one sees that it lost. So a recalled task has not begun and
//!   never will, also if its worker is stopped in between.
//! * `BEGUN` and `RECALLED` are left only by the next `send`.
//! * `RUNNING` is left likewise by one compare-and-swap, by the worker (to its end) or by the driver,
//!   to `CONDEMNED`. A worker that finds itself condemned sends what it has, and begins nothing any more: no item, no
//!   task. So a driver that has won may kill the worker, whatever time that takes, and hits nobody but the
//!   item that it meant; and one that has lost knows that it comes too late. (Where any item is meant, the driver sets the bit
//!   of `CONDEMNED` without a comparison: on what has `ENDED` that is `TOO_LATE`, which the worker does not look at any more.)
//! * While it is `RUNNING`, the same word decides who has an item that has not begun: the worker, which begins the next one by
//!   a compare-and-swap, or the driver, which takes those from `end'` on back by another. Each sees what the other did: so every item
//!   is either begun here, or can run elsewhere, also if the worker is stopped in between. Neither costs the other anything while
//!   they do not meet. What was taken back is never given back: the end only falls.
//! * `cancel` and `stop_item` belong to the driver, `started_ns`, `elapsed_ns`, `resident_kib` and what is kept to the worker from `SENT`
//!   until it has passed. `send` resets all of them.
//!
//! # Orderings
//!
//! * `send` stores `SENT` with Release after the reset, and the worker reads it with Acquire: its own values
//!   come after the reset in each word's order, so that a reset cannot undo them.
//! * `begin` writes `started_ns` before it swaps (Release), and the driver reads the state with Acquire: a
//!   driver that sees `BEGUN` sees the start time. (A worker that loses has written a time into a slot that is
//!   recalled; nobody reads it.)
//! * `advance` stores the next item's start time before it swaps (Release), and the driver reads `run` first (Acquire): the time
//!   that it sees is that of the item that it has seen, or of a later one, never of an earlier one.
//! * `elapsed_ns` and `resident_kib` are words by themselves: nothing else is read because of them. They are
//!   stored with Release all the same, which costs nothing on x86 and one cheap instruction on ARM.
//! * `kept` is stored with Release after the bytes that it counts, and read when the worker is gone, or by another thread of it.
//! * That a slot's earlier user is passed is learnt from a pipe. The system's own locks in `write` and `read` order
//!   what the worker wrote before what the driver does then; the models use an atomic for it.
//!
//! # Trust
//!
//! What a worker wrote is a hint: any word may hold anything at any time. Nothing here indexes,
//! allocates or panics on it; a state that cannot be is [`Judgement::Garbage`].

use crate::primitives::{AtomicU32, AtomicU64, Ordering};

/// How many tasks can be in one worker's pipe.
pub(crate) const SLOTS: usize = if cfg!(loom) { 2 } else { 64 };

const SENT: u64 = 1;
const BEGUN: u64 = 2;
const RECALLED: u64 = 3;

const RUNNING: u64 = 0;
const CONDEMNED: u64 = 1;
const ENDED: u64 = 2;

/// How many items a chunk may have: their number, and that of the one that runs, share a word with the state.
pub(crate) const MAX_ITEMS: u32 = u32::MAX >> 1;

/// How often a cut is tried anew because the worker went on meanwhile. An honest one comes to the end of its chunk; one that
/// writes over its page must not keep the driver.
const CUTS: usize = 16;

/// Fresh memory, all zero, is a page on which every slot is empty.
#[repr(C)]
pub(crate) struct Page {
    slots: [Slot; SLOTS],
}

/// A cache line, so that no two tasks share one.
#[repr(C, align(64))]
struct Slot {
    /// `seq << 8 | state`.
    state: AtomicU64,
    /// `end << 33 | item << 2 | RUNNING`, `CONDEMNED`, `ENDED` or both.
    run: AtomicU64,
    /// The sequence number of the task that shall stop; another number if none shall.
    cancel: AtomicU32,
    /// One more than the item that shall stop, while those behind it go on; 0 if none shall.
    stop_item: AtomicU32,
    /// When the item began.
    started_ns: AtomicU64,
    /// How long the task ran; 0 before its end.
    elapsed_ns: AtomicU64,
    /// How much memory the worker had then; 0 if it was not asked for.
    resident_kib: AtomicU64,
    /// Of the items that have ended and whose results have yet to be sent: the first; and how many, and how many bytes they take
    /// in the memory behind this page: `len << 32 | count`.
    kept_first: AtomicU32,
    kept: AtomicU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Page>() == 4096 && align_of::<Page>() == 64);

/// Results that a worker keeps where they outlive it, until they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) len: u32,
}

/// What the page says about a task whose worker is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It did not begin, and will not: it can run elsewhere.
    NotBegun,
    /// It began. Both numbers are the worker's word.
    Begun { item: u32, started_ns: u64 },
    /// The slot holds what the protocol never puts there: the worker wrote over its page.
    Garbage,
}

/// How far a task has come whose worker lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has not begun.
    Waiting,
    /// It runs: this item of it, since then. Both numbers are the worker's word.
    Running { item: u32, started_ns: u64 },
    /// It has ended, and its result is on its way.
    Ended,
    /// It was condemned at this item.
    Condemned { item: u32 },
    /// As [`Judgement::Garbage`].
    Garbage,
}

/// What a worker finds when it would go on to the next item of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advance {
    /// The next item begins now.
    On,
    /// The items behind this one, if it had any, have been taken back.
    Over,
    /// The worker is condemned: it is to begin nothing any more.
    Condemned,
}

/// For the driver, which calls these under its own lock.
impl Page {
    /// Offers the task, of so many items, to the worker. The slot's earlier user must be passed.
    pub(crate) fn send(&self, seq: u32, items: u32) {
        let slot = self.slot(seq);
        slot.cancel.store(!seq, Ordering::Relaxed);
        slot.stop_item.store(0, Ordering::Relaxed);
        let end = items.clamp(1, MAX_ITEMS);
        slot.run.store(run_word(0, end, RUNNING), Ordering::Relaxed);
        slot.started_ns.store(0, Ordering::Relaxed);
        slot.elapsed_ns.store(0, Ordering::Relaxed);
        slot.resident_kib.store(0, Ordering::Relaxed);
        slot.kept.store(0, Ordering::Relaxed);
        slot.state.store(word(seq, SENT), Ordering::Release);
    }

    /// What a worker has kept of a chunk that it has begun: its word, like everything here. For when it is gone, and for a thread of it.
    pub(crate) fn kept(&self, seq: u32) -> Option<Kept> {
        let slot = self.slot(seq);
        let kept = slot.kept.load(Ordering::Acquire);
        let (len, count) = ((kept >> 32) as u32, kept as u32);
        (count > 0 && self.is_begun(seq)).then(|| Kept {
            first: slot.kept_first.load(Ordering::Relaxed),
            count,
            len,
        })
    }

    /// Takes the task back. False says that the worker has begun it (or that the page is garbage).
    pub(crate) fn recall(&self, seq: u32) -> bool {
        self.slot(seq).swap(seq, RECALLED)
    }

    /// What became of a task that was sent. Final once its worker is gone.
    pub(crate) fn judge(&self, seq: u32) -> Judgement {
        match self.progress(seq) {
            Progress::Waiting => Judgement::NotBegun,
            Progress::Garbage => Judgement::Garbage,
            Progress::Running { .. } | Progress::Ended | Progress::Condemned { .. } => {
                let slot = self.slot(seq);
                Judgement::Begun {
                    item: item_of(slot.run.load(Ordering::Acquire)),
                    started_ns: slot.started_ns.load(Ordering::Relaxed),
                }
            }
        }
    }

    /// How far a task has come that was sent.
    pub(crate) fn progress(&self, seq: u32) -> Progress {
        let slot = self.slot(seq);
        let state = slot.state.load(Ordering::Acquire);
        if state == word(seq, SENT) || state == word(seq, RECALLED) {
            return Progress::Waiting;
        }
        if state != word(seq, BEGUN) {
            return Progress::Garbage;
        }
        let run = slot.run.load(Ordering::Acquire);
        let item = item_of(run);
        match run & STATE {
            _ if item >= end_of(run) => Progress::Garbage,
            RUNNING => Progress::Running {
                item,
                started_ns: slot.started_ns.load(Ordering::Relaxed),
            },
            CONDEMNED => Progress::Condemned { item },
            // Also what was condemned too late.
            _ => Progress::Ended,
        }
    }

    /// Sees to it that a begun task is the worker's last: at `item` of it, or at whichever runs. False says
    /// that it is too late: that item, or the task, has ended.
    pub(crate) fn condemn(&self, seq: u32, item: Option<u32>) -> bool {
        let slot = self.slot(seq);
        if !self.is_begun(seq) {
            return false;
        }
        match item {
            Some(item) => {
                let run = slot.run.load(Ordering::Acquire);
                item_of(run) == item
                    && match run & STATE {
                        // If it fails, the worker has gone on: nobody else moves this word now.
                        RUNNING => slot.swap_run(run, run | CONDEMNED),
                        state => state == CONDEMNED,
                    }
            }
            // In one step, so that a worker that goes from item to item cannot escape.
            None => slot.run.fetch_or(CONDEMNED, Ordering::AcqRel) & ENDED == 0,
        }
    }

    /// Takes back those items of a begun chunk that have not begun, but for as many of the first of them as `keep` says, which is told how many
    /// there are. They end before `end`, and `answered` have been answered, by the driver's own count.
    ///
    /// Returns where they end now; `None` if nothing was taken, since none is left, or the page says what cannot be.
    pub(crate) fn cut(
        &self,
        seq: u32,
        answered: u32,
        end: u32,
        keep: impl Fn(u32) -> u32,
    ) -> Option<u32> {
        let slot = self.slot(seq);
        if !self.is_begun(seq) {
            return None;
        }
        for _ in 0..CUTS {
            let run = slot.run.load(Ordering::Acquire);
            let next = item_of(run) + 1;
            let can_be = end_of(run) == end && next >= answered;
            if run & STATE != RUNNING || !can_be || next >= end {
                return None;
            }
            let waiting = end - next;
            let kept = keep(waiting);
            if kept >= waiting {
                return None;
            }
            let cut = next + kept;
            if slot.swap_run(run, run_word(item_of(run), cut, RUNNING)) {
                return Some(cut);
            }
        }
        None
    }

    /// Whether the worker has begun the task.
    pub(crate) fn is_begun(&self, seq: u32) -> bool {
        self.slot(seq).state.load(Ordering::Acquire) == word(seq, BEGUN)
    }

    /// Asks the task to stop by itself: all of it.
    pub(crate) fn ask_cancel(&self, seq: u32) {
        self.slot(seq).cancel.store(seq, Ordering::Relaxed);
    }

    /// Asks one item of the task to stop by itself.
    pub(crate) fn ask_stop(&self, seq: u32, item: u32) {
        self.slot(seq)
            .stop_item
            .store(item.wrapping_add(1), Ordering::Relaxed);
    }

    /// How long the task ran, by the worker's clock: zero before its end.
    pub(crate) fn elapsed_ns(&self, seq: u32) -> u64 {
        let slot = self.slot(seq);
        if self.is_begun(seq) {
            slot.elapsed_ns.load(Ordering::Acquire)
        } else {
            0
        }
    }

    /// How much memory the worker had when the task ended, in KiB: zero if it did not say.
    pub(crate) fn resident_kib(&self, seq: u32) -> u64 {
        self.slot(seq).resident_kib.load(Ordering::Acquire)
    }
}

/// For the worker.
impl Page {
    /// Begins the task. False says that it was recalled: skip it.
    pub(crate) fn begin(&self, seq: u32, now_ns: u64) -> bool {
        let slot = self.slot(seq);
        if slot.state.load(Ordering::Acquire) != word(seq, SENT) {
            return false;
        }
        slot.started_ns.store(now_ns, Ordering::Relaxed);
        slot.swap(seq, BEGUN)
    }

    /// Goes from one item of the chunk to the next, which begins now, or a little later, if that is still to begin here.
    pub(crate) fn advance(&self, seq: u32, from: u32, now_ns: u64) -> Advance {
        let slot = self.slot(seq);
        // This word is the worker's own, and the time is often the same: no time was taken in between.
        let before = slot.started_ns.load(Ordering::Relaxed);
        if before != now_ns {
            slot.started_ns.store(now_ns, Ordering::Relaxed);
        }
        let stays = loop {
            // It is most often as this thread left it: what the driver did meanwhile is seen by the swap.
            let run = slot.run.load(Ordering::Relaxed);
            if run & STATE != RUNNING || item_of(run) != from {
                break Advance::Condemned;
            }
            let next = from.saturating_add(1);
            if next >= end_of(run) {
                break Advance::Over;
            }
            if slot.swap_run(run, run_word(next, end_of(run), RUNNING)) {
                return Advance::On;
            }
        };
        slot.started_ns.store(before, Ordering::Relaxed);
        stays
    }

    /// Whether the task was asked to stop, as a whole.
    pub(crate) fn is_cancel_asked(&self, seq: u32) -> bool {
        self.slot(seq).cancel.load(Ordering::Relaxed) == seq
    }

    /// Whether this item of the task was asked to stop.
    pub(crate) fn is_stop_asked(&self, seq: u32, item: u32) -> bool {
        self.is_cancel_asked(seq)
            || self.slot(seq).stop_item.load(Ordering::Relaxed) == item.wrapping_add(1)
    }

    /// Which item of a begun task runs.
    pub(crate) fn item(&self, seq: u32) -> u32 {
        item_of(self.slot(seq).run.load(Ordering::Relaxed))
    }

    /// Nothing is kept, from this item on.
    pub(crate) fn keep_nothing(&self, seq: u32, first: u32) {
        let slot = self.slot(seq);
        slot.kept.store(0, Ordering::Relaxed);
        slot.kept_first.store(first, Ordering::Relaxed);
    }

    /// So many items are kept, which take so many bytes: those are there.
    pub(crate) fn keep(&self, seq: u32, count: u32, len: u32) {
        let kept = u64::from(len) << 32 | u64::from(count);
        self.slot(seq).kept.store(kept, Ordering::Release);
    }

    /// Notes that the task has ended, with its last item, and how long it ran. Call it before the result is sent: the
    /// slot is the driver's then. False says that the worker is condemned, and must begin nothing any more.
    pub(crate) fn end(&self, seq: u32, item: u32, elapsed_ns: u64) -> bool {
        let slot = self.slot(seq);
        slot.elapsed_ns.store(elapsed_ns, Ordering::Release);
        loop {
            let run = slot.run.load(Ordering::Relaxed);
            if run & STATE != RUNNING || item_of(run) != item {
                return false;
            }
            // A cut may come in between, where not every item has been begun.
            if slot.swap_run(run, run | ENDED) {
                return true;
            }
        }
    }

    /// The word in which [`note_resident`](Self::note_resident) leaves its note; while the task runs it is free for another
    /// one.
    pub(crate) fn resident_word(&self, seq: u32) -> &AtomicU64 {
        &self.slot(seq).resident_kib
    }

    /// Notes how much memory this process has. Call it before [`Page::end`].
    pub(crate) fn note_resident(&self, seq: u32, kib: u64) {
        self.slot(seq).resident_kib.store(kib, Ordering::Release);
    }
}

impl Page {
    /// A page in ordinary memory.
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self {
            slots: std::array::from_fn(|_| Slot::new()),
        }
    }

    fn slot(&self, seq: u32) -> &Slot {
        &self.slots[seq as usize % SLOTS]
    }
}

impl Slot {
    #[cfg(test)]
    fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            run: AtomicU64::new(0),
            cancel: AtomicU32::new(0),
            stop_item: AtomicU32::new(0),
            started_ns: AtomicU64::new(0),
            elapsed_ns: AtomicU64::new(0),
            resident_kib: AtomicU64::new(0),
            kept_first: AtomicU32::new(0),
            kept: AtomicU64::new(0),
        }
    }

    /// Leaves `SENT`. The one step that both sides race for.
    fn swap(&self, seq: u32, to: u64) -> bool {
        self.state
            .compare_exchange(
                word(seq, SENT),
                word(seq, to),
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .is_ok()
    }

    /// Moves the run. The other step that both sides race for.
    fn swap_run(&self, from: u64, to: u64) -> bool {
        self.run
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// The low bits of `run`.
const STATE: u64 = 0b11;

fn word(seq: u32, state: u64) -> u64 {
    u64::from(seq) << 8 | state
}

fn run_word(item: u32, end: u32, state: u64) -> u64 {
    u64::from(end) << 33 | u64::from(item) << 2 | state
}

/// The item of a `run` word: at most [`MAX_ITEMS`], whatever the word is.
fn item_of(run: u64) -> u32 {
    (run >> 2) as u32 & MAX_ITEMS
}

/// Where the items of a `run` word end; likewise.
fn end_of(run: u64) -> u32 {
    (run >> 33) as u32
}

#[cfg(all(test, loom))]
mod models {
    //! Races of driver and worker, given to loom.

    use loom::thread;

    use super::*;
    use crate::primitives::Arc;

    /// A page whose task 7, of three items, has begun.
    fn begun() -> Arc<Page> {
        let page = Arc::new(Page::new());
        page.send(7, 3);
        assert!(page.begin(7, 99));
        page
    }

    /// What the worker does meanwhile.
    fn beside<T: 'static>(
        page: &Arc<Page>,
        works: impl FnOnce(&Page) -> T + 'static,
    ) -> thread::JoinHandle<T> {
        let page = Arc::clone(page);
        thread::spawn(move || works(&page))
    }

    #[test]
    fn loom_of_begin_and_recall_exactly_one_wins_and_the_other_sees_it() {
        loom::model(|| {
            let page = Arc::new(Page::new());
            page.send(7, 3);
            let worker = beside(&page, |page| {
                let begun = page.begin(7, 99);
                if begun {
                    page.advance(7, 0, 101);
                }
                begun
            });
            let is_recalled = page.recall(7);
            if is_recalled {
                assert_eq!(page.judge(7), Judgement::NotBegun);
                assert!(!page.is_begun(7));
            } else {
                // The loser sees more than that it lost: the start time is that of the item, or of the next.
                match page.judge(7) {
                    Judgement::Begun { item, started_ns } => {
                        assert!(item <= 1);
                        assert!(started_ns == 101 || (started_ns == 99 && item == 0));
                    }
                    other => panic!("neither recalled nor begun: {other:?}"),
                }
            }
            let begun = worker.join().unwrap();
            assert_ne!(is_recalled, begun);
        });
    }

    #[test]
    fn loom_a_reset_does_not_undo_what_the_worker_wrote() {
        loom::model(|| {
            let page = Arc::new(Page::new());
            // A worker that reads the page before its frame: the page has to be right by itself.
            let worker = beside(&page, |page| {
                let begun = page.begin(1, 99);
                if begun {
                    assert_eq!(page.advance(1, 0, 101), Advance::On);
                    page.note_resident(1, 7);
                    assert!(page.end(1, 1, 5));
                }
                begun
            });
            page.send(1, 3);
            if worker.join().unwrap() {
                assert_eq!(
                    page.judge(1),
                    Judgement::Begun {
                        item: 1,
                        started_ns: 101
                    }
                );
                assert_eq!((page.elapsed_ns(1), page.resident_kib(1)), (5, 7));
            } else {
                assert_eq!(page.judge(1), Judgement::NotBegun);
            }
        });
    }

    #[test]
    fn loom_of_end_and_condemn_exactly_one_wins_and_the_other_sees_it() {
        loom::model(|| {
            let page = begun();
            let worker = beside(&page, |page| page.end(7, 0, 5));
            let is_condemned = page.condemn(7, None);
            let may_go_on = worker.join().unwrap();
            assert_ne!(is_condemned, may_go_on);
            let expected = if is_condemned {
                Progress::Condemned { item: 0 }
            } else {
                Progress::Ended
            };
            assert_eq!(page.progress(7), expected);
        });
    }

    #[test]
    fn loom_nothing_begins_behind_an_item_that_was_condemned() {
        loom::model(|| {
            let page = begun();
            let worker = beside(&page, |page| {
                (0..2)
                    .take_while(|item| page.advance(7, *item, 100) == Advance::On)
                    .count()
            });
            let is_condemned = page.condemn(7, Some(1));
            let begun = worker.join().unwrap();
            if is_condemned {
                assert_eq!(
                    (begun, page.progress(7)),
                    (1, Progress::Condemned { item: 1 })
                );
            } else {
                // Too early or too late: either way, the others are not touched.
                assert_eq!(begun, 2);
                assert!(matches!(
                    page.progress(7),
                    Progress::Running { item: 2, .. }
                ));
            }
        });
    }

    #[test]
    fn loom_of_advance_and_cut_exactly_one_has_each_item() {
        loom::model(|| {
            let page = begun();
            let worker = beside(&page, |page| {
                let mut item = 0;
                while page.advance(7, item, 100) == Advance::On {
                    item += 1;
                }
                assert!(page.end(7, item, 5), "a cut ends nobody");
                item + 1
            });
            // Twice: what has been taken is not taken again.
            let first = page.cut(7, 0, 3, |waiting| waiting / 2);
            let end = first.unwrap_or(3);
            let second = page.cut(7, 0, end, |_| 0);
            let end = second.unwrap_or(end);
            let begun = worker.join().unwrap();
            assert_eq!(begun, end, "it runs those, and no other");
            assert_eq!(page.progress(7), Progress::Ended);
        });
    }

    #[test]
    fn loom_a_cut_chunk_is_condemned_like_any_other() {
        loom::model(|| {
            let page = begun();
            let worker = beside(&page, |page| {
                let mut item = 0;
                let stays = loop {
                    match page.advance(7, item, 100) {
                        Advance::On => item += 1,
                        stays => break stays,
                    }
                };
                (item, stays, page.end(7, item, 5))
            });
            let end = page.cut(7, 0, 3, |_| 0).unwrap_or(3);
            let is_condemned = page.condemn(7, Some(1));
            let (item, stays, may_go_on) = worker.join().unwrap();
            assert!(item < end);
            assert_eq!(may_go_on, !is_condemned);
            if is_condemned {
                assert_eq!(page.progress(7), Progress::Condemned { item: 1 });
            } else {
                assert_eq!((item + 1, stays), (end, Advance::Over));
            }
        });
    }

    #[test]
    fn loom_a_slot_is_used_again_once_its_task_is_passed() {
        loom::model(|| {
            const NEXT: u32 = 1 + SLOTS as u32;
            let page = Arc::new(Page::new());
            // Stands for the pipes: what the worker has passed, what the driver has sent.
            let passed = Arc::new(AtomicU32::new(0));
            let sent = Arc::new(AtomicU32::new(1));
            page.send(1, 3);
            let worker = {
                let (page, passed, sent) =
                    (Arc::clone(&page), Arc::clone(&passed), Arc::clone(&sent));
                thread::spawn(move || {
                    assert!(page.begin(1, 10));
                    assert!(page.end(1, 0, 100));
                    passed.store(1, Ordering::Release);
                    if sent.load(Ordering::Acquire) == NEXT {
                        assert!(!page.is_cancel_asked(NEXT));
                        assert!(page.begin(NEXT, 20));
                        assert_eq!(page.advance(NEXT, 0, 21), Advance::On);
                    }
                })
            };
            if passed.load(Ordering::Acquire) == 1 {
                assert_eq!(page.elapsed_ns(1), 100);
                page.send(NEXT, 3);
                sent.store(NEXT, Ordering::Release);
                // A late look at the earlier task takes nothing of the later one for its own.
                assert_eq!(page.judge(1), Judgement::Garbage);
                assert_eq!(page.elapsed_ns(1), 0);
                assert!(!page.is_begun(1) && !page.recall(1));
                match page.judge(NEXT) {
                    Judgement::NotBegun => {}
                    Judgement::Begun { item, started_ns } => {
                        assert!(item <= 1);
                        assert!(started_ns == 21 || (started_ns == 20 && item == 0));
                    }
                    Judgement::Garbage => panic!("the driver's own word is gone"),
                }
            } else {
                // Not passed yet: the slot is still its task's, and asking it to stop is allowed.
                page.ask_cancel(1);
                assert!(page.is_cancel_asked(1));
            }
            worker.join().unwrap();
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_task_goes_from_sent_to_begun_to_its_end() {
        let page = Page::new();
        page.send(3, 3);
        assert_eq!(page.judge(3), Judgement::NotBegun);
        assert!(!page.is_begun(3));
        assert!(page.begin(3, 1000));
        assert!(page.is_begun(3));
        assert_eq!(
            page.judge(3),
            Judgement::Begun {
                item: 0,
                started_ns: 1000
            }
        );
        assert_eq!(page.advance(3, 0, 2000), Advance::On);
        assert_eq!(page.item(3), 1);
        let second = Judgement::Begun {
            item: 1,
            started_ns: 2000,
        };
        assert_eq!(page.judge(3), second);
        page.note_resident(3, 77);
        assert!(page.end(3, 1, 50));
        assert_eq!((page.elapsed_ns(3), page.resident_kib(3)), (50, 77));
        assert_eq!((page.judge(3), page.progress(3)), (second, Progress::Ended));
        assert!(!page.recall(3), "a begun task is not recalled");
    }

    #[test]
    fn a_recalled_task_does_not_begin() {
        let page = Page::new();
        page.send(3, 3);
        assert!(page.recall(3));
        assert!(!page.begin(3, 1000));
        assert_eq!(page.judge(3), Judgement::NotBegun);
        assert!(!page.recall(3), "a task is recalled once");
    }

    #[test]
    fn a_condemned_item_is_the_last() {
        let page = Page::new();
        page.send(3, 3);
        assert!(!page.condemn(3, None), "it has not begun");
        assert!(page.begin(3, 1000) && page.advance(3, 0, 2000) == Advance::On);
        assert!(!page.condemn(3, Some(0)) && !page.condemn(3, Some(2)));
        assert!(page.condemn(3, Some(1)) && page.condemn(3, Some(1)) && page.condemn(3, None));
        assert_eq!(page.advance(3, 1, 3000), Advance::Condemned);
        let condemned = Judgement::Begun {
            item: 1,
            started_ns: 2000,
        };
        assert_eq!(page.judge(3), condemned);
        assert!(!page.end(3, 1, 50));
        assert_eq!(page.progress(3), Progress::Condemned { item: 1 });
    }

    #[test]
    fn what_has_ended_is_not_condemned() {
        let page = Page::new();
        page.send(3, 3);
        assert!(page.begin(3, 1000) && page.end(3, 0, 50));
        assert!(!page.condemn(3, Some(0)) && !page.condemn(3, None));
        assert_eq!(page.progress(3), Progress::Ended);
    }

    #[test]
    fn what_is_cut_off_does_not_begin() {
        let page = Page::new();
        page.send(3, 10);
        assert_eq!(page.cut(3, 0, 10, |_| 0), None, "it has not begun");
        assert!(page.begin(3, 1000) && page.advance(3, 0, 2000) == Advance::On);
        assert_eq!(page.cut(3, 0, 9, |_| 0), None, "the driver sent ten");
        assert_eq!(
            page.cut(3, 3, 10, |_| 0),
            None,
            "three cannot have been answered"
        );
        assert_eq!(page.cut(3, 2, 10, |waiting| waiting), None, "all is kept");
        assert_eq!(page.cut(3, 2, 10, |waiting| waiting / 4), Some(4));
        assert_eq!(page.cut(3, 2, 4, |_| 1), Some(3));
        assert_eq!(page.advance(3, 1, 3000), Advance::On);
        assert_eq!(page.cut(3, 2, 3, |_| 0), None, "nothing is left");
        assert_eq!(page.advance(3, 2, 4000), Advance::Over);
        let last = Progress::Running {
            item: 2,
            started_ns: 3000,
        };
        assert_eq!(page.progress(3), last);
        assert!(page.end(3, 2, 50));
        assert_eq!(
            (page.progress(3), page.cut(3, 3, 3, |_| 0)),
            (Progress::Ended, None)
        );
    }

    #[test]
    fn a_condemned_chunk_is_not_cut() {
        let page = Page::new();
        page.send(3, 10);
        assert!(page.begin(3, 1000) && page.condemn(3, Some(0)));
        assert_eq!(page.cut(3, 0, 10, |_| 0), None);
        assert_eq!(page.advance(3, 0, 2000), Advance::Condemned);
    }

    #[test]
    fn one_item_is_asked_to_stop_and_not_its_neighbours() {
        let page = Page::new();
        page.send(3, 3);
        page.ask_stop(3, 7);
        let asked = [6, 7, 8].map(|item| page.is_stop_asked(3, item));
        assert_eq!(
            (asked, page.is_cancel_asked(3)),
            ([false, true, false], false)
        );
        page.ask_cancel(3);
        assert!(page.is_stop_asked(3, 6) && page.is_cancel_asked(3));
        page.send(67, 3);
        assert!(!page.is_stop_asked(67, 7) && !page.is_cancel_asked(67));
    }

    #[test]
    fn a_task_does_not_begin_twice() {
        let page = Page::new();
        page.send(3, 3);
        assert!(page.begin(3, 1000));
        assert!(!page.begin(3, 2000));
        assert_eq!(
            page.judge(3),
            Judgement::Begun {
                item: 0,
                started_ns: 1000
            }
        );
    }

    #[test]
    fn nothing_is_begun_or_cancelled_on_a_fresh_page() {
        let page = Page::new();
        page.send(1, 3);
        for seq in [0, 64, 128] {
            assert!(!page.begin(seq, 1) && !page.recall(seq) && !page.is_begun(seq));
            assert_eq!(page.judge(seq), Judgement::Garbage);
        }
    }

    #[test]
    fn cancel_is_asked_of_one_task_only() {
        let page = Page::new();
        for seq in [0, u32::MAX - 63] {
            page.send(seq, 3);
            assert!(!page.is_cancel_asked(seq));
            page.ask_cancel(seq);
            assert!(page.is_cancel_asked(seq));
            assert!(!page.is_cancel_asked(seq.wrapping_add(64)));
            page.send(seq.wrapping_add(64), 3);
            assert!(!page.is_cancel_asked(seq.wrapping_add(64)));
        }
    }

    #[test]
    fn the_next_user_of_a_slot_finds_nothing_of_the_last() {
        let page = Page::new();
        let last = u32::MAX;
        page.send(last, 3);
        assert!(page.begin(last, 7));
        assert_eq!(page.advance(last, 0, 7), Advance::On);
        page.note_resident(last, 7);
        assert!(page.end(last, 1, 7) && !page.condemn(last, None));
        let next = last.wrapping_add(64);
        page.send(next, 3);
        assert_eq!((page.elapsed_ns(next), page.elapsed_ns(last)), (0, 0));
        assert_eq!(page.resident_kib(next), 0);
        assert_eq!(page.judge(last), Judgement::Garbage);
        assert!(page.begin(next, 0));
        assert_eq!(
            page.judge(next),
            Judgement::Begun {
                item: 0,
                started_ns: 0
            }
        );
    }

    #[test]
    fn sixty_four_tasks_do_not_meet() {
        let page = Page::new();
        let first = u32::MAX - 20;
        let all = || (0..64).map(move |n| first.wrapping_add(n));
        all().for_each(|seq| page.send(seq, 3));
        for (n, seq) in all().enumerate() {
            assert!(if n % 2 == 0 {
                page.begin(seq, n as u64)
            } else {
                page.recall(seq)
            });
        }
        for (n, seq) in all().enumerate() {
            assert_eq!(page.is_begun(seq), n % 2 == 0);
        }
    }

    proptest! {
        #[test]
        fn a_page_that_was_written_over_is_judged_without_a_panic(
            seq: u32, state: u64, cancel: u32, run: u64, times: [u64; 2], answered: u32, any_end: u32, ends_right: bool
        ) {
            let page = Page::new();
            let slot = page.slot(seq);
            slot.state.store(state, Ordering::Relaxed);
            slot.cancel.store(cancel, Ordering::Relaxed);
            slot.run.store(run, Ordering::Relaxed);
            slot.started_ns.store(times[0], Ordering::Relaxed);
            slot.elapsed_ns.store(times[1], Ordering::Relaxed);
            let end = if ends_right { end_of(run) } else { any_end };
            let known = (SENT..=RECALLED).any(|known| state == word(seq, known));
            let runs = item_of(run) < end_of(run);
            let begun = state == word(seq, BEGUN);
            prop_assert_eq!(page.judge(seq) == Judgement::Garbage, !known || (begun && !runs));
            let cut = page.cut(seq, answered, end, |waiting| waiting / 2);
            prop_assert!(cut.is_none_or(|cut| cut < end && cut >= answered && cut > 0));
            page.condemn(seq, Some(item_of(run)));
            page.condemn(seq, None);
            prop_assert_eq!(page.recall(seq), state == word(seq, SENT));
            page.elapsed_ns(seq);
            page.is_begun(seq);
        }
    }
}
