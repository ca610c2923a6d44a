//! The worker's loop: read a frame, begin it on the status page, run it, answer.

use std::borrow::Cow;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::answers::{Answers, Place};
use super::memory::Memory;
use super::pipes::{ResultPipe, TaskPipe, receive_beside};
use crate::context;
use crate::frame::{Decoder, FLAG_PROMPT, Frame, FrameError, Header, Kind};
use crate::page::Progress;
use crate::registry::{Function, registry};
use crate::sys::{self, ControlSocket, SharedPage};
use crate::wire::{self, Arrived, ChunkReader, Handles, Hello, Setup};

/// How often the limit on CPU time is set anew at most, in nanoseconds: what a task gets less than its time is bounded by this.
const CPU_INTERVAL_NS: u64 = 10_000_000;

/// The sequence number, plus one, of the task that runs; 0 when none does.
static RUNNING: AtomicU64 = AtomicU64::new(0);

/// The sequence number of the task that runs.
fn running() -> Option<u32> {
    let seq = RUNNING.load(Ordering::Relaxed).checked_sub(1)?;
    Some(seq as u32)
}

/// What a worker owns while it serves.
pub(super) struct Server {
    tasks: TaskPipe,
    control: Arc<ControlSocket>,
    answers: Answers,
    page: &'static SharedPage,
    setup: Setup,
    hello: Hello,
    /// When the limit on CPU time was last set.
    allowed_ns: Option<u64>,
}

/// Why the loop ended.
pub(super) enum Over {
    /// The driver said goodbye.
    Goodbye,
    /// The driver is gone, without a word.
    DriverGone,
    /// The driver wants the task that has just ended to have been the last.
    Condemned,
    /// The driver sent something that is not of the protocol.
    Malformed(String),
    /// A pipe to the driver is not what it was: a task closed it.
    Pipe(io::Error),
}

impl From<io::Error> for Over {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::DriverGone,
            _ => Self::Pipe(error),
        }
    }
}

impl Server {
    pub(super) fn new(
        tasks: OwnedFd,
        results: OwnedFd,
        control: Arc<ControlSocket>,
        page: SharedPage,
        setup: Setup,
        hello: Hello,
    ) -> Self {
        // For as long as the process: also signal handlers and other threads look at it.
        let page: &'static SharedPage = Box::leak(Box::new(page));
        context::answer_in_this_process(|| {
            running().is_some_and(|seq| page.is_stop_asked(seq, page.item(seq)))
        });
        let answers = Answers {
            results: Arc::new(ResultPipe::new(results)),
            control: control.clone(),
            max_frame: setup.max_frame,
            is_captured: setup.is_captured,
            buffer: Vec::new(),
            result: Vec::new(),
            memory: Memory::of_this_process(setup.tells_memory),
            courier: None,
        };
        Self {
            tasks: TaskPipe::new(tasks),
            control,
            answers,
            page,
            setup,
            hello,
            allowed_ns: None,
        }
    }

    /// Serves until the end of this process.
    pub(super) fn serve(mut self) -> ! {
        match self.run() {
            // An orderly end: buffers are flushed and coverage data is written.
            Err(Over::Goodbye) => std::process::exit(0),
            // It would be ended a moment later.
            Err(Over::Condemned) => std::process::exit(0),
            Ok(()) | Err(Over::DriverGone) => sys::die_with_group(),
            Err(Over::Pipe(error)) => {
                let pid = std::process::id();
                sys::tell_user(format_args!(
                    "worker {pid} stops: the pipe to its driver fails, did a task close it? {error}"
                ));
                if self.answers.results.is_open() {
                    sys::end_now(1);
                }
                // The driver sees that this pipe has been closed, and ends this process with that for a reason.
                loop {
                    std::thread::park();
                }
            }
            Err(Over::Malformed(what)) => {
                sys::tell_user(format_args!("worker {} stops: {what}", std::process::id()));
                sys::end_now(1)
            }
        }
    }

