//! What a worker says, checked and decoded before any lock is taken.

use smallvec::SmallVec;

use crate::frame::{FLAG_IN_TASK, FLAG_LAST, Frame, FrameError, Kind};
use crate::wire::{self, Hello, ItemOutcome, PartReader, PartRun, Record, TaskFailure};

/// One frame of a worker.
#[derive(Debug)]
pub(super) enum Message {
    Hello(Hello),
    /// The initializer's result.
    Ready(Vec<u8>),
    InitializerFailed(TaskFailure),
    /// A task's result, or why there is none.
    Ended {
        task: u64,
        seq: u32,
        outcome: Result<Vec<u8>, TaskFailure>,
    },
    Part {
        task: u64,
        seq: u32,
        part: Part,
    },
    Passed {
        seq: u32,
    },
    Record {
        /// Of the task that ran meanwhile.
        seq: Option<u32>,
        record: Box<Record>,
        /// How many bytes it came in.
        size: usize,
    },
}

/// Some items of a chunk, from the `first`-th of those that were sent.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) first: u32,
    /// The frame's, in which the results are.
    pub(super) payload: Vec<u8>,
    /// How many they are.
    pub(super) count: u32,
    pub(super) runs: SmallVec<[Run; 1]>,
    /// Nothing else comes of this chunk.
    pub(super) is_last: bool,
}

/// How consecutive items of a chunk ended.
#[derive(Debug)]
pub(super) enum Run {
    /// So many have results, which stand in the payload from there on, as [`wire::value_at`] reads them.
    Values { count: u32, start: usize },
    /// One has failed.
    Failed(TaskFailure),
    /// One was asked to stop before it began.
    Cancelled,
}

impl Message {
    /// Says what is wrong with a frame, in words that follow "because it sent". An answer to more items than any chunk had that
    /// this worker was sent is refused before it is taken apart: an item takes a byte there, and many here.
    pub(super) fn decode(frame: Frame<'_>, most_items: u32) -> Result<Self, String> {
        let header = frame.header;
        let (task, seq) = (header.task, header.seq);
        let garbled = |error: wire::CodecError| {
            format!("a `{:?}` frame that does not decode: {error}", header.kind)
        };
        Ok(match header.kind {
            Kind::Hello => Self::Hello(Hello::decode(&frame.payload).map_err(garbled)?),
            Kind::Ready => Self::Ready(frame.payload.into_owned()),
            Kind::InitializerFailed => {
                Self::InitializerFailed(wire::decode(&frame.payload).map_err(garbled)?)
            }
            Kind::Done => Self::Ended {
                task,
                seq,
                outcome: Ok(frame.payload.into_owned()),
            },
            Kind::Failed => Self::Ended {
                task,
                seq,
                outcome: Err(wire::decode(&frame.payload).map_err(garbled)?),
            },
            Kind::Part => {
                let is_last = header.flags & FLAG_LAST != 0;
                let part = Part::decode(frame.payload.into_owned(), is_last, most_items);
                let part = part.map_err(|error| match error {
                    PartError::Garbled(error) => garbled(error),
                    PartError::TooMany(count) => {
                        format!("{count} items of a chunk of at most {most_items}")
                    }
                })?;
                Self::Part { task, seq, part }
            }
            Kind::Passed => Self::Passed { seq },
            Kind::Record => Self::Record {
                seq: (header.flags & FLAG_IN_TASK != 0).then_some(seq),
                record: Box::new(Record::decode(&frame.payload).map_err(garbled)?),
                size: frame.payload.len(),
            },
            Kind::Task | Kind::Chunk | Kind::Initialize | Kind::Goodbye => {
                return Err(FrameError::Unexpected(header.kind).to_string());
            }
        })
    }
}

/// What is wrong with a part.
#[derive(Debug)]
pub(super) enum PartError {
    Garbled(wire::CodecError),
    /// It has so many items.
    TooMany(u32),
}

impl Part {
    pub(super) fn decode(
        payload: Vec<u8>,
        is_last: bool,
        most_items: u32,
    ) -> Result<Self, PartError> {
        let mut reader = PartReader::new(&payload).map_err(PartError::Garbled)?;
        let (first, count) = (reader.index(), reader.left());
        if count > most_items {
            return Err(PartError::TooMany(count));
        }
        let mut runs = SmallVec::new();
        loop {
            let start = payload.len() - reader.rest_len();
            runs.push(match reader.next_run() {
                None => break,
                Some(PartRun::Values(count)) => Run::Values { count, start },
                Some(PartRun::Other(ItemOutcome::Failure(bytes))) => {
                    Run::Failed(wire::decode(bytes).map_err(PartError::Garbled)?)
                }
                Some(PartRun::Other(_)) => Run::Cancelled,
            });
        }
        Ok(Self {
            first,
            payload,
            count,
            runs,
            is_last,
        })
    }
}
