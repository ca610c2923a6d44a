//! What must hold of a queue whatever stands in its memory: for the fuzzer, and for the replay of its corpus.
//!
//! As long as nobody has scribbled over it, it is compared with a plain queue. From then on it may say anything, but must come to its end,
//! and take no more memory than it may.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::core::{Config, Core};
use super::ring::framed;
use super::side::SELDOM;
use super::transfer::{Buffer, Tried};
use crate::sys::Deadline;

/// Of one input: so that each is soon done.
const MAX_STEPS: usize = 100;

/// How many words a side has, with those that hardly ever change.
const WORDS: usize = SELDOM + 2;

/// How many words of a side's page there are for other things.
const PAGE_WORDS: usize = 8;

/// Bytes, taken one after the other; zeros when there are none left.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first)
    }

    fn two(&mut self) -> usize {
        self.byte() | self.byte() << 8
    }

    fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, at| word | (self.byte() as u64) << (8 * at))
    }
}

/// The first byte chooses what the queue is. Then steps: one byte says which, and some more what with.
pub(crate) fn fuzz(data: &[u8]) {
    let mut input = Input(data);
    let (capacity, max_bytes) =
        [(0, 1 << 10), (0, 1 << 17), (3, 1 << 20), (1, 1 << 16)][input.byte() % 4];
    let config = Config {
        capacity,
        max_bytes,
    };
    // Not this crate's fault, and nothing can be tried.
    let Ok(mut core) = Core::create(config) else {
        return;
    };
    let mut plain = Some(Plain::default());
    let mut buffer = Buffer::default();
    for _ in 0..MAX_STEPS {
        if input.0.is_empty() {
            break;
        }
        match input.byte() % 9 {
            0 => put(&core, &mut plain, input.two()),
            1 => get(&core, &mut plain, &mut buffer),
            2 => {
                let (side, word) = (input.byte(), input.byte() % WORDS);
                let side = [&core.putters, &core.getters][side % 2];
                side.word(word).store(input.word(), Ordering::Relaxed);
                plain = None;
            }
            3 => {
                let (side, word) = (input.byte(), input.byte() % PAGE_WORDS);
                let side = [&core.putters, &core.getters][side % 2];
                if let Ok(place) = side.mapping().u64_at(word * 8) {
                    place.store(input.word(), Ordering::Relaxed);
                }
                plain = None;
            }
            4 => {
                scribble(&core, &mut input);
                plain = None;
            }
            5 => {
                let closed = core.close();
                if let Some(plain) = &mut plain {
                    assert!(closed.is_ok());
                    plain.is_closed = true;
                }
            }
            6 => {
                let _ = core.task_done();
                let _ = core.join(at_once());
            }
            7 => match Core::attach(core.arena.memory().clone()) {
                Ok(other) => core = other,
                Err(error) => assert!(plain.is_none(), "{error}"),
            },
            _ => {
                let side = [&core.putters, &core.getters][input.byte() % 2];
                let header = side.mapping().header();
                let word = [&header.sequence, &header.sleepers][input.byte() % 2];
                // Anybody may count on and say that he sleeps: it is no scribble.
                word.store(input.two() as u32, Ordering::Relaxed);
            }
        }
        assert!(buffer.capacity() as u64 <= max_bytes);
        let _ = (core.len(), core.unfinished(), core.is_closed());
    }
}

fn at_once() -> Deadline {
    Deadline::after(Duration::ZERO)
}

/// What the queue is if nobody has scribbled.
#[derive(Default)]
struct Plain {
    items: VecDeque<Vec<u8>>,
    next: u8,
    is_closed: bool,
}

fn put(core: &Core, plain: &mut Option<Plain>, len: usize) {
    let value = plain.as_ref().map_or(0, |plain| plain.next);
    let item = vec![value; len];
    let tried = core.put(&item, at_once());
    let Some(plain) = plain else { return };
    let Config {
        capacity,
        max_bytes,
    } = core.config;
    let frame = |len: usize| framed(len as u64).unwrap_or(u64::MAX);
    let used: u64 = plain.items.iter().map(|item| frame(item.len())).sum();
    let is_full = capacity != 0 && plain.items.len() as u64 >= capacity;
    match tried {
        Ok(Tried::Done) => {
            assert!(!plain.is_closed && !is_full && used + frame(len) <= max_bytes);
            plain.next = plain.next.wrapping_add(1);
            plain.items.push_back(item);
        }
        Ok(Tried::Closed) => assert!(plain.is_closed),
        Ok(Tried::NotNow | Tried::Full) => assert!(is_full || used + frame(len) > max_bytes),
        Err(_) => panic!("a put fails, with nothing wrong"),
    }
}

fn get(core: &Core, plain: &mut Option<Plain>, buffer: &mut Buffer) {
    let tried = core.get(buffer, at_once());
    let Some(plain) = plain else { return };
    match tried {
        Ok(Tried::Done) => {
            let first = plain.items.pop_front();
            assert!(first.is_some_and(|first| first == buffer.item()));
        }
        Ok(Tried::Closed) => assert!(plain.is_closed && plain.items.is_empty()),
        Ok(Tried::NotNow | Tried::Full) => assert!(plain.items.is_empty()),
        Err(_) => panic!("a get fails, with nothing wrong"),
    }
}

/// Over one of the rings: lengths of items, and the items.
fn scribble(core: &Core, input: &mut Input<'_>) {
    let power = 16 + input.byte() % 4;
    let (at, len) = (input.two() * 8, input.byte());
    let bytes: Vec<u8> = (0..len).map(|_| input.byte() as u8).collect();
    let size = 1_u64 << power;
    if 2 * size <= core.arena.len()
        && let Ok(ring) = core.arena.map(size, size as usize)
    {
        let _ = ring.copy_in(at % size as usize, &bytes);
    }
}