    fn run(&mut self) -> Result<(), Over> {
        // What the program has printed before it came here is no task's.
        self.answers.flush_output();
        self.answers.message(Kind::Hello, &self.hello)?;
        #[cfg(any(feature = "log", feature = "tracing"))]
        super::pipes::forward_records(&self.setup, &self.answers.results, running);
        if !self.setup.initializer {
            self.answers
                .bytes(Header::new(Kind::Ready, 0, 0), &[], &Handles::default())?;
        }
        let mut decoder = Decoder::new(self.setup.max_frame).that_throws_away();
        let mut skipped = None;
        loop {
            while let Some(frame) = decoder
                .next()
                .map_err(|error| Over::Malformed(error.to_string()))?
            {
                let Header { kind, seq, .. } = frame.header;
                // Taken out whatever becomes of the frame.
                let beside = match frame.header.handles {
                    0 => Arrived::All(Handles::default()),
                    _ => receive_beside(&self.control, &frame.header).map_err(Over::Malformed)?,
                };
                match kind {
                    Kind::Task | Kind::Chunk => {
                        if self.task(frame, beside)? {
                            skipped = None;
                        } else {
                            skipped = Some(seq);
                        }
                    }
                    Kind::Initialize => {
                        let (function, input) = function_of(frame.payload)?;
                        self.answers.initializer(function, input, beside)?;
                    }
                    Kind::Goodbye => return Err(Over::Goodbye),
                    _ => {
                        let what = FrameError::Unexpected(kind);
                        return Err(Over::Malformed(format!("the driver sent {what}")));
                    }
                }
            }
            // Nobody hears of a recalled frame that was skipped, unless the worker would fall asleep
            // over it: then its place on the page might never be known to be free.
            if let Some(seq) = skipped.take() {
                self.answers
                    .bytes(Header::new(Kind::Passed, 0, seq), &[], &Handles::default())?;
            }
            if decoder.read_from(&mut self.tasks)? == 0 {
                return Err(Over::DriverGone);
            }
        }
    }

    /// Runs a task or a chunk and answers, unless it was recalled: false.
    fn task(&mut self, frame: Frame<'_>, beside: Arrived) -> Result<bool, Over> {
        let Header {
            kind, task, seq, ..
        } = frame.header;
        let begun = sys::monotonic_ns();
        self.allow(seq, begun)?;
        if !self.page.begin(seq, begun) {
            return Ok(false);
        }
        let place = Place {
            page: self.page,
            task,
            seq,
            begun,
        };
        RUNNING.store(u64::from(seq) + 1, Ordering::Relaxed);
        let goes_on = if frame.is_thrown_away {
            self.answers.no_memory(frame.header.len, &place)?
        } else if kind == Kind::Task {
            let (function, input) = function_of(frame.payload)?;
            self.answers.task(function, input, beside, &place)?
        } else {
            let items = ChunkReader::new(&frame.payload)
                .map_err(|error| Over::Malformed(error.to_string()))?;
            let function = function_at(items.function())?;
            let is_prompt = frame.header.flags & FLAG_PROMPT != 0;
            self.answers.chunk(items, function, is_prompt, &place)?
        };
        RUNNING.store(0, Ordering::Relaxed);
        match self.page.progress(seq) {
            _ if goes_on => Ok(true),
            Progress::Condemned { .. } | Progress::Ended => Err(Over::Condemned),
            _ => Err(Over::Malformed(
                "its status page has been written over".into(),
            )),
        }
    }

    /// Makes the limits of this process those of the next task.
    fn allow(&mut self, seq: u32, now: u64) -> Result<(), Over> {
        let limits = &self.setup.limits;
        if limits.address_space.is_some() {
            sys::note_failed_allocations_in(self.page.resident_word(seq));
        }
        let is_due = |set: u64| now.saturating_sub(set) >= CPU_INTERVAL_NS;
        if let Some(allowed) = limits.cpu_time_ms
            && self.allowed_ns.is_none_or(is_due)
        {
            let allowed = Duration::from_millis(allowed);
            sys::allow_cpu_time(allowed)
                .map_err(|error| Over::Malformed(format!("no limit on CPU time: {error}")))?;
            self.allowed_ns = Some(now);
        }
        Ok(())
    }
}

/// A function, and its encoded arguments.
fn function_of(payload: Cow<'_, [u8]>) -> Result<(&'static Function, Cow<'_, [u8]>), Over> {
    let (index, input) =
        wire::split_function(payload).map_err(|error| Over::Malformed(error.to_string()))?;
    Ok((function_at(index)?, input))
}

fn function_at(index: u32) -> Result<&'static Function, Over> {
    let registry = registry().ok();
    registry
        .and_then(|registry| registry.by_index(index))
        .ok_or_else(|| Over::Malformed(format!("no function has the number {index}")))
}
