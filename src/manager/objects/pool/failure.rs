//! How a task ended that has no value, as it travels from a server to a client.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{EndOfWorker, Panic, SubmitError, TaskError, TaskId, Travelling, WorkerLost};

/// A [`TaskError`]. What cannot be taken apart (why a pool broke, a time limit, which no task of a manager's pool has) travels as its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Failure {
    Panicked {
        function: String,
        message: String,
        location: Option<String>,
        backtrace: Option<String>,
        pid: u32,
    },
    WorkerLost(Box<Lost>),
    Killed(Box<Lost>),
    Cancelled {
        may_have_run: bool,
    },
    ArgumentNotDecoded {
        function: String,
        message: String,
    },
    ResultNotEncoded {
        function: String,
        message: String,
    },
    ResultTooLarge {
        function: String,
        size: u64,
        max_frame: u64,
    },
    DescriptorsLost {
        function: String,
        is_back: bool,
        announced: u16,
        came: u16,
    },
    ShutDown {
        may_have_run: bool,
    },
    /// No function has this name in the server.
    UnknownName(String),
    /// It has other types there.
    OtherTypes {
        name: String,
        registered: String,
        asked: String,
    },
    /// It takes no more tasks.
    NotTaken,
    Other {
        message: String,
        may_have_run: bool,
    },
}

/// A [`WorkerLost`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lost {
    function: String,
    task: u64,
    pid: u32,
    end: End,
    run_time: Option<Duration>,
    attempts: u32,
    peak_memory: Option<u64>,
    last_words: Option<String>,
    may_have_run: bool,
}

/// An [`EndOfWorker`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum End {
    Exited(i32),
    Signalled(i32),
    MemoryLimit { limit: u64, signal: i32 },
    OomKilled,
    CpuLimit { limit: Duration },
    Malformed(String),
    Unknown,
}

impl From<&TaskError> for Failure {
    fn from(error: &TaskError) -> Self {
        match error {
            TaskError::Panicked(panic) => Self::Panicked {
                function: panic.function.to_string(),
                message: panic.message.to_string(),
                location: panic.location.as_deref().map(str::to_owned),
                backtrace: panic.backtrace.as_deref().map(str::to_owned),
                pid: panic.pid,
            },
            TaskError::WorkerLost(lost) => Self::WorkerLost(Box::new(Lost::from(&**lost))),
            TaskError::Killed(lost) => Self::Killed(Box::new(Lost::from(&**lost))),
            TaskError::Cancelled { may_have_run } => Self::Cancelled {
                may_have_run: *may_have_run,
            },
            TaskError::ArgumentNotDecoded { function, message } => Self::ArgumentNotDecoded {
                function: function.to_string(),
                message: message.to_string(),
            },
            TaskError::ResultNotEncoded { function, message } => Self::ResultNotEncoded {
                function: function.to_string(),
                message: message.to_string(),
            },
            TaskError::ResultTooLarge {
                function,
                size,
                max_frame,
            } => Self::ResultTooLarge {
                function: function.to_string(),
                size: *size,
                max_frame: *max_frame,
            },
            TaskError::DescriptorsLost {
                function,
                of,
                announced,
                came,
            } => Self::DescriptorsLost {
                function: function.to_string(),
                is_back: *of == Travelling::Back,
                announced: *announced,
                came: *came,
            },
            TaskError::ShutDown { may_have_run } => Self::ShutDown {
                may_have_run: *may_have_run,
            },
            TaskError::Refused(refused) => Self::from(refused),
            other => Self::Other {
                message: in_full(other),
                may_have_run: other.may_have_run(),
            },
        }
    }
}

impl From<&SubmitError> for Failure {
    fn from(error: &SubmitError) -> Self {
        match error {
            SubmitError::UnknownName { name } => Self::UnknownName(name.clone()),
            SubmitError::OtherTypes {
                name,
                registered,
                asked,
            } => Self::OtherTypes {
                name: name.clone(),
                registered: registered.clone(),
                asked: asked.clone(),
            },
            SubmitError::ShutDown => Self::NotTaken,
            other => Self::Other {
                message: in_full(other),
                may_have_run: false,
            },
        }
    }
}

