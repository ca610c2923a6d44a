//! The 24 bytes in front of every payload.

/// The length of a header, in bytes.
pub(crate) const HEADER_LEN: usize = 24;

/// Of a [`Kind::Part`]: nothing more comes for this chunk.
pub(crate) const FLAG_LAST: u8 = 1;

/// Of a [`Kind::Chunk`]: what an item gave is to be sent before the next one begins.
pub(crate) const FLAG_PROMPT: u8 = 2;

/// Of a [`Kind::Record`]: it was made while the frame with its `seq` ran.
pub(crate) const FLAG_IN_TASK: u8 = 1;

/// The longest payload of a [`Kind::Record`], whatever longer frames are allowed: records may wait in
/// their thousands for whoever prints them.
pub(crate) const MAX_RECORD: u64 = 64 * 1024;

/// What a frame is about. Kinds below 16 travel to a worker, those below 32 from one; those below 48 travel to a manager's server, the
/// others from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Run one function once.
    Task = 1,
    /// Run one function once for each of several items.
    Chunk = 2,
    /// Run the initializer.
    Initialize = 3,
    /// Nothing more will be sent: end in good order.
    Goodbye = 4,
    /// The first frame of a worker: who it is.
    Hello = 16,
    /// The worker takes tasks from now on.
    Ready = 17,
    /// The result of a task.
    Done = 18,
    /// The failure of a task, other than the worker's death.
    Failed = 19,
    /// The outcomes of some consecutive items of a chunk.
    Part = 20,
    /// Every frame up to `seq`, inclusive, has been taken from the pipe, and those recalled among
    /// them were skipped.
    Passed = 21,
    /// The initializer failed; the worker ends.
    InitializerFailed = 22,
    /// What was said through `log` or `tracing`.
    Record = 23,
    /// To a manager's server: something is asked of an object.
    Request = 32,
    /// To a manager's server: a call is not waited for any more.
    Cancel = 33,
    /// To a manager's server: references are given back.
    Release = 34,
    /// From a manager's server: a request is answered.
    Reply = 48,
}

/// The header of a frame, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The length of the payload, in bytes.
    pub(crate) len: u64,
    /// The task that the frame is about; 0 where it is about none.
    pub(crate) task: u64,
    pub(crate) kind: Kind,
    /// [`FLAG_LAST`], [`FLAG_PROMPT`], [`FLAG_IN_TASK`], or nothing.
    pub(crate) flags: u8,
    /// How many descriptors travel beside the frame.
    pub(crate) handles: u16,
    /// Which of the frames sent to this worker this one is, or answers.
    pub(crate) seq: u32,
}

/// Why bytes are not a frame. Each text continues "because it sent …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// The payload is longer than the reader allows. Nothing was allocated for it.
    #[error("a frame of {len} bytes where `max_frame` allows {max_frame}")]
    TooLong { len: u64, max_frame: u64 },
    /// The same, for records, which may not be as long as other frames.
    #[error("a record of {len} bytes where {MAX_RECORD} are allowed")]
    RecordTooLong { len: u64 },
    /// No frame is of this kind.
    #[error("a frame of unknown kind {0}")]
    UnknownKind(u8),
    /// Frames of this kind travel the other way. For the caller to use: the decoder knows no
    /// direction.
    #[error("a `{0:?}` frame, which travels the other way")]
    Unexpected(Kind),
    /// Flags that frames of this kind do not have.
    #[error("a frame with unknown flags {0:#04x}")]
    UnknownFlags(u8),
    /// Descriptors are announced by a frame of a kind that has none.
    #[error("a `{kind:?}` frame that announces {handles} descriptors where none belong")]
    Handles { kind: Kind, handles: u16 },
    /// A frame of a kind that has no payload came with one.
    #[error("a `{kind:?}` frame with a payload of {len} bytes where none belongs")]
    NotEmpty { kind: Kind, len: u64 },
}

impl Kind {
    fn decode(byte: u8) -> Result<Self, FrameError> {
        Ok(match byte {
            1 => Self::Task,
            2 => Self::Chunk,
            3 => Self::Initialize,
            4 => Self::Goodbye,
            16 => Self::Hello,
            17 => Self::Ready,
            18 => Self::Done,
            19 => Self::Failed,
            20 => Self::Part,
            21 => Self::Passed,
            22 => Self::InitializerFailed,
            23 => Self::Record,
            32 => Self::Request,
            33 => Self::Cancel,
            34 => Self::Release,
            48 => Self::Reply,
            _ => return Err(FrameError::UnknownKind(byte)),
        })
    }

    fn allowed_flags(self) -> u8 {
        match self {
            Self::Part => FLAG_LAST,
            Self::Chunk => FLAG_PROMPT,
            Self::Record => FLAG_IN_TASK,
            _ => 0,
        }
    }

    /// Whether descriptors can travel beside it: arguments and results can have some.
    fn has_handles(self) -> bool {
        matches!(
            self,
            Self::Task | Self::Initialize | Self::Ready | Self::Done | Self::Part
        )
    }

    fn has_payload(self) -> bool {
        !matches!(self, Self::Goodbye | Self::Passed | Self::Cancel)
    }
}

impl Header {
    /// A header without flags. Its length is filled in by [`finish`](super::finish).
    #[inline]
    pub(crate) fn new(kind: Kind, task: u64, seq: u32) -> Self {
        Self {
            len: 0,
            task,
            kind,
            flags: 0,
            handles: 0,
            seq,
        }
    }

    /// The bytes of this header.
    #[inline]
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.task.to_le_bytes());
        bytes[16] = self.kind as u8;
        bytes[17] = self.flags;
        bytes[18..20].copy_from_slice(&self.handles.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.seq.to_le_bytes());
        bytes
    }

    /// The header that these bytes are, if it is one that this version of the protocol allows.
    #[inline]
    pub(crate) fn decode(bytes: &[u8; HEADER_LEN], max_frame: u64) -> Result<Self, FrameError> {
        let [
            l0,
            l1,
            l2,
            l3,
            l4,
            l5,
            l6,
            l7,
            t0,
            t1,
            t2,
            t3,
            t4,
            t5,
            t6,
            t7,
            kind,
            flags,
            h0,
            h1,
            s0,
            s1,
            s2,
            s3,
        ] = *bytes;
        let kind = Kind::decode(kind)?;
        let header = Self {
            len: u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]),
            task: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            kind,
            flags,
            handles: u16::from_le_bytes([h0, h1]),
            seq: u32::from_le_bytes([s0, s1, s2, s3]),
        };
        if flags & !kind.allowed_flags() != 0 {
            return Err(FrameError::UnknownFlags(flags));
        }
        if header.handles != 0 && !kind.has_handles() {
            return Err(FrameError::Handles {
                kind,
                handles: header.handles,
            });
        }
        if header.len > max_frame {
            return Err(FrameError::TooLong {
                len: header.len,
                max_frame,
            });
        }
        if kind == Kind::Record && header.len > MAX_RECORD {
            return Err(FrameError::RecordTooLong { len: header.len });
        }
        if header.len != 0 && !kind.has_payload() {
            return Err(FrameError::NotEmpty {
                kind,
                len: header.len,
            });
        }
        Ok(header)
    }
}
