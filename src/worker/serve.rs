//! The worker's loop: read a frame, begin it on the status page, run it, answer.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::memory::Memory;
use super::pipes::{ResultPipe, TaskPipe};
use crate::context;
use crate::frame::{self, Decoder, FLAG_LAST, FLAG_PROMPT, Frame, FrameError, Header, Kind};
use crate::page::{Page, Progress};
use crate::registry::{Function, registry};
use crate::run;
use crate::sys::{self, SharedPage};
use crate::wire::{self, ChunkReader, Hello, ItemOutcome, PartWriter, Setup, TaskFailure};

/// A chunk sends what it has finished at least this often, between two of its items: what a crash
/// can take with it stays small.
const PART_INTERVAL: Duration = Duration::from_millis(1);

/// A chunk also sends when this many bytes have gathered, in one write.
const PART_BYTES: usize = 64 * 1024;

/// What a part's frame takes beside the results: its first index, its count, and per item a tag and a
/// length, generously.
const PART_OVERHEAD: usize = 32;

/// A buffer that grew beyond this for one large result is given back after it.
const KEPT_BUFFER: usize = 1024 * 1024;

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
    answers: Answers,
    page: &'static SharedPage,
    setup: Setup,
    hello: Hello,
    /// When the limit on CPU time was last set.
    allowed_ns: Option<u64>,
}

