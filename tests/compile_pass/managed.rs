//! A type of the user's own in a manager: nothing is asked of the user but what is written here, and no lint is disturbed.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unused_qualifications, unreachable_pub)]

use std::collections::BTreeMap;

use procession::manager::{Calling, Manager, ManagerError};
use serde::{Deserialize, Serialize};

struct Counter {
    n: u64,
}

#[procession::managed]
impl Counter {
    /// The most that there can be.
    const MOST: u64 = 1000;

    pub fn new(start: u64) -> Self {
        Self { n: start }
    }

    /// Adds to it, and gives what it is then.
    pub fn add(&mut self, by: u64) -> u64 {
        self.n = self.clamped(self.n + by);
        self.n
    }

    pub fn get(&self) -> u64 {
        self.n
    }

    fn clamped(&self, n: u64) -> u64 {
        n.min(Self::MOST)
    }

    pub fn zero() -> u64 {
        0
    }

    #[managed]
    fn reset(self: &mut Self) {
        self.n = Self::zero();
    }

    #[managed(skip)]
    pub fn into_inner(self) -> u64 {
        self.n
    }
}

mod fallible {
    pub(crate) type Result<T> = std::result::Result<T, procession::Failure>;
}

mod board {
    use super::*;

    /// A type of the user's.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) struct Note {
        text: String,
    }

    /// Notes, by their writers.
    #[derive(Default)]
    pub(crate) struct Board {
        notes: BTreeMap<String, Vec<Note>>,
    }

    #[procession::managed(name = "the board", proxy = Remote)]
    impl Board {
        /// Of these writers.
        pub async fn of(writers: Vec<String>, manager: bool) -> Result<Self, String> {
            let mut writers = std::future::ready(writers).await;
            writers.extend(manager.then(|| "the manager".to_owned()));
            Ok(Self {
                notes: writers.into_iter().map(|writer| (writer, vec![])).collect(),
            })
        }

        /// Of whoever is in a file.
        pub fn open(path: String) -> fallible::Result<Self> {
            let text = std::fs::read_to_string(path)?;
            Ok(Self {
                notes: text.lines().map(|line| (line.to_owned(), vec![])).collect(),
            })
        }

        /// Writes a note.
        pub fn write(&mut self, writer: String, (text, mut times): (String, u8)) -> Result<usize, String> {
            let notes = self.notes.get_mut(&writer).ok_or("who is that?")?;
            while times > 0 {
                notes.push(Note { text: text.clone() });
                times -= 1;
            }
            Ok(notes.len())
        }

        /// Copies it.
        pub fn add(&mut self, other: Self, more: [Vec<Self>; 1]) {
            for board in more.into_iter().flatten().chain([other]) {
                self.notes.extend(board.notes);
            }
        }

        /// All that it has.
        pub async fn r#final(&self) -> Self {
            Self {
                notes: std::future::ready(self.notes.clone()).await,
            }
        }

        /// What there was.
        #[deprecated]
        pub fn old(&self) {}

        /// What there is elsewhere.
        #[cfg(any())]
        pub fn not_there(&self, _: NotThere) {}
    }

    impl Serialize for Board {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.notes.serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for Board {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Deserialize::deserialize(deserializer).map(|notes| Self { notes })
        }
    }
}

/// Of several types that share a definition, each one is shown by itself.
struct Stack<T>(Vec<T>);

#[procession::managed(proxy = NumbersProxy)]
impl Stack<u64> {
    #[managed]
    fn new() -> Stack<u64> {
        Self(Vec::new())
    }

    #[managed]
    fn push(&mut self, _: u64) {
        self.0.push(0);
    }
}

#[cfg(any())]
#[procession::managed]
impl NotThere {
    pub fn new() -> Self {}
}

#[procession::managed]
#[cfg(any())]
impl NotThere {
    pub fn new() -> Self {}
}

fn is_a_handle<T: Clone + Send + Sync + std::fmt::Debug + Serialize + for<'a> Deserialize<'a>>() {}

/// Never called: there is no manager here.
fn calls(manager: &Manager) -> Result<(), Box<dyn std::error::Error>> {
    let counter = CounterProxy::new(manager, 7)?;
    let n: u64 = counter.clone().add(3)?;
    let awaited: Calling<u64> = counter.add_async(n);
    drop(awaited);
    counter.reset()?;
    assert!(counter.is_same(&counter));

    let board: Result<board::Remote, String> = board::Remote::of(manager, vec![], true)?;
    let board = board?;
    let written: Result<Result<usize, String>, ManagerError> = board.write("me".into(), ("hello".into(), 2));
    written??;
    let all: board::Board = board.r#final()?;
    board.add(all, [vec![]])?;

    let numbers = NumbersProxy::new(manager)?;
    numbers.push(3)?;
    Ok(())
}

async fn awaited(manager: &Manager) -> Result<u64, ManagerError> {
    let made = CounterProxy::new_async(manager, 7);
    let counter = made.await?;
    let _ = board::Remote::of_async(manager, vec![], false).await?;
    counter.get_async().await
}

fn is_sent<T: Send>(_: T) {}

fn main() {
    is_a_handle::<CounterProxy>();
    is_a_handle::<board::Remote>();
    // The block is what it was.
    let mut counter = Counter::new(5);
    assert_eq!((counter.add(2), counter.get()), (7, 7));
    counter.reset();
    assert_eq!(counter.into_inner(), 0);
    let board = board::Board::default();
    #[allow(deprecated)]
    board.old();
    assert!(board::Board::open("/no/such/file".into()).is_err());
    let mut numbers = Stack::new();
    numbers.push(1);
    let _ = calls;
    let _ = |manager: &'static Manager| is_sent(awaited(manager));
}
