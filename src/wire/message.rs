//! The messages between a driver and a worker that are about more than one task's bytes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::codec::{self, CodecError};
use super::record::Wanted;
use crate::error::{Panic, TaskError, Travelling};

/// The version of everything in `docs/wire-format.md`. Driver and worker are the same build, so
/// there is nothing to negotiate: another version is refused.
pub(crate) const PROTOCOL: u32 = 3;

/// What goes up the control socket from a process that was started as a worker and came to an
/// executor of its own before it came to `init()`.
pub(crate) const NEVER_INITIALISED: &[u8] = b"procession: init() was never reached";

/// What goes up the control socket from a worker that cannot say hello; the reason follows.
pub(crate) const CANNOT_START: &[u8] = b"procession: cannot start: ";

/// What goes down the control socket to a process that runs one function, last: the end of the socket ends it no more.
pub(crate) const LET_GO: &[u8] = b"procession: you are on your own";

/// The first message on the control socket: what a worker must know before it can say anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Always the first field, in every version.
    pub(crate) protocol: u32,
    /// The fingerprint of the driver's registry.
    pub(crate) registry: u64,
    /// The number of the worker in its executor.
    pub(crate) worker: u32,
    /// How deeply executors are nested: 1 for a worker of a program that is no worker itself.
    pub(crate) depth: u32,
    /// The longest payload that either side may send, in bytes.
    pub(crate) max_frame: u64,
    /// Whether an `Initialize` frame comes before the first task.
    pub(crate) initializer: bool,
    /// Whether the worker runs the driver's own program, and must be the same build.
    pub(crate) own_binary: bool,
    /// The descriptors that stay open although they came without close-on-exec.
    pub(crate) kept: Vec<i32>,
    /// Whether a stdout comes along, to be put in place of the worker's.
    pub(crate) stdout: bool,
    /// Whether the worker tells how much memory it has when a task has ended.
    pub(crate) tells_memory: bool,
    /// Whether somebody reads what the worker prints: then all of it is written before a result is.
    pub(crate) is_captured: bool,
    /// Which records the worker sends.
    pub(crate) records: Wanted,
    pub(crate) limits: Limits,
    /// Set for a process that runs one function, and is no worker.
    pub(crate) process: Option<ProcessSetup>,
}

/// What a process must know that runs one function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessSetup {
    pub(crate) name: String,
    pub(crate) is_daemon: bool,
    /// The length of the encoded call in the first memory that comes along, in bytes.
    pub(crate) len: u64,
    /// How many descriptors come beside it.
    pub(crate) handles: u16,
}

/// What a worker allows itself before anything else runs in it. `None`: whatever it has inherited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// In bytes.
    pub(crate) address_space: Option<u64>,
    /// For each task, in milliseconds.
    pub(crate) cpu_time_ms: Option<u64>,
    pub(crate) open_files: Option<u64>,
    /// Of a core dump, in bytes.
    pub(crate) core_size: Option<u64>,
    pub(crate) niceness: Option<i32>,
    /// The CPUs that it may run on; empty: all that it has inherited.
    pub(crate) cpus: Vec<u32>,
    /// The working directory, as the system's bytes.
    pub(crate) directory: Option<Vec<u8>>,
}

/// The payload of a worker's first frame: who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Always the first field, in every version.
    pub(crate) protocol: u32,
    /// The fingerprint of the worker's registry.
    pub(crate) registry: u64,
    /// Names and signature hashes; only where the fingerprint differs from the driver's, to say
    /// how.
    pub(crate) functions: Vec<(String, u64)>,
    pub(crate) pid: u32,
    /// The file that the worker runs, where it could find out.
    pub(crate) binary: Option<BinaryId>,
    /// The peak of resident memory that the system tells of it so far, in KiB.
    pub(crate) peak_kib: u64,
    /// Whether that is the worker's own, and not handed on from the driver.
    pub(crate) peak_is_own: bool,
}

