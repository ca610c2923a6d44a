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
//! * Only the driver stores `SENT`, and only into a slot whose earlier task is *passed*: a result, a
//!   failure or a `Passed` frame has come for it or for a later one. A worker writes nothing to a slot after
//!   it has sent such a frame for it. So at that moment the slot has one writer.
//! * `SENT` is left by one compare-and-swap, to `BEGUN` by the worker or to `RECALLED` by the driver: exactly
//!   one of them wins, and the other one sees that it lost. So a recalled task has not begun and
//!   never will, also if its worker is stopped in between.
//! * `BEGUN` and `RECALLED` are left only by the next `send`.
//! * `cancel` belongs to the driver, `item`, `started_ns` and `elapsed_ns` to the worker from `SENT` until
//!   it has passed. `send` resets all four.
//!
//! # Orderings
//!
//! * `send` stores `SENT` with Release after the reset, and the worker reads it with Acquire: its own values
//!   come after the reset in each word's order, so that a reset cannot undo them.
//! * `begin` writes `started_ns` before it swaps (Release), and the driver reads the state with Acquire: a
//!   driver that sees `BEGUN` sees the start time. (A worker that loses has written a time into a slot that is
//!   recalled; nobody reads it.)
//! * `item` and `elapsed_ns` are words by themselves: nothing else is read because of them. They are
//!   stored with Release all the same, which costs nothing on x86 and one cheap instruction on ARM.
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
    /// The sequence number of the task that shall stop; another number if none shall.
    cancel: AtomicU32,
    /// Which item of its chunk the worker is at.
    item: AtomicU32,
    started_ns: AtomicU64,
    elapsed_ns: AtomicU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Page>() == 4096 && align_of::<Page>() == 64);

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

/// For the driver, which calls these under its own lock.
impl Page {
    /// Offers the task to the worker. The slot's earlier user must be passed.
    pub(crate) fn send(&self, seq: u32) {
        let slot = self.slot(seq);
        slot.cancel.store(!seq, Ordering::Relaxed);
        slot.item.store(0, Ordering::Relaxed);
        slot.started_ns.store(0, Ordering::Relaxed);
        slot.elapsed_ns.store(0, Ordering::Relaxed);
        slot.state.store(word(seq, SENT), Ordering::Release);
    }

    /// Takes the task back. False says that the worker has begun it (or that the page is garbage).
    pub(crate) fn recall(&self, seq: u32) -> bool {
        self.slot(seq).swap(seq, RECALLED)
    }

    /// What became of a task that was sent. Final once its worker is gone.
    pub(crate) fn judge(&self, seq: u32) -> Judgement {
        let slot = self.slot(seq);
        let state = slot.state.load(Ordering::Acquire);
        if state == word(seq, SENT) || state == word(seq, RECALLED) {
            Judgement::NotBegun
        } else if state == word(seq, BEGUN) {
            Judgement::Begun {
                item: slot.item.load(Ordering::Acquire),
                started_ns: slot.started_ns.load(Ordering::Relaxed),
            }
        } else {
            Judgement::Garbage
        }
    }

    /// Whether the worker has begun the task.
    pub(crate) fn is_begun(&self, seq: u32) -> bool {
        self.slot(seq).state.load(Ordering::Acquire) == word(seq, BEGUN)
    }

