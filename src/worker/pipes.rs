//! The worker's ends of its two pipes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::frame::ByteSource;
use crate::primitives::plain::{Mutex, lock};
use crate::sys;

/// The task pipe, for the decoder to read from.
#[derive(Debug)]
pub(super) struct TaskPipe(OwnedFd);

impl TaskPipe {
    pub(super) fn new(pipe: OwnedFd) -> Self {
        Self(pipe)
    }
}

impl ByteSource for TaskPipe {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        sys::read(self.0.as_fd(), room)
    }

    fn append(&mut self, bytes: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        sys::read_to_end_of(self.0.as_fd(), bytes, most)
    }
}

/// The result pipe. Whole frames go into it, one after another, whichever thread they come from.
///
/// The lock is held across writes, which wait while the pipe is full, and across nothing else: what is written has been encoded
/// before.
#[derive(Debug)]
pub(super) struct ResultPipe(Mutex<Results>);

#[derive(Debug)]
struct Results {
    pipe: OwnedFd,
    /// The pipe has been enlarged, or was to be.
    is_large: bool,
}

impl ResultPipe {
    pub(super) fn new(pipe: OwnedFd) -> Self {
        Self(Mutex::new(Results {
            pipe,
            is_large: false,
        }))
    }

    /// Whether it is a pipe still: tasks can close any descriptor of their process.
    pub(super) fn is_open(&self) -> bool {
        sys::is_open(lock(&self.0).pipe.as_fd())
    }

    /// Writes frames, the last of which may continue in `rest`, with as few calls as the pipe allows.
    pub(super) fn write(&self, mut frames: &[u8], mut rest: &[u8]) -> io::Result<()> {
        let mut results = lock(&self.0);
        if frames.len() + rest.len() > sys::PIPE_LEN && !results.is_large {
            results.is_large = true;
            sys::enlarge_pipe(results.pipe.as_fd());
        }
        while !frames.is_empty() && !rest.is_empty() {
            let written = sys::write_both(results.pipe.as_fd(), frames, rest)?;
            let of_frames = written.min(frames.len());
            frames = &frames[of_frames..];
            rest = &rest[written - of_frames..];
        }
        for mut bytes in [frames, rest] {
            while !bytes.is_empty() {
                let written = sys::write(results.pipe.as_fd(), bytes)?;
                bytes = &bytes[written..];
            }
        }
        Ok(())
    }
}

/// What is said in this process through `log` and `tracing`, as far as it is wanted, goes up too, from now on. Each record says which
/// frame is running: `running` knows.
#[cfg(any(feature = "log", feature = "tracing"))]
pub(super) fn forward_records(
    setup: &crate::wire::Setup,
    pipe: &std::sync::Arc<ResultPipe>,
    running: fn() -> Option<u32>,
) {
    use crate::frame::{self, FLAG_IN_TASK, Header, Kind};
    use crate::{record, wire};

    let pipe = pipe.clone();
    let pid = std::process::id();
    record::forward(setup.records, setup.max_frame, move |record| {
        // A process that was forked off has the pipe, too, perhaps with its lock held by a thread that it does not have.
        if std::process::id() != pid {
            return;
        }
        let mut bytes = Vec::new();
        let start = frame::begin(&mut bytes);
        if wire::encode(&record, &mut bytes).is_err() {
            debug_assert!(false, "a record is made of texts and numbers");
            return;
        }
        let seq = running();
        let header = Header {
            flags: if seq.is_some() { FLAG_IN_TASK } else { 0 },
            ..Header::new(Kind::Record, 0, seq.unwrap_or(0))
        };
        frame::finish(&mut bytes, start, header);
        // It fails when the driver is gone: then this process is about to end.
        let _ = pipe.write(&bytes, &[]);
    });
}