/// What tells one build of a program from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BinaryId {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) size: u64,
    /// When it was last modified: seconds since 1970, and nanoseconds.
    pub(crate) mtime: (i64, u32),
}

/// How a task failed in a worker that lives on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TaskFailure {
    Panicked {
        message: String,
        location: Option<String>,
        backtrace: Option<String>,
    },
    ArgumentNotDecoded(String),
    ResultNotEncoded(String),
    ResultTooLarge {
        size: u64,
    },
    /// Of the descriptors beside the arguments, not all have come; the function was not called.
    DescriptorsLost {
        announced: u16,
        came: u16,
    },
}

impl Setup {
    /// The setup that these bytes are, unless another version of the protocol speaks.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        check_protocol(bytes)?;
        codec::decode(bytes)
    }
}

impl Hello {
    /// The hello that these bytes are, unless another version of the protocol speaks.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        check_protocol(bytes)?;
        codec::decode(bytes)
    }
}

impl TaskFailure {
    /// Appends the payload of a `Failed` frame, with texts cut so that it fits into `max_len` bytes.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>, max_len: u64) {
        let start = out.len();
        let mut failure = self.clone();
        loop {
            // A failure is made of texts and numbers, which always encode.
            let encoded = codec::encode(&failure, out);
            debug_assert!(encoded.is_ok(), "a failure encodes");
            if (out.len() - start) as u64 <= max_len || !failure.shorten() {
                return;
            }
            out.truncate(start);
        }
    }

    /// Makes the longest text much shorter; `false` if there is nothing to gain.
    fn shorten(&mut self) -> bool {
        let texts: Vec<&mut String> = match self {
            Self::Panicked {
                message,
                location,
                backtrace,
            } => [Some(message), location.as_mut(), backtrace.as_mut()]
                .into_iter()
                .flatten()
                .collect(),
            Self::ArgumentNotDecoded(message) | Self::ResultNotEncoded(message) => vec![message],
            Self::ResultTooLarge { .. } | Self::DescriptorsLost { .. } => Vec::new(),
        };
        shorten_longest(texts)
    }

    /// The same, in the caller's terms.
    pub(crate) fn into_error(self, function: &str, pid: u32, max_frame: u64) -> TaskError {
        let function: Arc<str> = function.into();
        match self {
            Self::Panicked {
                message,
                location,
                backtrace,
            } => TaskError::Panicked(Panic {
                function,
                message: message.into(),
                location: location.map(Arc::from),
                backtrace: backtrace.map(Arc::from),
                pid,
            }),
            Self::ArgumentNotDecoded(message) => TaskError::ArgumentNotDecoded {
                function,
                message: message.into(),
            },
            Self::ResultNotEncoded(message) => TaskError::ResultNotEncoded {
                function,
                message: message.into(),
            },
            Self::ResultTooLarge { size } => TaskError::ResultTooLarge {
                function,
                size,
                max_frame,
            },
            Self::DescriptorsLost { announced, came } => TaskError::DescriptorsLost {
                function,
                of: Travelling::Out,
                announced,
                came,
            },
        }
    }
}

/// Makes the longest of these texts much shorter; `false` if there is nothing to gain.
pub(crate) fn shorten_longest(texts: Vec<&mut String>) -> bool {
    let Some(longest) = texts
        .into_iter()
        .max_by_key(|text| text.len())
        .filter(|text| text.len() > 64)
    else {
        return false;
    };
    let mut half = longest.len() / 2;
    while !longest.is_char_boundary(half) {
        half -= 1;
    }
    longest.truncate(half);
    longest.push('…');
    true
}

fn check_protocol(mut bytes: &[u8]) -> Result<(), CodecError> {
    match codec::take_varint::<u32>(&mut bytes)? {
        PROTOCOL => Ok(()),
        other => Err(CodecError::new(format!(
            "protocol {other} is spoken, this build knows {PROTOCOL}"
        ))),
    }
}