    /// Asks the task to stop by itself.
    pub(crate) fn ask_cancel(&self, seq: u32) {
        self.slot(seq).cancel.store(seq, Ordering::Relaxed);
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

    /// Notes that the `item`-th item of the chunk begins.
    pub(crate) fn note_item(&self, seq: u32, item: u32) {
        self.slot(seq).item.store(item, Ordering::Release);
    }

    /// Whether the task was asked to stop.
    pub(crate) fn is_cancel_asked(&self, seq: u32) -> bool {
        self.slot(seq).cancel.load(Ordering::Relaxed) == seq
    }

    /// Notes how long the task ran. Call it before the result is sent: the slot is the driver's then.
    pub(crate) fn end(&self, seq: u32, elapsed_ns: u64) {
        self.slot(seq)
            .elapsed_ns
            .store(elapsed_ns, Ordering::Release);
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
            cancel: AtomicU32::new(0),
            item: AtomicU32::new(0),
            started_ns: AtomicU64::new(0),
            elapsed_ns: AtomicU64::new(0),
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
}

fn word(seq: u32, state: u64) -> u64 {
    u64::from(seq) << 8 | state
}

#[cfg(all(test, loom))]
mod models {
    //! Races of driver and worker, given to loom.

    use loom::thread;

    use super::*;
    use crate::primitives::Arc;

    #[test]
    fn loom_of_begin_and_recall_exactly_one_wins_and_the_other_sees_it() {
        loom::model(|| {
            let page = Arc::new(Page::new());
            page.send(7);
            let worker = {
                let page = Arc::clone(&page);
                thread::spawn(move || {
                    let begun = page.begin(7, 99);
                    if begun {
                        page.note_item(7, 3);
                    }
                    begun
                })
            };
            let is_recalled = page.recall(7);
            if is_recalled {
                assert_eq!(page.judge(7), Judgement::NotBegun);
                assert!(!page.is_begun(7));
            } else {
                // The loser sees more than that it lost: the start time is there, the item or zero.
                match page.judge(7) {
                    Judgement::Begun { item, started_ns } => {
                        assert!(item == 0 || item == 3);
                        assert_eq!(started_ns, 99);
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
            let worker = {
                let page = Arc::clone(&page);
                thread::spawn(move || {
                    let begun = page.begin(1, 99);
                    if begun {
                        page.note_item(1, 3);
                        page.end(1, 5);
                    }
                    begun
                })
            };
            page.send(1);
            if worker.join().unwrap() {
                assert_eq!(
                    page.judge(1),
                    Judgement::Begun {
                        item: 3,
                        started_ns: 99
                    }
                );
                assert_eq!(page.elapsed_ns(1), 5);
            } else {
                assert_eq!(page.judge(1), Judgement::NotBegun);
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
            page.send(1);
            let worker = {
                let (page, passed, sent) =
                    (Arc::clone(&page), Arc::clone(&passed), Arc::clone(&sent));
                thread::spawn(move || {
                    assert!(page.begin(1, 10));
                    page.note_item(1, 5);
                    page.end(1, 100);
                    passed.store(1, Ordering::Release);
                    if sent.load(Ordering::Acquire) == NEXT {
                        assert!(!page.is_cancel_asked(NEXT));
                        assert!(page.begin(NEXT, 20));
                        page.note_item(NEXT, 6);
                    }
                })
            };
            if passed.load(Ordering::Acquire) == 1 {
                assert_eq!(page.elapsed_ns(1), 100);
                page.send(NEXT);
                sent.store(NEXT, Ordering::Release);
                // A late look at the earlier task takes nothing of the later one for its own.
                assert_eq!(page.judge(1), Judgement::Garbage);
                assert_eq!(page.elapsed_ns(1), 0);
                assert!(!page.is_begun(1) && !page.recall(1));
                match page.judge(NEXT) {
                    Judgement::NotBegun => {}
                    Judgement::Begun { item, started_ns } => {
                        assert!(item == 0 || item == 6);
                        assert_eq!(started_ns, 20);
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
        page.send(3);
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
        page.note_item(3, 4);
        assert_eq!(
            page.judge(3),
            Judgement::Begun {
                item: 4,
                started_ns: 1000
            }
        );
        page.end(3, 50);
        assert_eq!(page.elapsed_ns(3), 50);
        assert!(!page.recall(3), "a begun task is not recalled");
    }

    #[test]
    fn a_recalled_task_does_not_begin() {
        let page = Page::new();
        page.send(3);
        assert!(page.recall(3));
        assert!(!page.begin(3, 1000));
        assert_eq!(page.judge(3), Judgement::NotBegun);
        assert!(!page.recall(3), "a task is recalled once");
    }

    #[test]
    fn a_task_does_not_begin_twice() {
        let page = Page::new();
        page.send(3);
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
        page.send(1);
        for seq in [0, 64, 128] {
            assert!(!page.begin(seq, 1) && !page.recall(seq) && !page.is_begun(seq));
            assert_eq!(page.judge(seq), Judgement::Garbage);
        }
    }

    #[test]
    fn cancel_is_asked_of_one_task_only() {
        let page = Page::new();
        for seq in [0, u32::MAX - 63] {
            page.send(seq);
            assert!(!page.is_cancel_asked(seq));
            page.ask_cancel(seq);
            assert!(page.is_cancel_asked(seq));
            assert!(!page.is_cancel_asked(seq.wrapping_add(64)));
            page.send(seq.wrapping_add(64));
            assert!(!page.is_cancel_asked(seq.wrapping_add(64)));
        }
    }

    #[test]
    fn the_next_user_of_a_slot_finds_nothing_of_the_last() {
        let page = Page::new();
        let last = u32::MAX;
        page.send(last);
        assert!(page.begin(last, 7));
        page.note_item(last, 7);
        page.end(last, 7);
        let next = last.wrapping_add(64);
        page.send(next);
        assert_eq!((page.elapsed_ns(next), page.elapsed_ns(last)), (0, 0));
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
        all().for_each(|seq| page.send(seq));
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
            seq: u32, state: u64, cancel: u32, item: u32, times: [u64; 2]
        ) {
            let page = Page::new();
            let slot = page.slot(seq);
            slot.state.store(state, Ordering::Relaxed);
            slot.cancel.store(cancel, Ordering::Relaxed);
            slot.item.store(item, Ordering::Relaxed);
            slot.started_ns.store(times[0], Ordering::Relaxed);
            slot.elapsed_ns.store(times[1], Ordering::Relaxed);
            let known = (SENT..=RECALLED).any(|known| state == word(seq, known));
            prop_assert_eq!(page.judge(seq) == Judgement::Garbage, !known);
            prop_assert_eq!(page.recall(seq), state == word(seq, SENT));
            page.elapsed_ns(seq);
            page.is_begun(seq);
        }
    }
}
