//! What a worker says, checked and decoded before any lock is taken.

use smallvec::{SmallVec, smallvec};

use crate::error::{TaskError, Travelling};
use crate::frame::{FLAG_IN_TASK, FLAG_LAST, Frame, FrameError, Kind};
use crate::wire::{
    self, Arrived, Encoded, Handles, Hello, ItemOutcome, PartReader, PartRun, Record, TaskFailure,
};

/// One frame of a worker.
#[derive(Debug)]
pub(super) enum Message {
    Hello(Hello),
    /// The initializer's result.
    Ready(Encoded),
    InitializerFailed(TaskFailure),
    /// A task's result, or why there is none.
    Ended {
        task: u64,
        seq: u32,
        outcome: Result<Encoded, Failure>,
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
    /// Of the only one of them.
    pub(super) handles: Handles,
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
    Failed(Failure),
    /// One was asked to stop before it began.
    Cancelled,
}

/// Why there is no result, though the worker lives on.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The worker says so.
    Told(TaskFailure),
    /// Of the descriptors of the result, not all have come.
    DescriptorsLost { announced: u16, came: u16 },
}

impl Failure {
    /// The same, in the caller's terms.
    pub(super) fn into_error(self, function: &str, pid: u32, max_frame: u64) -> TaskError {
        match self {
            Self::Told(failure) => failure.into_error(function, pid, max_frame),
            Self::DescriptorsLost { announced, came } => TaskError::DescriptorsLost {
                function: function.into(),
                of: Travelling::Back,
                announced,
                came,
            },
        }
    }
}

impl Message {
    /// Says what is wrong with a frame, in words that follow "because it sent". An answer to more items than any chunk had that
    /// this worker was sent is refused before it is taken apart: an item takes a byte there, and many here.
    pub(super) fn decode(
        frame: Frame<'_>,
        beside: Arrived,
        most_items: u32,
    ) -> Result<Self, String> {
        let header = frame.header;
        let (task, seq) = (header.task, header.seq);
        let garbled = |error: wire::CodecError| {
            format!("a `{:?}` frame that does not decode: {error}", header.kind)
        };
        Ok(match header.kind {
            Kind::Hello => Self::Hello(Hello::decode(&frame.payload).map_err(garbled)?),
            Kind::Ready => match beside {
                Arrived::All(handles) => Self::Ready(Encoded {
                    bytes: frame.payload.into_owned(),
                    handles,
                }),
                // Of a result that nobody has asked for but to see whether it is an error.
                Arrived::Lost { announced, came } => {
                    let failure = TaskFailure::DescriptorsLost { announced, came };
                    Self::InitializerFailed(failure)
                }
            },
            Kind::InitializerFailed => {
                Self::InitializerFailed(wire::decode(&frame.payload).map_err(garbled)?)
            }
            Kind::Done => Self::Ended {
                task,
                seq,
                outcome: match beside {
                    Arrived::All(handles) => Ok(Encoded {
                        bytes: frame.payload.into_owned(),
                        handles,
                    }),
                    Arrived::Lost { announced, came } => {
                        Err(Failure::DescriptorsLost { announced, came })
                    }
                },
            },
            Kind::Failed => Self::Ended {
                task,
                seq,
                outcome: Err(Failure::Told(
                    wire::decode(&frame.payload).map_err(garbled)?,
                )),
            },
            Kind::Part => {
                let is_last = header.flags & FLAG_LAST != 0;
                let payload = frame.payload.into_owned();
                let part = Part::decode(payload, Some(beside), is_last, most_items);
                let part = part.map_err(|error| match error {
                    PartError::Garbled(error) => garbled(error),
                    PartError::Crowded => {
                        "a part with descriptors that is not about one result".into()
                    }
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
            Kind::Task
            | Kind::Chunk
            | Kind::Initialize
            | Kind::Goodbye
            | Kind::Request
            | Kind::Cancel
            | Kind::Release
            | Kind::Reply => {
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
    /// It has descriptors, and not one result.
    Crowded,
}

impl Part {
    pub(super) fn decode(
        payload: Vec<u8>,
        beside: Option<Arrived>,
        is_last: bool,
        most_items: u32,
    ) -> Result<Self, PartError> {
        let mut reader = PartReader::new(&payload).map_err(PartError::Garbled)?;
        let (first, count) = (reader.index(), reader.left());
        if count > most_items {
            return Err(PartError::TooMany(count));
        }
        let mut runs: SmallVec<[Run; 1]> = SmallVec::new();
        loop {
            let start = payload.len() - reader.rest_len();
            runs.push(match reader.next_run() {
                None => break,
                Some(PartRun::Values(count)) => Run::Values { count, start },
                Some(PartRun::Other(ItemOutcome::Failure(bytes))) => {
                    let failure = wire::decode(bytes).map_err(PartError::Garbled)?;
                    Run::Failed(Failure::Told(failure))
                }
                Some(PartRun::Other(_)) => Run::Cancelled,
            });
        }
        let is_one = matches!(runs[..], [Run::Values { count: 1, .. }]);
        let handles = match beside {
            None => Handles::default(),
            Some(Arrived::All(handles)) if is_one || handles.is_empty() => handles,
            Some(Arrived::Lost { announced, came }) if is_one => {
                let lost = Failure::DescriptorsLost { announced, came };
                runs = smallvec![Run::Failed(lost)];
                Handles::default()
            }
            Some(_) => return Err(PartError::Crowded),
        };
        Ok(Self {
            first,
            payload,
            count,
            handles,
            runs,
            is_last,
        })
    }
}
