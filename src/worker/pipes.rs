//! The worker's ends of its two pipes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::frame::{ByteSource, Header};
use crate::primitives::plain::{Mutex, lock};
use crate::sys::{self, ControlSocket};
use crate::wire::{Arrived, Arriving, Beside, Handles};

/// The pauses between attempts while the system refuses descriptors (see [`sys::is_refused_for_now`]), and for how long that is
/// tried.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);

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

/// What has come beside a frame that has been read. The error says what is wrong with it.
pub(super) fn receive_beside(control: &ControlSocket, header: &Header) -> Result<Arrived, String> {
    let announced = header.handles;
    let mut arriving = Arriving::new(header.task, header.seq, announced);
    while !arriving.is_complete() {
        let received = control.receive_now().map_err(|error| {
            format!(
                "the driver announced {announced} descriptors, and none can be received: {error}"
            )
        })?;
        let taken = arriving.take(&received.bytes, received.descriptors);
        taken.map_err(|what| format!("the driver sent {what}"))?;
    }
    Ok(arriving.finish())
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

    /// Writes a frame, which may continue in `rest`, and sends what goes beside it before.
    pub(super) fn write_beside(
        &self,
        control: &ControlSocket,
        header: &Header,
        handles: &Handles,
        frame: &[u8],
        rest: &[u8],
    ) -> io::Result<()> {
        let mut results = lock(&self.0);
        send_beside(control, header, handles)?;
        results.write(frame, rest)
    }

    /// Writes frames, the last of which may continue in `rest`, with as few calls as the pipe allows.
    pub(super) fn write(&self, frames: &[u8], rest: &[u8]) -> io::Result<()> {
        lock(&self.0).write(frames, rest)
    }
}

impl Results {
    fn write(&mut self, mut frames: &[u8], mut rest: &[u8]) -> io::Result<()> {
        let results = self;
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

/// Sends the descriptors of a frame. A message waits while the socket is full: the driver takes out what belongs to frames before this
/// one, and those of one frame fit.
fn send_beside(control: &ControlSocket, header: &Header, handles: &Handles) -> io::Result<()> {
    let mut rest = handles.as_slice();
    let mut first = 0;
    let give_up = Instant::now() + PATIENCE;
    while !rest.is_empty() {
        let message = Beside::at(header.task, header.seq, first, handles.len());
        let (now, later) = rest.split_at(usize::from(message.count));
        let now: Vec<_> = now.iter().map(AsFd::as_fd).collect();
        send_one(control, &message.encode(), &now, give_up)?;
        first += message.count;
        rest = later;
    }
    Ok(())
}

/// Sends one message; without its descriptors, if the system goes on refusing them.
fn send_one(
    control: &ControlSocket,
    message: &[u8],
    descriptors: &[BorrowedFd<'_>],
    give_up: Instant,
) -> io::Result<()> {
    let mut pause = FIRST_PAUSE;
    loop {
        match control.send(message, descriptors) {
            Ok(()) => return Ok(()),
            Err(error) if is_gone(&error) => return Err(error),
            Err(error) if sys::is_refused_for_now(&error) && Instant::now() < give_up => {
                // Nothing tells when it will be taken; but if the driver goes, this ends.
                sys::wait_for_hangup_until(control.as_fd(), Instant::now() + pause);
                pause = LONGEST_PAUSE.min(pause * 2);
            }
            // A task may also have closed one of them by its number.
            Err(_) => return control.send(message, &[]),
        }
    }
}

/// Whether there is no driver any more.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
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