/// Why the loop ended.
enum Over {
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
            max_frame: setup.max_frame,
            is_captured: setup.is_captured,
            buffer: Vec::new(),
            memory: Memory::of_this_process(setup.tells_memory),
        };
        Self {
            tasks: TaskPipe::new(tasks),
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
            self.answers.bytes(Header::new(Kind::Ready, 0, 0), &[])?;
        }
        let mut decoder = Decoder::new(self.setup.max_frame).that_throws_away();
        let mut skipped = None;
        loop {
            while let Some(frame) = decoder
                .next()
                .map_err(|error| Over::Malformed(error.to_string()))?
            {
                let Header { kind, seq, .. } = frame.header;
                match kind {
                    Kind::Task | Kind::Chunk => {
                        if self.task(&frame)? {
                            skipped = None;
                        } else {
                            skipped = Some(seq);
                        }
                    }
                    Kind::Initialize => {
                        let (function, input) = function_of(&frame.payload)?;
                        self.answers.initializer(function, input)?;
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
                self.answers.bytes(Header::new(Kind::Passed, 0, seq), &[])?;
            }
            if decoder.read_from(&mut self.tasks)? == 0 {
                return Err(Over::DriverGone);
            }
        }
    }

    /// Runs a task or a chunk and answers, unless it was recalled: false.
    fn task(&mut self, frame: &Frame<'_>) -> Result<bool, Over> {
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
            let (function, input) = function_of(&frame.payload)?;
            self.answers.task(function, input, &place)?
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

/// Where a task stands on the status page.
struct Place {
    page: &'static Page,
    task: u64,
    seq: u32,
    begun: u64,
}

impl Place {
    /// The task has ended, with this item. False says that nothing more is to begin here.
    fn end(&self, item: u32, memory: &mut Memory) -> bool {
        let now = sys::monotonic_ns();
        if let Some(kib) = memory.kib(now) {
            self.page.note_resident(self.seq, kib);
        }
        // Not zero, which is what the page says of a task that has not ended.
        let elapsed = now.saturating_sub(self.begun).max(1);
        self.page.end(self.seq, item, elapsed)
    }
}

fn function_of(payload: &[u8]) -> Result<(&'static Function, &[u8]), Over> {
    let mut input = payload;
    let index =
        wire::decode_function(&mut input).map_err(|error| Over::Malformed(error.to_string()))?;
    Ok((function_at(index)?, input))
}

fn function_at(index: u32) -> Result<&'static Function, Over> {
    let registry = registry().ok();
    registry
        .and_then(|registry| registry.by_index(index))
        .ok_or_else(|| Over::Malformed(format!("no function has the number {index}")))
}

/// The result pipe, and the buffer in which every frame for it is built and written at once.
struct Answers {
    results: Arc<ResultPipe>,
    max_frame: u64,
    is_captured: bool,
    buffer: Vec<u8>,
    memory: Memory,
}

impl Answers {
    /// One task: its result, or why there is none. Says whether another one may begin.
    fn task(
        &mut self,
        function: &'static Function,
        input: &[u8],
        place: &Place,
    ) -> Result<bool, Over> {
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        let outcome =
            run::run(function, input, &mut self.buffer).and_then(|()| self.check_size(start));
        self.answer(start, outcome, place)
    }

    /// A task, or a chunk, whose arguments could not be held.
    fn no_memory(&mut self, len: u64, place: &Place) -> Result<bool, Over> {
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        let message = format!("there is no memory for its {len} bytes within `address_space`");
        self.answer(start, Err(TaskFailure::ArgumentNotDecoded(message)), place)
    }

    fn answer(
        &mut self,
        start: usize,
        outcome: Result<(), TaskFailure>,
        place: &Place,
    ) -> Result<bool, Over> {
        self.flush_output();
        let goes_on = place.end(0, &mut self.memory);
        let kind = match outcome {
            Ok(()) => Kind::Done,
            Err(failure) => {
                self.put_failure(start, &failure);
                Kind::Failed
            }
        };
        self.finish(start, Header::new(kind, place.task, place.seq))?;
        Ok(goes_on)
    }

    /// What was printed reaches whoever reads it before the result does.
    fn flush_output(&self) {
        if self.is_captured {
            sys::flush_standard_streams();
        }
    }

    /// The items of a chunk, one after another, in as few frames as keeps a crash cheap. Says whether another task may
    /// begin.
    fn chunk(
        &mut self,
        items: ChunkReader<'_>,
        function: &'static Function,
        is_prompt: bool,
        place: &Place,
    ) -> Result<bool, Over> {
        let last_item = (items.len() as u32).saturating_sub(1);
        let mut items = (0u32..).zip(items).peekable();
        let mut result = Vec::new();
        // The outcome of an item that did not fit beside those before it.
        let mut held_over: Option<(u32, Result<(), TaskFailure>)> = None;
        let mut sent_at = place.begun;
        let mut now = place.begun;
        let mut is_condemned = false;
        loop {
            self.buffer.clear();
            let start = frame::begin(&mut self.buffer);
            let first = held_over.as_ref().map_or_else(
                || items.peek().map_or(0, |(index, _)| *index),
                |(index, _)| *index,
            );
            let mut part = PartWriter::new(first, &mut self.buffer);
            let mut last = true;
            loop {
                let (index, outcome) = if let Some(held_over) = held_over.take() {
                    held_over
                } else if let Some((index, item)) = items.next() {
                    if index > 0 && !place.page.advance(place.seq, index - 1, now) {
                        is_condemned = true;
                        last = false;
                        break;
                    }
                    if place.page.is_cancel_asked(place.seq) {
                        part.push(ItemOutcome::Cancelled);
                        continue;
                    }
                    result.clear();
                    let outcome = run::run(function, item, &mut result);
                    (
                        index,
                        outcome.and_then(|()| fits(result.len() + PART_OVERHEAD, self.max_frame)),
                    )
                } else {
                    break;
                };
                let size = part.len() - start - frame::HEADER_LEN + result.len() + PART_OVERHEAD;
                if part.count() > 0 && size as u64 > self.max_frame {
                    held_over = Some((index, outcome));
                    last = false;
                    break;
                }
                match outcome {
                    Ok(()) => part.push(ItemOutcome::Value(&result)),
                    Err(failure) => {
                        let mut bytes = Vec::new();
                        failure.write_to(
                            &mut bytes,
                            self.max_frame.saturating_sub(PART_OVERHEAD as u64),
                        );
                        part.push(ItemOutcome::Failure(&bytes));
                    }
                }
                now = sys::monotonic_ns();
                let is_due = self.is_captured
                    || is_prompt
                    || now.saturating_sub(sent_at) >= PART_INTERVAL.as_nanos() as u64;
                if (is_due || part.len() >= PART_BYTES) && items.peek().is_some() {
                    sent_at = now;
                    last = false;
                    break;
                }
            }
            let is_empty = part.count() == 0;
            part.finish();
            self.flush_output();
            let goes_on = !last || place.end(last_item, &mut self.memory);
            let flags = if last { FLAG_LAST } else { 0 };
            let header = Header {
                flags,
                ..Header::new(Kind::Part, place.task, place.seq)
            };
            if last || !is_empty {
                self.finish(start, header)?;
                // What the pipe took to take it is not the next item's time.
                now = sys::monotonic_ns();
            }
            if last || is_condemned {
                return Ok(goes_on && !is_condemned);
            }
        }
    }

    /// Runs the initializer; its result goes to the driver, which knows its type.
    fn initializer(&mut self, function: &'static Function, input: &[u8]) -> Result<(), Over> {
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        let outcome =
            run::run(function, input, &mut self.buffer).and_then(|()| self.check_size(start));
        self.flush_output();
        let kind = match outcome {
            Ok(()) => Kind::Ready,
            Err(failure) => {
                self.put_failure(start, &failure);
                Kind::InitializerFailed
            }
        };
        self.finish(start, Header::new(kind, 0, 0))
    }

    fn message(&mut self, kind: Kind, message: &Hello) -> Result<(), Over> {
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        wire::encode(message, &mut self.buffer)
            .map_err(|error| Over::Malformed(error.to_string()))?;
        self.finish(start, Header::new(kind, 0, 0))
    }

    fn bytes(&mut self, header: Header, payload: &[u8]) -> Result<(), Over> {
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        self.buffer.extend_from_slice(payload);
        self.finish(start, header)
    }

    fn check_size(&self, start: usize) -> Result<(), TaskFailure> {
        fits(
            self.buffer.len() - start - frame::HEADER_LEN,
            self.max_frame,
        )
    }

    fn put_failure(&mut self, start: usize, failure: &TaskFailure) {
        self.buffer.truncate(start + frame::HEADER_LEN);
        failure.write_to(&mut self.buffer, self.max_frame);
    }

    /// Completes the frame at `start` and writes it.
    fn finish(&mut self, start: usize, header: Header) -> Result<(), Over> {
        frame::finish(&mut self.buffer, start, header);
        self.results.write(&self.buffer)?;
        if self.buffer.capacity() > KEPT_BUFFER {
            self.buffer = Vec::new();
        }
        Ok(())
    }
}

fn fits(size: usize, max_frame: u64) -> Result<(), TaskFailure> {
    let size = size as u64;
    if size <= max_frame {
        Ok(())
    } else {
        Err(TaskFailure::ResultTooLarge { size })
    }
}
