//! The worker's loop: read a frame, begin it on the status page, run it, answer.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::frame::{self, Decoder, FLAG_LAST, FrameError, Header, Kind};
use crate::page::Page;
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

/// What a worker owns while it serves.
pub(super) struct Server {
    tasks: OwnedFd,
    answers: Answers,
    page: SharedPage,
    setup: Setup,
    hello: Hello,
}

/// Why the loop ended.
enum Over {
    /// The driver said goodbye.
    Goodbye,
    /// The driver is gone, without a word.
    DriverGone,
    /// The driver sent something that is not of the protocol.
    Malformed(String),
}

impl From<io::Error> for Over {
    /// Reading from the driver or writing to it fails only when it is gone.
    fn from(_: io::Error) -> Self {
        Self::DriverGone
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
        let answers = Answers {
            results,
            max_frame: setup.max_frame,
            buffer: Vec::new(),
        };
        Self {
            tasks,
            answers,
            page,
            setup,
            hello,
        }
    }

    /// Serves until the end of this process.
    pub(super) fn serve(mut self) -> ! {
        match self.run() {
            // An orderly end: buffers are flushed and coverage data is written.
            Err(Over::Goodbye) => std::process::exit(0),
            Ok(()) | Err(Over::DriverGone) => sys::die_with_group(),
            Err(Over::Malformed(what)) => {
                sys::tell_user(format_args!("worker {} stops: {what}", std::process::id()));
                sys::end_now(1)
            }
        }
    }

    fn run(&mut self) -> Result<(), Over> {
        self.answers.message(Kind::Hello, &self.hello)?;
        if !self.setup.initializer {
            self.answers.bytes(Header::new(Kind::Ready, 0, 0), &[])?;
        }
        let mut decoder = Decoder::new(self.setup.max_frame);
        let mut skipped = None;
        loop {
            while let Some(frame) = decoder
                .next()
                .map_err(|error| Over::Malformed(error.to_string()))?
            {
                let Header {
                    kind, task, seq, ..
                } = frame.header;
                match kind {
                    Kind::Task | Kind::Chunk => {
                        let begun = sys::monotonic_ns();
                        if !self.page.begin(seq, begun) {
                            skipped = Some(seq);
                            continue;
                        }
                        skipped = None;
                        let place = Place {
                            page: &self.page,
                            task,
                            seq,
                            begun,
                        };
                        if kind == Kind::Task {
                            let (function, input) = function_of(&frame.payload)?;
                            self.answers.task(function, input, &place)?;
                        } else {
                            let items = ChunkReader::new(&frame.payload)
                                .map_err(|error| Over::Malformed(error.to_string()))?;
                            let function = function_at(items.function())?;
                            self.answers.chunk(items, function, &place)?;
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
            if decoder.read_from(&mut Source(&self.tasks))? == 0 {
                return Err(Over::DriverGone);
            }
        }
    }
}

/// Where a task stands on the status page.
struct Place<'a> {
    page: &'a Page,
    task: u64,
    seq: u32,
    begun: u64,
}

impl Place<'_> {
    fn end(&self) {
        // Not zero, which is what the page says of a task that has not ended.
        let elapsed = sys::monotonic_ns().saturating_sub(self.begun).max(1);
        self.page.end(self.seq, elapsed);
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
    results: OwnedFd,
    max_frame: u64,
    buffer: Vec<u8>,
}

impl Answers {
    /// One task: its result, or why there is none.
    fn task(
        &mut self,
        function: &'static Function,
        input: &[u8],
        place: &Place<'_>,
    ) -> Result<(), Over> {
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        let outcome =
            run::run(function, input, &mut self.buffer).and_then(|()| self.check_size(start));
        place.end();
        let kind = match outcome {
            Ok(()) => Kind::Done,
            Err(failure) => {
                self.put_failure(start, &failure);
                Kind::Failed
            }
        };
        self.finish(start, Header::new(kind, place.task, place.seq))
    }

    /// The items of a chunk, one after another, in as few frames as keeps a crash cheap.
    fn chunk(
        &mut self,
        items: ChunkReader<'_>,
        function: &'static Function,
        place: &Place<'_>,
    ) -> Result<(), Over> {
        let mut items = (0u32..).zip(items).peekable();
        let mut result = Vec::new();
        // The outcome of an item that did not fit beside those before it.
        let mut held_over: Option<(u32, Result<(), TaskFailure>)> = None;
        let mut sent_at = place.begun;
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
                    if place.page.is_cancel_asked(place.seq) {
                        part.push(ItemOutcome::Cancelled);
                        continue;
                    }
                    place.page.note_item(place.seq, index);
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
                let now = sys::monotonic_ns();
                let is_due = now.saturating_sub(sent_at) >= PART_INTERVAL.as_nanos() as u64;
                if (is_due || part.len() >= PART_BYTES) && items.peek().is_some() {
                    sent_at = now;
                    last = false;
                    break;
                }
            }
            part.finish();
            if last {
                place.end();
            }
            let flags = if last { FLAG_LAST } else { 0 };
            self.finish(
                start,
                Header {
                    flags,
                    ..Header::new(Kind::Part, place.task, place.seq)
                },
            )?;
            if last {
                return Ok(());
            }
        }
    }

    /// Runs the initializer; its result goes to the driver, which knows its type.
    fn initializer(&mut self, function: &'static Function, input: &[u8]) -> Result<(), Over> {
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        let outcome =
            run::run(function, input, &mut self.buffer).and_then(|()| self.check_size(start));
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

    /// Completes the frame at `start` and writes it, with as few calls as the pipe allows.
    fn finish(&mut self, start: usize, header: Header) -> Result<(), Over> {
        frame::finish(&mut self.buffer, start, header);
        let mut left = &self.buffer[..];
        while !left.is_empty() {
            let written = sys::write(self.results.as_fd(), left)?;
            left = &left[written..];
        }
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

/// The task pipe, for the decoder to read from.
struct Source<'a>(&'a OwnedFd);

impl io::Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        sys::read(self.0.as_fd(), buffer)
    }
}