impl Failure {
    /// The same, in the caller's terms.
    pub(crate) fn into_error(self) -> TaskError {
        match self {
            Self::Panicked {
                function,
                message,
                location,
                backtrace,
                pid,
            } => TaskError::Panicked(Panic {
                function: function.into(),
                message: message.into(),
                location: location.map(Arc::from),
                backtrace: backtrace.map(Arc::from),
                pid,
            }),
            Self::WorkerLost(lost) => TaskError::WorkerLost(Box::new((*lost).into())),
            Self::Killed(lost) => TaskError::Killed(Box::new((*lost).into())),
            Self::Cancelled { may_have_run } => TaskError::Cancelled { may_have_run },
            Self::ArgumentNotDecoded { function, message } => TaskError::ArgumentNotDecoded {
                function: function.into(),
                message: message.into(),
            },
            Self::ResultNotEncoded { function, message } => TaskError::ResultNotEncoded {
                function: function.into(),
                message: message.into(),
            },
            Self::ResultTooLarge {
                function,
                size,
                max_frame,
            } => TaskError::ResultTooLarge {
                function: function.into(),
                size,
                max_frame,
            },
            Self::DescriptorsLost {
                function,
                is_back,
                announced,
                came,
            } => TaskError::DescriptorsLost {
                function: function.into(),
                of: match is_back {
                    true => Travelling::Back,
                    false => Travelling::Out,
                },
                announced,
                came,
            },
            Self::ShutDown { may_have_run } => TaskError::ShutDown { may_have_run },
            Self::UnknownName(name) => TaskError::Refused(SubmitError::UnknownName { name }),
            Self::OtherTypes {
                name,
                registered,
                asked,
            } => TaskError::Refused(SubmitError::OtherTypes {
                name,
                registered,
                asked,
            }),
            Self::NotTaken => TaskError::Refused(SubmitError::ShutDown),
            Self::Other {
                message,
                may_have_run,
            } => TaskError::Manager {
                message: message.into(),
                may_have_run,
            },
        }
    }
}

impl From<&WorkerLost> for Lost {
    fn from(lost: &WorkerLost) -> Self {
        Self {
            function: lost.function.to_string(),
            task: lost.task.0,
            pid: lost.pid,
            end: End::from(&lost.end),
            run_time: lost.run_time,
            attempts: lost.attempts,
            peak_memory: lost.peak_memory,
            last_words: lost.last_words.as_deref().map(str::to_owned),
            may_have_run: lost.may_have_run,
        }
    }
}

impl From<Lost> for WorkerLost {
    fn from(lost: Lost) -> Self {
        Self {
            function: lost.function.into(),
            task: TaskId(lost.task),
            pid: lost.pid,
            end: lost.end.into(),
            run_time: lost.run_time,
            attempts: lost.attempts,
            peak_memory: lost.peak_memory,
            last_words: lost.last_words.map(Arc::from),
            may_have_run: lost.may_have_run,
        }
    }
}

impl From<&EndOfWorker> for End {
    fn from(end: &EndOfWorker) -> Self {
        match end {
            EndOfWorker::Exited(code) => Self::Exited(*code),
            EndOfWorker::Signalled(signal) => Self::Signalled(*signal),
            EndOfWorker::MemoryLimit { limit, signal } => Self::MemoryLimit {
                limit: *limit,
                signal: *signal,
            },
            EndOfWorker::OomKilled => Self::OomKilled,
            EndOfWorker::CpuLimit { limit } => Self::CpuLimit { limit: *limit },
            EndOfWorker::Malformed(what) => Self::Malformed(what.to_string()),
            EndOfWorker::Unknown => Self::Unknown,
        }
    }
}

impl From<End> for EndOfWorker {
    fn from(end: End) -> Self {
        match end {
            End::Exited(code) => Self::Exited(code),
            End::Signalled(signal) => Self::Signalled(signal),
            End::MemoryLimit { limit, signal } => Self::MemoryLimit { limit, signal },
            End::OomKilled => Self::OomKilled,
            End::CpuLimit { limit } => Self::CpuLimit { limit },
            End::Malformed(what) => Self::Malformed(what.into()),
            End::Unknown => Self::Unknown,
        }
    }
}

/// An error and its causes, in one line.
pub(crate) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
